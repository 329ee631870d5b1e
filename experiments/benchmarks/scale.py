"""How do sweeps scale: what is written of 100,000 trials, a finished sweep that is started again, programs that are
compiled already, and many machines? Part of `experiments.benchmark`.

Each figure is of the command `python -m experiments.sweep` as somebody types it, from the start of the interpreter to
its exit, on the synthetic data set, so that what is around the training is what takes the time. In large sweeps numbers
are drawn at random in place of training: `experiments.benchmarks.drawn_sweep`.
"""

import contextlib
import tempfile
from pathlib import Path
from typing import NamedTuple

from experiments.benchmarks import commands, on_ray, shown
from experiments.benchmarks.commands import Ran
from experiments.benchmarks.tables import Line, line
from experiments.classroom import browser
from experiments.engine import ray_executor
from training.console import one_line, say

ACTIVATIONS = ("sigmoid", "tanh", "relu", "softplus")
COSTS = ("quadratic", "cross_entropy")
MOMENTA = (0.0, 0.5, 0.8, 0.9, 0.95)
EPOCHS, SEEDS = 2, 4
# As many as a pack of the shallow net has on two cores.
LANES = 16
SWEEP = ("--config=configs/shallow.py", "--config.dataset=synthetic", "--notensorboard")


class Size(NamedTuple):
    """How much is measured: configurations of the smaller sweep, of one seed, and of the larger one, of `SEEDS` seeds;
    how often the smaller one is started again; activations of the sweep whose programs are kept, each with both costs;
    on Ray packs without work, packs of each of two structures of the sweeps on nodes, and their training examples (0:
    all of MNIST's)."""

    configurations: int
    larger: int
    restarts: int
    activations: int
    tasks: int
    packs: int
    examples: int


SIZES = {
    "tiny": Size(40, 40, 1, 1, 20, 2, 1_000),
    "quick": Size(1_000, 2_000, 1, 2, 1_000, 4, 20_000),
    "full": Size(10_000, 25_000, 3, 4, 10_000, 16, 0),
}


class Sweep(NamedTuple):
    """A sweep of so many configurations and seeds into a folder."""

    configurations: int
    seeds: int
    folder: Path

    @property
    def trials(self) -> int:
        """How many trials it has."""
        return self.configurations * self.seeds

    @property
    def words(self) -> str:
        """`100,000 trials of 25,000 configurations`, or of one seed `10,000 configurations`."""
        configurations = f"{self.configurations:,} configurations"
        return f"{self.trials:,} trials of {configurations}" if self.seeds > 1 else configurations

    def started(self, command: str) -> Ran:
        """The command `experiments.sweep`, or `experiments.benchmarks.drawn_sweep`, with the sweep as arguments."""
        rates = self.configurations // (len(ACTIVATIONS) * len(MOMENTA))
        axes = {
            "activation": ",".join(ACTIVATIONS),
            "momentum": ",".join(map(str, MOMENTA)),
            "learning_rate": f"log:0.001:10:{rates}",
        }
        arguments = [f"--axis={name}={values}" for name, values in axes.items()]
        arguments += [f"--config.epochs={EPOCHS}", f"--lanes={LANES}", f"--seeds={self.seeds}"]
        return commands.timed(["-m", command, *SWEEP, *arguments, f"--workdir={self.folder}"], self.words)


def after_the_last_pack(ran: Ran) -> float:
    """Seconds from the end of a sweep's last pack to that of the command."""
    return ran.seconds - ran.packs[-1]


def writing_lines(size: Size, folder: Path) -> tuple[list[Line], float]:
    """What is planned and written of two sweeps, and what the smaller one takes when it is started again; and the
    seconds in which the results of another 1,000 trials are written."""
    smaller, larger = Sweep(size.configurations, 1, folder / "smaller"), Sweep(size.larger, SEEDS, folder / "larger")
    first, second = (sweep.started("experiments.benchmarks.drawn_sweep") for sweep in (smaller, larger))
    again = [smaller.started("experiments.sweep") for _ in range(size.restarts)]
    for ran in again:
        ran.until("; 0 packs to run")
    planned, packs = second.until(" to run"), second.packs
    ends = [after_the_last_pack(ran) for ran in (first, second)]
    page = larger.folder / "report.html"
    of, of_larger = f"{smaller.words} x {EPOCHS} epochs", larger.words
    figures = (
        (f"{of}: seconds after the last pack", ends[:1], 5.0),
        (f"{of}: seconds of the finished sweep, started again", [ran.seconds for ran in again], 3.0),
        (f"{of_larger}: seconds until it is planned and after the last pack", [planned + ends[1]], 60.0),
        (f"{of_larger}: seconds in all, {len(packs):,} packs drawn and written", [second.seconds], None),
        (f"{of_larger}: peak memory, GB", [second.memory], 2.0),
        (f"{of_larger}: report.html, MB", [page.stat().st_size / 1e6], 10.0),
        (f"{of_larger}: seconds until Chromium shows report.html", seconds_to_show(page), 5.0),
    )
    writing = 1e3 * (ends[1] - ends[0]) / max(larger.trials - smaller.trials, 1)
    return [line(name, values, target) for name, values, target in figures if values], max(writing, 0.0)


def seconds_to_show(page: Path) -> list[float]:
    """`shown.seconds_to_show`; none, and a line that says why, where Chromium fails: that is no fault of the sweeps."""
    try:
        return shown.seconds_to_show(page)
    except (browser.BrowserError, OSError) as error:
        say(f"Seconds until Chromium shows {page.name} are left out: {one_line(error, 300)}")
        return []


def compiling_lines(size: Size, folder: Path) -> list[Line]:
    """A sweep of a trial a structure where nothing is compiled, and another of the same structures after it."""
    axes = {"activation": ACTIVATIONS[: size.activations], "cost": COSTS}
    arguments = ["-m", "experiments.sweep", *SWEEP, "--config.epochs=1"]
    arguments += [f"--axis={name}={','.join(values)}" for name, values in axes.items()]
    words, environment = f"{size.activations * len(COSTS)} structures", commands.with_programs_in(folder / "programs")
    first, later = (
        commands.timed([*arguments, f"--workdir={folder / name}"], words, environment) for name in ("first", "later")
    )
    return [
        line(f"{words}: seconds of a sweep, nothing compiled before", [first.seconds], None),
        line(f"{words}: seconds of a later sweep", [later.seconds], 8.0),
    ]


def figures(size: Size, *, ray: bool = False) -> list[Line]:
    """The lines of the table of figures; with Ray those of tasks and nodes, ExecutorError where it is not installed.
    All clusters are reached from this machine alone, with one token, which Ray reads when it is imported."""
    alone = ray_executor.of_this_machine_alone() if ray else contextlib.nullcontext()
    with alone, tempfile.TemporaryDirectory() as scratch:
        if ray:
            ray_executor.import_ray()
        folder = Path(scratch)
        lines, writing = writing_lines(size, folder)
        lines += compiling_lines(size, folder)
        if ray:
            lines += on_ray.figures(size.tasks, size.packs, size.examples, writing, folder)
    return lines
