"""For every test: no silent broadcasting between ranks (and, in pyproject.toml, every warning an error)."""

import os
import shutil
import sys
import tempfile

# Before JAX starts: tests compile much and run little.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"

import jax
import pytest
from absl import flags, logging

import train
from configs import shallow
from training.command_line import parse_flags

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


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs the command in this process, in an empty folder, with flags of its own."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    before, verbosity = set(flags.FLAGS), logging.get_verbosity()

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        monkeypatch.delitem(sys.modules, "config_config", raising=False)
        try:
            train.define_flags()
            train.main(parse_flags(sys.argv))
        finally:
            for name in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, name)
            flags.FLAGS.unparse_flags()

    yield run
    logging.set_verbosity(verbosity)
