"""Who runs the packs of a sweep on this machine. An executor takes packs and yields (pack, table) as they finish."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa

import input_pipeline
import train
from experiments.engine import lanes, plan, recent_programs, results
from experiments.engine.space import Trials
from training.batches import Data, make_data
from training.console import progress
from training.stopping import Course

Datasets: TypeAlias = Mapping[lanes.DataKey, input_pipeline.Dataset]
Watch: TypeAlias = Callable[[str, int, train.TrainState], None]
Looks: TypeAlias = Callable[[str, int], bool]  # Whether a trial is watched after that epoch.
# The rows of earlier epochs of each trial, {trial, epoch, diverged, metrics, probes}.
Rows: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]


class Begun(NamedTuple):
    """How far the trials of a pack have come before it: their states, and the rows of their epochs."""

    states: Mapping[str, train.TrainState]
    rows: Rows


# What a pack begins with, where it does not begin with the first epoch; what takes its rows and the states in which its
# trials end, before anybody else has its rows.
Begin: TypeAlias = Callable[[plan.Pack], Begun | None]
Keep: TypeAlias = Callable[[plan.Pack, pa.Table, dict[str, train.TrainState]], None]


class Runner:
    """Runs packs on the local devices, and keeps the compiled programs of the last structure and the last data set for
    the next one; on a CPU those of the last few structures serve all runners of this process."""

    def __init__(self) -> None:
        self._programs: dict[plan.ProgramKey, lanes.Programs] = {}
        self._data: tuple[Any, Data] | None = None

    def run(
        self,
        pack: plan.Pack,
        trials: Trials,
        dataset: input_pipeline.Dataset,
        advance: Callable[[int], Any],
        starts: Mapping[str, train.TrainState] | None = None,
        watch: Watch | None = None,
        before: Rows | None = None,
        last: dict[str, train.TrainState] | None = None,
        looks: Looks | None = None,
    ) -> pa.Table:
        """The rows of a pack, after those of `before`, its trials' earlier epochs; `advance` is told how many epochs of
        single trials have gone by, also of those that are left out since their trial has ended; `starts`, `watch` and
        `looks` as in `train_states`; `last` is filled with the state of each trial after its last epoch, as numpy
        arrays.

        Trials that end leave their lanes: where it is worth another program, those that go on move together. Those that
        are watched all stay to the end.
        """
        began, ended = time.time(), list[float]()
        rows = [row for name in pack.trials for row in (before or {}).get(name, ())]
        courses = {name: Course(trials[name], (before or {}).get(name, ())) for name in pack.trials}
        left, part, narrowed = pack.steps(trials), pack, None
        while True:
            data, programs = self._loaded(pack, part.shape, trials, dataset)
            epoch = None
            for epoch in run_part(part, trials, programs, data, courses, starts):
                ended.append(time.time())
                names_and_rows = [pair for pair in epoch.by_name(part.rows) if pair[1]]
                rows += [{"trial": name} | row for name, row in names_and_rows if row]
                left -= len(pack.trials)
                advance(len(pack.trials))
                if watch:
                    number = rows[-1]["epoch"]
                    going = (name for name, row in names_and_rows if row and not row["diverged"])
                    seen = [name for name in going if looks is None or looks(name, number)]
                    # Copying all states from the devices may take longer than a short epoch.
                    states = epoch.states_by_name(part.rows) if seen else {}
                    for name in seen:
                        watch(name, number, states[name])
                    continue
                alive = [name for name, row in names_and_rows if row and not (row["diverged"] or courses[name].reason)]
                devices = programs.sharding.mesh.size
                narrowed = plan.narrowed(part, alive, rows[-1]["epoch"], trials, devices, len(dataset.images))
                if narrowed:
                    break
            ends = epoch.states_by_name(part.rows) if epoch and (narrowed or last is not None) else {}
            if last is not None:
                last.update(ends)
            if not narrowed:
                break
            part, starts, narrowed = narrowed, ends, None
        advance(left)
        table = results.pack_table({name: trials[name] for name in pack.trials}, rows)
        return results.with_times(table, results.Times(began, tuple(ended), pack.start))

    def _loaded(
        self, pack: plan.Pack, shape: lanes.Shape, trials: Trials, dataset: input_pipeline.Dataset
    ) -> tuple[Data, lanes.Programs]:
        """The data set on the devices, and the programs for lanes of that shape of the pack's trials."""
        trial = trials[pack.rows[0][0]]
        config = plan.one_that_decays(pack, trials) or trial
        mesh = lanes.mesh_of(trial, shape.rows)
        key = lanes.data_key(trial), trial.probe_examples, config.decays, mesh
        if self._data is None or self._data[0] != key:
            self._data = key, lanes.replicate(make_data(config, dataset), mesh)
        key = plan.program_key(pack._replace(shape=shape), trials)
        if any(known._replace(shape=shape) != key for known in self._programs):
            self._programs = {}  # Its memory is free before the next ones are compiled.
        if key not in self._programs:
            self._programs[key] = recent_programs.programs_for(trial, shape, pack.optional, self._data[1])
        return self._data[1], self._programs[key]


def run_part(
    pack: plan.Pack,
    trials: Trials,
    programs: lanes.Programs,
    data: Data,
    courses: Mapping[str, Course],
    starts: Mapping[str, train.TrainState] | None,
) -> Iterator[lanes.Epoch]:
    """The epochs of a pack."""
    configs = [[trials[name] for name in row] for row in pack.rows]
    of_rows = [[courses[name] for name in row] for row in pack.rows]
    states = [[starts[name] for name in row] for row in pack.rows] if starts else None
    epochs = range(pack.start + 1, pack.last_epoch(trials) + 1)
    return lanes.run_pack(configs, programs, data, states, epochs, of_rows)


def run_locally(
    packs: Sequence[plan.Pack],
    trials: Trials,
    datasets: Datasets,
    advance: Callable[[int], Any],
    begin: Begin | None = None,
    keep: Keep | None = None,
) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """The packs one after the other, each on all local devices."""
    runner = Runner()
    for pack in packs:
        dataset, begun = datasets[lanes.data_key(trials[pack.rows[0][0]])], begin(pack) if begin else None
        table, states = run_begun(runner, pack, trials, dataset, advance, begun, is_kept=keep is not None)
        if keep:
            keep(pack, table, states)
        yield pack, table


def run_begun(
    runner: Runner,
    pack: plan.Pack,
    trials: Trials,
    dataset: input_pipeline.Dataset,
    advance: Callable[[int], Any],
    begun: Begun | None,
    is_kept: bool,
) -> tuple[pa.Table, dict[str, train.TrainState]]:
    """The rows of a pack that goes on from what has begun, and where they are kept the last states of its trials that
    have not diverged, as numpy arrays."""
    last: dict[str, train.TrainState] | None = {} if is_kept else None
    starts, before = begun or (None, None)
    table = runner.run(pack, trials, dataset, advance, starts, before=before, last=last)
    diverged = set(table.filter(table["diverged"])["trial"].to_pylist())
    return table, {name: state for name, state in (last or {}).items() if name not in diverged}


def train_all(trials: Trials, dataset: input_pipeline.Dataset, label: str = "trials") -> pa.Table:
    """All rows of the trials, which share a data set, trained here with a progress bar; nothing is written, and no
    test set is measured beside the validation examples."""
    return _train(trials, dataset, label)


def train_states(
    trials: Trials,
    dataset: input_pipeline.Dataset,
    label: str = "trials",
    starts: Mapping[str, train.TrainState] | None = None,
    watch: Watch | None = None,
    looks: Looks | None = None,
) -> tuple[pa.Table, dict[str, train.TrainState]]:
    """`train_all`, and the state of each trial after its last epoch, as numpy arrays; of one that diverged, the state
    in which it did. Trials start from `starts`, a state a trial name, where they are given; `watch(name, epoch, state)`
    is called after every epoch of every trial that has neither ended nor diverged, or after those alone of which
    `looks(name, epoch)` is true (without `watch` nothing is looked at)."""
    last: dict[str, train.TrainState] = {}
    return _train(trials, dataset, label, starts=starts, watch=watch, last=last, looks=looks), last


def _train(trials: Trials, dataset: input_pipeline.Dataset, label: str, **states: Any) -> pa.Table:
    # Nobody asks for the test set here, and thousands of short epochs would spend most of their time on it.
    dataset = dataset._replace(test_images=dataset.test_images[:0], test_labels=dataset.test_labels[:0])
    packs, runner = plan.make_packs(trials, plan.this_machine(), lambda _: len(dataset.images)), Runner()
    total = sum(trial.epochs for trial in trials.values())
    with progress(total, "epoch", desc=label) as bar:
        return results.join([runner.run(pack, trials, dataset, bar.update, **states) for pack in packs])
