"""Does a smaller batch help SGD to leave a minimum?

    python -m experiments.escape.two_wells [--budget=full]      2 minutes on 2 cores, 7 full

One sigmoid neuron with one weight and no bias; 256 examples, half at x = 1 and half at x = 1/20, 96 labels 1 and 32
labels 0 at each; quadratic cost, the mean of (a - y)^2, no 1/2. Either half alone would have its minimum where the
output is 3/4: at w = 1.10 and 21.97. Together they make two wells. Walkers start at 1.1 and descend by SGD, batches
drawn with replacement, for 8,000 steps (32,000 where a median is measured); one has escaped once w > 8, beyond the
barrier. They leave the deeper well for the flatter one: the noise of the batches takes walkers to where the cost is
flat, not to where it is low. The cross-entropy of the same examples has one minimum, and nothing to escape.

Bands of places, set before the run: half of their last printed digit. Times and shares are held against the exact chain
of `nets.wells.stay_on_line`, which takes every step of SGD with its probability, on a fine grid (at batch 32, where
that would be too large, on one 8 times as coarse, which lets too many escape): medians to 5 %; shares that escape to
30 %, which the 65,536 walkers of the full size tell and the fewer of the quick one may not; and where the chain has
less than one of all walkers escape, less than at the next smaller batch. Each band excludes what the chain has at the
next batch sizes. At first the reference was what 400 walkers had computed beforehand, to 15 %, which is as far as these
know a median; chain and bands were chosen after walkers had been seen, so that these lines are exploratory. A median
whose interval reaches beyond the last step has no upper bound, so that it decides nothing.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.study import command, toolkit
from experiments.study.claims import Band, Claim, Words, below, exact_claim, interval_claim, share_claim
from experiments.study.study import FRESHER_SEEDS, Study
from nets.theory.step_chain import Stay
from training import figures

START, BARRIER, EARLIER_WALKERS = 1.1, 8.0, 400
PLACES = {"first minimum": 1.19, "barrier": 4.59, "second minimum": 21.97}
SEEN_RATE = 20.0
SHOWN = -4.0, 36.0
SOURCE, EXACT = "exact chain", "computed"
RESTATED = "the exact chain and its narrower bands took the place of 400 walkers once walkers had been seen"
OF_MEDIAN, OF_SHARE = 0.05, 0.3

# Learning rate and batch size.
Cell = tuple[float, int]

# How fine the chain's grid is, and how coarse where that would be too large.
FINE, COARSE, TOLERANCE = 5e-4, 4e-3, 1e-9
TOO_LARGE: Cell = 20.0, 32


class Size(NamedTuple):
    """How many walkers walk how far, of those whose median is measured and of the others, and what was computed
    beforehand of them; how fine the chain's grid is; from which seed on walkers are drawn."""

    median_walkers: int
    median_steps: int
    walkers: int
    steps: int
    medians: dict[Cell, int]  # median steps of 400 walkers
    escaped: dict[Cell, int]  # how many of these escaped, where less than half did
    more: tuple[Cell, ...]  # for which nothing was computed beforehand
    # Where walkers are drawn that may go on after they have escaped.
    seen_batches: tuple[int, ...]
    seen_steps: int
    seen_walkers: int
    grid: float = FINE
    seeds_from: int = 0

    def walk(self, cell: Cell) -> tuple[int, int]:
        """How many walkers of that rate and batch size walk, and how far."""
        return (self.median_walkers, self.median_steps) if cell in self.medians else (self.walkers, self.steps)


FULL = Size(
    median_walkers=32_768,
    median_steps=32_000,
    walkers=65_536,
    steps=8_000,
    medians={(20.0, 1): 151, (20.0, 2): 197, (20.0, 4): 707, (20.0, 8): 7_222, (8.0, 1): 5_928},
    escaped={(20.0, 16): 2, (20.0, 32): 0, (8.0, 2): 2, (8.0, 4): 0},
    # The lecture's batch of 128, and one between.
    more=((20.0, 64), (20.0, 128)),
    seen_batches=(1, 4, 32),
    seen_steps=700,
    seen_walkers=400,
)
QUICK = FULL._replace(median_walkers=8_192, walkers=16_384)
TINY = Size(20, 60, 20, 60, {(20.0, 1): 151}, {}, (), (1,), 60, 20, grid=1.6e-2)


def quadratic(w: jax.Array, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The quadratic cost of each example, [B].

    It is that of `nets.costs` for one output, without its axis: an innermost axis of 1 would take six times as long.
    """
    x_B, y_B = batch
    return (jax.nn.sigmoid(w * x_B) - y_B) ** 2


def cross_entropy(w: jax.Array, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The cross-entropy of each example, [B]."""
    x_B, y_B = batch
    return nets.costs.cross_entropy((w * x_B)[:, None], y_B[:, None], "sigmoid")


def examples() -> tuple[jax.Array, jax.Array]:
    """The inputs and the labels, [256] each."""
    labels = np.repeat([1.0, 0.0], [96, 32])
    return jnp.repeat(jnp.array([1.0, 0.05]), 128), jnp.asarray(np.tile(labels, 2), jnp.float32)


class CriticalPoint(NamedTuple):
    """A weight at which the gradient is zero, and what the derivatives say of it."""

    w: float
    certificate: nets.escape.Certificate


def over(w: jax.Array) -> jax.Array:
    """Whether a walker is beyond the barrier."""
    return w > BARRIER


def nowhere(w: jax.Array) -> jax.Array:
    """Never: the walkers go on."""
    return jnp.full(jnp.shape(w), False)


def passage(cell: Cell, walkers: int, steps: int, seeds_from: int = 0) -> nets.escape.FirstPassage:
    """The first passages of the walkers, in arrays of NumPy."""
    rate, batch = cell
    key = jax.random.fold_in(jax.random.key(seeds_from + batch), int(rate))
    starts = jnp.full(walkers, START)
    return jax.device_get(nets.escape.first_passage(quadratic, starts, examples(), key, rate, batch, steps, over))


def seen(batch: int, walkers: int, steps: int) -> np.ndarray:
    """Where walkers are after so many steps."""
    starts, key = jnp.full(walkers, START), jax.random.key(100 + batch)
    passed = nets.escape.first_passage(quadratic, starts, examples(), key, SEEN_RATE, batch, steps, nowhere)
    return np.asarray(passed.params_W)


def critical_points(cost: Any) -> list[CriticalPoint]:
    """The weights at which the gradient changes its sign, in rising order, in float64.

    Below 1.09 the output is less than 3/4, the mean label, at both inputs, so that both pull w up; above 21.98 both
    pull it down.
    """
    with jax.enable_x64(True):
        data = tuple(jnp.asarray(array, jnp.float64) for array in examples())
        slope = jax.jit(jax.vmap(jax.grad(lambda w: jnp.mean(cost(w, data)))))
        grid_G = np.geomspace(1, 25, 20_000)
        sign_G = np.sign(np.asarray(slope(jnp.asarray(grid_G))))
    places = [nets.escape.polish(cost, grid_G[i], examples()) for i in np.flatnonzero(np.diff(sign_G))]
    return [CriticalPoint(float(w), nets.escape.is_minimum(cost, w, examples())) for w in places]


def place_claims(points: list[CriticalPoint], matched: list[CriticalPoint]) -> list[Claim]:
    """Where the wells are, how many there are with either cost, and which is the deeper."""
    first, _, second = (point.certificate for point in points)
    ratio = first.smallest_eigenvalue / second.smallest_eigenvalue
    note = f"costs {first.cost:.5f} and {second.cost:.5f}; the second is flatter, by {ratio:.0f} in its curvature."

    def line(key: str, name: str, published: float, value: float, within: float = 0.0, note: str = "") -> Claim:
        band = published - within, published + within
        return exact_claim(key, name, "oracle", EXACT, value, band, published=published, note=note)

    deeper = "quadratic: the first minimum is the deeper (1: yes)"
    return [
        *(
            line(f"place/{name.replace(' ', '_')}", f"quadratic: w of the {name}", published, point.w, 0.005)
            for (name, published), point in zip(PLACES.items(), points, strict=True)
        ),
        line("minima/quadratic", "quadratic: minima", 2, sum(point.certificate.holds for point in points)),
        line("minima/cross_entropy", "cross-entropy: minima", 1, sum(point.certificate.holds for point in matched)),
        line("deeper", deeper, 1, float(first.cost < second.cost), note=note),
    ]


def exact_stays(size: Size) -> dict[Cell, Stay]:
    """The exact chain of each cell of which something is claimed."""

    def exact(cell: Cell) -> Stay:
        share = COARSE if cell == TOO_LARGE else size.grid
        return nets.wells.stay_on_line(*cell, nets.wells.grid_width(share, *cell), TOLERANCE)

    return {cell: exact(cell) for cell in (*size.medians, *size.escaped)}


def beside(cell: Cell, values: Mapping[Cell, float], note: str) -> Words:
    """What is said beside a value: the rivals are those of the next smaller and the next larger batch size."""
    rate, batch = cell
    batches = sorted(b for r, b in values if r == rate)
    place = batches.index(batch)
    rivals = {b: values[rate, b] for b in batches[max(place - 1, 0) : place + 2] if b != batch}
    words = ", and ".join(f"batch {b}, {value:,.4g}" for b, value in rivals.items())
    return {"rival": words, "rival_at": list(rivals.values()), "exploratory": RESTATED, "note": note}


def share_band(cell: Cell, shares: Mapping[Cell, float], walkers: int) -> Band:
    """The band of the share that escapes; where it is less than one of all walkers, less than that at the next smaller
    batch."""
    rate, batch = cell
    if shares[cell] * walkers < 1:
        smaller = max((r, b) for r, b in shares if r == rate and b < batch)
        return 0.0, below(shares[smaller])
    return shares[cell] * (1 - OF_SHARE), shares[cell] * (1 + OF_SHARE)


def passage_claims(size: Size, stays: Mapping[Cell, Stay], out: dict[Cell, nets.escape.FirstPassage]) -> list[Claim]:
    """Median steps, or shares that escape, against the exact chain."""
    claims: list[Claim] = []
    medians = {cell: stay.median for cell, stay in stays.items()}
    shares = {cell: 1 - float(stay.survival(size.steps)) for cell, stay in stays.items()}
    for (rate, batch), walked in size.medians.items():
        steps_W, censored_W, _ = out[rate, batch]
        median, exact = nets.escape.median_passage(steps_W, censored_W), medians[rate, batch]
        late = "" if median.high < size.median_steps else f"; its interval ends beyond {size.median_steps:,} steps"
        line = interval_claim(
            f"median/rate{rate:g}/batch{batch}",
            f"rate {rate:g}, batch {batch}: median steps until w > 8",
            "oracle",
            SOURCE,
            median.median,
            # Of a median that is not reached it is known that it lies beyond the last step.
            (min(median.low, size.median_steps), median.high),
            (exact * (1 - OF_MEDIAN), exact * (1 + OF_MEDIAN)),
            count=len(steps_W),
            sample="walkers",
            published=exact,
            **beside((rate, batch), medians, f"{EARLIER_WALKERS} walkers, beforehand: {walked:,}{late}"),
        )
        claims.append(line)
    for (rate, batch), walked in size.escaped.items():
        line = share_claim(
            f"escaped/rate{rate:g}/batch{batch}",
            f"rate {rate:g}, batch {batch}: share with w > 8 within {size.steps:,} steps",
            "oracle",
            SOURCE,
            ~np.asarray(out[rate, batch].censored_W),
            share_band((rate, batch), shares, size.walkers),
            sample="walkers",
            published=shares[rate, batch],
            **beside((rate, batch), shares, f"{EARLIER_WALKERS} walkers, beforehand: {walked} escaped"),
        )
        claims.append(line)
    return claims


def draw_wells(axis: Any, points: list[CriticalPoint], matched: list[CriticalPoint]) -> None:
    """Both costs as functions of the weight, with their critical points."""
    w_G = np.linspace(*SHOWN, 1_000)
    curve = partial(nets.curvature.cost_on_line, params=0.0, direction=1.0, coordinates_A=w_G, data=examples())
    (line,) = axis.plot(w_G, curve(quadratic), label="quadratic")
    for name, (w, certificate) in zip(PLACES, points, strict=True):
        axis.plot(w, certificate.cost, "ko")
        offset = {"barrier": (0, 10), "first minimum": (62, -12)}.get(name, (0, -32))
        label = f"{name}\nw = {w:.2f}"
        text = axis.annotate(label, (w, certificate.cost), offset, textcoords="offset points", ha="center")
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
    other = axis.twinx()
    # The labels are to be over the other curve.
    axis.set_zorder(other.get_zorder() + 1)
    axis.patch.set_visible(False)
    (dashed,) = other.plot(w_G, curve(cross_entropy), "--", color="tab:green", label="cross-entropy")
    for w, certificate in matched:
        other.plot(w, certificate.cost, "o", color="tab:green")
    axis.set(xlabel="weight w", ylim=(0.2, 0.26), ylabel="mean quadratic cost")
    axis.set_title("Two wells with the quadratic cost, one with the cross-entropy")
    other.set(ylim=(0.6, 1.2), ylabel="mean cross-entropy (nats)")
    axis.legend(handles=[line, dashed], loc="upper right")


def draw_walkers(axis: Any, size: Size, points: list[CriticalPoint]) -> None:
    """Where the walkers are, a strip a batch size."""
    shares: list[str] = []
    for height, batch in enumerate(size.seen_batches):
        w_W = seen(batch, size.seen_walkers, size.seen_steps)
        shares.append(f"{np.mean(w_W > BARRIER):.0%}")
        jitter_W = np.random.default_rng(0).uniform(-0.3, 0.3, len(w_W))
        axis.plot(w_W, height + jitter_W, ".", markersize=3)
    for point, style in zip(points, ("-", ":", "-"), strict=True):
        axis.axvline(point.w, color="black", linestyle=style, linewidth=1)
    labels = [f"batch {batch}\n{share}" for batch, share in zip(size.seen_batches, shares, strict=True)]
    axis.set_yticks(range(len(labels)), labels=labels)
    axis.set(xlabel=f"weight w of {size.seen_walkers} walkers after {size.seen_steps} steps at rate {SEEN_RATE:g}")
    ends = [f"{shares[i]} with batch {size.seen_batches[i]}" for i in sorted({0, len(shares) - 1})]
    axis.set_title(f"Beyond 8, where the barrier is passed: {', '.join(ends)}")


def draw_survival(
    axis: Any, rate: float, size: Size, stays: Mapping[Cell, Stay], out: dict[Cell, nets.escape.FirstPassage]
) -> None:
    """Kaplan-Meier curves by batch size, with the exact chain's."""
    steps_G = np.unique(np.geomspace(10, size.median_steps, 300).astype(int))
    own = sorted(batch for r, batch in out if r == rate)
    # What nobody leaves is one line at the top, whatever the batch.
    stuck = [batch for batch in own if np.all(out[rate, batch].censored_W)]
    for i, batch in enumerate([batch for batch in own if batch not in stuck[1:]]):
        steps_W, censored_W, _ = out[rate, batch]
        curve = nets.escape.kaplan_meier(steps_W, censored_W)
        # To the last step, where those that are left are censored.
        times, survival, low, high = (np.append(x, x[-1]) for x in curve)
        times[-1] = size.walk((rate, batch))[1]
        out_W = ~np.asarray(censored_W) & (np.asarray(steps_W) <= size.steps)
        label = f"{', '.join(map(str, stuck)) if batch in stuck else batch}: {np.mean(out_W):.1%}"
        axis.step(times, survival, where="post", color=f"C{i}", label=label)
        axis.fill_between(times, low, high, step="post", color=f"C{i}", alpha=0.25)
        if (rate, batch) in size.medians:
            axis.plot(steps_G, stays[rate, batch].survival(steps_G), "k--", linewidth=1)
    axis.plot([], [], "k--", linewidth=1, label="exact chain")
    axis.set(
        xscale="log",
        xlim=(10, size.median_steps),
        ylim=(-0.02, 1.02),
        xlabel="steps of SGD",
        ylabel="share of walkers still in the first well",
    )
    axis.legend(title=f"batch: out within {size.steps:,} steps", loc="lower left", fontsize=9)


def draw(
    size: Size,
    points: list[CriticalPoint],
    matched: list[CriticalPoint],
    stays: Mapping[Cell, Stay],
    out: dict[Cell, nets.escape.FirstPassage],
) -> Any:
    """The wells, the walkers in them, and how long they stay."""
    figure, (wells, fast, walkers, slow) = figures.new_figure(15, 9, 2, 2)
    draw_wells(wells, points, matched)
    draw_walkers(walkers, size, points)
    draw_survival(fast, 20.0, size, stays, out)
    draw_survival(slow, 8.0, size, stays, out)
    fast.set_title("Rate 20: small batches leave the deeper well for the flatter one")
    slow.set_title("Rate 8: larger batches stay")
    for axis in (wells, walkers):
        axis.set_xlim(*SHOWN)
    for axis in (wells, fast, walkers, slow):
        axis.grid(alpha=0.3)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    points, matched = critical_points(quadratic), critical_points(cross_entropy)
    # The longest first, and as many at once as there are cores: a walk is one thread's work.
    cells = sorted([*size.medians, *size.escaped, *size.more], key=lambda cell: -cell[1])
    with toolkit.threads() as pool:
        found = pool.map(lambda cell: passage(cell, *size.walk(cell), size.seeds_from), cells)
        out = dict(zip(cells, found, strict=True))
    stays = exact_stays(size)
    claims = [*place_claims(points, matched), *passage_claims(size, stays, out)]
    return draw(size, points, matched, stays, out), claims


STUDY = Study(
    question="Does a smaller batch help SGD to leave a minimum?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
