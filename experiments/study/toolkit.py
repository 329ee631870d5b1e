"""Tools of studies: training many nets at once, the cost of a net as a function, its sharpness, the best of many rates.

R rates, S seeds, E epochs, B batch.
"""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

import input_pipeline
import nets
import train
from experiments.engine import executors, space
from training.batches import scale
from training.config import AnyConfig, Config, as_config
from training.records import METRICS

BROKEN = 0.2  # An accuracy, twice that of a guess among ten classes.


def curves(
    name: str,
    config: AnyConfig,
    seeds: int,
    metrics: Sequence[str] = METRICS,
    dataset: input_pipeline.Dataset | None = None,
) -> dict[str, np.ndarray]:
    """Metrics of a config over seeds 0, 1, ..., [epochs, seeds], with a line that says what took how long. Probes are
    measured only where one of them is asked for."""
    start, config = time.perf_counter(), as_config(config)
    if not set(metrics) - set(METRICS):
        config = config.replace(probes=())
    trials = space.make_trials(config, None, {"seed": range(seeds)})
    table = executors.train_all(trials, dataset or train.load_dataset(config, ""), name)
    print(f"{name}: {seeds} seeds, {config.epochs} epochs, {time.perf_counter() - start:.0f} s", flush=True)
    return {metric: table[metric].to_numpy().reshape(seeds, config.epochs).T for metric in metrics}


def cost_of(config: AnyConfig) -> nets.curvature.Cost:
    """The cost of a net with that config or trial, one cost an example of (images, labels), made once, so that what
    measures it is compiled once."""
    config = as_config(config)
    return _cost_of(config.hidden, config.activation, config.output, config.cost)


@functools.cache
def _cost_of(hidden: tuple[int, ...], activation: str, output: str, cost: str) -> nets.curvature.Cost:
    net, table = nets.MLP(hidden=hidden, activation=activation, output=output), nets.costs.get(cost, output)

    def per_example_cost(params: Any, batch: Any) -> jax.Array:
        logits_BxC, _ = net.apply({"params": params}, scale(batch[0]))
        return table.per_example(logits_BxC, jax.nn.one_hot(batch[1], logits_BxC.shape[-1]))

    return per_example_cost


def sharpness_of(config: AnyConfig, params: Any, images_NxD: Any, labels_N: Any, steps: int = 20) -> float:
    """The largest eigenvalue of the Hessian of the cost over those examples, NaN of weights that are not finite."""
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params)):
        return float("nan")
    batch, key = (images_NxD, labels_N), jax.random.key(0)
    top = nets.curvature.top_eigenvalues(cost_of(config), params, batch, key, k=1, steps=steps, tolerance=1e-2)
    return float(top.values_K[0])


def of_trials(values: Mapping[str, Any], trials: Mapping[str, Config], field: str) -> dict[Any, np.ndarray]:
    """What was measured of each trial by the value of a field, an array over the other trials (the seeds) each."""
    found: dict[Any, list[Any]] = {}
    for name, trial in trials.items():
        found.setdefault(getattr(trial, field), []).append(values[name])
    return {value: np.array(of_value) for value, of_value in found.items()}


def best_rates(accuracy_RxS: np.ndarray, broken: float = -1.0) -> np.ndarray:
    """For each seed the rate, as its row, that is best in the mean of the other seeds, so that no seed is judged at a
    rate that was chosen for its own luck; a seed that diverged, NaN, counts as accuracy 0. A rate at which any seed
    ends at no more than what counts as broken is left out for all seeds, unless that is so at every rate."""
    accuracy_RxS = np.nan_to_num(accuracy_RxS)
    others_RxS = accuracy_RxS.sum(axis=1, keepdims=True) - accuracy_RxS
    is_sound_R = np.all(accuracy_RxS > broken, axis=1)
    if is_sound_R.any():
        others_RxS[~is_sound_R] = -np.inf
    return np.argmax(others_RxS, axis=0)


def initial_params(config: AnyConfig, seeds: Sequence[int], init: Callable[..., Any] | None = None) -> list[Any]:
    """The weights that runs with those seeds start from."""
    config = as_config(config)
    draw = init or train.make_train(config).init
    return [draw(train.hyperparameters(config), train.run_keys(seed)[0]).params for seed in seeds]
