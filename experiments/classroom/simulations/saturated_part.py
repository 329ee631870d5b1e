"""The saturated neuron of the view One neuron: both costs side by side, as the study of it computes them.

S steps, and the start.
"""

import functools
from typing import Any

import jax
import numpy as np

from experiments.classroom import pictures
from experiments.classroom.pictures import Picture, axis, line, mark
from experiments.classroom.simulations.tables import MINUS, Cell, said, table
from experiments.classroom.view import State
from experiments.saturation import saturated_neuron
from experiments.saturation.saturated_neuron import STEPS, Course

DOT = "\N{MIDDLE DOT}"
COSTS = {"quadratic": "quadratic", "cross_entropy": "cross-entropy"}
# Slow is a step that moves the output by less than this share of the farthest one; wrong an output above a half.
SLOW, WRONG = 0.1, 0.5


class Saturated:
    """A neuron with input 1 and target 0, which descends its cost from w and b."""

    moments, a_second, takes = STEPS, 30.0, ("w", "b", "rate")

    def __init__(self, settings: State) -> None:
        self._start = settings["w"], settings["b"], settings["rate"]
        self.courses = {
            cost: saturated_neuron.course(saturated_neuron.true_slope, cost, *self._start) for cost in COSTS
        }
        self._costs = {cost: costs_at(cost, course.w_S + course.b_S) for cost, course in self.courses.items()}
        self._moved = {cost: np.abs(np.diff(course.a_S)) for cost, course in self.courses.items()}
        self._most = max(float(moved.max()) for moved in self._moved.values())

    def stuck(self, cost: str) -> np.ndarray:
        """Which steps are slow although the neuron is wrong, [S]."""
        return (self._moved[cost] < SLOW * self._most) & (self.courses[cost].a_S[:-1] > WRONG)

    def words(self, at: int) -> dict[str, str]:
        """How far it is, and where it was slow."""
        w, b, _ = self._start
        status = ", ".join(f"{name} {said(self.courses[cost].a_S[at])}" for cost, name in COSTS.items())
        if not at:
            a = self.courses["quadratic"].a_S[0]
            finding = f"From w = {said(w, 1)}, b = {said(b, 1)} it answers {said(a)} where 0 is right: press Play."
        else:
            finding = " ".join(self._of_cost(cost, at) for cost in COSTS)
        return {"status": f"step {at} of {STEPS}: output with {status}", "finding": finding}

    def _of_cost(self, cost: str, at: int) -> str:
        a_S, stuck = self.courses[cost].a_S, int(self.stuck(cost)[:at].sum())
        name = COSTS[cost].capitalize()
        start, now = said(a_S[0]), said(a_S[at])
        if stuck:
            return f"{name}: {stuck} of {at} steps hardly moved it although it was wrong; {start} became {now}."
        return f"{name}: {start} became {now}, with no step stuck."

    def pictures(self, at: int) -> dict[str, Picture]:
        """The pictures after so many steps."""
        return {
            "numbers": self._numbers(at),
            "course": self._course(at),
            "moves": self._moves(at),
            "gradient": self._gradient(at),
            "cost": self._cost(at),
        }

    def _numbers(self, at: int) -> Picture:
        head = [
            "cost",
            "weight w",
            "bias b",
            f"z = w {DOT} 1 + b",
            "output a",
            "cost C",
            "slope dC/dz",
            "next step",
        ]
        rows = []
        for i, (cost, name) in enumerate(COSTS.items()):
            w, b, a, slope = (float(values[at]) for values in self.courses[cost])
            value = float(self._costs[cost][at])
            key = Cell(f'<span class="key c{i}"></span>{name}')
            step = -self._start[2] * slope
            rows.append([key, said(w), said(b), said(w + b), said(a, 4), said(value, 4), said(slope, 5), said(step, 5)])
        note = (
            f"Input 1; 0 is right. C is (a {MINUS} 0)² / 2, or {MINUS}ln(1 {MINUS} a); the next step of w and of b is "
            f"{MINUS}rate {DOT} dC/dz."
        )
        return pictures.svg(f'<div class="scroll">{table(head, rows)}</div><p class="note">{note}</p>')

    def _course(self, at: int) -> Picture:
        steps, drawn = np.arange(STEPS + 1), []
        for i, (cost, name) in enumerate(COSTS.items()):
            a_S = self.courses[cost].a_S
            stuck = np.append(self.stuck(cost), False)[: at + 1]
            if stuck.any():
                slow = np.where(stuck, a_S[: at + 1], np.nan)
                drawn.append(line(f"{name}: slow (thick)", steps[: at + 1], slow, i, width=8, gaps=True))
            drawn.append(line(name, steps[: at + 1], a_S[: at + 1], i))
            drawn += pictures.dots("", [at], [a_S[at]], i, 6)
        words = f"The output after {at} of {STEPS} steps, with either cost"
        y = axis("output a", -0.03, 1.03)
        note = "Slow: wrong, above a half, and yet moved by less than a tenth of the farthest step of the two."
        marks = [mark("0 is right", y=0.0)]
        return pictures.lines(drawn, axis("step", 0, STEPS), y, words, marks, height=300, note=note)

    def _moves(self, at: int) -> Picture:
        steps = np.arange(STEPS)
        drawn = [line(name, steps[:at], self._moved[cost][:at], i) for i, (cost, name) in enumerate(COSTS.items())]
        marks = [mark("below: slow", y=SLOW * self._most)] if self._most > 0 else []
        low = min(float(moved[moved > 0].min(initial=1)) for moved in self._moved.values())
        words = f"How far each of the first {at} steps moved the output, on a logarithmic axis"
        y = axis("|change of a|", low, max(self._most, 2 * low), log=True)
        return pictures.lines(drawn, axis("step", 0, STEPS), y, words, marks, height=300)

    def _gradient(self, at: int) -> Picture:
        ends = [float(value) for course in self.courses.values() for value in course.w_S + course.b_S]
        z = np.linspace(min(-6.0, *ends), max(6.0, *ends), 201, dtype=np.float32)
        drawn = [line(name, z, slopes_at(cost, z), i) for i, (cost, name) in enumerate(COSTS.items())]
        for i, cost in enumerate(COSTS):
            course: Course = self.courses[cost]
            now = [float(course.w_S[at] + course.b_S[at])], [float(course.slope_S[at])]
            drawn += pictures.dots("", *now, i, 7)
        words = "The slope of either cost over the weighted input; points: where the neuron is now"
        note = (
            "Points: where the neuron is now. With the quadratic cost the slope is "
            f"a {DOT} a(1 {MINUS} a), with cross-entropy a."
        )
        x, y = axis("weighted input z"), axis("dC/dz", -0.04, 1.05)
        return pictures.lines(drawn, x, y, words, height=280, note=note)

    def _cost(self, at: int) -> Picture:
        steps = np.arange(at + 1)
        drawn = [line(name, steps, self._costs[cost][: at + 1], i) for i, (cost, name) in enumerate(COSTS.items())]
        top = 1.05 * max(float(cost_S.max()) for cost_S in self._costs.values())
        words = f"Either cost over the first {at} steps"
        note = "The two are in units of their own: compare when each falls, not how high it is."
        return pictures.lines(drawn, axis("step", 0, STEPS), axis("cost C", 0.0, top), words, height=280, note=note)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _along(function: Any, cost: str, z: Any) -> jax.Array:
    return jax.vmap(functools.partial(function, cost))(z)


def costs_at(cost: str, z: np.ndarray) -> np.ndarray:
    """The neuron's cost at each weighted input."""
    return np.asarray(_along(saturated_neuron.cost_at, cost, z))


def slopes_at(cost: str, z: np.ndarray) -> np.ndarray:
    """dC/dz of the neuron's cost at each weighted input."""
    return np.asarray(_along(saturated_neuron.true_slope, cost, z))
