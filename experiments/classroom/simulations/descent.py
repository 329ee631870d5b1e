"""Batch, mini-batch and stochastic descent on the surfaces of the study `gradient_descent`, for the view Descent.

N examples, P = 2 weights, S steps, Q points of a path that are drawn.
"""

import math
import time
from collections.abc import Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import contourpy
import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.classroom import pictures
from experiments.classroom.pictures import MOST_POINTS, Picture, axis, line, mark
from experiments.classroom.view import State
from experiments.classroom.views.descent import EXAMPLES, NEURON, ONE, TWO
from experiments.classroom.worker import Frame
from experiments.lecture import gradient_descent as study
from experiments.study import surfaces

COUNT = study.QUICK.examples
BATCHES = {"batch": COUNT, "mini": study.MINI_BATCH, "stochastic": 1}
NAMES = {"batch": "batch", "mini": "mini-batch", "stochastic": "stochastic"}
TARGET = "ink in the middle"
# Seconds between two steps, and between two looks where examples are counted, and examples between them.
STEP_EVERY, LOOK_EVERY, LOOK = 0.2, 0.1, COUNT // 10
NAP = 0.004
# Points of a path that are drawn at most; and as far as it is drawn, in widths of the picture.
MOST_DRAWN, FAR = 480, 50.0
LEVELS = 11
# A cost of so many times that at the start has left; the picture goes no further than this.
LOST, HIGHEST = 1e4, 300.0


class Ground(NamedTuple):
    """A problem with its surface: where its minimum is and what it costs, the largest curvature there, what the weights
    are called, and the ends of what is shown of them."""

    problem: study.Problem
    minimum_P: np.ndarray
    least: float
    curvature: float
    labels: tuple[str, str]
    across: tuple[float, float]
    up: tuple[float, float]
    outlines: tuple[np.ndarray, ...]  # the cost curve of one weight, or the contours of two


@cache
def _problems() -> dict[str, study.Problem]:
    """The problems of the study by the names of the surfaces."""
    _, x_NxP, y_N = study.zeros_and_ones(COUNT)
    return dict(zip((ONE, TWO, NEURON), study.problems(x_NxP, y_N), strict=True))


@cache
def ground(surface: str) -> Ground:
    """A surface, for all visitors."""
    problem = _problems()[surface]
    if surface == NEURON:
        minimum_P = np.asarray(study.minimum(problem, study.QUICK.search_rounds), np.float64)
    else:
        minimum_P = np.asarray(nets.escape.polish(problem.cost, problem.start_P, problem.data, 2))
    known = nets.escape.is_minimum(problem.cost, minimum_P, problem.data)
    if surface == ONE:
        across, labels = (-2.0, 2.4), (f"weight of {TARGET}", "cost")
        w_A = np.linspace(*across, 121)
        cost_A = costs_at(problem, np.stack([np.zeros_like(w_A), w_A], axis=1))
        curve = np.stack([w_A, cost_A], axis=1)
        ends = across, (0.0, float(cost_A.max()))
        return Ground(problem, minimum_P, known.cost, known.largest_eigenvalue, labels, *ends, (curve,))
    if surface == TWO:
        labels, across, up = ("weight of all ink", f"weight of {TARGET}"), (-1.6, 1.6), (-1.6, 1.6)
    else:
        labels, across, up = (f"weight w of {TARGET}", "bias b"), (-6.0, 14.0), (-7.0, 8.0)
    drawn = surfaces.surface(problem.cost, problem.data, labels, across, up, study.QUICK.grid)
    return Ground(problem, minimum_P, known.cost, known.largest_eigenvalue, labels, across, up, tuple(_contours(drawn)))


def _contours(drawn: surfaces.Surface) -> Iterable[np.ndarray]:
    """Lines of equal cost, denser where it is low, as the study draws them."""
    root_BxA = np.sqrt(drawn.cost_AxB).T
    generator = contourpy.contour_generator(drawn.across_A, drawn.up_B, root_BxA)
    for level in np.linspace(root_BxA.min(), root_BxA.max(), LEVELS + 2)[1:-1]:
        for found in generator.lines(float(level)):
            yield np.asarray(found)


@partial(jax.jit, static_argnames="cost")
def _mean_costs(cost: Any, w_QxP: jax.Array, data: Any) -> jax.Array:
    """The mean cost over all examples at each point, [Q]."""
    return jax.vmap(lambda w_P: nets.curvature.mean_cost(cost, w_P, data))(w_QxP)


def costs_at(problem: study.Problem, w_QxP: np.ndarray) -> np.ndarray:
    """The mean cost over all examples at each of at most 3 x MOST_DRAWN points, by one program; [Q]."""
    padded = np.zeros((3 * MOST_DRAWN, w_QxP.shape[1]), np.float32)
    padded[: len(w_QxP)] = w_QxP
    return np.asarray(_mean_costs(problem.cost, padded, problem.data), np.float64)[: len(w_QxP)]


class Path(NamedTuple):
    """A descent: the examples of a step, the steps after which it is drawn, its weights and its cost then."""

    batch: int
    step_Q: np.ndarray
    w_QxP: np.ndarray
    cost_Q: np.ndarray

    def until(self, at: int, clock: str) -> int:
        """How many of the points it has reached after so many steps, or examples."""
        return int(np.searchsorted(self.step_Q, at if clock != EXAMPLES else at // self.batch, side="right"))


def paths_of(it: Ground, rate: float, clock: str, seed: int) -> dict[str, Path]:
    """The three descents at that rate: equally many steps, or equally many examples."""
    problem, drawn = it.problem, dict[str, tuple[np.ndarray, np.ndarray]]()
    for name, batch in BATCHES.items():
        order_SxB = study.passes(COUNT, batch, seed)
        if clock != EXAMPLES:
            order_SxB = study.all_examples(COUNT, study.STEPS) if batch == COUNT else order_SxB[: study.STEPS]
        path_SxP = np.asarray(
            study.descend(problem.cost, problem.start_P, jnp.float32(rate), problem.data, jnp.asarray(order_SxB))
        )
        step_Q = np.unique(np.linspace(0, len(path_SxP) - 1, MOST_DRAWN).round().astype(int))
        drawn[name] = step_Q, path_SxP[step_Q]
    cost_Q = costs_at(problem, np.concatenate([w_QxP for _, w_QxP in drawn.values()]))
    ends = np.cumsum([len(step_Q) for step_Q, _ in drawn.values()])[:-1]
    costs = dict(zip(drawn, np.split(cost_Q, ends), strict=True))
    return {name: Path(BATCHES[name], *drawn[name], costs[name]) for name in drawn}


class Descent:
    """The simulation of the view Descent: the paths are computed at once, and shown step by step."""

    def __init__(self, settings: State) -> None:
        self.running = False
        self._settings, self.at, self._due, self._series = settings, 0, 0.0, 0

    def change(self, settings: State) -> bool:
        """Another rate or order is taken where it is: the path moves under the hand."""
        same = all(settings[name] == self._settings[name] for name in ("surface", "clock"))
        if same and settings != self._settings:
            self._settings, self._series = settings, self._series + 1
            self._descend()
        return same

    def prepare(self) -> None:
        """Finds the minimum and its curvature, compiles, and descends."""
        self._descend()
        self.at = min(self._settings["at"], self.end)

    def _descend(self) -> None:
        """The paths at these settings."""
        self.ground = ground(self._settings["surface"])
        self.multiple = float(self._settings["rate"])
        self.rate = self.multiple / self.ground.curvature
        self.paths = paths_of(self.ground, self.rate, self._settings["clock"], self._settings["seed"])

    # ------------------------------------------------------------------------------------------------------------------
    # What a visitor does.

    @property
    def counts_examples(self) -> bool:
        """Whether the three have seen equally many examples, and not taken equally many steps."""
        return self._settings["clock"] == EXAMPLES

    @property
    def end(self) -> int:
        """Steps, or examples, of the whole path."""
        return study.PASSES * COUNT if self.counts_examples else study.STEPS

    def do(self, name: str, value: Any) -> None:
        """`play`, `step`, `end` or `reset`."""
        del value
        if name == "play":
            self.at = 0 if self.at >= self.end and not self.running else self.at
            self.running = not self.running
            return
        self.running = False
        if name == "step":
            self.at = min(self.end, self.at + (study.MINI_BATCH if self.counts_examples else 1))
        elif name == "end":
            self.at = self.end
        elif name == "reset":
            self.at = 0

    def advance(self) -> None:
        """One step further, when it is due; where examples are counted a tenth of a pass."""
        now = time.monotonic()
        if now < self._due:
            time.sleep(min(NAP, self._due - now))
            return
        self._due = now + (LOOK_EVERY if self.counts_examples else STEP_EVERY)
        if self.at >= self.end:  # What is played at its end begins again.
            self.at = 0
        self.at = min(self.end, self.at + (LOOK if self.counts_examples else 1))
        self.running = self.at < self.end

    # ------------------------------------------------------------------------------------------------------------------
    # What is shown.

    def frame(self) -> Frame:
        """The paths as far as they are shown."""
        seen = {name: path.until(self.at, self._settings["clock"]) for name, path in self.paths.items()}
        found = {name: self._path(i, name, seen[name]) for i, name in enumerate(self.paths)}
        found |= {"cost": self._costs(seen), "edge": self._edge()}
        words = {"status": self._status(seen), "finding": self._finding(seen)}
        return Frame(found, words, float(self.at), series=self._series)

    def _path(self, colour: int, name: str, seen: int) -> Picture:
        """A path on the cost curve, or on contours."""
        it, path = self.ground, self.paths[name]
        is_one = self._settings["surface"] == ONE
        x_Q, y_Q = path.w_QxP[:seen].T.astype(np.float64)
        low_P = it.minimum_P
        if is_one:
            x_Q, y_Q, low_P = y_Q, path.cost_Q[:seen], np.array([it.minimum_P[1], it.least])
        drawn = [line("", outline[:, 0], outline[:, 1], 7, width=1.8 if is_one else 0.8) for outline in it.outlines]
        shown = _inside(x_Q, y_Q, it)
        few = len(x_Q) <= study.STEPS + 1
        drawn += pictures.path(x_Q[:shown], y_Q[:shown], colour, width=1.4 if few else 1.0)
        if few:
            drawn += pictures.dots("", x_Q[:shown], y_Q[:shown], colour, 2.4)
        drawn += pictures.dots("lowest point", low_P[:1], low_P[1:], 3, 5)
        drawn += pictures.dots("start", x_Q[:1], y_Q[:1], 7, 5)
        if seen > 1:
            drawn += pictures.dots("now", x_Q[-1:], y_Q[-1:], colour, 5.5)
        steps = int(path.step_Q[seen - 1])
        said = (
            f"The path of {NAMES[name]} descent after {steps} steps, {'on the cost curve' if is_one else 'on contours'}"
        )
        here = _cost_word(path.cost_Q[seen - 1])
        note = f"{steps:,} {'step' if steps == 1 else 'steps'}, {steps * path.batch:,} examples, cost {here}"
        if shown < seen or not _is_shown(x_Q[-1], y_Q[-1], it):
            note += "; it has left the picture"
        ends = axis(it.labels[0], *it.across), axis(it.labels[1], *it.up)
        return pictures.lines(drawn, *ends, said, height=300, note=note)

    def _costs(self, seen: dict[str, int]) -> Picture:
        """The cost of each over steps, or over examples."""
        drawn: list[dict[str, Any]] = []
        top = HIGHEST * float(self.paths["batch"].cost_Q[0])
        for i, (name, path) in enumerate(self.paths.items()):
            x_Q = path.step_Q[: seen[name]] * (path.batch if self.counts_examples else 1)
            y_Q = np.minimum(np.nan_to_num(path.cost_Q[: seen[name]], nan=np.inf), 2 * top)
            chosen = np.unique(np.linspace(0, len(x_Q) - 1, MOST_POINTS).round().astype(int))
            drawn.append(line(NAMES[name], x_Q[chosen], y_Q[chosen], i, width=(2.4, 1.8, 1.2)[i]))
        highest = max(float(path.cost_Q[0]) for path in self.paths.values())
        for one in drawn:
            highest = max(highest, *(value for value in one["y"] if value is not None))
        low = 0.9 * self.ground.least
        y = axis("cost", low, min(1.1 * highest, top), log=highest > 5 * float(self.paths["batch"].cost_Q[0]))
        if not y.get("log"):
            y["min"] = 0.0
        x = axis("examples seen" if self.counts_examples else "step", 0.0, float(self.end), whole=True)
        least = mark(f"minimum {self.ground.least:.3g}", y=self.ground.least)
        said = "The cost on all examples of the three descents as they go"
        return pictures.lines(drawn, x, y, said, [least], height=300)

    def _edge(self) -> Picture:
        """1 - rate x curvature, with where the rate is."""
        far = max(2.6, 1.15 * self.multiple)
        drawn = [line("1 - rate x curvature", [0.0, far], [1.0, 1 - far], 7)]
        drawn += pictures.dots(f"this rate: {1 - self.multiple:+.2f}", [self.multiple], [1 - self.multiple], 0, 6)
        marks = [mark("2 / curvature: the edge", x=2.0), mark("", y=0.0), mark("", y=-1.0)]
        where = "near the minimum" if self._settings["surface"] == NEURON else "everywhere"
        note = (
            "Below 0 a step overshoots, below -1 it lands farther off than it was. So it is "
            f"{where} on this surface, along the direction of the largest curvature, {self._curvature}."
        )
        x = axis("rate, as a multiple of 1 / curvature", 0.0, far)
        said = f"A step multiplies the distance to the minimum by 1 - rate x curvature, here by {1 - self.multiple:.2f}"
        return pictures.lines(drawn, x, axis("factor of a step", 1 - far, 1.0), said, marks, height=300, note=note)

    # ------------------------------------------------------------------------------------------------------------------
    # What is said.

    @property
    def _curvature(self) -> str:
        return f"{self.ground.curvature:.3g}"

    def _status(self, seen: dict[str, int]) -> str:
        where = f"{self.at:,} of {self.end:,} {'examples seen' if self.counts_examples else 'steps'}"
        costs = ", ".join(f"{NAMES[n]} {_cost_word(path.cost_Q[seen[n] - 1])}" for n, path in self.paths.items())
        return f"{where}; cost: {costs}"

    def _finding(self, seen: dict[str, int]) -> str:
        """What this rate does, and who has got lost."""
        m, edge = self.multiple, 2 / self.ground.curvature
        rate = f"The rate is {self.rate:.3g} = {m:g} / curvature; the edge, 2 / curvature, is {edge:.3g}."
        near = " near the minimum" if self._settings["surface"] == NEURON else ""
        if m > 2 and near:
            does = (
                "Beyond the edge no path settles at the minimum: it jumps about, thrown far where the neuron is flat."
            )
        elif m > 2:
            does = "Beyond the edge each step of batch descent lands farther from the minimum: it diverges."
        elif m == 2:
            does = "Exactly at the edge each step lands as far off on the other side: it never arrives."
        elif m > 1:
            does = (
                f"Between 1 and 2 / curvature each step{near} overshoots, by less than the one before: it oscillates."
            )
        elif m >= 0.5:
            does = f"Up to 1 / curvature no step of batch descent{near} overshoots, and it gets down fast."
        else:
            does = "Far below 1 / curvature batch descent walks down without overshooting, in many small steps."
        return f"{rate} {does}{self._lost(seen)}"

    def _lost(self, seen: dict[str, int]) -> str:
        """Those of which single batches are too steep for this rate, so far."""
        gone: list[str] = []
        for name, path in self.paths.items():
            cost_Q = path.cost_Q[: seen[name]]
            if name != "batch" and not np.all(cost_Q < LOST * path.cost_Q[0]):
                gone.append(NAMES[name])
        if not gone:
            return ""
        who = f" Thrown far off: {' and '.join(gone)}"
        return (
            f"{who}, too."
            if self.multiple > 2
            else f"{who}, by batches that are steeper than the mean over all examples."
        )


def _cost_word(cost: float) -> str:
    """A cost in words, also one that is lost."""
    return "beyond all numbers" if not math.isfinite(cost) else f"{cost:.3g}"


def _is_shown(x: float, y: float, it: Ground) -> bool:
    """Whether a point lies in the picture."""
    return it.across[0] <= x <= it.across[1] and it.up[0] <= y <= it.up[1]


def _inside(x_Q: np.ndarray, y_Q: np.ndarray, it: Ground) -> int:
    """How many of the points are drawn: until one is far outside of the picture."""
    far = np.zeros(len(x_Q), bool)
    for value_Q, (low, high) in ((x_Q, it.across), (y_Q, it.up)):
        far |= ~(np.abs(value_Q - (low + high) / 2) < FAR * (high - low))
    return int(np.argmax(far)) if far.any() else len(x_Q)
