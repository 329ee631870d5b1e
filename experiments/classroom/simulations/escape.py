"""Walkers of SGD in the two wells of the study `two_wells`, live, beside the exact chain, for the view Escape.

W walkers, T steps.
"""

import math
import time
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.classroom import pictures
from experiments.classroom.pictures import MOST_POINTS, Picture, axis, line, mark
from experiments.classroom.view import State
from experiments.classroom.worker import Frame
from experiments.escape import large_deviations, two_wells
from nets.theory.step_chain import Stay

STEPS, EVERY = two_wells.FULL.steps, 0.1
# A block is one step at first and grows with the steps that were taken, as time does on a logarithmic axis.
GROWTH, LONGEST = 32, 125
# Seconds that go by before others have their turn, and the least sleep while the next block is not due.
TURN, NAP = 0.05, 0.004
# The grid of the exact chain gets finer with the batch; more moves than this take longer than two seconds.
MOST_MOVES = 2_000_000
SHOWN = (-6.0, 36.0)
# Walkers hover so far above the curve at most, as a share of the height of the picture, so that all are seen.
HOVER = 0.16

Cell = two_wells.Cell


def cost(params: tuple[jax.Array, jax.Array], batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The study's cost of a walker, its weight and where it counts as out, [B]."""
    return two_wells.quadratic(params[0], batch)


def is_out(params: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Whether a walker is beyond where it counts as out."""
    return params[0] > params[1]


class Curves(NamedTuple):
    """Both costs over the weight, and the quadratic one at the places that the study found."""

    w_G: np.ndarray
    quadratic_G: np.ndarray
    cross_entropy_G: np.ndarray
    places: dict[str, tuple[float, float]]


@jax.jit
def _mean_costs(w_G: jax.Array, data: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The mean of the quadratic cost and that of the cross-entropy at each weight, [2, G]."""
    both = two_wells.quadratic, two_wells.cross_entropy
    return jnp.stack([jax.vmap(lambda w, of=of: nets.curvature.mean_cost(of, w, data))(w_G) for of in both])


@cache
def curves() -> Curves:
    """The curves, for all visitors."""
    w_G, places = np.linspace(SHOWN[0] - 4, SHOWN[1] + 4, 601), list(two_wells.PLACES.values())
    quadratic, cross_entropy = np.asarray(_mean_costs(np.concatenate([w_G, places]), two_wells.examples()), np.float64)
    named = zip(two_wells.PLACES, places, quadratic[len(w_G) :].tolist(), strict=True)
    return Curves(w_G, quadratic[: len(w_G)], cross_entropy[: len(w_G)], {name: (w, c) for name, w, c in named})


@cache
def exact_stay(rate: float, batch: int) -> Stay | None:
    """How long SGD stays, by the chain that `large_deviations` uses; None where that takes too long to compute."""
    width = nets.wells.grid_width(large_deviations.FULL.width, rate, batch)
    kinds = len(nets.wells.line().shares)
    places, batches = (nets.wells.OUT - nets.wells.LEFT) / width, math.comb(batch + kinds - 1, batch)
    return None if 2 * places * batches > MOST_MOVES else nets.wells.stay_on_line(rate, batch, width)


class Escape:
    """The simulation of the view Escape."""

    def __init__(self, settings: State) -> None:
        self.running = False
        self.cell: Cell = settings["rate"], int(settings["batch"])
        self.count, self._key = int(settings["walkers"]), jax.random.key(settings["seed"])
        self._goal, self._due = int(settings["at"]), 0.0
        self._hover_W = np.random.default_rng(0).uniform(0, HOVER, self.count)
        self._begin()

    def change(self, settings: State) -> bool:
        """All walkers start over with other settings."""
        return False

    def prepare(self) -> None:
        """Computes the curves and the chain, and compiles."""
        curves()
        exact_stay(*self.cell)
        self._walk(0)
        self.running = self.running or self._goal > 0

    def _begin(self) -> None:
        """All walkers at the start."""
        self.at = 0
        self.w_W, self._out_W = np.full(self.count, two_wells.START), np.full(self.count, two_wells.BARRIER)
        self.passed_W, self.censored_W = np.zeros(self.count, int), np.ones(self.count, bool)

    # ------------------------------------------------------------------------------------------------------------------
    # Walking.

    def do(self, name: str, value: Any) -> None:
        """`play`, `step`, `end` or `reset`."""
        del value
        if name == "play":
            if not self.running and self.at >= STEPS:
                self._begin()
            self._goal, self.running = 0, not self.running
        elif name == "step":
            self._goal, self.running = 0, False
            self._block()
        elif name == "end":
            self._goal, self.running = STEPS, self.at < STEPS
        elif name == "reset":
            self._goal, self.running = 0, False
            self._begin()

    def advance(self) -> None:
        """The next block, when it is due; many of them on the way to a goal."""
        start = time.monotonic()
        if not self._goal and start < self._due:
            time.sleep(min(NAP, self._due - start))
            return
        self._due = start + EVERY
        self._block()
        while self.at < self._goal and time.monotonic() - start < TURN:
            self._block()
        if self.at >= (self._goal or STEPS):
            self._goal, self.running = 0, False

    def _block(self) -> None:
        """As many steps as are taken at once: they do not depend on how a visitor came here."""
        steps = min(max(1, self.at // GROWTH), LONGEST, STEPS - self.at)
        if self._goal > self.at:
            steps = min(steps, self._goal - self.at)
        self._walk(steps)

    def _walk(self, steps: int) -> None:
        """So many steps of all walkers; one that gets out waits for the next block there, and then goes on."""
        rate, batch = self.cell
        # A walker whose first passage is known has nowhere to be out.
        starts = jnp.asarray(self.w_W, jnp.float32), jnp.asarray(self._out_W, jnp.float32)
        key = jax.random.fold_in(self._key, self.at)
        found = jax.device_get(
            nets.escape.first_passage(cost, starts, two_wells.examples(), key, rate, batch, steps, is_out)
        )
        self.w_W = np.asarray(found.params_W[0], np.float64)
        is_new_W = self.censored_W & ~found.censored_W
        self.passed_W = np.where(self.censored_W, self.at + found.steps_W, self.passed_W)
        self.censored_W = self.censored_W & ~is_new_W
        self._out_W = np.where(self.censored_W, two_wells.BARRIER, np.inf)
        self.at += steps

    # ------------------------------------------------------------------------------------------------------------------
    # What is shown.

    @property
    def left(self) -> int:
        """How many have left."""
        return int(np.sum(~self.censored_W))

    @property
    def median(self) -> nets.escape.Median:
        """The median number of steps until they leave, as far as it is known."""
        return nets.escape.median_passage(self.passed_W, self.censored_W)

    def frame(self) -> Frame:
        """The walkers, their curve and their count."""
        found = {
            "walkers": self._walkers(),
            "survival": self._survival(),
            "counts": pictures.svg(self._counts()),
            "matched": _matched(),
        }
        status = f"step {self.at:,} of {STEPS:,}: {self.left:,} of {self.count:,} walkers have left"
        return Frame(found, {"status": status, "finding": self._finding()}, float(self.at))

    def _walkers(self) -> Picture:
        """The walkers on the cost curve."""
        known = curves()
        low, high = float(known.quadratic_G.min()), 0.26
        floor = low - 0.06 * (high - low)
        drawn = [line("cost", known.w_G, known.quadratic_G, 7)]
        height_W = np.interp(self.w_W, known.w_G, known.quadratic_G) + self._hover_W * (high - low)
        for name, colour, chosen_W in (
            ("has not left", 0, self.censored_W),
            ("has left", 1, ~self.censored_W),
        ):
            words = f"{name}: {np.sum(chosen_W):,}"
            drawn += pictures.dots(words, self.w_W[chosen_W], height_W[chosen_W], colour, 2.2)
        for name, colour in (("first minimum", 2), ("barrier", 6), ("second minimum", 2)):
            w, c = known.places[name]
            drawn += pictures.dots(f"{name}, w = {w:.2f}", [w], [c], colour, 5)
        said = f"{self.count} walkers on the cost curve after {self.at} steps, {self.left} of them beyond w = 8"
        ends, out = axis("weight w", *SHOWN), mark("has left: w > 8", x=two_wells.BARRIER)
        return pictures.lines(drawn, ends, axis("mean quadratic cost", floor, high), said, [out], height=330)

    def _survival(self) -> Picture:
        """The walkers' survival curve, as far as they are, and the chain's."""
        drawn: list[dict[str, Any]] = []
        marks = [mark("half", y=0.5)]
        if stay := exact_stay(*self.cell):
            steps_T = np.unique(np.geomspace(1, STEPS, 200).round().astype(int))
            name = f"exact chain, median {_steps(stay.median)}"
            drawn.append(line(name, steps_T, stay.survival(steps_T), 1, width=2.4))
            if stay.median <= STEPS:
                marks.append(mark("", x=stay.median))
        if self.at:
            curve = nets.escape.kaplan_meier(self.passed_W, self.censored_W)
            chosen_K = np.unique(np.linspace(0, len(curve.times_K) - 1, MOST_POINTS // 2 - 2).round().astype(int))
            times = np.append(np.maximum(curve.times_K[chosen_K], 1), self.at)

            def stairs(share_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                share = share_K[chosen_K]
                return np.repeat(times, 2)[1:], np.repeat(np.append(share, share[-1]), 2)[:-1]

            drawn.append(line(f"{self.count:,} walkers", *stairs(curve.survival_K), 0, width=2.4))
            drawn.append(line("95 % interval", *stairs(curve.low_K), 0, width=0.9))
            drawn.append(line("", *stairs(curve.high_K), 0, width=0.9))
        said = f"The share of walkers that have not left over {self.at} steps, with that of the exact chain"
        steps = axis("steps of SGD", 1.0, float(STEPS), log=True)
        return pictures.lines(drawn, steps, axis("share that has not left", 0.0, 1.0), said, marks, height=260)

    def _counts(self) -> str:
        """A table of who has left and of the median: walkers, chain, and the study at the same setting."""
        low, high = map(float, nets.escape.wilson(self.left, self.count))
        share = f"{self.left / self.count:.1%}", f"{low:.1%} to {high:.1%}"
        rows = [_row(f"{self.count:,} walkers", share, self._median_words())]
        if stay := exact_stay(*self.cell):
            rows.append(
                _row("exact chain", (f"{1 - float(stay.survival(self.at)):.1%}", ""), (_steps(stay.median), ""))
            )
        else:
            rows.append(_row("exact chain", ("too large", "to be computed while you wait"), ("", "")))
        study = two_wells.FULL
        if (published := study.medians.get(self.cell)) is not None:
            rows.append(_row("study two_wells", ("", ""), (f"{published:,}", f"{two_wells.EARLIER_WALKERS} walkers")))
        elif (gone := study.escaped.get(self.cell)) is not None:
            words = f"{gone} of {two_wells.EARLIER_WALKERS} left in {study.steps:,} steps"
            rows.append(_row("study two_wells", ("", ""), ("not reached", words)))
        head = f"<tr><th></th><th>have left by step {self.at:,}</th><th>median steps until they leave</th></tr>"
        return f'<table class="counts"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'

    def _median_words(self) -> tuple[str, str]:
        """The median and its interval, as far as they are known."""
        median, low, high = self.median
        if not math.isfinite(median):
            return "not reached", f"more than {self.at:,}" if self.at else ""
        return f"{median:,.0f}", f"{low:,.0f} to {high:,.0f}" if math.isfinite(high) else f"{low:,.0f} or more"

    def _finding(self) -> str:
        """What there is to be seen, in a sentence or two."""
        places, (rate, batch) = curves().places, self.cell
        first, second = places["first minimum"][1], places["second minimum"][1]
        if not self.at:
            return (
                f"All walkers start in the first well, at w = {two_wells.START:g}. It is the deeper one, with a cost "
                f"of {first:.4f} at its minimum against {second:.4f}, and the narrower one."
            )
        median = self.median.median
        if math.isfinite(median):
            stay = exact_stay(rate, batch)
            exact = f", the exact chain says {_steps(stay.median)}" if stay else ""
            return (
                f"Half of the walkers have left after {median:,.0f} steps{exact}. They went from the deeper well into "
                "the flatter one: noise takes them to where the cost is flat, not to where it is low."
            )
        action = large_deviations.NOISES["examples"]
        grows = (
            f"The time that it takes grows like e to the power of {action:.1f} x batch / rate: here {action:.1f} x "
            f"{batch} / {rate:g} = {action * batch / rate:.1f}."
        )
        if not self.left:
            return f"Nobody has left in {self.at:,} steps. {grows}"
        return f"{self.left:,} of {self.count:,} have left so far. {grows}"


def _steps(steps: float) -> str:
    """A number of steps, also a huge one."""
    return f"{steps:,.0f}" if steps < 1e9 else f"{steps:.1e}"


def _row(name: str, share: tuple[str, str], median: tuple[str, str]) -> str:
    """A row of the table: each cell a number and, below it, its interval."""
    cells = "".join(
        f"<td>{number}" + (f'<span class="interval">{below}</span>' if below else "") + "</td>"
        for number, below in (share, median)
    )
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'


@cache
def _matched() -> Picture:
    """The cross-entropy of the same examples, which has one minimum."""
    known = curves()
    lowest = int(np.argmin(known.cross_entropy_G))
    drawn = [
        line("cross-entropy", known.w_G, known.cross_entropy_G, 3),
        *pictures.dots("minimum", [known.w_G[lowest]], [known.cross_entropy_G[lowest]], 2, 5),
    ]
    said = "The mean cross-entropy over the weight: it falls to one minimum and rises from there"
    y = axis("mean cross-entropy", 0.6, 1.2)
    return pictures.lines(drawn, axis("weight w", *SHOWN), y, said, height=260)
