"""Sweeps that the first version (commit 37428e6) made go on, grow and are reported.

tests/data/sweep_37428e6_none: two rates by two seeds without probes, of whose two packs one is missing.
tests/data/sweep_37428e6_probes: the same with the probes of the lecture's config, all of it.

There a trial's name said what is recorded as well, so that those of the first folder are other names now; those of the
second are not.
"""

import json
import shutil
import types
from pathlib import Path

import pytest

import input_pipeline
from experiments import report
from experiments.engine import executors, results, space
from experiments.reporting import page
from training.config import Config
from training.records import METRICS

ROOT = Path(__file__).parent.parent.parent
OLD = ROOT / "tests" / "data"
COMMAND = (f"--config={ROOT / 'configs' / 'shallow.py'}", "--config.dataset=synthetic", "--config.epochs=2")
COMMAND += ("--config.hidden=8", "--lanes=2", "--workdir=mine", "--axis")
WITHOUT = "--config.probes="

# ml_collections loads config files in a way that Python 3.12 drops.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture
def old(tmp_path):
    """Puts a copy of an old sweep into the folder `mine`."""

    def copy(name):
        shutil.copytree(OLD / f"sweep_37428e6_{name}", tmp_path / "mine")
        return tmp_path / "mine"

    return copy


def rows_in(folder):
    """The rows of results.parquet by rate, seed and epoch; the name of each trial is that of its config."""
    table = results.read_table(folder / "results.parquet")
    assert {name: config.name() for name, config in results.configs_of(table).items()} == {
        name: name for name in table["trial"].to_pylist()
    }
    return {(row["learning_rate"], row["seed"], row["epoch"]): row for row in table.to_pylist()}


def test_the_name_of_a_trial_does_not_change():
    """Names made at commit 37428e6, by which its sweeps are found again."""
    advice = (
        "trials have other names than those of earlier sweeps, which would be run again from the start: mark a new "
        "field later=True, with a default that does what was done before, and change no default"
    )
    assert Config().name() == "dc0724df632b", advice
    assert Config(hidden=(64, 32), learning_rate=0.5, momentum=0.9).name() == "972b81a2bfad", advice
    assert Config(probes=(), checkpoint_every=3).name() == "dc0724df632b", "what is recorded is not identity"


def test_an_old_sweep_goes_on_as_it_was_planned(call, count_packs, capsys, old):
    """The pack that is missing is run as it was planned, the other one is kept; the second time nothing is left."""
    folder = old("none")
    before = {path.name: path.read_bytes() for path in (folder / "packs").iterdir()}
    call(*COMMAND, "learning_rate=0.1,1", "--seeds=2", WITHOUT)
    assert count_packs == [2] and "4 trials, 2 finished; 1 pack to run" in capsys.readouterr().out
    assert {(folder / "packs" / name).read_bytes() == content for name, content in before.items()} == {True}
    found = rows_in(folder)
    assert sorted(found) == [(rate, seed, epoch) for rate in (0.1, 1.0) for seed in (0, 1) for epoch in (1, 2)]
    base = Config(dataset="synthetic", epochs=2, hidden=(8,), probes=())
    trials = space.make_trials(base, None, {"learning_rate": [0.1, 1.0], "seed": [0, 1]})
    for row in executors.train_all(trials, input_pipeline.synthetic()).to_pylist():
        there = found[row["learning_rate"], row["seed"], row["epoch"]]
        assert there["trial"] == row["trial"]
        assert [there[name] for name in METRICS] == pytest.approx([row[name] for name in METRICS], abs=1e-5)
    count_packs.clear()
    call(*COMMAND, "learning_rate=0.1,1", "--seeds=2", WITHOUT)
    assert count_packs == [] and "4 trials, 4 finished; 0 packs to run" in capsys.readouterr().out
    assert rows_in(folder) == found


@pytest.mark.parametrize("name", ["none", "probes"])
def test_an_old_sweep_grows(call, count_packs, capsys, old, name):
    """More seeds and another rate, asked for with other probes than it was begun with: only what is new is run."""
    folder, there = old(name), {"none": 2, "probes": 4}[name]
    call(*COMMAND, "learning_rate=0.1,1,2", "--seeds=3", WITHOUT)
    assert sum(count_packs) == 9 - there and f"9 trials, {there} finished" in capsys.readouterr().out
    found = rows_in(folder)
    assert len(found) == 9 * 2
    measured = [key[:2] for key, row in found.items() if row.get("speed/output") is not None]
    assert sorted(set(measured)) == ([] if name == "none" else [(0.1, 0), (0.1, 1), (1.0, 0), (1.0, 1)])


def test_an_old_pack_that_is_lost_after_the_plan_was_written_anew_is_run_as_it_was_planned(call, count_packs, old):
    """Its trials stand in the new plan under the names of now."""
    folder = old("none")
    call(*COMMAND, "learning_rate=0.1,1", "--seeds=2", WITHOUT)
    found = rows_in(folder)
    (folder / "packs" / "3363b288d0455e4c.parquet").unlink()
    call(*COMMAND, "learning_rate=0.1,1", "--seeds=2", WITHOUT)
    assert count_packs == [2, 2]
    recorded = json.loads((folder / "plan.json").read_text())
    assert all(Path(folder / "packs" / f"{pack['name']}.parquet").exists() for pack in recorded["packs"])
    again = rows_in(folder)
    assert again.keys() == found.keys()
    assert sum(row == found[key] for key, row in again.items()) >= 4  # Of the packs that are there.
    for key, row in again.items():  # Another processor adds in another order.
        assert row == {
            name: pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            for name, value in found[key].items()
        }


def test_an_old_sweep_is_reported(monkeypatch, capsys, old):
    """By its packs, and by its results.parquet alone, which lack digests and have the names of then."""
    folder, seen = old("probes"), []
    packs = [results.pq.read_table(path) for path in sorted((folder / "packs").iterdir())]
    results.pq.write_table(results.pa.concat_tables(packs), folder / "results.parquet", write_page_checksum=True)
    monkeypatch.setattr(report, "write", lambda folder, table, *_: seen.append(table) or [folder / page.__name__])
    given = {"workdir": str(folder), "watch": False, "port": None, "width": None, "rank": "all", "data_dir": "nowhere"}
    monkeypatch.setattr(report.flags, "FLAGS", types.SimpleNamespace(**given))
    report.main([])
    (folder / "plan.json").unlink()
    report.main([])
    assert [len(table) for table in seen] == [8, 8] and seen[0].equals(results.join([seen[1]]))
    assert "4 of 4 trials, 2 of 2 packs are finished" in (out := capsys.readouterr().out) and out.count("page") == 2


def test_columns_of_fields_that_came_later_are_filled(monkeypatch, old):
    """A file without a column of a later field has its default there; without one of the first fields it is damaged."""
    folder = old("probes")
    path = next((folder / "packs").iterdir())
    whole = results.read_table(path)
    results.write_table(whole.drop_columns(["momentum"]), path)
    with pytest.raises(results.DamagedError, match="lacks the column 'momentum'"):
        results.read_table(path)
    field = results.FIELDS["momentum"]
    later = field._replace(spec=field.spec._replace(later=True))
    monkeypatch.setitem(results.FIELDS, "momentum", later)
    # Its name leaves a later field out, where it is as by default.
    again = results.read_table(path)
    assert again.drop_columns(["trial"]).equals(whole.drop_columns(["trial"]))
