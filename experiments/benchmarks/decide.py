"""How often does a sweep decide what is not so?

In an A/A sweep all settings are equal, so that whoever comes first won by chance. Most of them here are tables of
numbers, a seed's own part and noise; some are of nets that were trained, two settings whose scores are exchanged within
each seed by the toss of a coin, which makes them equal and leaves them paired.

    a 95 % interval of a paired difference      should miss it in 5 %
    a false winner                              one setting alone in the set of the best of an A/A sweep
    the best left out                           where one setting is better, that it is not in that set

C settings, S seeds, N sweeps.
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

import input_pipeline
from configs import activation_cost_sweep, batch_size_sweep, init_sweep, learning_rate_sweep, shallow
from experiments.benchmarks.tables import Line, line
from experiments.engine import decisions, executors, results, space
from experiments.engine.finals import Finals, finals_of

SIZES = ((2, 5), (6, 5), (24, 8))
SEED_STD, AHEAD = 2.0, 1.0
Noise = Callable[[np.random.Generator, int, int], np.ndarray]
# A band is kept on either side: too many intervals that hold are no better than too few.
LEVEL, BAND = decisions.LEVEL, 0.02
# Of sweeps of trained nets, and of what the config sweeps are run with where no folders are given.
REAL_SEEDS, REAL_EXAMPLES, REAL_EPOCHS = 5, 5_000, 3
CONFIGS = {
    "activation_cost_sweep": activation_cost_sweep,
    "batch_size_sweep": batch_size_sweep,
    "init_sweep": init_sweep,
    "learning_rate_sweep": learning_rate_sweep,
}


def normal(random: np.random.Generator, settings: int, seeds: int) -> np.ndarray:
    """The same spread everywhere."""
    return random.normal(size=(settings, seeds))


def unequal(random: np.random.Generator, settings: int, seeds: int) -> np.ndarray:
    """Spreads from a quarter to four times."""
    return random.normal(size=(settings, seeds)) * np.geomspace(0.25, 4.0, settings)[:, None]


def heavy(random: np.random.Generator, settings: int, seeds: int) -> np.ndarray:
    """Student's t of three degrees of freedom."""
    return random.standard_t(3, size=(settings, seeds))


def grouped(random: np.random.Generator, settings: int, seeds: int) -> np.ndarray:
    """One seed in five is ten standard deviations behind, whichever setting it has."""
    return normal(random, settings, seeds) - 10 * (random.random((settings, seeds)) < 0.2)


KINDS: dict[str, Noise] = {
    "normal": normal,
    "unequal spreads": unequal,
    "heavy tails": heavy,
    "two groups of seeds": grouped,
}


def simulated(noise: Noise, settings: int, seeds: int, sweeps: int) -> tuple[float, float, float]:
    """How often an interval missed, a winner was false, and the best was left out."""
    random = np.random.default_rng([settings, seeds])
    missed = winners = left_out = 0
    for _ in range(sweeps):
        values_CxS = SEED_STD * random.normal(size=(1, seeds)) + noise(random, settings, seeds)
        found = decisions.pairs_of(values_CxS[0] - values_CxS[1])
        missed += not found.low <= 0 <= found.high
        winners += len(decisions.best_of(values_CxS).settings) == 1
        values_CxS[0] += AHEAD
        left_out += 0 not in decisions.best_of(values_CxS).settings
    return missed / sweeps, winners / sweeps, left_out / sweeps


def simulated_lines(sweeps: int) -> list[Line]:
    """What came of tables of numbers; intervals have targets where noise is normal, as Student's t assumes."""
    lines: list[Line] = []
    every: list[float] = []
    total = len(KINDS) * len(SIZES)
    for (name, noise), (settings, seeds) in tqdm(
        itertools.product(KINDS.items(), SIZES), desc="tables", total=total, leave=False, disable=None
    ):
        missed, winners, left_out = simulated(noise, settings, seeds, sweeps)
        is_normal, of = noise in (normal, unequal), f"{name}, {settings} settings x {seeds} seeds"
        lines.append(line(f"95 % intervals that miss: {of}", [missed], LEVEL + BAND if is_normal else None))
        if is_normal:
            lines.append(line(f"their distance from 5 %: {of}", [abs(missed - LEVEL)], BAND))
        lines.append(line(f"false winners: {of}", [winners], LEVEL))
        lines.append(line(f"the best left out: {of}", [left_out], LEVEL))
        every.append(winners)
    return [*lines, line("false winners: all of them", [float(np.mean(every))], LEVEL)]


def trained_scores(seeds: int, dataset: input_pipeline.Dataset) -> np.ndarray:
    """The last val_accuracy of small nets at two rates that are nearly equal, [2, seeds]."""
    config = shallow.get_config()
    config.update(dataset="synthetic", hidden=(8,), activation="tanh", epochs=REAL_EPOCHS, probes=(), batch_size=64)
    trials = space.make_trials(config, None, {"learning_rate": [0.5, 0.55], "seed": range(seeds)})
    return finals_of(executors.train_all(trials, dataset, "nets")).values_CxS


def trained_lines(sweeps: int) -> list[Line]:
    """What came of nets that were trained."""
    scores_2xN = trained_scores(sweeps * REAL_SEEDS, input_pipeline.load("synthetic"))
    swapped = np.random.default_rng(0).random(scores_2xN.shape[1]) < 0.5
    scores_2xN = np.where(swapped, scores_2xN[::-1], scores_2xN)
    each = np.split(scores_2xN, sweeps, axis=1)
    found = [decisions.pairs_of(scores[0] - scores[1]) for scores in each]
    missed = float(np.mean([not one.low <= 0 <= one.high for one in found]))
    winners = float(np.mean([len(decisions.best_of(scores).settings) == 1 for scores in each]))
    of = f"{sweeps} sweeps of trained nets, 2 settings x {REAL_SEEDS} seeds"
    return [
        line(f"95 % intervals that miss: {of}", [missed], None),
        line(f"false winners: {of}", [winners], LEVEL),
    ]


def paired_over_unpaired(finals: Finals) -> float:
    """The variance of differences between settings of the same seed over that of differences of unlike seeds, in the
    median over the pairs of settings that lost no seed and whose scores differ at all."""
    sound_CxS = finals.values_CxS[~finals.lost.any(axis=1) & np.isfinite(finals.values_CxS).all(axis=1)]
    if len(sound_CxS) < 2 or sound_CxS.shape[1] < 2:
        return float("nan")
    variance_C = np.var(sound_CxS, axis=1, ddof=1)
    first, second = np.triu_indices(len(sound_CxS), 1)
    apart_P = variance_C[first] + variance_C[second]
    paired_P = np.var(sound_CxS[first] - sound_CxS[second], axis=1, ddof=1)
    return float(np.median(paired_P[apart_P > 0] / apart_P[apart_P > 0]))


def sweep_lines(folders: Sequence[Path]) -> list[Line]:
    """The variance of paired over unpaired differences in the sweeps of the folders; without any in the four config
    sweeps, of fewer examples and epochs."""
    if folders:
        tables = {folder.name: results.read_table(folder / "results.parquet") for folder in folders}
        words = ""
    else:
        tables, words = {}, f", {REAL_EXAMPLES:,} examples, {REAL_EPOCHS} epochs"
        dataset = input_pipeline.split(input_pipeline.load("mnist"), REAL_EXAMPLES, "10000")
        for name, module in CONFIGS.items():
            base = module.get_config()
            base.update(
                epochs=REAL_EPOCHS, train_examples=REAL_EXAMPLES, validation="10000", probes=(), checkpoint_every=100
            )
            tables[name] = executors.train_all(space.make_trials(base, module.sweep, {}), dataset, name)
    of = "variance of paired over unpaired differences"
    ratios = {name: paired_over_unpaired(finals_of(table)) for name, table in tables.items()}
    return [line(f"{of}: {name}{words}", [ratio], None) for name, ratio in ratios.items() if np.isfinite(ratio)]


def figures(sweeps: int, trained: int, folders: Sequence[Path]) -> list[Line]:
    """The lines of the table of figures."""
    return [*simulated_lines(sweeps), *trained_lines(trained), *sweep_lines(folders)]
