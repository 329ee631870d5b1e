"""How fast is a run, how fast are sweeps, and what comes of faults?

<<<<<<< HEAD
    python -m experiments.benchmark [--rounds=15] [--workdir=runs/benchmark]     one run: 5 minutes on 2 cores
    python -m experiments.benchmark --sweep --rounds=5                           sweeps: 13 minutes
    python -m experiments.benchmark --faults                                     damaged files, and killed runs
    python -m experiments.benchmark --docs                                       writes docs/speed.md of what is there
=======
    python -m experiments.benchmark [--rounds=15] [--workdir=runs/benchmark]     5 minutes on 2 cores
    python -m experiments.benchmark --sweep --rounds=5                           sweeps: experiments/sweep_benchmark.py
    python -m experiments.benchmark --faults [--mutations=500] [--kills=200]     experiments/benchmarks/faults.py
>>>>>>> 9eaa4969a2685a02b9c7896dad9887ebef90df63

Each leaves its measurements as JSON in WORKDIR, beside those of the others. With --docs nothing is measured: what is in
WORKDIR takes its place in docs/speed.json, from which docs/speed.md is written.
"""

import warnings
from pathlib import Path

from absl import flags, logging

from experiments.benchmarks import tables
from experiments.benchmarks.tables import Line
from training import console
from training.console import fail, parse_flags, say
from training.files import PlaceError, RunError, place

DOCS = Path(__file__).parent.parent / "docs"


def measure(part: str, rounds: int) -> tuple[dict[str, list[float]], list[Line]]:
    """Seconds by opponent and the figures of `epoch`, `sweep` or `faults`."""
    if part == "sweep":
        from experiments.benchmarks import sweep
        from experiments.engine import lanes

        lanes.use_all_cores()
        return sweep.figures(rounds)
    if part == "faults":
        from experiments.benchmarks import faults  # pyright: ignore

        return {}, faults.figures()
    from experiments.benchmarks import epoch

    return epoch.figures(rounds)


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore")  # scikit-learn says each epoch that it has not converged.
<<<<<<< HEAD
    values = flags.FLAGS
    if values.sweep and values.faults:
        fail("--sweep and --faults are two measurements; accepted: one of them")
    try:
        workdir = place(values.workdir)
        if values.docs:
            say(f"Written to {DOCS}: speed.json, speed.md, with new {', '.join(tables.write_documents(workdir, DOCS))}")
            return
        workdir.mkdir(parents=True, exist_ok=True)
    except (RunError, PlaceError, OSError) as error:
        fail(error)
    name = "sweep" if values.sweep else "faults" if values.faults else "epoch"
    flag = "" if name == "epoch" else f" --{name}"
    command = f"python -m experiments.benchmark{flag}" + (f" --rounds={values.rounds}" if name != "faults" else "")
    part = tables.measured_here(command, values.rounds, *measure(name, values.rounds))
    say(f"{tables.about(part)}\n{tables.table(part['seconds'], part['figures'])}")
    tables.write_part(name, part, workdir)
=======
    workdir = Path(flags.FLAGS.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    if flags.FLAGS.faults:
        from experiments.benchmarks import faults

        found, recorded = faults.figures(flags.FLAGS.mutations, flags.FLAGS.kills, ray=flags.FLAGS.ray)
        print(found)
        write_atomically(workdir / "faults.json", json.dumps(recorded, indent=2) + "\n")
        return
    figures = single_run_figures
    if flags.FLAGS.sweep:
        from experiments import sweep_benchmark
        from experiments.engine import lanes

        lanes.use_all_cores()
        figures = sweep_benchmark.figures
    device = jax.devices()[0].device_kind
    machine = f"{os.cpu_count()} cores, {device}, Python {sys.version.split()[0]}, jax {jax.__version__}"
    print(f"{machine}, {time.strftime('%Y-%m-%d')}", flush=True)
    seconds, lines = figures(flags.FLAGS.rounds)
    print(table(seconds, lines))
    results = {"machine": machine, "seconds": seconds, "figures": lines}
    name = "sweep_results.json" if flags.FLAGS.sweep else "results.json"
    write_atomically(workdir / name, json.dumps(results, indent=2) + "\n")
>>>>>>> 9eaa4969a2685a02b9c7896dad9887ebef90df63


if __name__ == "__main__":
    flags.DEFINE_integer("rounds", 15, "Rounds in which every opponent runs its epochs.", lower_bound=1)
    flags.DEFINE_bool("sweep", False, "Measure sweeps, not single runs.")
<<<<<<< HEAD
    flags.DEFINE_bool("faults", False, "Count what comes of damaged files and of killed runs.")
    flags.DEFINE_bool("docs", False, "Measure nothing: take what WORKDIR holds over into docs/speed.md.")
    flags.DEFINE_string("workdir", "runs/benchmark", "Where the measurements go as JSON.")
    console.run(main, parse_flags)
=======
    flags.DEFINE_bool("faults", False, "Count what changed files and signals do: experiments/benchmarks/faults.py.")
    flags.DEFINE_integer("mutations", 500, "Of --faults: changed files, of a run and of a sweep each.", lower_bound=0)
    flags.DEFINE_integer("kills", 200, "Of --faults: commands ended by signals, in all.", lower_bound=0)
    flags.DEFINE_bool("ray", False, "Of --faults: also kill a sweep on Ray.")
    flags.DEFINE_string("workdir", "runs/benchmark", "Where the figures go as JSON.")
    app.run(main, flags_parser=parse_flags)
>>>>>>> 9eaa4969a2685a02b9c7896dad9887ebef90df63
