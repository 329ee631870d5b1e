"""One neuron, for the view One neuron: Rosenblatt's perceptron, activation functions, and the saturated neuron.

S steps. Each of the three is a `Part`: so many moments, which Play goes through, and the pictures of each.
"""

import time
from typing import Any, Protocol

from experiments.classroom.pictures import Picture
from experiments.classroom.simulations import activations_part, perceptron_part, saturated_part
from experiments.classroom.view import State
from experiments.classroom.views import neuron as view
from experiments.classroom.worker import Frame

# Between two looks at the clock others are computed for.
NAP = 0.01


class Part(Protocol):
    """What is shown: `moments` are those after the start, so many a second; `takes` are the settings it depends on."""

    moments: int
    a_second: float
    takes: tuple[str, ...]

    def pictures(self, at: int) -> dict[str, Picture]:
        """The pictures at a moment, by the names of their places."""
        ...

    def words(self, at: int) -> dict[str, str]:
        """`status` and `finding` at a moment."""
        ...


KINDS: dict[str, Any] = {
    view.PERCEPTRON: perceptron_part.Perceptron,
    view.ACTIVATIONS: activations_part.Activations,
    view.SATURATED: saturated_part.Saturated,
}


class Neuron:
    """The simulation of the view One neuron."""

    def __init__(self, settings: State) -> None:
        self.running = False
        self._settings, self._at, self._last = settings, int(settings.get("at", 0)), 0.0
        self._series = 0  # One more with every change of what is shown.

    def prepare(self) -> None:
        """Computes what is shown; what that needs is compiled."""
        self._begin()
        self._at = min(self._at, self._part.moments)
        self.frame()

    def _begin(self) -> None:
        self._part: Part = KINDS[self._settings["part"]](self._settings)

    def change(self, settings: State) -> bool:
        """Another part begins anew; with other numbers this one starts over, or stays at its end."""
        if settings["part"] != self._settings["part"]:
            return False
        before, self._settings = self._settings, settings
        was_at_end = self._at >= self._part.moments
        is_other = any(before[name] != settings[name] for name in self._part.takes)
        if settings != before:
            self._series += 1
            self._begin()
        if is_other:
            self._at = self._part.moments if was_at_end else 0
        return True

    def do(self, name: str, value: Any) -> None:
        """`play` (from the start again where it has ended), `step` or `reset`."""
        del value
        if name == "play":
            self.running, self._last = not self.running, 0.0
        elif name == "step":
            self.running, self._at = False, min(self._at + 1, self._part.moments)
        elif name == "reset":
            self.running, self._at = False, 0

    def advance(self) -> None:
        """As many moments as are due by the clock."""
        now = time.monotonic()
        if not self._last or now - self._last > 1:
            self._last = now
            if self._at >= self._part.moments:
                self._at = 0
        due = int((now - self._last) * self._part.a_second)
        if due:
            self._last += due / self._part.a_second
            self._at = min(self._at + due, self._part.moments)
        if self._at >= self._part.moments:
            self.running, self._last = False, 0.0
        else:
            time.sleep(NAP)

    def frame(self) -> Frame:
        """The moment."""
        words = self._part.words(self._at) | {"part": self._settings["part"]}
        return Frame(self._part.pictures(self._at), words, float(self._at), series=self._series)
