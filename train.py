"""One training run: `python train.py --config=configs/shallow.py`; or `import train` for its pure functions.

B batch, D inputs, C classes, N examples. `make_train(config)` returns pure functions that serve one run, the vmapped
lanes of a sweep and a test alike; importing this file defines no flag and starts nothing.
"""

import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags
from tqdm import tqdm

import input_pipeline
import nets
import probes
import run_directory
from nets.tables import near_match
from training import console

EVALUATION_CHUNK = 2_000
Config: TypeAlias = Any  # A ConfigDict, whose fields a type checker cannot know.
METRICS = run_directory.METRICS
# Numbers are used as float32, in which larger ones are infinite and smaller ones zero.
FLOAT32_LEAST, FLOAT32_MOST = 1.2e-38, 3.4e38

# ---------------------------------------------------------------------------------------------------------------------
# The config: which fields there are, and what each accepts.


class ConfigError(ValueError):
    """A config that asks for something impossible, in one line."""


class Field(NamedTuple):
    """The type of a config field, the test that its value passes, and that test in words."""

    type: type
    test: Callable[[Any], bool]
    accepted: str


def _choice(table: Mapping[str, Any]) -> Field:
    return Field(str, lambda name: name in table, ", ".join(table))


def _whole(least: int) -> Field:
    return Field(int, lambda n: least <= n < 2**31, f"a whole number from {least}, below 2^31")


def _is_dataset(name: str) -> bool:
    return name in ("mnist", "synthetic") or (name.startswith(("idx:", "tfds:")) and not name.endswith(":"))


OPTIMIZERS = {"sgd": optax.sgd, "adam": optax.adam}

FIELDS: dict[str, Field] = {
    "dataset": Field(str, _is_dataset, input_pipeline.ACCEPTED),
    "train_examples": _whole(0),
    "validation": Field(str, lambda v: v == "test" or (v.isdecimal() and int(v) > 0), "'test' or a positive number"),
    "inputs": _whole(1),
    "classes": _whole(2),
    "hidden": Field(
        tuple,
        lambda sizes: len(sizes) > 0 and all(type(n) is int and 0 < n < 2**31 for n in sizes),
        "one or more positive whole numbers, such as 64 or 64,64",
    ),
    "activation": _choice(nets.activations.ACTIVATIONS),
    "output": _choice(nets.costs.OUTPUTS),
    "kernel_init": _choice(nets.mlp.KERNEL_INITS),
    "bias_init": _choice(nets.mlp.BIAS_INITS),
    "init_scale": Field(float, lambda x: 0 <= x < FLOAT32_MOST, "a finite number from 0"),
    "batch_norm": Field(bool, lambda _: True, "True or False"),
    "dropout": Field(float, lambda x: 0 <= x < 1, "a rate in [0, 1)"),
    "cost": _choice(nets.costs.COSTS),
    "optimizer": _choice(OPTIMIZERS),
    "learning_rate": Field(float, lambda x: FLOAT32_LEAST < x < FLOAT32_MOST, "a finite number above 0"),
    "momentum": Field(float, lambda x: 0 <= x < 1, "a number in [0, 1)"),
    "l2": Field(float, lambda x: 0 <= x < FLOAT32_MOST, "a finite number from 0"),
    "batch_size": _whole(1),
    "epochs": _whole(1),
    "seed": Field(int, lambda n: 0 <= n < 2**32, "a whole number in [0, 2^32)"),
    "checkpoint_every": _whole(1),
    "checkpoints_kept": _whole(1),
    "probes": Field(tuple, lambda _: True, f"any of {', '.join(probes.PROBES)}, or nothing"),
    "probe_every": _whole(1),
    "probe_examples": _whole(2),
}


def validate(config: Config) -> None:
    """Raises ConfigError, in one line, for a field that is unknown, missing, of the wrong type or out of range."""
    for name in config:
        if name not in FIELDS:
            raise ConfigError(f"unknown config field {name!r}{near_match(name, FIELDS)}; accepted: {', '.join(FIELDS)}")
    for name, field in FIELDS.items():
        if name not in config:
            raise ConfigError(f"config field {name!r} is missing; accepted: {field.accepted}")
        value = config[name]
        # A whole number is a fine float, but True is no number.
        fits = isinstance(value, field.type) or (field.type is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and field.type is not bool):
            raise ConfigError(f"config.{name}={value!r} is no {field.type.__name__}; accepted: {field.accepted}")
        if not field.test(value):
            near = near_match(value, field.accepted.split(", ")) if isinstance(value, str) else ""
            raise ConfigError(f"config.{name}={value!r} is not accepted{near}; accepted: {field.accepted}")
    for name in probes.groups(config):
        if name not in probes.PROBES:
            near = near_match(name, probes.PROBES)
            raise ConfigError(f"config.probes has {name!r}{near}; accepted: {FIELDS['probes'].accepted}")
    if config.optimizer == "adam" and config.momentum:
        raise ConfigError(f"config.momentum={config.momentum} is for sgd; adam has its own; accepted with adam: 0.0")
    try:
        nets.costs.get(config.cost, config.output)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_fits(config: Config, dataset: input_pipeline.Dataset) -> None:
    """Raises ConfigError where the data set does not fit the config's input size, classes or batch size."""
    examples, inputs = dataset.images.shape
    if inputs != config.inputs:
        raise ConfigError(f"config.inputs={config.inputs}, but images of {config.dataset} have {inputs} pixels")
    top = int(max(dataset.labels.max(), dataset.validation_labels.max()))
    if top >= config.classes:
        raise ConfigError(
            f"config.classes={config.classes}, but labels of {config.dataset} go up to {top}; "
            f"accepted: --config.classes={top + 1} or more"
        )
    if "noise" in probes.groups(config) and examples < 2:
        raise ConfigError(f"config.probes has 'noise', which needs 2 training examples or more; here is {examples}")
    if config.batch_size > examples:
        raise ConfigError(
            f"config.batch_size={config.batch_size} is more than the {examples} training examples; "
            f"accepted: 1 to {examples}"
        )


# ---------------------------------------------------------------------------------------------------------------------
# The pure functions of a run.


class Hyperparameters(NamedTuple):
    """The numbers of a run, as float32 scalars: arguments of the compiled program, so a new value never recompiles.

    `momentum` None keeps no velocity, which makes plain SGD a pass over the weights cheaper; an array, 0 included,
    makes it a run-time number (give the same kind to `init` and to `step`). `l2` adds l2/2 sum w^2 over the kernels
    to the cost that is descended, not to the cost that is reported: Nielsen's lambda is l2 times the number of
    training examples.
    """

    learning_rate: jax.Array
    momentum: jax.Array | None
    l2: jax.Array
    init_scale: jax.Array


class TrainState(NamedTuple):
    """All that changes in training, as arrays. `params` may be replaced by weights from elsewhere."""

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    dropout_key: jax.Array  # Raw key data: a checkpoint and numpy take it, a typed key they do not.


class Train(NamedTuple):
    """The pure functions of a run, each jitted; they compose with jit, vmap and shard_map.

    `init(hyperparameters, key) -> state`
    `step(state, hyperparameters, batch) -> (state, metrics)`, batch = (images_BxD, labels_B, weights_B): uint8 images
        are scaled by 1/255, floats taken as they are, weight 0 marks padding (of finite numbers; not all may
        be padding); metrics `loss`, `accuracy`, `examples`
    `epoch(state, hyperparameters, dataset, key) -> (state, metrics)`: every example of (images, labels, ...) once, in
        an order drawn from the key, as one lax.scan; metrics are the running means `loss` and `accuracy`
    `evaluate(state, images_NxD, labels_N) -> metrics`: `loss` and `accuracy` over all N
    """

    init: Callable[..., TrainState]
    step: Callable[..., tuple[TrainState, dict[str, jax.Array]]]
    epoch: Callable[..., tuple[TrainState, dict[str, jax.Array]]]
    evaluate: Callable[..., dict[str, jax.Array]]


def hyperparameters(config: Config) -> Hyperparameters:
    """The config's numeric fields."""
    return Hyperparameters(
        learning_rate=jnp.float32(config.learning_rate),
        momentum=jnp.float32(config.momentum) if config.momentum else None,
        l2=jnp.float32(config.l2),
        init_scale=jnp.float32(config.init_scale),
    )


def make_model(config: Config) -> nets.MLP:
    """The config's network."""
    return nets.MLP(
        hidden=tuple(config.hidden),
        classes=config.classes,
        activation=config.activation,
        output=config.output,
        kernel_init=config.kernel_init,
        bias_init=config.bias_init,
        batch_norm=config.batch_norm,
        dropout=float(config.dropout),
    )


def make_train(config: Config) -> Train:
    """The pure functions of the config's run; ConfigError for an impossible config, before anything is compiled."""
    validate(config)
    model, inputs, batch_size, optimizer = make_model(config), config.inputs, config.batch_size, config.optimizer
    cost = nets.costs.get(config.cost, config.output)

    def init(hyperparameters: Hyperparameters, key: jax.Array) -> TrainState:
        params_key, dropout_key = jax.random.split(key)
        drawn = model.init(params_key, jnp.zeros((1, inputs), jnp.float32))
        params = scale_kernels(drawn["params"], hyperparameters.init_scale)
        opt_state = make_optimizer(optimizer, hyperparameters).init(params)
        batch_stats = drawn.get("batch_stats", {})
        return TrainState(jnp.int32(0), params, batch_stats, opt_state, jax.random.key_data(dropout_key))

    def descend(state: TrainState, hyperparameters: Hyperparameters, batch):
        images_BxD, labels_B, weights_B = batch

        def mean_cost(params):
            logits_BxC, batch_stats = apply_in_training(model, state._replace(params=params), images_BxD, weights_B)
            return batch_metrics(cost, logits_BxC, labels_B, weights_B)["loss"], (logits_BxC, batch_stats)

        gradient, (logits_BxC, batch_stats) = jax.grad(mean_cost, has_aux=True)(state.params)
        update = make_optimizer(optimizer, hyperparameters).update
        updates, opt_state = update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, batch_stats, opt_state, state.dropout_key), logits_BxC

    def step(state: TrainState, hyperparameters: Hyperparameters, batch):
        state, logits_BxC = descend(state, hyperparameters, batch)
        return state, batch_metrics(cost, logits_BxC, *batch[1:])

    def epoch(state: TrainState, hyperparameters: Hyperparameters, dataset, key: jax.Array):
        images_NxD, labels_N = dataset[0], dataset[1]
        order_SxB, weights_SxB = batches(permutation(key, len(images_NxD)), batch_size)

        def one_step(state, rows):
            order_B, weights_B = rows
            return descend(state, hyperparameters, (images_NxD[order_B], labels_N[order_B], weights_B))

        # Small steps are faster when the metrics of all of them are taken at once, after the last.
        state, logits_SxBxC = jax.lax.scan(one_step, state, (order_SxB, weights_SxB))
        logits_MxC = logits_SxBxC.reshape(-1, logits_SxBxC.shape[-1])
        metrics = batch_metrics(cost, logits_MxC, labels_N[order_SxB.ravel()], weights_SxB.ravel())
        return state, {name: metrics[name] for name in ("loss", "accuracy")}

    def evaluate(state: TrainState, images_NxD: jax.Array, labels_N: jax.Array):
        order_SxB, weights_SxB = batches(jnp.arange(len(images_NxD)), min(EVALUATION_CHUNK, len(images_NxD)))

        def one_chunk(_, rows):
            order_B, weights_B = rows
            logits_BxC, _ = model.apply(variables(state), scale(images_NxD[order_B]))
            return None, batch_metrics(cost, logits_BxC, labels_N[order_B], weights_B)

        return weighted_means(jax.lax.scan(one_chunk, None, (order_SxB, weights_SxB))[1])

    return Train(jax.jit(init), jax.jit(step), jax.jit(epoch), jax.jit(evaluate))


def make_probe(config: Config) -> Callable[..., tuple[dict[str, jax.Array], dict[str, jax.Array]]]:
    """What measures the config's network: a pure function, jitted, that composes as those of `Train` do.

    `probe(state, hyperparameters, params_before, dataset, key) -> (metrics, activations)`: the measures of the groups
    in config.probes on the first config.probe_examples images, and each layer's outputs on them, [P, units];
    params_before are those of an epoch ago.
    """
    validate(config)
    model, optimizer, probe_examples = make_model(config), config.optimizer, config.probe_examples
    cost = nets.costs.get(config.cost, config.output)
    activation, groups, has_probabilities = config.activation, probes.groups(config), config.output != "identity"

    def probe(state: TrainState, hyperparameters: Hyperparameters, params_before, dataset, key: jax.Array):
        images_PxD, labels_P = dataset[0][:probe_examples], dataset[1][:probe_examples]
        batch = scale(images_PxD), jax.nn.one_hot(labels_P, model.classes)

        def cost_of(params, batch):
            logits_BxC, _ = model.apply(variables(state._replace(params=params)), batch[0])
            return cost.per_example(logits_BxC, batch[1])

        named: Any = model.apply(variables(state), batch[0])[1]
        gradient = jax.grad(lambda params: jnp.mean(cost_of(params, batch)))(state.params)
        updates, _ = make_optimizer(optimizer, hyperparameters).update(gradient, state.opt_state, state.params)
        probed = probes.Probed(
            activation=activation,
            named=named,
            outputs_PxC=named["output/a"] if has_probabilities else None,
            targets_PxC=batch[1],
            cost=cost_of,
            batch=batch,
            params=state.params,
            params_before=params_before,
            params_after=optax.apply_updates(state.params, updates),
            gradient=gradient,
            key=key,
        )
        metrics = {name: value for group in groups for name, value in probes.PROBES[group](probed).items()}
        return metrics, {layer: named[f"{layer}/a"] for layer in (*probes.hidden_layers(named), "output")}

    return jax.jit(probe)


class Data(NamedTuple):
    """What the programs of a run read: `training` is (images_NxK, labels_N) with the K inputs that `live_K` numbers, or
    all D of them where it is None; `probed` and `validation`, likewise images and labels, have all inputs."""

    training: tuple[Any, Any]
    live_K: Any
    probed: tuple[Any, Any]
    validation: tuple[Any, Any]


def make_data(config: Config, dataset: input_pipeline.Dataset) -> Data:
    """The data set as the programs of the config's run take it.

    An input that is zero in every training example, as 67 of MNIST's pixels are, gives its weights no gradient: they
    stay what they are, and training does without them. With L2 they decay, so that all inputs are kept.
    """
    live_K = None if config.l2 else np.flatnonzero(dataset.images.any(axis=0)).astype(np.int32)
    if live_K is None or len(live_K) in (0, config.inputs):
        live_K, images = None, dataset.images
    else:
        images = np.take(dataset.images, live_K, axis=1)
    probed = dataset.images[: config.probe_examples], dataset.labels[: config.probe_examples]
    validation = dataset.validation_images, dataset.validation_labels
    return Data((images, dataset.labels), live_K, probed, validation)


def on_data(epoch: Callable) -> Callable:
    """`Train.epoch` as a function of `Data`: only the weights of live inputs take part."""

    def reads_inputs(path) -> bool:
        return [getattr(key, "key", None) for key in path[-2:]] == ["hidden_0", "kernel"]

    def run(state: TrainState, hyperparameters: Hyperparameters, data: Data, key: jax.Array):
        live_K = data.live_K
        if live_K is None:
            return epoch(state, hyperparameters, data.training, key)
        take = lambda path, leaf: leaf[live_K] if reads_inputs(path) else leaf  # noqa: E731
        put = lambda path, leaf, after: leaf.at[live_K].set(after) if reads_inputs(path) else after  # noqa: E731
        after, metrics = epoch(jax.tree.map_with_path(take, state), hyperparameters, data.training, key)
        return jax.tree.map_with_path(put, state, after), metrics

    return run


def variables(state: TrainState) -> dict:
    """The state's Flax variables, as `model.apply` takes them."""
    return {"params": state.params, "batch_stats": state.batch_stats}


def scale(images_BxD: jax.Array) -> jax.Array:
    """uint8 pixels as floats in [0, 1]; floats as they are."""
    return images_BxD.astype(jnp.float32) * (1 / 255) if images_BxD.dtype == jnp.uint8 else images_BxD


def is_kernel(path) -> bool:
    """Whether a parameter's path in the tree names a dense kernel: what init_scale and l2 apply to."""
    return path[-1].key == "kernel"


def scale_kernels(params: Any, factor: jax.Array) -> Any:
    """The parameters with every kernel multiplied by the factor."""
    return jax.tree.map_with_path(lambda path, leaf: leaf * factor if is_kernel(path) else leaf, params)


def apply_in_training(model: nets.MLP, state: TrainState, images_BxD: jax.Array, weights_B: jax.Array):
    """Logits of a training batch, with dropout and batch statistics of the examples that count; the new statistics."""
    dropout_key = jax.random.fold_in(jax.random.wrap_key_data(state.dropout_key), state.step)
    (logits_BxC, _), mutated = model.apply(
        variables(state),
        scale(images_BxD),
        train=True,
        mask_B=weights_B > 0,
        rngs={"dropout": dropout_key},
        mutable=["batch_stats"],
    )
    return logits_BxC, mutated.get("batch_stats", {})


def make_optimizer(name: str, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
    """Optax's transformation for numbers that may be traced: L2 on the kernels, then SGD or Adam (Keras's epsilon)."""
    kernels = lambda params: jax.tree.map_with_path(lambda path, _: is_kernel(path), params)  # noqa: E731
    if name == "adam":
        descent = optax.adam(hyperparameters.learning_rate, eps=1e-7)
    else:
        descent = optax.sgd(hyperparameters.learning_rate, hyperparameters.momentum)
    return optax.chain(optax.add_decayed_weights(hyperparameters.l2, mask=kernels), descent)


def batch_metrics(cost: nets.costs.Cost, logits_BxC, labels_B, weights_B) -> dict[str, jax.Array]:
    """Means over the batch of the cost and of correct answers, padding left out, and the number of examples."""
    targets_BxC = jax.nn.one_hot(labels_B, logits_BxC.shape[-1], dtype=logits_BxC.dtype)
    examples = jnp.sum(weights_B)
    loss = jnp.sum(cost.per_example(logits_BxC, targets_BxC) * weights_B) / examples
    accuracy = jnp.sum(nets.costs.correct(logits_BxC, labels_B) * weights_B) / examples
    return {"loss": loss, "accuracy": accuracy, "examples": examples}


def weighted_means(metrics_S: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The means over S batches, each weighted by its number of examples."""
    share_S = metrics_S["examples"] / jnp.sum(metrics_S["examples"])
    return {name: jnp.sum(metrics_S[name] * share_S) for name in ("loss", "accuracy")}


def batches(order_N: jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
    """An order of examples cut into S batches: indices_SxB and weights_SxB, 0 for the padding of the last batch."""
    count = len(order_N)
    steps = -(-count // batch_size)
    padding = (0, steps * batch_size - count)
    weights_SxB = jnp.pad(jnp.ones(count, jnp.float32), padding).reshape(steps, batch_size)
    return jnp.pad(order_N, padding).reshape(steps, batch_size), weights_SxB


def permutation(key: jax.Array, count: int, rounds: int = 8) -> jax.Array:
    """A random order of 0 ... count-1, for large counts far faster than jax.random.permutation.

    That one sorts twice, which on a CPU is much of an epoch of the shallow net. Here the numbers lie on a grid of
    about sqrt(count) rows and columns, and each of the rounds shifts every row by a random amount of its own, then
    every column: a generalized Feistel network with random round functions (Black & Rogaway 2002). Numbers that land
    on the few cells beyond the count walk on until they land inside it.
    """
    if count < 1024:  # The sort costs nothing there, and few rows and columns would mix less well.
        return jax.random.permutation(key, count)
    rows = math.isqrt(count - 1) + 1
    columns = -(-count // rows)
    # One draw, since each is slow to compile; the remainders are even to columns / 2^32.
    bits = jax.random.bits(key, (rounds, rows + columns))
    row_shifts = (bits[:, :rows] % columns).astype(jnp.int32)
    column_shifts = (bits[:, rows:] % rows).astype(jnp.int32)

    def mix(n: jax.Array) -> jax.Array:
        def one_round(i, cell):
            row, column = cell
            column = column + row_shifts[i][row]
            column = jnp.where(column >= columns, column - columns, column)
            row = row + column_shifts[i][column]
            return jnp.where(row >= rows, row - rows, row), column

        row, column = jax.lax.fori_loop(0, rounds, one_round, (n // columns, n % columns))
        return row * columns + column

    def walk(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        n, moves = carry
        n = jnp.where(moves, mix(n), n)
        return n, n >= count

    everywhere = jnp.ones(count, bool)
    return jax.lax.while_loop(lambda carry: jnp.any(carry[1]), walk, (jnp.arange(count), everywhere))[0]


# XLA's options for its CPU backend, which other backends refuse. What runs every epoch is as fast with LLVM's first
# optimizations alone, which compile sooner; the initial draw runs once, so that it is not optimized at all. An epoch is
# faster without the YNN kernels, whose matrix products are slower than Eigen's at the shapes of a batch. Thousands of
# examples at a time need them: on a busy machine Eigen's product of so many rows now and then takes the first 96 of
# them from what was in the memory before (jaxlib 0.10.2).
FAST_TO_COMPILE = {"xla_backend_optimization_level": 0}
LARGE_PRODUCTS = {"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": True}
FAST_TO_RUN = LARGE_PRODUCTS | {"xla_cpu_experimental_ynn_fusion_type": ""}
MOST_ROWS_OF_EIGEN = 256


def epoch_options(batch_size: int) -> dict[str, Any]:
    """The options with which an epoch of batches of that size is compiled."""
    return FAST_TO_RUN if batch_size <= MOST_ROWS_OF_EIGEN else LARGE_PRODUCTS


def compiled(function: Callable, *arguments, cpu_options: dict[str, Any], donate: tuple[int, ...] = ()) -> Callable:
    """The function compiled for arguments of these shapes, with options for the CPU backend."""
    options = cpu_options if jax.default_backend() == "cpu" else None
    return jax.jit(function, donate_argnums=donate, compiler_options=options).lower(*arguments).compile()


# ---------------------------------------------------------------------------------------------------------------------
# A run with everything that it leaves on disk and prints.


class DivergedError(Exception):
    """A cost that is no longer a number, in one line."""


def train_and_evaluate(
    config: Config, workdir: str | Path, data_dir: str = input_pipeline.DEFAULT_DATA_DIR
) -> list[dict[str, Any]]:
    """Trains into the run directory, or goes on with the interrupted run there; returns the rows of metrics.jsonl.

    Raises, before anything is written, ConfigError, input_pipeline.DataError or run_directory.RunError;
    later RunError where the disk fails, and DivergedError when an epoch's cost is not finite. Metrics so far are kept.
    """
    validate(config)
    run_directory.check(workdir, config)
    if rows := run_directory.finished(workdir, config):
        print(f"{workdir} holds this run, finished after {len(rows)} epochs; nothing was changed.")
        print(conclusion(rows))
        return rows
    with ThreadPoolExecutor() as pool:
        drawing = pool.submit(initial_state, config)  # It compiles while the data set is read.
        dataset = load_dataset(config, data_dir)
    with run_directory.RunDirectory(workdir, config) as run:
        print(summary(config))
        state = fit(config, dataset, run, drawing.result())
        confusion_CxC = confusion_matrix(config, state, dataset)
        run.draw_figures(dataset, jax.device_get(state.params), confusion_CxC, uniform_guess_cost(config))
        print(conclusion(run.rows))
        print(f"Written to {workdir}: {', '.join(run.contents())}")
        return run.rows


def load_dataset(config: Config, data_dir: str) -> input_pipeline.Dataset:
    """The config's data set, split as it says and checked to fit."""
    dataset = input_pipeline.load(config.dataset, data_dir, config.validation)
    dataset = input_pipeline.split(dataset, config.train_examples, config.validation)
    check_fits(config, dataset)
    return dataset


def run_keys(seed: int | jax.Array) -> tuple[jax.Array, jax.Array]:
    """The keys of a run's initial draw and of its shuffling, the same in every run with that seed."""
    key = jax.random.key(seed)
    return jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)


def probe_key(seed: int | jax.Array) -> jax.Array:
    """The key of a run's probes: one for all epochs, so that what is drawn does not move from one to the next."""
    return jax.random.fold_in(jax.random.key(seed), 2)


def initial_state(config: Config) -> TrainState:
    """The state of the config's run before its first step."""
    arguments = hyperparameters(config), run_keys(config.seed)[0]
    return compiled(make_train(config).init, *arguments, cpu_options=FAST_TO_COMPILE)(*arguments)


class Programs(NamedTuple):
    """The compiled functions that the epochs of a run call."""

    epoch: Callable
    evaluate: Callable
    probe: Any  # None where nothing is probed.


def compile_programs(config: Config, data: Data, pool: Executor) -> list[Future]:
    """Starts compiling `Programs` for a run on the data, in their order; `epoch` uses its state up."""
    train, numbers, key = make_train(config), hyperparameters(config), run_keys(config.seed)[1]
    state, data = jax.eval_shape(train.init, numbers, key), jax.eval_shape(lambda data: data, data)
    training, probing = (state, numbers, data, key), (state, numbers, state.params, data.probed, key)
    options = epoch_options(config.batch_size)
    return [
        pool.submit(compiled, on_data(train.epoch), *training, cpu_options=options, donate=(0,)),
        pool.submit(compiled, train.evaluate, state, *data.validation, cpu_options=LARGE_PRODUCTS),
        pool.submit(compiled, make_probe(config), *probing, cpu_options=LARGE_PRODUCTS)
        if probes.groups(config)
        else pool.submit(lambda: None),
    ]


def fit(
    config: Config, dataset: input_pipeline.Dataset, run: run_directory.RunDirectory, state: TrainState
) -> TrainState:
    """The epochs that are missing in the run directory, each printed and recorded there, from the given state where
    it holds no checkpoint; returns the final state."""
    numbers, shuffle_key, key_of_probes = hyperparameters(config), run_keys(config.seed)[1], probe_key(config.seed)
    data = make_data(config, dataset)
    with ThreadPoolExecutor() as pool:
        compiling = compile_programs(config, data, pool)
        state, done = run.restore(state)
        data = jax.device_put(data)
        programs = Programs(*(future.result() for future in compiling))
    if done:
        print(f"Going on after epoch {done} of {config.epochs}.")
    steps = -(-len(dataset.images) // config.batch_size)
    with tqdm(total=config.epochs, initial=done, unit="epoch", leave=False, disable=not sys.stdout.isatty()) as bar:
        for number in range(done + 1, config.epochs + 1):
            start = time.perf_counter()
            is_probed = probes.is_probed(config, number)
            before = jax.tree.map(jnp.copy, state.params) if is_probed else None
            state, metrics = programs.epoch(state, numbers, data, jax.random.fold_in(shuffle_key, number))
            validation = programs.evaluate(state, *data.validation)
            metrics |= {f"val_{name}": value for name, value in validation.items()}
            probed = programs.probe(state, numbers, before, data.probed, key_of_probes) if is_probed else ({}, {})
            metrics, (measured, activations) = jax.device_get((metrics, probed))
            row = {"epoch": number} | {name: as_number(metrics[name]) for name in METRICS}
            row["seconds"] = round(time.perf_counter() - start, 4)
            row |= {name: as_number(measured[name]) for name in sorted(measured, key=natural_order)}
            bar.write(epoch_line(row, config.epochs, steps))
            sys.stdout.flush()
            bar.update()
            run.record(row, activations)
            if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
                raise DivergedError(diverged_line(row, config))
            if number % config.checkpoint_every == 0 or number == config.epochs:
                run.save(number, state)
    return state


def as_number(value: Any) -> float:
    """A float32 scalar by way of str, since its own shortest digits read better than their float64 expansion."""
    return float(str(np.float32(value)))


def natural_order(name: str) -> list[str | int]:
    """A sorting key that puts hidden_2 before hidden_10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def epoch_line(row: dict[str, Any], epochs: int, steps: int) -> str:
    """`Epoch 7/200  469 steps  0.12s  loss: 0.0889  accuracy: 0.1682  val_loss: 0.0887  val_accuracy: 0.1933`."""
    metrics = "  ".join(f"{name}: {row[name]:.4f}" for name in METRICS)
    return f"Epoch {row['epoch']}/{epochs}  {steps} steps  {row['seconds']:.2f}s  {metrics}{saturation_words(row)}"


def saturation_words(row: Mapping[str, Any]) -> str:
    """`  saturated: 0.012 0.340`, the saturated fraction of each hidden layer, where it was probed; `zero` of ReLUs."""
    words = ""
    for label, measure in (("saturated", "saturation/"), ("zero", "zero_fraction/")):
        fractions = [f"{value:.3f}" for name, value in row.items() if name.startswith(measure)]
        words += f"  {label}: {' '.join(fractions)}" if fractions else ""
    return words


def diverged_line(row: dict[str, Any], config: Config) -> str:
    """What a run that has lost its cost says last."""
    return (
        f"the cost is {row['loss']} (validation {row['val_loss']}) at epoch {row['epoch']}; metrics up to there are "
        f"kept; try a smaller learning rate than {config.learning_rate:g}"
    )


def conclusion(rows: list[dict[str, Any]]) -> str:
    """The best and the final validation accuracy of a run."""
    best, last = max(rows, key=lambda row: row["val_accuracy"]), rows[-1]
    return (
        f"Best val_accuracy {best['val_accuracy']:.4f} at epoch {best['epoch']}; final val_accuracy "
        f"{last['val_accuracy']:.4f}, val_loss {last['val_loss']:.4f} at epoch {last['epoch']}."
    )


def uniform_guess_cost(config: Config) -> float:
    """The cost of giving every class the same share: the plateau that a run starts from."""
    share_1xC = jnp.full((1, config.classes), 1 / config.classes)
    logits_1xC = {"softmax": jnp.zeros_like(share_1xC), "sigmoid": jnp.log(share_1xC / (1 - share_1xC))}
    targets_1xC = jnp.eye(1, config.classes)
    cost = nets.costs.get(config.cost, config.output)
    return float(cost.per_example(logits_1xC.get(config.output, share_1xC), targets_1xC)[0])


def summary(config: Config) -> str:
    """The layers of the config's network as a table: output shape and number of parameters."""
    state = jax.eval_shape(make_train(config).init, hyperparameters(config), jax.random.key(0))
    counts: dict[str, int] = {}
    for tree in (state.params, state.batch_stats):
        for layer, leaves in tree.items():
            counts[layer] = counts.get(layer, 0) + sum(leaf.size for leaf in jax.tree.leaves(leaves))
    lines = [f"{'Layer':<28}{'Output shape':<16}{'Parameters':>10}"]
    for i, units in enumerate(config.hidden):
        lines.append(f"{f'hidden_{i} ({config.activation})':<28}{f'(B, {units})':<16}{counts[f'hidden_{i}']:>10,}")
        if config.batch_norm:
            lines.append(f"{f'batch_norm_{i}':<28}{f'(B, {units})':<16}{counts[f'batch_norm_{i}']:>10,}")
    if config.dropout:
        lines.append(f"{f'dropout ({config.dropout:g})':<28}{f'(B, {config.hidden[-1]})':<16}{0:>10,}")
    lines.append(f"{f'output ({config.output})':<28}{f'(B, {config.classes})':<16}{counts['output']:>10,}")
    total, trainable = sum(counts.values()), sum(leaf.size for leaf in jax.tree.leaves(state.params))
    note = "" if total == trainable else f"  ({trainable:,} trainable)"
    width = len(lines[0])
    return "\n".join([lines[0], "-" * width, *lines[1:], "-" * width, f"{'total':<44}{total:>10,}{note}"])


def confusion_matrix(config: Config, state: TrainState, dataset: input_pipeline.Dataset) -> np.ndarray:
    """Validation examples by true label (row) and predicted label (column), [C, C]."""
    model = make_model(config)
    predict = jax.jit(lambda images_BxD: jnp.argmax(model.apply(variables(state), scale(images_BxD))[0], axis=-1))
    images, labels = dataset.validation_images, dataset.validation_labels
    chunks = range(0, len(images), EVALUATION_CHUNK)
    predicted = np.concatenate([predict(images[start : start + EVALUATION_CHUNK]) for start in chunks])
    confusion_CxC = np.zeros((config.classes, config.classes), int)
    np.add.at(confusion_CxC, (labels, predicted), 1)
    return confusion_CxC


def evaluate_only(config: Config, workdir: str | Path, data_dir: str = input_pipeline.DEFAULT_DATA_DIR) -> None:
    """Prints loss, accuracy and accuracy by class of the run's last checkpoint on the validation set."""
    validate(config)
    run_directory.check_exists(workdir)
    run_directory.check(workdir, config)
    dataset = load_dataset(config, data_dir)
    state, epoch = run_directory.restore(workdir, initial_state(config))
    if not epoch:
        raise run_directory.RunError(f"{workdir} holds no checkpoint that can be used; accepted: a run with one")
    metrics = make_train(config).evaluate(state, dataset.validation_images, dataset.validation_labels)
    confusion_CxC = confusion_matrix(config, state, dataset)
    print(f"Checkpoint of epoch {epoch} in {workdir} on {len(dataset.validation_labels):,} validation examples")
    print(f"val_loss: {float(metrics['loss']):.4f}  val_accuracy: {float(metrics['accuracy']):.4f}")
    print(f"{'class':>5}  {'examples':>8}  {'correct':>7}  {'accuracy':>8}")
    for label, row in enumerate(confusion_CxC):
        accuracy = f"{row[label] / row.sum():.4f}" if row.sum() else "none"
        print(f"{label:>5}  {row.sum():>8,}  {row[label]:>7,}  {accuracy:>8}")


# ---------------------------------------------------------------------------------------------------------------------
# The command line.

USER_ERRORS = (ConfigError, input_pipeline.DataError, run_directory.RunError, DivergedError, OSError)
CONFIGS = Path(__file__).parent / "configs"


def define_config_flags() -> None:
    """The flags of every command that takes a config."""
    config_flags.DEFINE_config_file("config", None, "The run: a file of configs/, as FILE.py or FILE.py:VARIANT.")
    flags.DEFINE_string("workdir", None, "The run's folder; an interrupted run there goes on. [runs/CONFIG-TIME]")
    flags.DEFINE_string("data_dir", input_pipeline.DEFAULT_DATA_DIR, "Where TensorFlow Datasets keeps prepared data.")


def define_flags() -> None:
    """The flags of this command."""
    define_config_flags()
    flags.DEFINE_bool("evaluate_only", False, "Evaluate the last checkpoint in --workdir and train nothing.")


def given_config(arguments: list[str]) -> str:
    """What --config was given on the command line, '' where it was not."""
    given = ""
    for i, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in ("--config", "-config"):
            given = value if equals else "".join(arguments[i + 1 : i + 2])
    return given


def parse_flags(arguments: list[str]) -> list[str]:
    """Parses the command line; whatever is wrong with it, or with the config file that it names, ends in one line."""
    for argument in arguments:
        flag, dot, name = argument.partition("=")[0].partition(".")
        if flag in ("--config", "-config") and dot and name not in FIELDS:
            console.fail(f"unknown config field {name!r}{near_match(name, FIELDS)}; accepted: {', '.join(FIELDS)}")
    given = given_config(arguments)
    files = [f"configs/{path.name}" for path in sorted(CONFIGS.glob("[!_]*.py"))]
    file = given.partition(":")[0]
    if given and not Path(file).is_file():
        console.fail(
            f"no config file {file!r}{near_match(file, files)}; accepted: {', '.join(files)}, or a file of your own"
        )
    try:
        rest = console.parse_flags(arguments)
        config = flags.FLAGS.config
    except Exception as error:  # A config file may raise anything.
        console.fail(f"the config {given} cannot be loaded: {type(error).__name__}: {error}")
    if given and not isinstance(config, ConfigDict):
        console.fail(f"the config {given} cannot be used: its get_config() gives {config!r}; accepted: a ConfigDict")
    if config is None and not getattr(flags.FLAGS, "evaluate_only", False):
        console.fail(f"--config is missing; accepted: {', '.join(files)}, or a file of your own")
    return rest


def default_workdir(arguments: list[str]) -> str:
    """`runs/<config>-<time>`, with the variant of a config in its name, and microseconds: runs may start together."""
    file, _, variant = given_config(arguments).partition(":")
    name = "-".join(filter(None, (Path(file).stem, variant)))
    return str(Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S-%f}")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.FATAL)  # Orbax logs what it raises.
    workdir, config, data_dir = flags.FLAGS.workdir, flags.FLAGS.config, flags.FLAGS.data_dir
    if flags.FLAGS.evaluate_only and workdir is None:
        console.fail("--evaluate_only needs --workdir; accepted: the folder of a run")
    workdir = workdir or default_workdir(sys.argv)
    try:
        if flags.FLAGS.evaluate_only:
            run_directory.check_exists(workdir)
            evaluate_only(config or ConfigDict(run_directory.read_config(workdir)), workdir, data_dir)
        else:
            train_and_evaluate(config, workdir, data_dir)
    except USER_ERRORS as error:
        console.fail(error)
    except jax.errors.JaxRuntimeError as error:
        if "memory" not in str(error).lower():
            raise
        console.fail(f"the network does not fit in memory: {str(error).splitlines()[0]}")
    except KeyboardInterrupt:
        goes_on = "" if flags.FLAGS.evaluate_only else f"; the same command with --workdir={workdir} goes on from there"
        print(f"\ninterrupted{goes_on}")
        sys.exit(130)


if __name__ == "__main__":
    define_flags()
    app.run(main, flags_parser=parse_flags)
