"""The models of the examples, with what their frameworks say of them and their costs written by hand: helpers of tests.

At weights of float64 that were moved at random, so that units saturate and die. Nothing here is measured by `nets`.

B examples of a batch, C classes, I inputs and O outputs of a layer.
"""

import runpy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import input_pipeline
import nets

EXAMPLES = Path(__file__).parents[1] / "examples"
COUNT = 10


class Case(NamedTuple):
    """An example's model with what its framework says of it."""

    cost: Callable[[Any, Any], jax.Array]
    params: Any
    batch: Any
    values: dict[str, tuple[str, Any, Any]]  # Of each layer with an activation: its name, z and a, units last.
    costs: Callable[[dict[str, Any]], Any]  # The cost of each example by hand, shifts added to the weighted inputs.
    shifts: dict[str, Any]  # Zeros, one for every unit of every layer.
    gradients: dict[str, list[Any]]  # By container of parameters.
    biases: dict[str, list[Any]]  # Gradients of biases that are added to what goes into an activation.


def names_of(example: str) -> dict[str, Any]:
    """The names of an example that was run on a few images and measured nothing."""
    mnist = input_pipeline.load("mnist")
    few = mnist._replace(images=mnist.images[:COUNT], labels=mnist.labels[:COUNT])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_pipeline, "load", lambda name: few)
        patch.setattr(nets.watching.Watched, "layers", lambda *_: "")
        patch.setattr(nets.watching.Watched, "measure", lambda *_: {})
        return runpy.run_path(str(EXAMPLES / f"{example}.py"))


def cast(tree: Any, kind: Any, change: Callable[[Any], Any] = lambda x: x) -> Any:
    """The tree with its arrays of floats in another type, each changed before."""
    is_float = lambda x: hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)  # noqa: E731
    return jax.tree.map(lambda x: jnp.asarray(change(np.float64(x)), kind) if is_float(x) else x, tree)


def moved(params: Any, size: float = 0.3) -> Any:
    """The parameters with noise of that size; float64, of numbers that float32 has."""
    random = np.random.default_rng(0)
    return cast(params, jnp.float64, lambda x: np.float32(x + size * random.normal(size=x.shape)))


def given(batch: Any) -> Any:
    """The batch in float64, of numbers that float32 has."""
    return cast(batch, jnp.float64, np.float32)


def gradient_of(cost: Callable[[Any, Any], jax.Array], params: Any, batch: Any) -> Any:
    return jax.jit(jax.grad(lambda params: jnp.mean(cost(params, batch))))(params)


def cross_entropy(logits: Any, labels: Any) -> Any:
    """-log softmax(logits) at the label, along the last axis."""
    largest = logits.max(-1, keepdims=True)
    log_sum = largest[..., 0] + jnp.log(jnp.exp(logits - largest).sum(-1))
    return log_sum - jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]


def perceptron(weights: dict[str, tuple[Any, Any]], activation: Callable[[Any], Any], x: Any, labels: Any) -> Any:
    """The cost of each example of dense layers [I, O], by shifts."""

    def costs(shifts: dict[str, Any]) -> Any:
        z, a = x, x
        for name, (w, b) in weights.items():
            z = a @ w + b + shifts[name]
            a = activation(z)
        return cross_entropy(z, labels)

    return costs


def zeros_of(weights: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {name: jnp.zeros(w.shape[1]) for name, (w, _) in weights.items()}


def equinox_mlp() -> Case:
    names = names_of("equinox_mlp")
    model, (x, labels) = moved(names["model"]), given(names["batch"])
    z = [jax.vmap(model.layers[0])(x)]
    z += [jax.vmap(model.layers[1])(jnp.tanh(z[0]))]
    weights = {f"layers/{i}": (layer.weight.T, layer.bias) for i, layer in enumerate(model.layers)}
    gradient = eqx.filter_jit(eqx.filter_grad(lambda model: jnp.mean(names["cost"](model, (x, labels)))))(model)
    return Case(
        names["cost"],
        model,
        (x, labels),
        {f"layers/{i}": ("tanh", z[i], jnp.tanh(z[i])) for i in range(2)},
        perceptron(weights, jnp.tanh, x, labels),
        zeros_of(weights),
        {f"layers/{i}": [layer.weight, layer.bias] for i, layer in enumerate(gradient.layers)},
        {f"layers/{i}": [layer.bias] for i, layer in enumerate(gradient.layers)},
    )


def haiku_mlp() -> Case:
    names = names_of("haiku_mlp")
    params, (x, labels) = moved(names["params"]), given(names["batch"])
    z = {}

    def recorded(function, args, kwargs, context):
        result = function(*args, **kwargs)
        if isinstance(context.module, hk.Linear) and context.method_name == "__call__":
            z[context.module.module_name] = result
        return result

    def net(x):
        with hk.intercept_methods(recorded):
            return hk.nets.MLP((64, 32, 10), activation=jax.nn.relu)(x)

    hk.without_apply_rng(hk.transform(net)).apply(params, x)
    weights = {name: (layer["w"], layer["b"]) for name, layer in params.items()}
    gradient = gradient_of(names["cost"], params, (x, labels))
    return Case(
        names["cost"],
        params,
        (x, labels),
        {name: ("relu", z[name], np.maximum(z[name], 0)) for name in ("mlp/~/linear_0", "mlp/~/linear_1")},
        perceptron(weights, lambda z: jnp.maximum(z, 0), x, labels),
        zeros_of(weights),
        {name: [*layer.values()] for name, layer in gradient.items()},
        {name: [layer["b"]] for name, layer in gradient.items()},
    )


def nnx_mlp() -> Case:
    names = names_of("nnx_mlp")
    params, (x, labels) = moved(names["params"]), given(names["batch"])
    model = nnx.merge(names["graph"], params)
    gradient = nnx.merge(names["graph"], gradient_of(names["cost"], params, (x, labels)))

    def layers_of(model):
        return {"layers/0": model.layers[0], "layers/1": model.layers[1], "head": model.head}

    z = [model.layers[0](x)]
    z += [model.layers[1](jax.nn.sigmoid(z[0]))]
    weights = {name: (layer.kernel[...], layer.bias[...]) for name, layer in layers_of(model).items()}
    return Case(
        names["cost"],
        params,
        (x, labels),
        {f"layers/{i}": ("sigmoid", z[i], 1 / (1 + np.exp(-np.asarray(z[i])))) for i in range(2)},
        perceptron(weights, lambda z: 1 / (1 + jnp.exp(-z)), x, labels),
        zeros_of(weights),
        {name: [layer.kernel[...], layer.bias[...]] for name, layer in layers_of(gradient).items()},
        {name: [layer.bias[...]] for name, layer in layers_of(gradient).items()},
    )


def linen_cnn() -> Case:
    names = names_of("linen_cnn")
    params, (x, labels) = moved(names["params"]), given((names["images"], names["labels"]))
    random = np.random.default_rng(1)
    statistics = cast(names["statistics"], jnp.float64, lambda x: np.float32(x * random.uniform(0.5, 2, x.shape) + 0.1))
    names["cost"].__globals__["statistics"] = statistics
    variables = {"params": params, "batch_stats": statistics}
    captured = names["model"].apply(variables, x, capture_intermediates=True)[1]["intermediates"]
    z = {f"Conv_{i}": captured[f"BatchNorm_{i}"]["__call__"][0] for i in range(2)}
    z["Dense_0"] = captured["Dense_0"]["__call__"][0]
    gradient = gradient_of(names["cost"], params, (x, labels))

    def costs(shifts):
        a = x
        for i in range(2):
            conv, norm, of = params[f"Conv_{i}"], params[f"BatchNorm_{i}"], statistics[f"BatchNorm_{i}"]
            # With strides of 2, pictures of an even size have a row and a column of zeros behind them.
            size = a.shape[1]
            a = jnp.pad(a, [(0, 0), (0, 1), (0, 1), (0, 0)])
            places = [(p, q) for p in range(3) for q in range(3)]
            y = sum(a[:, p : p + size : 2, q : q + size : 2] @ conv["kernel"][p, q] for p, q in places) + conv["bias"]
            y = (y - of["mean"]) / jnp.sqrt(of["var"] + 1e-5) * norm["scale"] + norm["bias"]
            a = jnp.maximum(y + shifts[f"Conv_{i}"], 0)
        dense = params["Dense_0"]
        a = jnp.tanh(a.reshape(len(a), -1) @ dense["kernel"] + dense["bias"] + shifts["Dense_0"])
        return cross_entropy(a @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"] + shifts["Dense_1"], labels)

    biases = {name: [gradient[name]["bias"]] for name in ("BatchNorm_0", "BatchNorm_1", "Dense_0", "Dense_1")}
    return Case(
        names["cost"],
        params,
        (x, labels),
        {
            name: ("tanh", z, np.tanh(z)) if name == "Dense_0" else ("relu", z, np.maximum(z, 0))
            for name, z in z.items()
        },
        costs,
        {name: jnp.zeros(size) for name, size in (("Conv_0", 4), ("Conv_1", 8), ("Dense_0", 32), ("Dense_1", 10))},
        {name: [*layer.values()] for name, layer in gradient.items()},
        # What a normalization adds goes into the activation, as a bias does.
        biases | {f"Conv_{i}": biases[f"BatchNorm_{i}"] for i in range(2)},
    )


def optax_loop() -> Case:
    names = names_of("optax_loop")
    params, (x, labels) = moved(names["params"]), given((names["images"], names["labels"]))
    z = x @ params["hidden"]
    weights = {"hidden": (params["hidden"], 0), "head": (params["head"], 0)}
    gradient = gradient_of(names["cost"], params, (x, labels))
    return Case(
        names["cost"],
        params,
        (x, labels),
        {"hidden": ("sigmoid", z, 1 / (1 + np.exp(-np.asarray(z))))},
        perceptron(weights, lambda z: 1 / (1 + jnp.exp(-z)), x, labels),
        zeros_of(weights),
        {".": [gradient["hidden"], gradient["head"]]},
        {},
    )


def gelu(z: Any) -> Any:
    """The form with tanh."""
    return z / 2 * (1 + jnp.tanh((2 / np.pi) ** 0.5 * (z + 0.044715 * z**3)))


def transformer() -> Case:
    names = names_of("transformer")
    params, tokens = moved(names["params"], 0.1), names["tokens"][:COUNT].astype(jnp.int32)
    blocks = range(3)

    def standardized(x):
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)

    def run(shifts):
        """The cost of each text, and what goes into the activations."""
        x, z = params["embed"][tokens[:, :-1]], {}
        later = np.triu(np.ones((16, 16), bool), 1)
        for i in blocks:
            p = {name: stacked[i] for name, stacked in params["block"].items()}
            qkv = jnp.einsum("btd,dchw->cbthw", standardized(x), p["qkv"])
            q, k, v = qkv + shifts[f"block/qkv[{i}]"][:, None, None]
            scores = jnp.where(later, -jnp.inf, jnp.einsum("bqhw,bkhw->bhqk", q, k) / 8**0.5)
            scores = scores + shifts[f"block/qkv[{i}]#2"][:, None, None]
            powers = jnp.exp(scores - scores.max(-1, keepdims=True))
            heads = jnp.einsum("bhqk,bkhw->bqhw", powers / powers.sum(-1, keepdims=True), v)
            x = x + heads.reshape(x.shape) @ p["out"] + shifts[f"block/out[{i}]"]
            z[f"block/up[{i}]"] = standardized(x) @ p["up"] + shifts[f"block/up[{i}]"]
            x = x + gelu(z[f"block/up[{i}]"]) @ p["down"] + shifts[f"block/down[{i}]"]
        return cross_entropy(x @ params["head"] + shifts["head"], tokens[:, 1:]).mean(-1), z

    shapes = {"qkv": (3, 4, 8), "out": (32,), "up": (99,), "down": (32,)}
    shifts = {f"block/{name}[{i}]": jnp.zeros(shape) for name, shape in shapes.items() for i in blocks}
    shifts |= {f"block/qkv[{i}]#2": jnp.zeros(4) for i in blocks} | {"head": jnp.zeros(128)}
    gradient = gradient_of(names["cost"], params, tokens)
    return Case(
        names["cost"],
        params,
        tokens,
        {name: ("gelu", z, gelu(z)) for name, z in jax.jit(run)(shifts)[1].items()},
        lambda shifts: run(shifts)[0],
        shifts,
        {".": [gradient["embed"], gradient["head"]], "block": [*gradient["block"].values()]},
        {},
    )


CASES = {case.__name__: cache(case) for case in (equinox_mlp, haiku_mlp, linen_cnn, nnx_mlp, optax_loop, transformer)}
