"""Does the lecture's shallow net start and end where its log says?

    python -m experiments.lecture.shallow_net [--budget=full] [--workdir=runs/shallow_net]      2 minutes on 2 cores; full 3

Source: a lecture's notebook, whose log gives the cost and accuracy of 784-64 sigmoid-10 softmax with the quadratic cost
(Keras, SGD .01, batch 128). The log of seven epochs is one draw of a random seed, so it counts as reproduced where each
of its val_loss lies inside the range of 32 seeds; other runs of the same notebook end at epoch 200. The bands of those
ends were set before the run. The quick budget trains 3 seeds for 200 epochs, the full one 8.

Measured (full budget, 2026-11-25, 2 cores): 9 of 9; after 200 epochs 8 seeds have an accuracy of .8635 (.8525 to .8700)
and a cost of .0275 (.0265 to .0289).
"""

from typing import Any

import numpy as np

from configs import shallow
from experiments import studies
from training import figures

LOG_VAL_LOSS = (0.0913, 0.0906, 0.0901, 0.0897, 0.0893, 0.0890, 0.0887)
LOG_SEEDS, SEEDS = 32, {"quick": 3, "full": 8}
# What the constant predictor costs.
UNIFORM_GUESS = 0.09


def log_claims(val_loss_ExL: np.ndarray) -> list[dict[str, Any]]:
    """The lecture's log: here the published number must lie inside the measured range, so that range is the band."""
    source = "lecture notebook, log of the shallow net"
    return [
        studies.range_claim(f"shallow, val_loss at epoch {epoch}", published, source, values)
        for epoch, (published, values) in enumerate(zip(LOG_VAL_LOSS, val_loss_ExL, strict=True), start=1)
    ]


def end_claims(end: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The numbers after the last epoch, means over the seeds."""
    accuracy, loss, source = end["val_accuracy"][-1], end["val_loss"][-1], "lecture notebook"
    return [
        studies.claim(
            "shallow, final val_accuracy", [0.856, 0.8586], source, accuracy, np.mean(accuracy), (0.85, 0.875)
        ),
        studies.claim("shallow, final val_loss", [0.0286, 0.0286], source, loss, np.mean(loss), (0.026, 0.03)),
    ]


def draw(log_ExL: np.ndarray, end: dict[str, np.ndarray], claims: list[dict[str, Any]]):
    """The log among its seeds, then cost and accuracy to the end."""
    figure, (first, cost, accuracy) = figures.new_figure(16, 4.5, 3)
    epochs, seeds = np.arange(1, len(log_ExL) + 1), log_ExL.shape[1]
    first.fill_between(epochs, log_ExL.min(axis=1), log_ExL.max(axis=1), alpha=0.25, label=f"range of {seeds} seeds")
    first.plot(epochs, log_ExL.mean(axis=1), label="their mean")
    first.plot(epochs, LOG_VAL_LOSS, "k.", label="the lecture's log")
    first.axhline(UNIFORM_GUESS, color="gray", linestyle="--", label="uniform guess, 0.09")
    inside = sum(c["reproduced"] for c in claims[: len(LOG_VAL_LOSS)])
    first.set(xlabel="epoch", ylabel="validation cost", title=f"{inside} of 7 logged costs inside the seeds' range")
    last = len(end["val_loss"])
    for axis, name in ((cost, "val_loss"), (accuracy, "val_accuracy")):
        values_ExL = end[name]
        axis.plot(np.arange(1, last + 1), values_ExL, color="tab:blue", alpha=0.5)
        axis.plot([], [], color="tab:blue", label=f"{values_ExL.shape[1]} seeds")
        axis.set(xlabel="epoch")
    (accuracy_claim, loss_claim) = claims[len(LOG_VAL_LOSS) :]
    cost.axhline(UNIFORM_GUESS, color="gray", linestyle="--", label="uniform guess, 0.09")
    for axis, claim in ((cost, loss_claim), (accuracy, accuracy_claim)):
        axis.plot([last] * 2, claim["published"], "k.", label="published ends")
        axis.axhspan(*claim["band"], color="tab:green", alpha=0.15, label="band")
    on_plateau = np.mean(end["val_loss"].mean(axis=1) > UNIFORM_GUESS) * last
    cost.set(ylabel="validation cost", title=f"{on_plateau:.0f} epochs above the uniform guess,\nthen slowly down")
    accuracy.set(ylabel="validation accuracy", title=f"After {last} epochs {accuracy_claim['measured']:.4f}")
    for axis in (first, cost, accuracy):
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


def study(budget: str) -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    log_ExL = studies.curves("shallow, the log", shallow.get_config("quick"), LOG_SEEDS)["val_loss"]
    end = studies.curves("shallow, to the end", shallow.get_config(), SEEDS[budget])
    claims = log_claims(log_ExL) + end_claims(end)
    return draw(log_ExL, end, claims), claims


if __name__ == "__main__":
    studies.main(study)
