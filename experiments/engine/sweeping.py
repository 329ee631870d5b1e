"""Running a sweep: what is missing in its folder, pack by pack."""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

import input_pipeline
import train
from experiments.engine import executors, finished, lanes, plan, ray_executor, results, rungs
from experiments.engine.plan_file import SweepError
from experiments.engine.space import Trials, as_cell, swept
from experiments.engine.stages import Stage
from experiments.engine.standing import Standing, standing_of
from experiments.engine.states import Store
from experiments.engine.sweep_directory import SweepDirectory
from experiments.engine.tensorboard import MOST_RUNS, Events
from experiments.engine.winners import Winners
from training.compiling import check_sums
from training.config import NUMERIC, AnyConfig, Config, as_config
from training.console import count, duration, progress, say, warn
from training.fitting import check_fits
from training.records import LOWEST_IS_BEST
from training.screen import validation_line

USER_ERRORS = (*train.USER_ERRORS, SweepError, ray_executor.ExecutorError, results.DamagedError)
NOTHING, BEST, ALL = "nothing", "best", "all"
MakePacks = Callable[[dict[str, Config]], list[plan.Pack]]
# (packs, trials, datasets, advance) -> each pack with its rows as it ends: `executors.run_locally` and its like.
Execute = Callable[..., Iterator[tuple[plan.Pack, pa.Table]]]
# Given all rows that have finished, None where there are none: what is to be run next, nothing at the end.
Next = Callable[[pa.Table | None], Trials]


# Given the folder, all of its rows and how far the sweep is: the words that are said of them, if any.
Report = Callable[[Path, pa.Table, Standing | None], str | None]


class Repeat(NamedTuple):
    """How a finished sweep is repeated: what the words of its report depend on besides its rows, and what takes them
    where they are still true."""

    report_options: str
    say: Callable[[str], object]


class Going(NamedTuple):
    """How the trials of a sweep go: by successive halving at that factor; on from where a finished sweep had fewer
    epochs; and what is kept of their states in the end, `best` the weights of the best seed of each setting, `all` what
    every trial may go on from."""

    halving: int | None = None
    goes_on: bool = False
    keep: str = NOTHING


def run(
    base: AnyConfig,
    trials: Trials,
    workdir: str | Path,
    data_dir: str = input_pipeline.DEFAULT_DATA_DIR,
    *,
    executor: str = "local",
    address: str | None = None,
    cpus_per_task: int = 1,
    gpus_per_task: float = 0.0,
    most_lanes: int | None = None,
    dry_run: bool = False,
    report: Report | None = None,
    going: Going = Going(),  # noqa: B008
    next_trials: Next | None = None,
    tensorboard: bool | None = None,
    summed: Callable[[pa.Table], pa.Table] | None = None,
    repeat: Repeat | None = None,
    prepare: Callable[[], object] | None = None,
) -> list[dict[str, Any]] | None:
    """Runs what is missing of the trials into the folder, and calls `report` with the folder, all of its rows and how
    far the sweep is; returns the rows of the summary, None for a dry run. TensorBoard's events are written as packs
    end; where nothing is said of them, of no more than `MOST_RUNS` trials. Where the trials depend on what came of
    others, they are the first ones, and `next_trials` says what comes next; `summed` which rows the summary is of, by
    default all. With `repeat` a finished sweep of which no byte has changed since is not read again: the words of its
    report are repeated, and None is returned. `prepare` is called before packs run, perhaps more than once."""
    directory = SweepDirectory(workdir, as_config(base), trials, going.goes_on)
    datasets = load_datasets(trials, data_dir)
    examples = lambda trial: len(datasets[lanes.data_key(trial)].images)  # noqa: E731
    with contextlib.ExitStack() as stack:
        if executor == "ray":
            # Ray starts processes, which should come before JAX starts threads.
            ray = stack.enter_context(ray_executor.connected(address))
            machines = ray_executor.ray_machines(ray, cpus_per_task, gpus_per_task)
            execute = partial(ray_executor.run_on_ray, ray, cpus=cpus_per_task, gpus=gpus_per_task)
        else:
            machines, execute = plan.this_machine(), executors.run_locally
        made_for = made_for_of(machines, most_lanes)
        make_packs = partial(plan.make_packs, machines=machines, examples=examples, most_lanes=most_lanes)
        if dry_run:
            if next_trials:
                say("Below is the round that comes next; what is run after it depends on what comes of it.")
                trials = directory.trials = dict(next_trials(finished_rows(directory)) or trials)
                load_datasets(trials, data_dir, datasets)
            packs, ladder, number = planned_first(directory, made_for, make_packs, going)
            say("\n".join(plan_lines(packs, trials, machines, examples, ladder, number)))
            return None
        stack.enter_context(directory)
        for line in dict.fromkeys(validation_line(trial, datasets[key]) for key, trial in by_data(trials).items()):
            say(line)
        directory.events = events_of(directory, tensorboard)
        is_plain = going == Going() and not (next_trials or summed or directory.events)
        key = ""
        if repeat and is_plain:
            key = finished.question_of(directory.base, trials, made_for, datasets.values(), repeat.report_options)
            if words := finished.words_of(directory.workdir, directory.recorded, key):
                say(done_line(directory.workdir, trials, []))
                repeat.say(words)
                return None
        run_all = partial(run_missing, directory, datasets, execute, made_for, make_packs, going, prepare)
        table = in_rounds(directory, datasets, data_dir, next_trials, run_all) if next_trials else run_all()
        summary = directory.write_results(table, summed(table) if summed else None)
        words = report(directory.workdir, table, directory.standing) if report else None
        if key and words and directory.standing and directory.standing.is_all_of(trials):
            finished.write(directory.workdir, directory.recorded, key, words)
        return summary


def events_of(directory: SweepDirectory, wanted: bool | None) -> Events | None:
    """What writes TensorBoard's events of the sweep, None where they are not wanted or, unasked, too many."""
    many = len(directory.trials) > MOST_RUNS
    if many and wanted is None:
        say(f"TensorBoard's events are left out for more than {MOST_RUNS} trials: --tensorboard writes them.")
    return (
        Events(directory.workdir / "tensorboard", directory.trials) if wanted or (wanted is None and not many) else None
    )


def run_here(
    base: AnyConfig,
    trials: Trials,
    workdir: str | Path,
    execute: Execute = executors.run_locally,
    next_trials: Next | None = None,
) -> pa.Table:
    """All rows of the trials, of which what is missing in the folder is run on this machine: the packs of a sweep
    without its report; with `next_trials`, as in `run`, all rows in the folder. A caller that was killed and asks for
    the same trials again goes on."""
    machines, datasets = plan.this_machine(), load_datasets(trials, input_pipeline.DEFAULT_DATA_DIR)
    examples = lambda trial: len(datasets[lanes.data_key(trial)].images)  # noqa: E731
    make_packs = partial(plan.make_packs, machines=machines, examples=examples)
    with SweepDirectory(workdir, as_config(base), trials) as directory:
        run_all = partial(run_missing, directory, datasets, execute, made_for_of(machines), make_packs)
        if next_trials:
            return in_rounds(directory, datasets, input_pipeline.DEFAULT_DATA_DIR, next_trials, run_all)
        table = run_all()
    return table.filter(pc.is_in(table["trial"], pa.array(list(trials))))  # pyright: ignore


def in_rounds(
    directory: SweepDirectory,
    datasets: dict[lanes.DataKey, input_pipeline.Dataset],
    data_dir: str,
    next_trials: Next,
    run_all: Callable[[], pa.Table],
) -> pa.Table:
    """Runs, into the folder that is entered, what `next_trials` wants, again and again, until it wants no more; returns
    the rows of all that is finished there. It is asked before anything runs, so that a sweep that goes on does so in
    the round in which it was stopped, with the packs of that round."""
    table = finished_rows(directory)
    while trials := next_trials(table):
        directory.trials = {**directory.trials, **trials}
        load_datasets(trials, data_dir, datasets)
        table = run_all()
    assert table is not None  # A search has a first trial.
    return table


def finished_rows(directory: SweepDirectory) -> pa.Table | None:
    """All rows in the folder, None where no pack is finished."""
    tables = directory.finished()
    return results.join(results.latest(tables)) if tables else None


def run_missing(
    directory: SweepDirectory,
    datasets: executors.Datasets,
    execute: Execute,
    made_for: Mapping[str, Any],
    make_packs: MakePacks,
    going: Going = Going(),  # noqa: B008
    prepare: Callable[[], object] | None = None,
) -> pa.Table:
    """Runs the packs that are missing in the folder, which is entered, each written as it ends; returns the rows of all
    that is finished there."""
    trials, tables = directory.trials, directory.finished()
    store, winners = Store(directory.workdir), Winners(directory.workdir) if going.keep == BEST else None
    ladder = rungs.rungs_of(trials, going.halving) if going.halving else []
    names, done = list(trials), list[dict[str, int]]()
    continued = dict(directory.recorded.continued) if directory.recorded else dict[str, str]()
    if winners:
        for table in tables.values():
            winners.add(table)
    for number, (rung, upcoming) in enumerate(itertools.zip_longest(ladder or [None], ladder[1:]), start=1):
        stage = Stage(trials, tables, store, going.goes_on)
        continued |= {then: now for then, now in stage.continued.items() if continued.get(then) not in stage.there}
        if directory.events and number == 1:
            directory.events.catch_up(tables.values(), continued)
        end = rung and rung.end
        over = directory.missing_packs(tables, made_for, make_packs, stage.to_take_over(names, end))
        missing = directory.missing_packs(tables, made_for, make_packs, stage.to_come(names, end))
        # The packs of a later rung in which the sweep was stopped stay in the plan until they are missing.
        if over or missing or not upcoming:
            directory.write_plan(tables, made_for, over + missing, done, continued)
        if number == 1:
            say_what_is_done(stage, missing, over, directory.workdir, continued)
        take_over(over, stage, directory, tables, store, winners)
        if rung:
            anew = sum(len(pack.trials) for pack in missing if not pack.start) if number > 1 else 0
            say(
                f"Rung {number} of {len(ladder)}: {count(range(rung.settings), 'setting')} to epoch {rung.end}"
                + (f"; of {count(range(anew), 'trial')} no state was kept: these start anew" if anew else "")
            )
        if missing and prepare:
            prepare()
        if missing:
            check_sums()
        goes = keywords(stage, store if going.keep == ALL or upcoming else None, winners)
        for pack, table in with_progress(partial(execute, missing, trials, datasets, **goes), missing, trials):
            directory.write_pack(pack, table)
            tables[pack.name] = table
        if rung and upcoming:
            names = Stage(trials, tables, store).best(names, rung.end, upcoming.settings)
            done.append({"end": rung.end, "settings": rung.settings, "kept": upcoming.settings})
    superseded = set(directory.recorded.continued) - trials.keys() if directory.recorded else set[str]()
    stage = Stage(trials, tables, store)
    # What an earlier start has kept stays: states are only in the way where successive halving has made them, or what
    # is called otherwise now has come as far.
    has_kept = going.keep == ALL or not ladder
    passed = {then for then in superseded if not stage.is_ahead(then, continued)}
    store.keep_only(stage.pack_names(stage.there.keys() - passed) if has_kept else ())
    if winners and (lost := winners.tidy(superseded)):
        warn(f"{count(range(lost), 'setting')} had ended before weights were kept; accepted: a new folder to keep all")
    directory.standing = standing_of(directory.recorded, tables) if directory.recorded else None
    return results.join(results.latest(tables, superseded))


def take_over(
    packs: Sequence[plan.Pack],
    stage: Stage,
    directory: SweepDirectory,
    tables: dict[str, pa.Table],
    store: Store,
    winners: Winners | None,
) -> None:
    """Writes packs that have no epochs to run: the rows, states and weights that their trials have under the names by
    which they had another end."""
    for pack in packs:
        table, states = stage.taken_over(pack)
        store.write(pack.name, states)
        if winners:
            winners.take_over({name: stage.origins[name] for name in pack.trials}, pack.start)
            winners.add(table, states)
        directory.write_pack(pack, table)
        tables[pack.name] = table


def keywords(stage: Stage, store: Store | None, winners: Winners | None) -> dict[str, Any]:
    """What an executor is told besides, where trials go on from states or theirs are kept."""

    def kept(pack: plan.Pack, table: pa.Table, states: dict[str, train.TrainState]) -> None:
        if store:
            store.write(pack.name, states)
        if winners:
            winners.add(table, states)

    keep = {"keep": kept} if store or winners else {}
    return keep | ({"begin": stage.begin} if keep or stage.is_begun else {})


def planned_first(
    directory: SweepDirectory, made_for: Mapping[str, Any], make_packs: MakePacks, going: Going
) -> tuple[list[plan.Pack], list[rungs.Rung], int]:
    """The packs that would run at once, and of successive halving its rungs and the number of the one that they are
    of."""
    trials, tables = directory.trials, directory.finished()
    ladder = rungs.rungs_of(trials, going.halving) if going.halving else []
    stage = Stage(trials, tables, Store(directory.workdir), going.goes_on)
    names = list(trials)
    for number, (rung, upcoming) in enumerate(itertools.zip_longest(ladder or [None], ladder[1:]), start=1):
        missing = directory.missing_packs(tables, made_for, make_packs, stage.to_come(names, rung and rung.end))
        if missing or not (rung and upcoming):
            return missing, ladder, number
        names = stage.best(names, rung.end, upcoming.settings)
    raise AssertionError("the last rung has none after it")


def made_for_of(machines: plan.Machines, most_lanes: int | None = None) -> dict[str, Any]:
    """What a plan depends on besides its trials, as plan.json records it."""
    return {"devices": machines.devices, "slots": machines.slots, "kind": machines.kind, "lanes": most_lanes}


def by_data(trials: Trials) -> dict[lanes.DataKey, Config]:
    """A trial of each data set, in the order of the first ones."""
    return {lanes.data_key(trial): trial for trial in trials.values()}


def load_datasets(
    trials: Trials, data_dir: str, datasets: dict[lanes.DataKey, input_pipeline.Dataset] | None = None
) -> dict[lanes.DataKey, input_pipeline.Dataset]:
    """The data sets of all trials, each trial checked to fit its own, added to those that are there."""
    datasets = {} if datasets is None else datasets
    for trial in {lanes.structure(trial): trial for trial in trials.values()}.values():
        key = lanes.data_key(trial)
        if key not in datasets:
            datasets[key] = train.load_dataset(trial, data_dir)
        check_fits(trial, datasets[key])
    return datasets


def plan_lines(
    packs: list[plan.Pack],
    trials: Trials,
    machines: plan.Machines,
    examples: plan.Examples,
    ladder: Sequence[rungs.Rung] = (),
    number: int = 1,
) -> list[str]:
    """The plan in words: trials, groups, packs, lanes, compilations, estimated time; of successive halving the packs of
    the rung of that number, and how much less there is to train."""
    fields = swept(trials)
    values = {name: list(dict.fromkeys(as_cell(getattr(trial, name)) for trial in trials.values())) for name in fields}
    lines = [f"{name}: {', '.join(map(str, values[name]))}" for name in fields]
    groups: dict[lanes.Structure, list[plan.Pack]] = {}
    for pack in packs:
        groups.setdefault(lanes.structure(trials[pack.trials[0]]), []).append(pack)
    structural = [name for name in fields if name not in NUMERIC]
    for of_group in groups.values():
        trial = trials[of_group[0].trials[0]]
        called = ", ".join(f"{name}={as_cell(getattr(trial, name))}" for name in structural) or "one structure"
        names, shape = [name for pack in of_group for name in pack.trials], of_group[0].shape
        lines.append(
            f"{called}: {count(names, 'trial')} in {count(of_group, 'pack')} of up to {shape.rows * shape.lanes} lanes "
            f"({shape.rows} rows of {shape.lanes})"
        )
    to_run = sum(len(pack.trials) for pack in packs)
    seconds = plan.estimated_seconds(packs, trials, machines, examples)
    if ladder:
        seeds, last = len(trials) // ladder[0].settings, ladder[-1].end
        ends = [0, *(rung.end for rung in ladder)]
        epochs = [rung.settings * (rung.end - before) for rung, before in zip(ladder, ends, strict=False)]
        rung_words = ", ".join(f"{rung.settings} to epoch {rung.end}" for rung in ladder)
        lines.append(
            f"successive halving: settings {rung_words}; {seeds * sum(epochs):,} epochs of single trials in place of "
            f"{len(trials) * last:,}; to run is what rung {number} lacks"
        )
    compilations = plan.compilations(packs, trials)
    lines.append(
        f"{count(trials, 'trial')}, {len(trials) - to_run} finished; to run: {count(groups, 'group')}, "
        f"{count(packs, 'pack')}, {count(range(compilations), 'compilation')} of the epoch, "
        f"on {machines.slots} {machines.kind} devices; about {duration(seconds)}"
    )
    return lines


def say_what_is_done(
    stage: Stage, missing: list[plan.Pack], over: list[plan.Pack], workdir: Path, continued: Mapping[str, str]
) -> None:
    """How much of the sweep there is already, and where; which trials of a finished one, called otherwise there, go on,
    which stay as they are, and which do neither."""
    trials = stage.trials
    line = done_line(workdir, trials, missing)
    others = stage.there.keys() - trials.keys() - continued.keys()
    say(line + (f"; {count(others, 'other finished trial')} kept in the results" if others else ""))
    if stage.origins:
        starts = [pack.start for pack in missing for name in pack.trials if name in stage.origins]
        anew, stay = starts.count(0), sum(len(pack.trials) for pack in over)
        say(
            f"{count(range(len(starts) - anew), 'trial')} of {len(starts) + stay} go on from where they were left"
            + (f"; of {anew} no state was kept (--keep=all keeps them): these start anew" if anew else "")
            + (f"; {stay} had come as far or further: these stay as they are" if stay else "")
        )


def done_line(workdir: Path, trials: Trials, missing: Sequence[plan.Pack]) -> str:
    """`runs/mine: 192 trials, 37 finished; 20 packs to run`."""
    to_run = sum(len(pack.trials) for pack in missing)
    return f"{workdir}: {count(trials, 'trial')}, {len(trials) - to_run} finished; {count(missing, 'pack')} to run"


def with_progress(execute: Any, packs: list[plan.Pack], trials: Trials) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """What the executor yields, with a progress bar over the epochs of all trials and a line a pack."""
    total = sum(pack.steps(trials) for pack in packs)
    fields = [name for name in swept(trials) if name not in NUMERIC]
    start = time.perf_counter()
    with progress(total, "epoch") as bar:
        for number, (pack, table) in enumerate(execute(bar.update), start=1):
            trial = trials[pack.trials[0]]
            called = "".join(f"  {name}={as_cell(getattr(trial, name))}" for name in fields)
            diverged = pc.sum(table["diverged"]).as_py()  # pyright: ignore
            score = results.score_of(table)
            best = (pc.min if score in LOWEST_IS_BEST else pc.max)(table[score]).as_py()  # pyright: ignore
            best = math.nan if best is None else best
            seconds = time.perf_counter() - start
            bar.say(
                f"Pack {number}/{len(packs)}{called}  {count(pack.trials, 'trial')}  {seconds:.0f}s  "
                f"best {score}: {best:.4f}" + (f"  diverged: {diverged}" if diverged else "")
            )
            yield pack, table
