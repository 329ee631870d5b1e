"""A finished sweep that is started again: its words are repeated where no byte has changed, and nowhere else."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import in_this_process

from configs import shallow
from experiments import sweep
from experiments.engine import executors, finished, results, space, sweeping
from experiments.reporting import pictures
from training.config import as_config
from training.records import METRICS


def drawn(packs, trials, datasets, advance):
    """Each pack with made-up numbers, of which trials are told by."""
    for pack in packs:
        rows = [
            {"trial": name, "epoch": epoch, "diverged": False, **dict.fromkeys(METRICS, trials[name].learning_rate)}
            for name in pack.trials
            for epoch in (1, 2)
        ]
        yield pack, results.pack_table({name: trials[name] for name in pack.trials}, rows)


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Starts the sweep; how many packs it has run, whether it has read any file of them, the words at its end."""
    monkeypatch.setattr(executors, "run_locally", drawn)
    monkeypatch.setattr(sweeping, "check_sums", lambda: None)
    base = as_config(shallow.get_config()).replace(dataset="synthetic", epochs=2)
    ran, read, read_pack = [], [], results.read_pack
    monkeypatch.setattr(results, "read_pack", lambda *given: read.append(given) or read_pack(*given))
    write = results.write_table
    monkeypatch.setattr(results, "write_table", lambda *given: ran.append(given) or write(*given))

    def once(folder=tmp_path / "sweep", rates=(0.1, 0.2, 0.5, 1.0), of="all", **changed):
        del ran[:], read[:]
        trials, said = space.make_trials(base.replace(**changed), None, {"learning_rate": rates}), []

        def report(folder, table, standing):
            (folder / "decisions.json").write_text(f"{of} {np.mean(table['loss'].to_numpy())}")
            said.append(f"{of}: {len(table)} rows, {np.mean(table['loss'].to_numpy())}")
            return said[0]

        repeat = sweeping.Repeat(of, said.append)
        options = {"most_lanes": 2, "report": report, "tensorboard": False, "repeat": repeat}
        sweeping.run(base.replace(**changed), trials, folder, **options)
        return len(ran), len(read), said

    return once


def content_of(folder):
    """Every file with its bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_words_of_a_finished_sweep_are_repeated(start, capsys, tmp_path):
    """Nothing is read, run or written, and the same is said."""
    said = ["all: 8 rows, 0.45"]
    assert start() == (2, 0, said)
    before, first = content_of(tmp_path / "sweep"), capsys.readouterr().out
    assert finished.FILE in map(str, before)
    assert start() == (0, 0, said)
    assert content_of(tmp_path / "sweep") == before
    again = capsys.readouterr().out
    assert again == first[: first.index("Pack 1/2")].replace("0 finished; 2 packs", "4 finished; 0 packs")


@pytest.mark.parametrize("change", ["flip", "cut", "delete", "other"])
def test_a_byte_of_any_file_is_noticed(start, tmp_path, capsys, change):
    """All is read then, a damaged pack said and run again, and in the end every file is as it was."""
    start()
    whole = content_of(tmp_path / "sweep")
    for name, content in whole.items():
        if name.name in (".lock", "plan.json"):  # The first is empty, a damaged plan is refused.
            continue
        folder = tmp_path / "changed"
        shutil.copytree(tmp_path / "sweep", folder)
        changed = {
            "flip": content[: len(content) // 2]
            + bytes([content[len(content) // 2] ^ 1])
            + content[len(content) // 2 + 1 :],
            "cut": content[: len(content) // 2],
            "delete": b"",
            "other": content + b"\n",
        }[change]
        (folder / name).unlink() if change == "delete" else (folder / name).write_bytes(changed)
        capsys.readouterr()
        ran, read, said = start(folder)
        assert said == ["all: 8 rows, 0.45"] and read > 0, name
        is_pack = name.parent.name == "packs"
        assert ran == is_pack, name
        assert ("is damaged" in capsys.readouterr().err) == (is_pack and change != "delete"), name
        after = content_of(folder)
        # A pack that was run again comes last in the plan.
        kept = [other for other in whole if not (is_pack and other.name in ("plan.json", finished.FILE))]
        assert {other: after[other] for other in kept} == {other: whole[other] for other in kept}
        assert start(folder) == (0, 0, said)
        shutil.rmtree(folder)


def test_another_question_is_not_answered_by_it(start, monkeypatch, tmp_path):
    """More trials, fewer, another report, other labels, other code or packages; what is left of another way to go."""
    start()
    assert start(of="survivors")[1:] == (2, ["survivors: 8 rows, 0.45"])
    assert start(of="survivors")[1] == 0
    assert (
        start(rates=(0.1, 0.2))[1] == 2 and start()[1] == 2
    )  # Of fewer nothing is kept: there are more in the folder.
    assert start()[1] == 0
    ran, read, _ = start(rates=(0.1, 0.2, 0.5, 1.0, 2.0))
    assert (ran, read) == (1, 2) and start(rates=(0.1, 0.2, 0.5, 1.0, 2.0))[:2] == (0, 0)
    load = sweeping.load_datasets

    def relabelled(*given):
        roll = lambda data: data._replace(validation_labels=np.roll(data.validation_labels, 1))  # noqa: E731
        return {key: roll(data) for key, data in load(*given).items()}

    for room, name, value in (
        (sweeping, "load_datasets", relabelled),
        (finished, "code_digest", lambda _: "another"),
        (finished, "versions", lambda _: {"jax": "another"}),
        (finished, "device", lambda: "another"),
        (finished, "environment", lambda: {"cores": "another"}),
    ):
        start()
        assert start()[1] == 3  # With the fifth trial in the folder, it is all read.
        with monkeypatch.context() as context:
            rates = (0.1, 0.2, 0.5, 1.0, 2.0)
            start(rates=rates)
            context.setattr(room, name, value)
            assert start(rates=rates)[1] == 3
    start(folder=tmp_path / "third")
    (tmp_path / "third" / "states").mkdir()
    assert start(folder=tmp_path / "third")[1] == 2


def test_an_unfinished_sweep_is_not_taken_for_one(start, monkeypatch, tmp_path):
    """Stopped before its second pack, before its words are written, and after them."""

    def stopped(packs, *given):
        yield next(iter(drawn(packs, *given)))
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(executors, "run_locally", stopped)
        with pytest.raises(KeyboardInterrupt):
            start()
    assert not (tmp_path / "sweep" / finished.FILE).exists()
    assert start()[:2] == (1, 1)
    (tmp_path / "sweep" / finished.FILE).unlink()
    assert start()[:2] == (0, 2) and start()[:2] == (0, 0)


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_the_page_and_its_pictures_are_made_again(start, monkeypatch, tmp_path, capsys):
    """With the real report: one byte of the page, no pictures, one byte of one of them, and a stop between both."""
    folder, arguments = tmp_path / "real", ["--axis", "learning_rate=0.1,0.2", "--notensorboard", "--select_by=test"]
    config = Path(__file__).parents[2] / "configs" / "shallow.py"
    arguments += [f"--config={config}", "--config.dataset=synthetic", "--config.epochs=2", f"--workdir={folder}"]
    with in_this_process(sweep, monkeypatch) as run:
        run(*arguments)
        whole = content_of(folder)
        picture = folder / "figures" / "learning_curves.svg"
        assert picture.is_file() and finished.FILE in map(str, whole)
        name = picture.relative_to(folder)
        for damaged in (["report.html"], ["figures"], [name], ["report.html", finished.FILE], [name, finished.FILE]):
            for path in (folder / name for name in damaged):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    content = path.read_bytes()
                    path.write_bytes(content[:-99] + bytes([content[-99] ^ 1]) + content[-98:])
            run(*arguments)
            assert content_of(folder) == whole, damaged
        drawn = []
        monkeypatch.setattr(pictures, "write_pictures", lambda *given: drawn.append(given) or [])
        (folder / finished.FILE).unlink()
        run(*arguments)
        assert not drawn, "only finished.json was missing"
        shutil.rmtree(folder / "figures")

        def stopped(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as context:
            context.setattr(pictures, "write_pictures", stopped)
            with pytest.raises(SystemExit):
                run(*arguments)
        run(*arguments)
        assert len(drawn) == 1


def test_a_sweep_without_finished_json_is_as_complete(start, monkeypatch, tmp_path):
    """Where it cannot be written, the sweep ends as ever."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(finished, "write_atomically", full)
    assert start() == (2, 0, ["all: 8 rows, 0.45"])
    assert not (tmp_path / "sweep" / finished.FILE).exists()
