"""One of the nets that train side by side, with what was measured of it so far.

D inputs, H units of the first layer, N examples, C classes.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from experiments.classroom import parts
from experiments.classroom.pictures import Picture
from training.config import Config
from training.pictures import as_pictures
from training.screen import uniform_guess_cost

# Of the digits that it gets wrong, so many are shown.
MOST_WRONG = 14
# A cost of so many times that of a guess is as good as lost.
BEYOND = 1e6
# Points of a curve; where there are more, every second one is left out.
MOST_KEPT = 1_600


class Wrong(NamedTuple):
    """A digit that the net gets wrong: its pixels in [0, 1], what it is and what the net says, and how sure it is."""

    pixels: np.ndarray
    label: int
    answer: int
    sure: float


class Answers(NamedTuple):
    """What the net answers to the first validation images: at which epoch, of how many how many are wrong, and some of
    them, those first of which it is most sure."""

    at: float
    asked: int
    wrong: int
    shown: list[Wrong]

    @classmethod
    def of(cls, at: float, outputs_NxC: np.ndarray, images_NxD: np.ndarray, labels_N: np.ndarray, shape: Any) -> Self:
        """The answers, of the outputs on those images."""
        answers_N = np.argmax(outputs_NxC, axis=1)
        wrong_W = np.flatnonzero(answers_N != labels_N)
        sure_W = outputs_NxC[wrong_W, answers_N[wrong_W]]
        first_W = wrong_W[np.argsort(-sure_W, kind="stable")][:MOST_WRONG]
        pixels = as_pictures(images_NxD[first_W], shape).astype(np.float64)
        pixels /= 255 if images_NxD.dtype == np.uint8 else max(float(np.abs(pixels).max(initial=0)), 1e-9)
        sure = outputs_NxC[first_W, answers_N[first_W]]
        shown = [Wrong(pixels[i], int(labels_N[n]), int(answers_N[n]), float(sure[i])) for i, n in enumerate(first_W)]
        return cls(at, len(labels_N), len(wrong_W), shown)


class Curve:
    """Values over epochs; of long ones every second point is let go."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.values: list[float] = []

    def add(self, at: float, value: float) -> None:
        """One more; a second one at the same epoch takes the place of the first."""
        if self.at and self.at[-1] == at:
            self.values[-1] = value
            return
        if len(self.at) >= MOST_KEPT:
            # From the end, so that the newest stays, and the start with it.
            self.at, self.values = self.at[:1] + self.at[1::2], self.values[:1] + self.values[1::2]
        self.at.append(at)
        self.values.append(value)


class Side:
    """One of the settings, a lane of a run, with its curves.

    `cost` is that of the batches as they come, the others are measured: at the end of epochs (`rows`), or when it was
    due. `guess` is the cost of a uniform guess, `lost_at` where its own stopped being a number.
    """

    def __init__(self, config: Config, run: parts.Run, lane: int) -> None:
        self.config, self.run, self.lane, self.guess = config, run, lane, uniform_guess_cost(config)
        self.cost, self.accuracy = Curve(), Curve()
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.validated: defaultdict[str, Curve] = defaultdict(Curve)
        self.measured: defaultdict[str, Curve] = defaultdict(Curve)
        self.top, self.residual = Curve(), 0.0
        self.outputs: dict[str, np.ndarray] = {}
        self.pictures: dict[str, Picture] = {}  # Those that are made when they are measured.
        self.lost_at: float | None = None

    @property
    def is_lost(self) -> bool:
        """Whether its cost is no number any more."""
        return self.lost_at is not None

    def add_cost(self, at: float, found: Mapping[str, np.ndarray]) -> None:
        """The means over the batches up to there."""
        cost, accuracy = (float(found[name][self.lane]) for name in ("loss", "accuracy"))
        if not math.isfinite(cost) or cost > BEYOND * self.guess:
            self.lost_at = at if self.lost_at is None else self.lost_at
        if not self.is_lost:
            self.cost.add(at, cost)
            self.accuracy.add(at, accuracy)

    def add_row(self, epoch: int, row: dict[str, float]) -> None:
        """The metrics of a whole epoch, or of the start."""
        self.rows.append((epoch, row))
        if not math.isfinite(row["val_loss"]) and self.lost_at is None:
            self.lost_at = float(epoch)
        if not self.is_lost:
            for name in ("val_loss", "val_accuracy"):
                self.validated[name].add(epoch, row[name])

    def add_measures(self, at: float, measured: Mapping[str, float], outputs: dict[str, np.ndarray]) -> None:
        """What the probes gave, and the outputs of the layers that they were given."""
        self.outputs = outputs
        for name, value in measured.items():
            self.measured[name].add(at, value)

    def add_curvature(self, at: float, top: float, residual: float) -> None:
        """The largest eigenvalue, and how far off it may be."""
        self.top.add(at, top)
        self.residual = residual

    def now(self, measure: str) -> dict[str, float]:
        """The newest value of a measure by layer."""
        found = {name.partition("/")[2]: c for name, c in self.measured.items() if name.startswith(f"{measure}/")}
        return {layer: curve.values[-1] for layer, curve in found.items()}
