"""Hundreds of runs at nearly the cost of their matrix products, on all cores, GPUs or TPU cores, or a Ray cluster.

    python -m experiments.sweep --config=configs/learning_rate_sweep.py [--workdir=DIR]
    python -m experiments.sweep --config=configs/shallow.py --axis learning_rate=0.1,1 --axis hidden=64,64-64 --seeds=8
    python -m experiments.sweep ... --axis learning_rate=log:0.001:10:9 --axis batch_size=int:8:512:log       ranges
    python -m experiments.sweep ... --trials=64 --range learning_rate=log:0.001:10 --range momentum=0:0.95    drawn
    python -m experiments.sweep ... --axis activation=tanh,relu --tune=learning_rate             each at its best rate
    python -m experiments.sweep ... --dry_run                             what it would do, and how long it would take
    python -m experiments.sweep ... --executor=ray --address=HOST:6379    on the machines of a cluster

A config file may say its own sweep: `sweep(add)` calls `add(field=value, ...)` once a trial. Axes and seeds given on
the command line multiply that, and replace what it says of their own fields. Trials that differ in numbers alone
(learning rate, momentum, L2, initial scale, seed) are lanes of one compiled program; the same seed means the same
initial draw and the same batches in all of them. A sweep that was killed goes on by the same command with its
--workdir; given more seeds, more values or more --trials, it runs what is new. Where settings are compared, examples to
rank them by are held out of the training set, unless --select_by=test. What it leaves on disk:
`experiments/engine/results.py`; how axes are written: `experiments/engine/axes.py`; how a number is tuned:
`experiments/engine/tuning.py`.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import jax
import pyarrow as pa
from absl import flags, logging

from experiments.engine import axes, lanes, plan, ranking, search_flags, space, sweeping, tuned, validation
from experiments.engine.conclusion import conclusion, verdict
from experiments.engine.standing import Standing
from experiments.engine.sweeping import USER_ERRORS, run
from experiments.engine.tensorboard import MOST_RUNS
from experiments.reporting import page
from training import console
from training.command_line import default_workdir, define_config_flags, folder_of, given_config, parse_flags
from training.compiling import keep_programs
from training.config import ConfigError, as_config
from training.console import fail, say
from training.fitting import lack_of_memory


def load_sweep(file: str) -> space.Sweep | None:
    """The function `sweep(add)` of a config file, None where it has none."""
    spec = importlib.util.spec_from_file_location("sweep_config", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "sweep", None)


def points_of(given: str, asked: search_flags.Asked) -> axes.Points:
    """The points of the `sweep(add)` of the config that was given, multiplied by what the command line asks for; ends
    in one line where they cannot be made."""
    try:
        sweep = load_sweep(given.partition(":")[0])
        points = axes.product(space.points_of(sweep), *asked.parts)
    except (ConfigError, KeyboardInterrupt):
        raise
    except BaseException as error:  # A config file may raise anything, and end the program.
        said = (
            f"it ends the program, {error!r}" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        )
        fail(f"the sweep of {given} cannot be made: {said}")
    if not (sweep or asked.parts or flags.FLAGS.tune):
        say("One trial, since the config has no sweep(add): --axis NAME=v1,v2 and --seeds=N make it more.")
    return points


def define_flags() -> None:
    """The flags of the command."""
    define_config_flags()
    search_flags.define()
    flags.DEFINE_enum(
        "select_by", None, validation.WAYS, "What settings are ranked by. [validation: examples that are held out]"
    )
    flags.DEFINE_enum(
        "rank", "all", ranking.RANKS, "all: settings that lose more seeds come later; survivors: by their other seeds."
    )
    flags.DEFINE_bool("dry_run", False, "Print the plan and run nothing.")
    flags.DEFINE_integer("lanes", None, "Most lanes of a pack. [as many as suit the devices]", 1, plan.MOST_LANES)
    words = f"Write TensorBoard's events as packs end. [for at most {MOST_RUNS} trials]"
    flags.DEFINE_bool("tensorboard", None, words)
    flags.DEFINE_enum("executor", "local", ["local", "ray"], "Who runs the packs.")
    flags.DEFINE_string("address", None, "HOST:PORT of a Ray cluster, or auto. [one of this machine alone]")
    flags.DEFINE_integer("cpus_per_task", None, "CPUs of a pack's task on Ray. [1]", lower_bound=1)
    flags.DEFINE_integer(
        "halving", None, "Successive halving: at each rung the best 1/N of the settings go on.", 2, 1000
    )
    flags.DEFINE_enum(
        "keep",
        sweeping.NOTHING,
        [sweeping.NOTHING, sweeping.BEST, sweeping.ALL],
        "What is kept of networks: weights of the best seed of each setting, or all states, to --continue from.",
    )
    flags.DEFINE_bool("continue", False, "Go on with the finished sweep in --workdir for more --config.epochs.")
    flags.DEFINE_string("stop_at", None, "As --config.stop_at: what ends a trial early, such as val_accuracy>=0.97.")
    flags.DEFINE_integer(
        "patience", None, "As --config.patience: a trial ends after so many epochs without a better one."
    )
    flags.DEFINE_float("gpus_per_task", None, "GPUs of a pack's task on Ray. [0]", lower_bound=0.0)


def check_executor() -> None:
    """ConfigError for flags that only the other executor knows, and for those that a tuned sweep does not go with."""
    for name in ("halving", "continue"):
        if flags.FLAGS.tune is not None and flags.FLAGS[name].value:
            raise ConfigError(f"--{name} and --tune are both given; accepted: one of them")
    if flags.FLAGS.tune is not None and flags.FLAGS.select_by == validation.TEST:
        raise ConfigError("--select_by=test and --tune are both given; accepted: one of them")
    for name in ("address", "cpus_per_task", "gpus_per_task"):
        if flags.FLAGS.executor != "ray" and flags.FLAGS[name].value is not None:
            raise ConfigError(f"--{name} is for Ray; accepted with it: --executor=ray")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.FATAL)
    keep_programs()
    given, base, values = given_config(), flags.FLAGS.config, flags.FLAGS
    workdir, data_dir = folder_of("workdir") or default_workdir(), str(folder_of("data_dir"))
    said, made, chosen = list[str](), None, dict[str, Any]()

    def summed(table: pa.Table) -> pa.Table:
        if made:
            chosen.update(tuned.write(Path(workdir) / tuned.FILE, made, table))
        return tuned.fresh_rows(chosen, table)

    def finish(folder: Path, table: pa.Table, standing: Standing | None) -> str:
        decision = tuned.decide(chosen, table, values.rank, data_dir)
        ranking.write_decision(decision, folder / "decisions.json")
        page.update(folder, table, standing, decision, data_dir)
        more = [verdict(decision)] if len(decision.ranked) > 1 else []
        said.append("\n".join([tuned.in_words(chosen), *more]) if chosen else conclusion(decision))
        return said[0]

    if values["continue"].value and folder_of("workdir") is None:
        fail("--continue needs --workdir; accepted: the folder of a sweep")
    for name in ("stop_at", "patience"):
        if values[name].value is not None:
            base[name] = values[name].value
    try:
        check_executor()
        asked = search_flags.asked()
        points = points_of(given, asked)
        made = search_flags.tuning_of(points, asked.grid)
        if made:
            base = as_config(base).replace(validation=made.settings[0].config.validation)
        configs = made.next_trials(None).values() if made else space.configs_at(base, points)
        selection = validation.select(base, configs, workdir, data_dir, values.select_by)
        if selection.said:
            say(selection.said)
        run(
            selection.base,
            selection.trials,
            workdir,
            data_dir,
            executor=values.executor,
            address=values.address,
            cpus_per_task=values.cpus_per_task or 1,
            gpus_per_task=values.gpus_per_task or 0.0,
            most_lanes=values.lanes,
            dry_run=values.dry_run,
            report=finish,
            going=sweeping.Going(values.halving, bool(values["continue"].value), values.keep),
            next_trials=made.next_trials if made else None,
            tensorboard=values.tensorboard,
            summed=summed if made else None,
            repeat=sweeping.Repeat(json.dumps([values.rank, data_dir]), said.append),
            prepare=page.import_early,
        )
    except USER_ERRORS as error:
        fail(error)
    except jax.errors.JaxRuntimeError as error:
        fail(f"a pack of {workdir} does not fit in memory: {lack_of_memory(error)}; accepted: fewer --lanes")
    except KeyboardInterrupt as error:
        goes_on = (
            f"the same command with --workdir={workdir} goes on from there, experiments.report shows what there is"
        )
        say("interrupted" if values.dry_run else f"interrupted; {goes_on}")
        sys.exit(console.exit_status(error))
    for words in said:
        say(words)
        files = ("tuning.json", "report.html", "tensorboard/", "figures/")
        shown = [name for name in files if Path(workdir, name).exists()]
        say(f"Written to {workdir}: results.parquet, summary.csv, decisions.json, {', '.join(shown)}")


if __name__ == "__main__":
    lanes.use_all_cores()  # Before a config file can start JAX.
    define_flags()
    console.run(main, parse_flags)
