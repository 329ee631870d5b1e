"""A number tuned for every setting of a sweep: what is to be run next, from what has finished, and what came of it.

Each setting, which is a config but for that number and the seed, has a search of its own (`engine/searching.py`): a
coarse grid, extended while a best value lies at its edge, refined about it, judged on validation examples by a few
seeds, each at the value that is best for the others. Seeds that had no part in the choice then run at the value that is
chosen, and give the result.

All searches go on in rounds, and a round begins when the one before has finished. So what is to be run depends on the
finished rows alone, and a sweep that was killed goes on with the packs, and the bits, of one that never was.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import train
from experiments.engine import lanes, results, validation
from experiments.engine.axes import MOST_VALUES, Point, Points, between, check_name
from experiments.engine.chance import level_in
from experiments.engine.ranges import Range, numbered
from experiments.engine.searching import EXTENSIONS, REFINEMENTS, Choice, Rule, Search, search
from training.config import FIELDS, AnyConfig, Config, ConfigError, as_config
from training.records import LOWEST_IS_BEST, OUTCOMES

# The scale on which a field is searched, and its first grid where none is given.
GRIDS: dict[str, tuple[str, tuple[float, ...]]] = {
    "learning_rate": ("log", (0.001, 0.01, 0.1, 1.0, 10.0)),
    "momentum": ("gap", (0.0, 0.6838, 0.9, 0.9684)),
    "l2": ("log", (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)),
    "init_scale": ("log", (0.1, 0.3162, 1.0, 3.162)),
    "dropout": ("lin", (0.0, 0.2, 0.4, 0.6)),
    "batch_size": ("log", (16, 64, 256, 1_024)),
}
# Of these more is better, or the data set says what they are.
NOT_TUNED = ("train_examples", "inputs", "classes", "epochs")
# A range is tried first at values that are about this far apart in its logarithm, or at so many.
STEP_OF_RANGE, LEAST_OF_RANGE = 0.5, 5
TUNE_SEEDS, FRESH_SEEDS = 3, 5


class Setting(NamedTuple):
    """What has a value of its own: a config, whose seed and whose value of the field do not count, the values that are
    tried first, and how it goes on from there."""

    config: Config
    start: tuple[float, ...]
    rule: Rule


class End(NamedTuple):
    """How a trial ended: its last metrics, empty where it has diverged."""

    metrics: Mapping[str, float]

    def score(self, name: str) -> float:
        """The metric, of a cost its opposite, so that more is better; NaN where it has none."""
        value = self.metrics.get(name, math.nan)
        return -value if name in LOWEST_IS_BEST else value


class Outcome(NamedTuple):
    """What came of a setting: the choice, and the trials of the fresh seeds at it, and how each ended."""

    setting: Setting
    choice: Choice
    names: tuple[str, ...]
    ends: tuple[End, ...]

    def of(self, metric: str) -> np.ndarray:
        """The metric of each fresh seed, NaN where it has diverged."""
        return np.array([end.metrics.get(metric, math.nan) for end in self.ends])


class Tuning:
    """A field that is tuned for each setting with some seeds, and run with others at what was chosen. `most` bounds the
    field for each setting, as the number of training examples bounds a batch."""

    def __init__(
        self,
        field: str,
        settings: Sequence[Setting],
        tune_seeds: Sequence[int],
        fresh_seeds: Sequence[int] = (),
        most: Sequence[float] | None = None,
    ) -> None:
        self.field, self.settings = field, tuple(settings)
        self.tune_seeds, self.fresh_seeds = tuple(tune_seeds), tuple(fresh_seeds)
        self.most = tuple(most or [math.inf] * len(self.settings))
        self._trials: dict[tuple[int, float, int], tuple[str, Config]] = {}

    def next_trials(self, table: pa.Table | None) -> dict[str, Config]:
        """What is to be run next, given the rows of all that has finished (None: nothing); nothing at the end."""
        return self._replay(ends_of(table) if table else {}, score_of(table))[0]

    def outcomes(self, table: pa.Table) -> list[Outcome]:
        """What came of each setting, in their order, once nothing is left to be run."""
        ends = ends_of(table)
        missing, choices = self._replay(ends, score_of(table))
        if missing:
            raise ValueError(f"{len(missing)} trials have not finished")
        found: list[Outcome] = []
        for i, setting in enumerate(self.settings):
            fresh = self._at(i, [choices[i].value], self.fresh_seeds)
            found.append(Outcome(setting, choices[i], tuple(fresh), tuple(ends[name] for name in fresh)))
        return found

    def trial(self, place: int, value: float, seed: int) -> tuple[str, Config]:
        """The name and the config of a setting, given by its place, at a value and a seed."""
        key = place, value, seed
        if key not in self._trials:
            config = self.settings[place].config.replace(**{self.field: value, "seed": seed})
            self._trials[key] = config.name(), config
        return self._trials[key]

    def _at(self, place: int, values: Sequence[float], seeds: Sequence[int]) -> dict[str, Config]:
        return dict(self.trial(place, value, seed) for value in values for seed in seeds)

    def _accepts(self, place: int, value: float) -> bool:
        """Whether the setting may have that value."""
        try:
            self.trial(place, value, 0)
        except ConfigError:
            return False
        return value <= self.most[place]

    def _replay(self, ends: Mapping[str, End], score: str) -> tuple[dict[str, Config], dict[int, Choice]]:
        """What the searches come to with the trials that have ended: what is missing of their round, or their choices
        and what is missing of the fresh seeds."""
        searches: dict[int, Search] = {}
        for i, setting in enumerate(self.settings):
            # No cost is that of a guess.
            rule = setting.rule if score not in LOWEST_IS_BEST else setting.rule._replace(broken=-math.inf)
            searches[i] = search(setting.start, rule, lambda value, i=i: self._accepts(i, value))
        wanted = {i: next(going) for i, going in searches.items()}
        choices: dict[int, Choice] = {}
        while wanted:
            of_round = {i: self._at(i, values, self.tune_seeds) for i, values in wanted.items()}
            if missing := not_in(ends, of_round):
                return missing, {}
            for i, values in tuple(wanted.items()):
                scores = {
                    value: np.array([ends[self.trial(i, value, seed)[0]].score(score) for seed in self.tune_seeds])
                    for value in values
                }
                try:
                    wanted[i] = searches[i].send(scores)
                except StopIteration as end:
                    choices[i] = end.value
                    del wanted[i]
        fresh = {i: self._at(i, [choice.value], self.fresh_seeds) for i, choice in choices.items()}
        return not_in(ends, fresh), choices


def not_in(ends: Mapping[str, End], trials: Mapping[int, Mapping[str, Config]]) -> dict[str, Config]:
    """The trials of all settings that have not ended, in the order of the settings."""
    return {name: trial for i in sorted(trials) for name, trial in trials[i].items() if name not in ends}


def score_of(table: pa.Table | None) -> str:
    """What values are judged by: as everywhere, accuracy or the cost on the validation examples."""
    return results.score_of(table) if table else OUTCOMES[0]


def ends_of(table: pa.Table) -> dict[str, End]:
    """How each trial in the rows of finished packs ended; one that was left on its way, as successive halving does, has
    not."""
    over = {name for name, at in results.reached({"": table}).items() if at.is_over}
    names = [name for name in OUTCOMES if name in table.column_names]
    last: dict[str, dict[str, Any]] = {}
    for row in table.select(["trial", "epoch", "diverged", *names]).to_pylist():
        before = last.get(row["trial"])
        if before is None or row["epoch"] > before["epoch"]:
            last[row["trial"]] = row

    def end_of(row: Mapping[str, Any]) -> End:
        return End({} if row["diverged"] else {name: row[name] for name in names if row[name] is not None})

    return {name: end_of(row) for name, row in last.items() if name in over}


# ---------------------------------------------------------------------------------------------------------------------
# From a command line.


def check_field(name: str) -> None:
    """ConfigError for a field that cannot be tuned."""
    check_name(name, f"--tune={name}")
    fields = [one for one in numbered() if one not in NOT_TUNED]
    if name not in fields:
        raise ConfigError(f"--tune={name}: it is no number to tune; accepted: {', '.join(fields)}")


def grid_of(one: Range) -> tuple[float, ...]:
    """The values of a range that are tried first: about a half decade apart, or five of them."""
    count = LEAST_OF_RANGE
    if one.is_log:
        count = max(LEAST_OF_RANGE, round(math.log10(one.high / one.low) / STEP_OF_RANGE) + 1)
    values = between(one.low, one.high, min(count, MOST_VALUES), one.is_log)
    return tuple(round(value) if one.is_whole else float(f"{value:.4g}") for value in values)


def make_tuning(
    base: AnyConfig,
    points: Points,
    field: str,
    grid: Sequence[float] = (),
    *,
    tune_seeds: int = TUNE_SEEDS,
    fresh_seeds: int = FRESH_SEEDS,
    extensions: int = EXTENSIONS,
    refinements: int = REFINEMENTS,
    data_dir: str = "",
) -> Tuning:
    """The tuning of the field for each setting among the points, on examples that are held out of the training set
    where the config has none of its own.

    The first grid is the one that is given, else the values that the points of a setting have, if these are two or
    more, else that of GRIDS. Seeds 0, 1, ... choose, and those after them give the result; seeds of points do not
    count. ConfigError for a field that cannot be tuned, for a grid of fewer than two values, and for what no config
    accepts.
    """
    check_field(field)
    settings = [setting_of(base, point, field, grid, values) for point, values in by_setting(points, field)]
    held_out = validation.with_held_out((setting.config for setting in settings), data_dir)
    unique: dict[str, Setting] = {}
    for setting, config in zip(settings, held_out, strict=True):
        broken = broken_accuracy(config, data_dir)
        rule = setting.rule._replace(extensions=extensions, refinements=refinements, broken=broken)
        unique.setdefault(config.name(), setting._replace(config=config, rule=rule))
    settings, most = list(unique.values()), None
    if field == "batch_size":
        sizes = {lanes.data_key(setting.config): setting.config for setting in settings}
        sizes = {key: len(train.load_dataset(config, data_dir).images) for key, config in sizes.items()}
        most = [sizes[lanes.data_key(setting.config)] for setting in settings]
        settings = [fitting(setting, examples) for setting, examples in zip(settings, most, strict=True)]
    fresh = range(tune_seeds, tune_seeds + fresh_seeds)
    return Tuning(field, settings, range(tune_seeds), fresh, most)


def by_setting(points: Points, field: str) -> list[tuple[Point, list[Any]]]:
    """The points without the field and the seed, each once, and the values of the field that there are for each."""
    found: dict[str, tuple[Point, list[Any]]] = {}
    for point in points:
        rest = {name: value for name, value in point.items() if name not in (field, "seed")}
        _, values = found.setdefault(repr(sorted(rest.items())), (rest, []))
        if field in point:
            values.append(point[field])
    return list(found.values())


def setting_of(base: AnyConfig, point: Point, field: str, grid: Sequence[float], values: Sequence[Any]) -> Setting:
    """The setting at a point, with a first grid; ConfigError where it has none."""
    kind, shared = FIELDS[field].type, as_config(base)
    start = tuple(dict.fromkeys(sorted(map(kind, grid or values))))
    if len(start) < 2 and not grid and field in GRIDS:
        start = tuple(map(kind, GRIDS[field][1]))
    if len(start) < 2:
        given = f"has {len(start)} values to begin with" if start else "has no grid of its own"
        raise ConfigError(f"--tune={field} {given}; accepted: --axis {field}= with two values or more, or --range")
    configs = [shared.replace(**{**point, field: value, "seed": 0}) for value in start]
    return Setting(configs[0], start, rule_of(field, start))


def rule_of(field: str, start: Sequence[float]) -> Rule:
    """How the field is searched for a setting: on its own scale, or that of logarithms where its grid is wide."""
    wide = start[0] > 0 and start[-1] >= 4 * start[0]
    scale = GRIDS[field][0] if field in GRIDS else "log" if wide else "lin"
    if scale == "log" and sum(value > 0 for value in start) < 2:
        scale = "lin"
    return Rule(scale, FIELDS[field].type is int)


def broken_accuracy(config: Config, data_dir: str) -> float:
    """The accuracy up to which a trained net counts as broken, as it does in a ranking: that of a guess. Minus infinity
    of a regression."""
    guess = level_in(config.dataset, config.validation, config.classes, data_dir)
    return -math.inf if math.isnan(guess) else guess


def fitting(setting: Setting, examples: int) -> Setting:
    """The setting without those batches of the grid of GRIDS that are larger than its training set; a grid that was
    given stays as it is."""
    start = tuple(value for value in setting.start if value <= examples)
    is_given = setting.start != GRIDS["batch_size"][1]
    return setting if is_given or len(start) < 2 else setting._replace(start=start)
