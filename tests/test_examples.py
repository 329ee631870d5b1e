"""The examples of other people's models run, and print what they promise."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, capsys):
    """A table of layers and measures of all four groups, in at most 40 lines of which three measure."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    assert sum("nets.watch" in line or "watched." in line for line in text.splitlines()) <= 3
    runpy.run_path(str(path))
    printed = capsys.readouterr().out
    assert "speed/" in printed and ("saturation/" in printed or "slope_mass/" in printed)
    assert path.stem == "optax_loop" or ("curvature/top_eigenvalue" in printed and "noise/scale" in printed)
