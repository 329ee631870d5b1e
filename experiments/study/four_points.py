"""XOR and Jellyfish: four points each, and 2-h-1 nets that gradient descent may or may not bring to zero error on them.

B points, D = 2 inputs, H hidden units or widths, L lanes, one a net; lanes come last, where a CPU takes many at once.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nets

# The four points, the first two of which are of one class and the others of the other.
SETS = {
    "XOR": np.array([(0, 1), (1, 0), (0, 0), (1, 1)], np.float32),
    "Jellyfish": np.array([(1, 0), (0.2, 0.6), (0, 1), (0.6, 0.2)], np.float32),
}
TARGETS_B = np.array([1, 1, 0, 0], np.float32)
HIDDEN = (2, 3, 4, 5, 6, 7)
# XLA compiles a loop over arrays as small as these 50 lanes into one function, which makes a step 15 times as fast.
LANES = 50


def logits_of(weights_L: Any, x_BxD: jax.Array, mask_H: jax.Array, activation: str) -> jax.Array:
    """The output neurons' weighted inputs; units that the mask leaves out answer nothing."""
    w_DxHxL, b_HxL, v_HxL, c_L = weights_L
    z_BxHxL = jnp.sum(x_BxD[:, :, None, None] * w_DxHxL[None], axis=1) + b_HxL[None]
    a_BxHxL = nets.activations.get(activation).function(z_BxHxL) * mask_H[None, :, None]
    return jnp.sum(a_BxHxL * v_HxL[None], axis=1) + c_L[None, :]


@functools.partial(jax.jit, static_argnames=("activation", "steps"))
def reaches_zero_error(
    weights_L: Any, x_BxD: jax.Array, mask_H: jax.Array, rate: jax.Array, activation: str, steps: int
) -> jax.Array:
    """Which nets have every example on its right side after full-batch gradient descent of the cross-entropy, [L]."""
    targets_BxL = jnp.broadcast_to(TARGETS_B[:, None], (len(TARGETS_B), weights_L[-1].shape[0]))
    per_example = nets.costs.get("cross_entropy", "sigmoid").per_example

    def summed(weights_L: Any) -> jax.Array:
        """Over the lanes, so that its gradient holds that of each lane's mean cost."""
        z_BxL = logits_of(weights_L, x_BxD, mask_H, activation)
        return jnp.sum(per_example(z_BxL[:, :, None], targets_BxL[:, :, None])) / len(TARGETS_B)

    def step(weights_L: Any, _) -> tuple[Any, None]:
        gradient = jax.grad(summed)(weights_L)
        return jax.tree.map(lambda value, slope: value - rate * slope, weights_L, gradient), None

    weights_L, _ = jax.lax.scan(step, weights_L, length=steps)
    right_BxL = (logits_of(weights_L, x_BxD, mask_H, activation) > 0) == (targets_BxL > 0.5)
    return jnp.all(right_BxL, axis=0)


def draw_nets(hidden: int, count: int, seed: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Glorot's normal weights of that many 2-h-1 nets as lanes, and the mask of their units among the widest net's."""
    # With one input, LeCun's has the variance 1: the widest net's shape for all, as each shape would compile anew.
    unit, most = nets.mlp.KERNEL_INITS["lecun_normal"], HIDDEN[-1]
    draws: Any = np.asarray(unit(jax.random.key(seed + hidden), (1, 3 * most * count))).reshape(3, most, count)
    w_DxHxL, v_HxL = draws[:2] * np.float32(2 / (2 + hidden)) ** 0.5, draws[2] * np.float32(2 / (hidden + 1)) ** 0.5
    zeros_HxL = np.zeros((most, count), np.float32)
    return (w_DxHxL, zeros_HxL, v_HxL, zeros_HxL[0]), np.asarray(np.arange(most) < hidden, np.float32)


def success(points: str, activation: str, rate: float, count: int, steps: int, seed: int = 0) -> np.ndarray:
    """Whether each of that many nets of each width reaches zero error, [H, L]."""

    def of_width(hidden: int) -> np.ndarray:
        weights_L, mask_H = draw_nets(hidden, count, seed)
        numbers = SETS[points], mask_H, np.float32(rate)
        parts = [[leaf[..., i : i + LANES] for leaf in weights_L] for i in range(0, count, LANES)]
        return np.concatenate([reaches_zero_error(part, *numbers, activation, steps) for part in parts])

    return np.array([of_width(hidden) for hidden in HIDDEN])
