"""Networks of other frameworks, each of two hidden layers with an activation of its own: `forward, params, names`."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
from flax import linen, nnx
from jax import nn

D, H = 3, 4
KEY = jax.random.key(0)
B = 6
X_BxD = jax.random.normal(jax.random.key(1), (B, D))
PAIRS = {
    "tanh, relu": (jnp.tanh, nn.relu, ("tanh", "relu")),
    "sigmoid, gelu": (nn.sigmoid, nn.gelu, ("sigmoid", "gelu_tanh")),
    "exact gelu, silu": (lambda z: nn.gelu(z, approximate=False), nn.silu, ("gelu", "silu")),
    "softplus, elu": (nn.softplus, nn.elu, ("softplus", "elu")),
    "selu, leaky_relu": (nn.selu, lambda z: nn.leaky_relu(z, 0.2), ("selu", "leaky_relu")),
    "relu6, hard_tanh": (nn.relu6, nn.hard_tanh, ("relu6", "hard_tanh")),
    "softsign, softmax": (nn.soft_sign, nn.softmax, ("softsign", "softmax")),
    "written by hand": (lambda z: jnp.maximum(z, 0), lambda z: z / (1 + jnp.exp(-z)), ("relu", "silu")),
}


def of_linen(first, second):
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x_BxD):
            a_BxH = first(linen.Dense(H)(x_BxD))
            a_BxH = second(linen.Dense(H)(a_BxH))
            return linen.Dense(2)(a_BxH)

    net = Net()
    params = jax.eval_shape(net.init, KEY, jnp.zeros((1, D)))
    return net.apply, params, ["Dense_0", "Dense_1", "Dense_2"]


def of_nnx(first, second):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(D, H, rngs=rngs), nnx.Linear(H, H, rngs=rngs)])
            self.head = nnx.Linear(H, 2, rngs=rngs)

        def __call__(self, x_BxD):
            return self.head(second(self.layers[1](first(self.layers[0](x_BxD)))))

    graph, state = nnx.split(Net(nnx.Rngs(0)))
    return lambda state, x_BxD: nnx.merge(graph, state)(x_BxD), state, ["layers/0", "layers/1", "head"]


def of_equinox(first, second):
    keys = jax.random.split(KEY, 3)
    sizes = ((D, H), (H, H), (H, 2))
    linear = [eqx.nn.Linear(*size, key=key) for size, key in zip(sizes, keys, strict=True)]
    parts = [linear[0], eqx.nn.Lambda(first), linear[1], eqx.nn.Lambda(second), linear[2]]
    return lambda net, x_BxD: jax.vmap(net)(x_BxD), eqx.nn.Sequential(parts), ["layers/0", "layers/2", "layers/4"]


def of_haiku(first, second):
    def forward(x_BxD):
        return hk.Sequential([hk.Linear(H), first, hk.Linear(H), second, hk.Linear(2)])(x_BxD)

    net = hk.without_apply_rng(hk.transform(forward))
    return net.apply, jax.eval_shape(net.init, KEY, jnp.zeros((1, D))), ["linear", "linear_1", "linear_2"]


def of_plain_jax(first, second):
    keys = jax.random.split(KEY, 3)
    sizes = ((D, H), (H, H), (H, 2))
    params = [(jax.random.normal(key, size), jnp.ones(size[1])) for key, size in zip(keys, sizes, strict=True)]

    def forward(params, x_BxD):
        (w, b), (v, c), (u, d) = params
        return second(first(x_BxD @ w + b[None]) @ v + c[None]) @ u + d[None]

    return forward, params, ["0", "1", "2"]


FRAMEWORKS = {
    "Linen": of_linen,
    "NNX": of_nnx,
    "Equinox": of_equinox,
    "Haiku": of_haiku,
    "JAX": of_plain_jax,
}
