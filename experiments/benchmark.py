"""How fast is a run, how fast are sweeps, how do they scale, what comes of faults, how often do sweeps decide what is
not so, how often is advice wrong, and does the page for a class keep up?

    python -m experiments.benchmark [--rounds=15] [--workdir=runs/benchmark]     one run: 5 minutes on 2 cores
    python -m experiments.benchmark --sweep --rounds=5                           sweeps: 13 minutes
    python -m experiments.benchmark --scale [--ray]                              large sweeps, and many nodes: 9 minutes
    python -m experiments.benchmark --faults [--mutations=500] [--kills=200]     damaged files, and killed runs
    python -m experiments.benchmark --decide [--sweeps=DIR,DIR]                  verdicts of sweeps: 5 minutes
    python -m experiments.benchmark --advice                                     advice on 24 nets: 30 minutes of a core
    python -m experiments.benchmark --page [--clicks=500]                        the page for a class: 8 minutes
    python -m experiments.benchmark --docs                                       writes docs/speed.md of what is there

Each leaves its measurements as JSON in WORKDIR, beside those of the others. With --docs nothing is measured: what is in
WORKDIR takes its place in docs/speed.json, from which docs/speed.md is written. With --sweeps the variance of paired
over unpaired differences is that of these folders, not of the config sweeps at a small size. With --advice a call
that was ended goes on where it was.
"""

import warnings
from pathlib import Path

from absl import flags, logging

from experiments.benchmarks import tables
from experiments.benchmarks.tables import Measured
from experiments.engine import lanes
from experiments.engine.sweeping import USER_ERRORS
from experiments.study import study
from training import console
from training.compiling import check_sums
from training.console import fail, parse_flags, say
from training.files import place

DOCS = Path(__file__).parent.parent / "docs"
# The flags that each of the measurements, and the writing of the documents, listens to.
LISTENS: dict[str, tuple[str, ...]] = {
    "epoch": ("rounds",),
    "sweep": ("rounds",),
    "scale": ("size", "ray"),
    "faults": ("mutations", "kills", "ray"),
    "decide": ("tables", "trained", "sweeps"),
    "advice": (),
    "page": ("clicks",),
    "docs": (),
}


def measure(part: str) -> Measured:
    """What is measured of `epoch`, `sweep`, `scale`, `faults`, `decide`, `advice` or `page`."""
    values = flags.FLAGS
    if part == "scale":
        from experiments.benchmarks import scale

        return {"figures": scale.figures(scale.SIZES[values.size], ray=values.ray)}
    if part == "faults":
        from experiments.benchmarks import faults

        return faults.figures(values.mutations, values.kills, ray=values.ray)
    if part == "decide":
        from experiments.benchmarks import decide

        return {"figures": decide.figures(values.tables, values.trained, [place(folder) for folder in values.sweeps])}
    if part == "advice":
        from experiments.benchmarks import advice

        return advice.figures(place(values.workdir))
    if part == "page":
        from experiments.benchmarks import page

        return page.figures(values.clicks, page.Size())
    if part == "sweep":
        from experiments.benchmarks import sweep

        seconds, figures = sweep.figures(values.rounds)
    else:
        from experiments.benchmarks import epoch

        seconds, figures = epoch.figures(values.rounds)
    return {"seconds": seconds, "figures": figures}


def command_of(part: str) -> str:
    """What was called, as the document says it."""
    values = flags.FLAGS
    ray = " --ray" if values.ray else ""
    if part == "scale":
        return (
            f"python -m experiments.benchmark --scale{'' if values.size == 'full' else f' --size={values.size}'}{ray}"
        )
    if part == "faults":
        return f"python -m experiments.benchmark --faults --mutations={values.mutations} --kills={values.kills}{ray}"
    if part == "decide":
        sweeps = f" --sweeps={','.join(values.sweeps)}" if values.sweeps else ""
        return f"python -m experiments.benchmark --decide --tables={values.tables} --trained={values.trained}{sweeps}"
    if part == "advice":
        return "python -m experiments.benchmark --advice"
    if part == "page":
        return f"python -m experiments.benchmark --page --clicks={values.clicks}"
    return f"python -m experiments.benchmark{' --sweep' if part == 'sweep' else ''} --rounds={values.rounds}"


def chosen_part() -> str:
    """The part that is asked for; ends in one line where flags ask for two, or for what is none of it."""
    values = flags.FLAGS
    asked = [name for name in ("sweep", "scale", "faults", "decide", "advice", "page", "docs") if values[name].value]
    if len(asked) > 1:
        fail(f"{' and '.join(f'--{name}' for name in asked)} are given together; accepted: one of them")
    part = asked[0] if asked else "epoch"
    for name in ("rounds", "size", "mutations", "kills", "ray", "tables", "trained", "sweeps", "clicks"):
        if values[name].present and name not in LISTENS[part]:
            with_it = ", ".join(f"--{flag}" for flag in (*LISTENS[part], "workdir"))
            command = "the measurement of one run" if part == "epoch" else f"--{part}"
            fail(f"--{name} says nothing of {command}, which takes {with_it}")
    return part


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore")  # scikit-learn says each epoch that it has not converged.
    name = chosen_part()
    try:
        workdir = place(flags.FLAGS.workdir)
        if name == "docs":
            say(f"Written to {DOCS}: speed.json, speed.md, with new {', '.join(tables.write_documents(workdir, DOCS))}")
            return
        workdir.mkdir(parents=True, exist_ok=True)
        if name not in ("epoch", "page"):
            lanes.use_all_cores()
        check_sums()
        part = tables.measured_here(command_of(name), measure(name))
        say(f"{tables.about(part)}\n{tables.table(part['measured'])}")
        tables.write_part(name, part, workdir)
        if name == "advice":
            from experiments.benchmarks import advice

            advice.forget(workdir)
    except USER_ERRORS as error:
        fail(error)


if __name__ == "__main__":
    flags.DEFINE_integer("rounds", 15, "Rounds in which every opponent runs its epochs.", lower_bound=1)
    flags.DEFINE_bool("sweep", False, "Measure sweeps, not single runs.")
    flags.DEFINE_bool("scale", False, "Measure large sweeps, kept programs and, with --ray, many nodes.")
    flags.DEFINE_enum("size", "full", study.SIZES, "Of --scale: how much is measured.")
    flags.DEFINE_bool("faults", False, "Count what comes of damaged files and of killed runs.")
    flags.DEFINE_integer("mutations", 500, "Of --faults: changed files, of a run and of a sweep each.", lower_bound=0)
    flags.DEFINE_integer("kills", 200, "Of --faults: commands ended by signals, in all.", lower_bound=0)
    flags.DEFINE_bool("ray", False, "Of --scale and --faults: also on Ray.")
    flags.DEFINE_bool("decide", False, "Count the false verdicts of sweeps of equal settings.")
    flags.DEFINE_integer("tables", 1_000, "Of --decide: sweeps of numbers, of each kind and size.", lower_bound=1)
    flags.DEFINE_integer("trained", 400, "Of --decide: sweeps of nets that are trained.", lower_bound=1)
    flags.DEFINE_list("sweeps", [], "Of --decide: folders of sweeps, for the variance of paired differences.")
    flags.DEFINE_bool("advice", False, "Count how often the advice of experiments.advise is wrong.")
    flags.DEFINE_bool("page", False, "Measure the page for a class, and click around in it.")
    flags.DEFINE_integer("clicks", 500, "Of --page: random settings and clicks.", lower_bound=1)
    flags.DEFINE_bool("docs", False, "Measure nothing: take what WORKDIR holds over into docs/speed.md.")
    flags.DEFINE_string("workdir", "runs/benchmark", "Where the measurements go as JSON.")
    console.run(main, parse_flags)
