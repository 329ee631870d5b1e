"""A run in parts: the epochs of `train.fit`, interrupted after any step to be looked at.

R lanes, N examples, S steps of an epoch, B batch, C classes. A part goes through some steps of an epoch by
`train.make_step`, in the order and on the data of `Train.epoch`, and keeps the logits of its batches;
after the last step the metrics of all of them are taken at once, as there. So a run in parts has the numbers of
`train.py`, however it was cut. Two settings of one structure are lanes of one program, as in a sweep.
"""

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
import train
from experiments.classroom.shared import Shared
from experiments.engine import lanes
from readers.dataset import Dataset
from training import models
from training.batches import Data, batches, make_data, on_data, permutation
from training.compiling import FAST_TO_COMPILE, compiled, options_for
from training.config import Config, Hyperparameters, optional_of
from training.metrics import batch_metrics

# Programs that are kept for whoever sets the same again.
MOST_PROGRAMS = 24
# In the order in which they are needed: what takes longest is waited for by nobody.
IN_ORDER = ("init", "evaluate", "order", "part", "recent", "metrics", "answer", "probe", "curvature")
# What a first picture cannot do without; what steps, and the end of an epoch, cannot do without.
OF_START = ("init", "evaluate")
OF_STEPS = ("order", "part", "recent", "metrics")
# Compiling takes a core: all visitors together have so many threads for what first pictures and steps need, and so many
# for slower looks, which so hold up nobody's first picture.
FIRST_AT_ONCE, LATER_AT_ONCE = 2, 1
CURVATURE = ("curvature/top_eigenvalue", "curvature/top_residual")
# Batches over which the cost is taken while an epoch is under way: of all of them it would take its time every time.
RECENT = 32
# Validation examples whose answers are looked at.
ANSWERED = 2_000


class Rows(NamedTuple):
    """An epoch's order of the examples, cut into batches, with 0 as the weight of padding."""

    order_SxB: jax.Array
    weights_SxB: jax.Array


class Span(NamedTuple):
    """Steps of an epoch, from the first up to, and without, the last."""

    rows: Rows
    first: Any
    last: Any


class Underway(NamedTuple):
    """A state within an epoch, and the logits of the batches that it has been through."""

    state: train.TrainState
    logits_SxBxC: jax.Array


_first = ThreadPoolExecutor(FIRST_AT_ONCE, "compile")
_later = ThreadPoolExecutor(LATER_AT_ONCE, "compile later")


class Programs:
    """The functions of settings of one structure, each compiled when it is first asked for, or `start`ed before; their
    first arguments have an axis of R lanes.

    `init(numbers_R, key) -> states_R`
    `order(key) -> rows` of an epoch
    `part(underway_R, numbers_R, data, span) -> underway_R`, which uses the first up
    `metrics(underway_R, span, labels_N) -> metrics_R`: `loss` and `accuracy` over the batches of the span
    `recent(underway_R, span, labels_N) -> metrics_R`, likewise over the last batches of the span, `RECENT` at most
    `evaluate(states_R, images, labels) -> metrics_R`
    `probe(states_R, numbers_R, before_R, probed, key) -> (metrics_R, activations_R)`
    `answer(states_R, images_NxD) -> outputs_RxNxC`
    `curvature`, as `probe`, of the largest eigenvalue alone: it takes longest to compile
    """

    def __init__(self, making: Mapping[str, Callable[[], Any]], steps: int) -> None:
        self.steps, self._making = steps, making
        self._started: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def start(self, *names: str) -> None:
        """Compiles these side by side, as far as that has not begun."""
        with self._lock:
            for name in names:
                if name not in self._started:
                    pool = _first if name in OF_START + OF_STEPS else _later
                    self._started[name] = pool.submit(self._making[name])

    def is_ready(self, name: str) -> bool:
        """Whether it is compiled; what has not begun begins."""
        self.start(name)
        return self._started[name].done()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self._making:
            raise AttributeError(name)
        self.start(name)
        return self._started[name].result()


# ---------------------------------------------------------------------------------------------------------------------
# Data, which all visitors share.

MOST_DATA = 3
_datasets: Shared[Any, Dataset] = Shared(MOST_DATA)
_data: Shared[Any, tuple[Dataset, Data]] = Shared(MOST_DATA)


def data_of(config: Config) -> tuple[Dataset, Data]:
    """The config's data set, as it was read and as its programs take it, on the device."""
    # Where weights decay, inputs that are always zero are not left out.
    key = lanes.data_key(config)

    def make() -> tuple[Dataset, Data]:
        dataset = _datasets.get(key, lambda: train.load_dataset(config, input_pipeline.DEFAULT_DATA_DIR))
        return dataset, jax.device_put(make_data(config, dataset))

    return _data.get((key, config.decays), make)


# ---------------------------------------------------------------------------------------------------------------------
# Programs.


def part_of(config: Config) -> Callable[..., tuple[Underway, dict[str, jax.Array]]]:
    """What `training.batches.on_data` takes: the steps of a span, of one lane."""
    descend = train.make_step(config)

    def part(
        underway: Underway, hyperparameters: Hyperparameters, dataset: tuple[jax.Array, ...], span: Span
    ) -> tuple[Underway, dict[str, jax.Array]]:
        images_NxD, labels_N = dataset[0], dataset[1]
        order_SxB, weights_SxB = span.rows
        hyperparameters = hyperparameters._replace(steps_per_epoch=jnp.float32(len(order_SxB)))

        def one_step(i: jax.Array, underway: Underway) -> Underway:
            order_B, weights_B = order_SxB[i], weights_SxB[i]
            batch = images_NxD[order_B], labels_N[order_B], weights_B
            state, logits_BxC = descend(underway.state, hyperparameters, batch)
            return Underway(state, underway.logits_SxBxC.at[i].set(logits_BxC))

        return jax.lax.fori_loop(span.first, span.last, one_step, underway), {}

    return part


def metrics_of(config: Config) -> Callable[..., dict[str, jax.Array]]:
    """`loss` and `accuracy` over the batches of a span, of one lane; over a whole epoch those of `Train.epoch`."""
    cost = models.cost_of(config)

    def metrics(underway: Underway, span: Span, labels_N: jax.Array) -> dict[str, jax.Array]:
        (order_SxB, weights_SxB), logits_SxBxC = span.rows, underway.logits_SxBxC
        steps_S = jnp.arange(len(order_SxB))
        is_in_S = (steps_S >= span.first) & (steps_S < span.last)
        weights_SxB = weights_SxB * is_in_S[:, None]
        logits_MxC = logits_SxBxC.reshape(-1, logits_SxBxC.shape[-1])
        found = batch_metrics(cost, logits_MxC, labels_N[order_SxB.ravel()], weights_SxB.ravel())
        return {name: found[name] for name in ("loss", "accuracy")}

    return metrics


def recent_of(config: Config) -> Callable[..., dict[str, jax.Array]]:
    """`metrics_of` over the last `RECENT` batches of a span at most, in a time that does not grow with the epoch."""
    metrics = metrics_of(config)

    def recent(underway: Underway, span: Span, labels_N: jax.Array) -> dict[str, jax.Array]:
        count = min(RECENT, len(span.rows.order_SxB))
        start = jnp.maximum(span.last - count, 0)
        cut = lambda array: jax.lax.dynamic_slice_in_dim(array, start, count)  # noqa: E731
        rows = Rows(cut(span.rows.order_SxB), cut(span.rows.weights_SxB))
        some = Underway(underway.state, cut(underway.logits_SxBxC))
        return metrics(some, Span(rows, span.first - start, span.last - start), labels_N)

    return recent


def make_programs(config: Config, count: int, optional: tuple[str, ...], data: Data) -> Programs:
    """The programs for so many lanes of the config's structure."""
    data = jax.eval_shape(lambda data: data, data)
    functions, examples = train.make_train(config), len(data.training[1])
    key, probe_key = train.run_keys(0)[1], train.probe_key(0)
    over = functools.partial(lanes.over_lanes, config)
    numbers = jax.tree.map(lambda leaf: leaf[0], lanes.numbers_of([[config] * count], optional, examples))
    states = jax.eval_shape(over(functions.init, same=1), numbers, key)
    images = data.validation[0]
    images_AxD = jax.ShapeDtypeStruct((min(ANSWERED, len(images)), *images.shape[1:]), images.dtype)

    def order(key: jax.Array) -> Rows:
        return Rows(*batches(permutation(key, examples), config.batch_size))

    rows = jax.eval_shape(order, key)
    steps, batch = rows.order_SxB.shape
    number: Any = jax.ShapeDtypeStruct((), jnp.int32)
    logits: Any = jax.ShapeDtypeStruct((count, steps, batch, config.classes), jnp.float32)
    span, underway = Span(rows, number, number), Underway(states, logits)
    part, metrics, model, cost = part_of(config), metrics_of(config), models.make_model(config), models.cost_of(config)
    measured = train.make_probe(config.replace(probes=("saturation", "speed")))
    curved = train.make_probe(config.replace(probes=("curvature",)))

    def parts(underway: Underway, numbers: Hyperparameters, data: Data, span: Span) -> Underway:
        return over(on_data(part), same=2)(underway, numbers, data, span)[0]

    def answer(state: train.TrainState, images_NxD: jax.Array) -> jax.Array:
        return cost.output(model.apply(state.params, state.batch_stats, images_NxD))

    def curvature(*arguments: Any) -> dict[str, jax.Array]:
        # What else the probe gives is not computed.
        return {name: curved(*arguments)[0][name] for name in CURVATURE}

    small, large = options_for(config.batch_size, False), options_for(train.EVALUATION_CHUNK, False)
    probing = states, numbers, states.params, data.probed, probe_key

    def later(function: Any, *arguments: Any, options: Any = large, donate: tuple[int, ...] = ()) -> Callable[[], Any]:
        return functools.partial(compiled, function, *arguments, cpu_options=options, donate=donate)

    making = {
        "init": later(over(functions.init, same=1), numbers, key, options=FAST_TO_COMPILE),
        "order": later(order, key, options=small),
        "part": later(parts, underway, numbers, data, span, options=small, donate=(0,)),
        "recent": later(over(recent_of(config), same=2), underway, span, data.training[1], options=small),
        "metrics": later(over(metrics, same=2), underway, span, data.training[1], options=small),
        "evaluate": later(over(functions.evaluate, same=2), states, *data.validation),
        "probe": later(over(measured, same=2), *probing),
        "answer": later(over(answer, same=1), states, images_AxD),
        "curvature": later(over(curvature, same=2), *probing),
    }
    return Programs(making, steps)


_programs: Shared[Any, Programs] = Shared(MOST_PROGRAMS)


def programs_of(config: Config, count: int, optional: tuple[str, ...], data: Data) -> Programs:
    """`make_programs`, once for all visitors that set what is of one structure and whose data have one shape: without
    decay, inputs that are always zero are left out."""
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(data)), jax.tree.structure(data)
    key = lanes.structure(config), count, optional, shapes
    return _programs.get(key, lambda: make_programs(config, count, optional, data))


# ---------------------------------------------------------------------------------------------------------------------
# A run.


class Run:
    """Settings of one structure and seed as R lanes, in parts: `advance` by steps, `row` after every epoch.

    `epoch` counts those that are done, `step` the steps of the one that is under way, out of `steps`.
    """

    def __init__(self, configs: Sequence[Config]) -> None:
        self.configs = list(configs)
        # Where the weights of one lane decay, all inputs are kept for both.
        self.dataset, self.data = data_of(next((config for config in configs if config.decays), configs[0]))
        optional = optional_of(configs)
        self.programs = programs_of(configs[0], len(configs), optional, self.data)
        self.programs.start(*OF_START)
        numbers = lanes.numbers_of([self.configs], optional, len(self.data.training[1]))
        self.numbers: Hyperparameters = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), numbers)
        init_key, self._shuffle_key = train.run_keys(configs[0].seed)
        self._probe_key = train.probe_key(configs[0].seed)
        self.steps, self.epoch, self.step = self.programs.steps, 0, 0
        self.state: train.TrainState = self.programs.init(self.numbers, init_key)
        self._before = self.state.params
        self._underway: Underway | None = None
        self._rows: Rows | None = None

    @property
    def at(self) -> float:
        """How many epochs are done, with the share of the one that is under way."""
        return self.epoch + self.step / self.steps

    def advance(self, count: int) -> tuple[float, dict[str, np.ndarray]]:
        """Goes so many steps, at most to the end of the epoch; where that is, and the means of the cost and of correct
        answers over their batches, [R], the last `RECENT` of them at most."""
        if self._underway is None:
            self._begin_epoch()
        assert self._rows
        first, last = self.step, min(self.step + count, self.steps)
        span = Span(self._rows, np.int32(first), np.int32(last))
        underway: Underway = self.programs.part(self._underway, self.numbers, self.data, span)
        self._underway, self.state, self.step = underway, underway.state, last
        found = self.programs.recent(underway, span, self.data.training[1])
        return self.at, jax.device_get(found)

    def _begin_epoch(self) -> None:
        rows: Rows = self.programs.order(jax.random.fold_in(self._shuffle_key, self.epoch + 1))
        shape = (len(self.configs), *rows.order_SxB.shape, self.configs[0].classes)
        self._before = jax.tree.map(jnp.copy, self.state.params)
        self._rows, self._underway = rows, Underway(self.state, jnp.zeros(shape, jnp.float32))

    def is_over(self) -> bool:
        """Whether the epoch that is under way has been gone through, so that `row` is due."""
        return self.step == self.steps

    def row(self) -> dict[str, np.ndarray]:
        """Ends the epoch: its metrics as `train.fit` records them, [R]."""
        assert self._underway and self._rows and self.is_over()
        span = Span(self._rows, np.int32(0), np.int32(self.steps))
        found = self.programs.metrics(self._underway, span, self.data.training[1])
        self._underway, self.step, self.epoch = None, 0, self.epoch + 1
        return jax.device_get(found | self.validated())

    def validated(self) -> dict[str, Any]:
        """Cost and accuracy on the validation examples, [R]."""
        found = self.programs.evaluate(self.state, *self.data.validation)
        return {f"val_{name}": value for name, value in found.items()}

    def probed(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What `train.make_probe` measures, and the outputs of the layers, each with its axis of R lanes; waits until
        that is compiled."""
        data = self.data.probed
        return jax.device_get(self.programs.probe(self.state, self.numbers, self._before, data, self._probe_key))

    def curvature(self) -> dict[str, np.ndarray]:
        """The largest eigenvalue of the Hessian and how far off it may be, [R]; waits until that is compiled."""
        data = self.data.probed
        return jax.device_get(self.programs.curvature(self.state, self.numbers, self._before, data, self._probe_key))

    def answers(self) -> np.ndarray:
        """The outputs on the first validation examples, [R, N, C]."""
        return np.asarray(self.programs.answer(self.state, self.data.validation[0][:ANSWERED]))

    def kernels(self) -> np.ndarray:
        """The weights of the first layer, [R, D, H]."""
        found = [models.first_kernel(config, self.lane(i).params, ()) for i, config in enumerate(self.configs)]
        return np.stack([np.asarray(kernel.kernel_DxH) for kernel in found if kernel])

    def lane(self, i: int) -> train.TrainState:
        """The state of one of the settings."""
        return jax.tree.map(lambda leaf: leaf[i], self.state)
