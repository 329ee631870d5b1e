"""Activation functions with what saturation needs to know of them: their range and their asymptotes."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nets.tables import look_up


class Activation(NamedTuple):
    """A neuron's output a = function(z) of its weighted input z = w.x + b, elementwise on arrays of any shape.

    `range` is (infimum, supremum) of a; `asymptotes` is (the limit of a for z -> -inf, for z -> +inf), None where
    the output grows without bound. `max_slope` is the supremum of |da/dz| (infinite for the step).
    """

    function: Callable[[jax.Array], jax.Array]
    range: tuple[float, float]
    asymptotes: tuple[float | None, float | None]
    max_slope: float


LEAKY_SLOPE = 0.01
# The minimum of z Phi(z) lies where Phi(z) + z phi(z) = 0, at z = -0.7517915; there gelu is -0.1699712. Its largest
# slope, Phi(z) + z phi(z) at z = sqrt 2, is 1.1289042.
GELU_MINIMUM = -0.16997120747990369
GELU_MAX_SLOPE = 1.1289042
# Of gelu with tanh, of silu and of mish likewise, found numerically: they have no closed form.
GELU_TANH_MINIMUM, GELU_TANH_MAX_SLOPE = -0.17004075057125406, 1.128993068658772
SILU_MINIMUM, SILU_MAX_SLOPE = -0.27846454276107374, 1.0998393201288668
MISH_MINIMUM, MISH_MAX_SLOPE = -0.3088434130172504, 1.0884981612517277
SELU_FLOOR = -1.7580993408473768  # The limit of selu for z -> -inf, and minus its largest slope.
INF = math.inf


def step(z: jax.Array) -> jax.Array:
    """Rosenblatt's threshold: 1 where z > 0, else 0; its derivative is 0 everywhere, so nothing learns through it."""
    return jnp.where(z > 0, jnp.ones_like(z), jnp.zeros_like(z))


def gelu(z: jax.Array) -> jax.Array:
    """z Phi(z) with the exact normal distribution, as in Keras and PyTorch (Hendrycks & Gimpel 2016)."""
    return jax.nn.gelu(z, approximate=False)


def leaky_relu(z: jax.Array) -> jax.Array:
    """max(0, z) with slope 0.01 below zero (Maas, Hannun & Ng 2013)."""
    return jax.nn.leaky_relu(z, negative_slope=LEAKY_SLOPE)


def gelu_tanh(z: jax.Array) -> jax.Array:
    """gelu in the form with tanh (Hendrycks & Gimpel 2016), at most 5e-4 off z Phi(z); JAX's and Flax's default."""
    return jax.nn.gelu(z, approximate=True)


@jax.custom_jvp
def identity(z: jax.Array) -> jax.Array:
    """z itself: a linear neuron. It has a derivative of its own so that it is told from no activation at all."""
    return z


identity.defjvp(lambda primals, tangents: (primals[0], tangents[0]))


ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(jax.nn.sigmoid, (0.0, 1.0), (0.0, 1.0), 0.25),
    "tanh": Activation(jnp.tanh, (-1.0, 1.0), (-1.0, 1.0), 1.0),
    "relu": Activation(jax.nn.relu, (0.0, INF), (0.0, None), 1.0),
    "softplus": Activation(jax.nn.softplus, (0.0, INF), (0.0, None), 1.0),
    "softsign": Activation(jax.nn.soft_sign, (-1.0, 1.0), (-1.0, 1.0), 1.0),
    "leaky_relu": Activation(leaky_relu, (-INF, INF), (None, None), 1.0),
    "gelu": Activation(gelu, (GELU_MINIMUM, INF), (0.0, None), GELU_MAX_SLOPE),
    "gelu_tanh": Activation(gelu_tanh, (GELU_TANH_MINIMUM, INF), (0.0, None), GELU_TANH_MAX_SLOPE),
    "silu": Activation(jax.nn.silu, (SILU_MINIMUM, INF), (0.0, None), SILU_MAX_SLOPE),
    "mish": Activation(jax.nn.mish, (MISH_MINIMUM, INF), (0.0, None), MISH_MAX_SLOPE),
    "elu": Activation(jax.nn.elu, (-1.0, INF), (-1.0, None), 1.0),
    "selu": Activation(jax.nn.selu, (SELU_FLOOR, INF), (SELU_FLOOR, None), -SELU_FLOOR),
    "celu": Activation(jax.nn.celu, (-1.0, INF), (-1.0, None), 1.0),
    "relu6": Activation(jax.nn.relu6, (0.0, 6.0), (0.0, 6.0), 1.0),
    "hard_tanh": Activation(jax.nn.hard_tanh, (-1.0, 1.0), (-1.0, 1.0), 1.0),
    "hard_sigmoid": Activation(jax.nn.hard_sigmoid, (0.0, 1.0), (0.0, 1.0), 1 / 6),
    "hard_silu": Activation(jax.nn.hard_silu, (-0.375, INF), (0.0, None), 1.5),
    "identity": Activation(identity, (-INF, INF), (None, None), 1.0),
    "step": Activation(step, (0.0, 1.0), (0.0, 1.0), INF),
}


def get(name: str) -> Activation:
    """The activation of that name; ValueError listing the names where there is none."""
    return look_up(ACTIVATIONS, name, "activation")


def of_layers(names: str, layers: int) -> list[str]:
    """The name of each of so many layers' activation: one name for all, or one for each, separated by commas.

    ValueError for an unknown name, and for another number of names than one or that of the layers.
    """
    listed = [name.strip() for name in names.split(",")]
    for name in listed:
        get(name)
    if len(listed) not in (1, layers):
        raise ValueError(
            f"activation {names!r} has {len(listed)} names; accepted: one, or one for each of {layers} layers"
        )
    return listed * layers if len(listed) == 1 else listed


def leaky(slope: float) -> Activation:
    """leaky_relu with another slope below zero."""
    lowest = -INF if slope > 0 else 0.0
    return Activation(lambda z: jax.nn.leaky_relu(z, slope), (lowest, INF), (None, None), max(1.0, abs(slope)))


def scaled_silu(rate: float) -> Activation:
    """z sigmoid(rate z), of which silu is the one with rate 1 and one with 1.702 stands for gelu."""
    lowest = SILU_MINIMUM / rate
    return Activation(lambda z: z * jax.nn.sigmoid(rate * z), (lowest, INF), (0.0, None), SILU_MAX_SLOPE)


def exponential(name: str, alpha: float) -> Activation:
    """elu or celu with another alpha > 0: alpha (e^z - 1) or alpha (e^(z / alpha) - 1) below zero."""
    function = {"elu": jax.nn.elu, "celu": jax.nn.celu}[name]
    slope = max(1.0, alpha) if name == "elu" else 1.0
    return Activation(lambda z: function(z, alpha), (-alpha, INF), (-alpha, None), slope)


# ---------------------------------------------------------------------------------------------------------------------
# One's own.

# Under these names programs have them, as one function each, whatever it is made of.
ADDED: set[str] = set()
_GRID = np.linspace(-30.0, 30.0, 6_001, dtype=np.float32)
_FAR = np.array([10.0, 20.0, 40.0, 80.0, 1e3, 1e4, 1e6], np.float32)


def add(name: str, given: Callable[[jax.Array], jax.Array] | Activation) -> Activation:
    """Adds an activation of one's own under a name, by which networks take it and `nets.watch` finds it.

    `given` is an elementwise function, whose range, asymptotes and largest slope `measured` finds, or an `Activation`
    that says them. ValueError for a name that stands for another function, and for a function that is not elementwise.
    """
    activation = given if isinstance(given, Activation) else measured(given)
    if name in ACTIVATIONS and name not in ADDED:
        raise ValueError(f"activation {name!r} is there already; accepted: another name")

    def named(z: jax.Array) -> jax.Array:
        return activation.function(z)

    named.__name__ = named.__qualname__ = name
    ADDED.add(name)
    ACTIVATIONS[name] = activation._replace(function=jax.jit(named))
    return ACTIVATIONS[name]


def measured(function: Callable[[jax.Array], jax.Array]) -> Activation:
    """The function with range, asymptotes and largest slope read off its values from -30 to 30 and far out, to 1e6.

    There is an asymptote where the last two finite values far out are equal within a thousandth; where the last one is
    beyond twice of what is taken between -30 and 30, the range is open. ValueError where the function is not
    elementwise on floats of any shape, or not finite between -30 and 30.
    """
    with jax.ensure_compile_time_eval():
        values = jnp.asarray(function(jnp.asarray(_GRID)))
        if values.shape != _GRID.shape or not jnp.issubdtype(values.dtype, jnp.floating):
            given = f"{values.dtype}{list(values.shape)} of float32{list(_GRID.shape)}"
            raise ValueError(f"the activation gives {given}; accepted: a function of each number by itself")
        if not np.isfinite(values).all():
            raise ValueError("the activation is not finite between -30 and 30; accepted: a function that is")
        some, once = _GRID[::500].reshape(1, -1), jax.jit(function)
        apart = [float(once(z.reshape(1, 1))[0, 0]) for z in some[0]]
        if not np.allclose(np.asarray(once(some), np.float32)[0], apart, rtol=1e-5, atol=1e-6):
            raise ValueError("the activation of one number depends on others; accepted: an elementwise function")
        slopes = np.abs(jax.vmap(jax.grad(lambda z: jnp.sum(function(z))))(jnp.asarray(_GRID)))
        low, high = float(np.min(values)), float(np.max(values))
        within = 2 * max(abs(low), abs(high))
        ends: list[float | None] = []
        for sign in (-1.0, 1.0):
            far = [float(value) for value in np.asarray(function(jnp.asarray(np.float32(sign) * _FAR)))]
            far = [value for value in far if math.isfinite(value)]
            is_flat = len(far) > 1 and abs(far[-1] - far[-2]) <= 1e-3 * max(1.0, abs(far[-1]))
            ends.append(far[-1] if is_flat else None)
            reached = far[-1] if far else 0.0
            reached = reached if is_flat or abs(reached) <= within else math.copysign(INF, reached)
            low, high = min(low, reached), max(high, reached)
        return Activation(function, (low, high), (ends[0], ends[1]), float(np.nanmax(slopes)))
