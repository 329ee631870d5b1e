"""For the tests of nets."""

import jax
import pytest


@pytest.fixture(scope="module")
def quick_to_compile():
    """Compilation is nearly all the time of some tests, and without optimization it takes half of it."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
