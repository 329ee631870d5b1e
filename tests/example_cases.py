"""The models of the examples, with what their frameworks say of them and their costs written by hand: helpers of tests.

At weights of float64 that were moved at random, so that units saturate and die. Each example is run once, and what it
measures it measures there: compiling is nearly all of the time.

B examples of a batch, C classes, I inputs and O outputs of a layer, P parameters.
"""

import contextlib
import io
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
from nets.watching import Watched

EXAMPLES = Path(__file__).parents[1] / "examples"
COUNT = 10
# How far the weights are moved, where it is not .3; Equinox's were moved farther after its draw had become one of
# float32, from which Lanczos' residual was not as small within its steps.
SIZES = {"equinox_mlp": 0.4, "transformer": 0.1}


class Case(NamedTuple):
    """An example's model with what its framework says of it."""

    cost: Callable[[Any, Any], jax.Array]
    params: Any
    batch: Any
    values: dict[str, tuple[str, Any, Any]]  # Of each layer with an activation: its name, z and a, units last.
    own_costs_B: np.ndarray  # As the example computes them,
    costs_B: Any  # and by hand.
    deltas: dict[str, Any]  # The derivatives of their mean by a shift of every unit's weighted input.
    slopes_BxP: np.ndarray  # The gradients of the examples.
    gradients: dict[str, list[Any]]  # Of the mean cost, by container of parameters.
    biases: dict[str, list[Any]]  # Gradients of biases that are added to what goes into an activation.


@contextlib.contextmanager
def in_float32():
    """As an example runs by itself."""
    with jax.enable_x64(False), jax.numpy_rank_promotion("raise"):
        yield


@contextlib.contextmanager
def in_float64():
    """Shapes are added as the frameworks themselves do."""
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


@cache
def ran(example: str) -> tuple[dict[str, Any], str]:
    """The names of an example that was run as it stands, with what it `measured`, and what it printed.

    It measures a few images, or texts, at the moved weights in float64, which is the program of the case; but what a
    loop is trained on is all there, and in float64, in which numpy trains it as well.
    """
    mnist, read, measure = input_pipeline.load("mnist"), Path.read_bytes, Watched.measure
    few = mnist._replace(images=mnist.images[:COUNT], labels=mnist.labels[:COUNT])
    measured = {}

    def measure_there(watched: Watched, cost: Any, params: Any, batch: Any, groups: tuple[str, ...]) -> Any:
        with in_float64():
            if (statistics := cost.__globals__.get("statistics")) is not None:
                cost.__globals__["statistics"] = moved_statistics(statistics)
            found = measure(watched, cost, moved(params, SIZES.get(example, 0.3)), given(batch), groups)
            measured.update({name: float(value) for name, value in found.items()})
        return found

    with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.MonkeyPatch.context() as patch:
        if example == "optax_loop":
            return runpy.run_path(str(EXAMPLES / f"{example}.py")), printed.getvalue()
        patch.setattr(input_pipeline, "load", lambda name: few)
        # A text of the transformer has 17 letters.
        patch.setattr(Path, "read_bytes", lambda path: read(path)[: 17 * COUNT])
        patch.setattr(Watched, "measure", measure_there)
        with in_float32():
            names = runpy.run_path(str(EXAMPLES / f"{example}.py"))
    return names | {"measured": measured}, printed.getvalue()


def cast(tree: Any, kind: Any, change: Callable[[Any], Any] = lambda x: x) -> Any:
    """The tree with its arrays of floats in another type, each changed before."""
    is_float = lambda x: hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)  # noqa: E731
    cast_one = lambda x: jnp.asarray(np.asarray(change(np.float64(x)), kind))  # noqa: E731
    return jax.tree.map(lambda x: cast_one(x) if is_float(x) else x, tree)


def moved(params: Any, size: float) -> Any:
    """The parameters with noise of that size; float64, of numbers that float32 has."""
    random = np.random.default_rng(0)
    return cast(params, np.float64, lambda x: np.float32(x + size * random.normal(size=x.shape)))


def moved_statistics(statistics: Any) -> Any:
    """Running means and variances of another batch, in the same way."""
    random = np.random.default_rng(1)
    return cast(statistics, np.float64, lambda x: np.float32(x * random.uniform(0.5, 2, x.shape) + 0.1))


def given(batch: Any) -> Any:
    """The batch in float64, of numbers that float32 has."""
    return cast(batch, np.float64, np.float32)


def as_vector(tree: Any) -> np.ndarray:
    """The arrays of the tree as a vector [P]."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def as_tree(vector_P: np.ndarray, like: Any) -> Any:
    """The vector as arrays of such a tree."""
    leaves, shape = jax.tree.flatten(like)
    parts = np.split(vector_P, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(shape, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])


def of_floats(cost: Callable[[Any, Any], Any], params: Any) -> tuple[Any, Callable[[Any, Any], Any]]:
    """The arrays of floats, and the cost as their function."""
    floats, others = eqx.partition(params, eqx.is_inexact_array)
    return floats, lambda floats, batch: cost(eqx.combine(floats, others), batch)


def slopes_of(cost: Callable[[Any, Any], Any], params: Any, batch: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """The costs of the examples [B], their gradients [B, P], and that of the mean cost as a tree."""
    floats, of_batch = of_floats(cost, params)
    single = jax.value_and_grad(lambda floats, example: of_batch(floats, jax.tree.map(lambda x: x[None], example))[0])
    costs_B, slopes = jax.jit(jax.vmap(single, (None, 0)))(floats, batch)
    slopes_BxP = np.concatenate([np.reshape(slope, (len(slope), -1)) for slope in jax.tree.leaves(slopes)], axis=1)
    return np.asarray(costs_B), slopes_BxP, as_tree(slopes_BxP.mean(0), floats)


def by_shifts(run: Callable[[Any], tuple[Any, Any]], shifts: Any) -> tuple[Any, Any, Any]:
    """The costs [B], the derivatives of their mean by the shifts, and what else `run(shifts)` gives."""

    def mean(shifts: Any) -> tuple[Any, Any]:
        costs_B, others = run(shifts)
        return jnp.mean(costs_B), (costs_B, others)

    deltas, (costs_B, others) = jax.jit(jax.grad(mean, has_aux=True))(shifts)
    return costs_B, deltas, others


def cross_entropy(logits: Any, labels: Any) -> Any:
    """-log softmax(logits) at the label, along the last axis."""
    largest = logits.max(-1, keepdims=True)
    log_sum = largest[..., 0] + jnp.log(jnp.exp(logits - largest).sum(-1))
    return log_sum - jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]


def perceptron(weights: dict[str, tuple[Any, Any]], activation: Callable[[Any], Any], x: Any, labels: Any) -> Any:
    """The costs [B] of dense layers [I, O], and their derivatives by shifts."""

    def run(shifts: dict[str, Any]) -> Any:
        z, a = x, x
        for name, (w, b) in weights.items():
            z = a @ w + b + shifts[name]
            a = activation(z)
        return cross_entropy(z, labels), None

    return by_shifts(run, {name: np.zeros(w.shape[1]) for name, (w, _) in weights.items()})[:2]


def sigmoid(z: Any) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(z)))


def equinox_mlp() -> Case:
    names, _ = ran("equinox_mlp")
    model, (x, labels) = moved(names["model"], SIZES["equinox_mlp"]), given(names["batch"])

    @jax.jit
    def values(x):
        z = jax.vmap(model.layers[0])(x)
        return z, jax.vmap(model.layers[1])(jnp.tanh(z))

    weights = {f"layers/{i}": (layer.weight.T, layer.bias) for i, layer in enumerate(model.layers)}
    own_costs_B, slopes_BxP, gradient = slopes_of(names["cost"], model, (x, labels))
    return Case(
        names["cost"],
        model,
        (x, labels),
        {f"layers/{i}": ("tanh", z, np.tanh(z)) for i, z in enumerate(values(x))},
        own_costs_B,
        *perceptron(weights, jnp.tanh, x, labels),
        slopes_BxP,
        {f"layers/{i}": [layer.weight, layer.bias] for i, layer in enumerate(gradient.layers)},
        {f"layers/{i}": [layer.bias] for i, layer in enumerate(gradient.layers)},
    )


def haiku_mlp() -> Case:
    names, _ = ran("haiku_mlp")
    params, (x, labels) = moved(names["params"], 0.3), given(names["batch"])
    z = {}

    def recorded(function, args, kwargs, context):
        result = function(*args, **kwargs)
        if isinstance(context.module, hk.Linear) and context.method_name == "__call__":
            z[context.module.module_name] = result
        return result

    def net(x):
        with hk.intercept_methods(recorded):
            hk.nets.MLP((64, 32, 10), activation=jax.nn.relu)(x)
        return dict(z)

    z = jax.jit(hk.without_apply_rng(hk.transform(net)).apply)(params, x)
    weights = {name: (layer["w"], layer["b"]) for name, layer in params.items()}
    own_costs_B, slopes_BxP, gradient = slopes_of(names["cost"], params, (x, labels))
    return Case(
        names["cost"],
        params,
        (x, labels),
        {name: ("relu", z[name], np.maximum(z[name], 0)) for name in ("mlp/~/linear_0", "mlp/~/linear_1")},
        own_costs_B,
        *perceptron(weights, lambda z: jnp.maximum(z, 0), x, labels),
        slopes_BxP,
        {name: [*layer.values()] for name, layer in gradient.items()},
        {name: [layer["b"]] for name, layer in gradient.items()},
    )


def nnx_mlp() -> Case:
    names, _ = ran("nnx_mlp")
    params, (x, labels) = moved(names["params"], 0.3), given(names["batch"])
    model = nnx.merge(names["graph"], params)
    own_costs_B, slopes_BxP, gradient = slopes_of(names["cost"], params, (x, labels))

    def layers_of(model):
        return {"layers/0": model.layers[0], "layers/1": model.layers[1], "head": model.head}

    @jax.jit
    def values(params, x):
        model = nnx.merge(names["graph"], params)
        z = model.layers[0](x)
        return z, model.layers[1](jax.nn.sigmoid(z))

    weights = {name: (layer.kernel[...], layer.bias[...]) for name, layer in layers_of(model).items()}
    gradient = layers_of(nnx.merge(names["graph"], gradient))
    return Case(
        names["cost"],
        params,
        (x, labels),
        {f"layers/{i}": ("sigmoid", z, sigmoid(z)) for i, z in enumerate(values(params, x))},
        own_costs_B,
        *perceptron(weights, lambda z: 1 / (1 + jnp.exp(-z)), x, labels),
        slopes_BxP,
        {name: [layer.kernel[...], layer.bias[...]] for name, layer in gradient.items()},
        {name: [layer.bias[...]] for name, layer in gradient.items()},
    )


def linen_cnn() -> Case:
    names, _ = ran("linen_cnn")
    params, (x, labels) = moved(names["params"], 0.3), given((names["images"], names["labels"]))
    statistics = names["cost"].__globals__["statistics"]  # Those that were moved.
    apply = jax.jit(lambda *of: names["model"].apply(*of, capture_intermediates=True)[1]["intermediates"])
    captured = apply({"params": params, "batch_stats": statistics}, x)
    z = {f"Conv_{i}": captured[f"BatchNorm_{i}"]["__call__"][0] for i in range(2)}
    z["Dense_0"] = captured["Dense_0"]["__call__"][0]
    own_costs_B, slopes_BxP, gradient = slopes_of(names["cost"], params, (x, labels))

    def run(shifts):
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
        dense, head = params["Dense_0"], params["Dense_1"]
        a = jnp.tanh(a.reshape(len(a), -1) @ dense["kernel"] + dense["bias"] + shifts["Dense_0"])
        return cross_entropy(a @ head["kernel"] + head["bias"] + shifts["Dense_1"], labels), None

    sizes = {"Conv_0": 4, "Conv_1": 8, "Dense_0": 32, "Dense_1": 10}
    biases = {name: [gradient[name]["bias"]] for name in ("BatchNorm_0", "BatchNorm_1", "Dense_0", "Dense_1")}
    return Case(
        names["cost"],
        params,
        (x, labels),
        {
            name: ("tanh", z, np.tanh(z)) if name == "Dense_0" else ("relu", z, np.maximum(z, 0))
            for name, z in z.items()
        },
        own_costs_B,
        *by_shifts(run, {name: np.zeros(size) for name, size in sizes.items()})[:2],
        slopes_BxP,
        {name: [*layer.values()] for name, layer in gradient.items()},
        # What a normalization adds goes into the activation, as a bias does.
        biases | {f"Conv_{i}": biases[f"BatchNorm_{i}"] for i in range(2)},
    )


def gelu(z: Any) -> Any:
    """The form with tanh."""
    return z / 2 * (1 + jnp.tanh((2 / np.pi) ** 0.5 * (z + 0.044715 * z**3)))


def transformer() -> Case:
    names, _ = ran("transformer")
    params, tokens = moved(names["params"], SIZES["transformer"]), names["tokens"]
    blocks = range(3)

    def standardized(x):
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)

    def run(shifts):
        """The cost of each text, and what goes into the activations and comes out."""
        x, values = params["embed"][tokens[:, :-1]], {}
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
            z = standardized(x) @ p["up"] + shifts[f"block/up[{i}]"]
            values[f"block/up[{i}]"] = z, gelu(z)
            x = x + gelu(z) @ p["down"] + shifts[f"block/down[{i}]"]
        return cross_entropy(x @ params["head"] + shifts["head"], tokens[:, 1:]).mean(-1), values

    shapes = {"qkv": (3, 4, 8), "out": (32,), "up": (99,), "down": (32,)}
    shifts = {f"block/{name}[{i}]": np.zeros(shape) for name, shape in shapes.items() for i in blocks}
    shifts |= {f"block/qkv[{i}]#2": np.zeros(4) for i in blocks} | {"head": np.zeros(128)}
    costs_B, deltas, values = by_shifts(run, shifts)
    own_costs_B, slopes_BxP, gradient = slopes_of(names["cost"], params, tokens)
    return Case(
        names["cost"],
        params,
        tokens,
        {name: ("gelu", *of_layer) for name, of_layer in values.items()},
        own_costs_B,
        costs_B,
        deltas,
        slopes_BxP,
        {".": [gradient["embed"], gradient["head"]], "block": [*gradient["block"].values()]},
        {},
    )


CASES = {case.__name__: cache(case) for case in (equinox_mlp, haiku_mlp, linen_cnn, nnx_mlp, transformer)}
