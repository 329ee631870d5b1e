"""What is measured of large sweeps: commands are timed, drawn sweeps are finished ones, and the parts of the time are
found again in a sweep that is made of them."""

from pathlib import Path

import pytest
from chrome import needs_browser
from commands import ROOT, in_this_process

from experiments import sweep
from experiments.benchmarks import commands, drawn_sweep, on_ray, scale, shown
from experiments.benchmarks.commands import Ran
from experiments.classroom import browser
from experiments.engine import executors, results
from experiments.reporting import page
from training.files import RunError

# ml_collections loads config files in a way that Python 3.12 drops.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def test_a_command_is_timed():
    """When each line came, the packs among them; one that fails, and words that nobody says, are errors."""
    printing = "import time; print('to run', flush=True); time.sleep(.2); print('Pack 1/2  x'); print('Pack 2/2  x')"
    ran = commands.timed(["-c", printing], "label")
    assert 0 < ran.until("to run") <= ran.packs[0] - 0.15 and ran.packs[0] <= ran.packs[1] <= ran.seconds
    assert len(ran.packs) == 2 and ran.memory > 0.001
    with pytest.raises(RunError, match="not printed 'Epoch'"):
        ran.until("Epoch")
    with pytest.raises(RunError, match="ended with status 3"):
        commands.timed(["-c", "raise SystemExit(3)"], "label")


def test_sweeps_that_are_drawn_are_finished_ones(tmp_path, monkeypatch, capsys):
    """The commands as they are called, in this process: the drawn sweeps have all trials and epochs, and the real
    command finds nothing left to run."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(page, "update", lambda folder, *_: (folder / "report.html").write_text("x" * 1_000_000))
    called = []

    def timed(arguments, label, environment=None):
        name = arguments[1]
        called.append(name)
        run_locally = drawn_sweep.draw_locally if name.endswith("drawn_sweep") else executors.run_locally
        with monkeypatch.context() as context, in_this_process(sweep, context) as run:
            context.setattr(executors, "run_locally", run_locally)
            run(*arguments[2:])
        printed = capsys.readouterr().out.splitlines()
        return Ran(float(len(printed)), 1.5, [(float(number), text) for number, text in enumerate(printed)])

    monkeypatch.setattr(commands, "timed", timed)
    monkeypatch.setattr(shown, "seconds_to_show", lambda path: [0.25] * (path.name == "report.html"))
    lines, writing = scale.writing_lines(scale.SIZES["tiny"], tmp_path)
    drawn = "experiments.benchmarks.drawn_sweep"
    assert called == [drawn, drawn, "experiments.sweep"]
    # By printed lines, of which a sweep four times as large has no more at its end: nothing for each of its trials.
    assert writing == 0
    table = results.read_table(tmp_path / "larger" / "results.parquet")
    assert len(table) == 40 * scale.SEEDS * scale.EPOCHS and set(drawn_sweep.PROBED) <= set(table.column_names)
    measured = {line["name"].split(": ")[1]: line["measured"] for line in lines}
    assert measured["report.html, MB"] == 1.0 and measured["peak memory, GB"] == 1.5
    assert measured["seconds until Chromium shows report.html"] == 0.25
    assert lines[-1]["name"].startswith("160 trials of 40 configurations")


@needs_browser
def test_a_page_is_shown_once_its_plots_are(tmp_path, monkeypatch):
    """A page whose plot within the window comes half a second late; one far below the window is not waited for."""
    html = (
        "<table id=table><tbody><tr><td>1</td></tr></tbody></table><div class=plot id=a></div>"
        "<div style='height: 9000px'></div><div class=plot></div>"
        "<script>setTimeout(() => { document.getElementById('a').innerHTML = '<svg class=main-svg></svg>'; }, 500);"
        "</script>"
    )
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    monkeypatch.setattr(shown, "TIMES", 1)
    (seconds,) = shown.seconds_to_show(path)
    assert 0.5 <= seconds < 20
    path.write_text(html.replace("main-svg", "none"), encoding="utf-8")
    monkeypatch.setattr(shown, "MOST_SECONDS", 0.1)
    with pytest.raises(browser.BrowserError, match="did not come true within"):
        shown.seconds_to_show(path)


def test_sweeps_are_measured_where_chromium_fails(tmp_path, monkeypatch, capsys):
    """The figure is left out, which one line says."""

    def fails(path):
        raise browser.BrowserError("it fell over")

    monkeypatch.setattr(shown, "seconds_to_show", fails)
    assert scale.seconds_to_show(tmp_path / "report.html") == []
    assert "Chromium shows report.html are left out: it fell over" in capsys.readouterr().out


def test_structures_are_compiled_once(tmp_path, monkeypatch):
    """Two sweeps of the same structures into folders of their own, whose programs lie in one folder."""
    called = []

    def timed(arguments, label, environment=None):
        called.append((arguments, environment))
        return Ran(27.0 / len(called), 1.0, [])

    monkeypatch.setattr(commands, "timed", timed)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    first, later = scale.compiling_lines(scale.SIZES["full"], tmp_path)
    assert (first["measured"], later["measured"], later["target"]) == (27.0, 13.5, 8.0)
    assert first["name"].startswith("8 structures")
    (one, environment), (other, same) = called
    assert one[:-1] == other[:-1] and one[-1] != other[-1] and environment == same
    assert environment["XDG_CACHE_HOME"] == str(tmp_path / "programs")
    assert "JAX_COMPILATION_CACHE_DIR" not in environment


def made_of(parts, packs, trials):
    """The sweep of so many packs of each of two structures on one worker that is made of these parts, of whose start
    the last second comes after the packs."""
    at = parts.start - 1
    printed = [(at, "folder: 48 trials, 0 finished; 6 packs to run")]
    at += parts.worker
    for _ in range(2):
        at += parts.compilation
        for _ in range(packs):
            at += parts.pack
            printed.append((at, "Pack 1/6  x"))
    return Ran(at + 1 + parts.writing * trials / 1e3, 1.0, printed)


def test_the_parts_of_a_sweep_are_found_again():
    """Start, worker, compilation and pack; what they predict of the same sweep is its time."""
    parts = on_ray.Parts(start=5.0, worker=6.0, compilation=3.0, pack=2.0, driver=0.0, writing=0.25)
    ran = made_of(parts, 3, 48)
    found = on_ray.parts_of(ran, 48, 0.0, 0.25)
    assert found == pytest.approx(parts)
    assert on_ray.predicted_seconds(found, 2, 6, 48, 1, 2) == pytest.approx(ran.seconds)


def test_more_workers_shorten_the_turns_alone():
    """By hand: of 32 packs; nodes that share two cores are no faster than two, and have more to begin with."""
    parts = on_ray.Parts(start=5.0, worker=6.0, compilation=3.0, pack=2.0, driver=0.001, writing=0.25)
    seconds = {workers: on_ray.predicted_seconds(parts, 2, 32, 1000, workers, 2) for workers in (1, 2, 4)}
    around = 5 + 0.032 + 0.25
    assert seconds == pytest.approx({1: around + 12 + 64, 2: around + 18 + 32, 4: around + 24 + (6 + 16) * 2})
    assert on_ray.predicted_seconds(parts, 2, 32, 1000, 4, 4) == pytest.approx(around + 24 + 6 + 16)


def test_nodes_are_measured_beside_the_prediction(monkeypatch):
    """A machine on which the model holds: no distance, and half of the time after the first pack on two nodes."""
    parts = on_ray.Parts(start=5.0, worker=6.0, compilation=0.0, pack=2.0, driver=0.0, writing=0.0)
    monkeypatch.setattr(on_ray.lanes, "available_cores", lambda: 4)

    def on_nodes(nodes, packs, examples, folder, structures=on_ray.STRUCTURES):
        packs = packs * len(structures) // 2
        ran = made_of(parts, packs, 0)
        first, last = ran.packs[0], ran.packs[-1]
        after = (last - first + parts.pack) / nodes - parts.pack
        printed = [ran.printed[0], *[(first, "Pack 1/6  x")] * (2 * packs - 1), (first + after, "Pack 6/6  x")]
        return ran if nodes == 1 else Ran(first + after + 1, 1.0, printed)

    monkeypatch.setattr(on_ray, "on_nodes", on_nodes)
    lines = {line["name"]: line for line in on_ray.node_lines(16, 0, 0.0, 0.0, Path())}
    off = [line["measured"] for name, line in lines.items() if "how far off" in name]
    assert off == pytest.approx([0.0, 0.0, 0.0]) and len(off) == len(on_ray.NODES)
    ratio = lines["32 packs of one structure: time after the first pack, on 2 nodes of one CPU / on 1"]
    assert ratio["measured"] == pytest.approx(30 / 62) and ratio["target"] == pytest.approx(1 / 1.8)
