"""Lanczos iterations against exact spectra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from small_net import KEY

from nets import curvature

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def lanczos(matvec, like, steps):
    """The iterations as one program."""
    return jax.jit(lambda like: curvature.lanczos(matvec, like, KEY, steps))(like)


def test_lanczos_is_an_orthonormal_tridiagonalisation():
    """V V' = 1, V A V' = T, and T has A's eigenvalues once the basis is complete; more steps than P are cut."""
    a = np.random.default_rng(0).normal(size=(12, 12))
    a = jnp.asarray(a + a.T, jnp.float32)
    like = {"u": jnp.zeros((2, 3)), "v": jnp.zeros(6)}
    unravel = ravel_pytree(like)[1]
    matvec = lambda tree: unravel(a @ ravel_pytree(tree)[0])  # noqa: E731
    for steps in (7, 20):
        run = lanczos(matvec, like, steps)
        size = min(steps, 12)
        assert run.alphas_S.shape == run.betas_S.shape == (size,) and run.basis_SxP.shape == (size, 12)
        t = np.diag(run.alphas_S) + np.diag(run.betas_S[:-1], 1) + np.diag(run.betas_S[:-1], -1)
        np.testing.assert_allclose(run.basis_SxP @ run.basis_SxP.T, np.eye(size), atol=2e-6)
        np.testing.assert_allclose(run.basis_SxP @ a @ run.basis_SxP.T, t, atol=2e-5)
    np.testing.assert_allclose(np.linalg.eigvalsh(t), np.linalg.eigvalsh(a), atol=2e-5)
    np.testing.assert_allclose(lanczos(lambda x: -3 * x, jnp.float32(1), 4).alphas_S, [-3.0], rtol=1e-6)


def test_lanczos_keeps_orthogonality_where_the_plain_recurrence_loses_it():
    """One eigenvalue far out converges at once; without reorthogonalisation it would come back."""
    eigenvalues = jnp.concatenate([jnp.array([1e4]), jnp.linspace(0.0, 1.0, 199)])
    run = lanczos(lambda x_P: eigenvalues * x_P, eigenvalues, 60)
    np.testing.assert_allclose(run.basis_SxP @ run.basis_SxP.T, np.eye(60), atol=5e-6)


@pytest.mark.parametrize("eigenvalues", [[2.0] * 6, [0.0] * 6, [1.0, 1.0, 1.0, 4.0, 4.0, 4.0]])
def test_lanczos_goes_on_beyond_an_invariant_subspace(eigenvalues):
    """After one or two steps the Krylov space is exhausted; the basis stays orthonormal and T has A's spectrum."""
    diagonal = jnp.array(eigenvalues)
    run = lanczos(lambda x_P: diagonal * x_P, diagonal, 6)
    np.testing.assert_allclose(run.basis_SxP @ run.basis_SxP.T, np.eye(6), atol=2e-6)
    t = np.diag(run.alphas_S) + np.diag(run.betas_S[:-1], 1) + np.diag(run.betas_S[:-1], -1)
    np.testing.assert_allclose(np.linalg.eigvalsh(t), eigenvalues, atol=3e-6)
