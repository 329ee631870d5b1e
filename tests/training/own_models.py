"""Networks as users write them, each a file of its own, and configs that name them."""

from configs import shallow

# What Plateau's own network is, written in Flax Linen as anybody would.
LINEN = """
from typing import Callable
import jax
from flax import linen as nn


class Net(nn.Module):
    classes: int
    activation: Callable = nn.relu
    units: int = 8

    @nn.compact
    def __call__(self, x):
        init = nn.initializers.glorot_uniform()
        x = self.activation(nn.Dense(self.units, kernel_init=init, precision="highest", name="hidden_0")(x))
        return nn.Dense(self.classes, kernel_init=init, precision="highest", name="output")(x)


made = Net(classes=10)


def give(hidden, classes):
    return Net(classes=classes, units=hidden[0])
"""

NORMALIZED = """
from flax import linen as nn


class Net(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.relu(nn.Dense(8)(x)))
        x = nn.Dropout(0.3, deterministic=not train)(x)
        return nn.Dense(self.classes)(x)


class Masked(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, train, mask):
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.9)
        x = norm(nn.relu(nn.Dense(8)(x)), mask=None if mask is None else mask[:, None])
        return nn.Dense(self.classes)(x)
"""

NNX = """
from flax import nnx


class Net(nnx.Module):
    def __init__(self, inputs, classes, activation=nnx.relu, *, rngs):
        self.hidden = nnx.List([nnx.Linear(inputs, 8, rngs=rngs)])
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.output = nnx.Linear(8, classes, rngs=rngs)
        self.activation = activation

    def __call__(self, x):
        for layer in self.hidden:
            x = self.activation(layer(x))
        return self.output(self.dropout(self.norm(x)))
"""

PAIR = """
import jax
import jax.numpy as jnp


def init(key, x):
    first, last = jax.random.split(key)
    return [(0.1 * jax.random.normal(first, (x.shape[1], 8)), jnp.zeros(8)), 0.1 * jax.random.normal(last, (8, 10))]


def apply(params, x):
    (w, b), v = params
    return jnp.tanh(x @ w + b[None]) @ v


net = init, apply


class Both:
    init = staticmethod(init)

    @staticmethod
    def apply(params, key, x, train):
        keep = jax.random.bernoulli(key, 0.5, (1, 8)) if train else 0.5
        (w, b), v = params
        return (keep * jnp.tanh(x @ w + b[None])) @ v
"""

HAIKU = """
import haiku as hk
import jax

net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 10], activation=jax.numpy.tanh)(x)))
"""

EQUINOX = """
import equinox as eqx
import jax


def net(inputs, classes):
    def init(key, x):
        return eqx.filter(eqx.nn.MLP(inputs, classes, 8, 1, key=key), eqx.is_array)

    static = eqx.filter(eqx.nn.MLP(inputs, classes, 8, 1, key=jax.random.key(0)), eqx.is_array, inverse=True)
    return init, lambda params, x: jax.vmap(eqx.combine(params, static))(x)
"""

CONVOLUTIONS = """
from flax import linen as nn


class Net(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.max_pool(nn.relu(nn.Conv(4, (3, 3), strides=2)(x)), (2, 2), strides=(2, 2))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.tanh(nn.Conv(6, (3, 3))(x)))
        x = nn.Dropout(0.3, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(self.classes)(x)
"""


def own_config(folder, text, name, **changes):
    """A small run on the synthetic data of the network of that name in a file with this text."""
    file = folder / "mine.py"
    file.write_text(text)
    config = shallow.get_config()
    config.model, config.dataset, config.epochs = f"{file}:{name}", "synthetic", 3
    config.batch_size, config.learning_rate, config.cost = 100, 0.05, "cross_entropy"
    config.checkpoint_every = 2
    config.update(changes)
    return config


KINDS = {
    "linen": (LINEN, "Net"),
    "made": (LINEN, "made"),
    "normalized": (NORMALIZED, "Net"),
    "masked": (NORMALIZED, "Masked"),
    "nnx": (NNX, "Net"),
    "pair": (PAIR, "net"),
    "object": (PAIR, "Both"),
    "haiku": (HAIKU, "net"),
    "equinox": (EQUINOX, "net"),
    "convolutions": (CONVOLUTIONS, "Net"),
}


def own(folder, kind, **changes):
    """Likewise of a kind, in a folder of the kind's own."""
    text, name = KINDS[kind]
    folder = folder / kind
    folder.mkdir(exist_ok=True)
    if kind == "convolutions":
        changes = {"input_shape": (28, 28, 1)} | changes
    return own_config(folder, text, name, **changes)
