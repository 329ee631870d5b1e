"""How a run of a config descends: its optimizer, at the rate that its schedule has for a step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from training.config import NUMERIC, AnyConfig, Config, Hyperparameters, as_config
from training.optimizers import OPTIMIZERS, make_optimizer
from training.records import RATE
from training.schedules import rate_at
from training.screen import as_number


class Descent(NamedTuple):
    """Pure functions of a run's numbers.

    `init(hyperparameters, params) -> opt_state`, whatever the rate
    `update(hyperparameters, done, gradient, opt_state, params) -> (updates, opt_state)`: the step after so many that
        are done; ValueError where the rate depends on the length of the run and the numbers lack it
    """

    init: Callable[[Hyperparameters, Any], optax.OptState]
    update: Callable[..., tuple[Any, optax.OptState]]


def make_descent(config: AnyConfig) -> Descent:
    """The config's way to descend."""
    config = as_config(config)
    options = {name: getattr(config, name) for name in OPTIMIZERS[config.optimizer].takes if name not in NUMERIC}

    def init(hyperparameters: Hyperparameters, params: Any) -> optax.OptState:
        return make_optimizer(config.optimizer, hyperparameters, **options).init(params)

    def update(
        hyperparameters: Hyperparameters, done: jax.Array, gradient: Any, opt_state: optax.OptState, params: Any
    ) -> tuple[Any, optax.OptState]:
        rate = rate_at(config.schedule, hyperparameters, done)
        at_rate = hyperparameters._replace(learning_rate=rate)
        return make_optimizer(config.optimizer, at_rate, **options).update(gradient, opt_state, params)

    return Descent(init, update)


def recorded_rate(config: Config, hyperparameters: Hyperparameters, done: jax.Array) -> dict[str, float]:
    """What an epoch's row of metrics.jsonl says of the rate: that of the last step of those that are done, and nothing
    where it is the same at every step."""
    if not config.is_scheduled:
        return {}
    return {RATE: as_number(last_rate(config, hyperparameters, done))}


def last_rate(config: Config, hyperparameters: Hyperparameters, done: jax.Array) -> jax.Array:
    """The rate of the last step of those that are done, of the shape of both: of many lanes at once."""
    return jax.jit(rate_at, static_argnums=0)(config.schedule, hyperparameters, done - 1)
