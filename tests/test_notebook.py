"""The lecture's notebook runs without an error, says what the lecture says, and is committed as it runs."""

import json
import re
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebooks" / "lecture.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after a run in its own folder, as Jupyter runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable)))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
        client = nbclient.NotebookClient(
            notebook, timeout=200, kernel_name="python3", coalesce_streams=True, resources=resources
        )
        return client.execute()


def code_cells(notebook):
    """The cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook, word):
    """What the cell whose source holds the word prints."""
    (cell,) = [cell for cell in code_cells(notebook) if word in cell.source]
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def last(metric, text):
    """The last value of a metric in printed epochs."""
    return float(re.findall(rf"\b{metric}: ([\d.]+)", text)[-1])


def test_no_cell_errs_and_figures_are_shown(executed):
    """Nor warns: what is printed is on stdout."""
    outputs = [out for cell in code_cells(executed) for out in cell.outputs]
    assert all(out.name == "stdout" for out in outputs if out.output_type == "stream")
    assert {out.output_type for out in outputs} == {"stream", "execute_result"}
    assert sum("image/png" in out.data for out in outputs if out.output_type == "execute_result") == 7


def test_what_it_prints_is_the_lecture(executed):
    """The fit passes the plateau of .09 and has learnt something, the better net a lot; only noise leaves the well."""
    fit, better = printed(executed, "EPOCHS = "), printed(executed, "intermediate.get_config")
    assert fit.count("\n") == int(re.findall(r"EPOCHS = (\d+)", str(executed))[0])
    assert 0.12 < last("val_accuracy", fit) < 0.4 and 0.08 < last("val_loss", fit) < 0.09
    assert float(re.findall(r"\bloss: ([\d.]+)", fit)[0]) > 0.09
    assert 0.94 < last("val_accuracy", better) < 0.97
    left = re.fullmatch(r"gradient descent ends at w = 1\.19; (\d+) of 100 [^\n]*\n", printed(executed, "WALKERS = "))
    assert left and int(left[1]) > 90


def test_it_is_committed_executed(executed):
    """With its outputs, which are those of a run: the same text but for rounding; small, and of no machine."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    for then, now in zip(code_cells(notebook), code_cells(executed), strict=True):
        assert [out.output_type for out in then.outputs] == [out.output_type for out in now.outputs]
    for word in ("EPOCHS = ", "intermediate.get_config"):
        then, now = (last("val_accuracy", printed(of, word)) for of in (notebook, executed))
        assert then == pytest.approx(now, abs=0.01)
    text = NOTEBOOK.read_text()
    assert len(text) < 1_000_000
    without_pictures = json.dumps(
        [[o for o in cell.outputs if o.output_type == "stream"] for cell in code_cells(notebook)]
    )
    assert not re.search(r"/(home|Users|root|tmp|work)/|[A-Z]:\\\\", without_pictures)
    assert str(ROOT) not in text and sys.prefix not in text


@pytest.mark.parametrize("folder", [ROOT, NOTEBOOK.parent], ids=["root", "notebooks"])
def test_first_cell_finds_the_code(folder, monkeypatch):
    """From the repository root as well as from the notebook's own folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [])
    source = code_cells(nbformat.read(NOTEBOOK, as_version=4))[0].source
    exec(source.replace("%matplotlib inline\n", ""), {})
    assert sys.path == [str(ROOT)]
