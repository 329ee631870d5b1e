"""Running a sweep: what is missing in its folder, pack by pack."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import input_pipeline
import train
from experiments.engine import executors, lanes, plan, ray_executor, results
from experiments.engine.plan_file import SweepError
from experiments.engine.space import Trials, as_cell, swept
from experiments.engine.sweep_directory import SweepDirectory, finished_trials
from training.compiling import check_sums
from training.config import NUMERIC, AnyConfig, Config, as_config
from training.console import count, duration, progress, say
from training.fitting import check_fits
from training.records import LOWEST_IS_BEST
from training.screen import validation_line

USER_ERRORS = (*train.USER_ERRORS, SweepError, ray_executor.ExecutorError, results.DamagedError)
# (packs, trials, datasets, advance) -> each pack with its rows as it ends: `executors.run_locally` and its like.
Execute = Callable[..., Iterator[tuple[plan.Pack, pa.Table]]]


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
    report: Callable[[Path, pa.Table], object] | None = None,
) -> list[dict[str, Any]] | None:
    """Runs what is missing of the trials into the folder, and calls `report` with the folder and all of its rows;
    returns the rows of the summary, None for a dry run."""
    directory = SweepDirectory(workdir, as_config(base), trials)
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
            packs = directory.missing_packs(directory.finished(), made_for, make_packs)
            say("\n".join(plan_lines(packs, trials, machines, examples)))
            return None
        stack.enter_context(directory)
        for line in dict.fromkeys(validation_line(trial, datasets[lanes.data_key(trial)]) for trial in trials.values()):
            say(line)
        table = results.join(run_missing(directory, datasets, execute, made_for, make_packs).values())
        summary = directory.write_results(table)
        if report:
            report(directory.workdir, table)
        return summary


def run_here(
    base: AnyConfig, trials: Trials, workdir: str | Path, execute: Execute = executors.run_locally
) -> pa.Table:
    """All rows of the trials, of which what is missing in the folder is run on this machine: the packs of a sweep
    without its report. A caller that was killed and asks for the same trials again goes on."""
    machines, datasets = plan.this_machine(), load_datasets(trials, input_pipeline.DEFAULT_DATA_DIR)
    examples = lambda trial: len(datasets[lanes.data_key(trial)].images)  # noqa: E731
    make_packs = partial(plan.make_packs, machines=machines, examples=examples)
    with SweepDirectory(workdir, as_config(base), trials) as directory:
        tables = run_missing(directory, datasets, execute, made_for_of(machines), make_packs)
    table = results.join(tables.values())
    return table.filter(pc.is_in(table["trial"], pa.array(list(trials))))  # pyright: ignore


def run_missing(
    directory: SweepDirectory,
    datasets: executors.Datasets,
    execute: Execute,
    made_for: Mapping[str, Any],
    make_packs: Callable[[dict[str, Config]], list[plan.Pack]],
) -> dict[str, pa.Table]:
    """Runs the packs that are missing in the folder, which is entered, each written as it ends; returns the tables of
    all finished packs, by name."""
    check_sums()
    trials, tables = directory.trials, directory.finished()
    missing = directory.missing_packs(tables, made_for, make_packs)
    directory.write_plan(tables, made_for, missing)
    say_what_is_done(trials, tables, missing, directory.workdir)
    for pack, table in with_progress(partial(execute, missing, trials, datasets), missing, trials):
        directory.write_pack(pack, table)
        tables[pack.name] = table
    return tables


def made_for_of(machines: plan.Machines, most_lanes: int | None = None) -> dict[str, Any]:
    """What a plan depends on besides its trials, as plan.json records it."""
    return {"devices": machines.devices, "slots": machines.slots, "kind": machines.kind, "lanes": most_lanes}


def load_datasets(trials: Trials, data_dir: str) -> executors.Datasets:
    """The data sets of all trials, each trial checked to fit its own."""
    datasets: dict[lanes.DataKey, input_pipeline.Dataset] = {}
    for trial in {lanes.structure(trial): trial for trial in trials.values()}.values():
        key = lanes.data_key(trial)
        if key not in datasets:
            datasets[key] = train.load_dataset(trial, data_dir)
        check_fits(trial, datasets[key])
    return datasets


def plan_lines(packs: list[plan.Pack], trials: Trials, machines: plan.Machines, examples: plan.Examples) -> list[str]:
    """The plan in words: trials, groups, packs, lanes, compilations, estimated time."""
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
    compilations = plan.compilations(packs, trials)
    lines.append(
        f"{count(trials, 'trial')}, {len(trials) - to_run} finished; to run: {count(groups, 'group')}, "
        f"{count(packs, 'pack')}, {count(range(compilations), 'compilation')} of the epoch, "
        f"on {machines.slots} {machines.kind} devices; about {duration(seconds)}"
    )
    return lines


def say_what_is_done(trials: Trials, tables: Mapping[str, pa.Table], missing: list[plan.Pack], workdir: Path) -> None:
    """How much of the sweep there is already, and where."""
    to_run = sum(len(pack.trials) for pack in missing)
    line = f"{workdir}: {count(trials, 'trial')}, {len(trials) - to_run} finished; {count(missing, 'pack')} to run"
    others = finished_trials(tables) - set(trials)
    say(line + (f"; {count(others, 'other finished trial')} kept in the results" if others else ""))


def with_progress(execute: Any, packs: list[plan.Pack], trials: Trials) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """What the executor yields, with a progress bar over the epochs of all trials and a line a pack."""
    total = sum(trials[name].epochs for pack in packs for name in pack.trials)
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
