"""A net that trains, or two side by side, and what is measured of them meanwhile, for the view Train."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.classroom import fields, parts
from experiments.classroom.simulations import train_pictures, train_words
from experiments.classroom.simulations.side import Answers, Side
from experiments.classroom.view import State, first_and_second
from experiments.classroom.worker import Frame
from experiments.engine import lanes
from training.screen import as_number

# Seconds of training between two answers to the visitor: an update takes a little longer, a fifth of a second at most.
STRIDE = 0.15
# Seconds between two looks at whether what it needs is compiled.
NAP = 0.01
# The share of the time that each look may take: what costs more is taken less often.
SHARES = {"probe": 0.02, "curvature": 0.01, "answer": 0.005, "kernels": 0.005}


class Look:
    """Something that is measured now and then: when it is due again, by what it has cost."""

    def __init__(self, share: float) -> None:
        self._share, self._cost, self._last = share, 0.0, -1e9

    def is_due(self) -> bool:
        """Whether so much time has passed that another one stays below its share."""
        return time.monotonic() - self._last >= self._cost / self._share

    def take(self, measure: Callable[[], None]) -> None:
        """Measures, and how long that takes."""
        start = time.monotonic()
        measure()
        self._last = time.monotonic()
        self._cost = self._last - start


class Training:
    """The simulation of the view Train."""

    def __init__(self, settings: State) -> None:
        self.running, self.waits = False, False
        self._configs = [fields.config_of(one) for one in first_and_second(settings)]
        self._goal = int(settings.get("at", 0))
        self.runs: list[parts.Run] = []
        self._sides: list[Side] = []
        self._rates: dict[int, float] = {}  # Steps a second of each run.
        self._steps_left = 0  # Of those that were asked for one by one.
        self._missing = set[str]()  # What is still to be measured of where it is.

    def change(self, settings: State) -> bool:
        """Every change begins again, from the same start."""
        return False

    def prepare(self) -> None:
        """Loads the data, draws the weights, and measures what stands in the first picture: all else comes later."""
        self._begin()
        self.running = self.running or self._goal > 0

    def _begin(self) -> None:
        """Epoch 0."""
        together = len({lanes.structure(config) for config in self._configs}) == 1
        groups = [self._configs] if together else [[config] for config in self._configs]
        self.runs = [parts.Run(group) for group in groups]
        self._sides = [Side(config, run, lane) for run in self.runs for lane, config in enumerate(run.configs)]
        self._rates = {i: 50.0 for i in range(len(self.runs))}
        self._looks = {name: Look(share) for name, share in SHARES.items()}
        for run in self.runs:
            self._record(run, run.validated())
        self._missing = set(SHARES)
        self._take("kernels")

    # ------------------------------------------------------------------------------------------------------------------
    # What a visitor does.

    def do(self, name: str, value: Any) -> None:
        """`play`, `step`, `epoch` or `reset`."""
        del value
        if name == "play":
            self._goal, self._steps_left, self.running = 0, 0, not self.running
            if not self.running:
                self._missing = set(SHARES)
        elif name == "step":
            self._goal, self._steps_left, self.running = 0, self._steps_left + 1, True
            if self._can_step():
                self.advance()
        elif name == "epoch":
            self._goal, self._steps_left, self.running = int(min(run.at for run in self.runs)) + 1, 0, True
        elif name == "reset":
            self._stop()
            self._begin()

    def _stop(self) -> None:
        self._goal, self._steps_left, self.running = 0, 0, False

    def _can_step(self) -> bool:
        """Whether what steps is compiled; that begins where it has not."""
        return all([self._is_ready(name) for name in parts.OF_STEPS])

    def advance(self) -> None:
        """Some steps of the run that is behind, and what is due to be measured; a step of each where it is one."""
        self.waits = not self._can_step()
        if self.waits:
            time.sleep(NAP)  # Others go on meanwhile.
            return
        if self._steps_left:
            for run in self.runs:
                self._go(run, 1)
            self._steps_left -= 1
            if not self._steps_left:
                self._stop()
        else:
            self._advance()
        if self._goal and all(run.at >= self._goal for run in self.runs):
            self._stop()
        if self.running:
            self._look()
        else:  # All is measured of where it has stopped, after that is shown.
            self._missing = set(SHARES)

    def _advance(self) -> None:
        """As many steps as there is time for, of the run that is behind."""
        i = min(range(len(self.runs)), key=lambda i: self.runs[i].at)
        run, start = self.runs[i], time.monotonic()
        before = run.step
        self._go(run, max(1, round(self._rates[i] * STRIDE)))
        done = (run.step or run.steps) - before
        rate = done / max(time.monotonic() - start, 1e-4)
        self._rates[i] = min(0.5 * self._rates[i] + 0.5 * rate, 4 * self._rates[i])
        if all(side.is_lost for side in self._sides):
            self._stop()

    def _go(self, run: parts.Run, count: int) -> None:
        """So many steps, and the end of the epoch where that is reached."""
        at, found = run.advance(count)
        for side in self._sides_of(run):
            side.add_cost(at, found)
        if run.is_over():
            self._record(run, run.row())

    def _sides_of(self, run: parts.Run) -> list[Side]:
        return [side for side in self._sides if side.run is run]

    def _record(self, run: parts.Run, found: dict[str, np.ndarray]) -> None:
        """The metrics of an epoch, in the digits in which train.py writes them."""
        for side in self._sides_of(run):
            row = {name: as_number(np.asarray(values)[side.lane]) for name, values in found.items()}
            side.add_row(run.epoch, row)

    # ------------------------------------------------------------------------------------------------------------------
    # What is measured.

    def _is_ready(self, name: str) -> bool:
        """Whether what measures it is compiled."""
        return all([name == "kernels" or run.programs.is_ready(name) for run in self.runs])

    def _take(self, name: str) -> None:
        """Measures."""
        measures = {"probe": self._probe, "answer": self._answer, "kernels": self._weigh, "curvature": self._curve}
        self._missing.discard(name)
        self._looks[name].take(measures[name])

    def _look(self) -> None:
        """Measures what is due."""
        for name, look in self._looks.items():
            if (name in self._missing or look.is_due()) and self._is_ready(name):
                self._take(name)

    def _probe(self) -> None:
        for run in self.runs:
            found, outputs = run.probed()
            for side in self._sides_of(run):
                measured = {name: float(values[side.lane]) for name, values in found.items() if values.ndim == 1}
                side.add_measures(run.at, measured, {name: a[side.lane] for name, a in outputs.items()})

    def _curve(self) -> None:
        for run in self.runs:
            found = run.curvature()
            for side in self._sides_of(run):
                top, residual = (float(found[name][side.lane]) for name in parts.CURVATURE)
                side.add_curvature(run.at, top, residual)

    def _answer(self) -> None:
        for run in self.runs:
            outputs_RxNxC = run.answers()
            count = outputs_RxNxC.shape[1]
            for side in self._sides_of(run):
                images, labels = run.dataset.validation_images[:count], run.dataset.validation_labels[:count]
                answers = Answers.of(run.at, outputs_RxNxC[side.lane], images, labels, run.dataset.shape)
                side.pictures["wrong"] = train_pictures.wrong(answers)

    def _weigh(self) -> None:
        for run in self.runs:
            kernels_RxDxH = run.kernels()
            for side in self._sides_of(run):
                side.pictures["weights"] = train_pictures.weights(kernels_RxDxH[side.lane], run.dataset.shape)

    @property
    def pending(self) -> bool:
        """Whether something is still to be measured, perhaps since what measures it is being compiled."""
        return bool(self._missing)

    def settle(self) -> bool:
        """Measures one of what is missing, where that can be; whether there was something."""
        for run in self.runs:
            run.programs.start(*parts.IN_ORDER)
        for name in SHARES:
            if name in self._missing and self._is_ready(name):
                self._take(name)
                return True
        return False

    def frame(self) -> Frame:
        """What is to be shown now."""
        at = min(run.at for run in self.runs)
        words = {
            "status": train_words.status(self._sides),
            "finding": train_words.finding(self._sides),
        }
        pictures = train_pictures.pictures_of(self._sides)
        is_whole = all(run.step == 0 for run in self.runs) or not self.running
        return Frame(pictures, words, at, keep=is_whole)
