"""What advice is made of: a config's net, measured at the start of its run, after its first epochs, and at other
initial scales. Any model that a config takes; the test set is not looked at.

K probe sets, P examples of each, D inputs, N training examples, F factors on the initial kernels, S draws.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
import train
from training.batches import make_data, on_data
from training.compiling import compiled, options_for
from training.config import Config, ConfigError, hyperparameters
from training.screen import natural_order

SETS, DRAWS = 5, 3
FACTORS = tuple(2.0**power for power in range(-4, 5))
GROUPS = ("saturation", "speed", "curvature", "noise")


class Parts(NamedTuple):
    """The training set cut up: the probe sets, [K, P, ...], which are drawn at random and at most half of it, and the
    rest, on which checks train."""

    images_KxPxD: np.ndarray
    labels_KxP: np.ndarray
    rest: tuple[np.ndarray, np.ndarray]

    @property
    def examples(self) -> int:
        """How many examples the training set has."""
        return self.labels_KxP.shape[0] * self.labels_KxP.shape[1] + len(self.rest[0])

    def probe_set(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of one of them."""
        return self.images_KxPxD[number], self.labels_KxP[number]

    def without(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of all of them but that one."""
        images, labels = (np.delete(part, number, axis=0) for part in (self.images_KxPxD, self.labels_KxP))
        return images.reshape(-1, *images.shape[2:]), labels.reshape(-1, *labels.shape[2:])

    def other_sets(self, seed: int, count: int, most: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Images and labels of so many sets that share nothing, drawn from the rest, each of as many examples as a
        probe set has, at most so many, and fewer where the rest has not as many."""
        images, labels = self.rest
        size = min(self.labels_KxP.shape[1], most, len(labels) // count)
        drawn_KxP = np.random.default_rng(seed).permutation(len(labels))[: count * size].reshape(count, size)
        return [(images[drawn_P], labels[drawn_P]) for drawn_P in drawn_KxP]

    def pooled(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of all of them, at most so many."""
        images, labels = (np.concatenate(list(part))[:most] for part in (self.images_KxPxD, self.labels_KxP))
        return images, labels


def seed_after(config: Config, number: int) -> int:
    """The seed that comes so many after the config's; after the last one comes 0."""
    return (config.seed + number) % 2**32


class Point(NamedTuple):
    """What is measured after some epochs: each measure on every probe set, [K]; the training cost of the last epoch,
    NaN at the start; and the state."""

    epoch: int
    loss: float
    measured: Mapping[str, np.ndarray]
    state: train.TrainState


class Measured(NamedTuple):
    """What is measured of a net: its course, and `slope_mass` and `speed` of its layers at each initial scale, [F, S].

    `diverged` is the epoch in which the config's own rate has left the numbers, 0 where it has not; `has_statistics`
    says whether the net has running statistics, as batch normalization keeps them.
    """

    points: list[Point]
    factors: tuple[float, ...]
    scales: Mapping[str, np.ndarray]
    diverged: int
    has_statistics: bool
    parameters: int


def cut(config: Config, dataset: input_pipeline.Dataset, sets: int = SETS) -> Parts:
    """The training set as `Parts`: sets of config.probe_examples each, fewer where that would be more than half;
    ConfigError where less than two are left for each."""
    count = len(dataset.images)
    size = min(config.probe_examples, count // (2 * sets))
    if size < 2:
        raise ConfigError(f"{count} training examples are too few to measure on; accepted: {4 * sets} or more")
    order_N = np.random.default_rng(config.seed).permutation(count)
    probes_KxP, rest = order_N[: sets * size].reshape(sets, size), np.sort(order_N[sets * size :])
    return Parts(dataset.images[probes_KxP], dataset.labels[probes_KxP], (dataset.images[rest], dataset.labels[rest]))


def course(
    config: Config, dataset: input_pipeline.Dataset, epochs: int
) -> Iterator[tuple[int, float, train.TrainState]]:
    """(epoch, training cost of it, state) of the config's own run, at the start and after each of so many epochs: the
    states that `train.py` goes through, to the bit."""
    state, functions, data = train.initial_state(config), train.make_train(config), make_data(config, dataset)
    yield 0, float("nan"), state
    if not epochs:
        return
    numbers, key = hyperparameters(config, len(dataset.images)), train.run_keys(config.seed)[1]
    options, data = options_for(config.batch_size, config.has_own_model), jax.device_put(data)
    epoch = compiled(on_data(functions.epoch), state, numbers, data, key, cpu_options=options)
    for number in range(1, epochs + 1):
        state, metrics = epoch(state, numbers, data, jax.random.fold_in(key, number))
        yield number, float(metrics["loss"]), state


def make_measure(
    config: Config, groups: tuple[str, ...], parts: Parts
) -> Callable[[train.TrainState, int], dict[str, float]]:
    """measure(state, number) -> {measure: value} of those groups on the probe set of that number."""
    size = parts.labels_KxP.shape[1]
    probed = config.replace(probes=groups, probe_examples=size)
    numbers = hyperparameters(config, parts.examples)
    key = train.probe_key(config.seed)
    state = train.state_shapes(config)
    options = options_for(max(size, train.EVALUATION_CHUNK), config.has_own_model)
    probe = compiled(
        train.make_probe(probed), state, numbers, state.params, parts.probe_set(0), key, cpu_options=options
    )

    def measure(state: train.TrainState, number: int) -> dict[str, float]:
        found, _ = probe(state, numbers, state.params, parts.probe_set(number), jax.random.fold_in(key, number))
        return {name: float(value) for name, value in jax.device_get(found).items()}

    return measure


def measure_scales(config: Config, parts: Parts) -> dict[str, np.ndarray]:
    """`slope_mass` and `speed` of every layer by initial scale and draw, [F, S], on the first probe set; the scales are
    FACTORS times the config's own."""
    measure, init = make_measure(config, ("saturation", "speed"), parts), jax.jit(train.make_train(config).init)
    numbers = hyperparameters(config, parts.examples)
    found: dict[str, np.ndarray] = {}
    for f, factor in enumerate(FACTORS):
        scaled = numbers._replace(init_scale=jnp.float32(config.init_scale * factor))
        for s in range(DRAWS):
            measured = measure(init(scaled, train.run_keys(seed_after(config, s))[0]), 0)
            for name, value in measured.items():
                if name.partition("/")[0] in ("slope_mass", "speed"):
                    found.setdefault(name, np.full((len(FACTORS), DRAWS), np.nan))[f, s] = value
    return found


def measure_net(
    config: Config, dataset: input_pipeline.Dataset, parts: Parts, epochs: int, say: Callable[[str], Any] = print
) -> Measured:
    """All that advice is made of, with a line of progress to `say` for each point."""
    say(f"Measuring at {len(FACTORS)} initial scales ...")
    scales = measure_scales(config, parts)
    measure, points, diverged = make_measure(config, GROUPS, parts), list[Point](), 0
    for epoch, loss, state in course(config, dataset, epochs):
        if not (epoch == 0 or np.isfinite(loss)):
            diverged = epoch
            break
        say(f"Measuring {'at the start' if not epoch else f'after epoch {epoch}'} ...")
        of_sets = [measure(state, number) for number in range(len(parts.labels_KxP))]
        measured = {
            name: np.array([found[name] for found in of_sets]) for name in sorted(of_sets[0], key=natural_order)
        }
        points.append(Point(epoch, loss, measured, state))
    first = points[0].state
    parameters = sum(leaf.size for leaf in jax.tree.leaves(first.params))
    return Measured(points, FACTORS, scales, diverged, bool(jax.tree.leaves(first.batch_stats)), parameters)
