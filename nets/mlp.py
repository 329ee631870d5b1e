"""A multilayer perceptron of any depth as a Flax Linen module, and the initializers of the literature.

B batch, D inputs, H hidden units, C classes. Flax kernels are [in, out].
"""

from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn import initializers
from jax.typing import DTypeLike

from nets import activations, costs
from nets.tables import look_up

Initializer = Callable[..., jax.Array]


def _uniform_one_over_sqrt_fan_in(
    key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32, out_sharding: object = None
) -> jax.Array:
    """U[-1/sqrt n, 1/sqrt n] with n inputs: the 'standard' initialization that Glorot & Bengio (2010) argue against."""
    del out_sharding
    bound = shape[0] ** -0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


KERNEL_INITS: dict[str, Initializer] = {
    # Glorot & Bengio (2010), variance 2 / (n_in + n_out); the uniform one is Keras's default.
    "glorot_uniform": initializers.glorot_uniform(),
    "glorot_normal": initializers.glorot_normal(),
    # He et al. (2015), variance 2 / n_in. Normal ones are truncated at 2 sigma, as in Keras.
    "he": initializers.he_normal(),
    "he_normal": initializers.he_normal(),
    "he_uniform": initializers.he_uniform(),
    # LeCun et al. (1998), variance 1 / n_in.
    "lecun": initializers.lecun_normal(),
    "lecun_normal": initializers.lecun_normal(),
    "lecun_uniform": initializers.lecun_uniform(),
    # Nielsen (2015), chapter 1: N(0, 1), saturates hidden neurons; chapter 3: N(0, 1 / n_in).
    "nielsen_large": initializers.normal(1.0),
    "nielsen_small": initializers.variance_scaling(1.0, "fan_in", "normal"),
    "glorot_standard": _uniform_one_over_sqrt_fan_in,
}

BIAS_INITS: dict[str, Initializer] = {
    "zeros": initializers.zeros,
    # Nielsen draws every bias from N(0, 1), with his large and with his small weights.
    "normal": initializers.normal(1.0),
}

# As in Keras: what the running statistics of batch normalization keep of themselves in a step, and what is added to a
# variance.
BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON = 0.99, 1e-3


def hidden_layers(named: Iterable[str]) -> list[str]:
    """The names of the hidden layers among those of a network's values, from the first one."""
    return [name.removesuffix("/a") for name in named if name.endswith("/a") and name != "output/a"]


class MLP(nn.Module):
    """Dense layers with an activation, and an output layer: `apply(variables, images_BxD) -> (logits_BxC, named)`.

    `named` holds every layer's weighted input z = x W + b and output a, both [B, units], under the flat names
    `hidden_0/z`, `hidden_0/a`, ..., `output/z`, `output/a`; what is not used costs nothing under jit. Parameters are
    `hidden_0`, ..., `output`, each with `kernel` [in, out] and `bias` [out].

    With `batch_norm` each hidden activation is followed by batch normalization (Ioffe & Szegedy 2015; momentum .99 and
    epsilon 1e-3 as in Keras), whose running statistics are the collection `batch_stats`. `dropout` is the rate at which
    inputs of the output layer are dropped while training (rng collection `dropout`). `mask_B` marks the examples that
    count in the batch statistics. `activation` is one name, or one for each hidden layer, as `tanh,relu`. An empty
    `hidden` is a single layer of output neurons. Unknown names raise ValueError on `init` and `apply`.
    """

    hidden: Sequence[int] = (64,)
    classes: int = 10
    activation: str = "sigmoid"
    output: str = "softmax"
    kernel_init: str = "glorot_uniform"
    bias_init: str = "zeros"
    batch_norm: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x_BxD: jax.Array, *, train: bool = False, mask_B: jax.Array | None = None):
        of_layers = activations.of_layers(self.activation, len(self.hidden))
        output = look_up(costs.OUTPUTS, self.output, "output")
        named = {}
        for i, units in enumerate(self.hidden):
            z_BxH = self._dense(units, f"hidden_{i}")(x_BxD)
            a_BxH = activations.get(of_layers[i]).function(z_BxH)
            named |= {f"hidden_{i}/z": z_BxH, f"hidden_{i}/a": a_BxH}
            x_BxD = a_BxH
            if self.batch_norm:
                norm = nn.BatchNorm(
                    use_running_average=not train,
                    momentum=BATCH_NORM_MOMENTUM,
                    epsilon=BATCH_NORM_EPSILON,
                    name=f"batch_norm_{i}",
                )
                x_BxD = norm(x_BxD, mask=None if mask_B is None else mask_B[:, None])
        if self.dropout > 0:
            x_BxD = nn.Dropout(self.dropout, deterministic=not train)(x_BxD)
        logits_BxC = self._dense(self.classes, "output")(x_BxD)
        named |= {"output/z": logits_BxC, "output/a": output(logits_BxC)}
        return logits_BxC, named

    def _dense(self, units: int, name: str) -> nn.Dense:
        """A dense layer; full float32 products, where GPUs and TPUs would round to TensorFloat-32 or bfloat16."""
        return nn.Dense(
            units,
            kernel_init=look_up(KERNEL_INITS, self.kernel_init, "kernel_init"),
            bias_init=look_up(BIAS_INITS, self.bias_init, "bias_init"),
            precision=jax.lax.Precision.HIGHEST,
            name=name,
        )
