"""The network that a config names, as pure functions: Plateau's own MLP, or a model from a file of the user's.

B batch, D inputs, C classes. `config.model` is `mlp`, or FILE.py:NAME, where NAME is

    a Flax Linen module     a class, or one that is made
    a Flax NNX module       a class; its `rngs` are given
    a pair (init, apply)    `init(key, x) -> params` and `apply(params, x) -> logits_BxC`, two functions or attributes;
                            also `apply(params, key, x)`; params is any tree of arrays
    a function              that gives one of these

A class or a function is given what its fields or arguments are called: any of classes, inputs, input_shape, hidden,
activation, kernel_init, bias_init, batch_norm, dropout. What a config says of the last six has to be taken. What is
called activation or one of the inits is a function. The model is called with x of `config.input_shape`, flat where
that is (), and gives logits. Where its call takes `train` or `training`, `deterministic` or `use_running_average`, it
is told whether it trains; `mask` says which examples of a batch count.
"""

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

import nets
from nets.equations import equations_within
from training import own, weights
from training.adapters import ACCEPTED, Network, Offer, Tree, network_of
from training.batches import first_layer, scale
from training.compiling import FAST_TO_COMPILE, compiled
from training.config import FIELDS, MLP, AnyConfig, Config, ConfigError, as_config
from training.console import shown
from training.own import OwnError

# What a model of one's own may take of the config; it has to take what the config says of the last ones.
ALWAYS = ("classes", "inputs", "input_shape")
IF_SAID = ("hidden", "activation", "kernel_init", "bias_init", "batch_norm", "dropout")


class Model(NamedTuple):
    """A network as pure functions of nested dictionaries of arrays.

    `init(key) -> (params, statistics)`, where statistics is what changes without being trained
    `apply(params, statistics, images_BxD) -> logits_BxC`, as it is evaluated
    `apply_in_training(params, statistics, images_BxD, weights_B, key) -> (logits_BxC, statistics)`; weight 0 is padding
    `mixes_examples`: whether padding would change what the others give, so that a batch has to be without
    `is_own`: whether it comes from a file of the user's; `made` says with what of the config it was made
    """

    init: Callable[[jax.Array], tuple[Tree, Tree]]
    apply: Callable[[Tree, Tree, jax.Array], jax.Array]
    apply_in_training: Callable[[Tree, Tree, jax.Array, jax.Array, jax.Array], tuple[jax.Array, Tree]]
    mixes_examples: bool = False
    is_own: bool = False
    made: str = ""


def make_model(config: AnyConfig) -> Model:
    """The config's network; ConfigError, in one line, for one that cannot be used."""
    config = as_config(config)
    return _of_file(config) if config.has_own_model else _of_mlp(config, _entries_of(config))


def _entries_of(config: Config) -> tuple[object, ...]:
    """What the config's names stand for now in the tables of `nets`, where another entry may be put under a name."""
    tables = (
        (nets.costs.OUTPUTS, config.output),
        (nets.mlp.KERNEL_INITS, config.kernel_init),
        (nets.mlp.BIAS_INITS, config.bias_init),
    )
    activations = (nets.activations.ACTIVATIONS.get(name) for name in activations_of(config))
    return (*activations, *(table.get(name) for table, name in tables))


@functools.lru_cache(maxsize=64)
def _of_mlp(config: Config, entries: tuple[object, ...]) -> Model:
    """Of one config the same functions, which JAX then traces once; others where its names stand for other entries."""
    del entries
    return of_mlp(make_mlp(config), config.inputs)


def make_mlp(config: AnyConfig) -> nets.MLP:
    """The config's network as Plateau's Flax module; ConfigError where it is a model of one's own."""
    config = as_config(config)
    if config.has_own_model:
        raise ConfigError(f"config.model={shown(config.model)} is not Plateau's own; accepted: {MLP}")
    return nets.MLP(
        hidden=tuple(config.hidden),
        classes=config.classes,
        activation=",".join(activations_of(config)),
        output=config.output,
        kernel_init=config.kernel_init,
        bias_init=config.bias_init,
        batch_norm=config.batch_norm,
        dropout=float(config.dropout),
    )


def of_mlp(mlp: nets.MLP, inputs: int) -> Model:
    """Plateau's own network."""

    def init(key: jax.Array) -> tuple[Tree, Tree]:
        drawn: Any = mlp.init(key, jnp.zeros((1, inputs), jnp.float32))
        return drawn["params"], drawn.get("batch_stats", {})

    def apply(params: Tree, statistics: Tree, images_BxD: jax.Array) -> jax.Array:
        return mlp.apply({"params": params, "batch_stats": statistics}, scale(images_BxD))[0]

    def apply_in_training(
        params: Tree, statistics: Tree, images_BxD: jax.Array, weights_B: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Tree]:
        given: Any = mlp.apply(
            {"params": params, "batch_stats": statistics},
            scale(images_BxD),
            train=True,
            mask_B=weights_B > 0,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        (logits_BxC, _), mutated = given
        return logits_BxC, mutated.get("batch_stats", {})

    return Model(init, apply, apply_in_training)


# ---------------------------------------------------------------------------------------------------------------------
# What else a config takes from files of the user's own.


def activations_of(config: Config) -> list[str]:
    """The names of the config's activations, of which those of one's own are added to the table of `nets`."""
    return [_added(word, config.code) if own.is_reference(word) else word for word in config.activation.split(",")]


@functools.cache
def _added(reference: str, code: str) -> str:
    """The name under which an activation of one's own is in the table: it says which text it is of."""
    file, _ = own.parts_of(reference)
    digest = own.digest_of(own.code_of([reference], code)).removeprefix(own.DIGEST)[:8]
    name = f"{own.without_folder(reference)}@{digest}"
    try:
        given: Any = own.load(reference, code)
        if not callable(given) and not isinstance(given, nets.activations.Activation):
            raise OwnError(f"it is {shown(given)}; accepted: an elementwise function of JAX, or a nets Activation")
        nets.activations.add(name, cast("nets.activations.Activation", given))
    except Exception as error:
        raise _refused("activation", reference, error, file) from error
    return name


def cost_of(config: AnyConfig) -> nets.costs.Cost:
    """The config's cost with its output neuron.

    One of one's own is `cost(outputs_BxC, targets_BxC) -> cost_B`, of what the output neurons give, or as those of
    `nets.costs` are, `cost(logits_BxC, targets_BxC, output) -> cost_B`; ConfigError for one that gives anything else.
    """
    config = as_config(config)
    if not own.is_reference(config.cost):
        return nets.costs.get(config.cost, config.output)
    return _own_cost(config.cost, config.code, config.output, config.classes)


@functools.cache
def _own_cost(reference: str, code: str, output: str, classes: int) -> nets.costs.Cost:
    neuron = nets.costs.OUTPUTS[output]
    file, _ = own.parts_of(reference)
    try:
        function = own.load(reference, code)
        takes_output = list(inspect.signature(function).parameters)[2:3] == ["output"]

        def per_example(logits_BxC: jax.Array, targets_BxC: jax.Array) -> jax.Array:
            if takes_output:
                return function(logits_BxC, targets_BxC, output)
            return function(neuron(logits_BxC), targets_BxC)

        logits_BxC = jax.random.normal(jax.random.key(0), (3, classes))
        targets_BxC = jax.nn.one_hot(jnp.arange(3) % classes, classes)
        together: Any = per_example(logits_BxC, targets_BxC)
        if getattr(together, "shape", None) != (3,):
            given = f"{together.dtype}{list(together.shape)}" if hasattr(together, "shape") else shown(together)
            raise OwnError(f"it gives {given} for 3 examples; accepted: one float an example, [3]")
        apart = [per_example(logits_BxC[i : i + 1], targets_BxC[i : i + 1])[0] for i in range(3)]
        if not bool(jnp.allclose(together, jnp.stack(apart), rtol=1e-4, equal_nan=True)):
            raise OwnError("the cost of an example depends on the others; accepted: one that does not")
    except Exception as error:
        raise _refused("cost", reference, error, file) from error
    return nets.costs.Cost(per_example, neuron)


def _refused(field: str, reference: str, error: BaseException, file: str) -> ConfigError:
    """What is wrong with something of one's own, in one line."""
    if isinstance(error, ConfigError):
        return error
    said = str(error) if isinstance(error, OwnError) else own.said_of(error, file)
    accepted = "" if "accepted:" in said else f"; accepted: {_ACCEPTED[field]}"
    return ConfigError(f"config.{field}={shown(reference)}: {said}{accepted}")


_ACCEPTED = {
    "model": ACCEPTED,
    "activation": "an elementwise function of JAX, or a nets.activations.Activation",
    "cost": "a function (outputs_BxC, targets_BxC) -> cost_B",
}


# ---------------------------------------------------------------------------------------------------------------------
# Models of one's own.


def _offer(config: Config) -> Offer:
    """What a model of one's own may take of the config."""
    values: dict[str, Any] = {field: getattr(config, field) for field in (*ALWAYS, *IF_SAID)}
    words = {field: str(value) for field, value in values.items()}
    said = {field: values[field] for field in IF_SAID if values[field] != FIELDS[field].default}
    functions = [nets.activations.get(name).function for name in activations_of(config)]
    values["activation"] = functions[0] if len(functions) == 1 else tuple(functions)
    values["kernel_init"] = nets.mlp.KERNEL_INITS[config.kernel_init]
    values["bias_init"] = nets.mlp.BIAS_INITS[config.bias_init]
    return Offer(values, words, said)


# What a model of one's own depends on.
SHAPING = ("model", "code", *ALWAYS, *IF_SAID)


def _of_file(config: Config) -> Model:
    """The model in a file of one's own; configs that differ in what it does not depend on have the same one."""
    others = {name: field.default for name, field in FIELDS.items() if name not in SHAPING}
    config = dataclasses.replace(config, **others)
    return _of_shape(config, _entries_of(config))


@functools.lru_cache(maxsize=64)
def _of_shape(config: Config, entries: tuple[object, ...]) -> Model:
    del entries
    file, name = own.parts_of(config.model)
    shape = config.input_shape or (config.inputs,)
    try:
        network = network_of(own.load(config.model, config.code), name, _offer(config))

        def taken(images_BxD: jax.Array) -> jax.Array:
            return scale(images_BxD).reshape(-1, *shape)

        def init(key: jax.Array) -> tuple[Tree, Tree]:
            return network.init(key, jnp.zeros((1, *shape), jnp.float32))

        def apply(params: Tree, statistics: Tree, images_BxD: jax.Array) -> jax.Array:
            return network.apply(params, statistics, taken(images_BxD)).astype(jnp.float32)

        def apply_in_training(
            params: Tree, statistics: Tree, images_BxD: jax.Array, weights_B: jax.Array, key: jax.Array
        ) -> tuple[jax.Array, Tree]:
            logits_BxC, statistics = network.apply_in_training(
                params, statistics, taken(images_BxD), weights_B > 0, key
            )
            return logits_BxC.astype(jnp.float32), statistics

        statistics = _check(network, init, shape, config.classes)
    except (Exception, SystemExit) as error:
        refused = _refused("model", config.model, error, file)
        if not config.input_shape and isinstance(error, TypeError | ValueError) and "shape" in str(error):
            refused = ConfigError(f"{refused}; x is [B, {config.inputs}], or as --config.input_shape says")
        raise refused from error
    mixes = bool(jax.tree.leaves(statistics)) and not network.takes_mask
    return Model(init, apply, apply_in_training, mixes, True, network.made)


def _check(network: Network, init: Callable[..., Any], shape: tuple[int, ...], classes: int) -> Tree:
    """The shapes of the network's statistics; OwnError for one that cannot be trained and evaluated."""
    key = jax.random.key(0)
    params, statistics = jax.eval_shape(init, key)
    if not jax.tree.leaves(params):
        raise OwnError("it has no parameters")
    for path, leaf in jax.tree.leaves_with_path(params):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise OwnError(f"its parameter {name} is {leaf.dtype}; accepted: floats")
    if reserved := sorted(params.keys() & {weights.EPOCH, weights.STATISTICS}):
        raise OwnError(f"a parameter is called {reserved[0]}, as what stands beside weights in files; accepted: others")
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    _check_logits(jax.eval_shape(network.apply, params, statistics, x), classes)
    count = jax.ShapeDtypeStruct((2,), bool)
    logits, after = jax.eval_shape(network.apply_in_training, params, statistics, x, count, key)
    _check_logits(logits, classes)
    if jax.tree.structure(after) != jax.tree.structure(statistics):
        raise OwnError("its statistics after a step are other arrays than before")

    def logits_of_first(key: jax.Array) -> tuple[Any, Any]:
        """Beside two others, and alone."""
        params, statistics = init(key)
        x = jax.random.uniform(jax.random.key(1), (3, *shape))
        return network.apply(params, statistics, x), network.apply(params, statistics, x[:1])

    logits = compiled(logits_of_first, key, cpu_options=FAST_TO_COMPILE)(key)
    together, alone = (np.asarray(part, np.float32) for part in logits)
    if not np.allclose(together[:1], alone, rtol=1e-2, atol=1e-3 * float(np.abs(together).max())):
        raise OwnError("the logits of an example depend on the others; accepted: a model that gives each its own")
    return statistics


def _check_logits(logits: Any, classes: int) -> None:
    """OwnError where that is not one row of logits an example, of two."""
    if not hasattr(logits, "shape") or not jnp.issubdtype(logits.dtype, jnp.floating):
        raise OwnError(f"it gives {type(logits).__name__}; accepted: logits alone, floats [B, {classes}]")
    if logits.shape != (2, classes):
        raise OwnError(
            f"it gives {logits.dtype}{list(logits.shape)} for 2 examples; accepted: logits [2, {classes}], or another "
            f"--config.classes"
        )


def logits_of(config: Config, state: weights.HasWeights, images_NxD: np.ndarray, chunk: int) -> np.ndarray:
    """The logits of all examples, [N, C], so many at a time."""
    predict = jax.jit(make_model(config).apply)
    chunks = (images_NxD[i : i + chunk] for i in range(0, len(images_NxD), chunk))
    return np.concatenate([predict(state.params, state.batch_stats, chunk_BxD) for chunk_BxD in chunks])


# ---------------------------------------------------------------------------------------------------------------------
# What a model is made of.


class Size(NamedTuple):
    """Of a network: its parameters, the multiply-adds of an example forward, and the numbers that its layers give."""

    parameters: int
    products: int
    outputs: int


@functools.lru_cache(maxsize=256)
def size_of(config: Config) -> Size:
    """The size of the config's network, found without making it."""
    if not config.has_own_model:
        layers = list(itertools.pairwise((config.inputs, *config.hidden, config.classes)))
        parameters = sum((before + 1) * after for before, after in layers)
        return Size(parameters, sum(before * after for before, after in layers), sum(after for _, after in layers))
    model = make_model(config)
    params, statistics = jax.eval_shape(model.init, jax.random.key(0))
    image_1xD = jax.ShapeDtypeStruct((1, config.inputs), jnp.float32)
    program = jax.make_jaxpr(model.apply)(params, statistics, image_1xD).jaxpr
    outputs = sum(variable.aval.size for equation in equations_within(program) for variable in equation.outvars)
    cost: Any = jax.jit(model.apply).lower(params, statistics, image_1xD).cost_analysis() or {}
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    return Size(parameters, int(cost.get("flops", 0.0) / 2) or parameters, outputs)


def layers_of(config: Config) -> nets.watching.Layers:
    """The layers of a model of one's own, each found in its program; ConfigError where it cannot be followed."""
    model = make_model(config)
    params, statistics = jax.eval_shape(model.init, jax.random.key(0))
    images_BxD = jax.ShapeDtypeStruct((2, config.inputs), jnp.float32)

    def logits_of(params: Tree, images_BxD: jax.Array) -> jax.Array:
        return model.apply(params, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), statistics), images_BxD)

    try:
        return nets.watch(logits_of).layers(params, images_BxD)
    except ValueError as error:
        raise ConfigError(
            f"config.model={shown(config.model)} cannot be measured: {error}, or --config.probes= for no measures"
        ) from error


class FirstKernel(NamedTuple):
    """The weights of the layer that reads the inputs, as pictures: what the layer is called, the shape of a picture."""

    called: str
    kernel_DxH: np.ndarray
    shape: tuple[int, ...]


def first_kernel(config: Config, params: Tree, shape: tuple[int, ...]) -> FirstKernel | None:
    """The weights of the first layer for examples of that shape, () for what is no picture; of a convolution its
    filters; None of a model of one's own that begins otherwise."""
    if not config.has_own_model:
        called = "first hidden layer" if config.hidden else "output layer"
        return FirstKernel(called, params[first_layer(params)]["kernel"], shape)
    try:
        name = layers_of(config)[0].name
    except ConfigError:
        return None
    for leaf in nets.measures.layers_of(params).get(name, {}).values():
        kernel = np.asarray(leaf)
        if kernel.ndim == 2 and len(kernel) == config.inputs:
            return FirstKernel(f"layer {name}", kernel, shape)
        if kernel.ndim == 4:  # [height, width, channels in, channels out]
            height, width, channels, units = kernel.shape
            shape = (height, width) if channels == 1 else (height, width, channels)
            return FirstKernel(f"layer {name}", kernel.reshape(-1, units), shape)
    return None


def is_hidden(config: Config) -> Callable[[str], bool]:
    """Whether a layer of that name is hidden: all but the output neurons, which their own cost may saturate; of a model
    of one's own, those with an activation that is in the model and not in its cost."""
    if not config.has_own_model:
        return lambda name: name != "output"
    hidden = {layer.name for layer in layers_of(config) if layer.activation} if config.probes else set[str]()
    return lambda name: name in hidden


def for_histogram(config: Config, a_NxH: jax.Array, most: int = 2**21) -> jax.Array:
    """A layer's outputs; of those at every position of many pictures evenly some."""
    return a_NxH if not config.has_own_model else a_NxH[:: -(-a_NxH.size // most)]
