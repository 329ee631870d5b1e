"""Batches of a data set: how it is laid out for training, and the random order in which an epoch goes through it.

B batch, D inputs, K inputs that are not always zero, N examples, S steps of an epoch.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
from training.config import AnyConfig, Hyperparameters, as_config
from training.optimizers import Path

State = TypeVar("State")
Metrics: TypeAlias = dict[str, jax.Array]
# `Train.epoch`: (state, hyperparameters, (images_NxD, labels_N), key) -> (state, metrics).
Epoch: TypeAlias = Callable[[State, Hyperparameters, tuple[Any, Any], jax.Array], tuple[State, Metrics]]


class Data(NamedTuple):
    """What the programs of a run read: `training` is (images_NxK, labels_N) with the K inputs that `live_K` numbers, or
    all D of them where it is None; `probed`, `validation` and `test`, likewise images and labels, have all inputs; the
    last is None where there is no test set beside the validation examples."""

    training: tuple[Any, Any]
    live_K: Any
    probed: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any] | None = None


def make_data(config: AnyConfig, dataset: input_pipeline.Dataset) -> Data:
    """The data set as the programs of the config's run take it.

    An input that is zero in every training example, as 67 of MNIST's pixels are, gives its weights no gradient: they
    stay what they are, and training does without them. With L2 or AdamW they decay, so that all inputs are kept, as for
    a model of one's own.
    """
    config = as_config(config)
    live_K = (
        None if config.decays or config.has_own_model else np.flatnonzero(dataset.images.any(axis=0)).astype(np.int32)
    )
    if live_K is None or len(live_K) in (0, config.inputs):
        live_K, images = None, dataset.images
    else:
        images = np.take(dataset.images, live_K, axis=1)
    probed = dataset.images[: config.probe_examples], dataset.labels[: config.probe_examples]
    validation = dataset.validation_images, dataset.validation_labels
    test = (dataset.test_images, dataset.test_labels) if dataset.has_test else None
    return Data((images, dataset.labels), live_K, probed, validation, test)


def first_layer(state: Any) -> str:
    """The name of the layer that reads the inputs, in a state or in parameters: the output, where none is hidden."""
    names = {getattr(key, "key", None) for path, _ in jax.tree.leaves_with_path(state) for key in path}
    return "hidden_0" if "hidden_0" in names else "output"


def on_data(epoch: Epoch[State]) -> Callable[[State, Hyperparameters, Data, jax.Array], tuple[State, Metrics]]:
    """`Train.epoch` as a function of `Data`: only the weights of live inputs take part."""

    def run(state: State, hyperparameters: Hyperparameters, data: Data, key: jax.Array) -> tuple[State, Metrics]:
        live_K = data.live_K
        if live_K is None:
            return epoch(state, hyperparameters, data.training, key)

        first = first_layer(state)

        def reads_inputs(path: Path) -> bool:
            return [getattr(key, "key", None) for key in path[-2:]] == [first, "kernel"]

        def take(path: Path, leaf: jax.Array) -> jax.Array:
            return leaf[live_K] if reads_inputs(path) else leaf

        def put(path: Path, leaf: jax.Array, after: jax.Array) -> jax.Array:
            return leaf.at[live_K].set(after) if reads_inputs(path) else after

        after, metrics = epoch(jax.tree.map_with_path(take, state), hyperparameters, data.training, key)
        return jax.tree.map_with_path(put, state, after), metrics

    return run


def scale(images_BxD: jax.Array) -> jax.Array:
    """uint8 pixels as floats in [0, 1]; floats as they are."""
    return images_BxD.astype(jnp.float32) * (1 / 255) if images_BxD.dtype == jnp.uint8 else images_BxD


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
        return jax.random.permutation(key, jnp.arange(count, dtype=jnp.int32))
    rows = math.isqrt(count - 1) + 1
    columns = -(-count // rows)
    # One draw, since each is slow to compile; the remainders are even to columns / 2^32.
    bits = jax.random.bits(key, (rounds, rows + columns), jnp.uint32)
    row_shifts = (bits[:, :rows] % columns).astype(jnp.int32)
    column_shifts = (bits[:, rows:] % rows).astype(jnp.int32)

    def mix(n: jax.Array) -> jax.Array:
        def one_round(i: jax.Array, cell: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
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

    start = jnp.arange(count, dtype=jnp.int32), jnp.ones(count, bool)
    return jax.lax.while_loop(lambda carry: jnp.any(carry[1]), walk, start)[0]
