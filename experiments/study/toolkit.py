"""Tools of studies: training many nets at once, the cost of a net as a function, its sharpness; the intervals of a
median, of a correlation and of the farthest of many estimates.

S seeds, E epochs, B batch.
"""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

import input_pipeline
import nets
import train
from experiments.engine import executors, lanes, space
from experiments.engine.statistics import student_quantile
from training.batches import scale
from training.config import AnyConfig, Config, as_config
from training.records import METRICS

BROKEN = 0.2  # An accuracy, twice that of a guess among ten classes.
HARDLY = 100  # Validation examples, where nobody reads what they give.


@contextlib.contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """As many threads as cores, for jobs that are one thread's work each. What ends the block by an error or a signal
    also ends what has not begun."""
    pool = ThreadPoolExecutor(lanes.available_cores())
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def curves(
    name: str,
    config: AnyConfig,
    seeds: int,
    metrics: Sequence[str] = METRICS,
    dataset: input_pipeline.Dataset | None = None,
    seeds_from: int = 0,
) -> dict[str, np.ndarray]:
    """Metrics of a config over so many seeds from one on, [epochs, seeds], with a line that says what took how long.
    Probes are measured only where one of them is asked for."""
    start, config = time.perf_counter(), as_config(config)
    if not set(metrics) - set(METRICS):
        config = config.replace(probes=())
    trials = space.make_trials(config, None, {"seed": range(seeds_from, seeds_from + seeds)})
    table = executors.train_all(trials, dataset or train.load_dataset(config, ""), name)
    print(f"{name}: {seeds} seeds, {config.epochs} epochs, {time.perf_counter() - start:.0f} s", flush=True)
    return {metric: table[metric].to_numpy().reshape(seeds, config.epochs).T for metric in metrics}


def hardly_validated(dataset: input_pipeline.Dataset) -> input_pipeline.Dataset:
    """The data set with a few validation examples and no test set: for runs that are short an epoch and of which nobody
    reads how they were evaluated after each."""
    few, none = slice(HARDLY), slice(0)
    return dataset._replace(
        validation_images=dataset.validation_images[few],
        validation_labels=dataset.validation_labels[few],
        test_images=dataset.test_images[none],
        test_labels=dataset.test_labels[none],
    )


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


def slope_interval(x_N: np.ndarray, y_N: np.ndarray) -> tuple[float, float]:
    """Student's 95 % interval of the slope of the line of least squares through independent points; NaN for fewer than
    three, which have no scatter about a line."""
    if len(x_N) < 3:
        return float("nan"), float("nan")
    slope, height = np.polyfit(x_N, y_N, 1)
    degrees, residual_N = len(x_N) - 2, y_N - slope * x_N - height
    error = float(np.sqrt(np.sum(residual_N**2) / degrees / np.sum((x_N - x_N.mean()) ** 2)))
    half = student_quantile(degrees, 0.95) * error
    return float(slope) - half, float(slope) + half


def median_interval(values: ArrayLike) -> tuple[float, float]:
    """The interval of the median between two of the sorted values, as many from either end, that holds it with a
    probability of at least 95 %, whatever their distribution; NaN for fewer than six values, of which none does."""
    from scipy.stats import binom

    sorted_S = np.sort(np.ravel(np.asarray(values, float)))
    # With k values left out at either end it misses the median where at most k of all lie on one side.
    left_out = int(binom.ppf(0.025, len(sorted_S), 0.5)) - 1
    if len(sorted_S) < 6 or np.isnan(sorted_S).any():
        return float("nan"), float("nan")
    return float(sorted_S[left_out]), float(sorted_S[-1 - left_out])


def initial_params(config: AnyConfig, seeds: Sequence[int], init: Callable[..., Any] | None = None) -> list[Any]:
    """The weights that runs with those seeds start from."""
    config = as_config(config)
    draw = init or train.make_train(config).init
    return [draw(train.hyperparameters(config), train.run_keys(seed)[0]).params for seed in seeds]


def shares_at_once(succeeded_CxN: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Exact binomial intervals (low, high) of the shares of several cells, that hold for all cells at once with 95 %
    confidence, by Bonferroni's inequality."""
    from scipy.stats import binomtest

    succeeded_CxN = np.asarray(succeeded_CxN, bool)
    cells, count = succeeded_CxN.shape
    trials = [binomtest(int(successes), count) for successes in succeeded_CxN.sum(axis=1)]
    within = [trial.proportion_ci(1 - 0.05 / cells, "exact") for trial in trials]
    return np.array([interval.low for interval in within]), np.array([interval.high for interval in within])


def farthest(
    values_N: ArrayLike, errors_N: ArrayLike, middle: float = 1.0, degrees: float = math.inf
) -> tuple[float, tuple[float, float]]:
    """Of many estimates the one that is farthest from the middle, and a joint 95 % interval of how far the farthest of
    what is estimated lies, on the same side.

    The errors are standard errors, normal ones or Student's with so many degrees of freedom. All estimates count, by
    Bonferroni's inequality, so that they may depend on each other: the farthest is at least as far as the near end of
    any one's interval, and at most as far as the farthest end.
    """
    from scipy.stats import t

    values_N, errors_N = np.asarray(values_N, float), np.asarray(errors_N, float)
    half_N = float(t.ppf(1 - 0.025 / len(values_N), degrees)) * errors_N
    away_N = np.abs(values_N - middle)
    least, most = float(np.max(np.maximum(away_N - half_N, 0.0))), float(np.max(away_N + half_N))
    value = float(values_N[np.argmax(away_N)])
    return value, (middle + least, middle + most) if value >= middle else (middle - most, middle - least)


def correlated(left_S: np.ndarray, right_S: np.ndarray, fitted: int = 0) -> tuple[float, tuple[float, float]]:
    """Pearson's correlation and its 95 % interval by Fisher's z, with so many other numbers fitted to each side."""
    count = len(left_S) - fitted
    if count < 4 or not (np.ptp(left_S) > 0 and np.ptp(right_S) > 0):
        return math.nan, (math.nan, math.nan)
    value, apart = float(np.clip(np.corrcoef(left_S, right_S)[0, 1], -1, 1)), 1.96 / math.sqrt(count - 3)
    with np.errstate(divide="ignore"):
        low, high = np.tanh(np.arctanh(value) + np.array([-apart, apart]))
    return value, (float(low), float(high))


def legend_below(axis: Any, columns: int = 2) -> None:
    """The legend of an axis below it, off the data."""
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=columns, fontsize=8, frameon=False)
