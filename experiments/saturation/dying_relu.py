"""How often does a deep and narrow ReLU net die, and is it born dead?

    python -m experiments.saturation.dying_relu [--budget=full]      1.5 minutes on 2 cores; full 3

Source: Lu, Shin, Su & Karniadakis (2019), Dying ReLU and Initialization: nets of ten layers learn |x| on [-sqrt 3,
sqrt 3] from He's initialization, and more than 90 % of those of width 2 collapse to a constant function; of width 3
about 60 %, of width 5 more than 10 %, of width 10 less than 1 %. A net whose layer answers 0 to every x is a constant,
has no gradient below that layer and never recovers.

Here 1,000 nets a width, of width 2 4,000 (full: 5,000 of each, as 1,000 had left two open) train as lanes: nine hidden
layers and a linear output, He's normal weights, zero biases, quadratic cost, 300 steps of Adam at .001 in batches of 32
of 3,000 points (steps and batch are ours; more steps would ask how many die later). One counts as collapsed where its
outputs on a grid end with a standard deviation of .01 or less (|x| has .5). Bands, set before the run: 5 points about
the 60 %; what is published as a bound is a direction, read as that bound, to the end on its own side (of width 5 to the
60 %); the four widths are judged jointly as well. Each band excludes what the next widths have. How many of the nets
that are born alive die in training is said in the notes, and claimed in `absorbed_relu`. Beside it the nets that are
constant before the first step, counted among 20,000; band: between the bounds of `nets.born_dead`, which exclude the
share that is silent at a single x. The published shares were read second-hand; the table itself could not be found in a
text.

The share of width 3 was missed: many nets that are born alive die in training as well, and the published share is about
that of the nets that are born constant. So one training is searched for that gives the whole row: all widths are
trained by Adam at a tenth of the rate and by SGD as well, and judged as one table, as is the row before any training.
The closest of these four is shown, chosen after looking and without a correction for the choice, and its note says of
each how likely its row is, and whether any gives it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import nets
from experiments.study import command, toolkit
from experiments.study.claims import Band, Claim, Kind, Words, below, share_claim
from experiments.study.joint import LEVEL, Joint, against_bands, joint_claim
from experiments.study.narrow_nets import ADAM, EDGE, FLAT, OPTIMIZERS, draw_nets, train_nets
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures

SOURCE = "Lu et al. 2019 (S)"
SEARCHED = "searched for once the row of Adam at .001 had been missed"
UNTRAINED = "no training at all"
# Width: what is published, a bound but for width 3, and the band, which ends before that of the next width.
PUBLISHED: dict[int, tuple[float, Band]] = {
    2: (0.90, (0.90, None)),
    3: (0.60, (0.55, 0.65)),
    5: (0.10, (0.10, below(0.60))),
    10: (0.01, (None, 0.01)),
}
# The widths of which what is published is excluded by the band of a width.
RIVALS = {2: (3,), 3: (2, 5), 5: (3, 10), 10: (5,)}


class Size(NamedTuple):
    """How many nets of each width are trained, and how many by each of the other optimizers; how many are only drawn;
    hidden layers; steps and examples a step; of how many x the outputs are looked at."""

    nets: Mapping[int, int]
    others: Mapping[int, int]
    born: int
    hidden: int
    steps: int
    batch: int
    grid: int
    seeds_from: int = 0


# Of width 2 few nets are born alive, and only these are trained.
# The others have as many nets: of trainings whose tables are judged by p, more nets would tell more.
NETS = OTHERS = {2: 4_000, 3: 1_000, 5: 1_000, 10: 1_000}
MANY = dict.fromkeys(NETS, 5_000)
QUICK, TINY = Size(NETS, OTHERS, 20_000, 9, 300, 32, 201), Size({2: 20}, {}, 100, 3, 3, 4, 5)


class Nets(NamedTuple):
    """The nets of one width: which of many are born constant; the outputs of some on the grid, [nets, grid]."""

    born_N: np.ndarray
    before_LxG: np.ndarray
    after_LxG: np.ndarray

    @property
    def ended(self) -> np.ndarray:
        """Which nets are constant after training."""
        return np.std(self.after_LxG, axis=1) <= FLAT

    @property
    def died(self) -> np.ndarray:
        """Which of those that are not constant before training are so after it."""
        return self.ended[np.any(self.before_LxG != 0.0, axis=1)]


def grid_of(size: Size) -> jax.Array:
    """The x at which the outputs are looked at, [G, 1]."""
    return jnp.linspace(-EDGE, EDGE, size.grid)[:, None]


def measure(width: int, size: Size, optimizer: str = ADAM) -> Nets:
    """Draws nets of a width and trains some of them.

    By homogeneity the outputs at 1 and -1 say whether a net is born constant. Such a net has no gradient but that of
    its last bias: it stays constant, and is left out of the training.
    """
    born_key, draw_key, train_key = jax.random.split(jax.random.key(size.seeds_from + width), 3)
    signs, grid_GxD, hidden = jnp.array([[-1.0], [1.0]]), grid_of(size), size.hidden
    born_N = np.all(draw_nets(jax.random.split(born_key, size.born), width, hidden, signs)[1] == 0.0, axis=1)
    count = (size.nets if optimizer == ADAM else size.others)[width]
    params_L, before_LxG = draw_nets(jax.random.split(draw_key, count), width, hidden, grid_GxD)
    alive = np.flatnonzero(np.any(before_LxG != 0.0, axis=1))
    some = jax.tree.map(lambda leaf: leaf[alive], params_L)
    after_LxG = np.zeros((count, size.grid), np.float32)
    keys = jax.random.split(train_key, len(alive))
    shape = {"width": width, "hidden": hidden, "batch": size.batch, "steps": size.steps}
    after_LxG[alive] = train_nets(some, keys, grid_GxD, **shape, optimizer=optimizer)
    return Nets(born_N, np.asarray(before_LxG), after_LxG)


def collapsed_claim(width: int, found: Nets) -> Claim:
    """The share of nets that training leaves constant, and in the note how many of them it has made so."""
    published, band = PUBLISHED[width]
    died = np.mean(found.died)
    born = np.mean(found.born_N)
    note = f"{born:.3f} are born constant, and {died:.0%} of the others die in training"
    rivals = {other: PUBLISHED[other][0] for other in RIVALS[width]}
    words: Words = {"rival": " and ".join(f"width {other}, {at:g}" for other, at in rivals.items()), "note": note}
    words["rival_at"] = list(rivals.values())
    key, title = f"width{width}/ended", f"width {width}: share of nets constant after training"
    kind: Kind = "number" if width == 3 else "direction"  # A bound.
    return share_claim(key, title, kind, SOURCE, found.ended, band, sample="nets", published=published, **words)


def table_claims(found: dict[int, Nets]) -> list[Claim]:
    """All widths against their bands as one table; nothing where there is only one."""
    if len(found) < 2:
        return []
    table = joint_of({width: of_width.ended for width, of_width in found.items()})
    published = [PUBLISHED[width][0] for width in found]
    title = "shares constant after training, all widths"
    return [joint_claim("joint/ended", title, "number", SOURCE, table, len(found), published)]


def joint_of(constant: Mapping[int, np.ndarray]) -> Joint:
    """Which nets of each width are constant, against the bands of all widths as one table."""
    counts = [len(constant_L) for constant_L in constant.values()]
    return against_bands([x_L.sum() for x_L in constant.values()], counts, [PUBLISHED[width][1] for width in constant])


def row_claim(trainings: Mapping[str, Mapping[int, np.ndarray]]) -> Claim:
    """Of several trainings, by name which nets of each width are constant after it, the one whose row comes closest to
    the published one; the note says of each how close, and whether any gives the row."""
    tables = {name: joint_of(constant) for name, constant in trainings.items()}
    best = max(tables, key=lambda name: tables[name].p)
    gives = f"{best} gives the whole row" if tables[best].p >= LEVEL else "none that was tried gives the whole row"
    each = [
        f"{name} p = {tables[name].p:.2g} ({', '.join(f'{np.mean(x_L):.3f}' for x_L in constant.values())})"
        for name, constant in trainings.items()
    ]
    widths = list(trainings[best])
    return joint_claim(
        "row/ended",
        f"shares constant, the row of the closest of {len(tables)} trainings",
        "number",
        SOURCE,
        tables[best],
        len(widths),
        [PUBLISHED[width][0] for width in widths],
        f"closest with {best}; {gives}, the best being taken without correction; {'; '.join(each)}",
        SEARCHED,
    )


def born_claim(width: int, hidden: int, found: Nets) -> Claim:
    """The share of nets that are constant before training, between its bounds."""
    bounds, at_one = nets.born_dead.constant_bounds(width, hidden), nets.born_dead.dead_at_an_input(width, hidden)
    title, source = f"width {width}: share of nets born constant", "bounds of nets.born_dead"
    words: Words = {"rival": f"silent at a single x, {at_one:.2g}", "rival_at": at_one}
    key = f"width{width}/born"
    return share_claim(key, title, "oracle", source, found.born_N, bounds, sample="nets", published=bounds, **words)


def draw_outputs(axis: Any, width: int, found: Nets, x_G: np.ndarray) -> None:
    """What some nets have learnt."""
    ended_L = found.ended
    for group, colour, shown, words in (
        (~ended_L, "tab:blue", 3, "not constant"),
        (ended_L, "tab:red", 2, "constant (at 0: born so)"),
    ):
        axis.plot(x_G, found.after_LxG[group][:shown].T, color=colour, alpha=0.7)
        axis.plot([], [], color=colour, label=f"{words}: {group.sum():,} nets")
    axis.plot(x_G, abs(x_G), "k--", label="target |x|")
    axis.set(xlabel="x", ylabel="output of the trained net", ylim=(-0.2, 2.6))
    axis.set_title(f"Width {width}, ten layers: {ended_L.mean():.1%} collapse\n(the first nets of each kind)")
    axis.legend(loc="upper center")


def draw_shares(axis: Any, found: dict[int, Nets], hidden: int) -> None:
    """Nets that are born constant and that end so, by width."""
    places, widths = np.arange(len(found)), list(found)
    born = np.array([100 * np.mean(of_width.born_N) for of_width in found.values()])
    ended = np.array([100 * np.mean(of_width.ended) for of_width in found.values()])
    axis.bar(places - 0.2, born, 0.4, color="tab:gray", label="born constant")
    axis.bar(places + 0.2, ended, 0.4, color="tab:red", label="constant after training")
    bounds = 100 * np.array([nets.born_dead.constant_bounds(width, hidden) for width in widths])
    middle = bounds.mean(axis=1)
    axis.errorbar(places - 0.2, middle, bounds[:, 1] - middle, fmt="none", color="k", capsize=6, label="its bounds")
    for place, width in zip(places, widths, strict=True):
        published, (low, high) = PUBLISHED[width]
        arrow = "^" if high is None else "v" if low is None else "*"
        axis.plot(place + 0.2, 100 * published, "b" + arrow, markersize=9)
    axis.plot([], [], "b*", label="published (triangles: more, less than)")
    axis.set(xlabel="width", ylabel="nets, %", ylim=(0, 102), xticks=places, xticklabels=widths)
    axis.set_title(f"{born.sum() / ended.sum():.0%} of those that collapse\nare born constant")
    axis.legend(loc="upper right")
    axis.grid(alpha=0.3)


def draw(found: dict[int, Nets], size: Size) -> Any:
    """Some of the narrowest and of the widest nets after training, and the shares of all widths."""
    figure, axes = figures.new_figure(16, 4.8, 3)
    for axis, width in zip(axes, (min(found), max(found)), strict=False):
        draw_outputs(axis, width, found[width], np.asarray(grid_of(size))[:, 0])
        axis.grid(alpha=0.3)
    draw_shares(axes[2], found, size.hidden)
    return figure


def train_all(size: Size) -> dict[tuple[int, str], Nets]:
    """The nets of each width and optimizer, by both; as many at once as there are cores, the widest first."""
    cells = [(width, ADAM) for width in size.nets]
    cells += [(width, optimizer) for optimizer in OPTIMIZERS if optimizer != ADAM for width in size.others]
    slow_first = sorted(cells, key=lambda cell: -cell[0])
    with toolkit.threads() as pool:
        found = pool.map(lambda cell: measure(cell[0], size, cell[1]), slow_first)
        bar = tqdm(found, desc="narrow nets", total=len(cells), leave=False, disable=None)
        trained = dict(zip(slow_first, bar, strict=True))
    return {cell: trained[cell] for cell in cells}


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    trained = train_all(size)
    found = {width: trained[width, ADAM] for width in size.nets}
    claims = [collapsed_claim(width, of_width) for width, of_width in found.items()]
    claims += table_claims(found)
    if size.others:
        untrained = {width: of_width.born_N[: size.nets[width]] for width, of_width in found.items()}
        rows: dict[str, dict[int, np.ndarray]] = {UNTRAINED: untrained}
        for (width, optimizer), of_width in trained.items():
            rows.setdefault(optimizer, {})[width] = of_width.ended
        claims.append(row_claim(rows))
    claims += [born_claim(width, size.hidden, of_width) for width, of_width in found.items()]
    return draw(found, size), claims


STUDY = Study(
    question="How often does a deep and narrow ReLU net die, and is it born dead?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": QUICK._replace(nets=MANY, others=MANY)},
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
