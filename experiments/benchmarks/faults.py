"""What changed files and signals do to a run and to a sweep.

    python -m experiments.benchmark --faults [--mutations=500] [--kills=200] [--ray]

A mutation changes one file of a finished folder at random: bytes flipped, a digit changed, a value of another type, the
end cut off, the file gone. Then the same command goes on and the folder is read. A kill ends a command by KILL, TERM,
INT or HUP at a random instant; after a few of them the same command goes on to its end. Each is one of

    right       the result has the bits of the folder that nobody touched
    reported    the same, or nothing, and a line that says what is damaged
    wrong       another result
    traceback   an error that is none of a user, or a traceback on standard error
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import pyarrow as pa

import train
from configs import shallow
from experiments.benchmarks.tables import Measured
from experiments.engine import results, space, sweeping
from experiments.engine.standing import Standing
from training import weights
from training.checkpoints import digest
from training.compiling import be_silent_of_preferences
from training.config import Config, as_config
from training.console import progress, say
from training.files import RunError
from training.run_directory import read_config

ROOT = Path(__file__).parents[2]
CLASSES = ("right", "reported", "wrong", "traceback")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KILLS_A_FOLDER = 4
CACHE_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
FIELDS = {"dataset": "synthetic", "hidden": (8,), "learning_rate": 1.0, "checkpoint_every": 2}
ODD_VALUES = (None, True, -1, 0.5, 10**30, "text", [], [[]], {}, {"a": 1})
Judge = Callable[[Path], bool]


def tiny_config(epochs: int) -> Config:
    """A run that is over in a moment."""
    return as_config({**shallow.get_config().to_dict(), **FIELDS, "epochs": epochs})


# ---------------------------------------------------------------------------------------------------------------------
# Mutations.


def flip(content: bytes, dice: random.Random) -> bytes:
    """A few bytes in a row are others."""
    start, length = dice.randrange(max(len(content), 1)), dice.randint(1, 8)
    return (
        content[:start]
        + bytes(b ^ dice.randint(1, 255) for b in content[start : start + length])
        + content[start + length :]
    )


def change_digit(content: bytes, dice: random.Random) -> bytes:
    """One digit is another one; where there is none, a byte."""
    places = [i for i, byte in enumerate(content) if byte in b"0123456789"]
    if not places:
        return flip(content, dice)
    i = dice.choice(places)
    return (
        content[:i]
        + dice.choice([d for d in b"0123456789".decode() if ord(d) != content[i]]).encode()
        + content[i + 1 :]
    )


def change_type(content: bytes, dice: random.Random) -> bytes:
    """A value somewhere in the JSON is of another type; where there is no JSON, a digit is another one."""
    lines = content.splitlines(keepends=True)
    i = dice.randrange(len(lines)) if lines else 0
    for start, end in ((0, len(lines)), (i, i + 1)):
        try:
            value = json.loads(b"".join(lines[start:end]))
        except ValueError:
            continue
        changed = json.dumps(_with_odd_value(value, dice)).encode() + b"\n"
        return b"".join(lines[:start]) + changed + b"".join(lines[end:])
    return change_digit(content, dice)


def _with_odd_value(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict | list) and value and dice.random() < 0.8:
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = dice.choice(keys)
        value[key] = _with_odd_value(value[key], dice)
        return value
    return dice.choice([odd for odd in ODD_VALUES if odd != value])


def cut(content: bytes, dice: random.Random) -> bytes:
    """The end is missing."""
    return content[: dice.randrange(max(len(content), 1))]


MUTATIONS = {"flip": flip, "digit": change_digit, "type": change_type, "cut": cut, "delete": None}


def mutate(folder: Path, dice: random.Random) -> str:
    """Changes one file of the folder at random; says which and how."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    path, kind = dice.choice(paths), dice.choice(list(MUTATIONS))
    change = MUTATIONS[kind]
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes(), dice))
    return f"{kind} {path.relative_to(folder)}"


def classify(folder: Path, judge: Judge) -> str:
    """The class of what the judge sees in a folder that was changed."""
    output, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            is_right = judge(folder)
    except sweeping.USER_ERRORS as error:
        return "traceback" if "\n" in str(error).strip() else "reported"
    except Exception:  # What a bug raises may be anything.
        return "traceback"
    if "Traceback" in errors.getvalue():
        return "traceback"
    if not is_right:
        return "wrong"
    return "reported" if "warning: " in errors.getvalue() else "right"


def metrics_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a run without the time that they took."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def evaluated(folder: Path) -> str:
    """What `--evaluate_only` prints of a run, but for its folder."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        train.evaluate_only(read_config(folder), folder)
    return output.getvalue().replace(str(folder), "")


def weights_in(folder: Path) -> dict[str, tuple[str, int]]:
    """The digest of the weights that a run has left, and their epoch, by the name of the file; of those that can be
    read."""
    found: dict[str, tuple[str, int]] = {}
    for name in (weights.FINAL, weights.BEST):
        with contextlib.suppress(RunError):
            arrays, epoch = weights.read(folder / name)
            found[name] = digest(arrays), epoch
    return found


def finished_run(folder: Path) -> Judge:
    """Makes a run of four epochs; the judge evaluates it, goes on with it and evaluates it again."""
    with contextlib.redirect_stdout(io.StringIO()):
        expected = metrics_of(train.train_and_evaluate(tiny_config(4), folder))
    said = {evaluated(folder)}
    last = folder / "checkpoints" / "4"
    left = weights_in(folder)
    last.rename(folder / ".aside")
    # Where the last checkpoint is damaged, which is said, that is the one before it.
    said.add(evaluated(folder))
    (folder / ".aside").rename(last)

    def judge(changed: Path) -> bool:
        evaluations = {evaluated(changed)}
        rows = train.train_and_evaluate(tiny_config(4), changed)
        if metrics_of(rows) != expected or not evaluations | {evaluated(changed)} <= said:
            return False
        there = weights_in(changed)
        # A file that cannot be read is no wrong one, where it is said that there is no checkpoint to make it from.
        return all(there.get(name, digests) == digests for name, digests in left.items())

    return judge


def finished_sweep(folder: Path, tensorboard: bool = True) -> Judge:
    """Makes a sweep of four trials; the judge reads its table, goes on with it and reads it again. One without
    TensorBoard's events is not read again where nothing has changed."""
    base, said = tiny_config(2), list[str]()
    trials = space.make_trials(base, None, {"learning_rate": (0.1, 1.0), "seed": (0, 1)})

    def report(_: Path, table: pa.Table, standing: Standing | None) -> str:
        said.append(f"{standing and standing.words}: {table['loss'].to_pylist()}")
        return said[-1]

    def start(into: Path) -> str:
        repeat = sweeping.Repeat("", said.append)
        sweeping.run(base, trials, into, report=report, tensorboard=tensorboard, repeat=repeat)
        return said[-1]

    with contextlib.redirect_stdout(io.StringIO()):
        words = start(folder)
    expected = results.read_table(folder / "results.parquet")

    def judge(changed: Path) -> bool:
        table: pa.Table = expected
        with contextlib.suppress(results.DamagedError):  # The report says so, and the sweep makes it again.
            table = results.read_table(changed / "results.parquet")
        is_right = start(changed) == words and table.equals(expected)
        return is_right and results.read_table(changed / "results.parquet").equals(expected)

    return judge


@contextlib.contextmanager
def compiled_once() -> Iterator[None]:
    """Within the block what this process compiles again and again is compiled once, and kept where
    JAX_COMPILATION_CACHE_DIR says, or as long as the block lasts."""
    be_silent_of_preferences()
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, value in zip(names, (before[names[0]] or folder, 0), strict=True):
                jax.config.update(name, value)
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)


def count_mutations(count: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """How many of so many mutations of a run, and of as many of a sweep with and without TensorBoard's events, are of
    each class, and which were wrong or ended in a traceback."""
    dice, counts, bad = random.Random(seed), {}, []
    made = {
        "run": finished_run,
        "sweep": finished_sweep,
        "sweep without events": partial(finished_sweep, tensorboard=False),
    }
    with tempfile.TemporaryDirectory() as scratch, compiled_once(), progress(len(made) * count, "mutation") as bar:
        for name, make in made.items():
            whole = Path(scratch) / name
            judge, counts[f"mutations of a {name}"] = make(whole), Counter[str]()
            for _ in range(count):
                changed = Path(shutil.copytree(whole, Path(scratch) / "changed"))
                how = mutate(changed, dice)
                found = classify(changed, judge)
                counts[f"mutations of a {name}"][found] += 1
                bad += [f"{found}: {how} of the {name}"] if found in ("wrong", "traceback") else []
                shutil.rmtree(changed)
                bar.update()
            say(line_of(f"mutations of a {name}", counts[f"mutations of a {name}"]))
    return counts, bad


def line_of(name: str, counted: Counter[str]) -> str:
    """`mutations of a run: 192 right, 58 reported, 0 wrong, 0 traceback`, as soon as they are counted."""
    return f"{name}: {', '.join(f'{counted[each]} {each}' for each in CLASSES)}"


# ---------------------------------------------------------------------------------------------------------------------
# Kills.


def commands(ray: bool) -> Iterator[tuple[str, list[str], Callable[[Path], object]]]:
    """The commands that are killed: name, arguments but for the folder, and what of the folder must be equal."""
    fields = ["--config=configs/shallow.py", "--config.dataset=synthetic", "--config.hidden=8"]
    of_sweep = ["-m", "experiments.sweep", *fields, "--config.epochs=20", "--lanes=2"]
    sweep = [*of_sweep, "--axis=learning_rate=0.1,1", "--seeds=8"]
    yield "train", ["train.py", *fields, "--config.epochs=200", "--config.checkpoint_every=7"], _recorded
    yield "sweep", sweep, _swept
    yield "halved sweep", [*of_sweep, "--axis=learning_rate=0.01,0.1,1,10", "--seeds=3", "--halving=2"], _swept
    if ray:
        yield "Ray sweep", [*sweep, "--executor=ray"], _swept


def _recorded(folder: Path) -> object:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    files = [(folder / name).read_bytes() for name in ("histograms.jsonl", weights.FINAL, weights.BEST)]
    return metrics_of([json.loads(line) for line in lines]), files


def _swept(folder: Path) -> object:
    return results.read_table(folder / "results.parquet").to_pylist()


class Ended(NamedTuple):
    """How a command came to its end: exit status, output, errors, and whether a signal reached it before."""

    status: int
    output: str
    errors: str
    was_signalled: bool

    @property
    def told(self) -> str:
        """The status and the last line of what was said of errors."""
        return f"status {self.status}: {(self.errors.strip().splitlines() or ['no error'])[-1]}"


def run_command(arguments: list[str], folder: Path, number: int = 0, delay: float | None = None) -> Ended:
    """Runs a command to its end; it gets the signal after so many seconds if it still runs then."""
    # Where this was started with signals ignored, as by nohup, its commands are not.
    heard = "import os, signal, sys; [signal.signal(n, signal.SIG_DFL) for n in (1, 2, 15)]; os.execv(sys.executable, "
    heard += "[sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", heard, *arguments, f"--workdir={folder}"]
    # Most of their time would go into compiling, again and again, and most signals would come then.
    shared = {"JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"), **CACHE_ALL}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": os.environ | shared}
    was_signalled = False
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        if delay is not None:
            # Its few lines fit into the pipe meanwhile.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay)
            was_signalled = process.poll() is None
            if was_signalled:
                process.send_signal(number)
        output, errors = process.communicate()
    return Ended(process.returncode, output, errors, was_signalled)


def count_kills(count: int, seed: int, *, ray: bool = False) -> tuple[dict[str, Counter[str]], list[str]]:
    """How many of so many kills, shared among the commands, are of each class; a folder is killed a few times, then
    goes on to its end. A signal that comes too late is no kill and is not counted."""
    dice, counts, bad = random.Random(seed), {}, []
    with tempfile.TemporaryDirectory() as scratch, progress(count, "kill") as bar:
        listed = list(commands(ray))
        for i, (name, arguments, read) in enumerate(listed):
            whole = Path(scratch) / name.replace(" ", "_")
            run_command(
                arguments, whole
            )  # This one compiles; another, to a folder of its own, shows how long they take.
            start = time.perf_counter()
            run_command(arguments, whole.with_suffix(".again"))
            seconds, expected = time.perf_counter() - start, read(whole)
            counted, left = Counter[str](), count // len(listed) + (i < count % len(listed))
            while left:
                folder = Path(scratch) / "killed"
                delays = [dice.uniform(0, seconds) for _ in range(min(left, KILLS_A_FOLDER))]
                found, instants = ended_by_signals(arguments, folder, delays, dice)
                if instants and found != "traceback":
                    ended = run_command(arguments, folder)
                    found = "traceback" if ended.status or "Traceback" in ended.errors else "wrong"
                    found = "right" if found == "wrong" and read(folder) == expected else found
                    instants[-1] += "" if found == "right" else f", then {ended.told}"
                counted[found] += len(instants)
                bad += [f"{found}: {name} after {instants}"] if instants and found != "right" else []
                shutil.rmtree(folder, ignore_errors=True)
                left -= len(instants)
                bar.update(len(instants))
            counts[f"kills of {name}"] = +counted
            say(line_of(f"kills of {name}", counted))
    return counts, bad


def ended_by_signals(
    arguments: list[str], folder: Path, delays: list[float], dice: random.Random
) -> tuple[str, list[str]]:
    """Starts a command again and again, each time ended by a signal, until it comes to its end; its class so far, and
    the signals with their instants. A start that fails before its signal comes is a traceback like one after it."""
    instants: list[str] = []
    for delay in delays:
        number = dice.choice(SIGNALS)
        ended = run_command(arguments, folder, number, delay)
        failed = "Traceback" in ended.errors
        if not ended.was_signalled and not (failed or ended.status):
            break
        instants.append(f"{number.name} at {delay:.2f} s" if ended.was_signalled else "no signal")
        if not ended.was_signalled:
            instants[-1] += f", {ended.told}"
            return "traceback", instants
        # While Python imports packages, before the command begins, Ctrl-C is Python's own.
        begun = bool(ended.output.strip())
        if begun and (failed or ended.status not in (0, -number, 128 + number)):
            instants[-1] += f", {ended.told}"
            return "traceback", instants
    return "", instants


def figures(mutations: int, kills: int, *, seed: int = 0, ray: bool = False) -> Measured:
    """Both counts, and what was bad."""
    of_mutations, bad = count_mutations(mutations, seed) if mutations else ({}, [])
    of_kills, bad_kills = count_kills(kills, seed, ray=ray) if kills else ({}, [])
    counts = {name: {each: of[each] for each in CLASSES} for name, of in (of_mutations | of_kills).items()}
    return {"counts": counts, "bad": bad + bad_kills}
