"""Hundreds of runs at nearly the cost of their matrix products, on all cores, GPUs or TPU cores, or a Ray cluster.

    python -m experiments.sweep --config=configs/learning_rate_sweep.py [--workdir=DIR]
    python -m experiments.sweep --config=configs/shallow.py --axis learning_rate=0.1,1 --axis hidden=64,64-64 --seeds=8
    python -m experiments.sweep ... --dry_run                             what it would do, and how long it would take
    python -m experiments.sweep ... --executor=ray --address=HOST:6379    on the machines of a cluster

A config file may say its own sweep: `sweep(add)` calls `add(field=value, ...)` once a trial. Axes and seeds given on
the command line multiply that, and replace what it says of their own fields. Trials that differ in numbers alone
(learning rate, momentum, L2, initial scale, seed) are lanes of one compiled program; the same seed means the same
initial draw and the same batches in all of them. A sweep that was killed goes on by the same command with its
--workdir; given more seeds or more values, it runs what is new. What it leaves on disk: `experiments/results.py`.
"""

import contextlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sized
from functools import partial
from pathlib import Path
from typing import Any

import jax
import pyarrow as pa
import pyarrow.compute as pc
from absl import app, flags, logging
from ml_collections import ConfigDict
from tqdm import tqdm

import input_pipeline
import run_directory
import train
from experiments import executors, lanes, plan, report, results
from input_pipeline import fail


class SweepError(Exception):
    """A sweep that cannot be run as asked, in one line."""


USER_ERRORS = (*train.USER_ERRORS, SweepError, executors.ExecutorError, results.DamagedError)
# (packs, trials, datasets, advance) -> each pack with its rows as it ends: `executors.run_locally` and its like.
Execute = Callable[..., Iterator[tuple[plan.Pack, pa.Table]]]


def load_sweep(file: str) -> plan.Sweep | None:
    """The function `sweep(add)` of a config file, None where it has none."""
    spec = importlib.util.spec_from_file_location("sweep_config", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "sweep", None)


# ---------------------------------------------------------------------------------------------------------------------
# The folder of a sweep.


class SweepDirectory:
    """The folder of a sweep: which packs there are, which are finished. A context manager that keeps others out."""

    def __init__(self, workdir: str | Path, base: Mapping[str, Any], trials: executors.Trials):
        self.workdir, self.base, self.trials = Path(workdir), plan.normal(base), trials
        self.recorded = self._check()
        self._lock = None

    def _check(self) -> dict[str, Any]:
        """plan.json of an earlier start, {} where there is none; SweepError where the folder is not this sweep's."""
        if not (self.workdir / "plan.json").exists():
            if self.workdir.exists() and not self.workdir.is_dir():
                raise SweepError(f"{self.workdir} is a file; accepted: a new folder, or the folder of a sweep")
            if self.workdir.is_dir() and any(not entry.name.startswith(".") for entry in self.workdir.iterdir()):
                raise SweepError(f"{self.workdir} is neither empty nor a sweep (no plan.json); accepted: a new folder")
            return {}
        recorded = read_plan(self.workdir)
        free = set(recorded["swept"]) & set(plan.swept(self.trials))
        there, here = plan.normal(recorded["base"]), self.base
        differing = [name for name in sorted(there | here) if name not in free and there.get(name) != here.get(name)]
        if differing:
            fields = ", ".join(f"{name} {there.get(name)!r} there, {here.get(name)!r} here" for name in differing)
            raise SweepError(
                f"{self.workdir} holds a sweep of another base config ({fields}); accepted: the same or a new folder"
            )
        return recorded

    def __enter__(self) -> "SweepDirectory":
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._lock = run_directory.lock(self.workdir)
        self.recorded = self._check()  # Another process may have been here until now.
        run_directory.need_room(self.workdir, 0)
        if self.recorded.get("starts"):
            run_directory.warn_of_other_versions(self.recorded["starts"][-1]["versions"], self.workdir)
        return self

    def __exit__(self, *_) -> None:
        if self._lock:
            self._lock.close()

    def finished(self) -> dict[str, pa.Table]:
        """The tables of the finished packs, by name; a damaged one is said, and counts as not finished."""
        tables = {}
        for pack in self.recorded.get("packs", []):
            path = self.workdir / "packs" / f"{pack['name']}.parquet"
            if not path.exists():
                continue
            try:
                trials = {name: {"epochs": epochs} for row in pack["rows"] for name, epochs in row}
                tables[pack["name"]] = results.read_pack(path, trials)
            except results.DamagedError as error:
                print(f"warning: {path} is damaged ({error}); its trials are run again", file=sys.stderr)
        return tables

    def missing_packs(
        self, tables: Mapping[str, pa.Table], made_for: Mapping[str, Any], make_packs: Callable[[dict], list[plan.Pack]]
    ) -> list[plan.Pack]:
        """The packs to run: those of an earlier start for the same machines and --lanes that are not finished and still
        wanted as they are, then new ones. So a sweep that goes on has the packs, and the bits, of one never stopped."""
        done = finished_trials(tables)
        kept = []
        for pack in self.recorded.get("packs", []):
            names = [name for row in pack["rows"] for name, _ in row]
            wanted = done.isdisjoint(names) and all(name in self.trials for name in names)
            if pack["name"] not in tables and wanted and self.recorded.get("made_for") == made_for:
                rows = tuple(tuple(name for name, _ in row) for row in pack["rows"])
                kept.append(plan.Pack(rows, lanes.Shape(*pack["shape"]), pack["has_momentum"]))
                done.update(names)
        new = {name: trial for name, trial in self.trials.items() if name not in done}
        return plan.by_program(kept + make_packs(new), self.trials)

    def write_plan(self, tables: Mapping[str, pa.Table], made_for: Mapping[str, Any], missing: list[plan.Pack]) -> None:
        """plan.json: the base config, the swept fields, the finished packs and those to come, and every start of the
        sweep that was by other packages, on another device or from another revision than the one before."""
        finished = [pack for pack in self.recorded.get("packs", []) if pack["name"] in tables]
        to_come = [
            {
                "name": pack.name,
                "shape": list(pack.shape),
                "has_momentum": pack.has_momentum,
                "rows": [[[name, self.trials[name]["epochs"]] for name in row] for row in pack.rows],
            }
            for pack in missing
        ]
        start = run_directory.provenance(ConfigDict(dict(self.base)))
        base, starts = start.pop("config"), self.recorded.get("starts", [])
        content = {
            "base": base,
            "swept": sorted({*self.recorded.get("swept", []), *plan.swept(self.trials)}),
            "made_for": made_for,
            "starts": [*starts, start] if not starts or (missing and starts[-1] != start) else starts,
            "packs": finished + to_come,
        }
        run_directory.write_atomically(self.workdir / "plan.json", json.dumps(content) + "\n")
        (self.workdir / "packs").mkdir(exist_ok=True)

    def write_pack(self, pack: plan.Pack, table: pa.Table) -> None:
        """A finished pack's file, whole or not at all."""
        results.write_table(table, self.workdir / "packs" / f"{pack.name}.parquet")

    def write_results(self, tables: Mapping[str, pa.Table]) -> list[dict[str, Any]]:
        """results.parquet, summary.csv, tensorboard/ and report.html, of all that is finished in this folder; returns
        the rows of the summary."""
        table = results.join(tables.values())
        results.write_table(table, self.workdir / "results.parquet")
        summary = results.summary_rows(table)
        results.write_summary(summary, self.workdir / "summary.csv")
        results.write_tensorboard(table, self.workdir / "tensorboard")
        report.write(self.workdir, table)
        return summary


def read_plan(workdir: Path) -> dict[str, Any]:
    """plan.json; SweepError where it is damaged."""
    path = workdir / "plan.json"
    try:
        recorded = json.loads(path.read_bytes())
        whole = isinstance(recorded["base"], dict) and isinstance(recorded["swept"], list)
        whole = whole and all(isinstance(start["versions"], dict) for start in recorded["starts"])
        for pack in recorded["packs"]:
            whole = whole and {"name", "has_momentum"} <= pack.keys() and len(lanes.Shape(*pack["shape"])) == 2
            whole = whole and all(type(epochs) is int for row in pack["rows"] for _, epochs in row)
        if not whole:
            raise ValueError("it is no plan")
        return recorded
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SweepError(f"{path} is damaged ({error!r}); accepted: a plan.json written by this command") from error


def finished_trials(tables: Mapping[str, pa.Table]) -> set[str]:
    """The names of the trials in finished packs."""
    return {name for table in tables.values() for name in pc.unique(table["trial"]).to_pylist()}  # pyright: ignore


# ---------------------------------------------------------------------------------------------------------------------
# Running it.


def run(
    base: ConfigDict,
    trials: executors.Trials,
    workdir: str | Path,
    data_dir: str = input_pipeline.DEFAULT_DATA_DIR,
    *,
    executor: str = "local",
    address: str | None = None,
    cpus_per_task: int = 1,
    gpus_per_task: float = 0.0,
    most_lanes: int | None = None,
    dry_run: bool = False,
) -> list[dict[str, Any]] | None:
    """Runs what is missing of the trials into the folder; returns the rows of its summary, None for a dry run."""
    directory = SweepDirectory(workdir, base.to_dict(), trials)
    datasets = load_datasets(trials, data_dir)
    examples = lambda trial: len(datasets[lanes.data_key(trial)].images)  # noqa: E731
    with contextlib.ExitStack() as stack:
        if executor == "ray":
            # Ray starts processes, which should come before JAX starts threads.
            ray = stack.enter_context(executors.connected(address))
            machines = executors.ray_machines(ray, cpus_per_task, gpus_per_task)
            execute = partial(executors.run_on_ray, ray, cpus=cpus_per_task, gpus=gpus_per_task)
        else:
            machines, execute = plan.this_machine(), executors.run_locally
        made_for = made_for_of(machines, most_lanes)
        make_packs = partial(plan.make_packs, machines=machines, examples=examples, most_lanes=most_lanes)
        if dry_run:
            packs = directory.missing_packs(directory.finished(), made_for, make_packs)
            print("\n".join(plan_lines(packs, trials, machines, examples)))
            return None
        stack.enter_context(directory)
        return directory.write_results(run_missing(directory, datasets, execute, made_for, make_packs))


def run_here(
    base: ConfigDict, trials: executors.Trials, workdir: str | Path, execute: Execute = executors.run_locally
) -> pa.Table:
    """All rows of the trials, of which what is missing in the folder is run on this machine: the packs of a sweep
    without its report. A caller that was killed and asks for the same trials again goes on."""
    machines, datasets = plan.this_machine(), load_datasets(trials, input_pipeline.DEFAULT_DATA_DIR)
    examples = lambda trial: len(datasets[lanes.data_key(trial)].images)  # noqa: E731
    make_packs = partial(plan.make_packs, machines=machines, examples=examples)
    with SweepDirectory(workdir, base.to_dict(), trials) as directory:
        tables = run_missing(directory, datasets, execute, made_for_of(machines), make_packs)
    table = results.join(tables.values())
    return table.filter(pc.is_in(table["trial"], pa.array(list(trials))))  # pyright: ignore


def run_missing(
    directory: SweepDirectory,
    datasets: executors.Datasets,
    execute: Execute,
    made_for: Mapping[str, Any],
    make_packs: Callable[[dict], list[plan.Pack]],
) -> dict[str, pa.Table]:
    """Runs the packs that are missing in the folder, which is entered, each written as it ends; returns the tables of
    all finished packs, by name."""
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


def load_datasets(trials: executors.Trials, data_dir: str) -> executors.Datasets:
    """The data sets of all trials, each trial checked to fit its own."""
    datasets: dict[tuple, input_pipeline.Dataset] = {}
    for trial in {lanes.structure(trial): trial for trial in trials.values()}.values():
        config, key = ConfigDict(dict(trial)), lanes.data_key(trial)
        if key not in datasets:
            datasets[key] = train.load_dataset(config, data_dir)
        train.check_fits(config, datasets[key])
    return datasets


def plan_lines(
    packs: list[plan.Pack], trials: executors.Trials, machines: plan.Machines, examples: plan.Examples
) -> list[str]:
    """The plan in words: trials, groups, packs, lanes, compilations, estimated time."""
    fields = plan.swept(trials)
    values = {name: list(dict.fromkeys(results.as_cell(trial[name]) for trial in trials.values())) for name in fields}
    lines = [f"{name}: {', '.join(map(str, values[name]))}" for name in fields]
    groups: dict[tuple, list[plan.Pack]] = {}
    for pack in packs:
        groups.setdefault(lanes.structure(trials[pack.trials[0]]), []).append(pack)
    structural = [name for name in fields if name not in lanes.NUMERIC]
    for of_group in groups.values():
        trial = trials[of_group[0].trials[0]]
        called = ", ".join(f"{name}={results.as_cell(trial[name])}" for name in structural) or "one structure"
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


def count(things: Sized, word: str) -> str:
    """`1 pack`, `24 packs`."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def say_what_is_done(
    trials: executors.Trials, tables: Mapping[str, pa.Table], missing: list[plan.Pack], workdir: Path
) -> None:
    """How much of the sweep there is already, and where."""
    to_run = sum(len(pack.trials) for pack in missing)
    line = f"{workdir}: {count(trials, 'trial')}, {len(trials) - to_run} finished; {count(missing, 'pack')} to run"
    others = finished_trials(tables) - set(trials)
    print(line + (f"; {count(others, 'other finished trial')} kept in the results" if others else ""), flush=True)


def with_progress(
    execute: Any, packs: list[plan.Pack], trials: executors.Trials
) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """What the executor yields, with a progress bar over the epochs of all trials and a line a pack."""
    total = sum(trials[name]["epochs"] for pack in packs for name in pack.trials)
    fields = [name for name in plan.swept(trials) if name not in lanes.NUMERIC]
    start = time.perf_counter()
    with tqdm(total=total, unit="epoch", leave=False, disable=not sys.stdout.isatty()) as bar:
        for number, (pack, table) in enumerate(execute(bar.update), start=1):
            trial = trials[pack.trials[0]]
            called = "".join(f"  {name}={results.as_cell(trial[name])}" for name in fields)
            diverged = pc.sum(table["diverged"]).as_py()  # pyright: ignore
            best = pc.max(table["val_accuracy"]).as_py()  # pyright: ignore
            seconds = time.perf_counter() - start
            bar.write(
                f"Pack {number}/{len(packs)}{called}  {count(pack.trials, 'trial')}  {seconds:.0f}s  "
                f"best val_accuracy: {best:.4f}" + (f"  diverged: {diverged}" if diverged else "")
            )
            sys.stdout.flush()
            yield pack, table


def conclusion(rows: list[dict[str, Any]], most: int = 5) -> str:
    """The configurations of a summary with the best final val_accuracy, as a table; those with seeds that diverged
    come last, since their means are of the seeds that were lucky."""
    fields = [name for name in rows[0] if name in train.FIELDS]
    ended = [row for row in rows if row["val_accuracy_n"]]
    ended.sort(key=lambda row: (row["diverged"] > 0, -row["val_accuracy_mean"]))
    lines = ["Best final val_accuracy (mean over seeds, 95 % interval of the mean):"]
    for row in ended[:most]:
        called = "".join(f"  {name}={row[name]}" for name in fields)
        low, high, n = row["val_accuracy_low"], row["val_accuracy_high"], row["val_accuracy_n"]
        parts = [f"{low:.4f} to {high:.4f}"] if low is not None else []
        parts.append("1 seed" if n == 1 else f"{n} seeds")
        parts += [f"{row['diverged']} of {row['seeds']} seeds diverged"] if row["diverged"] else []
        lines.append(f"  {row['val_accuracy_mean']:.4f} ({', '.join(parts)}){called}")
    if any(row["diverged"] for row in ended) and not all(row["diverged"] for row in ended):
        lines[0] = lines[0].replace("):", "; configurations with diverged seeds last):")
    return "\n".join(lines if ended else ["Every trial has diverged."])


# ---------------------------------------------------------------------------------------------------------------------
# The command line.


def define_flags() -> None:
    """The flags of the command."""
    train.define_config_flags()
    flags.DEFINE_multi_string("axis", [], "NAME=v1,v2: a config field and the values to try; may be repeated.")
    flags.DEFINE_integer("seeds", None, "Seeds 0, 1, ... of every configuration.", lower_bound=1)
    flags.DEFINE_bool("dry_run", False, "Print the plan and run nothing.")
    flags.DEFINE_integer("lanes", None, "Most lanes of a pack. [as many as suit the devices]", lower_bound=1)
    flags.DEFINE_enum("executor", "local", ["local", "ray"], "Who runs the packs.")
    flags.DEFINE_string("address", None, "HOST:PORT of a Ray cluster, or auto. [one of this machine alone]")
    flags.DEFINE_integer("cpus_per_task", None, "CPUs of a pack's task on Ray. [1]", lower_bound=1)
    flags.DEFINE_float("gpus_per_task", None, "GPUs of a pack's task on Ray. [0]", lower_bound=0.0)


def axes_given() -> dict[str, tuple]:
    """The axes and the seeds of the command line."""
    axes: dict[str, tuple] = {}
    for text in flags.FLAGS.axis:
        name, values = plan.parse_axis(text)
        if name in axes:
            raise train.ConfigError(f"--axis {name} is given twice; accepted: one list of all its values")
        axes[name] = values
    if flags.FLAGS.seeds:
        if "seed" in axes:
            raise train.ConfigError("--seeds and --axis seed are both given; accepted: one of them")
        axes["seed"] = tuple(range(flags.FLAGS.seeds))
    return axes


def check_executor() -> None:
    """ConfigError for flags that only the other executor knows."""
    for name in ("address", "cpus_per_task", "gpus_per_task"):
        if flags.FLAGS.executor != "ray" and flags.FLAGS[name].value is not None:
            raise train.ConfigError(f"--{name} is for Ray; accepted with it: --executor=ray")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.FATAL)
    given, base, values = train.given_config(sys.argv), flags.FLAGS.config, flags.FLAGS
    workdir = values.workdir or train.default_workdir(sys.argv)
    try:
        check_executor()
        axes = axes_given()
        try:
            sweep = load_sweep(given.partition(":")[0])
            trials = plan.make_trials(base, sweep, axes)
        except train.ConfigError:
            raise
        except Exception as error:  # A config file may raise anything.
            fail(f"the sweep of {given} cannot be made: {type(error).__name__}: {error}")
        if not (sweep or axes):
            print("One trial, since the config has no sweep(add): --axis NAME=v1,v2 and --seeds=N make it more.")
        summary = run(
            base,
            trials,
            workdir,
            values.data_dir,
            executor=values.executor,
            address=values.address,
            cpus_per_task=values.cpus_per_task or 1,
            gpus_per_task=values.gpus_per_task or 0.0,
            most_lanes=values.lanes,
            dry_run=values.dry_run,
        )
    except USER_ERRORS as error:
        fail(error)
    except jax.errors.JaxRuntimeError as error:
        if "memory" not in str(error).lower():
            raise
        fail(f"a pack of {workdir} does not fit in memory: {str(error).splitlines()[0]}; accepted: fewer --lanes")
    except KeyboardInterrupt:
        goes_on = "" if values.dry_run else f"; the same command with --workdir={workdir} goes on from there"
        print(f"\ninterrupted{goes_on}")
        sys.exit(130)
    if summary:
        print(conclusion(summary))
        print(f"Written to {workdir}: results.parquet, summary.csv, report.html, tensorboard/, figures/")


if __name__ == "__main__":
    lanes.use_all_cores()  # Before a config file can start JAX.
    define_flags()
    app.run(main, flags_parser=train.parse_flags)
