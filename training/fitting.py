"""Whether a config fits the machine and its data set, in one line before anything is made."""

import os

import numpy as np

from input_pipeline import Dataset
from training import console, models
from training.config import Config, ConfigError
from training.console import shown


def check_network(config: Config) -> None:
    """Raises ConfigError, before anything is made, for a network, an activation or a cost of one's own that cannot be
    used, and for a network or a batch that this machine's memory cannot hold: parameters, their gradient, their change
    and a velocity, and the outputs of a batch forth and back."""
    models.make_model(config)
    models.cost_of(config)
    size = models.size_of(config)
    needed = 4 * (4 * size.parameters + 2 * config.batch_size * (config.inputs + size.outputs))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        network = f"hidden={shown(config.hidden)}" if not config.has_own_model else f"model={shown(config.model)}"
        raise ConfigError(
            f"config.{network} and config.batch_size={config.batch_size} need at least "
            f"{needed / 1e9:,.0f} GB; accepted: what fits into the {memory / 1e9:,.0f} GB of this machine"
        )


def lack_of_memory(error: Exception) -> str:
    """What JAX says of memory that there is not, in one line; raises what else it says."""
    if "memory" not in str(error).lower():
        raise error
    return str(error).splitlines()[0]


def with_targets(config: Config, dataset: Dataset) -> Dataset:
    """The data set as a regression where the config has one output, which is no choice between classes: whole labels,
    such as prices, are then targets."""
    if config.classes != 1 or dataset.is_regression or dataset.class_names:
        return dataset
    parts = (dataset.labels, dataset.validation_labels, dataset.test_labels)
    targets, validation, test = (part.astype(np.float32)[:, None] for part in parts)
    return dataset._replace(labels=targets, validation_labels=validation, test_labels=test)


def warn_of_unseen_classes(config: Config, dataset: Dataset) -> None:
    """Warns of examples held out that are of classes which are not trained on, as in a file sorted by its labels."""
    if config.validation == "test" or dataset.is_regression:
        return
    unseen = int(np.sum(~np.isin(dataset.validation_labels, dataset.labels)))
    if unseen:
        console.warn(
            f"{unseen} of the {config.validation} examples held out from the end of {config.dataset} are of classes "
            f"that no training example has; accepted: a data set in random order"
        )


def check_fits(config: Config, dataset: Dataset) -> None:
    """Raises ConfigError where the data set does not fit the config's input size, classes or batch size, or where the
    machine does not fit the network."""
    check_network(config)
    examples, inputs = dataset.images.shape
    if dataset.is_regression:
        _check_regression(config, inputs, dataset.labels.shape[1])
    if inputs != config.inputs:
        is_picture = dataset.shape or dataset.images.dtype == np.uint8
        of, numbers = ("images", "pixels") if is_picture else ("examples", "inputs")
        raise ConfigError(
            f"config.inputs={config.inputs}, but {of} of {config.dataset} have {inputs} {numbers}; "
            f"accepted: --config.inputs={inputs}"
        )
    parts = (dataset.labels, dataset.validation_labels, dataset.test_labels)
    top = 0 if dataset.is_regression else max(int(labels.max()) for labels in parts if len(labels))
    if top >= config.classes:
        instead = "" if dataset.class_names else ", or 1 where they are targets of a regression"
        raise ConfigError(
            f"config.classes={config.classes}, but labels of {config.dataset} go up to {top}; "
            f"accepted: --config.classes={top + 1} or more{instead}"
        )
    if not dataset.is_regression and config.classes < 2:
        raise ConfigError(f"config.classes={config.classes}, but {config.dataset} has classes; accepted: 2 or more")
    if examples < 2 and (varying := [group for group in config.probes if group in ("noise", "cockpit")]):
        raise ConfigError(
            f"config.probes has {varying[0]!r}, which needs 2 training examples or more; here is {examples}"
        )
    if config.batch_size > examples:
        raise ConfigError(
            f"config.batch_size={config.batch_size} is more than the {examples} training examples; "
            f"accepted: 1 to {examples}"
        )


def _check_regression(config: Config, inputs: int, targets: int) -> None:
    """Raises ConfigError, with all flags that mend it, where the outputs are not numbers as many as the targets."""
    needed = {"inputs": inputs, "classes": targets, "output": "identity"}
    needed |= {"cost": "quadratic"} if config.cost == "cross_entropy" else {}
    wrong = [name for name in needed if getattr(config, name) != needed[name]]
    if wrong and wrong != ["inputs"]:
        accepted = " ".join(f"--config.{name}={needed[name]}" for name in wrong)
        count = "one float target" if targets == 1 else f"{targets} float targets"
        said = f"{config.dataset} is a regression, {count} an example, which config.{wrong[-1]}="
        raise ConfigError(f"{said}{getattr(config, wrong[-1])} does not fit; accepted: {accepted}")
