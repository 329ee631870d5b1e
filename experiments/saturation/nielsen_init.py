"""How much do saturating initial weights cost a net that is then trained?

    python -m experiments.saturation.nielsen_init [--budget=full]      50 seconds on 2 cores

Source: Nielsen, Neural Networks and Deep Learning, chapter 3: 784-30-10 sigmoid, cross-entropy, eta .1, lambda 5,
mini-batches of 10, 50,000 training images, accuracy on the 10,000 held out of the training set. With N(0, 1) weights
the hidden units start saturated and the first epoch reaches 86.43 %; with N(0, 1 / n_in) it reaches 92.70 %; after 30
epochs they have 96.37 % and 96.50 %. Biases are N(0, 1) in both. Bands, set before the run: the gap after the first
epoch at least 4 points in the mean of the seeds, which is a direction (one draw gave 6.3), the ends within .6 points of
each other. The quick budget trains 4 seeds, the full one 10, in 1.5 minutes.

On another data set the gain is judged after as many steps as the first epoch has on MNIST: an epoch of scikit-learn's
digits has 150 instead of 5,000, too few for either net to have begun to learn. That was chosen once the digits' first
epoch had been judged.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from configs import nielsen, shallow
from experiments.engine import executors, space
from experiments.study import command, elsewhere
from experiments.study.claims import Claim, Kind, above, mean_claim
from experiments.study.elsewhere import Elsewhere, fitted
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures
from training.config import Config, as_config

# Nielsen's lambda is divided by the number of training examples.
LAMBDA, TRAINING_IMAGES, ETA = 5.0, 50_000, 0.1
INITS = {"N(0, 1)": "nielsen_large", "N(0, 1/n)": "nielsen_small"}
PUBLISHED = {"N(0, 1)": (0.8643, 0.9637), "N(0, 1/n)": (0.9270, 0.9650)}
SOURCE = "Nielsen, chapter 3 (P)"
LATER = "that as many steps are waited for as on MNIST was chosen once the first epoch of the digits had been judged"


class Size(NamedTuple):
    """The net's config but for its initial weights, and how many seeds are trained with each of them; the first seed.
    On another data set than MNIST the epoch that ends with as many steps as the first one there, 0 on MNIST."""

    config: Config
    seeds: int
    seeds_from: int = 0
    as_first: int = 0


def trained(config: Config, epochs: int, held_out: int) -> Config:
    """That net, trained as in the book."""
    config = config.replace(cost="cross_entropy", learning_rate=ETA, l2=LAMBDA / TRAINING_IMAGES, epochs=epochs)
    return config.replace(train_examples=0, validation=str(held_out), probes=("saturation",))


def curves(config: Config, seeds: range) -> dict[str, dict[str, np.ndarray]]:
    """val_accuracy and the saturated fraction of the hidden units of each initialization, [epochs, seeds]."""
    trials, found = dict[str, Config](), dict[str, dict[str, np.ndarray]]()
    for kernel_init in INITS.values():
        trials |= space.make_trials(config.replace(kernel_init=kernel_init), None, {"seed": seeds})
    table = executors.train_all(trials, elsewhere.dataset_of(config), "initial weights")
    for name, kernel_init in INITS.items():
        rows = table.filter(np.array(table["kernel_init"]) == kernel_init)
        metrics = ("val_accuracy", "saturation/hidden_0")
        found[name] = {metric: rows[metric].to_numpy().reshape(len(seeds), config.epochs).T for metric in metrics}
    return found


def claims_of(curves: dict[str, dict[str, np.ndarray]], as_first: int = 0) -> list[Claim]:
    """How far the two initializations are apart after the first epoch, or the one that stands for it, and after the
    last."""
    claims: list[Claim] = []
    large, small = PUBLISHED.values()
    gap_ExS = curves["N(0, 1/n)"]["val_accuracy"] - curves["N(0, 1)"]["val_accuracy"]
    for when, epoch, band, rival, rival_at in (
        ("first", 0, (0.04, None), "no gain, 0", 0.0),
        ("last", -1, (-0.006, 0.006), "the published gain after the first epoch, .0627", small[0] - large[0]),
    ):
        title, published = f"gain of N(0, 1/n) weights after the {when} epoch", small[epoch] - large[epoch]
        at, exploratory = epoch, ""
        if as_first > 1 and when == "first":
            at, exploratory = as_first - 1, LATER
            title = f"gain of N(0, 1/n) weights after epoch {as_first}, as many steps as the first one of MNIST"
        means = [curves[name]["val_accuracy"][at].mean() for name in INITS]
        note = f"{means[0]:.4f} and {means[1]:.4f}, published {large[epoch]:.4f} and {small[epoch]:.4f}"
        words: Any = {"published": published, "bounds": (-1.0, 1.0), "rival": rival, "note": note}
        words |= {"rival_at": rival_at, "exploratory": exploratory}
        kind: Kind = "direction" if when == "first" else "number"
        claims.append(mean_claim(f"gain/{when}_epoch", title, kind, SOURCE, gap_ExS[at], band, **words))
    return claims


def saturated_claim(curves: dict[str, dict[str, np.ndarray]]) -> Claim:
    """Of another data set: how much larger the saturated share of the hidden outputs is with N(0, 1) weights, after the
    first epoch, the mean of paired seeds."""
    large_S, small_S = (curves[name]["saturation/hidden_0"][0] for name in INITS)
    name = "hidden outputs saturated after the first epoch, N(0, 1) ahead of N(0, 1/n)"
    words: Any = {"bounds": (-1.0, 1.0), "rival": "none more, 0", "rival_at": 0.0}
    return mean_claim(
        "saturated/first_epoch", name, "direction", SOURCE, large_S - small_S, (above(0.0), None), **words
    )


def draw(curves: dict[str, dict[str, np.ndarray]], has_printed: bool) -> Any:
    """Accuracy and saturation of the hidden layer through training, with the book's numbers of MNIST."""
    figure, (accuracy, saturation) = figures.new_figure(12, 4.5, 2)
    for i, (name, metrics) in enumerate(curves.items()):
        epochs = np.arange(1, len(metrics["val_accuracy"]) + 1)
        for axis, metric in ((accuracy, "val_accuracy"), (saturation, "saturation/hidden_0")):
            values_ExS = 100 * metrics[metric]
            label = f"{name} weights, mean and range of {values_ExS.shape[1]} seeds"
            axis.plot(epochs, values_ExS.mean(axis=1), color=f"C{i}", label=label)
            axis.fill_between(epochs, values_ExS.min(axis=1), values_ExS.max(axis=1), color=f"C{i}", alpha=0.25)
        if has_printed:
            ends = [epochs[0], epochs[-1]]
            accuracy.plot(ends, 100 * np.array(PUBLISHED[name]), "*", color=f"C{i}", markersize=13, mec="k")
    if has_printed:
        accuracy.plot([], [], "k*", label="published")
    (large, small) = (curves[name] for name in INITS)
    first = 100 * (small["val_accuracy"] - large["val_accuracy"]).mean(axis=1)
    accuracy.set(xlabel="epoch", ylabel="validation accuracy, %")
    accuracy.set_title(
        f"Small weights against large: {first[0]:+.1f} points after an epoch,\n{first[-1]:+.2f} at the end"
    )
    saturation.set(xlabel="epoch", ylabel="hidden outputs below .05 or above .95, %", ylim=(0, 100))
    shares = [100 * metrics["saturation/hidden_0"][0].mean() for metrics in (large, small)]
    words = f"with large weights, {shares[1]:.0f} % with small"
    saturation.set_title(f"After an epoch {shares[0]:.0f} % of the hidden outputs are saturated\n{words}")
    for axis in (accuracy, saturation):
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend(loc="best")
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    found = curves(size.config, range(size.seeds_from, size.seeds_from + size.seeds))
    claims = claims_of(found, size.as_first)
    claims += [saturated_claim(found)] if size.as_first else []
    return draw(found, elsewhere.has_printed(size.config)), claims


def on_dataset(size: Size, dataset: str) -> Size:
    """The nets on another data set, for as many epochs as the claims need."""
    config = fitted(size.config, dataset)
    as_first = elsewhere.epochs_for(size.config.replace(epochs=1), config)
    return size._replace(config=config.replace(epochs=max(config.epochs, as_first)), as_first=as_first)


QUICK = Size(trained(as_config(nielsen.get_config()), 30, 10_000), seeds=4)
TINY = Size(trained(as_config(shallow.get_config()).replace(dataset="synthetic", batch_size=100), 2, 100), seeds=2)
STUDY = Study(
    question="How much do saturating initial weights cost a net that is then trained?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": QUICK._replace(seeds=10)},
    elsewhere=Elsewhere(
        on_dataset,
        {"gain/first_epoch": (above(0.0), None), "saturated/*": None},
    ),
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
