"""Curvature of a mean cost: eigenvalues, spectral density and trace of its Hessian.

N examples of the data set, B examples of a batch, P parameters, K eigenvalues, S steps, Q random vectors, G points of
a grid.

    def cost(params, batch):                                                    # per-example costs [B]
        images_BxD, labels_B = batch
        logits_BxC, _ = net.apply({"params": params}, images_BxD * (1 / 255))
        return nets.costs.get("quadratic", "softmax").per_example(logits_BxC, jax.nn.one_hot(labels_B, 10))

    top = nets.curvature.top_eigenvalues(cost, params, (images_NxD, labels_N), jax.random.key(0))
    top.values_K                                                                # the five largest, descending

Everywhere `cost(params, batch) -> cost_B`, `params` is any pytree of floats, and `data` any pytree of arrays with a
leading axis N; `nets.chunks` says how the mean over all N is taken. The mean cost itself, its gradient and products
(`nets.chunks`), sharpness, gradient noise and the cost on lines and planes are reached from here as well.

ValueError, in one line, names what does not fit: params that are no floats, data without examples or of several
lengths, a cost of another shape than [B], trees that do not match, whole numbers out of their range. Numbers that are
not finite raise nothing: what depends on them comes out as nan.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from nets.chunks import (
    CHUNK,
    Cost,
    Tree,
    check_cost,
    check_whole,
    dot,
    flatten,
    gradient,
    hessian_product,
    hessian_vector_product,
    mean_cost,
    measure,
)
from nets.lanczos import Lanczos, block_lanczos, lanczos
from nets.landscape import cost_on_line, cost_on_plane, filter_normalised_direction
from nets.noise import (
    EXAMPLES_CHUNK,
    CurvedNoiseScale,
    NoiseScale,
    curved_noise_scale,
    gradient_covariance_trace,
    gradient_noise_scale,
    noise_scale,
)
from nets.sharpness import HALVINGS, MEMORY, sharpness

__all__ = [
    "CHUNK",
    "EXAMPLES_CHUNK",
    "HALVINGS",
    "MEMORY",
    "VECTORS",
    "Cost",
    "CurvedNoiseScale",
    "Eigenvalues",
    "Lanczos",
    "NoiseScale",
    "SpectralDensity",
    "cost_on_line",
    "cost_on_plane",
    "curved_noise_scale",
    "filter_normalised_direction",
    "gradient",
    "gradient_covariance_trace",
    "gradient_noise_scale",
    "hessian_trace",
    "hessian_vector_product",
    "lanczos",
    "mean_cost",
    "noise_scale",
    "sharpness",
    "spectral_density",
    "top_eigenvalues",
]

# Random vectors that share one pass over the data, at most.
VECTORS = 4


class Eigenvalues(NamedTuple):
    """The K largest eigenvalues, in descending order, with what they are worth.

    `vectors` is a tree like params with a leading axis K, orthonormal; `residuals_K` are the norms |H v - value v|, an
    eigenvalue of H lying within that of each value; `steps` is the number of passes over the data.
    """

    values_K: jax.Array
    vectors: Tree
    residuals_K: jax.Array
    steps: jax.Array


@measure("k", "steps")
def top_eigenvalues(
    cost: Cost,
    params: Tree,
    data: Tree,
    key: jax.Array,
    k: int = 5,
    steps: int = 30,
    tolerance: ArrayLike = 1e-4,
    chunk: int = CHUNK,
) -> Eigenvalues:
    """The k algebraically largest eigenvalues of the Hessian of the mean cost, in the cost's unit per parameter^2.

    Stops when every residual is below `tolerance` times its own eigenvalue (or below rounding, 16 times the machine
    epsilon times the largest |eigenvalue|), at the latest after `steps` passes over the data of k Hessian-vector
    products each; `residuals_K` says which. The memory is k steps P numbers. ValueError for k > P.

    The block Lanczos method with blocks of k (Golub & Underwood 1977) and full reorthogonalisation: unlike one random
    start, k of them find an eigenvalue as often as it occurs, and in a linear layer's Hessian each occurs C times.
    """
    check_cost(cost, params, data, chunk)
    check_whole("k", k, 1)
    check_whole("steps", steps, 1)
    flat_P, unravel = flatten(params)
    if k > flat_P.size:
        raise ValueError(f"k is {k}; accepted: at most the number of parameters, {flat_P.size}")
    product = hessian_product(cost, params, data, chunk)
    matvec = jax.vmap(lambda vector_P: ravel_pytree(product(unravel(vector_P)))[0].astype(flat_P.dtype))
    values_K, vectors_KxP, residuals_K, passes = block_lanczos(matvec, flat_P, key, k, steps, tolerance)
    return Eigenvalues(values_K, jax.vmap(unravel)(vectors_KxP), residuals_K, passes)


class SpectralDensity(NamedTuple):
    """The density of eigenvalues on a grid, and the quadrature that it is drawn from.

    `density_G` at `grid_G` integrates to 1. Each of Q random vectors gives S `nodes_QxS`, of which `weights_QxS` sum to
    1 in every row: the mean over Q of sum_S weights f(nodes) estimates tr f(H) / P for any smooth f.
    """

    grid_G: jax.Array
    density_G: jax.Array
    nodes_QxS: jax.Array
    weights_QxS: jax.Array


def _together(samples: int) -> int:
    """How many of the samples go through the data at once: a divisor, since a remainder would be compiled apart."""
    return max(size for size in range(1, VECTORS + 1) if samples % size == 0)


@measure("steps", "samples", "width", "points")
def spectral_density(
    cost: Cost,
    params: Tree,
    data: Tree,
    key: jax.Array,
    steps: int = 64,
    samples: int = 4,
    width: float = 0.01,
    points: int = 1024,
    chunk: int = CHUNK,
) -> SpectralDensity:
    """The density of the eigenvalues of the Hessian of the mean cost, per unit of eigenvalue.

    Stochastic Lanczos quadrature with `samples` random vectors of `steps` iterations each, broadened by Gaussians
    whose standard deviation is `width` times the range of the nodes (Ghorbani, Krishnan & Xiao 2019; Yao et al. 2020).
    The grid of `points` goes 6 deviations beyond the nodes. ValueError for fewer points than one a deviation, with
    which the density would not integrate to 1.
    """
    check_cost(cost, params, data, chunk)
    check_whole("samples", samples, 1)
    if not 0 < width < float("inf"):
        raise ValueError(f"width is {width!r}; accepted: a share of the spectrum's range, > 0")
    check_whole(f"points for width {width}", points, int(1 / width) + 14)
    product = hessian_product(cost, params, data, chunk)

    def quadrature(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        run = lanczos(product, params, key, steps)
        beside_SxS = jnp.diag(run.betas_S[:-1], 1)
        values_S, vectors_SxS = jnp.linalg.eigh(jnp.diag(run.alphas_S) + beside_SxS + beside_SxS.T)
        return values_S, jnp.square(vectors_SxS[0])

    keys_Q = jax.random.split(key, samples)
    nodes_QxS, weights_QxS = jax.lax.map(quadrature, keys_Q, batch_size=_together(samples))
    return SpectralDensity(*_broadened(nodes_QxS, weights_QxS, width, points), nodes_QxS, weights_QxS)


def _broadened(nodes_QxS: jax.Array, weights_QxS: jax.Array, width: float, points: int):
    """(grid_G, density_G) of Gaussians at the nodes."""
    low, high = jnp.min(nodes_QxS), jnp.max(nodes_QxS)
    # A single eigenvalue has no range: its own size stands in, and 1 for that of zero.
    extent = jnp.maximum(high - low, 1e-3 * jnp.maximum(jnp.abs(low), jnp.abs(high)))
    deviation = width * jnp.where(extent == 0, 1, extent)
    grid_G = jnp.linspace(low - 6 * deviation, high + 6 * deviation, points)
    nodes_1xT, weights_T = nodes_QxS.reshape(1, -1), weights_QxS.reshape(-1) / len(nodes_QxS)
    density_GxT = jax.scipy.stats.norm.pdf((grid_G[:, None] - nodes_1xT) / deviation) / deviation
    return grid_G, dot(density_GxT, weights_T)


@measure("samples")
def hessian_trace(
    cost: Cost, params: Tree, data: Tree, key: jax.Array, samples: int = 32, chunk: int = CHUNK
) -> tuple[jax.Array, jax.Array]:
    """The trace of the Hessian of the mean cost, in the cost's unit per parameter^2, and its standard error.

    Hutchinson's estimate (1990): the mean of v.Hv over `samples` >= 2 vectors v of random signs.
    """
    check_cost(cost, params, data, chunk)
    check_whole("samples", samples, 2)
    flat_P, unravel = flatten(params)
    product = hessian_product(cost, params, data, chunk)

    def sample(key: jax.Array) -> jax.Array:
        vector_P = jax.random.rademacher(key, flat_P.shape, flat_P.dtype)
        return dot(vector_P, ravel_pytree(product(unravel(vector_P)))[0].astype(flat_P.dtype))

    traces_Q = jax.lax.map(sample, jax.random.split(key, samples), batch_size=_together(samples))
    return jnp.mean(traces_Q), jnp.std(traces_Q, ddof=1) / samples**0.5
