"""Every code example in a docstring of nets runs."""

import functools
import importlib
import inspect
import pkgutil
import re
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets

pytestmark = pytest.mark.usefixtures("quick_to_compile")

MODULES = ["nets", *sorted(module.name for module in pkgutil.walk_packages(nets.__path__, "nets."))]


def docstrings(module):
    """That of the module and those of the functions and classes that it defines."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    return [inspect.getdoc(thing) or "" for thing in [module, *own]]


def examples(text):
    """The indented blocks of code: those that call something of nets, which formulas do not."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", text + "\n", re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks if "nets." in block]


@functools.cache
def given():
    """What examples take as given: a net with data and a cost, a path of its weights, another net's weights."""
    random = np.random.default_rng(0)
    net = nets.MLP(hidden=(6,), classes=10)
    images_NxD, labels_N = random.normal(size=(30, 4)).astype(np.float32), np.arange(30) % 10
    params = jax.device_get(jax.jit(net.init)(jax.random.key(0), images_NxD)["params"])
    per_example = nets.costs.get("cross_entropy", "softmax").per_example
    dense = lambda i, o: {"w": random.normal(size=(i, o)), "bias": np.zeros(o)}  # noqa: E731
    return {
        "jax": jax,
        "jnp": jnp,
        "np": np,
        "nets": nets,
        "ravel_pytree": jax.flatten_util.ravel_pytree,
        "net": net,
        "cost": lambda p, b: per_example(net.apply({"params": p}, b[0])[0], jax.nn.one_hot(b[1], 10)),
        "key": jax.random.key(1),
        "images_NxD": images_NxD,
        "images_BxD": images_NxD,
        "x_NxD": images_NxD,
        "labels_N": labels_N,
        "labels_B": labels_N,
        "params": params,
        "data": (images_NxD, labels_N),
        "of_every_epoch": [jax.tree.map(lambda x, s=s: x * s, params) for s in (1.0, 0.7, 0.1, 0.4)],
        "a": np.linspace(-1, 1, 3),
        "b": np.linspace(-1, 1, 2),
        "levels_K": np.array([0.1, 0.2]),
        "two_layers": jax.tree.map(np.float32, {"first": dense(4, 5), "second": dense(5, 10)}),
        "w_DxH": random.normal(size=(2, 3)),
        "b_H": random.normal(size=3),
        "v_H": random.normal(size=3),
        "c": 0.5,
    }


def by_hand(names, module):
    """Names that mean something else in some modules."""
    if module == "nets":
        names["params"] = names["two_layers"]
    if module.endswith("relu_cells"):
        names |= {"x_NxD": np.random.default_rng(1).normal(size=(5, 2)), "y_N": np.arange(5.0)}
    if module.endswith("slope_bounds"):
        random = np.random.default_rng(2)
        shapes = {"z_BxH": (5, 3), "a_BxH": (5, 3), "outgoing_HxC": (3, 2), "inputs_BxD": (5, 4)}
        names |= {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        names["hessians_BxCxC"] = np.broadcast_to(np.eye(2, dtype=np.float32), (5, 2, 2))
    if module.endswith("exit_time"):
        names["step"] = lambda u_W, rate, key: u_W - rate * u_W + 0.3 * jax.random.normal(key, u_W.shape)
    return names


@pytest.mark.parametrize("module", [m for m in MODULES if any(map(examples, docstrings(importlib.import_module(m))))])
def test_examples_run(module):
    """Block after block, each seeing the names of those before it."""
    names = by_hand(dict(given()), module)
    # As in anybody's process.
    with jax.numpy_rank_promotion("allow"):
        for text in docstrings(importlib.import_module(module)):
            for block in examples(text):
                exec(compile(block, module, "exec"), names)


def test_examples_are_found():
    """In the modules that have some, and two in the first."""
    assert len(examples(nets.__doc__)) == 2
    assert all(
        examples(module.__doc__) for module in (nets.curvature, nets.escape, nets.exit_time, nets.student_teacher)
    )
    assert not examples("A formula:\n\n    u' = (1 - eta) u\n\nand text.")
