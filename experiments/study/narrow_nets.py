"""The narrow ReLU nets of Lu et al. (2019) that learn |x|: they are drawn, and trained as lanes.

L nets, G places at which outputs are looked at, D = 1 input, B examples of a batch, H units of the last hidden layer.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

import nets

# Inputs lie in [-EDGE, EDGE], POINTS of them for each net; one is constant whose outputs have that standard deviation.
EDGE, POINTS, FLAT = 3**0.5, 3_000, 1e-2
# What the nets are trained by, and what else is tried where the published share is missed.
ADAM = "Adam at .001"
OPTIMIZERS = {ADAM: optax.adam(1e-3), "Adam at .0001": optax.adam(1e-4), "SGD at .01": optax.sgd(1e-2)}


def net_of(width: int, hidden: int) -> nets.MLP:
    """The net with so many hidden layers and a linear output."""
    return nets.MLP(hidden=(width,) * hidden, classes=1, activation="relu", output="identity", kernel_init="he_normal")


@functools.partial(jax.jit, static_argnames=("width", "hidden"))
def draw_nets(keys: jax.Array, width: int, hidden: int, x_GxD: jax.Array) -> tuple[Any, jax.Array]:
    """A net a key, and its outputs at those x, [L, G]."""
    net = net_of(width, hidden)

    def one_net(key: jax.Array) -> tuple[Any, jax.Array]:
        variables: Any = net.init(key, x_GxD[:1])
        return variables["params"], net.apply(variables, x_GxD)[0][:, 0]

    return jax.vmap(one_net)(keys)


@functools.partial(jax.jit, static_argnames=("width", "hidden", "batch", "steps", "optimizer"))
def train_nets(
    params_L: Any,
    keys: jax.Array,
    x_GxD: jax.Array,
    *,
    width: int,
    hidden: int,
    batch: int,
    steps: int,
    optimizer: str = ADAM,
) -> jax.Array:
    """Trains the nets on |x|, each on points and batches of its own key; their outputs at those x, [L, G]."""
    net, descent = net_of(width, hidden), OPTIMIZERS[optimizer]
    cost = nets.costs.get("quadratic", "identity").per_example

    def outputs(params: Any, x_BxD: jax.Array) -> jax.Array:
        return net.apply({"params": params}, x_BxD)[0]

    def one_net(params: Any, key: jax.Array) -> jax.Array:
        data_key, batch_key = jax.random.split(key)
        x_NxD = jax.random.uniform(data_key, (POINTS, 1), minval=-EDGE, maxval=EDGE)

        def step(state: tuple[Any, Any], key: jax.Array) -> tuple[tuple[Any, Any], None]:
            params, opt_state = state
            x_BxD = x_NxD[jax.random.randint(key, (batch,), 0, POINTS)]
            gradient = jax.grad(lambda params: jnp.mean(cost(outputs(params, x_BxD), jnp.abs(x_BxD))))(params)
            updates, opt_state = descent.update(gradient, opt_state)
            return (optax.apply_updates(params, updates), opt_state), None

        start = params, descent.init(params)
        (params, _), _ = jax.lax.scan(step, start, jax.random.split(batch_key, steps))
        return outputs(params, x_GxD)[:, 0]

    return jax.vmap(one_net)(params_L, keys)


@functools.partial(jax.jit, static_argnames=("width", "hidden"))
def living_outgoing(params_L: Any, width: int, hidden: int, x_GxD: jax.Array) -> jax.Array:
    """The outgoing weights of the last hidden layer, 0 where a unit is silent at all of those x, [L, H]."""

    def one_net(params: Any) -> jax.Array:
        applied: Any = net_of(width, hidden).apply({"params": params}, x_GxD)
        fires_H = jnp.any(applied[1][f"hidden_{hidden - 1}/a"] > 0, axis=0)
        return jnp.where(fires_H, params["output"]["kernel"][:, 0], 0.0)

    return jax.vmap(one_net)(params_L)
