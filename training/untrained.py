"""The untrained net, epoch 0, with which a run's figures begin; no row of metrics.jsonl is of it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from training.batches import Data, Metrics
from training.config import Hyperparameters
from training.metrics import of_part
from training.records import OUTCOMES, histogram
from training.screen import as_number

# What a step, or an epoch, has done: there was none.
OF_STEPS = ("update_ratio", "displacement")


class Untrained(NamedTuple):
    """A row as of metrics.jsonl, without the running means of a training, and one as of histograms.jsonl, empty where
    nothing is probed."""

    row: dict[str, Any]
    histograms: dict[str, Any]


class Programs(Protocol):
    """The compiled programs of a run that measure a state, as `train.Programs` has them."""

    @property
    def evaluate(self) -> Callable[..., Metrics]: ...
    @property
    def test(self) -> Callable[..., Metrics] | None: ...
    @property
    def probe(self) -> Callable[..., tuple[Metrics, Mapping[str, jax.Array]]] | None: ...


def measure(
    programs: Programs,
    state: Any,
    numbers: Hyperparameters,
    data: Data,
    key: jax.Array,
) -> Untrained:
    """The state's cost and accuracy on the validation examples, and on a test set beside them, and its probes."""
    metrics = of_part("val", programs.evaluate(state, *data.validation))
    metrics |= of_part("test", programs.test(state, *data.test)) if programs.test and data.test else {}
    measured, activations = (
        programs.probe(state, numbers, state.params, data.probed, key) if programs.probe else ({}, {})
    )
    metrics, measured, activations = jax.device_get((metrics, measured, activations))
    row = {"epoch": 0} | {name: as_number(metrics[name]) for name in OUTCOMES if name in metrics}
    row |= {name: as_number(value) for name, value in measured.items() if not name.startswith(OF_STEPS)}
    counted = {layer: histogram(np.asarray(a_PxH)) for layer, a_PxH in activations.items()}
    return Untrained(row, {"epoch": 0} | counted if counted else {})
