"""Files that were lost, torn or changed: what is sound is kept, the rest is reported and computed again, or refused."""

import json
import os
import re
import shutil

import orbax.checkpoint as ocp
import pytest
from damaged import READS_DAMAGED
from small_run import (
    EPOCHS,
    KEYS,
    assert_ends_as,
    checkpoints,
    lose_newer_checkpoints,
    make_config,
    metrics,
    snapshot,
    strict_rows,
)

import train
from training.files import RunError, digests_of
from training.run_directory import RunDirectory

pytestmark = [pytest.mark.usefixtures("programs_once"), *READS_DAMAGED]


def lose_checkpoints(workdir):
    """As if no checkpoint had ever been saved."""
    shutil.rmtree(workdir / "checkpoints")


def tear_last_row(workdir):
    """As if the machine had stopped in the middle of a line."""
    path = workdir / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-40])


def tear_last_row_into_valid_json(workdir):
    """As if the machine had stopped in the middle of a line of which the beginning reads as a number."""
    path = workdir / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]) + "6")


def lose_last_rows(workdir):
    """As if the last rows had not reached the disk, though the checkpoint of epoch 6 had."""
    path = workdir / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))


def lose_a_row(workdir):
    """As if a row in the middle had been deleted by hand."""
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))


def lose_all_rows(workdir):
    """As if there had never been a metrics.jsonl."""
    (workdir / "metrics.jsonl").unlink()


def lose_histograms(copy):
    """No file of histograms."""
    (copy / "histograms.jsonl").unlink()


def tear_histograms(copy):
    """The file of histograms ends in the middle of the fourth line, as the fourth epoch's row does not."""
    lines = (copy / "histograms.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "histograms.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:40])


def leave_rubbish(workdir):
    """As if the machine had stopped while it wrote a checkpoint."""
    shutil.rmtree(workdir / "checkpoints" / "6")
    shutil.copytree(workdir / "checkpoints" / "4", workdir / "checkpoints" / "6.orbax-checkpoint-tmp")


def change_a_digit(path, line, digits=rb"0\.0\d"):
    """Another number in a line of a file, which still reads well."""
    lines = path.read_bytes().splitlines(keepends=True)
    start = re.search(digits, lines[line - 1]).start()
    lines[line - 1] = lines[line - 1][:start] + b"9" + lines[line - 1][start + 1 :]
    path.write_bytes(b"".join(lines))


def change_metrics(workdir):
    """Another cost in the fifth epoch."""
    change_a_digit(workdir / "metrics.jsonl", 5)


def change_histograms(workdir):
    """Another count in the histograms of the fifth epoch."""
    change_a_digit(workdir / "histograms.jsonl", 5, rb"\d\d\d, ")


def change_first_digest(workdir):
    """Another digest of the first epoch, so that nothing that was recorded can be told from what was changed."""
    change_a_digit(digests_of(workdir / "metrics.jsonl"), 1, rb"[0-8a-f]")


SAID = {
    lose_a_row: "line 4 of {}/metrics.jsonl does not match its digest; epochs from 3 on are computed again",
    change_metrics: "line 5 of {}/metrics.jsonl does not match its digest; epochs from 5 on are computed again",
    change_histograms: "line 5 of {}/histograms.jsonl does not match its digest; epochs from 5 on are computed again",
    change_first_digest: "line 1 of {}/metrics.jsonl does not match its digest; epochs from 1 on are computed again",
}


@pytest.mark.parametrize(
    ("damage", "first"),
    [
        (change_metrics, 5),
        (change_histograms, 5),
        (change_first_digest, 1),
        (lose_newer_checkpoints, 3),
        (lose_checkpoints, 1),
        (tear_last_row, 5),
        (tear_last_row_into_valid_json, 5),
        (lose_last_rows, 3),
        (lose_a_row, 3),
        (lose_all_rows, 1),
        (leave_rubbish, 5),
        (lose_histograms, 1),
        (tear_histograms, 3),
    ],
)
def test_run_goes_on_from_what_is_sound(copy, finished, no_figures, capsys, damage, first):
    """With files lost or torn, a run goes on after the last checkpoint that its rows reach, and ends the same."""
    damage(copy)
    train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    assert [int(n) for n in re.findall(r"^Epoch (\d+)/", output.out, re.MULTILINE)] == list(range(first, EPOCHS + 1))
    assert output.err == (f"warning: {SAID[damage].format(copy)}\n" if damage in SAID else "")
    assert_ends_as(copy, finished, make_config())


def test_changed_number_of_a_finished_run(finished, tmp_path, no_figures, capsys):
    """It is neither printed nor returned: the epochs since the checkpoint before it are computed again."""
    copy = shutil.copytree(finished, tmp_path / "copy")
    change_a_digit(copy / "metrics.jsonl", 6, rb"0\.\d+, \"seconds")
    rows = train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    assert metrics(rows) == metrics(strict_rows(finished))
    assert "Epoch 5/6" in output.out and "Best val_accuracy 9" not in output.out
    assert output.err.startswith(f"warning: line 6 of {copy}/metrics.jsonl does not match its digest; epochs from 5")
    assert_ends_as(copy, finished, make_config())


def test_changed_number_beside_what_is_evaluated(copy, finished, capsys):
    """Evaluation reads the checkpoint, and says that something else is damaged."""
    train.evaluate_only(make_config(), finished)
    expected = capsys.readouterr()
    change_metrics(copy)
    train.evaluate_only(make_config(), copy)
    output = capsys.readouterr()
    assert output.out.replace(str(copy), str(finished)) == expected.out and expected.err == ""
    assert re.fullmatch(r"warning: line 5 of \S+ does not match its digest; the checkpoint .*\n", output.err)


WRONG_ROW = '{"epoch": 1, "loss": "low", "accuracy": 1, "val_loss": 1, "val_accuracy": 1, "seconds": 1}'


@pytest.mark.parametrize(
    "line",
    [
        WRONG_ROW,
        '{"epoch": 1, "loss": 1, "accuracy": true, "val_loss": 1, "val_accuracy": 1, "seconds": 1}',
        '{"epoch": "1", "loss": 1, "accuracy": 1, "val_loss": 1, "val_accuracy": 1, "seconds": 1}',
        '{"epoch": 1, "loss": 1, "accuracy": 1, "val_loss": 1, "val_accuracy": 1, "seconds": null}',
        '{"epoch": 1, "loss": [], "accuracy": 1, "val_loss": 1, "val_accuracy": 1, "seconds": 1}',
        '{"loss": 1}',
        "[1]",
        "1",
        "\xff",
        "[" * 100_000,
    ],
)
def test_wrong_types_in_rows_without_digests(copy, finished, no_figures, capsys, line):
    """Rows of before there were digests are checked for what they are: nothing is gone on from, and the run ends the
    same."""
    for file in ("metrics.jsonl", "histograms.jsonl"):
        digests_of(copy / file).unlink()
    begun = json.loads((copy / "config.json").read_bytes())
    first = {name: begun[name] for name in ("config", "versions", "device", "git_revision")}
    (copy / "config.json").write_text(json.dumps(first))
    (copy / "metrics.jsonl").write_bytes(line.encode("latin-1") + b"\n")
    (copy / "histograms.jsonl").write_bytes(b'{"epoch": 1, "hidden_0": {"low": 0, "high": "1", "counts": 3}}\n')
    if line == WRONG_ROW:
        train.train_and_evaluate(make_config(), copy)
        assert_ends_as(copy, finished, make_config())
    else:
        with RunDirectory(copy, train.as_config(make_config())) as run:
            assert run.restore(train.initial_state(make_config()))[1] == 0 and run.rows == run.histograms == []
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"warning: line 1 of {copy}/metrics.jsonl is no")
    assert said[1].startswith(f"warning: line 1 of {copy}/histograms.jsonl holds no histograms")
    assert len(said) == 2


def test_digests_that_are_gone(copy, finished, no_figures, capsys):
    """Of a run that was begun with digests, rows without them are not believed: its epochs are computed again."""
    digests_of(copy / "metrics.jsonl").unlink()
    text = (copy / "metrics.jsonl").read_text()
    (copy / "metrics.jsonl").write_text(text.replace('"val_accuracy": 0', '"val_accuracy": 9'))
    train.train_and_evaluate(make_config(), copy)
    assert "has lost its digests" in capsys.readouterr().err
    assert_ends_as(copy, finished, make_config())


def refused(workdir, config, *said):
    """The run and its evaluation are refused in one line with these words, and nothing is changed."""
    before = snapshot(workdir)
    for command in (train.train_and_evaluate, train.evaluate_only):
        with pytest.raises(RunError) as caught:
            command(config, workdir)
        message = str(caught.value)
        assert "\n" not in message and len(message) < 300 + len(str(workdir)) and str(workdir) in message
        for words in said:
            assert words in message
    assert snapshot(workdir) == before


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"learning_rate": 1.0', '"learning_rate": 1.5', "do not match their digest"),
        ('"seed": 0', '"seed": 7', "do not match their digest"),
        ('"cores": "', '"cores": "1', "do not match their digest"),
        ('"digest"', '"dijest"', "has no digest"),
        ('"config"', '"konfig"', "do not match their digest"),
    ],
)
def test_changed_config_is_noticed(copy, before, after, said):
    """A digit of config.json that is changed would make another run of it, or of its name one of before."""
    path = copy / "config.json"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    refused(copy, make_config(), "config.json is damaged", said)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        "7",
        "\udcff",
        "[" * 100_000,
        '{"config": 3}',
        '{"config": {"epochs": {}}}',
        '{"digest": []}',
    ],
)
def test_damaged_config_json_is_named(tmp_path, content):
    """A config.json that is no longer one is an error that names it."""
    (tmp_path / "config.json").write_text(content, errors="surrogateescape")
    refused(tmp_path, make_config(), "config.json is damaged")


def checkpoint_files(workdir, epoch):
    """The files of a checkpoint, the largest one first."""
    paths = [path for path in (workdir / "checkpoints" / str(epoch)).rglob("*") if path.is_file()]
    return sorted(paths, key=lambda path: -path.stat().st_size)


def flip_bytes(workdir, epoch):
    """A few bytes in the middle of the weights are not what was written."""
    path = checkpoint_files(workdir, epoch)[0]
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 16] = bytes(byte ^ 255 for byte in content[middle : middle + 16])
    path.write_bytes(content)


def truncate(workdir, epoch):
    """The second half of the weights is missing."""
    path = checkpoint_files(workdir, epoch)[0]
    os.truncate(path, path.stat().st_size // 2)


def delete_weights(workdir, epoch):
    """The file of the weights is missing."""
    checkpoint_files(workdir, epoch)[0].unlink()


def delete_digest(workdir, epoch):
    """The digest is missing."""
    shutil.rmtree(workdir / "checkpoints" / str(epoch) / "digest")


def falsify_digest(workdir, epoch):
    """The weights read well but are not those that were saved."""
    path = workdir / "checkpoints" / str(epoch) / "digest" / "metadata"
    path.write_text(json.dumps({"sha256": "0" * 64}))


def empty(workdir, epoch):
    """Nothing of the checkpoint is there but its folder."""
    shutil.rmtree(workdir / "checkpoints" / str(epoch))
    (workdir / "checkpoints" / str(epoch)).mkdir()


DAMAGES = (flip_bytes, truncate, delete_weights, delete_digest, falsify_digest, empty)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_passed_over(copy, finished, no_figures, capsys, damage):
    """The warning names the damaged checkpoint, the one before is used, and the run ends the same."""
    damage(copy, 6)
    train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    assert output.out.count("Epoch ") == 2 and "Epoch 5/6" in output.out
    warnings = [line for line in output.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert re.fullmatch(r"warning: the checkpoint of epoch 6 is damaged \(.+\); .*\bepoch 4\b.*", warnings[0])
    assert_ends_as(copy, finished, make_config())


def test_all_checkpoints_damaged_starts_from_the_beginning(copy, finished, no_figures, capsys):
    """Where no checkpoint is sound the run starts over, says so, and ends the same."""
    for epoch in (2, 4, 6):
        truncate(copy, epoch)
    train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    assert output.out.count("Epoch ") == EPOCHS
    found = re.findall(r"^warning: the checkpoint of epoch (\d) is damaged \(.*\);(?:.* epoch (\d))?", output.err, re.M)
    assert found == [("6", "4"), ("4", "2"), ("2", "")]
    assert_ends_as(copy, finished, make_config())


def test_checkpoint_that_cannot_be_written(tmp_path, finished, no_figures, monkeypatch):
    """A full disk ends the run in one line that names the epoch; with room again, it goes on and ends the same."""
    with monkeypatch.context() as patch, pytest.raises(RunError) as caught:

        def full(*arguments, **named):
            raise OSError("No space left\non device")

        patch.setattr(ocp.CheckpointManager, "save", full)
        train.train_and_evaluate(make_config(), tmp_path)
    message = str(caught.value)
    assert "checkpoint of epoch 2 cannot be written" in message and "No space left on device" in message
    assert "\n" not in message
    train.train_and_evaluate(make_config(), tmp_path)
    assert_ends_as(tmp_path, finished, make_config())


def test_no_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    """Where the disk is as good as full, nothing is begun."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20 - 1))
    with pytest.raises(RunError, match=r"no room in .*: 1,048,575 bytes are free; accepted: at least 1,048,576"):
        train.train_and_evaluate(make_config(), tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def diverging(**changes):
    """Plain gradient descent on a linear net, so steep that its weights grow without bound."""
    linear = {"activation": "identity", "output": "identity", "batch_size": 512, "momentum": 0.0}
    return make_config(epochs=30, **linear, **changes)


def test_diverging_cost_ends_the_run(tmp_path, no_figures):
    """A cost beyond float32 raises in one line with its epoch; the rows are kept, as strict JSON, and so on again."""
    config = diverging(learning_rate=1e6, init_scale=10.0)
    with pytest.raises(train.DivergedError) as caught:
        train.train_and_evaluate(config, tmp_path)
    rows = strict_rows(tmp_path)
    last = rows[-1]
    assert 0 < len(rows) < 30 and [list(row)[: len(KEYS)] for row in rows] == [KEYS] * len(rows)
    assert None in (last["loss"], last["val_loss"])
    assert all(row["loss"] is not None and row["val_loss"] is not None for row in rows[:-1])
    message = str(caught.value)
    assert f"epoch {last['epoch']};" in message and "learning rate than 1e+06" in message and "\n" not in message
    with pytest.raises(train.DivergedError, match=re.escape(message)):
        train.train_and_evaluate(config, tmp_path)
    assert metrics(strict_rows(tmp_path)) == metrics(rows)


def test_divergence_is_never_saved(tmp_path, no_figures):
    """A cost that grows over a few epochs leaves only the checkpoints from before it is lost, and so on again."""
    config = diverging(learning_rate=2.5, checkpoint_every=1)
    found = []
    for _ in range(2):
        with pytest.raises(train.DivergedError):
            train.train_and_evaluate(config, tmp_path)
        found.append(metrics(strict_rows(tmp_path)))
        assert checkpoints(tmp_path)[-1] == len(found[-1]) - 1 > 1
    assert found[0] == found[1]
