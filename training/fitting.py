"""Whether a config fits the machine and its data set, in one line before anything is made."""

import itertools
import os

from input_pipeline import Dataset
from training.config import Config, ConfigError, shown


def check_size(config: Config) -> None:
    """Raises ConfigError for a network or a batch that this machine's memory cannot hold, before anything is made:
    parameters, their gradient, their change and a velocity, and the outputs of a batch forth and back."""
    sizes = (config.inputs, *config.hidden, config.classes)
    parameters = sum((before + 1) * after for before, after in itertools.pairwise(sizes))
    needed = 4 * (4 * parameters + 2 * config.batch_size * sum(sizes))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise ConfigError(
            f"config.hidden={shown(config.hidden)} and config.batch_size={config.batch_size} need at least "
            f"{needed / 1e9:,.0f} GB; accepted: what fits into the {memory / 1e9:,.0f} GB of this machine"
        )


def check_fits(config: Config, dataset: Dataset) -> None:
    """Raises ConfigError where the data set does not fit the config's input size, classes or batch size, or where the
    machine does not fit the network."""
    check_size(config)
    examples, inputs = dataset.images.shape
    if inputs != config.inputs:
        raise ConfigError(
            f"config.inputs={config.inputs}, but images of {config.dataset} have {inputs} pixels; "
            f"accepted: --config.inputs={inputs}"
        )
    top = int(max(dataset.labels.max(), dataset.validation_labels.max()))
    if top >= config.classes:
        raise ConfigError(
            f"config.classes={config.classes}, but labels of {config.dataset} go up to {top}; "
            f"accepted: --config.classes={top + 1} or more"
        )
    if examples < 2 and (varying := [group for group in config.probes if group in ("noise", "cockpit")]):
        raise ConfigError(
            f"config.probes has {varying[0]!r}, which needs 2 training examples or more; here is {examples}"
        )
    if config.batch_size > examples:
        raise ConfigError(
            f"config.batch_size={config.batch_size} is more than the {examples} training examples; "
            f"accepted: 1 to {examples}"
        )
