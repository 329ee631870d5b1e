"""Cockpit's quantities: whether a gradient is signal or noise, how far a step went, how each layer is curved.

Schneider, Dangel & Hennig 2021 ("Cockpit: A Practical Debugging Tool for the Training of Deep Neural Networks") gather
them from the papers that are named at each. N examples of the data set, B examples of a batch, P parameters, E = 2 ends
of a step. `cost`, `params` and `data` are those of `nets.chunks`; g_i is the gradient of example i's cost, g the mean
of all N. The data stand for the batch whose gradient is judged: what is said of g is said of a batch of N examples.

    signal = nets.cockpit.gradient_signal(cost, params, data)
    signal.early_stopping > 0                                # nothing but noise is left to learn from these data
    gradient = nets.chunks.gradient(cost, params, data)
    params_after = jax.tree.map(lambda w, g: w - 0.5 * g, params, gradient)
    nets.cockpit.alpha(cost, params, params_after, data)     # 0 where the step went to the minimum of the fit
    nets.cockpit.block_eigenvalues(cost, params, data, jax.random.key(0))["hidden_0"].value

The noise scale, the trace and the largest eigenvalue of the whole Hessian, which Cockpit has as well, are in
`nets.noise` and `nets.curvature`. ValueErrors are those of `nets.chunks`, and one for fewer than 2 examples where
a variance is taken. Numbers that are not finite raise nothing: what depends on them comes out as nan.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nets.chunks import (
    CHUNK,
    Cost,
    Tree,
    check_cost,
    check_like,
    check_whole,
    dot,
    flatten,
    mean_over_chunks,
    measure,
    sum_over_chunks,
    summed,
    value_and_gradient,
    widen,
)
from nets.curvature import hessian_trace, top_eigenvalues
from nets.lanczos import euclidean
from nets.noise import EXAMPLES_CHUNK
from nets.speed import by_layer

# ---------------------------------------------------------------------------------------------------------------------
# Signal and noise of the gradient.


class GradientSignal(NamedTuple):
    """How far the mean gradient g of N examples stands out from the noise of the examples' gradients g_i.

    `gsnr` is a tree like params, all others are scalars, and none has a unit. `norm_test` is a radius around g, in
    units of |g|, `inner_product_test` a half width along g and `orthogonality_test` one across it; the square of the
    first is the sum of the squares of the others. The three shrink as 1 / sqrt(N).
    """

    gsnr: Tree
    mean_gsnr: jax.Array
    early_stopping: jax.Array
    norm_test: jax.Array
    inner_product_test: jax.Array
    orthogonality_test: jax.Array


def _sum_of_deviations(
    cost: Cost, params: Tree, data: Tree, chunk: int, mean_P: jax.Array, of: Callable[[jax.Array], Tree]
) -> Tree:
    """The sum of of(g_i - g) over all examples, a pytree; with g taken off first, squares cancel no digits."""

    def of_batch(batch: Tree, weights_B: jax.Array) -> Tree:
        def one(example: Tree, weight: jax.Array) -> Tree:
            single = jax.tree.map(lambda x: x[None], example)
            slope_P = flatten(jax.grad(summed(cost, single, jnp.ones(1)))(params))[0]
            return jax.tree.map(lambda x: x * weight.astype(x.dtype), of(slope_P - mean_P))

        return jax.tree.map(lambda x_B: jnp.sum(x_B, axis=0), jax.vmap(one)(batch, weights_B))

    return sum_over_chunks(of_batch, data, chunk)


def _ratios(mean_P: jax.Array, relative_P: jax.Array, epsilon: ArrayLike) -> jax.Array:
    """g^2 / (variance + epsilon) of each parameter, from the variance of g_i / g; 0 where g is 0."""
    # The root first: epsilon / g^2 would be 0 / 0 for small g and no epsilon.
    added_P = jnp.square(jnp.sqrt(epsilon) / jnp.where(mean_P == 0, 1, mean_P))
    return jnp.where(mean_P == 0, 0, 1 / (relative_P + added_P))


@measure(singles=True)
def gradient_signal(
    cost: Cost, params: Tree, data: Tree, epsilon: ArrayLike = 0.0, chunk: int = EXAMPLES_CHUNK
) -> GradientSignal:
    """The signal-to-noise ratio, the early-stopping criterion and three tests of the gradient, in two passes.

    All sums are over the N >= 2 examples, s_k^2 is the sample variance sum_i (g_ik - g_k)^2 / (N - 1) of parameter k.

    - `gsnr`, for each parameter, and its mean over the P parameters: g_k^2 / (sum_i (g_ik - g_k)^2 / N) (Liu et al.
      2020, "Understanding why neural networks generalize well through GSNR of parameters"). A few parameters with
      little noise can make up most of the mean.
    - `early_stopping`: 1 - N / P sum_k g_k^2 / s_k^2 (Mahsereci et al. 2017, "Early stopping without a validation set",
      equation 7), which is 1 - (N - 1) `mean_gsnr` where epsilon is 0. Above 0 the gradient is no larger than noise
      alone would make it, and training should stop. Its expectation is about 0 where the gradients' true mean is 0.
    - `norm_test`: sqrt(sum_i |g_i - g|^2 / (N (N - 1))) / |g|, the least theta with which Byrd et al.'s test (2012,
      "Sample size selection in optimization methods for machine learning", equation 3.9) passes.
    - `inner_product_test`: sqrt(sum_i (g_i.g - |g|^2)^2 / (N (N - 1))) / |g|^2, the least theta of Bollapragada, Byrd &
      Nocedal's (2017, "Adaptive sampling strategies for stochastic optimization", equation 2.6).
    - `orthogonality_test`: sqrt(sum_i |g_i - (g_i.g / |g|^2) g|^2 / (N (N - 1))) / |g|, their least nu (equation 3.3).

    `epsilon`, in the square of the cost's unit per parameter, is added to both variances of the ratios, and Cockpit's
    code has 1e-5 there. Such a number decides alone where gradients are small, hence the 0. A parameter whose mean
    gradient is 0, as that of a dead unit, has the ratio 0 and counts among the P; one without noise has an infinite
    one. The three tests are nan where the whole mean gradient is 0. Takes chunk x P numbers of memory.
    """
    count = check_cost(cost, params, data, chunk, least=2)
    params = jax.tree.map(jnp.asarray, params)
    mean_P, unravel = flatten(value_and_gradient(cost, params, data, chunk)[1])
    size = euclidean(mean_P)
    scale = jnp.where(size > 0, size, jnp.nan)
    along_P, safe_P = mean_P / scale, jnp.where(mean_P == 0, 1, mean_P)

    def squares(deviation_P: jax.Array) -> tuple[jax.Array, ...]:
        # In units of g, since the squares of a saturated net's gradients are 0 in float32.
        relative_P = deviation_P / scale
        part = dot(along_P, relative_P)
        across_P = relative_P - part * along_P
        sizes = jnp.sum(jnp.square(relative_P)), jnp.square(part), jnp.sum(jnp.square(across_P))
        return jnp.square(deviation_P / safe_P), *sizes

    squares_P, *sizes = _sum_of_deviations(cost, params, data, chunk, mean_P, squares)
    gsnr_P = _ratios(mean_P, squares_P / count, epsilon)
    evidence = count * jnp.mean(_ratios(mean_P, squares_P / (count - 1), epsilon))
    tests = (jnp.sqrt(size / count / (count - 1)) for size in sizes)
    return GradientSignal(unravel(gsnr_P), jnp.mean(gsnr_P), 1 - evidence, *tests)


# ---------------------------------------------------------------------------------------------------------------------
# The step.


def relative_step(
    costs_E: ArrayLike, slopes_E: ArrayLike, cost_variances_E: ArrayLike, slope_variances_E: ArrayLike
) -> jax.Array:
    """alpha, where a step ended on the parabola through noisy costs and slopes at its two ends; a scalar without unit.

    -1 is the start of the step, 0 the minimum of the parabola and 1 the point beyond it that is as high as the start;
    a step uphill from the start has less than -1, and a parabola without a minimum gives -1, as in Cockpit. Infinite
    where the minimum is at the start. `slopes_E` [2] are derivatives of the cost along the whole step, in the cost's
    unit, not per unit of length; `costs_E` [2] count by their difference alone, the variances by their ratios.

    Source: Schneider, Dangel & Hennig (2021), who fit f(x) = a + b x + c x^2, with x = 0 and 1 at the two ends, to the
    four observations by least squares with the inverse variances as weights, and take -2 c / b - 1. In closed form,
    which no variance of 0 upsets: every parabola has f(1) - f(0) = (f'(0) + f'(1)) / 2, so that the observations miss
    it by m = f_1 - f_0 - (f'_0 + f'_1) / 2. By Lagrange's multiplier the fit shares m out in proportion to the
    variances v: its slopes are f'_e + v(f'_e) m / (2 V), with V = v(f_0) + v(f_1) + (v(f'_0) + v(f'_1)) / 4, and alpha
    is minus the slope at the end by that at the start. Variances that are all 0 count as equal ones. ValueError unless
    all four have the shape [2].
    """
    given = {
        "costs_E": costs_E,
        "slopes_E": slopes_E,
        "cost_variances_E": cost_variances_E,
        "slope_variances_E": slope_variances_E,
    }
    for name, value in given.items():
        if np.shape(value) != (2,):
            raise ValueError(f"{name} has the shape {np.shape(value)}; accepted: [2], the start and the end of a step")
    costs_E, slopes_E, *variances = (widen(jnp.asarray(value)) for value in given.values())
    variances_ExE = jnp.stack(variances)
    variances_ExE = jnp.where(jnp.all(variances_ExE == 0), 1, variances_ExE)
    missed = costs_E[1] - costs_E[0] - jnp.mean(slopes_E)
    total = jnp.sum(variances_ExE[0]) + jnp.sum(variances_ExE[1]) / 4
    start, end = slopes_E + variances_ExE[1] * (missed / total / 2)
    return jnp.where(end <= start, -1.0, -end / start)


@measure()
def alpha(cost: Cost, params: Tree, params_after: Tree, data: Tree, chunk: int = CHUNK) -> jax.Array:
    """`relative_step` of the step from `params` to `params_after`, a tree like it, on the mean cost; a scalar.

    The costs and slopes are the means over the N >= 2 examples at both ends, their variances those of the single
    examples, as Cockpit takes them: a mean has an N-th of that, and the fit knows ratios alone. A step of length 0
    gives -1. Slopes are forward derivatives, so that memory is that of one chunk's costs.
    """
    count = check_cost(cost, params, data, chunk, least=2)
    check_like("params_after", params_after, params)
    params = jax.tree.map(jnp.asarray, params)
    params_after = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), params_after, params)
    step = jax.tree.map(jnp.subtract, params_after, params)

    def observed(batch: Tree) -> jax.Array:
        """Costs and slopes at both ends, [B, 4]."""
        ends = [jax.jvp(lambda x: cost(x, batch), (end,), (step,)) for end in (params, params_after)]
        return jnp.stack([widen(value_B) for pair in zip(*ends, strict=True) for value_B in pair], axis=1)

    def totals(batch: Tree, weights_B: jax.Array) -> tuple[jax.Array, jax.Array]:
        observed_Bx4 = observed(batch)
        weights_B = weights_B.astype(observed_Bx4.dtype)
        # Of a short step the difference of two means would be rounding.
        rise_B = observed_Bx4[:, 1] - observed_Bx4[:, 0]
        return jnp.sum(observed_Bx4 * weights_B[:, None], axis=0), jnp.sum(rise_B * weights_B)

    mean_4, rise = mean_over_chunks(totals, data, chunk)
    largest = jnp.max(jnp.abs(mean_4))
    scale = jnp.where(largest > 0, largest, 1)

    def squares(batch: Tree, weights_B: jax.Array) -> jax.Array:
        relative_Bx4 = (observed(batch) - mean_4[None]) / scale
        return jnp.sum(jnp.square(relative_Bx4) * weights_B.astype(relative_Bx4.dtype)[:, None], axis=0)

    variances_4 = sum_over_chunks(squares, data, chunk) / (count - 1)
    costs_E = jnp.stack([jnp.zeros_like(rise), rise]) / scale
    return relative_step(costs_E, mean_4[2:] / scale, variances_4[:2], variances_4[2:])


# ---------------------------------------------------------------------------------------------------------------------
# The Hessian's diagonal blocks.


class BlockTrace(NamedTuple):
    """The trace of a layer's block of the Hessian, in the cost's unit per parameter^2, and its standard error."""

    trace: jax.Array
    error: jax.Array


class BlockEigenvalue(NamedTuple):
    """The largest eigenvalue of a layer's block of the Hessian, in the cost's unit per parameter^2, and the residual
    that one of its eigenvalues lies within."""

    value: jax.Array
    residual: jax.Array


def _layers(params: Tree) -> dict[str, list[int]]:
    """Which leaves each layer has, as their places among all leaves of the tree, by the names of `by_layer`."""
    structure = jax.tree.structure(params)
    with jax.ensure_compile_time_eval():
        places = jax.tree.unflatten(structure, [np.int32(i) for i in range(structure.num_leaves)])
        return {name: [int(place) for place in leaves.values()] for name, leaves in by_layer(places).items()}


def _blocks(cost: Cost, params: Tree, key: jax.Array) -> Iterator[tuple[str, Cost, list[jax.Array], jax.Array]]:
    """(name, cost as a function of the layer's leaves, these leaves, key) of each layer."""
    leaves, structure = jax.tree.flatten(params)
    for number, (name, places) in enumerate(_layers(params).items()):

        def of_layer(block: list[jax.Array], batch: Tree, places: list[int] = places) -> jax.Array:
            moved = dict(zip(places, block, strict=True))
            return cost(jax.tree.unflatten(structure, [moved.get(i, leaf) for i, leaf in enumerate(leaves)]), batch)

        yield name, of_layer, [leaves[place] for place in places], jax.random.fold_in(key, number)


@measure("samples")
def block_traces(
    cost: Cost, params: Tree, data: Tree, key: jax.Array, samples: int = 32, chunk: int = CHUNK
) -> dict[str, BlockTrace]:
    """The trace of the Hessian of the mean cost in the parameters of each layer alone: {layer: BlockTrace}.

    Layers are the innermost containers of params, by the names of `nets.speed.by_layer`; over all of them the traces
    add up to that of the whole Hessian. Hutchinson's estimate (1990) with `samples` >= 2 random vectors a layer, as in
    `nets.curvature.hessian_trace`, where Cockpit takes the Hessian's diagonal; exact for a diagonal block.
    """
    check_cost(cost, params, data, chunk)
    check_whole("samples", samples, 2)
    blocks = _blocks(cost, params, key)
    return {
        name: BlockTrace(*hessian_trace(of_layer, leaves, data, key, samples, chunk))
        for name, of_layer, leaves, key in blocks
    }


@measure("steps")
def block_eigenvalues(
    cost: Cost,
    params: Tree,
    data: Tree,
    key: jax.Array,
    steps: int = 30,
    tolerance: ArrayLike = 1e-4,
    chunk: int = CHUNK,
) -> dict[str, BlockEigenvalue]:
    """The largest eigenvalue of the Hessian of the mean cost in the parameters of each layer alone, by layer.

    {layer: BlockEigenvalue} by the names of `nets.speed.by_layer`. None is above that of the whole Hessian (Cauchy's
    interlacing). At most `steps` Lanczos iterations a layer, of one product with the block each, until the residual is
    below `tolerance` times the eigenvalue, as in `nets.curvature.top_eigenvalues`; where Cockpit, which takes the whole
    Hessian, iterates powers, this finds the algebraically largest one. Memory: steps times the parameters of a layer.
    """
    check_cost(cost, params, data, chunk)
    check_whole("steps", steps, 1)
    found: dict[str, BlockEigenvalue] = {}
    for name, of_layer, leaves, layer_key in _blocks(cost, params, key):
        top = top_eigenvalues(of_layer, leaves, data, layer_key, 1, steps, tolerance, chunk)
        found[name] = BlockEigenvalue(top.values_K[0], top.residuals_K[0])
    return found
