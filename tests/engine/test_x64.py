"""Float32 nets in a process in which 64-bit numbers are switched on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import input_pipeline
from experiments.engine import executors, space
from training.config import Config

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
assert jax.config.jax_enable_x64
sys.path.insert(0, "tests/engine")
import test_x64
print(json.dumps(test_x64.rows()))
"""


def rows():
    """A diverging trial beside others, with momentum and without, with probes."""
    base = Config(dataset="synthetic", epochs=2, hidden=(8,), batch_size=100, activation="relu", probe_examples=50)
    trials = space.make_trials(base, None, {"learning_rate": [0.1, 1e30], "momentum": [0.0, 0.9]})
    return executors.train_all(trials, input_pipeline.synthetic()).to_pylist()


def test_a_sweep_is_the_same_with_64_bit_numbers():
    """The same draw, the same order of the batches, the same numbers to rounding."""
    environment = os.environ | {"JAX_ENABLE_X64": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    there, here = json.loads(done.stdout.splitlines()[-1]), rows()
    assert len(there) == len(here) and any(row["diverged"] for row in here)
    for found, expected in zip(there, here, strict=True):
        for name, value in expected.items():
            assert found[name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), name
