"""Many runs at once: the trials of a pack as lanes of one compiled program, spread over the local devices.

W rows, R lanes of a row. The lanes of a row have the same seed, hence the same initial draw and the same batches: an
image is gathered and scaled once for all of them, and the products of their first layers are one wide product. Rows
share nothing. They are spread over the devices; on a CPU, where a lane's weights should stay in a core's cache, a
device takes its rows one after the other, on other devices all at once. A lane's numbers are those of its run alone to
float32 rounding, and do not depend on the lanes beside it but for that rounding.
"""

import contextlib
import math
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import train
from experiments.engine import kept_programs
from training import compiling
from training.batches import Data, on_data
from training.compiling import FAST_TO_COMPILE, options_for
from training.config import FIELDS, NUMERIC, Config, Hyperparameters, names_taken, number_of
from training.descent import last_rate
from training.metrics import of_part
from training.records import OUTCOMES, RATE_COLUMN
from training.screen import as_number, natural_order
from training.stopping import Course

Structure: TypeAlias = tuple[tuple[str, Any], ...]  # The fields that shape a program or its data set.
Metrics: TypeAlias = dict[str, jax.Array]
T = TypeVar("T")
DataKey: TypeAlias = tuple[str | int, ...]  # The values of the fields that say which data set it is.
# Of a CPU: with a device a core, a product that spreads over all cores would only take them from its neighbours.
ONE_CORE = {"xla_cpu_multi_thread_eigen": False}


def use_all_cores() -> None:
    """Makes every CPU core a device of its own; has to come before JAX starts, and changes nothing on a GPU or TPU."""
    jax.config.update("jax_num_cpu_devices", available_cores())


def available_cores() -> int:
    """How many cores this process may run on, in a container no more than it is given."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = Path("/sys/fs/cgroup/cpu.max")
    quota, period = (limit.read_text().split() if limit.is_file() else ["max", "1"])[:2]
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


# The fields in which the lanes of a program are alike.
SHAPING = tuple(sorted(FIELDS.keys() - set(NUMERIC)))
# A large sweep asks for them again and again.
_shaping_of = operator.attrgetter(*SHAPING)
_data_of = operator.attrgetter(*(name for name, field in FIELDS.items() if field.spec.of_data))


def structure(trial: Config) -> Structure:
    """What trials have in common that can be lanes of one program."""
    return tuple(zip(SHAPING, _shaping_of(trial), strict=True))


def compiled_in(trial: Config) -> Structure:
    """Those of these fields that a program depends on."""
    return tuple((name, value) for name, value in structure(trial) if not FIELDS[name].spec.not_compiled)


def data_key(trial: Config) -> DataKey:
    """What the trial's data set depends on."""
    return _data_of(trial)


class Shape(NamedTuple):
    """How many trials a program takes: rows of lanes."""

    rows: int
    lanes: int


class Programs(NamedTuple):
    """The compiled functions of a pack of some structure and shape, on local devices, no more than rows.

    `init(numbers_WxR, seeds_W) -> states_WxR`
    `epoch(states_WxR, numbers_WxR, seeds_W, alive_WxR, number, data) -> (states_WxR, metrics_WxR)`; the states are
        used up, and those of lanes that are not alive do not change
    `evaluate(states_WxR, data) -> metrics_WxR` on the validation examples
    `probe(states_WxR, numbers_WxR, params_before_WxR, seeds_W, data) -> metrics_WxR`, or None
    `test(states_WxR, data) -> metrics_WxR` on the test set, None where there is none beside the validation examples
    """

    init: Callable[..., train.TrainState]
    epoch: Callable[..., tuple[train.TrainState, Metrics]]
    evaluate: Callable[..., Metrics]
    probe: Callable[..., Metrics] | None
    sharding: NamedSharding
    optional: tuple[str, ...]
    shape: Shape
    test: Callable[..., Metrics] | None = None


def make_mesh(rows: int) -> Mesh:
    """The local devices in a row, no more of them than rows."""
    devices = jax.local_devices()[:rows]
    return jax.make_mesh((len(devices),), ("rows",), devices=devices)


def mesh_of(trial: Config, rows: int) -> Mesh:
    """The devices for so many rows of trials like this one; of a CPU one with all cores for a model of one's own.

    On two CPU devices at a time convolutions were seen to give other last bits from one time to the next (jaxlib
    0.10.1); on one device never, and there they are those of the run alone.
    """
    return make_mesh(1 if trial.has_own_model and jax.default_backend() == "cpu" else rows)


def replicate(data: Data, mesh: Mesh) -> Data:
    """The data on every device of the mesh."""
    return jax.device_put(data, NamedSharding(mesh, PartitionSpec()))


def over_rows(function: Callable[..., T], mesh: Mesh, same: int) -> Callable[..., T]:
    """The function of a row, over all rows of all devices; its last `same` arguments are the same for every row."""

    def on_a_device(*arguments: Any) -> Any:
        split = len(arguments) - same
        of_row = lambda row: function(*row, *arguments[split:])  # noqa: E731
        if jax.default_backend() == "cpu":
            return jax.lax.map(of_row, arguments[:split])
        return jax.vmap(of_row)(arguments[:split])

    def on_all(*arguments: Any) -> Any:
        specs = (PartitionSpec("rows"),) * (len(arguments) - same) + (PartitionSpec(),) * same
        # Whether what is the same differs between devices is not checked: the optimizer's constants are not marked.
        return jax.shard_map(on_a_device, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("rows"), check_vma=False)(
            *arguments
        )

    return on_all


def compile_programs(trial: Config, shape: Shape, optional: tuple[str, ...], data: Data) -> Programs:
    """The programs for packs of trials with the structure of this one; of the numbers that may be left out they take
    those that are named. What an earlier process has kept of them is read."""
    mesh = mesh_of(trial, shape.rows)
    shape, path = spread(shape, mesh), kept_programs.path_of(trial, made_of(trial, shape, optional, data))
    programs = kept_programs.read(path, mesh.devices.ravel().tolist()) if path else None
    if not programs:
        with kept_programs.compiled_anew() if path else contextlib.nullcontext():
            programs = compiled_side_by_side(trial, shape, optional, data, mesh)
        if path:
            kept_programs.write(path, programs)
    return Programs(**programs, sharding=NamedSharding(mesh, PartitionSpec("rows")), optional=optional, shape=shape)


def spread(shape: Shape, mesh: Mesh) -> Shape:
    """The shape whose rows are spread evenly: what does not fill the devices is padding."""
    return Shape(-(-shape.rows // mesh.size) * mesh.size, shape.lanes)


def made_of(trial: Config, shape: Shape, optional: tuple[str, ...], data: Data) -> tuple[Any, ...]:
    """What `compile_programs` compiles for these depends on, beside what `kept_programs` knows of itself."""
    mesh = mesh_of(trial, shape.rows)
    of_data = [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(data)], str(jax.tree.structure(data))
    return compiled_in(trial), spread(shape, mesh), optional, of_data, mesh.size, ONE_CORE


def compiled_side_by_side(
    trial: Config, shape: Shape, optional: tuple[str, ...], data: Data, mesh: Mesh
) -> dict[str, Any]:
    """The functions of `Programs` by name, compiled all at once."""
    functions, is_tested = row_functions(trial), data.test is not None
    split, everywhere = NamedSharding(mesh, PartitionSpec("rows")), NamedSharding(mesh, PartitionSpec())

    def like(tree: Any, where: NamedSharding) -> Any:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where), tree)

    lane: Any = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=split)
    numbers = Hyperparameters.of(dict.fromkeys(names_taken(trial, optional), lane))
    seeds = jax.ShapeDtypeStruct(shape[:1], jnp.uint32, sharding=split)
    alive = jax.ShapeDtypeStruct(shape, bool, sharding=split)
    number = jax.ShapeDtypeStruct((), jnp.int32, sharding=everywhere)
    states = like(jax.eval_shape(over_rows(functions["init"], mesh, 0), numbers, seeds), split)
    data = like(data, everywhere)

    # A row that has no neighbours has all cores for its products, as a run alone has.
    cores = {} if mesh.size < len(jax.local_devices()) else ONE_CORE
    of_epoch = options_for(trial.batch_size, trial.has_own_model) | cores
    large = options_for(train.EVALUATION_CHUNK, trial.has_own_model) | cores

    def compiled(name: str, *arguments: Any, same: int, options: Any, donate: tuple[int, ...] = ()) -> Any:
        function = over_rows(functions[name], mesh, same)
        function.__name__ = f"{name}_of_lanes"  # What JAX calls it where it logs compilations.
        return compiling.compiled(function, *arguments, cpu_options=options, donate=donate)

    training = states, numbers, seeds, alive, number, data
    with ThreadPoolExecutor() as pool:
        programs: dict[str, Future[Any]] = {
            "init": pool.submit(compiled, "init", numbers, seeds, same=0, options=FAST_TO_COMPILE),
            "epoch": pool.submit(compiled, "epoch", *training, same=2, options=of_epoch, donate=(0,)),
            "evaluate": pool.submit(compiled, "evaluate", states, data, same=1, options=large),
            "probe": pool.submit(compiled, "probe", states, numbers, states.params, seeds, data, same=1, options=large)
            if trial.probes
            else pool.submit(lambda: None),
            "test": pool.submit(compiled, "test", states, data, same=1, options=large)
            if is_tested
            else pool.submit(lambda: None),
        }
    return {name: future.result() for name, future in programs.items()}


def over_lanes(config: Config, function: Callable[..., T], same: int) -> Callable[..., T]:
    """The function of a lane over all lanes of a row; its last `same` arguments are the same for every lane.

    The lanes of Plateau's own network share their inputs, and its products become one. A model of one's own may be made
    of convolutions, which with a kernel a lane leave the fast path of a CPU: there it takes one lane after the other.
    """

    def over(*arguments: Any) -> Any:
        split = len(arguments) - same
        if len(jax.tree.leaves(arguments[:split])[0]) == 1:  # The program of a run alone.
            alone = function(*jax.tree.map(lambda leaf: leaf[0], arguments[:split]), *arguments[split:])
            return jax.tree.map(lambda leaf: leaf[None], alone)
        if config.has_own_model and jax.default_backend() == "cpu":
            return jax.lax.map(lambda lane: function(*lane, *arguments[split:]), arguments[:split])
        return jax.vmap(function, in_axes=(0,) * split + (None,) * same)(*arguments)

    return over


def row_functions(config: Config) -> dict[str, Callable[..., Any]]:
    """The functions of one row of lanes that share a seed."""
    functions, one_probe = train.make_train(config), train.make_probe(config)
    one_epoch = on_data(functions.epoch)

    def init(numbers_R: Hyperparameters, seed: jax.Array) -> train.TrainState:
        return over_lanes(config, functions.init, same=1)(numbers_R, train.run_keys(seed)[0])

    def epoch(
        states_R: train.TrainState,
        numbers_R: Hyperparameters,
        seed: jax.Array,
        alive_R: jax.Array,
        number: jax.Array,
        data: Data,
    ) -> tuple[train.TrainState, Metrics]:
        key = jax.random.fold_in(train.run_keys(seed)[1], number)

        def train_on(states_R: train.TrainState) -> tuple[train.TrainState, Metrics]:
            after_R, metrics_R = over_lanes(config, one_epoch, same=2)(states_R, numbers_R, data, key)
            keep = lambda before, after: jnp.where(alive_R.reshape(-1, *[1] * (after.ndim - 1)), after, before)  # noqa: E731
            return jax.tree.map(keep, states_R, after_R), metrics_R

        def stand_still(states_R: train.TrainState) -> tuple[train.TrainState, Metrics]:
            return states_R, dict.fromkeys(("loss", "accuracy"), jnp.full(alive_R.shape, jnp.nan, jnp.float32))

        return jax.lax.cond(jnp.any(alive_R), train_on, stand_still, states_R)

    def evaluate(states_R: train.TrainState, data: Data) -> Metrics:
        return over_lanes(config, functions.evaluate, same=2)(states_R, *data.validation)

    def test(states_R: train.TrainState, data: Data) -> Metrics:
        assert data.test, "it is compiled where there is a test set"
        return over_lanes(config, functions.evaluate, same=2)(states_R, *data.test)

    def probe(
        states_R: train.TrainState, numbers_R: Hyperparameters, before_R: Any, seed: jax.Array, data: Data
    ) -> Metrics:
        key = train.probe_key(seed)
        return over_lanes(config, one_probe, same=2)(states_R, numbers_R, before_R, data.probed, key)[0]

    return {"init": init, "epoch": epoch, "evaluate": evaluate, "probe": probe, "test": test}


class Epoch(NamedTuple):
    """An epoch of a pack: {epoch, metrics, diverged, probes} for every trial of every row, None for a trial that has
    ended in an earlier epoch; and the states, which the next epoch uses up, with each row's place."""

    rows: list[list[dict[str, Any] | None]]
    states_WxR: train.TrainState
    slots: list[int]

    def by_name(self, names: Sequence[Sequence[str]]) -> list[tuple[str, dict[str, Any] | None]]:
        """The rows with the names of their trials, given row by row."""
        return [pair for row, of_row in zip(names, self.rows, strict=True) for pair in zip(row, of_row, strict=True)]

    def states_by_name(self, names: Sequence[Sequence[str]]) -> dict[str, train.TrainState]:
        """The states by the names of their trials, given row by row, as numpy arrays."""
        states_WxR = jax.device_get(self.states_WxR)

        def state_of(slot: int, lane: int) -> train.TrainState:
            return jax.tree.map(lambda leaf: np.array(leaf[slot, lane]), states_WxR)

        return {
            name: state_of(slot, r) for slot, row in zip(self.slots, names, strict=True) for r, name in enumerate(row)
        }


def run_pack(
    rows: Sequence[Sequence[Config]],
    programs: Programs,
    data: Data,
    starts: Sequence[Sequence[train.TrainState]] | None = None,
    epochs: range | None = None,
    courses: Sequence[Sequence[Course]] | None = None,
) -> Iterator[Epoch]:
    """The epochs of a pack, those that are given or else all of them, from the initial draw or from the given states of
    its trials, each of which ends where its course does. Ends with the last epoch, or when no trial is left. Every
    trial is probed in the epoch with which it ends here, but for one that diverges."""
    config, numbered = rows[0][0], epochs or range(1, rows[0][0].epochs + 1)
    courses = courses or [[Course(trial) for trial in row] for row in rows]
    place = lambda tree: jax.device_put(tree, programs.sharding)  # noqa: E731
    trials, slots, alive_WxR = padded(rows, programs.shape, programs.sharding.mesh.size)
    numbers = place(numbers_of(trials, programs.optional, len(data.training[1])))
    seeds = place(np.array([row[0].seed for row in trials], np.uint32))
    if starts:
        lined_up = [state for row in padded(starts, programs.shape, programs.sharding.mesh.size)[0] for state in row]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves).reshape(*programs.shape, *leaves[0].shape), *lined_up)
        states = place(stacked)
    else:
        states = programs.init(numbers, seeds)
    may_stop = any(course.may_stop for of_row in courses for course in of_row)
    is_scheduled = any(trial.is_scheduled for row in rows for trial in row)
    for number in numbered:
        is_probed = programs.probe is not None and (config.is_probed(number) or number == numbered[-1])
        before = jax.tree.map(jnp.copy, states.params) if is_probed or (programs.probe and may_stop) else None
        states, metrics = programs.epoch(states, numbers, seeds, place(alive_WxR), np.int32(number), data)
        metrics |= of_part("val", programs.evaluate(states, data))
        metrics |= of_part("test", programs.test(states, data)) if programs.test else {}
        metrics = jax.device_get(metrics)
        if is_scheduled:
            metrics |= {RATE_COLUMN: np.asarray(last_rate(config, numbers, states.step))}
        finite_WxR = np.isfinite(metrics["loss"]) & np.isfinite(metrics["val_loss"])
        found = [
            [
                as_row(number, trial, metrics, (w, r), not finite_WxR[w, r]) if alive_WxR[w, r] else None
                for r, trial in enumerate(row)
            ]
            for w, row in zip(slots, rows, strict=True)
        ]
        stops_WxR = np.zeros_like(alive_WxR)
        for w, row, of_row in zip(slots, found, courses, strict=True):
            for r, (measured, course) in enumerate(zip(row, of_row, strict=True)):
                stops_WxR[w, r] = measured is not None and bool(course.add(measured)) and finite_WxR[w, r]
        alive_WxR &= finite_WxR & ~stops_WxR
        if before is not None and (is_probed or stops_WxR.any()):
            assert programs.probe
            probed = jax.device_get(programs.probe(states, numbers, before, seeds, data))
            for w, row in zip(slots, found, strict=True):
                for r, measured in enumerate(row):
                    if measured and (is_probed or stops_WxR[w, r]):
                        measured |= values_of(probed, sorted(probed, key=natural_order), (w, r))
        yield Epoch(found, states, slots)
        if not alive_WxR.any():
            break


def as_row(
    number: int, trial: Config, metrics: Mapping[str, Any], lane: tuple[int, int], diverged: bool
) -> dict[str, Any]:
    """An epoch of one lane; the rate of its last step where it is not the same at all of them."""
    names = [name for name in OUTCOMES if name in metrics] + [RATE_COLUMN] * trial.is_scheduled
    return {"epoch": number, "diverged": bool(diverged)} | values_of(metrics, names, lane)


def values_of(metrics: Mapping[str, Any], names: Iterable[str], lane: tuple[int, int]) -> dict[str, Any]:
    """Those metrics of one lane, null for what is not finite."""
    values = {name: as_number(metrics[name][lane]) for name in names}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def numbers_of(
    trials: Sequence[Sequence[Config]], optional: Sequence[str], examples: int | None = None
) -> Hyperparameters:
    """The numeric fields of rows of trials on so many training examples, [W, R]; None for those that are left out, and
    for the steps of an epoch where they are not known."""
    numbers: dict[str, np.ndarray] = {}
    for name in names_taken(trials[0][0], optional):
        of_rows = [[number_of(trial, name, examples) for trial in row] for row in trials]
        if of_rows[0][0] is not None:
            numbers[name] = np.array(of_rows, np.float32)
    return Hyperparameters.of(numbers)


def padded(
    rows: Sequence[Sequence[Any]], shape: Shape, devices: int
) -> tuple[list[Sequence[Any]], list[int], np.ndarray]:
    """The rows spread evenly over the devices and filled up to the shape with copies that are not alive; the place of
    each row; which lanes are alive, [W, R]."""
    each = shape.rows // devices
    slots = [i % devices * each + i // devices for i in range(len(rows))]
    trials: list[Sequence[Any]] = [[rows[0][0]] * shape.lanes] * shape.rows
    alive_WxR = np.zeros(shape, bool)
    for slot, row in zip(slots, rows, strict=True):
        trials[slot] = [*row, *[row[0]] * (shape.lanes - len(row))]
        alive_WxR[slot, : len(row)] = True
    return trials, slots, alive_WxR
