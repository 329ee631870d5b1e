"""The guide in the docstring of `nets` runs as it stands."""

import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax

import nets


def test_the_guide_runs(capsys):
    """Both examples, word by word; the second prints what numpy finds for the same model."""
    random = np.random.default_rng(0)
    images_BxD, labels_B = random.random((20, 5), np.float32), random.integers(0, 10, 20)
    params = {
        "first": {"w": jnp.float32(random.normal(size=(5, 4))), "bias": jnp.zeros(4)},
        "second": {"w": jnp.float32(random.normal(size=(4, 10))), "bias": jnp.zeros(10)},
    }
    # Flax and plain JAX add biases by broadcasting.
    with jax.numpy_rank_promotion("allow"):
        names = {"jax": jax, "jnp": jnp, "optax": optax, "nets": nets, "params": params}
        names |= {"images_BxD": images_BxD, "labels_B": labels_B, "x_NxD": images_BxD, "labels_N": labels_B}
        code = "\n".join(line for line in nets.__doc__.splitlines() if line.startswith("    ") or not line)
        exec(textwrap.dedent(code), names)
    assert names["named"]["hidden_0/a"].shape == (20, 64)
    *table, values, top = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in table[1:]] == [["first", "tanh"], ["second", "none"]]
    a_BxH = np.tanh(images_BxD @ params["first"]["w"])
    saturated, speed = map(float, values.split())
    assert saturated == np.float32(np.mean(abs(a_BxH) > 0.9)) and speed > 0
    assert float(top.strip("[]")) > 0
