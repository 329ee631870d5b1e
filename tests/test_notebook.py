"""The lecture's notebook runs without an error, says what the lecture says, and is committed as it runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from experiments.classroom import executed as executing
from experiments.classroom import notebook as shown
from experiments.classroom.notebook import Drawn, Slider
from training import figures

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebooks" / "lecture.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after a run in its own folder, as Jupyter runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable)))
        return executing.without_sliders(executing.execute(NOTEBOOK))


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


def pictures(notebook):
    """What shows a picture, with what is shown after it."""
    outputs = [out for cell in code_cells(notebook) for out in cell.outputs if out.output_type != "stream"]
    return list(zip(outputs[::2], outputs[1::2], strict=True))


def test_no_cell_errs_and_pictures_have_words(executed):
    """Nor warns: what is printed is on stdout. Each picture has words of its own, as its alt text, as the text that
    stands for it, and below it."""
    outputs = [out for cell in code_cells(executed) for out in cell.outputs]
    assert all(out.name == "stdout" for out in outputs if out.output_type == "stream")
    assert {out.output_type for out in outputs} == {"stream", "display_data"}
    words = []
    for picture, caption in pictures(executed):
        words.append(picture.metadata["image/png"]["alt"])
        assert len(words[-1]) > 40 and "image/png" in picture.data
        assert picture.data["text/plain"] == caption.data["text/plain"] == words[-1] and "text/html" in caption.data
    assert len(words) == len(set(words)) == 13
    assert sum("50,890 in all" in alt for alt in words) == 1


def test_what_it_prints_is_the_lecture(executed):
    """The fit passes the plateau of .09 and has learnt something, the better net a lot; only noise leaves the well."""
    fit, better = printed(executed, "EPOCHS = "), printed(executed, "intermediate.get_config")
    assert fit.count("\n") == int(re.findall(r"EPOCHS = (\d+)", str(executed))[0]) + 1
    assert fit.startswith("epoch 0/7  val_loss: 0.")
    assert 0.12 < last("val_accuracy", fit) < 0.4 and 0.08 < last("val_loss", fit) < 0.09
    assert float(re.findall(r"\bloss: ([\d.]+)", fit)[1]) > 0.09
    assert 0.93 < last("val_accuracy", better) < 0.97
    assert 0.85 < last("val_accuracy", printed(executed, "forward.LEARNING_RATE")) < 0.95
    said = [picture.data["text/plain"] for picture, _ in pictures(executed)]
    assert any(re.search(r"Gradient descent ends at w = 1\.19\.$", words) for words in said)
    left = re.search(r"batch size 1: (\d+) of 100 walks leave", " ".join(said))
    assert left and int(left[1]) > 90
    # What the study of the two wells has as the median.
    median = re.search(r"half of them after (\d+)", " ".join(said))
    assert median and 0.85 * 151 < int(median[1]) < 1.15 * 151


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
    exec(code_cells(nbformat.read(NOTEBOOK, as_version=4))[0].source, {})
    assert sys.path == [str(ROOT)]


def test_first_cell_fetches_the_code(tmp_path, monkeypatch):
    """Where only the notebook is there, as in Colab, it is cloned and its versions installed; without an address it
    ends in one line."""
    source, calls = code_cells(nbformat.read(NOTEBOOK, as_version=4))[0].source, []

    def call(command, check):
        calls.append([str(word) for word in command])
        if command[0] == "git":
            (tmp_path / "plateau").mkdir()
            (tmp_path / "plateau" / "input_pipeline.py").touch()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(subprocess, "run", call)
    with pytest.raises(SystemExit, match=r"^The code is not here: set PROJECT"):
        exec(source, {})
    assert 'PROJECT = ""' in source and not calls
    exec(source.replace('PROJECT = ""', 'PROJECT = "https://example.org/plateau"'), {})
    folder = str(tmp_path / "plateau")
    cloned, installed = calls
    assert cloned == ["git", "clone", "--quiet", "--depth=1", "https://example.org/plateau", folder]
    assert installed[:4] == [sys.executable, "-m", "pip", "install"]
    assert installed[-2:] == ["-r", f"{folder}/requirements-playground.txt"] and sys.path[0] == folder


def test_what_the_first_lines_say_is_pinned():
    """The version of ipywidgets that is named is the one that is installed."""
    (named,) = re.findall(r"ipywidgets==[\d.]+", nbformat.read(NOTEBOOK, as_version=4).cells[0].source)
    assert named in (ROOT / "requirements-playground.txt").read_text().splitlines()


class Displayed:
    """What stands in a cell's output."""

    def __init__(self, data):
        self.data = data

    def update(self, data, **_):
        self.data = data


@pytest.mark.parametrize("has_sliders", [True, False])
def test_sliders_draw_again(has_sliders, monkeypatch):
    """The picture and its words follow the slider; without ipywidgets they stand as they are drawn first."""
    ipywidgets, outputs = pytest.importorskip("ipywidgets"), []
    display = pytest.importorskip("IPython.display")

    def put(data, **_):
        outputs.append(Displayed(data))
        return outputs[-1]

    def draw(activation, z):
        return Drawn(figures.new_figure(1, 1)[0], f"{activation} at {z}")

    monkeypatch.setattr(display, "display", put)
    monkeypatch.setattr(shown, "has_sliders", lambda: has_sliders)
    shown.play(draw, activation=Slider("activation", ("step", "hard_tanh"), "step"), z=Slider("z", (-1.0, 0.5), 0.5))
    *sliders, picture, caption = outputs
    assert picture.data["text/plain"] == "step at 0.5" and picture.data["image/png"].startswith(b"\x89PNG")
    if not has_sliders:
        assert not sliders
        return
    activation, z = sliders[0].data.children
    assert isinstance(z, ipywidgets.SelectionSlider) and isinstance(activation, ipywidgets.Dropdown)
    assert (activation.description, z.description) == ("activation", "z")
    z.value, activation.value = -1.0, "hard_tanh"
    assert picture.data["text/plain"] == caption.data["text/plain"] == "hard_tanh at -1.0"
