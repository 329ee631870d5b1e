"""What is finished of a sweep, read at any instant and without its lock."""

import numpy as np
import pytest

from configs import shallow
from experiments.engine import plan, results, space
from experiments.engine.lanes import Shape
from experiments.engine.plan_file import SweepError
from experiments.engine.standing import Folder
from experiments.engine.sweep_directory import SweepDirectory
from training.config import as_config
from training.records import METRICS


def a_sweep(folder, rates=(0.1, 1.0, 10.0), seeds=2):
    """The folder of a sweep of two epochs that has begun, and its packs of one rate each with made-up rows."""
    base = shallow.get_config()
    base.epochs = 2
    trials = space.make_trials(base, None, {"learning_rate": list(rates), "seed": list(range(seeds))})
    names = np.array(list(trials)).reshape(len(rates), seeds)
    packs = [plan.Pack((tuple(map(str, row)),), Shape(1, seeds), ()) for row in names]
    directory = SweepDirectory(folder, as_config(base), trials)
    tables = {}
    for pack in packs:
        rows = [
            {"trial": name, "epoch": epoch, "diverged": False, **dict.fromkeys(METRICS, 0.5)}
            for name in pack.trials
            for epoch in (1, 2)
        ]
        times = results.Times(1e9, (1e9 + 3.0, 1e9 + 4.0))
        tables[pack] = results.with_times(results.pack_table({name: trials[name] for name in pack.trials}, rows), times)
    return directory, tables


def test_what_is_finished_is_read_while_the_sweep_runs(tmp_path):
    """Nothing, then pack by pack, while another has the lock and files appear; each pack is read once."""
    directory, tables = a_sweep(tmp_path / "sweep")
    folder = Folder(tmp_path / "sweep")
    with pytest.raises(results.DamagedError, match="there is no such file"):
        folder.read()
    with directory:
        directory.write_plan({}, {}, list(tables))
        table, standing = folder.read()
        assert table is None and standing.words == "0 of 6 trials, 0 of 3 packs are finished"
        stamps = {folder.stamp()}
        for done, (pack, of_pack) in enumerate(tables.items(), start=1):
            (tmp_path / "sweep" / "packs" / f".{pack.name}.parquet.1.tmp").write_bytes(b"half a pack")
            directory.write_pack(pack, of_pack)
            table, standing = folder.read()
            stamps.add(folder.stamp())
            assert standing.words == f"{2 * done} of 6 trials, {done} of 3 packs are finished"
            assert table.equals(results.join(list(tables.values())[:done])) and len(stamps) == done + 1
            assert standing.seconds == dict.fromkeys(table["trial"].to_pylist(), 2.0)
            assert (standing.began, standing.ended) == (1e9, 1e9 + 4)


def test_what_cannot_be_read_is_left_out_and_said(tmp_path, capsys):
    """A damaged pack, a damaged plan; without packs, the results that are there."""
    directory, tables = a_sweep(tmp_path)
    with directory:
        directory.write_plan({}, {}, list(tables))
        for pack, of_pack in tables.items():
            directory.write_pack(pack, of_pack)
    path = sorted((tmp_path / "packs").iterdir())[0]
    path.write_bytes(path.read_bytes()[:300])
    table, standing = Folder(tmp_path).read()
    assert standing.words == "4 of 6 trials, 2 of 3 packs are finished" and len(table) == 8
    assert f"{path} is damaged" in capsys.readouterr().err
    results.write_table(results.join(tables.values()), tmp_path / "results.parquet")
    for pack in (tmp_path / "packs").iterdir():
        pack.unlink()
    table, standing = Folder(tmp_path).read()
    assert len(table) == 12 and standing is None
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(SweepError, match="damaged"):
        Folder(tmp_path).read()


def test_results_of_the_same_rows_are_left_as_they_are(tmp_path):
    """So that their time says since when they are there; other rows replace them."""
    directory, tables = a_sweep(tmp_path)
    with directory:
        whole = results.join(tables.values())
        directory.write_results(whole)
        before = (tmp_path / "results.parquet").stat()
        directory.write_results(whole)
        assert (tmp_path / "results.parquet").stat().st_ino == before.st_ino
        directory.write_results(whole.slice(0, 4))
        assert len(results.read_table(tmp_path / "results.parquet")) == 4
