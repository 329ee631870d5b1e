"""Does the cross-entropy learn MNIST better than the quadratic cost, and what has saturation to do with it?

    python -m experiments.saturation.quadratic_or_cross_entropy [--budget=full]

The run time is in docs/results.md.

Source: Nielsen, Neural Networks and Deep Learning, chapters 1 and 3: nets of 30 or 100 sigmoid units and ten sigmoid
outputs, N(0, 1) weights and biases, 50,000 images in mini-batches of 10, 30 epochs, accuracy on the test set. His
quadratic cost is half the sum over the outputs, so his eta is multiplied by 5 here; his cross-entropy is the one of
`nets`. Bands, set before the run: the best epoch of the best of 3 seeds within .4 points of his best epoch; the two
failures below 30 % (eta .001) and 12 % (eta 100) in the last epoch, in the mean of the seeds, which says that they fail
and not by how much: a direction. The quick budget trains 4 seeds of each (3 at first, and 1 of the failures, which
decided nothing of them), the full one 12, of the failures 48, since 12 left eta .001 undecided, and 120 of 100 hidden
units with the quadratic cost, which 12 left undecided as well, so that these three are exploratory.

Why the failure at eta 100 lasts: its outputs are saturated on the wrong side (|a - y| > .95), where the quadratic cost
has no slope. An output unit that never fires is wrong on its own digit, so ten of them are wrong on .1 of all outputs;
band: more than half of that in the last epoch. The cross-entropy at eta .5 leaves less than .02 (both ours).

The book notes that with 100 hidden units and the quadratic cost some runs end far lower. That was so here in 2 of the
first 3 seeds: one output unit stays saturated at 0, so that its digit is never answered, until the noise of the mini-
batches frees it, as it did in the third seed after ten epochs. The best seed hides this, so the claims say it: what is
measured is what the best of 3 seeds is expected to reach, the mean over all threes of those that were trained, with an
interval that is wide where the seeds differ (of 100 seeds or more the jackknife's, which takes them for no normal
ones); and a line of its own has the share of the seeds that end so, exploratory since it was added after that had been
seen. The cross-entropy has a slope there.

On another data set a small one gets more epochs, so that there are as many steps as here: 30 epochs of scikit-learn's
digits are 4,500 steps, in which its nets are still learning. That was chosen after a run of 30.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from configs import nielsen, shallow
from experiments.engine import executors, space
from experiments.study import command
from experiments.study.claims import Claim, above, by_key, interval_claim, mean_claim, share_claim
from experiments.study.elsewhere import Elsewhere, dataset_of, epochs_for, fitted, has_printed
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures
from training.config import Config, as_config

# The quadratic cost of `nets` is the mean over ten outputs of what Nielsen halves and adds up.
RATE_OF_ETA = {"quadratic": 5.0, "cross_entropy": 1.0}
WRONG_SIDE = "wrong_side/output"
# Of all outputs, where the unit of one digit in ten never fires: then that digit is never answered, and a seed is stuck
# so much below the best one at the end; of so many seeds at least.
ONE_UNIT, STUCK, STUCK_AT = 0.01, 0.05, "quadratic/100"
SOME = 0.05
# Of so many seeds the book's number is taken to be the best, however many are trained.
BEST_OF = 3
# From so many seeds on they need not be normal for the interval of the best; and so many at most are drawn of a setup.
ENOUGH, DRAWN = 100, 48
LEAST_DRAWN = 1e-4
MORE_SEEDS = "how many seeds are trained was chosen once fewer had left the rates that fail undecided"
MORE_STUCK = (
    "that 120 seeds are trained, and that the jackknife's interval takes the place of the normal one, was chosen once "
    "12 had left the best of 3 undecided"
)
ADDED = (
    "added, with what counts as stuck, once 2 of 3 seeds had been seen to end so; before 120 were trained the band "
    "began above 0, which no seeds miss"
)
LONGER = "that small data sets get as many steps as MNIST was chosen once 30 epochs of the digits had been judged"


class Setup(NamedTuple):
    """A net of the book, the accuracy that it prints, and the band."""

    cost: str
    hidden: int
    eta: float
    published: float
    band: tuple[float | None, float | None]

    @property
    def fails(self) -> bool:
        """Whether the book shows it as a rate that does not work: then it is judged by its end."""
        return self.published < 0.5

    @property
    def name(self) -> str:
        """`quadratic, 30 hidden, eta 3`."""
        return f"{self.cost.replace('_', '-')}, {self.hidden} hidden, eta {self.eta:g}"


SETUPS = {
    "quadratic/30": Setup("quadratic", 30, 3.0, 0.9542, (0.9502, 0.9582)),
    "quadratic/100": Setup("quadratic", 100, 3.0, 0.9659, (0.9619, 0.9699)),
    "cross_entropy/30": Setup("cross_entropy", 30, 0.5, 0.9549, (0.9509, 0.9589)),
    "cross_entropy/100": Setup("cross_entropy", 100, 0.5, 0.9682, (0.9642, 0.9722)),
    "quadratic/eta_too_small": Setup("quadratic", 100, 0.001, 0.2142, (None, 0.3)),
    "quadratic/eta_too_large": Setup("quadratic", 30, 100.0, 0.0982, (None, 0.12)),
}
WIDTHS = (30, 100)
# The columns of the picture: which setups, in which colours.
COLUMNS: tuple[dict[str, str], ...] = (
    {"quadratic/30": "tab:blue", "cross_entropy/30": "tab:green"},
    {"quadratic/100": "tab:blue", "cross_entropy/100": "tab:green"},
    {"quadratic/eta_too_small": "tab:orange", "quadratic/eta_too_large": "tab:red"},
)


class Size(NamedTuple):
    """The config that all setups start from, the setups, how many seeds of those that work and that fail are trained,
    and how many of STUCK_AT where it is another number, and by what eta is multiplied; whether on another data set, of
    which no accuracy is printed; the first seed; whether there are more epochs there, so that there are as many
    steps."""

    config: Config
    setups: dict[str, Setup]
    seeds: int
    failing_seeds: int
    rate_of_eta: Mapping[str, float] = RATE_OF_ETA
    is_elsewhere: bool = False
    seeds_from: int = 0
    is_longer: bool = False
    stuck_seeds: int = 0

    def seeds_of(self, key: str) -> int:
        """How many seeds of that setup are trained."""
        others = self.stuck_seeds if key == STUCK_AT else 0
        return others or (self.failing_seeds if self.setups[key].fails else self.seeds)


def curves(size: Size) -> dict[str, dict[str, np.ndarray]]:
    """val_accuracy and the outputs saturated on the wrong side, [epochs, seeds], of every setup."""
    trials, of_setup = dict[str, Config](), dict[str, dict[str, Config]]()
    for key, setup in size.setups.items():
        config = size.config.replace(cost=setup.cost, hidden=(setup.hidden,))
        axes = {
            "learning_rate": [setup.eta * size.rate_of_eta[setup.cost]],
            "seed": range(size.seeds_from, size.seeds_from + size.seeds_of(key)),
        }
        of_setup[key] = space.make_trials(config, None, axes)
        trials |= of_setup[key]
    table = executors.train_all(trials, dataset_of(size.config), "Nielsen's nets")
    found = {name: table.filter(np.array(table["trial"]) == name) for name in trials}
    return {
        key: {
            metric: np.stack([found[name][metric].to_numpy() for name in names], axis=1)
            for metric in ("val_accuracy", WRONG_SIDE)
        }
        for key, names in of_setup.items()
    }


@functools.cache
def best_factors(count: int, best_of: int) -> tuple[float, float]:
    """Between how many standard deviations from the mean of so many values lies what the largest of `best_of` of their
    kind is expected to be, with 95 % confidence, were they normal.

    That is mu + m sigma, with m the expected largest of as many standard normal numbers, and sqrt(n) (mu + m sigma -
    mean) / std has the noncentral t distribution with n - 1 degrees of freedom and noncentrality m sqrt(n), as for
    tolerance limits."""
    from scipy.integrate import quad
    from scipy.stats import nct, norm

    density = lambda x: best_of * x * norm.pdf(x) * norm.cdf(x) ** (best_of - 1)  # noqa: E731
    expected = float(quad(density, -9, 9)[0])
    low, high = nct.ppf((0.025, 0.975), count - 1, expected * math.sqrt(count)) / math.sqrt(count)
    return float(low), float(high)


def best_of_some(values_S: np.ndarray) -> tuple[float, tuple[float, float]]:
    """What the best of BEST_OF seeds is expected to reach: the mean of the best over all choices of as many of these
    seeds (the best of all where there are fewer); and its 95 % interval: NaN for one seed, of fewer than ENOUGH exact
    for normal accuracies, else by leaving out one seed after the other (the jackknife), which holds it in some 90 % of
    cases where few seeds are stuck."""
    count, best_of = len(values_S), min(BEST_OF, len(values_S))
    best = mean_of_best(values_S, best_of)
    if count < 2:
        return best, (math.nan, math.nan)
    if count >= ENOUGH:
        without_S = np.array([mean_of_best(np.delete(values_S, i), best_of) for i in range(count)])
        half = 1.96 * math.sqrt((count - 1) ** 2 / count * np.var(without_S, ddof=1))
        return best, (max(best - half, 0.0), min(best + half, 1.0))
    factors = np.array(best_factors(count, best_of))
    low, high = np.clip(np.mean(values_S) + factors * np.std(values_S, ddof=1), 0, 1)
    return best, (float(low), float(high))


def mean_of_best(values_S: np.ndarray, best_of: int) -> float:
    """The mean of the best over all choices of so many: that with i below it is the best of i over (best_of - 1)."""
    counts_S = np.array([math.comb(i, best_of - 1) for i in range(len(values_S))])
    return float(np.sort(values_S) @ counts_S / math.comb(len(values_S), best_of))


def stuck_seeds(metrics: dict[str, np.ndarray]) -> np.ndarray:
    """Which seeds end far below the best one, [seeds]."""
    end_S = metrics["val_accuracy"][-1]
    return end_S < end_S.max() - STUCK


def note_of(metrics: dict[str, np.ndarray]) -> str:
    """What the best seed hides of those that are stuck; nothing where none is."""
    stuck_S, wrong_S = stuck_seeds(metrics), metrics[WRONG_SIDE][-1]
    if not stuck_S.any():
        return ""
    shares = (
        f"{np.mean(wrong_S[stuck_S]):.4f} of their outputs are saturated on the wrong side, {ONE_UNIT:g} being one "
    )
    others = f"digit's unit that never fires; {np.mean(wrong_S[~stuck_S]):.4f} in the others."
    hidden = f"{stuck_S.sum()} of {len(stuck_S)} seeds end more than {100 * STUCK:.0f} points lower"
    return f"the best seed hides that {hidden}: {shares}{others}"


def accuracy_claim(key: str, setup: Setup, metrics: dict[str, np.ndarray]) -> Claim:
    """The book's accuracy: of a rate that works the best epoch of the best of some seeds, of one that fails the end."""
    accuracy_ExS = metrics["val_accuracy"]
    source = "Nielsen, chapter 1 (P)" if setup.cost == "quadratic" else "Nielsen, chapter 3 (P)"
    # A rate that fails is told from one that works, a net that learns from the one of the other width.
    hidden = SETUPS[key].hidden
    other = hidden if setup.fails else next(width for width in WIDTHS if width != hidden)
    rival = SETUPS[f"{setup.cost}/{other}"].published
    words: Any = {"published": setup.published}
    if setup.fails:
        title, end_S = f"{setup.name}: last accuracy", accuracy_ExS[-1]
        words |= {"bounds": (0.0, 1.0), "rival": f"the same net at eta 3, {rival:g}", "rival_at": rival}
        words["exploratory"] = MORE_SEEDS
        return mean_claim(f"{key}/last", title, "direction", source, end_S, setup.band, **words)
    best_S = accuracy_ExS.max(axis=0)
    words |= {"count": len(best_S), "values": best_S, "note": note_of(metrics)}
    words |= {"rival": f"{other} hidden units, {rival:g}", "rival_at": rival}
    words |= {"exploratory": MORE_STUCK} if len(best_S) >= ENOUGH else {}
    title, (best, within) = f"{setup.name}: best accuracy of the best of {BEST_OF} seeds", best_of_some(best_S)
    return interval_claim(f"{key}/best", title, "number", source, best, within, setup.band, **words)


def claims_of(setups: dict[str, Setup], curves: dict[str, dict[str, np.ndarray]]) -> list[Claim]:
    """The book's accuracies, then what saturation says of the failure."""
    claims = [accuracy_claim(key, setup, curves[key]) for key, setup in setups.items()]
    for key, expected, band, rival, rival_at in (
        ("quadratic/eta_too_large", 0.1, (0.05, None), "a net that learns, 0", 0.0),
        ("cross_entropy/30", 0.0, (None, 0.02), "units that never fire, .1", 0.1),
    ):
        title = f"{setups[key].name}: outputs saturated on the wrong side at the end"
        words: Any = {"published": expected, "bounds": (0.0, 1.0), "rival": rival, "rival_at": rival_at}
        claims.append(
            mean_claim(f"{key}/wrong_side", title, "ours", "ours", curves[key][WRONG_SIDE][-1], band, **words)
        )
    title = f"{setups[STUCK_AT].name}: share of seeds that end {100 * STUCK:.0f} points or more below the best"
    words = {"rival": "the best seed stands for all, 0", "rival_at": 0.0, "exploratory": ADDED}
    stuck_S = stuck_seeds(curves[STUCK_AT])
    source = "Nielsen, chapter 1 (P)"
    return [*claims, share_claim(f"{STUCK_AT}/stuck", title, "direction", source, stuck_S, (SOME, 1.0), **words)]


def gain_claims(curves: dict[str, dict[str, np.ndarray]]) -> list[Claim]:
    """On a set of which nothing is printed: whether the cross-entropy ends ahead, the mean of paired seeds."""
    claims: list[Claim] = []
    for hidden in (30, 100):
        cross, quadratic = (curves[f"{cost}/{hidden}"]["val_accuracy"][-1] for cost in ("cross_entropy", "quadratic"))
        name = f"{hidden} hidden: cross-entropy ahead of quadratic at the end, points of accuracy"
        words: Any = {"bounds": (-100.0, 100.0), "rival": "nothing gained, 0", "rival_at": 0.0}
        gap_S, source = 100 * (cross - quadratic), "Nielsen, chapter 3 (P)"
        band = (above(0.0), None)
        claims.append(mean_claim(f"gain/{hidden}", name, "direction", source, gap_S, band, **words))
    return claims


def draw_accuracy(
    axis: Any, setups: dict[str, Setup], curves: dict[str, np.ndarray], colours: dict[str, str], has_printed: bool
) -> None:
    """The accuracy of every seed by epoch, with the book's numbers where they are of its data set."""
    for key, colour in colours.items():
        accuracy_ExS, setup = curves[key], setups[key]
        epochs = np.arange(1, len(accuracy_ExS) + 1)
        axis.plot(epochs, 100 * accuracy_ExS[:, :DRAWN], color=colour, alpha=0.6)
        more = f", {DRAWN} of {accuracy_ExS.shape[1]} seeds" if accuracy_ExS.shape[1] > DRAWN else ""
        axis.plot([], [], color=colour, label=setup.name + more)
        if has_printed:
            axis.plot(epochs[-1], 100 * setup.published, "*", color=colour, mec="k", markersize=12, clip_on=False)
    if has_printed:
        axis.plot([], [], "w*", mec="k", markersize=12, label="published")
    axis.set(xlabel="epoch", ylabel="test accuracy, %")


def draw_wrong_side(axis: Any, curves: dict[str, np.ndarray], colours: dict[str, str]) -> None:
    """The share of outputs saturated on the wrong side, of every seed by epoch, in the colours of the accuracy."""
    for key, colour in colours.items():
        # A logarithmic axis has no place for zero.
        shares_ExS = np.maximum(curves[key][:, :DRAWN], LEAST_DRAWN)
        axis.plot(np.arange(1, len(shares_ExS) + 1), 100 * shares_ExS, color=colour, alpha=0.6)
    axis.axhline(100 * ONE_UNIT, color="black", linestyle="--", label="one class's unit never fires")
    axis.set(
        xlabel="epoch", ylabel="outputs saturated on the wrong side, %", yscale="log", ylim=(100 * LEAST_DRAWN, 100)
    )


def draw(
    setups: dict[str, Setup], curves: dict[str, dict[str, np.ndarray]], claims: list[Claim], has_printed: bool
) -> Any:
    """Accuracy and wrongly saturated outputs by epoch: nets of 30 and of 100 hidden units, and rates that fail."""
    figure, axes = figures.new_figure(17, 8.5, 3, 2)
    by_metric = {name: {key: metrics[name] for key, metrics in curves.items()} for name in ("val_accuracy", WRONG_SIDE)}
    for accuracy, wrong, colours in zip(axes[:3], axes[3:], COLUMNS, strict=True):
        draw_accuracy(accuracy, setups, by_metric["val_accuracy"], colours, has_printed)
        draw_wrong_side(wrong, by_metric[WRONG_SIDE], colours)
    for column, hidden in enumerate((30, 100)):
        pair = [curves[key] for key in COLUMNS[column]]
        quadratic, cross = (100 * by_key(claims)[f"{cost}/{hidden}/best"].measured for cost in RATE_OF_ETA)
        title = f"{hidden} hidden: cross-entropy {cross - quadratic:+.2f} points in the best of {BEST_OF} seeds"
        axes[column].set_title(title)
        axes[column].set(ylim=(70, 98.5) if has_printed else None)
        stuck = [f"{stuck.sum()} of {len(stuck)} runs" for stuck in map(stuck_seeds, pair)]
        axes[3 + column].set_title(f"{stuck[0]} lack a class to the end,\nwith the cross-entropy {stuck[1]}")
    small, large = (100 * curves[key]["val_accuracy"][-1].mean() for key in COLUMNS[2])
    axes[2].set(ylim=(0, 100), title=f"At the end eta .001 has {small:.0f} %, eta 100 {large:.0f} %")
    share = 100 * by_key(claims)["quadratic/eta_too_large/wrong_side"].measured
    axes[5].set_title(f"At eta 100, {share:.0f} % of the outputs stay on the wrong side")
    for axis, place in zip(axes, ["lower right"] * 2 + ["upper right"] * 4, strict=True):
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend(loc=place)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    found = curves(size)
    claims = claims_of(size.setups, found)
    if size.is_elsewhere:
        claims += gain_claims(found)
    if size.is_longer:
        words = ("; ".join(filter(None, (claim.exploratory, LONGER))) for claim in claims)
        claims = [dataclasses.replace(claim, exploratory=said) for claim, said in zip(claims, words, strict=True)]
    return draw(size.setups, found, claims, has_printed(size.config)), claims


QUICK = Size(as_config(nielsen.get_config()).replace(epochs=30, probes=("saturation",)), SETUPS, 4, 4)
# Nets of one size: fewer programs to compile.
TINY = Size(
    as_config(shallow.get_config()).replace(dataset="synthetic", batch_size=100, epochs=2, probes=("saturation",)),
    {key: setup._replace(hidden=8) for key, setup in SETUPS.items()},
    seeds=1,
    failing_seeds=1,
    rate_of_eta={"quadratic": 0.1, "cross_entropy": 0.1},
)


def on_dataset(size: Size, dataset: str) -> Size:
    """The nets on another data set, for at least as many steps."""
    config = fitted(size.config, dataset)
    epochs = max(config.epochs, epochs_for(size.config, config))
    is_longer = epochs > config.epochs
    return size._replace(config=config.replace(epochs=epochs), is_elsewhere=True, is_longer=is_longer, stuck_seeds=0)


STUDY = Study(
    question="Does cross-entropy learn MNIST better than the quadratic cost, and what has saturation to do with it?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": QUICK._replace(seeds=12, failing_seeds=48, stuck_seeds=120)},
    elsewhere=Elsewhere(on_dataset, {"gain/*": None, "*/wrong_side": None}),
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
