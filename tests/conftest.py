"""For every test: no silent broadcasting between ranks (and, in pyproject.toml, every warning an error)."""

import os
import shutil
import tempfile

# Before JAX starts: tests compile much and run little. What `train.compiled` compiles to run fast stays as it is.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"

# The workers and the processes that tests start compile many programs of one another: they share them for this run.
FOLDER = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    FOLDER = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"

import jax
import pytest

from configs import shallow

jax.config.update("jax_numpy_rank_promotion", "raise")
# Lanes are spread over devices: here as on a machine of two cores, however many there are.
jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture
def synthetic_config():
    """The lecture's shallow net on the tiny synthetic data set, for three epochs."""
    config = shallow.get_config()
    config.dataset = "synthetic"
    config.epochs = 3
    config.batch_size = 100
    return config


def pytest_unconfigure():
    """The shared programs go with the run that made their folder."""
    if FOLDER:
        shutil.rmtree(FOLDER, ignore_errors=True)
