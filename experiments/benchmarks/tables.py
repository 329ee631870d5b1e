"""What was measured as records, as Markdown tables, and as the documents docs/speed.json and docs/speed.md."""

import json
import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from experiments.study.scoreboard import markdown
from training.files import RunError, write_atomically
from training.provenance import device, versions

# What is measured, by the file in WORKDIR that holds it, with what the document says of it.
PARTS = {
    "epoch": (
        "One run",
        "Times are medians over rounds in which every opponent runs one epoch to warm up and then those that count; a "
        "ratio is the median of the rounds' own ratios, so that a machine whose speed drifts does not decide. The "
        "*bound* is the time that numpy needs for the two large matrix products of each step alone, over all 784 "
        "pixels. An epoch is one `lax.scan` over uint8 images that are gathered and scaled on the device. Training "
        "does without pixels that are zero in every image: their weights have no gradient. (With L2 they decay, and "
        "all pixels are kept.)",
    ),
    "sweep": (
        "Sweeps",
        "A *model-epoch* is one epoch of one trial. Lanes of one seed share their images and one wide product in the "
        "first layer, which numpy's bound does not, so that they can go below it; trials that share no seed with "
        "another gather images of their own. A lane's result differs from the run alone by rounding.",
    ),
    "scale": (
        "Scale",
        "Commands as they are typed, from the start of the interpreter to its exit, on the synthetic data set. In "
        "large sweeps numbers are drawn in place of training; these are planned, written and reported as always, in "
        "packs of 16 trials. How soon a later `train.py` shows its first epoch stands under *One run*. On Ray, "
        "*milliseconds of the driver* are processor time of all of its threads; nodes are those of a cluster on this "
        "machine, of one CPU each, and what is predicted of them follows from the parts of the time above it, which "
        "were measured in a smaller sweep on one node: [sweeps.md](sweeps.md) has the formula.",
    ),
    "faults": (
        "Faults",
        "A mutation changes one file of a finished folder at random; then the same command goes on. A kill ends a "
        "command by a signal at a random instant; after a few of them the same command goes on to its end. *Right* has "
        "the bits of the folder that nobody touched, *reported* says what is damaged, *wrong* is another result.",
    ),
    "decide": (
        "Decisions",
        "In an A/A sweep all settings are equal. *Intervals that miss* are 95 % intervals of a paired difference that "
        "do not hold the true one; a *false winner* is one setting alone in the set of those that cannot be told from "
        "the best: of two settings 5 % by construction, about which counts scatter, of more settings less; *the "
        "best left out* counts sweeps with one better setting that is not in the set. Tables of numbers have a part of "
        "each seed and noise, normal or not; trained nets are of two settings whose scores are exchanged within each "
        "seed at random. The variance of paired differences over that of unlike seeds is the share of the seeds that "
        "pairing leaves necessary.",
    ),
    "advice": (
        "Advice",
        "Each of 3 activations (sigmoid, tanh, relu) with 2 costs (quadratic, cross_entropy), 2 widths (one hidden "
        "layer of 16 or 64 units) and 2 data sets (mnist, of which 20,000 examples, and sklearn:digits), 24 settings "
        "that were stated before any was run, is measured and checked as `python -m experiments.advise --check` does "
        "both: at the start, and after 2 epochs of batches of 32. The *rate* is the largest one from which descent "
        "comes back, found by running it on at most 250 examples of each of five probe sets, from a draw of its own; "
        "it held where it is within a factor of 2 of the *edge of divergence* on five sets of as many other "
        "examples, each from another draw, made one number as the advice is: the first rate, in the ratio of the root "
        "of 2, at which "
        "60 steps of descent on all examples of a set climb above the cost of the start and do not come back half-way "
        "from there, or from the cost of knowing nothing where that is less, to the end of the best rate. That rate "
        "was added after *2 / lambda*, the only one that was advised before, had been seen to miss the edge in these "
        "same settings, by the factor that its line below still measures: the settings are not new to the advice, "
        "while the examples and draws that judge it are. The cost of knowing nothing was added then as well: a net "
        "that was killed had counted as come back where its start costs more. The checks of batch and scale start from "
        "the largest rate, and are chosen after these settings were seen as well. 2 / lambda is held "
        "against that edge, "
        "against the first rate at which the cost climbs above its start at all, and against the first at which a step "
        "raises it, which is what it says. The "
        "*batch* is the gradient noise scale tr(H Sigma) / (G' H G), summed over 32 steps from the last state on at "
        "their best rate, without those at which the cost lies above its start; it held where it is within a factor "
        "of 3 of the *knee*, the batch that takes twice the least steps: in 32 of them, each batch at its best rate,"
        " it comes as far as all examples at once in 16, in the mean over 8 to 24 seeds. It was added after the "
        "*noise scale of the state alone*, tr(Sigma) / |G|^2, had been seen to be several times the knee on the "
        "digits, where the rate of the run is far below the best one and the state lies where little gradient "
        "is left; the knee had been a fit of 1 + K / batch, whose K had been seen to depend on which batches were "
        "tried. Both are chosen after these settings were seen, and so is the number of seeds. Batches are at most "
        "half of the at most 10,000 examples that they are drawn from: a larger knee is known from below alone. The "
        "*scale* where it lacks at most a tenth of the progress of the best one tried. *Undecided* is an interval "
        "that lies partly within and partly without, and a best rate at the end of those tried. Ratios are of "
        "settings where both numbers are known, from both sides; the rates of a check lie about the advice, so that "
        "equal ones give 1 to the digit. The command ends each of its two runs of descent, for rate and for batch, "
        "within two minutes, or leaves it out; the benchmark does not.",
    ),
    "page": (
        "The page for a class",
        "The page is served by `python -m experiments.playground` and visited by a Chromium without a screen on the "
        "same machine. *Without the page* an epoch and its validation run as in `train.py`, in turn with those of the "
        "page; an *update* is a frame that the browser has drawn. Visitors at once are frames of one window: five of "
        "them train on all images, and three play other views. Of random settings, links, buttons and parts of "
        "pictures one is *answered* by another picture or by words, *refused* by words at the control, or what was "
        "set has *stopped* with words; *hung* is a page without an answer within a minute. *Diverged* are those whose "
        "numbers have left; *told* says so.",
    ),
}


class Line(TypedDict):
    """A figure with its target: the median of all that were measured; no target where there is nothing to meet."""

    name: str
    measured: float
    n: int
    target: float | None
    all: list[float]


class Measured(TypedDict, total=False):
    """What was measured: seconds by opponent and round, figures; of faults and of advice how many came out how, and the
    bad ones; settings with their cells by column."""

    seconds: dict[str, list[float]]
    figures: list[Line]
    counts: dict[str, dict[str, int]]
    bad: list[str]
    settings: list[dict[str, str]]


class Part(TypedDict):
    """What one command measured, on which machine and when."""

    command: str
    machine: str
    date: str
    measured: Measured


def line(name: str, values: list[float], target: float | None) -> Line:
    """A figure of several measurements."""
    return Line(name=name, measured=statistics.median(values), n=len(values), target=target, all=values)


def measured_here(command: str, measured: Measured) -> Part:
    """The measurements with this machine and today."""
    found = versions()
    machine = f"{os.cpu_count()} cores, {device()}, Python {found['python']}, jaxlib {found['jaxlib']}"
    return Part(command=command, machine=machine, date=time.strftime("%Y-%m-%d"), measured=measured)


def table(measured: Measured) -> str:
    """The measurements as Markdown tables."""
    parts: list[str] = []
    if seconds := measured.get("seconds"):
        rows = (
            [name, *(f"{value:.3f} s" for value in (statistics.median(v), min(v), max(v))), str(len(v))]
            for name, v in seconds.items()
        )
        parts.append(markdown(("one epoch of the shallow net", "median", "least", "most", "n"), rows))
    if lines := measured.get("figures"):
        parts.append(markdown(("figure", "measured", "least", "most", "n", "target", "met"), map(cells, lines)))
    if counts := measured.get("counts"):
        classes = list(dict.fromkeys(name for found in counts.values() for name in found))
        rows = ([name, *(str(found.get(each, 0)) for each in classes)] for name, found in counts.items())
        parts.append(markdown(("", *classes), rows))
    if bad := measured.get("bad"):
        parts.append("\n".join(f"- {one}" for one in bad))
    if settings := measured.get("settings"):
        parts.append(markdown(tuple(settings[0]), (one.values() for one in settings)))
    return "\n\n".join(parts)


def cells(line: Line) -> list[str]:
    """A figure's row of the table."""
    target = line["target"]
    met = "" if target is None else "yes" if line["measured"] <= target else "**no**"
    values = (line["measured"], min(line["all"]), max(line["all"]))
    return [line["name"], *map(figure, values), str(line["n"]), "" if target is None else f"<= {target:g}", met]


def figure(value: float) -> str:
    """Three decimals, or two significant digits for what they would make zero."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 5e-4 else f"{value:.2g}"


# ---------------------------------------------------------------------------------------------------------------------
# The documents.


def path_of(part: str, workdir: Path) -> Path:
    """Where a part is kept in the folder."""
    return workdir / f"{part}.json"


def write_part(name: str, part: Part, workdir: Path) -> None:
    """Keeps the measurements."""
    write_atomically(path_of(name, workdir), json.dumps(part, indent=1, allow_nan=False) + "\n")


def write_documents(workdir: Path, docs: Path) -> list[str]:
    """Takes what was measured into the folder over into docs/speed.json and docs/speed.md, in the place of what was
    measured before; the parts that were taken. RunError where the folder holds nothing, or what cannot be read."""
    new = {name: _read(path_of(name, workdir)) for name in PARTS if path_of(name, workdir).exists()}
    if not new:
        raise RunError(f"{workdir} holds no measurements; accepted: the --workdir of `python -m experiments.benchmark`")
    before = _read(docs / "speed.json") if (docs / "speed.json").exists() else {}
    parts = {name: (before | new)[name] for name in PARTS if name in before | new}
    text = document(parts)  # A damaged file is found before anything is written.
    write_atomically(docs / "speed.json", json.dumps(parts, indent=1, allow_nan=False) + "\n")
    write_atomically(docs / "speed.md", text)
    return list(new)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); accepted: another --workdir") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged (it holds no object); accepted: another --workdir")
    return content


def document(parts: Mapping[str, Any]) -> str:
    """docs/speed.md, of what docs/speed.json holds."""
    sections = [
        "# Speed",
        "This page is written by `python -m experiments.benchmark --docs` from `speed.json` beside it.",
    ]
    for name, part in parts.items():
        title, words = PARTS[name]
        try:
            sections += [f"## {title}", about(part), table(part["measured"]), words]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"the measurements {name!r} are damaged ({error!r}); accepted: another --workdir") from error
    return "\n\n".join(filter(None, sections)) + "\n"


def about(part: Part) -> str:
    """By which command, when and where."""
    return f"`{part['command']}`, {part['date']}, {part['machine']}."
