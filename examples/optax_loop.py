"""A jitted loop of Optax's own, measured every 10 steps within it: `python -m examples.optax_loop`."""

import jax
import jax.numpy as jnp
import optax

import input_pipeline
import nets

mnist = input_pipeline.load("mnist")
images, labels = jnp.asarray(mnist.images[:4000].reshape(-1, 784) / 255), jnp.asarray(mnist.labels[:4000])
init = jax.nn.initializers.glorot_uniform()
keys = jax.random.split(jax.random.key(0), 2)
params, optimizer = {"hidden": init(keys[0], (784, 64)), "head": init(keys[1], (64, 10))}, optax.sgd(0.5)


def cost(params, batch):
    logits = jax.nn.sigmoid(batch[0] @ params["hidden"]) @ params["head"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1])


watched = nets.watch(cost)


@jax.jit
def train(params, state):
    def step(carry, number):
        params, state = carry
        rows = (100 * number + jnp.arange(100)) % 4000
        gradient = jax.grad(lambda params: cost(params, (images[rows], labels[rows])).mean())(params)
        updates, state = optimizer.update(gradient, state)
        measured = nets.every(10, lambda: watched.measure(cost, params, (images[:500], labels[:500])), number)
        return (optax.apply_updates(params, updates), state), measured

    return jax.lax.scan(step, (params, state), jnp.arange(100))


_, measured = train(params, optimizer.init(params))
for name, values in measured.items():
    print(name, values[::10])
