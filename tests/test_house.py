"""The house stands as its plan says: imports run one way, files have one job, studies keep to themselves."""

import ast
import re
from pathlib import Path

import pytest

from experiments.study import study

ROOT = Path(__file__).parent.parent
# Each may import what stands before it, and files of its own room that do not import it back.
ORDER = (
    "training.starting",
    "nets",
    "training.console",
    "training.files",
    "training.own",
    "training.pictures",
    "readers",
    "input_pipeline",
    "training",
    "train",
    "configs",
    "experiments.engine",
    "experiments.study",
    "experiments.reporting",
    *(f"experiments.{wing}" for wing in study.WINGS),
    "experiments.advising",
    "experiments.classroom",
    "experiments.benchmarks",
    "experiments",
)
WINGS = tuple(f"experiments.{wing}." for wing in study.WINGS)
MOST_LINES = 450


def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name, tests and notebooks left out."""
    paths = [
        *ROOT.glob("*.py"),
        *(p for room in ("nets", "readers", "training", "configs", "experiments") for p in (ROOT / room).rglob("*.py")),
    ]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def imports_of(name: str) -> set[str]:
    """The project's modules that a module imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in MODULES else node.module
                for alias in node.names
            }
    return {other for other in found if other in MODULES and other != name}


def place(name: str) -> int:
    """Where a module stands: the longest entry of the order that it belongs to."""
    rooms = [room for room in ORDER if name == room or name.startswith(f"{room}.")]
    assert rooms, f"{name} stands in no room; add its room to the order"
    return ORDER.index(max(rooms, key=len))


def test_imports_run_one_way():
    """No module imports from a room above its own."""
    upward = [f"{name} imports {other}" for name in MODULES for other in imports_of(name) if place(other) > place(name)]
    assert not upward


def test_no_circles():
    """Taking away, again and again, what imports nothing that is left, takes all away."""
    left = {name: imports_of(name) for name in MODULES}
    # A package's own file gathers what is in it.
    left = {name: {other for other in others if not name.startswith(f"{other}.")} for name, others in left.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert not left


def test_no_study_imports_a_study():
    """What two of them need stands in experiments/study."""
    between = [
        f"{name} imports {other}"
        for name in MODULES
        if name.startswith(WINGS)
        for other in imports_of(name)
        if other.startswith(WINGS)
    ]
    assert not between


def test_no_private_name_crosses_a_file():
    """Neither imported nor read off a module."""
    crossing = []
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text())
        aliases = {other.rpartition(".")[2] for other in imports_of(name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in MODULES:
                crossing += [f"{name}: {alias.name}" for alias in node.names if re.match(r"_[a-z]", alias.name)]
            if (
                isinstance(node, ast.Attribute)
                and re.match(r"_[a-z]", node.attr)
                and node.attr not in ("_replace", "_fields", "_asdict", "_make")
            ):
                value = node.value
                if isinstance(value, ast.Name) and value.id in aliases:
                    crossing.append(f"{name}: {value.id}.{node.attr}")
    assert not crossing


@pytest.mark.parametrize("suffix", ["py", "js", "css", "html"])
def test_no_file_is_too_long(suffix):
    """A file of more lines has more than one job."""
    paths = [
        path
        for path in ROOT.rglob(f"*.{suffix}")
        if not {".venv", "runs", ".git", "build"} & set(path.relative_to(ROOT).parts)
    ]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert not {path: lines for path, lines in lengths.items() if lines > MOST_LINES}


def test_readme_can_be_read_in_one_sitting():
    """150 lines and 12 KB."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150 and len(text.encode()) <= 12 * 1024


def test_every_study_is_found_and_has_its_sizes():
    """Every file of a wing ends with a study, whose short name no other has, at a tiny and a quick size."""
    found = study.find_studies()
    files = [path for wing in study.WINGS for path in (ROOT / "experiments" / wing).glob("[!_]*.py")]
    assert len(found) == len(files) >= 26
    for name, module in found.items():
        loaded = study.load(module)
        assert {"tiny", "quick"} <= set(loaded.sizes) <= set(study.SIZES), name
        assert loaded.question.endswith("?"), name
        assert f"python -m {module}" in (MODULES[module].read_text()), name
