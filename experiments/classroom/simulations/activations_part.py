"""Four activation functions with their slopes, for the view One neuron, at a weighted input that moves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.classroom import pictures
from experiments.classroom.pictures import Picture, axis, line, mark
from experiments.classroom.simulations.tables import added, said
from experiments.classroom.view import State
from experiments.lecture.neurons import NEURONS, is_flat

NAMES = {"step": "step", "sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU"}
POINTS, DOT = 241, "\N{MIDDLE DOT}"


class Activations:
    """The neuron w x + b with each of the four functions; Play moves x from -5 to 5."""

    moments, a_second, takes = 100, 12.0, ("w", "b", "x")

    def __init__(self, settings: State) -> None:
        self._w, self._b, x = settings["w"], settings["b"], settings["x"]
        # At the start it is as the slider says.
        self._xs = [x, *np.linspace(-5, 5, self.moments)]
        reach = max(6.0, *(abs(self._w * x + self._b) for x in self._xs))
        self._z = np.linspace(-reach, reach, POINTS, dtype=np.float32)
        self._drawn = {name: neuron(name, self._z) for name in NEURONS}

    def z_at(self, at: int) -> float:
        """The weighted input at a moment."""
        return self._w * float(self._xs[at]) + self._b

    def answer(self, name: str, z: float) -> tuple[float, float]:
        """The output of that neuron, and its slope."""
        # As many as are drawn: one program does for both.
        a, slope = neuron(name, np.full(POINTS, z))
        return float(a[0]), float(slope[0])

    def words(self, at: int) -> dict[str, str]:
        """z, and who is flat there."""
        z = self.z_at(at)
        flat = [NAMES[name] for name in NEURONS if is_flat(name, self.answer(name, z)[1])]
        finding = f"At z = {said(z, 2)} flat: {', '.join(flat)}. Where a neuron is flat, it learns next to nothing."
        return {"status": f"x = {said(float(self._xs[at]), 2)}, z = {said(z, 2)}", "finding": finding}

    def pictures(self, at: int) -> dict[str, Picture]:
        """All four, and the sum that they are given."""
        z, x = self.z_at(at), float(self._xs[at])
        given = said(x, 2) if x >= 0 else f"({said(x, 2)})"
        words = f"z = w {DOT} x + b = {said(self._w, 1)} {DOT} {given} {added(self._b, 1)} = <b>{said(z, 2)}</b>"
        found = {name: self._of(name, z) for name in NEURONS}
        return found | {"sum": pictures.svg(f'<p class="equation">{words}</p>')}

    def _of(self, name: str, z: float) -> Picture:
        a_Z, slope_Z = self._drawn[name]
        # Where the output jumps it is not flat.
        is_there = is_flat(name, slope_Z) & (np.abs(np.diff(a_Z, append=a_Z[-1])) < 0.5)
        flat = np.where(is_there, a_Z, np.nan)
        a, slope = self.answer(name, z)
        drawn = [
            line("flat: slope < 5 % of its largest", self._z, flat, 6, width=8, gaps=True),
            line("output a = f(z)", self._z, a_Z, 0),
            line("slope f'(z)", self._z, slope_Z, 1, dash=True),
            *pictures.dots("", [z, z], [a, slope], 2, 5),
        ]
        if name == "step":
            drawn[0]["name"] = "flat everywhere: slope 0"
        note = f"a = f({said(z, 2)}) = {said(a, 4)}, slope f'({said(z, 2)}) = {said(slope, 4)}"
        words = f"Output and slope of {NAMES[name]} over the weighted input; {note}"
        marks = [mark(f"z = {said(z, 2)}", x=z)]
        top = 1.2 if name != "relu" else max(3.0, *(1.05 * self.z_at(i) for i in range(len(self._xs))))
        y = axis("output, slope", -1.2, top)
        return pictures.lines(drawn, axis("weighted input z"), y, words, marks, height=280, note=note)


@functools.partial(jax.jit, static_argnums=0)
def _neuron(name: str, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return nets.activations.get(name).function(z), nets.saturation.slopes(z[None], name)[0]


def neuron(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(z) and f'(z) of each weighted input."""
    a, slope = _neuron(name, jnp.asarray(z, jnp.float32))
    return np.asarray(a), np.asarray(slope)
