"""Successive halving: all settings for a few epochs, the better ones for more (Jamieson & Talwalkar 2016).

A setting is a configuration with all of its seeds: what goes on goes on with every seed, so that comparisons stay
paired. Of n settings and R epochs at a factor f, rung k ends after R f^(k-s) epochs, where s is the largest number of
cuts that leaves a whole epoch and a setting; after each the best n / f go on from where they are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.engine.space import Trials
from training.config import ConfigError


class Rung(NamedTuple):
    """After which epoch a rung ends, and of how many settings it is."""

    end: int
    settings: int


def settings_of(trials: Trials) -> dict[str, list[str]]:
    """The names of the trials of each setting, by the name of the first one with seed 0 in place of its own."""
    found: dict[str, list[str]] = {}
    for name, trial in trials.items():
        found.setdefault(trial.replace(seed=0).name(), []).append(name)
    return found


def rungs_of(trials: Trials, factor: int) -> list[Rung]:
    """The rungs of those trials; ConfigError where there is nothing to halve."""
    epochs, settings = {trial.epochs for trial in trials.values()}, len(settings_of(trials))
    if len(epochs) > 1:
        raise ConfigError(f"--halving with trials of {_joined(epochs)} epochs; accepted: one number of epochs")
    if settings < 2:
        raise ConfigError("--halving with one setting; accepted: a sweep of two or more")
    last = epochs.pop()
    cuts = min(_whole_log(settings, factor), _whole_log(last, factor))
    if not cuts:
        raise ConfigError(
            f"--halving={factor} cuts nothing of {settings} settings and {last} epochs; accepted: 2 to "
            f"{min(settings, last)}" + ("" if min(settings, last) > 1 else ", with more epochs")
        )
    counts = [settings]
    for _ in range(cuts):
        counts.append(max(1, counts[-1] // factor))
    return [Rung(round(last / factor ** (cuts - k)), count) for k, count in enumerate(counts)]


def _joined(numbers: set[int]) -> str:
    return " and ".join(map(str, sorted(numbers)[:3]))


def _whole_log(number: int, base: int) -> int:
    """The largest power to which the base may be raised without exceeding the number."""
    power = 0
    while base ** (power + 1) <= number:
        power += 1
    return power


def best_settings(scores: Mapping[str, Sequence[float]], count: int) -> list[str]:
    """The settings with the best means over their seeds, the first ones of equals, in the order in which they are
    given. Scores are the larger the better, NaN of a seed that diverged; the larger the share of these, the later. A
    seed at chance counts by its score alone: what has been trained for a few epochs may have learnt nothing yet."""

    def key(setting: str) -> tuple[float, float]:
        values_S = np.array(scores[setting], float)
        sound_S = values_S[np.isfinite(values_S)]
        return 1 - len(sound_S) / len(values_S), -float(sound_S.mean()) if len(sound_S) else math.inf

    chosen = set(sorted(scores, key=key)[:count])
    return [setting for setting in scores if setting in chosen]
