"""How noisy the gradients of single examples are beside the gradient of the mean cost.

N examples of the data set, B examples of a batch, P parameters. `cost`, `params` and `data` are those of `nets.chunks`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nets.chunks import (
    CHUNK,
    Cost,
    Tree,
    check_cost,
    check_whole,
    hessian_product,
    measure,
    sum_over_chunks,
    summed,
    value_and_gradient,
    widen,
)

# Gradients of single examples take B x P numbers at a time.
EXAMPLES_CHUNK = 100
# Random vectors of the curved noise scale.
SIGNS = 8


class NoiseScale(NamedTuple):
    """Estimates of |G|^2, G being the true gradient, of tr Sigma, the covariance of one example's, and their ratio.

    `noise_scale` = tr(Sigma) / |G|^2 in examples. All three are unbiased but the ratio, and |G|^2 may come out as 0 or
    below where noise hides the gradient: the ratio is then infinite or negative and says nothing but that.
    """

    gradient_squared: jax.Array
    covariance_trace: jax.Array
    noise_scale: jax.Array


def noise_scale(small_squared: ArrayLike, big_squared: ArrayLike, small: int, big: int) -> NoiseScale:
    """McCandlish et al.'s (2018, appendix A.1) estimates from the squared norms of gradients at two batch sizes.

    |G|^2 = (big |G_big|^2 - small |G_small|^2) / (big - small) and tr Sigma = (|G_small|^2 - |G_big|^2) / (1 / small -
    1 / big), where `small_squared` and `big_squared`, arrays of one shape, are the mean squared norms of the gradient
    of a random batch of `small` and of `big` examples. ValueError unless 1 <= small < big.
    """
    check_whole("small", small, 1)
    check_whole("big", big, small + 1)
    small_squared, big_squared = jnp.asarray(small_squared), jnp.asarray(big_squared)
    squared = (big * big_squared - small * small_squared) / (big - small)
    trace = (small_squared - big_squared) / (1 / small - 1 / big)
    return NoiseScale(squared, trace, trace / squared)


def _squared(tree: Tree) -> jax.Array:
    """The sum of squares of all leaves."""
    return sum((jnp.sum(jnp.square(widen(leaf))) for leaf in jax.tree.leaves(tree)), start=jnp.float32(0))


def _noise(cost: Cost, params: Tree, data: Tree, chunk: int) -> tuple[jax.Array, jax.Array]:
    """|g|^2 of the mean gradient g, and tr Sigma from the examples' distances to it, which cancels no digits."""
    count = check_cost(cost, params, data, chunk, least=2)
    mean = value_and_gradient(cost, params, data, chunk)[1]

    def distances(batch: Tree, weights_B: jax.Array) -> jax.Array:
        def one(example: Tree) -> jax.Array:
            single = jax.tree.map(lambda x: x[None], example)
            slope = jax.grad(summed(cost, single, jnp.ones(1)))(params)
            return _squared(jax.tree.map(jnp.subtract, slope, mean))

        return jnp.sum(jax.vmap(one)(batch) * weights_B)

    return _squared(mean), sum_over_chunks(distances, data, chunk) / (count - 1)


@measure(singles=True)
def gradient_covariance_trace(cost: Cost, params: Tree, data: Tree, chunk: int = EXAMPLES_CHUNK) -> jax.Array:
    """tr Sigma, the trace of the covariance of the examples' gradients, exactly, over all N >= 2 examples.

    Sum |g_i - g|^2 / (N - 1) = N / (N - 1) (mean |g_i|^2 - |g|^2), in the cost's unit per parameter, squared. Takes
    chunk x P numbers of memory.
    """
    return _noise(cost, params, data, chunk)[1]


@measure(singles=True)
def gradient_noise_scale(cost: Cost, params: Tree, data: Tree, chunk: int = EXAMPLES_CHUNK) -> NoiseScale:
    """McCandlish et al.'s (2018) B_simple = tr(Sigma) / |G|^2, in examples, from every example's own gradient.

    The data are N >= 2 draws, so that their mean gradient g has |g|^2 = |G|^2 + tr(Sigma) / N in expectation; the
    second term is taken off. It is `noise_scale` with batches of 1 and of N, all of them.
    """
    squared, trace = _noise(cost, params, data, chunk)
    squared = squared - trace / len(jax.tree.leaves(data)[0])
    return NoiseScale(squared, trace, trace / squared)


class CurvedNoiseScale(NamedTuple):
    """Estimates of G' H G, G being the true gradient and H the Hessian, of tr(H Sigma), Sigma being the covariance of
    one example's gradient, and their ratio.

    `noise_scale` = tr(H Sigma) / (G' H G) in examples. Both may be negative where the cost is curved downwards, and
    G' H G where noise hides the gradient as well: the ratio then says nothing but that.
    """

    gradient_curvature: jax.Array
    covariance_curvature: jax.Array
    noise_scale: jax.Array


@measure("samples", singles=True)
def curved_noise_scale(
    cost: Cost, params: Tree, data: Tree, key: jax.Array, samples: int = SIGNS, chunk: int = CHUNK
) -> CurvedNoiseScale:
    """McCandlish et al.'s (2018) B_noise = tr(H Sigma) / (G' H G), in examples: the batch whose best step lowers the
    cost by half as much as that of all examples. Where H is a multiple of the identity it is `gradient_noise_scale`.

    The data are N >= 2 draws with gradients g_i, of which g is the mean. tr(H Sigma) is the mean of v' H v over
    `samples` >= 1 vectors v = sum_i (s_i - s) g_i / sqrt(N - 1), with random signs s_i of mean s, whose covariance is
    that of the g_i (Hutchinson 1990), so that no single gradient is made; and E[g' H g] = G' H G + tr(H Sigma) / N,
    the second term of which is taken off. Unbiased but the ratio, as far as H, which is of the same draws, does not
    depend on them; numerators have the cost's unit cubed per parameter^4. Takes chunk examples at a time.
    """
    count = check_cost(cost, params, data, chunk, least=2)
    check_whole("samples", samples, 1)
    product = hessian_product(cost, params, data, chunk)

    def curvature(vector: Tree) -> jax.Array:
        pairs = zip(jax.tree.leaves(vector), jax.tree.leaves(product(vector)), strict=True)
        return sum((jnp.sum(widen(v) * widen(h)) for v, h in pairs), start=jnp.float32(0))

    def sample(key: jax.Array) -> jax.Array:
        signs_N = jax.random.rademacher(key, (count,), jnp.float32)

        def gradient(batch: tuple[Tree, jax.Array], weights_B: jax.Array) -> Tree:
            return jax.grad(summed(cost, batch[0], weights_B * batch[1]))(params)

        return curvature(sum_over_chunks(gradient, (data, signs_N - jnp.mean(signs_N)), chunk)) / (count - 1)

    of_covariance = jnp.mean(jax.lax.map(sample, jax.random.split(key, samples)))
    of_gradient = curvature(value_and_gradient(cost, params, data, chunk)[1]) - of_covariance / count
    return CurvedNoiseScale(of_gradient, of_covariance, of_covariance / of_gradient)
