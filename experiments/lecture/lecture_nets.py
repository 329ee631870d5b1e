"""Do the lecture's intermediate and deep nets end where they were published to end?

    python -m experiments.lecture.lecture_nets [--workdir=runs/lecture_nets]      30 seconds on 2 cores

Source: a lecture's notebooks (Keras), which print the validation accuracy after 20 epochs: two runs of the intermediate
net, one of the deep one. Bands, set before the run: the mean of 3 seeds within .004 of every published number.

Measured: 2 of 2, .9751 (.9741 to .9758) and .9746 (.9739 to .9756), 3 seeds each (2026-11-25, 2 cores).
"""

from typing import Any

import numpy as np

from configs import deep, intermediate
from experiments import studies
from training import figures

PUBLISHED = {"intermediate": [0.9759, 0.9745], "deep": [0.9754]}
WITHIN, SEEDS = 0.004, 3


def claims_of(curves: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """The final accuracies, means over the seeds; every published run lies within .004 of them."""
    claims = []
    for name, published in PUBLISHED.items():
        accuracy = curves[name]["val_accuracy"][-1]
        band = (max(published) - WITHIN, min(published) + WITHIN)
        title = f"{name}, final val_accuracy"
        claims.append(studies.claim(title, published, "lecture notebook", accuracy, np.mean(accuracy), band))
    return claims


def draw(curves: dict[str, dict[str, np.ndarray]], claims: list[dict[str, Any]]):
    """The validation accuracy of each seed through training, with the published ends."""
    figure, axes = figures.new_figure(11, 4.5, len(curves))
    for axis, (name, metrics), claim in zip(axes, curves.items(), claims, strict=True):
        accuracy_ExL = metrics["val_accuracy"]
        epochs = np.arange(1, len(accuracy_ExL) + 1)
        axis.plot(epochs, accuracy_ExL, color="tab:blue", alpha=0.6)
        axis.plot([], [], color="tab:blue", label=f"{accuracy_ExL.shape[1]} seeds")
        axis.plot([epochs[-1]] * len(claim["published"]), claim["published"], "k.", label="published")
        axis.axhspan(*claim["band"], color="tab:green", alpha=0.15, label="band for the mean")
        axis.set(xlabel="epoch", ylabel="validation accuracy")
        inside = "inside" if claim["reproduced"] else "outside"
        axis.set_title(f"{name}: {claim['measured']:.4f} after {epochs[-1]} epochs, {inside} the band")
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    return figure


def study() -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    configs = {"intermediate": intermediate, "deep": deep}
    curves = {name: studies.curves(name, module.get_config(), SEEDS) for name, module in configs.items()}
    claims = claims_of(curves)
    return draw(curves, claims), claims


if __name__ == "__main__":
    studies.main(study)
