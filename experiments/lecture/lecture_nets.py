"""Do the lecture's intermediate and deep nets end where they were published to end?

    python -m experiments.lecture.lecture_nets [--budget=full]      30 seconds on 2 cores, full 1 minute

Source: a lecture's notebooks (Keras), which print the validation accuracy after 20 epochs: two runs of the intermediate
net, one of the deep one. Bands, set before the run: the mean of the seeds within .004 of every published number, which
excludes Nielsen's net of one layer of 100 sigmoids with the same cost (.9682), and all the more the lecture's shallow
net. The two nets are printed within .001 of each other, so that no such band tells the one from the other: the lines
say so. The quick budget trains 4 seeds (3 at first, which left a line undecided), the full one 10.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from configs import deep, intermediate
from experiments.study import command, toolkit
from experiments.study.claims import Claim, mean_claim
from experiments.study.study import Study
from training import figures
from training.config import Config, as_config

PUBLISHED = {"intermediate": (0.9759, 0.9745), "deep": (0.9754,)}
WITHIN, ONE_LAYER = 0.004, 0.9682


class Size(NamedTuple):
    """The nets' configs by name, and how many seeds of each are trained."""

    configs: dict[str, Config]
    seeds: int


QUICK = Size({"intermediate": as_config(intermediate.get_config()), "deep": as_config(deep.get_config())}, 4)
TINY = Size(
    {name: config.replace(dataset="synthetic", epochs=2, batch_size=100) for name, config in QUICK.configs.items()}, 2
)


def claims_of(curves: dict[str, dict[str, np.ndarray]]) -> list[Claim]:
    """The final accuracies, means over the seeds; every published run lies within .004 of them."""
    claims: list[Claim] = []
    for (name, published), other in zip(PUBLISHED.items(), reversed(PUBLISHED), strict=True):
        accuracy_S = curves[name]["val_accuracy"][-1]
        band = (max(published) - WITHIN, min(published) + WITHIN)
        title, source = f"{name}, final val_accuracy", "lecture notebook (P)"
        words: Any = {"published": published, "bounds": (0.0, 1.0), "rival_at": ONE_LAYER}
        words["rival"] = f"Nielsen's 100 sigmoids in one layer, {ONE_LAYER:g}"
        others = " and ".join(f"{accuracy:g}" for accuracy in PUBLISHED[other])
        words["note"] = f"its band does not tell it from the {other} net, published {others}"
        claims.append(mean_claim(name, title, "number", source, accuracy_S, band, **words))
    return claims


def draw(curves: dict[str, dict[str, np.ndarray]], claims: list[Claim]) -> Any:
    """The validation accuracy of each seed through training, with the published ends."""
    figure, axes = figures.new_figure(11, 4.5, len(curves))
    for axis, (name, metrics), claim in zip(axes, curves.items(), claims, strict=True):
        accuracy_ExL = metrics["val_accuracy"]
        epochs = np.arange(1, len(accuracy_ExL) + 1)
        axis.plot(epochs, accuracy_ExL, color="tab:blue", alpha=0.6)
        axis.plot([], [], color="tab:blue", label=f"{accuracy_ExL.shape[1]} seeds")
        axis.plot([epochs[-1]] * len(claim.published), claim.published, "k.", label="published")
        axis.axhspan(*claim.band, color="tab:green", alpha=0.15, label="band for the mean")
        axis.set(xlabel="epoch", ylabel="validation accuracy")
        axis.set_title(f"{name}: {claim.measured:.4f} after {epochs[-1]} epochs, {claim.verdict}")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    curves = {name: toolkit.curves(name, config, size.seeds) for name, config in size.configs.items()}
    claims = claims_of(curves)
    return draw(curves, claims), claims


STUDY = Study(
    question="Do the lecture's intermediate and deep nets end where they were published to end?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": QUICK._replace(seeds=10)},
)

if __name__ == "__main__":
    command.main(STUDY)
