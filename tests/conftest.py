"""For every test: no silent broadcasting between ranks (and, in pyproject.toml, every warning an error)."""

import os
import shutil
import tempfile

# Before JAX starts: tests compile much and run little.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"

import jax
import pytest

from configs import shallow

jax.config.update("jax_numpy_rank_promotion", "raise")
# Lanes are spread over devices: here as on a machine of two cores, however many there are.
jax.config.update("jax_num_cpu_devices", 2)


def pytest_configure(config):
    """The workers, and the processes that tests start, share what they compile for the length of this run."""
    if hasattr(config, "workerinput") or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="compiled-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    shared = {"compilation_cache_dir": folder, "persistent_cache_min_compile_time_secs": 0}
    for name, value in shared.items():
        os.environ[f"JAX_{name.upper()}"] = str(value)
        jax.config.update(f"jax_{name}", value)


@pytest.fixture
def compiled_as_in_a_run(monkeypatch):
    """What is compiled in the test is optimized as in a run: its options are not left to the environment."""
    monkeypatch.delenv("XLA_FLAGS")


@pytest.fixture
def synthetic_config():
    """The lecture's shallow net on the tiny synthetic data set, for three epochs."""
    config = shallow.get_config()
    config.dataset = "synthetic"
    config.epochs = 3
    config.batch_size = 100
    return config
