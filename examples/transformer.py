"""A transformer of scanned blocks in plain JAX that guesses a text's next letter: `python -m examples.transformer`."""

from pathlib import Path

import jax
import jax.numpy as jnp
import optax

import nets

WIDTH, HEADS, BLOCKS, LENGTH = 32, 4, 3, 16
BLOCK = {"qkv": (WIDTH, 3, HEADS, WIDTH // HEADS), "out": (WIDTH, WIDTH), "up": (WIDTH, 99), "down": (99, WIDTH)}
text = (Path(__file__).parents[1] / "LICENSE").read_bytes()[: 40 * (LENGTH + 1)]
tokens = jnp.asarray(list(text)).reshape(-1, LENGTH + 1) % 128
normal = jax.nn.initializers.normal(0.1)
keys = iter(jax.random.split(jax.random.key(0), len(BLOCK) + 2))
params = {
    "embed": normal(next(keys), (128, WIDTH)),
    "block": {name: normal(next(keys), (BLOCKS, *shape)) for name, shape in BLOCK.items()},
    "head": normal(next(keys), (WIDTH, 128)),
}


def block(x, p):
    q, k, v = jnp.moveaxis(jnp.einsum("btd,dchw->btchw", jax.nn.standardize(x), p["qkv"]), 2, 0)
    scores = jnp.einsum("bqhw,bkhw->bhqk", q, k) / (WIDTH // HEADS) ** 0.5
    shares = jax.nn.softmax(jnp.where(jnp.tri(x.shape[1], dtype=bool)[None, None], scores, -jnp.inf))
    x = x + jnp.einsum("bhqk,bkhw->bqhw", shares, v).reshape(x.shape) @ p["out"]
    return x + jax.nn.gelu(jax.nn.standardize(x) @ p["up"]) @ p["down"], None


def cost(params, tokens):
    x, _ = jax.lax.scan(block, params["embed"][tokens[:, :-1]], params["block"])
    return optax.softmax_cross_entropy_with_integer_labels(x @ params["head"], tokens[:, 1:]).mean(-1)


watched = nets.watch(cost)
print(watched.layers(params, tokens))
print(watched.measure(cost, params, tokens, ("saturation", "speed", "curvature", "noise")))
