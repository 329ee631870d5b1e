"""What the settings of a sweep are chosen by: examples held out of the training set, as nothing is chosen by the test
set unless that is asked for.

A setting is a config without its seed. A sweep of more than one, whose config says validation='test' and which does not
vary that itself, holds out a sixth of its training examples: 10,000 of MNIST's 60,000.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import input_pipeline
from experiments.engine.plan_file import Recorded, read_plan
from experiments.engine.space import has_settings, named
from training import own
from training.config import AnyConfig, Config, ConfigError, as_config

TEST = "test"
# One of so many training examples is held out: 10,000 of MNIST's, as many as its test set has.
PARTS = 6
WAYS = ("validation", TEST)


class Selection(NamedTuple):
    """The base config and the trials by name, with what they validate on; what is to be said of it, perhaps nothing."""

    base: Config
    trials: dict[str, Config]
    said: str


def held_out_count(examples: int) -> int:
    """How many of that many training examples are held out to choose by: a sixth, and never none."""
    return max(examples // PARTS, 1)


def with_held_out(configs: Iterable[Config], data_dir: str) -> list[Config]:
    """Every config with a sixth of its training set held out where it validates on the test set, which is then measured
    beside it; a config that holds examples out itself as it is, and nothing is read for it. DataError where a data set
    cannot be had."""
    configs = list(configs)
    by_source: dict[tuple[str, str], list[Config]] = {}
    for config in configs:
        if config.validation == TEST:
            by_source.setdefault(_source_of(config), []).append(config)
    counts = {source: _count(of_source, data_dir) for source, of_source in by_source.items()}
    return [
        config.replace(validation=str(counts[_source_of(config)])) if config.validation == TEST else config
        for config in configs
    ]


def _source_of(config: Config) -> tuple[str, str]:
    """The data set of a config whatever is taken of it: its name, and of one of the user's own its text."""
    return config.dataset, own.digest_of(config.code)


def select(
    base: AnyConfig, configs: Iterable[Config], workdir: str | Path, data_dir: str, asked: str | None = None
) -> Selection:
    """The sweep of the configs as it validates: where one chooses between settings, on examples that are held out.

    `asked` is what --select_by was given. A folder that was begun with another way of validating goes on with it, where
    nothing else is asked for. ConfigError where the flag contradicts the config, or too few examples are left.
    """
    base, configs = as_config(base), list(configs)
    fixed = (
        base.validation
        if base.validation != TEST
        else next((trial.validation for trial in configs if trial.validation != TEST), TEST)
    )
    if fixed != TEST:
        if asked == TEST:
            raise ConfigError(f"--select_by=test with validation={fixed}; accepted with it: validation='test'")
        return Selection(base, named(configs), "")
    begun = _begun(Path(workdir)) if asked is None else None
    if begun and begun.base.validation != TEST and not _varies(configs, "dataset"):
        return _held_out(base, configs, dict.fromkeys(_datasets(configs), int(begun.base.validation)))
    if asked == TEST or not has_settings(configs):
        return Selection(base, named(configs), "")
    if begun and begun.base.validation == TEST and "validation" not in begun.swept:
        said = f"{workdir} was begun with the test set as validation set and goes on so: it is ranked by the test set"
        return Selection(base, named(configs), said)
    return _held_out(base, configs, {name: _count(of, data_dir) for name, of in _datasets(configs).items()})


def _begun(workdir: Path) -> Recorded | None:
    """What an earlier start left in the folder."""
    return read_plan(workdir) if (workdir / "plan.json").is_file() else None


def _varies(configs: Iterable[Config], name: str) -> bool:
    return len({getattr(trial, name) for trial in configs}) > 1


def _datasets(configs: Iterable[Config]) -> dict[str, list[Config]]:
    """The trials of each data set."""
    found: dict[str, list[Config]] = {}
    for trial in configs:
        found.setdefault(trial.dataset, []).append(trial)
    return found


def _count(trials: Iterable[Config], data_dir: str) -> int:
    """How many examples are held out of the data set that the trials share: a sixth of those that they may train on."""
    trials = list(trials)
    first, most = trials[0], max(trial.train_examples for trial in trials)
    whole = len(input_pipeline.load(first.dataset, data_dir, "1", first.code).labels)
    if not most or any(not trial.train_examples for trial in trials):
        return held_out_count(whole)
    count = held_out_count(most)
    if most <= whole < most + count:
        raise ConfigError(
            f"train_examples={most} leaves {whole - most} of {whole} examples to choose a setting by, which takes "
            f"{count}; accepted: fewer or 0, or --select_by=test"
        )
    return count


def _held_out(base: Config, configs: Iterable[Config], counts: dict[str, int]) -> Selection:
    """The sweep with so many examples of each data set held out."""
    changed = [trial.replace(validation=str(counts[trial.dataset])) for trial in configs]
    each = ", ".join(f"{count:,}" + (f" of {name}" if len(counts) > 1 else "") for name, count in counts.items())
    said = (
        f"Selection: settings are ranked by the last {each} training examples, which are held out; "
        "--select_by=test trains on them and ranks by the test set"
    )
    return Selection(base.replace(validation=changed[0].validation), named(changed), said)
