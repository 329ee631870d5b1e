"""One digit through a net, number by number, for the view Forward.

N examples, D inputs, H hidden units, C classes.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

import train
from experiments.classroom import parts
from experiments.classroom.shared import Shared
from experiments.classroom.simulations import forward_pictures
from experiments.classroom.simulations.forward_pictures import Pass
from experiments.classroom.view import State
from experiments.classroom.worker import Frame
from experiments.lecture import forward
from readers.dataset import Dataset
from training import models
from training.config import Config

# Nets that are kept for whoever sets the same again.
MOST_NETS = 24
# What the config of the lecture's study is told.
TAKEN = ("activation", "seed", "train_examples", "dataset", "batch_size")


class Net(NamedTuple):
    """A net before training and after each epoch, with what it answers to the test digits then, [N]."""

    states: list[train.TrainState]
    answers: list[np.ndarray]


_nets: Shared[Config, Net] = Shared(MOST_NETS)


def net_of(config: Config, dataset: Dataset) -> Net:
    """The net trained as by the lecture's study, once for all visitors."""

    def make() -> Net:
        model = models.make_model(config)

        def answer(state: train.TrainState, images_NxD: jax.Array) -> jax.Array:
            return model.apply(state.params, state.batch_stats, images_NxD).argmax(axis=1)

        states = list(forward.by_epoch(config, dataset))
        return Net(states, [np.asarray(jax.jit(answer)(state, dataset.validation_images)) for state in states])

    return _nets.get(config, make)


def drawn(pixels: str, inputs: int) -> np.ndarray:
    """What was drawn as an image like those of the data set, uint8 [D]: 16 levels, 0 to 255."""
    return np.array([17 * int(level, 16) for level in pixels.ljust(inputs, "0")], np.uint8)


def as_drawing(image_D: np.ndarray) -> str:
    """An image in the 16 levels of a drawing."""
    levels = np.round(image_D / 17).astype(int)
    return "".join(f"{level:x}" for level in levels).rstrip("0") or "0"


class Forward:
    """The simulation of the view Forward."""

    def __init__(self, settings: State) -> None:
        self.running = False
        self._settings, self._config = settings, self._config_of(settings)
        self._looks = 0

    def _config_of(self, settings: State) -> Config:
        given = {name: settings[name] for name in TAKEN if name in settings}
        return forward.QUICK.config.replace(**given)

    def change(self, settings: State) -> bool:
        """Goes on with the same net, whatever is sent through it."""
        if self._config_of(settings) != self._config:
            return False
        self._settings, self._looks = settings, self._looks + 1
        return True

    def prepare(self) -> None:
        """Loads the digits and trains."""
        self._dataset = parts.data_of(self._config)[0]
        self._net = net_of(self._config, self._dataset)
        self.frame()  # What it needs is compiled.

    def do(self, name: str, value: Any) -> None:
        """Nothing is done here: digits and units are settings."""

    def advance(self) -> None:
        """Nothing goes on by itself."""
        self.running = False

    def passed(self) -> Pass:
        """All numbers of the digit on its way through the net."""
        settings, data = self._settings, self._dataset
        state, label = self._net.states[settings["trained"]], None
        if settings["drawing"]:
            image_D = drawn(settings["drawing"], self._config.inputs)
        else:
            digit = settings["digit"] % len(data.validation_labels)
            image_D, label = data.validation_images[digit], int(data.validation_labels[digit])
        named = forward.by_flax(self._config, state, image_D)
        layers = {name: state.params[name] for name in ("hidden_0", "output")}
        kernels = {name: np.asarray(layer["kernel"], np.float64) for name, layer in layers.items()}
        biases = {name: np.asarray(layer["bias"], np.float64) for name, layer in layers.items()}
        layer, _, number = settings["unit"].partition(" ")
        chosen = ("hidden_0" if layer == "hidden" else "output", int(number))
        return Pass(image_D, label, self._config.activation, named, kernels, biases, chosen)

    def _next_wrong(self) -> str:
        """The number of the next test digit that the net gets wrong, none where it gets all right."""
        labels, digit = self._dataset.validation_labels, self._settings["digit"]
        wrong = np.flatnonzero(self._net.answers[self._settings["trained"]] != labels)
        return str(wrong[np.searchsorted(wrong, digit, side="right") % len(wrong)]) if len(wrong) else ""

    def frame(self) -> Frame:
        """The digit and the net, and the unit that is looked at."""
        passed, trained = self.passed(), self._settings["trained"]
        right = np.mean(self._net.answers[trained] == self._dataset.validation_labels)
        epochs = f"trained for {trained} epoch{'s' if trained != 1 else ''}" if trained else "not trained"
        count = len(self._dataset.validation_labels)
        digit = self._settings["digit"] % count
        words = {
            "status": f"net {epochs}: {right:.2%} of {count:,} test digits right",
            "finding": forward_pictures.finding(passed),
            "pad-said": "Drawn" if passed.label is None else f"Test digit {digit}: a {passed.label}",
            "pixels": as_drawing(passed.image_D),
            "wrong": self._next_wrong(),
        }
        return Frame(forward_pictures.pictures_of(passed), words, float(self._looks))
