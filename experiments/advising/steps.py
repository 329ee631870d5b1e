"""Some steps from a state on, with all of given examples or batches that are drawn from them, at a grid of rates.

B batch, R rates, S seeds, M steps.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import train
from experiments.advising import edges
from experiments.advising.edges import plain
from experiments.engine import lanes
from training.compiling import compiled, options_for
from training.config import Config
from training.metrics import batch_metrics
from training.models import cost_of, make_model

RATES, STEPS, MOST_BATCH = tuple(2.0**power for power in range(-3, 2)), 32, 2048
Examples: TypeAlias = tuple[np.ndarray, np.ndarray]
CostsOf: TypeAlias = Callable[[Sequence[float]], np.ndarray]
# What is seen of a lane: look(state, held-out images, labels, key) -> a tree of numbers.
Look: TypeAlias = Callable[[train.TrainState, jax.Array, jax.Array, jax.Array], Any]
# run(seeds, rates, training, held_out) -> what is seen, [S, M + 1, R].
Run: TypeAlias = Callable[[Sequence[int], Sequence[float], Examples, Examples], Any]


def cost_look(config: Config) -> Look:
    """What it costs. Running statistics lag behind, so that with them it is the cost as in training, where the examples
    that are looked at are one batch."""
    evaluate, model, cost = train.make_train(plain(config)).evaluate, make_model(plain(config)), cost_of(config)

    def look(state: train.TrainState, images: jax.Array, labels: jax.Array, key: jax.Array) -> jax.Array:
        if jax.tree.leaves(state.batch_stats):
            ones_B = jnp.ones(len(labels))
            logits_BxC, _ = model.apply_in_training(state.params, state.batch_stats, images, ones_B, key)
            return batch_metrics(cost, logits_BxC, labels, ones_B)["loss"]
        return evaluate(state, images, labels)["loss"]

    return look


def make_run(
    config: Config,
    state: train.TrainState,
    batch_size: int,
    like: tuple[Examples, Examples],
    look: Look,
    seeds: int,
    every_step: bool = True,
    count: int = len(RATES),
) -> Run:
    """The program of STEPS steps from the state on, of so many seeds at so many rates, on training and held-out
    examples of the shapes of `like`, and what is seen of each lane before the first and after each step; without
    `every_step` before the first and after the last, [S, 2, R]. Seeds draw their batches with replacement, which all
    rates share; a batch of as many examples as there are is all of them."""
    config = plain(config, batch_size=batch_size)
    functions, is_whole = train.make_train(config), batch_size == len(like[0][1])

    def numbers_at(rates: Sequence[float]) -> Any:
        lanes_1xR = [[config.replace(learning_rate=rate) for rate in rates]]
        return jax.tree.map(lambda leaf: leaf[0], lanes.numbers_of(lanes_1xR, optional=()))

    # As many devices as share the seeds out evenly.
    mesh = lanes.make_mesh(1 if config.has_own_model else math.gcd(seeds, len(jax.local_devices())))

    def course(seed: Any, numbers_R: Any, state: Any, training: Any, held_out: Any) -> Any:
        states_R = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *jnp.shape(leaf))), state)

        def seen(states_R: Any, key: jax.Array) -> Any:
            return lanes.over_lanes(config, look, same=3)(states_R, *held_out, key)

        def go_on(states_R: Any, key: jax.Array) -> tuple[Any, Any]:
            draw_key, look_key = jax.random.split(key)
            drawn_B = jax.random.randint(draw_key, (batch_size,), 0, len(training[0]))
            images, labels = training if is_whole else (training[0][drawn_B], training[1][drawn_B])
            step = lanes.over_lanes(config, functions.step, same=1)
            states_R, _ = step(states_R, numbers_R, (images, labels, jnp.ones(batch_size)))
            return states_R, seen(states_R, look_key) if every_step else None

        steps_key, first_key, last_key = jax.random.split(jax.random.key(seed), 3)
        last_R, seen_MxR = jax.lax.scan(go_on, states_R, jax.random.split(steps_key, STEPS))
        if not every_step:
            seen_MxR = jax.tree.map(lambda leaf: leaf[None], seen(last_R, last_key))
        first_R = seen(states_R, first_key)
        return jax.tree.map(lambda first_R, rest_MxR: jnp.concatenate([first_R[None], rest_MxR]), first_R, seen_MxR)

    everywhere = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec("rows"))

    def arguments(seeds_S: Sequence[int], rates: Sequence[float], training: Examples, held_out: Examples) -> Any:
        shared = jax.device_put((numbers_at(rates), state, training, held_out), everywhere)
        return jax.device_put(np.array(seeds_S, np.uint32), split), *shared

    options = options_for(max(batch_size, len(like[1][1])), config.has_own_model)
    shapes = arguments(range(seeds), [config.learning_rate] * count, *like)
    program = compiled(lanes.over_rows(course, mesh, same=4), *shapes, cpu_options=options)

    def run(seeds_S: Sequence[int], rates: Sequence[float], training: Examples, held_out: Examples) -> Any:
        seen = jax.device_get(program(*arguments(seeds_S, rates, training, held_out)))
        return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), seen)

    return run


def rates_for(config: Config, largest: float, noise: float, batch_size: int) -> list[float]:
    """The rates that are tried with a batch: up to twice the largest one, lowered as McCandlish et al. have it; where
    that is not known about the config's own."""
    if not (math.isfinite(largest) and largest > 0):
        return [config.learning_rate * factor * 2 for factor in RATES]
    return [largest / (1 + noise / batch_size) * factor for factor in RATES]


def costs_about(
    costs_of: CostsOf, rates: Sequence[float], extensions: int = edges.EXTENSIONS
) -> tuple[list[float], np.ndarray]:
    """The rates with their costs and, where the best one is the first or the last, as many beyond it in the same ratio,
    at most so many times: ascending, and [S, M + 1, R] in their order."""
    rates, cost_SxMxR, count = list(rates), costs_of(rates), len(rates)
    for _ in range(extensions):
        best = best_of(cost_SxMxR)
        if best not in (0, len(rates) - 1):
            break
        is_above = best > 0
        added = edges.more_rates(rates, count, is_above)
        both, costs = ((rates, added), [cost_SxMxR, costs_of(added)])
        if not is_above:
            both, costs = both[::-1], costs[::-1]
        rates, cost_SxMxR = both[0] + both[1], np.concatenate(costs, axis=2)
    return rates, cost_SxMxR


def gains(cost_SxMxR: np.ndarray) -> np.ndarray:
    """By how much costs fell below their start, minus infinity where they left the numbers."""
    return np.where(np.isfinite(cost_SxMxR), cost_SxMxR[:, :1] - cost_SxMxR, -np.inf)


def best_of(cost_SxMxR: np.ndarray) -> int:
    """Which rate gains most by the last step, in the mean over the seeds."""
    return int(np.argmax(np.mean(gains(cost_SxMxR)[:, -1], axis=0)))
