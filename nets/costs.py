"""Per-example costs of a batch of logits, and the output neurons they are computed through.

B batch, C classes (output neurons). A cost is a pure function of logits_BxC and targets_BxC (one-hot labels, or any
numbers in [0, 1]) and returns cost_B. All of them, and their gradients, are finite at |logit| = 1e4 in float32.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nets.tables import look_up

OUTPUTS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "softmax": jax.nn.softmax,
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda logits_BxC: logits_BxC,
}


def quadratic(logits_BxC: jax.Array, targets_BxC: jax.Array, output: str = "softmax") -> jax.Array:
    """Mean over the C outputs of (y - a)^2, a = output(logits): Keras's mean_squared_error.

    Shapes: [B, C], [B, C] -> [B]. A uniform guess over 10 classes costs exactly 0.09. Nielsen's C = 1/2 sum (y - a)^2
    (Neural Networks and Deep Learning, eq. 6) is C/2 times this. Raises ValueError for an unknown output.
    """
    a_BxC = look_up(OUTPUTS, output, "output")(logits_BxC)
    return jnp.mean(jnp.square(targets_BxC - a_BxC), axis=-1)


def cross_entropy(logits_BxC: jax.Array, targets_BxC: jax.Array, output: str = "softmax") -> jax.Array:
    """Cross-entropy in nats, computed from the logits.

    Shapes: [B, C], [B, C] -> [B]. With softmax -sum_c y_c ln a_c; with sigmoid the sum over outputs of the binary
    -y ln a - (1 - y) ln(1 - a) (Nielsen, eq. 63). Raises ValueError for the identity output, whose values are no
    probabilities, and for an unknown output.
    """
    look_up(OUTPUTS, output, "output")
    if output == "softmax":
        return optax.softmax_cross_entropy(logits_BxC, targets_BxC)
    if output == "sigmoid":
        return jnp.sum(optax.sigmoid_binary_cross_entropy(logits_BxC, targets_BxC), axis=-1)
    raise ValueError(
        "cost 'cross_entropy' needs outputs in (0, 1), which output 'identity' does not give; "
        "accepted with it: softmax, sigmoid"
    )


COSTS: dict[str, Callable[..., jax.Array]] = {
    "quadratic": quadratic,
    "cross_entropy": cross_entropy,
}


class Cost(NamedTuple):
    """A cost together with its output neuron: `per_example(logits_BxC, targets_BxC) -> cost_B` and
    `output(logits_BxC) -> a_BxC`."""

    per_example: Callable[[jax.Array, jax.Array], jax.Array]
    output: Callable[[jax.Array], jax.Array]


@functools.cache
def get(cost: str, output: str) -> Cost:
    """The pair of a cost and an output neuron; ValueError for an unknown name or a pair that makes no sense."""
    function = look_up(COSTS, cost, "cost")
    neuron = look_up(OUTPUTS, output, "output")
    # Tracing the shapes alone lets an impossible pair refuse itself here rather than in the middle of a run.
    jax.eval_shape(lambda z: function(z, z, output), jax.ShapeDtypeStruct((1, 2), jnp.float32))
    return Cost(lambda logits_BxC, targets_BxC: function(logits_BxC, targets_BxC, output), neuron)


def correct(logits_BxC: jax.Array, labels_B: jax.Array) -> jax.Array:
    """Whether the largest logit is the label's, the first one where several are equal: [B, C], [B] -> bool [B].

    It is `argmax(logits) == labels` without the argmax, which XLA turns into a slow scalar loop on a CPU. A NaN
    logit makes its example wrong.
    """
    label_z_Bx1 = jnp.take_along_axis(logits_BxC, labels_B[:, None], axis=-1)
    class_1xC = jnp.arange(logits_BxC.shape[-1])[None, :]
    loses_BxC = (logits_BxC < label_z_Bx1) | ((logits_BxC == label_z_Bx1) & (class_1xC >= labels_B[:, None]))
    return jnp.all(loses_BxC, axis=-1)
