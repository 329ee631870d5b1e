"""A small run of six epochs on the synthetic data, and what of it must be equal to the bit."""

import functools
import json
import shutil
from pathlib import Path

import jax
import numpy as np

import train
from configs import deep, shallow
from training.checkpoints import restore

ROOT = Path(__file__).parents[2]
KEYS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
# What the default probes add for one bounded hidden layer.
SATURATION = ["activation_mean", "activation_p98", "activation_std", "phi", "saturation", "slope_mass"]
SPEED = ["displacement", "gradient_norm", "speed", "update_ratio"]
PROBE_KEYS = sorted(
    [f"{measure}/hidden_0" for measure in SATURATION + SPEED]
    + [f"{measure}/output" for measure in [*SPEED, "wrong_side"]]
)
EPOCHS = 6


def make_config(variant="momentum", **changes):
    """A small net on the synthetic data, with a checkpoint every second epoch."""
    config = {"momentum": shallow, "deep": deep}[variant].get_config()
    config.dataset = "synthetic"
    config.hidden = (8,)
    config.learning_rate = 0.01 if variant == "deep" else 1.0
    config.batch_size = 100
    config.epochs = EPOCHS
    config.checkpoint_every = 2
    if variant == "momentum":
        config.momentum, config.l2 = 0.9, 1e-3
    config.update(changes)
    return config


def strict_rows(workdir):
    """The rows of metrics.jsonl, read as strict JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = (workdir / "metrics.jsonl").read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def metrics(rows):
    """Rows without the time that they took."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_ends_as(workdir, expected, config):
    """Metrics, kept checkpoints, the files of weights and the final state are those of the expected run, bit for
    bit."""
    config = train.as_config(config)
    assert metrics(strict_rows(workdir)) == metrics(strict_rows(expected))
    assert (workdir / "histograms.jsonl").read_bytes() == (expected / "histograms.jsonl").read_bytes()
    assert checkpoints(workdir) == checkpoints(expected)
    for name in ("final.npz", "best.npz"):
        assert (workdir / name).read_bytes() == (expected / name).read_bytes(), name
    found, epoch = last_state(workdir, config)
    wanted, wanted_epoch = _unchanging(expected, config)
    assert epoch == wanted_epoch == config.epochs
    leaves = zip(jax.tree.leaves_with_path(found), jax.tree.leaves_with_path(wanted), strict=True)
    for (path, leaf), (other_path, other) in leaves:
        assert path == other_path and leaf.dtype == other.dtype
        assert np.asarray(leaf).tobytes() == np.asarray(other).tobytes(), path


def last_state(workdir, config):
    """The state of the last checkpoint, as numpy arrays, and its epoch."""
    return restore(workdir, _shapes(train.as_config(config)))


# Of one folder that does not change, and of one config.
_unchanging, _shapes = functools.lru_cache(last_state), functools.lru_cache(train.state_shapes)


def checkpoints(workdir):
    """The epochs of which there is a checkpoint, leaving out what was set aside."""
    return sorted(int(entry.name) for entry in (workdir / "checkpoints").iterdir() if entry.name.isdecimal())


def snapshot(folder):
    """Every path under a folder with its time of change and its content."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in paths}


def lose_newer_checkpoints(workdir):
    """As if the run had been stopped before it saved epoch 4."""
    for epoch in (4, 6):
        shutil.rmtree(workdir / "checkpoints" / str(epoch))
