"""Float32 nets where 64-bit numbers are switched on."""

import jax
import pytest

import input_pipeline
from experiments.engine import executors, space
from training.config import Config


@pytest.fixture
def with_64_bits():
    """64-bit numbers in all threads, as JAX_ENABLE_X64=1 switches them on."""
    before = getattr(jax.config, "jax_enable_x64")  # noqa: B009
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def expected():
    """The rows without."""
    assert not getattr(jax.config, "jax_enable_x64")  # noqa: B009
    return rows()


def rows():
    """A diverging trial beside others, with momentum and without, with probes."""
    base = Config(dataset="synthetic", epochs=2, hidden=(8,), batch_size=100, activation="relu", probe_examples=50)
    trials = space.make_trials(base, None, {"learning_rate": [0.1, 1e30], "momentum": [0.0, 0.9]})
    return executors.train_all(trials, input_pipeline.synthetic()).to_pylist()


def test_a_sweep_is_the_same_with_64_bit_numbers(expected, with_64_bits):
    """The same draw, the same order of the batches, the same numbers to rounding."""
    found = rows()
    assert len(found) == len(expected) and any(row["diverged"] for row in expected)
    for there, here in zip(found, expected, strict=True):
        for name, value in here.items():
            assert there[name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), name
