"""What its slopes leave of a hidden layer's curvature: bounds on the largest eigenvalue of its Gauss-Newton block.

B examples, D inputs of the layer, H units, C logits.

A layer z = x W + b, a = f(z) with logits a V + c, the last ones, has the logits' derivatives x_d f'(z_j) v_j by W_dj,
with v_j the C weights that go out of unit j. With K the cost's Hessian in the logits, the Gauss-Newton block of W is

    G = E[(x x^T) (x) (F V K V^T F)],    F = diag f'(z),    the mean over the examples of the mean cost,

and since the largest eigenvalue of a mean is at most the mean of the largest ones,

    lambda(G) <= E[|K| |x|^2 sum_j |v_j|^2 f'(z_j)^2]                                     `trace`

where |K| is K's largest eigenvalue; taken out of the mean, it is the largest of all examples. The bound counts all
outputs, units and inputs as if they were in line. Less is lost with k = lambda(K^1/2 V^T F^2 V K^1/2), example by
example:

    lambda(G) <= lambda(E[k x x^T])                     `inputs`: with equality where no slope depends on the example
    lambda(G) <= lambda(E[|x|^2 F V K V^T F])           `units`: with equality where all inputs are alike

Both are at most `trace`. The biases of the layer join its block as the weights of an input that is 1, which adds 1 to
|x|^2. So saturation lowers the block's curvature with the mean *square* of the slope, and raises the rate at which
plain descent on that layer stays stable, 2 / lambda, to 2 / bound or more. For layers further down V is to be read as
the derivative of the logits by the layer's outputs, which then depends on the example: `outgoing` may be [B, H, C].

    slopes_BxH = nets.saturation.slopes(z_BxH, "tanh")
    bounds = nets.slope_bounds.hidden_bounds(slopes_BxH, outgoing_HxC, inputs_BxD, hessians_BxCxC)
    2 / bounds.least                                                    # a rate at which the hidden layer is stable
    nets.slope_bounds.layer_eigenvalues(slopes_BxH, a_BxH, outgoing_HxC, inputs_BxD, hessians_BxCxC, key).hidden
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nets.curvature import top_eigenvalues


class SlopeBounds(NamedTuple):
    """Upper bounds on the largest eigenvalue of the layer's Gauss-Newton block, in the cost's unit per weight^2."""

    trace: jax.Array
    inputs: jax.Array
    units: jax.Array

    @property
    def least(self) -> jax.Array:
        """The tightest of them."""
        return jnp.minimum(self.trace, jnp.minimum(self.inputs, self.units))


def _largest(matrix: jax.Array) -> jax.Array:
    """The largest eigenvalue of symmetric matrices [..., N, N], of nonnegative ones: never below zero."""
    return jnp.maximum(jnp.linalg.eigvalsh(matrix)[..., -1], 0)


def _root(matrix_BxCxC: jax.Array) -> jax.Array:
    """The symmetric square roots of matrices without negative eigenvalues."""
    values_BxC, vectors_BxCxC = jnp.linalg.eigh(matrix_BxCxC)
    root_Bx1xC = jnp.sqrt(jnp.maximum(values_BxC, 0))[:, None, :]
    return jnp.einsum("bij,bkj->bik", vectors_BxCxC * root_Bx1xC, vectors_BxCxC, precision="highest")


def hidden_bounds(
    slopes_BxH: jax.Array,
    outgoing: jax.Array,
    inputs_BxD: jax.Array,
    hessians_BxCxC: jax.Array,
    bias: bool = True,
) -> SlopeBounds:
    """Bounds from a layer's slopes f'(z) [B, H] (`nets.saturation.slopes`), its outgoing weights [H, C] or [B, H, C],
    its inputs [B, D] and the Hessians of each example's cost in its logits [B, C, C], which must have no negative
    eigenvalue (those of the quadratic cost of identity outputs, 2 / C, and of the cross-entropy have none).

    `bias` counts the layer's biases to its block. Works under jit and vmap. ValueError where shapes do not fit.
    """
    examples, units = slopes_BxH.shape
    classes = outgoing.shape[-1]
    shapes = {
        "outgoing": (outgoing.shape[-2:], (units, classes)),
        "inputs_BxD": (inputs_BxD.shape[:1], (examples,)),
        "hessians_BxCxC": (hessians_BxCxC.shape, (examples, classes, classes)),
    }
    for name, (given, fitting) in shapes.items():
        if given != fitting:
            raise ValueError(f"{name} has {given} where slopes are {slopes_BxH.shape}; accepted: {fitting}")
    if outgoing.ndim == 3 and len(outgoing) != examples:
        raise ValueError(f"outgoing has {len(outgoing)} examples where slopes have {examples}; accepted: as many")
    outgoing_BxHxC = slopes_BxH[:, :, None] * jnp.broadcast_to(outgoing, (examples, units, classes))
    square_B = jnp.sum(inputs_BxD**2, axis=1) + bias
    half_BxHxC = jnp.einsum("bhc,bcd->bhd", outgoing_BxHxC, _root(hessians_BxCxC), precision="highest")
    of_logits_BxCxC = jnp.einsum("bhc,bhd->bcd", half_BxHxC, half_BxHxC, precision="highest")
    trace = jnp.mean(_largest(hessians_BxCxC) * jnp.sum(outgoing_BxHxC**2, axis=(1, 2)) * square_B)
    # The matrix of the examples has the eigenvalues of the matrix of the inputs, and is smaller for images.
    gram_BxB = jnp.matmul(inputs_BxD, inputs_BxD.T, precision="highest") + bias
    root_B = jnp.sqrt(_largest(of_logits_BxCxC) / examples)
    inputs = _largest(root_B[:, None] * gram_BxB * root_B[None, :])
    weighted_BxHxC = half_BxHxC * jnp.sqrt(square_B / examples)[:, None, None]
    of_units_HxH = jnp.einsum("bhc,bic->hi", weighted_BxHxC, weighted_BxHxC, precision="highest")
    return SlopeBounds(trace, inputs, _largest(of_units_HxH))


def linear_share(inputs_BxD: np.ndarray, units: int, classes: int) -> float:
    """About the eigenvalue by `trace` of a layer whose slopes are all alike (kernel and bias), with Gaussian outgoing
    weights and the quadratic cost: what the first principal direction has of the inputs, times the edge of Marchenko &
    Pastur's law, (H^-1/2 + C^-1/2)^2, which a layer of few units stays a little below."""
    inputs_BxD = np.asarray(inputs_BxD, np.float64)
    gram_BxB = inputs_BxD @ inputs_BxD.T + 1
    return float(np.linalg.eigvalsh(gram_BxB)[-1] / np.trace(gram_BxB) * (units**-0.5 + classes**-0.5) ** 2)


class LayerEigenvalues(NamedTuple):
    """The largest eigenvalue of the Gauss-Newton matrix of a net of one hidden layer: of the hidden layer's block, of
    the output layer's and of the whole; `residuals_3` are Lanczos's, an eigenvalue being within that of each."""

    hidden: jax.Array
    output: jax.Array
    whole: jax.Array
    residuals_3: jax.Array


def _second_order_cost(params: Any, batch: Any) -> jax.Array:
    """A cost whose Hessian is the Gauss-Newton matrix: what a change of the logits costs to second order, with the
    change that the layers make to first order, x W F V and a V, of which each counts as its share says."""
    x_BxD, outgoing_BxHxC, a_BxH, hessian_BxCxC, share_Bx2 = batch
    dz_BxH = x_BxD @ params["hidden"]["kernel"] + params["hidden"]["bias"][None]
    by_hidden_BxC = jnp.einsum("bh,bhc->bc", dz_BxH, outgoing_BxHxC)
    by_output_BxC = a_BxH @ params["output"]["kernel"] + params["output"]["bias"][None]
    do_BxC = share_Bx2[:, :1] * by_hidden_BxC + share_Bx2[:, 1:] * by_output_BxC
    return jnp.einsum("bc,bcd,bd->b", do_BxC, hessian_BxCxC, do_BxC) / 2


def layer_eigenvalues(
    slopes_BxH: jax.Array,
    a_BxH: jax.Array,
    outgoing_HxC: jax.Array,
    inputs_BxD: jax.Array,
    hessians_BxCxC: jax.Array,
    key: jax.Array,
    steps: int = 40,
    tolerance: float = 1e-5,
) -> LayerEigenvalues:
    """What `hidden_bounds` bounds (kernel and bias), and the rest of the net, by `nets.curvature.top_eigenvalues` with
    at most so many steps; `a_BxH` are the layer's outputs. Under jit and `lax.map`; under vmap all lanes take as many
    iterations as the slowest."""
    shapes = {"hidden": (inputs_BxD.shape[1], a_BxH.shape[1]), "output": outgoing_HxC.shape}
    params = {name: {"kernel": jnp.zeros(shape), "bias": jnp.zeros(shape[1])} for name, shape in shapes.items()}
    outgoing_BxHxC = slopes_BxH[:, :, None] * outgoing_HxC[None]

    def top(share_2: jax.Array) -> tuple[jax.Array, jax.Array]:
        share_Bx2 = jnp.broadcast_to(share_2[None], (len(inputs_BxD), 2))
        data = (inputs_BxD, outgoing_BxHxC, a_BxH, hessians_BxCxC, share_Bx2)
        found = top_eigenvalues(_second_order_cost, params, data, key, k=1, steps=steps, tolerance=tolerance)
        return found.values_K[0], found.residuals_K[0]

    values_3, residuals_3 = jax.lax.map(top, jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    return LayerEigenvalues(values_3[0], values_3[1], values_3[2], residuals_3)
