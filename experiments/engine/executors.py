"""Who runs the packs of a sweep on this machine. An executor takes packs and yields (pack, table) as they finish."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import pyarrow as pa

import input_pipeline
import train
from experiments.engine import lanes, plan, results
from experiments.engine.space import Trials
from training.batches import make_data
from training.console import progress

Datasets: TypeAlias = Mapping[lanes.DataKey, input_pipeline.Dataset]
Watch: TypeAlias = Callable[[str, int, train.TrainState], None]


class Runner:
    """Runs packs on the local devices, and keeps the last compiled programs and the last data set for the next one."""

    def __init__(self) -> None:
        self._programs: tuple[Any, lanes.Programs] | None = None
        self._data: tuple[Any, Any] | None = None

    def run(
        self,
        pack: plan.Pack,
        trials: Trials,
        dataset: input_pipeline.Dataset,
        advance: Callable[[int], Any],
        starts: Mapping[str, train.TrainState] | None = None,
        watch: Watch | None = None,
    ) -> pa.Table:
        """The rows of a pack; `advance` is told how many epochs of single trials have gone by, also of those that are
        left out since their trial has diverged; `starts` and `watch` as in `train_states`."""
        trial = trials[pack.rows[0][0]]
        mesh = lanes.mesh_of(trial, pack.shape.rows)
        config = trial.replace(l2=plan.largest_l2(pack, trials))
        key = lanes.data_key(trial), trial.probe_examples, config.l2 > 0, mesh
        if self._data is None or self._data[0] != key:
            self._data = key, lanes.replicate(make_data(config, dataset), mesh)
        key = plan.program_key(pack, trials)
        if self._programs is None or self._programs[0] != key:
            self._programs = None  # Its memory is free before the next ones are compiled.
            self._programs = key, lanes.compile_programs(trial, pack.shape, pack.optional, self._data[1])
        rows, left = [], len(pack.trials) * trial.epochs
        configs = [[trials[name] for name in row] for row in pack.rows]
        states = [[starts[name] for name in row] for row in pack.rows] if starts else None
        for epoch in lanes.run_pack(configs, self._programs[1], self._data[1], states):
            for names, of_row in zip(pack.rows, epoch.rows, strict=True):
                rows += [{"trial": name} | row for name, row in zip(names, of_row, strict=True) if row]
            if watch:
                on_host = epoch._replace(states_WxR=jax.device_get(epoch.states_WxR))
                for w, names in enumerate(pack.rows):
                    for r, name in enumerate(names):
                        watch(name, rows[-1]["epoch"], on_host.state_of(w, r))
            left -= len(pack.trials)
            advance(len(pack.trials))
        advance(left)
        return results.pack_table({name: trials[name] for name in pack.trials}, rows)


def run_locally(
    packs: Sequence[plan.Pack], trials: Trials, datasets: Datasets, advance: Callable[[int], Any]
) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """The packs one after the other, each on all local devices."""
    runner = Runner()
    for pack in packs:
        yield pack, runner.run(pack, trials, datasets[lanes.data_key(trials[pack.rows[0][0]])], advance)


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
) -> tuple[pa.Table, dict[str, train.TrainState]]:
    """`train_all`, and the state of each trial after its last epoch, as numpy arrays; of one that diverged, the state
    in which it did. Trials start from `starts`, a state a trial name, where they are given; `watch(name, epoch, state)`
    is called after every epoch of every trial."""
    last: dict[str, train.TrainState] = {}

    def keep(name: str, epoch: int, state: train.TrainState) -> None:
        last[name] = state
        if watch:
            watch(name, epoch, state)

    return _train(trials, dataset, label, starts, keep), last


def _train(trials: Trials, dataset: input_pipeline.Dataset, label: str, *states: Any) -> pa.Table:
    # Nobody asks for the test set here, and thousands of short epochs would spend most of their time on it.
    dataset = dataset._replace(test_images=dataset.test_images[:0], test_labels=dataset.test_labels[:0])
    packs, runner = plan.make_packs(trials, plan.this_machine(), lambda _: len(dataset.images)), Runner()
    total = sum(trial.epochs for trial in trials.values())
    with progress(total, "epoch", desc=label) as bar:
        return results.join([runner.run(pack, trials, dataset, bar.update, *states) for pack in packs])
