"""The command: what it writes, and what it says where there is no sweep."""

import types
from functools import partial

import pytest
from commands import refused, run_here
from sweep_tables import embedded, table_of

from experiments import report
from experiments.engine import results


def flags_of(folder, **given):
    """The flags of the command as they are, but for those that are given."""
    defaults = {"watch": False, "port": None, "width": None, "rank": "all", "data_dir": "data"}
    return types.SimpleNamespace(**{"workdir": str(folder)} | defaults | given)


def test_the_command_writes_the_report(monkeypatch, tmp_path, capsys):
    results.write_table(table_of({"learning_rate": [0.1, 1.0]}), tmp_path / "results.parquet")
    monkeypatch.setattr(report.flags, "FLAGS", flags_of(tmp_path))
    report.main([])
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "report.html")


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "cut", "turned", "turned name", "another", "no rows", "no numbers", "no text"]
)
def test_no_sweep_ends_in_one_line(damage, monkeypatch, tmp_path, capsys):
    """A results.parquet that is missing, damaged or another: exit status 2, what was given and what is accepted."""
    path, table = tmp_path / "results.parquet", table_of({"learning_rate": [0.1, 1.0]})
    content = results.as_bytes(table)
    inside = content.index(b"glorot_uniform")
    damaged = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "turned": content[:inside] + b"G" + content[inside + 1 :],
        "turned name": content.replace(b"val_accuracy", b"val_\xffccuracy"),
        "another": results.as_bytes(table.select(["trial", "epoch"])),
        "no text": results.as_bytes(table.set_column(0, "trial", table["epoch"])),
        "no rows": results.as_bytes(table.slice(0, 0)),
        "no numbers": results.as_bytes(table.append_column("speed/hidden_0x", table["trial"])),
    }
    if damage in damaged:
        path.write_bytes(damaged[damage])
    monkeypatch.setattr(report.flags, "FLAGS", flags_of(tmp_path))
    with pytest.raises(SystemExit) as ended:
        report.main([])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1
    assert error.startswith(f"error: {path}: ") and "; accepted: --workdir=DIR" in error
    assert not (tmp_path / "report.html").exists()


def test_the_command_line(monkeypatch, capsys, tmp_path):
    """As it is typed, without a folder: one line and exit status 2."""
    monkeypatch.chdir(tmp_path)
    run = partial(run_here, "experiments.report", monkeypatch)
    assert refused(run, capsys).startswith("--workdir is not given; accepted: --workdir=DIR")


def test_a_folder_whose_name_is_no_text(monkeypatch, tmp_path, capsys):
    """Bytes that are no UTF-8 in the folder's name: the report is written, and its paths are printed."""
    folder = tmp_path / "sweep\udcff$x$"
    folder.mkdir()
    results.write_table(table_of({"learning_rate": [0.1, 1.0]}), folder / "results.parquet")
    monkeypatch.setattr(report.flags, "FLAGS", flags_of(folder))
    report.main([])
    printed = capsys.readouterr().out.encode().decode()
    assert "sweep\N{REPLACEMENT CHARACTER}$x$/report.html" in printed.splitlines()[0]
    assert embedded(folder / "report.html")["name"] == "sweep\udcff$x$"
