"""Examples to choose by: held out of the training set where a config validates on the test set, by which nothing is
to be chosen."""

from collections.abc import Iterable

import input_pipeline
from training import own
from training.config import Config

SHARE = 6  # One of so many training examples: of MNIST's 60,000 that are 10,000, as many as its test set has.


def held_out(config: Config, examples: int) -> Config:
    """The config with a sixth of so many training examples to validate on where it says the test set, which is then
    measured beside them; a config that holds examples out itself as it is."""
    return config.replace(validation=str(max(1, examples // SHARE))) if config.validation == "test" else config


def training_sizes(configs: Iterable[Config], data_dir: str) -> dict[tuple[str, str], int]:
    """How many training examples the data set of each config has in all, by `source_of`; of those that hold examples
    out themselves, which need no more, nothing is read."""
    sources = {source_of(config): config for config in configs if config.validation == "test"}
    return {
        source: len(input_pipeline.load(config.dataset, data_dir, "1", config.code).images)
        for source, config in sources.items()
    }


def source_of(config: Config) -> tuple[str, str]:
    """The data set of a config whatever is taken of it: its name, and of one of the user's own its text."""
    return config.dataset, own.digest_of(config.code)


def with_held_out(configs: Iterable[Config], data_dir: str) -> list[Config]:
    """Every config with a sixth of its training set held out where it validates on the test set. DataError where a data
    set cannot be had."""
    configs = list(configs)
    sizes = training_sizes(configs, data_dir)
    return [held_out(config, sizes.get(source_of(config), 0)) for config in configs]
