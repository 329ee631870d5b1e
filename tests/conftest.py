"""For every test: no silent broadcasting between ranks (and, in pyproject.toml, every warning an error)."""

import jax
import pytest

from configs import shallow

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def synthetic_config():
    """The lecture's shallow net on the tiny synthetic data set, for three epochs."""
    config = shallow.get_config()
    config.dataset = "synthetic"
    config.epochs = 3
    config.batch_size = 100
    return config
