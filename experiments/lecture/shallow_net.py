"""Does the lecture's shallow net start and end where its log says?

    python -m experiments.lecture.shallow_net [--budget=full] [--workdir=DIR]

The run time is in docs/results.md.

Source: a lecture's notebook, whose log gives the cost and accuracy of 784-64 sigmoid-10 softmax with the quadratic cost
(Keras, SGD .01, batch 128). The log of seven epochs is one draw of a random seed, so it counts as reproduced where each
of its val_loss lies inside the 2.5-97.5 % range of 32 seeds (at first, inside their whole range, which never shrinks),
and that range leaves out the uniform guess, .09. In the epochs 3 to 5 the plateau is crossed: the ranges were seen to
hold the guess as well as the log, and tell nothing between the two, so that of these epochs it is judged how far the
cost has fallen since the first one, where no fall is told; these lines are exploratory. Other runs of the same notebook
end at epoch 200; the bands of those ends, which hold both and are for the mean of the seeds, were set before the run.
As that mean was seen to lie beside both runs, each of these has to lie in the range of the seeds as well, as the log
does. The rival of an end is the same net after half of the epochs. The quick budget trains 4 seeds for 200 epochs (3 at
first, which left both ends undecided), the full one 64 (8 at first, then 16, whose range fresh seeds left open about
one of the runs).
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from configs import shallow
from experiments.study import command, toolkit
from experiments.study.claims import Claim, Words, by_key, draw_claim, holds, mean_claim
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures
from training.config import Config, as_config

LOG_VAL_LOSS = (0.0913, 0.0906, 0.0901, 0.0897, 0.0893, 0.0890, 0.0887)
ENDS, ACCURACIES = (0.0286, 0.0286), (0.856, 0.8586)
# What the constant predictor costs.
UNIFORM_GUESS = 0.09
# The epochs in which the seeds' range holds it.
CROSSED = (3, 4, 5)
MORE_SEEDS = "how many seeds are trained was chosen once fewer had been seen, on seeds from 1,000 on as well"
AMONG = "that each run has to lie among the seeds was added once their mean had been seen to lie beside both"
SEEN = "judged as a fall since the range of the cost itself was seen to hold the uniform guess"


class Size(NamedTuple):
    """The config of the log's epochs and that of the whole training, how many seeds of each are trained, and from which
    one on."""

    log: Config
    log_seeds: int
    end: Config
    end_seeds: int
    seeds_from: int = 0


QUICK = Size(as_config(shallow.get_config("quick")), 32, as_config(shallow.get_config()), 4)
TINY = Size(
    QUICK.log.replace(dataset="synthetic", batch_size=100),
    2,
    QUICK.end.replace(dataset="synthetic", batch_size=100, epochs=2),
    2,
)


def log_claims(val_loss_ExL: np.ndarray) -> list[Claim]:
    """The lecture's log: here the published number must lie inside the measured range, so that range is the band, and
    the net on its plateau is told from it only where the guess lies outside; where the plateau is crossed, by how far
    the cost has fallen."""
    source = "lecture notebook, log of the shallow net (P)"
    words = Words(rival=f"the uniform guess, {UNIFORM_GUESS:g}", rival_at=UNIFORM_GUESS)
    at = dict(enumerate(zip(LOG_VAL_LOSS, val_loss_ExL, strict=True), start=1))
    lines = [
        draw_claim(f"log/{epoch}", f"shallow, val_loss at epoch {epoch}", source, published, values_L, **words)
        for epoch, (published, values_L) in at.items()
        if epoch not in CROSSED
    ]
    (first, first_L), words = at[1], Words(rival="no fall, 0", rival_at=0.0)
    for epoch in (*CROSSED, len(at)):
        published, values_L = at[epoch]
        name, seen = f"shallow, fall of val_loss from epoch 1 to {epoch}", SEEN if epoch in CROSSED else ""
        said = words | Words(exploratory=seen)
        lines.append(draw_claim(f"log/fall/{epoch}", name, source, first - published, first_L - values_L, **said))
    return lines


def end_claims(end: dict[str, np.ndarray]) -> list[Claim]:
    """The numbers after the last epoch: means over the seeds, then each published run among them."""
    accuracy_S, loss_S, source = end["val_accuracy"][-1], end["val_loss"][-1], "lecture notebook (P)"
    half = {name: float(values_ExS[len(values_ExS) // 2 - 1].mean()) for name, values_ExS in end.items()}
    rivals: dict[str, Any] = {
        name: {"rival": f"the same net after half of the epochs, {at:.3g}", "rival_at": at} for name, at in half.items()
    }
    runs = (
        *(("val_accuracy", f"{published:g}", published, accuracy_S) for published in ACCURACIES),
        ("val_loss", "both runs", ENDS[0], loss_S),
    )
    draws = [
        draw_claim(
            f"end/{name}/{which.replace(' ', '_')}",
            f"shallow, final {name}: {which if which == 'both runs' else f'the run with {which}'} among the seeds",
            source,
            published,
            values_S,
            exploratory=f"{AMONG}; {MORE_SEEDS}",
            **rivals[name],
        )
        for name, which, published, values_S in runs
    ]
    return [
        mean_claim(
            "end/val_accuracy",
            "shallow, final val_accuracy",
            "number",
            source,
            accuracy_S,
            (0.85, 0.875),
            published=ACCURACIES,
            bounds=(0.0, 1.0),
            exploratory=MORE_SEEDS,
            **rivals["val_accuracy"],
        ),
        mean_claim(
            "end/val_loss",
            "shallow, final val_loss",
            "number",
            source,
            loss_S,
            (0.026, 0.03),
            published=ENDS,
            bounds=(0.0, np.inf),
            exploratory=MORE_SEEDS,
            **rivals["val_loss"],
        ),
        *draws,
    ]


def draw(log_ExL: np.ndarray, end: dict[str, np.ndarray], claims: list[Claim]) -> Any:
    """The log among its seeds, then cost and accuracy to the end."""
    figure, (first, cost, accuracy) = figures.new_figure(16, 4.5, 3)
    epochs, seeds = np.arange(1, len(log_ExL) + 1), log_ExL.shape[1]
    first.fill_between(epochs, log_ExL.min(axis=1), log_ExL.max(axis=1), alpha=0.25, label=f"range of {seeds} seeds")
    first.plot(epochs, log_ExL.mean(axis=1), label="their mean")
    first.plot(epochs, LOG_VAL_LOSS, "k.", label="the lecture's log")
    first.axhline(UNIFORM_GUESS, color="gray", linestyle="--", label="uniform guess, 0.09")
    line_of = by_key(claims)
    ranges_Ex2 = np.percentile(log_ExL, (2.5, 97.5), axis=1).T
    inside = sum(holds((low, high), cost) for cost, (low, high) in zip(LOG_VAL_LOSS, ranges_Ex2, strict=True))
    first.set(xlabel="epoch", ylabel="validation cost", title=f"{inside} of 7 logged costs inside the seeds' range")
    last = len(end["val_loss"])
    for axis, name in ((cost, "val_loss"), (accuracy, "val_accuracy")):
        values_ExL = end[name]
        low_E, high_E = values_ExL.min(axis=1), values_ExL.max(axis=1)
        label = f"range of {values_ExL.shape[1]} seeds"
        axis.fill_between(np.arange(1, last + 1), low_E, high_E, color="tab:blue", alpha=0.25, label=label)
        axis.plot(np.arange(1, last + 1), values_ExL.mean(axis=1), color="tab:blue", label="their mean")
        axis.set(xlabel="epoch")
    accuracy_claim, loss_claim = line_of["end/val_accuracy"], line_of["end/val_loss"]
    cost.axhline(UNIFORM_GUESS, color="gray", linestyle="--", label="uniform guess, 0.09")
    for axis, claim in ((cost, loss_claim), (accuracy, accuracy_claim)):
        axis.plot([last] * 2, claim.published, "k.", label="published ends")
        axis.axhspan(*claim.band, color="tab:green", alpha=0.15, label="band")
    on_plateau = np.mean(end["val_loss"].mean(axis=1) > UNIFORM_GUESS) * last
    cost.set(ylabel="validation cost", title=f"{on_plateau:.0f} epochs above the uniform guess,\nthen slowly down")
    accuracy.set(
        ylabel="validation accuracy",
        title=f"After {last} epochs {accuracy_claim.measured:.4f}, {accuracy_claim.verdict}",
    )
    for axis, place in ((first, "upper right"), (cost, "best"), (accuracy, "best")):
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend(loc=place)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    log = toolkit.curves("shallow, the log", size.log, size.log_seeds, seeds_from=size.seeds_from)
    end = toolkit.curves("shallow, to the end", size.end, size.end_seeds, seeds_from=size.seeds_from)
    log_ExL = log["val_loss"]
    claims = log_claims(log_ExL) + end_claims(end)
    return draw(log_ExL, end, claims), claims


STUDY = Study(
    question="Does the lecture's shallow net start and end where its log says?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": QUICK._replace(end_seeds=64)},
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
