"""How trials are cut into packs of lanes, for the devices that there are, and about how long these take."""

import hashlib
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

import train
from experiments.engine import lanes
from experiments.engine.space import Trials
from training import models
from training.compiling import compiled, options_for
from training.config import FIELDS, Config, Hyperparameters, optional_of

Examples: TypeAlias = Callable[[Config], int]  # How many a trial's training set has.
# Of a CPU core's cache: beyond this many lanes, or bytes of their weights, these push each other out (measured on the
# shallow net, and with hidden layers of 512 units).
MOST_LANES_A_ROW = {"cpu": 8}
MOST_BYTES_A_ROW = {"cpu": 1.7e6}
MOST_LANES_A_ROW_ELSEWHERE = 64
# A row costs about this much of a lane whatever its lanes: gathering and scaling its images (shallow net).
ROW_COST = 0.3
# Multiply-adds of an epoch that keep a device busy for about a quarter of a second: fewer are not worth a call.
LEAST_WORK = {"cpu": 5e9}
LEAST_WORK_ELSEWHERE = 1e12
WORK_A_SECOND, WORK_A_SECOND_ELSEWHERE = {"cpu": 2e10}, 4e12
MEMORY_SHARE = 0.25
# What --lanes and a recorded plan may ask for: far above what any device takes, far below what a mistyped one makes.
MOST_LANES = 2**16
# An epoch with gathering, validation and probes beside its steps alone; a compilation (shallow net, 2 cores).
EPOCH_OVER_STEPS, COMPILATION_SECONDS = 1.25, 4.0


class ProgramKey(NamedTuple):
    """What the compiled programs of a pack depend on."""

    structure: lanes.Structure
    shape: lanes.Shape
    optional: tuple[str, ...]
    has_l2: bool


class Pack(NamedTuple):
    """Trials that run together: the names of the trials of each row, the shape of the program that takes them, the
    numbers that it takes although they may be left out; and after which epoch it starts and ends, 0 for the first and
    for the last one of its trials."""

    rows: tuple[tuple[str, ...], ...]
    shape: lanes.Shape
    optional: tuple[str, ...]
    start: int = 0
    end: int = 0

    @property
    def trials(self) -> tuple[str, ...]:
        """The names of its trials, row by row."""
        return tuple(itertools.chain(*self.rows))

    @property
    def name(self) -> str:
        """What its file is called: the same epochs of the same trials in the same rows, the same name."""
        part = {"start": self.start, "end": self.end} if self.start or self.end else None
        return hashlib.sha256(json.dumps([self.rows, part] if part else self.rows).encode()).hexdigest()[:16]

    def last_epoch(self, trials: Trials) -> int:
        """After which epoch it ends: its trials have one structure, and so the same number of epochs."""
        return self.end or trials[self.rows[0][0]].epochs

    def steps(self, trials: Trials) -> int:
        """How many epochs of single trials it has."""
        return len(self.trials) * (self.last_epoch(trials) - self.start)


class Machines(NamedTuple):
    """What a plan is made for: devices of a pack, devices that packs run on side by side, their kind and memory."""

    devices: int
    slots: int
    kind: str
    memory: float  # Bytes a device.


def this_machine() -> Machines:
    """The local devices; a CPU's memory is shared by its devices."""
    devices = jax.local_devices()
    kind = devices[0].platform
    memory = (devices[0].memory_stats() or {}).get("bytes_limit") if kind != "cpu" else None
    return Machines(len(devices), len(devices), kind, float(memory or host_memory() / len(devices)))


def host_memory() -> float:
    """Bytes of this machine's memory, or of the container that this process runs in."""
    physical = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = Path("/sys/fs/cgroup/memory.max")
    words = limit.read_text().split() if limit.is_file() else []
    return min(physical, float(words[0])) if words and words[0].isdecimal() else physical


def make_packs(trials: Trials, machines: Machines, examples: Examples, most_lanes: int | None = None) -> list[Pack]:
    """The trials of each structure, in order, as packs of at most `most_lanes` lanes (None: as many as suit)."""
    groups: dict[lanes.Structure, dict[str, Config]] = {}
    for name, trial in trials.items():
        groups.setdefault(lanes.structure(trial), {})[name] = trial
    packs = [pack for group in groups.values() for pack in packs_of_group(group, machines, examples, most_lanes)]
    return by_program(packs, trials)


def by_program(packs: Sequence[Pack], trials: Trials) -> list[Pack]:
    """The packs in order, but with those of one program side by side, so that it is compiled once."""
    by_key: dict[ProgramKey, list[Pack]] = {}
    for pack in packs:
        by_key.setdefault(program_key(pack, trials), []).append(pack)
    return list(itertools.chain(*by_key.values()))


def program_key(pack: Pack, trials: Trials) -> ProgramKey:
    """What the compiled programs of a pack depend on."""
    structure = lanes.structure(trials[pack.rows[0][0]])
    compiled_in = tuple((name, value) for name, value in structure if not FIELDS[name].spec.not_compiled)
    return ProgramKey(compiled_in, pack.shape, pack.optional, one_that_decays(pack, trials) is not None)


def one_that_decays(pack: Pack, trials: Trials) -> Config | None:
    """A trial of the pack whose weights decay: where there is none, training does without inputs that are always
    zero."""
    return next((trials[name] for name in pack.trials if trials[name].decays), None)


def packs_of_group(group: Trials, machines: Machines, examples: Examples, most_lanes: int | None) -> list[Pack]:
    """The packs of trials of one structure: trials of one seed share rows."""
    by_seed: dict[int, list[str]] = {}
    for name, trial in group.items():
        by_seed.setdefault(trial.seed, []).append(name)
    trial = next(iter(group.values()))
    shape = pack_shape(trial, [len(names) for names in by_seed.values()], machines, examples(trial), most_lanes)
    rows = [row for names in by_seed.values() for row in even_parts(names, shape.lanes)]
    optional = optional_of(group.values())
    return [Pack(tuple(rows[start : start + shape.rows]), shape, optional) for start in range(0, len(rows), shape.rows)]


def pack_shape(
    trial: Config, counts: Sequence[int], machines: Machines, examples: int, most: int | None
) -> lanes.Shape:
    """Rows and lanes of a pack for so many trials of each seed, on a training set of so many examples.

    A wide row shares more; narrow ones fill more devices. On a CPU a pack has a row a device, more where an epoch would
    be over too soon to be worth a call; elsewhere as many lanes as keep the device busy. Memory bounds both.
    """
    on_cpu = machines.kind == "cpu"
    widest = widest_row(trial, machines.kind)
    fitting = max(1, int(MEMORY_SHARE * machines.memory / lane_bytes(trial, examples)))
    widest = max(1, min(widest, fitting, max(counts), most or widest))

    def cost(width: int) -> float:
        rows = sum(-(-count // width) for count in counts)
        return -(-rows // machines.slots) * (ROW_COST + width)

    width = min(range(1, widest + 1), key=lambda width: (cost(width), -width)) if on_cpu else widest
    # All rows as full as they can be: 12 trials are two rows of 6, not of 8 and 4.
    width = max(-(-count // -(-count // width)) for count in counts)
    if most:
        return lanes.Shape(max(1, most // width), width)
    least_work = LEAST_WORK.get(machines.kind, LEAST_WORK_ELSEWHERE)
    each = min(max(1, math.ceil(least_work / (epoch_work(trial, examples) * width))), max(1, fitting // width))
    rows = sum(-(-count // width) for count in counts)
    each = min(each, -(-rows // machines.slots))
    return lanes.Shape(each * machines.devices, width)


def widest_row(trial: Config, kind: str) -> int:
    """How many lanes of that trial's kind are worth a row: on a CPU as many as have their weights in a core's cache,
    and for batches of one example a single one, whose products of a matrix and a vector run as those of a run alone:
    side by side they leave the fast path."""
    most = MOST_LANES_A_ROW.get(kind, MOST_LANES_A_ROW_ELSEWHERE)
    if kind != "cpu":
        return most
    fitting = int(MOST_BYTES_A_ROW[kind] / (4 * models.size_of(trial).parameters))
    return 1 if trial.batch_size == 1 else max(1, min(most, fitting))


def narrowed(pack: Pack, alive: Sequence[str], epoch: int, trials: Trials, devices: int, examples: int) -> Pack | None:
    """The pack of those trials alone that go on after that epoch, in rows of fewer lanes or in fewer rows; None where
    that would save less time than another program takes to compile."""
    trial, by_seed = trials[pack.trials[0]], dict[int, list[str]]()
    for name in alive:
        by_seed.setdefault(trials[name].seed, []).append(name)
    if not alive or len(alive) == len(pack.trials):
        return None

    def rows_of(width: int) -> list[tuple[str, ...]]:
        return [row for names in by_seed.values() for row in even_parts(names, width)]

    def cost(rows: int, width: int) -> float:
        return -(-rows // devices) * (ROW_COST + width)

    # A row of which no lane is alive costs nothing.
    now = cost(sum(any(name in alive for name in row) for row in pack.rows), pack.shape.lanes)
    widths = range(1, pack.shape.lanes + 1)
    width = min(widths, key=lambda width: (cost(len(rows_of(width)), width), -width))
    rows = rows_of(width)
    saved = now - cost(len(rows), width)  # Lanes of each device.
    work = saved * epoch_work(trial, examples) * (pack.last_epoch(trials) - epoch)
    if work < COMPILATION_SECONDS * WORK_A_SECOND.get(jax.default_backend(), WORK_A_SECOND_ELSEWHERE):
        return None
    return pack._replace(rows=tuple(rows), shape=lanes.Shape(len(rows), width), start=epoch)


def even_parts(names: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """The names in as few parts as hold at most that many each, and as even as can be."""
    parts = -(-len(names) // most)
    bounds = [len(names) * i // parts for i in range(parts + 1)]
    return [tuple(names[low:high]) for low, high in itertools.pairwise(bounds)]


def epoch_work(trial: Config, examples: int) -> float:
    """Multiply-adds of an epoch: forward, and backward twice that."""
    return 3.0 * examples * models.size_of(trial).products


def lane_bytes(trial: Config, examples: int) -> float:
    """About what a lane needs on its device: parameters, gradient, what the optimizer keeps and copies of them; the
    activations of a batch, of a chunk of the validation set and of the probe examples; the logits of an epoch, their
    targets and what is made of them for the metrics."""
    size, active = models.size_of(trial), trial.batch_size + train.EVALUATION_CHUNK + trial.probe_examples
    return 4.0 * (8 * size.parameters + 3 * active * size.outputs + 3 * examples * trial.classes)


def compilations(packs: Sequence[Pack], trials: Trials) -> int:
    """How many times the epoch will be compiled."""
    return len({program_key(pack, trials) for pack in packs})


def step_seconds(trial: Config, width: int, steps: int = 30) -> float:
    """Seconds that a step of that many lanes takes on one device, measured here."""
    functions, batch_size = train.make_train(trial), trial.batch_size
    numbers = lanes.numbers_of([[trial] * width], optional_of([trial]), batch_size)
    numbers = jax.tree.map(lambda leaf: np.asarray(leaf)[0], numbers)
    # How long a step takes does not depend on the weights; to draw them would take longer than all steps.
    shapes = jax.eval_shape(jax.vmap(functions.init, in_axes=(0, None)), numbers, jax.eval_shape(jax.random.key, 0))
    states = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    images_BxD, labels_B = np.zeros((batch_size, trial.inputs), np.uint8), np.zeros(batch_size, np.int32)
    batch = images_BxD, labels_B, np.ones(batch_size, np.float32)
    states, numbers, batch = jax.device_put((states, numbers, batch))

    def of_lane(state: train.TrainState, numbers: Hyperparameters, batch: tuple[jax.Array, ...]) -> train.TrainState:
        return jax.lax.scan(lambda state, _: functions.step(state, numbers, batch), state, length=steps)[0]

    run = lanes.over_lanes(trial, of_lane, same=1)
    options = options_for(batch_size, trial.has_own_model) | lanes.ONE_CORE
    run = compiled(run, states, numbers, batch, cpu_options=options)
    jax.block_until_ready(run(states, numbers, batch))
    start = time.perf_counter()
    jax.block_until_ready(run(states, numbers, batch))
    return (time.perf_counter() - start) / steps


def estimated_seconds(packs: Sequence[Pack], trials: Trials, machines: Machines, examples: Examples) -> float:
    """About how long the packs take on those machines, from the speed of a step on a device of this one."""
    total = COMPILATION_SECONDS * compilations(packs, trials)
    measured: dict[tuple[Any, ...], float] = {}
    at_a_time = machines.slots / machines.devices  # Packs that run side by side.
    for pack in packs:
        trial, width = trials[pack.rows[0][0]], pack.shape.lanes
        # What the time of a step depends on most: measuring each activation would take longer than it tells.
        network = trial.model, trial.code, trial.inputs, trial.hidden, trial.classes, trial.batch_norm
        key = network, trial.batch_size, width
        if key not in measured:
            measured[key] = step_seconds(trial, width)
        steps = -(-examples(trial) // trial.batch_size) * (pack.last_epoch(trials) - pack.start)
        turns = -(-len(pack.rows) // machines.devices)
        total += turns / at_a_time * steps * measured[key] * EPOCH_OVER_STEPS
    return total
