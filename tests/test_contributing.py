"""The steps of CONTRIBUTING.md, followed word for word in a copy of the checkout."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from nets import costs

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## Adding (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
# "In `FILE`, after the line `LINE`:" or "In the new file `FILE`:", and the block that follows.
STEP = re.compile(
    r"In\s(?:`(?P<path>[^`]+)`,\s(?P<side>before|after)\sthe\sline\s`(?P<line>[^`]+)`|the\snew\sfile\s`(?P<new>[^`]+)`)"
    r":\n\n```python\n(?P<code>.*?)```\n",
    re.DOTALL,
)
COPIED = (
    "nets",
    "readers",
    "training",
    "experiments",
    "configs",
    "tests",
    "train.py",
    "input_pipeline.py",
    "pyproject.toml",
)


class Step(NamedTuple):
    """A block of code and where it goes: into which file, before or after which line ('': a new file)."""

    path: str
    side: str
    line: str
    code: str


def steps_of(section: str) -> list[Step]:
    """The steps of a section, in order."""
    return [
        Step(found["path"] or found["new"], found["side"] or "", found["line"] or "", found["code"])
        for found in STEP.finditer(section)
    ]


def paths_of(section: str) -> list[str]:
    """The files that a section's steps touch."""
    return sorted({step.path for step in steps_of(section)})


def follow(step: Step, root: Path) -> None:
    """Does what a step says, indenting the block as the line is."""
    path = root / step.path
    if not step.side:
        assert not path.exists(), f"{step.path} is there already"
        path.write_text(step.code, encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (place,) = [i for i, line in enumerate(lines) if line == f"{step.line}\n"]
    indent = step.line[: len(step.line) - len(step.line.lstrip())]
    lines.insert(place + (step.side == "after"), textwrap.indent(step.code, indent))
    path.write_text("".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Path:
    """A copy of the checkout in which all sections were followed."""
    root = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)
    for section in SECTIONS.values():
        for step in steps_of(section):
            follow(step, root)
    run(root, "-m", "ruff", "format", "--no-cache", *paths_of(PAGE))
    return root


def run(root: Path, *arguments: str) -> str:
    """What a command of Python prints in the copy; it has to end well."""
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ended.returncode == 0, ended.stdout[-3000:]
    return ended.stdout


def test_every_block_of_a_section_is_a_step():
    """What is not understood would not be tested."""
    assert list(SECTIONS) == ["an activation", "a cost", "a field to the config", "a probe", "a data set", "a study"]
    assert len(steps_of(PAGE)) == PAGE.count("```python")


@pytest.mark.parametrize("name", SECTIONS)
def test_each_addition_is_one_file_of_code_and_its_test(name):
    """As the page promises."""
    paths = paths_of(SECTIONS[name])
    assert sorted(path.startswith("tests/") for path in paths) == [False, True]


def of_all_additions() -> list[str]:
    """The flags of the five of them that a config names."""
    flags = sorted(set(re.findall(r"`(--config\.[^`]*)`", PAGE)))
    assert len(flags) == 5, flags
    given = {flag.partition("=")[0]: flag for words in flags for flag in words.split()}
    assert {"--config.activation", "--config.cost", "--config.dataset", "--config.note", "--config.probes"} < set(given)
    return [*given.values(), "--config.epochs=1", "--config.probes=weights", "--config.note=a first try"]


TRAINING = """
import pytest


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # Of ml_collections.
def test_all_additions_train_at_once(call, capsys):
    call(*{arguments})
    assert "Epoch 1/1" in capsys.readouterr().out
"""


def test_additions_pass_their_tests_and_train_at_once(followed):
    """Those that the page gives, and of the tables that they join the ones of what was added; then all of them on one
    command line. In one process, which imports all there is once."""
    added = [step.path for step in steps_of(PAGE) if step.path.startswith("tests/")]
    of_tables = ["tests/nets/test_activations.py::test_table_states_range_asymptotes_and_slope[lecun_tanh]"]
    of_tables += [f"tests/nets/test_costs.py::test_stable_far_out[absolute-{output}]" for output in costs.OUTPUTS]
    folder, config = followed / "run", followed / "configs" / "shallow.py"
    arguments = [f"--config={config}", *of_all_additions(), f"--workdir={folder}"]
    training = "tests/test_all_additions.py"
    (followed / training).write_text(TRAINING.format(arguments=arguments), encoding="utf-8")
    run(followed, "-m", "pytest", *added, *of_tables, training, "-n", "0", "-p", "no:cacheprovider")
    recorded = (folder / "config.json").read_text()
    assert '"note": "a first try"' in recorded and '"activation": "lecun_tanh"' in recorded
    assert "weight_std/hidden_0" in (folder / "metrics.jsonl").read_text()


def test_ruff_finds_nothing(followed):
    """As in the checkout."""
    run(followed, "-m", "ruff", "check", "--no-cache", *paths_of(PAGE))
