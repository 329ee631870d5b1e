"""The weights of a run as plain arrays: what is in the files, that they survive what a run survives, and how another
run begins from them."""

import json
import re
import shutil
import zipfile
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from commands import SYNTHETIC, in_this_process, one_line
from damaged import READS_DAMAGED
from small_run import assert_ends_as, checkpoints, last_state, make_config, metrics, snapshot, strict_rows

import input_pipeline
import train
from training import checkpoints as checkpoint_files
from training import weights
from training.files import RunError
from training.records import best_of
from training.run_directory import RunDirectory

pytestmark = [pytest.mark.usefixtures("programs_once"), *READS_DAMAGED]
ALL_KEPT = {"checkpoint_every": 1, "checkpoints_kept": 99}


def loaded(path):
    """The arrays of a file, as anybody's numpy reads them."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def assert_is_state(arrays, state, epoch):
    """They are the weights of a state by their paths, and its epoch."""
    expected = {f"{layer}/{name}": a for layer, of in state.params.items() for name, a in of.items()}
    statistics = {f"batch_stats/{layer}/{name}": a for layer, of in state.batch_stats.items() for name, a in of.items()}
    assert arrays.keys() == {"epoch", *expected, *statistics}
    assert arrays["epoch"] == epoch and arrays["epoch"].shape == ()
    for name, array in (expected | statistics).items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_files_hold_the_last_and_the_best_weights(tmp_path, no_figures):
    """The last ones are those of the last checkpoint, the best ones those of the checkpoint of the best epoch."""
    config = make_config("deep", **ALL_KEPT)
    rows = train.train_and_evaluate(config, tmp_path)
    state, _ = last_state(tmp_path, config)
    assert_is_state(loaded(tmp_path / "final.npz"), state, 6)
    accuracies = [row["val_accuracy"] for row in rows]
    best = 1 + accuracies.index(max(accuracies))
    state, found = checkpoint_files.restore(tmp_path, state, newest=best)
    assert found == best
    assert_is_state(loaded(tmp_path / "best.npz"), state, best)
    names = loaded(tmp_path / "final.npz").keys()
    assert {"hidden_0/kernel", "batch_stats/batch_norm_0/mean"} <= names


def test_which_epoch_is_best():
    """The highest accuracy, the first one of equals; of a regression the lowest cost; never one that lost its cost."""

    def rows(accuracies, losses):
        return [
            {"epoch": i + 1, "loss": loss, "val_loss": loss, "val_accuracy": accuracy}
            for i, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True))
        ]

    assert best_of(rows([0.1, 0.5, 0.4, 0.5], [9, 8, 7, 1]))["epoch"] == 2
    assert best_of(rows([None] * 4, [3.0, 1.0, 1.0, 2.0]))["epoch"] == 2
    assert best_of(rows([0.1, 0.9], [1.0, None]))["epoch"] == 1
    assert best_of(rows([0.1], [None])) is None and best_of([]) is None


# ---------------------------------------------------------------------------------------------------------------------
# Interrupted, damaged, lost: states whose only weight is the number of their epoch.


class Numbered(NamedTuple):
    """A state that says which epoch it is of."""

    params: Any
    batch_stats: Any


def state_of(epoch):
    return Numbered({"layer": {"kernel": np.float32([epoch])}}, {})


def row_of(epoch, accuracy):
    return {"epoch": epoch, "loss": 1.0, "val_loss": 1.0, "val_accuracy": accuracy}


class Folder:
    """A run of made-up epochs of those accuracies, with checkpoints after some, killed and gone on with."""

    def __init__(self, workdir, accuracies, saved):
        self.workdir, self.saved = workdir, saved
        self.rows = [row_of(i + 1, accuracy) for i, accuracy in enumerate(accuracies)]

    def run(self, after, until, rows=None):
        """Goes on after an epoch up to the row of another one, and is killed there."""
        rows = rows or self.rows
        kept = weights.Weights(self.workdir)
        kept.begin(rows[:after], state_of(0))
        saving = checkpoint_files.Checkpoints(self.workdir, 99, lambda _: True)
        for row in rows[after:until]:
            kept.record(row, state_of(row["epoch"]))
            if row["epoch"] in self.saved:
                kept.flush()
                if not (self.workdir / "checkpoints" / str(row["epoch"])).exists():
                    saving.save(row["epoch"], state_of(row["epoch"]))
        saving.close()
        if until == len(rows):
            kept.finish(until, state_of(until))

    def found(self, name="best.npz"):
        """The epoch that a file says, which is that of its weights; 0 where there is none."""
        if not (self.workdir / name).exists():
            return 0
        arrays = loaded(self.workdir / name)
        assert arrays["layer/kernel"].tolist() == [float(arrays["epoch"])]
        return int(arrays["epoch"])


@pytest.mark.parametrize("killed", range(6))
def test_best_weights_after_a_kill(tmp_path, capsys, killed):
    """The best epoch is one before the checkpoint that is gone on from, its own, one after it, the one that was killed,
    or a later one."""
    saved = killed - killed % 2
    for best in sorted({1, saved, killed, killed + 1, 6} - {0}):
        (tmp_path / str(best)).mkdir()
        run = Folder(tmp_path / str(best), [0.5 + 0.1 * (epoch == best) for epoch in range(1, 7)], saved={2, 4, 6})
        run.run(0, killed)
        run.run(saved, 6)
        assert run.found() == best and run.found("final.npz") == 6
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", ["deleted", "cut", "flipped", "older", "other"])
@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_best_weights_that_are_lost(tmp_path, capsys, damage, has_checkpoint):
    """They are made again from the checkpoint of their epoch; without one it is said that they cannot be."""
    run = Folder(tmp_path, [0.1, 0.9, 0.5, 0.5], saved={1, 2, 3} if has_checkpoint else {1, 3})
    run.run(0, 3)
    path = tmp_path / "best.npz"
    content = path.read_bytes()
    if damage == "deleted":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-30])
    elif damage == "flipped":
        # The last byte of the kernel, which stands before the next entry's header.
        at = content.index(b"PK\x03\x04", 10) - 1
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    else:
        weights.write(path, {"layer/kernel": np.float32([1])}, 1 if damage == "older" else 3)
    run.run(3, 4)
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "cannot be read" in line] == said[: damage in ("cut", "flipped")]
    lost = f"warning: {path} cannot be written again: no checkpoint of epoch 2, the best one, is there any more"
    assert said[damage in ("cut", "flipped") :] == ([] if has_checkpoint else [lost])
    assert run.found() == (2 if has_checkpoint else 0) and run.found("final.npz") == 4
    assert weights.is_complete(tmp_path, run.rows)
    assert capsys.readouterr().err == ("" if has_checkpoint else f"{lost}\n")


def test_best_weights_are_made_again_at_once(tmp_path, capsys):
    """While their checkpoint is there, which later ones replace."""
    run = Folder(tmp_path, [0.1, 0.9, 0.5, 0.5], saved={1, 2, 3})
    run.run(0, 3)
    (tmp_path / "best.npz").unlink()
    run.run(3, 3)
    shutil.rmtree(tmp_path / "checkpoints" / "2")
    run.run(3, 4)
    assert run.found() == 2 and capsys.readouterr().err == ""


def test_other_numbers_than_before_the_kill(tmp_path, capsys):
    """On another machine an epoch that was the best need not be it again: what it has left does not stay under the
    name."""
    run = Folder(tmp_path, [0.1, 0.5, 0.9, 0.5], saved={1, 3})
    run.run(0, 3)
    run.run(2, 4, rows=[row_of(i + 1, accuracy) for i, accuracy in enumerate([0.1, 0.5, 0.4, 0.4])])
    assert "no checkpoint of epoch 2, the best one" in capsys.readouterr().err
    assert run.found() == 0 and run.found("unused-best.npz") == 3


def test_best_weights_of_a_run_that_diverges(tmp_path):
    """They are written although no checkpoint comes after them."""
    kept = weights.Weights(tmp_path)
    kept.begin([], state_of(0))
    kept.record(row_of(1, 0.5), state_of(1))
    assert not (tmp_path / "best.npz").exists()
    kept.record({**row_of(2, 0.9), "loss": None}, state_of(2))
    assert loaded(tmp_path / "best.npz")["epoch"] == 1


def test_best_weights_come_before_the_checkpoint(tmp_path, no_figures):
    """Killed in between, a run leaves the best of the rows that the checkpoint would have kept."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def stop(self, epoch, state):
            raise KeyboardInterrupt

        patch.setattr(checkpoint_files.Checkpoints, "save", stop)
        train.train_and_evaluate(make_config(), tmp_path)
    assert loaded(tmp_path / "best.npz")["epoch"] == best_of(strict_rows(tmp_path))["epoch"]
    assert len(strict_rows(tmp_path)) == 2 and not (tmp_path / "final.npz").exists()


def test_only_what_is_better_is_copied(tmp_path, monkeypatch):
    """Of six epochs three; and one file a checkpoint."""
    copied, written = [], []
    monkeypatch.setattr(weights, "arrays_of", lambda state: copied.append(state) or {})
    monkeypatch.setattr(weights, "write", lambda path, arrays, epoch: written.append((path.name, epoch)))
    kept = weights.Weights(tmp_path)
    kept.begin([], state_of(0))
    for epoch, accuracy in enumerate([0.1, 0.3, 0.3, 0.2, 0.4, 0.1], start=1):
        kept.record(row_of(epoch, accuracy), state_of(epoch))
        if epoch % 3 == 0:
            kept.flush()
    assert [int(state.params["layer"]["kernel"][0]) for state in copied] == [1, 2, 5]
    assert written == [("best.npz", 2), ("best.npz", 5)]


@pytest.mark.parametrize("name", ["final.npz", "best.npz"])
@pytest.mark.parametrize("damage", ["deleted", "cut"])
def test_files_of_a_finished_run_are_made_again(finished, tmp_path, no_figures, capsys, name, damage):
    """From its checkpoints, without training."""
    copy = shutil.copytree(finished, tmp_path / "copy")
    if damage == "cut":
        (copy / name).write_bytes((copy / name).read_bytes()[:-100])
    else:
        (copy / name).unlink()
    train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    # The best epoch has a checkpoint, or else the last lines say that it has none.
    best = best_of(strict_rows(finished))["epoch"]
    assert "Epoch " not in output.out and (damage == "cut") == ("cannot be read" in output.err)
    if name == "final.npz" or best in checkpoints(finished):
        assert_ends_as(copy, finished, make_config())
        train.train_and_evaluate(make_config(), copy)
        assert "nothing was changed" in capsys.readouterr().out
    else:
        assert f"no checkpoint of epoch {best}" in output.err


def test_run_of_an_earlier_version_stays_finished(finished, tmp_path, capsys):
    """It has neither file, and is left alone."""
    copy = shutil.copytree(finished, tmp_path / "copy")
    for name in ("final.npz", "best.npz"):
        (copy / name).unlink()
    before = snapshot(copy)
    train.train_and_evaluate(make_config(), copy)
    output = capsys.readouterr()
    assert "nothing was changed" in output.out and output.err == "" and snapshot(copy) == before


# ---------------------------------------------------------------------------------------------------------------------
# Into another run.


def test_run_begins_from_the_weights_of_another(tmp_path, unbroken, no_figures):
    """Its first epoch is that of a state with those weights and statistics, and a fresh optimizer."""
    config, source = make_config("deep", seed=1, epochs=1, probes=()), unbroken("deep")
    (row,) = train.train_and_evaluate(config, tmp_path / "run", init_from=source)
    last, _ = last_state(source, make_config("deep"))
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    state = train.initial_state(config)._replace(params=last.params, batch_stats=last.batch_stats)
    key = jax.random.fold_in(train.run_keys(1)[1], 1)
    state, expected = functions.epoch(state, numbers, input_pipeline.load("synthetic"), key)
    assert row["loss"] == pytest.approx(float(expected["loss"]), rel=1e-4)
    after = loaded(tmp_path / "run" / "final.npz")
    np.testing.assert_allclose(after["hidden_0/kernel"], state.params["hidden_0"]["kernel"], rtol=1e-3, atol=1e-5)
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())["initial"]
    assert recorded["file"] == str(source / "final.npz") and re.fullmatch("[0-9a-f]{64}", recorded["sha256"])


def test_initial_state_is_the_file(finished):
    """To the bit; the optimizer and the random numbers are those of the config."""
    config = make_config(seed=3)
    initial = weights.read_initial(finished / "best.npz", train.state_shapes(config))
    state, drawn = train.initial_state(config, initial), train.initial_state(config)
    arrays = loaded(finished / "best.npz")
    assert_is_state(arrays, state, arrays["epoch"])
    rest = lambda state: state._replace(params={}, batch_stats={})  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, rest(state), rest(drawn))


@pytest.fixture
def source(finished, tmp_path):
    """The weights of the finished run as a file that the test may spoil, and its arrays."""
    path = tmp_path / "source.npz"
    arrays = loaded(finished / "final.npz")
    np.savez(path, **arrays)
    return path, arrays


SPOILED = {
    "hidden_0/kernel": (np.zeros((784, 9), np.float32), "hidden_0/kernel has the shape [784, 9] there, [784, 8] here"),
    "hidden_0/bias": (np.zeros(8, np.int32), "hidden_0/bias is int32; accepted: floats"),
    "output/bias": (np.float32([*[0] * 9, np.nan]), "output/bias has numbers that are not finite"),
    "output/kernel": (np.full((8, 10), 1e300), "output/kernel has numbers that are not finite as float32"),
    "hidden_1/kernel": (np.zeros((8, 8), np.float32), "has besides this network's weights hidden_1/kernel; accepted"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_arrays_that_do_not_fit(source, tmp_path, name):
    """One line names the array, what it is and what is accepted; nothing is written."""
    path, arrays = source
    array, said = SPOILED[name]
    np.savez(path, **(arrays | {name: array}))
    assert_refused(tmp_path, path, said)


def assert_refused(tmp_path, path, *said):
    with pytest.raises(RunError) as caught:
        train.train_and_evaluate(make_config(), tmp_path / "run", init_from=path)
    message = str(caught.value)
    assert "\n" not in message and "accepted: " in message and not (tmp_path / "run").exists()
    for words in said:
        assert words in message
    return message


def test_files_that_are_none(source, finished, tmp_path):
    """Missing, damaged, one array, objects, a pickle, lacking arrays; a folder without final.npz."""
    path, arrays = source
    content = path.read_bytes()
    assert_refused(tmp_path, tmp_path / "sorce.npz", "no such file", "did you mean 'source.npz'?")
    for changed in (b"", content[: len(content) // 2], content[:-1], b"text", content[:3000] + b"x" + content[3001:]):
        path.write_bytes(changed)
        assert_refused(tmp_path, path, f"{path} cannot be read")
    np.savez(path, **(arrays | {"output/bias": np.array([{}] * 10)}))
    assert_refused(tmp_path, path, "output/bias holds Python objects, which are not loaded")
    np.save(tmp_path / "one.npy", np.array([{}]))
    assert_refused(tmp_path, tmp_path / "one.npy", "holds a pickle, which is not loaded")
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert_refused(tmp_path, tmp_path / "one.npy", "is a single array")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("output/bias", "text")
    assert_refused(tmp_path, path, "output/bias is no array")
    del arrays["hidden_0/bias"]
    np.savez(path, **arrays)
    assert_refused(tmp_path, path, "lacks hidden_0/bias")
    (tmp_path / "folder").mkdir()
    assert_refused(tmp_path, tmp_path / "folder", "has no final.npz; accepted")
    shutil.copy(finished / "best.npz", tmp_path / "folder")
    assert_refused(tmp_path, tmp_path / "folder", "has no final.npz, but best.npz, which may be named")


def test_what_a_run_began_from_belongs_to_it(source, finished, tmp_path, no_figures, capsys):
    """Other weights are refused; the same ones under another name, or none, go on and are finished."""
    path, arrays = source
    run, config = tmp_path / "run", make_config(epochs=2)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def stop(self, epoch, state):
            raise KeyboardInterrupt

        patch.setattr(RunDirectory, "save", stop)
        train.train_and_evaluate(config, run, init_from=path)
    before = snapshot(run)
    # There is no checkpoint to go on from.
    with pytest.raises(RunError, match=rf"began from {path}, without a checkpoint.*--init_from={path}"):
        train.train_and_evaluate(config, run)
    assert {file: at for file, at in snapshot(run).items() if file.name != ".lock"} == {
        file: at for file, at in before.items() if file.name != ".lock"
    }
    other = tmp_path / "other.npz"
    np.savez(other, **(arrays | {"output/bias": arrays["output/bias"] + 1}))
    with pytest.raises(RunError, match="holds a run that began from other weights"):
        train.train_and_evaluate(config, run, init_from=other)
    path.rename(tmp_path / "moved.npz")
    rows = train.train_and_evaluate(config, run, init_from=tmp_path / "moved.npz")
    once = train.train_and_evaluate(config, tmp_path / "once", init_from=tmp_path / "moved.npz")
    assert metrics(rows) == metrics(once)
    assert (run / "final.npz").read_bytes() == (tmp_path / "once" / "final.npz").read_bytes()
    train.train_and_evaluate(config, run)
    with pytest.raises(RunError, match="began from its own draw, not from"):
        train.train_and_evaluate(make_config(), finished, init_from=tmp_path / "moved.npz")
    train.evaluate_only(config, run)
    assert "Checkpoint of epoch 2" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # Of ml_collections.
def test_the_flag(source, tmp_path, no_figures, monkeypatch, capsys):
    """It is taken, and refused in one line where nothing is trained."""
    config = f"--config={train.__file__.replace('train.py', 'configs/shallow.py')}"
    fields = ["hidden=8", "batch_size=100", "momentum=0.9", "l2=1e-3", "epochs=1"]  # Of the finished run.
    arguments = [config, SYNTHETIC, *(f"--config.{field}" for field in fields), f"--workdir={tmp_path / 'run'}"]
    with in_this_process(train, monkeypatch) as run:
        run(*arguments, f"--init_from={source[0]}")
        assert "final.npz" in capsys.readouterr().out
        with pytest.raises(SystemExit) as caught:
            run("--evaluate_only", f"--init_from={source[0]}", f"--workdir={tmp_path / 'run'}")
        assert caught.value.code == 2
        assert "is for training; accepted with --evaluate_only" in one_line(capsys.readouterr().err)
