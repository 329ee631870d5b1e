"""How the learning rate of a run goes: functions of numbers that may be traced, so that lanes of one program differ.

`learning_rate` is the peak. Before it there may be a linear warm-up from 0, after it a schedule. Lengths are in epochs,
whose steps depend on the data set and the batch size; they are rounded to whole steps. What is counted are the steps of
the run's state: a run that is gone on with goes on with the rate that it had reached.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nets.tables import look_up
from training.optimizers import Number, Rates, has_number, or_default

CONSTANT = "constant"
DECAY_FACTOR = 0.1
# Of the run, where the config does not say how often the rate drops: every 30 of 90 epochs, as is usual.
DROP_EVERY = 1 / 3
# Numbers that a schedule reads and no field of a config gives by itself: those of the run that is asked for.
OF_RUN = ("epochs", "steps_per_epoch")


class Progress(NamedTuple):
    """How far a run is, in steps, float32: those done, those of the warm-up, of the run and of an epoch."""

    done: jax.Array
    warmup: Number
    run: Number
    epoch: Number


class Schedule(NamedTuple):
    """A way for the rate to go after the warm-up: its share of the peak, and the config's numbers that are for it and
    not for all. Each of them stays at its default with any schedule that does not take it."""

    share: Callable[[Rates, Progress], Number]
    takes: tuple[str, ...] = ()


def constant(rates: Rates, progress: Progress) -> Number:
    """The peak."""
    return 1.0


def left(progress: Progress) -> jax.Array:
    """The share of the steps after the warm-up that is still to come, from 1 to 0."""
    return jnp.clip((progress.run - progress.done) / jnp.maximum(progress.run - progress.warmup, 1), 0, 1)


def linear(rates: Rates, progress: Progress) -> jax.Array:
    """In a straight line from the peak to `end_share` of it at the end of the run."""
    end = or_default(rates.end_share, 0.0)
    return end + (1 - end) * left(progress)


def cosine(rates: Rates, progress: Progress) -> jax.Array:
    """Half a cosine from the peak to `end_share` of it at the end of the run (Loshchilov & Hutter 2017)."""
    end = or_default(rates.end_share, 0.0)
    # (1 + cos) / 2 of what is done, without the cancellation near the end.
    return end + (1 - end) * jnp.square(jnp.sin(math.pi / 2 * left(progress)))


def step(rates: Rates, progress: Progress) -> jax.Array:
    """Times `decay_factor` after every `decay_every` epochs, counted from the start of the run, the warm-up included
    (Goyal et al. 2017)."""
    given = jnp.asarray(or_default(rates.decay_every, 0.0), jnp.float32)
    every = jnp.where(given > 0, given * progress.epoch, DROP_EVERY * progress.run)
    every = jnp.maximum(jnp.round(every), 1)
    return or_default(rates.decay_factor, DECAY_FACTOR) ** jnp.floor(progress.done / every)


SCHEDULES: dict[str, Schedule] = {
    CONSTANT: Schedule(constant),
    "linear": Schedule(linear, takes=("end_share",)),
    "cosine": Schedule(cosine, takes=("end_share",)),
    "step": Schedule(step, takes=("decay_factor", "decay_every")),
}


def rate_at(name: str, rates: Rates, done: jax.Array) -> jax.Array:
    """The learning rate of the step that comes after so many, [] float32; after the end of the run it stays.

    With any schedule but a constant one without warm-up, the rates have to hold the numbers `OF_RUN`: ValueError.
    """
    if name == CONSTANT and not has_number(rates, "warmup"):
        return rates.learning_rate
    if not all(has_number(rates, number) for number in OF_RUN):
        raise ValueError(
            f"schedule={name} depends on the length of the run, which these numbers lack; accepted: those of "
            "train.hyperparameters(config, examples), with the size of the training set"
        )
    epoch = rates.steps_per_epoch
    warmup = jnp.round(or_default(rates.warmup, 0.0) * epoch)
    progress = Progress(jnp.maximum(done, 0).astype(jnp.float32), warmup, rates.epochs * epoch, epoch)
    share = look_up(SCHEDULES, name, "schedule").share(rates, progress)
    rise = jnp.minimum(progress.done / jnp.maximum(warmup, 1), 1)
    return rates.learning_rate * jnp.where(progress.done < warmup, rise, 1.0) * share
