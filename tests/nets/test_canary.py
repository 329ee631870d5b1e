"""The compiler's sums: right with the pinned jaxlib, in every setting that programs are compiled with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import SHALLOW, SYNTHETIC, refused

from nets import canary, saturation
from training.compiling import FAST_TO_COMPILE, FAST_TO_RUN, LARGE_PRODUCTS

# As a process without XLA_FLAGS compiles, and as runs do.
OPTIONS = {
    "none": {"xla_cpu_use_fusion_emitters": True},
    "once": FAST_TO_COMPILE,
    "large": LARGE_PRODUCTS,
    "epoch": FAST_TO_RUN,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_sums_over_broadcasts(name):
    """2 x 1024 x 1024 ones are 2,097,152; jaxlib 0.10.2 gave 2,466,656, and another number in each call."""
    total = jax.jit(lambda k: jnp.sum(jnp.broadcast_to(k, (2, 1024, 1024))), compiler_options=OPTIONS[name])
    ones = jnp.ones((1024, 1))
    assert [float(total(ones)) for _ in range(20)] == [2_097_152.0] * 20


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("rows", [32_768, 32_769])
def test_vmapped_sums_of_squares(name, rows):
    """Whole numbers, exact in float32; with jaxlib 0.10.2 the rows beyond 32,768 were wrong."""
    x_N = np.arange(rows, dtype=np.float32) % 2048 + 1
    x_Nx3 = np.stack([x_N, 0 * x_N, 0 * x_N], axis=1)
    squares = lambda x_Nx3, m: jax.vmap(lambda x_3: jnp.sum((m @ x_3) ** 2))(x_Nx3)  # noqa: E731
    found_N = jax.jit(squares, compiler_options=OPTIONS[name])(x_Nx3, np.eye(3, dtype=np.float32))
    np.testing.assert_array_equal(found_N, x_N**2)


@pytest.mark.parametrize("name", OPTIONS)
def test_large_products(name):
    """2,000 x 784 by 784 x 64 against float64: as evaluation multiplies."""
    random = np.random.default_rng(0)
    x_NxD, w_DxH = random.random((2_000, 784), np.float32), random.random((784, 64), np.float32)
    product = jax.jit(jnp.matmul, compiler_options=OPTIONS[name])
    expected = x_NxD.astype(np.float64) @ w_DxH.astype(np.float64)
    for _ in range(5):
        np.testing.assert_allclose(product(x_NxD, w_DxH), expected, rtol=2e-5)


def test_the_canary_sings_here():
    """No sum is wrong, also where the question comes while another program is traced."""
    assert canary.wrong_sums() == 0
    assert jax.jit(lambda x: x + canary.wrong_sums.__wrapped__())(1) == 1


def test_the_canary_sings_without_its_options(monkeypatch):
    """A jaxlib that does not know one of them is asked without."""
    monkeypatch.setattr(canary, "UNOPTIMIZED", {"xla_no_such_option": 1})
    assert canary.wrong_sums.__wrapped__() == 0


def test_measures_warn_once_of_a_compiler_that_cannot_add(monkeypatch):
    """One line that names the remedy, at the first measure alone."""
    monkeypatch.setattr(canary, "wrong_sums", lambda: 7)
    canary.warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"wrong sums .*7 of 32,779.*jaxlib 0\.10\.1") as caught:
        saturation.zero_fraction(jnp.zeros((2, 2)))
    saturation.zero_fraction(jnp.zeros((2, 2)))
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    monkeypatch.undo()
    canary.warn_once.cache_clear()


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # Of ml_collections.
def test_commands_end_in_one_line_where_sums_are_wrong(call, capsys, monkeypatch):
    """Exit status 2, before an epoch is recorded."""
    monkeypatch.setattr(canary, "wrong_sums", lambda: 7)
    assert "wrong sums" in refused(call, capsys, SHALLOW, SYNTHETIC, "--config.epochs=1", "--workdir=run")
