"""Studies on other data sets than MNIST: which of their claims make sense there, and their configs made to fit.

A study says with `Study(..., elsewhere=Elsewhere(on, claims))` that it takes one: `on(size, dataset)` is a size of it
on the data set of that name, made with `fitted`, and `claims` says which claims are made there, by patterns of their
keys, each with its band there, None for the band on MNIST. A printed number of MNIST is none of another set: where a
pattern names it, it counts as a direction, without what was printed, as does a direction without its number.
"""

import dataclasses
import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import input_pipeline
import train
from experiments.engine.validation import held_out_count
from experiments.study import needed
from experiments.study.claims import Band, Claim, judged
from readers.dataset import Dataset, NoTestError
from training import own
from training.config import AnyConfig, Config, ConfigError, as_config
from training.files import place

MADE_FOR = "mnist"


class Elsewhere(NamedTuple):
    """How a study goes on another data set: the size on it, ConfigError for a set that it cannot take; and its claims
    there, by pattern of their keys, with the band of each, None for that on MNIST."""

    on: Callable[[Any, str], Any]
    claims: Mapping[str, Band | None] = {"*": None}


def load(name: str) -> Dataset:
    """The data set of that name with its test set, without where it has none; DataError where it cannot be had, and
    ConfigError for a regression, in which no claim makes sense."""
    try:
        dataset = input_pipeline.load(name)
    except NoTestError:
        dataset = input_pipeline.load(name, validation="1")
    if dataset.is_regression:
        raise ConfigError(f"--dataset={name} is a regression; accepted: a data set with classes")
    return dataset


def fitted(config: AnyConfig, name: str) -> Config:
    """The config on the data set of that name: its inputs and classes, and as many examples as there are. A sixth of
    the training set is held out where it has no test set or less than the config would hold out of it."""
    config, dataset = as_config(config), load(name)
    count, most = len(dataset.labels), held_out_count(len(dataset.labels))
    validation = config.validation
    if validation == "test":
        validation = "test" if len(dataset.validation_labels) else str(most)
    elif int(validation) > most:
        validation = str(most)
    left = count if validation == "test" else count - int(validation)
    return config.replace(
        dataset=name,
        inputs=dataset.images.shape[1],
        classes=int(max(dataset.labels.max(), dataset.validation_labels.max(initial=0))) + 1,
        validation=validation,
        train_examples=config.train_examples if config.train_examples <= left else 0,
        batch_size=min(config.batch_size, left),
    )


def epochs_for(config: Config, there: Config) -> int:
    """The epochs on the data set there that make at least as many steps as those of the first config on its own."""
    steps, steps_there = (math.ceil(len(dataset_of(c).labels) / c.batch_size) for c in (config, there))
    return math.ceil(config.epochs * steps / steps_there)


def has_printed(config: AnyConfig) -> bool:
    """Whether the config's data set is the one whose printed numbers a picture may show."""
    return as_config(config).dataset == MADE_FOR


def dataset_of(config: AnyConfig) -> Dataset:
    """The config's data set as `train.load_dataset` has it, its inputs as `of_size_one` has them."""
    return of_size_one(train.load_dataset(config, input_pipeline.DEFAULT_DATA_DIR))


def of_size_one(dataset: Dataset) -> Dataset:
    """The data set, but that floats beyond 1, such as the 17 grey levels of scikit-learn's digits, are shares of the
    largest one: rates and initial weights are for inputs of that size."""
    if dataset.images.dtype == np.uint8:
        return dataset
    if (top := float(np.abs(dataset.images).max(initial=0.0))) <= 1:
        return dataset
    parts = {name: getattr(dataset, name) / np.float32(top) for name in ("images", "validation_images", "test_images")}
    return dataset._replace(**parts)


def claims_there(study: Elsewhere, claims: Iterable[Claim]) -> list[Claim]:
    """Of a study's claims those that are made on another data set, with their bands there."""
    found: list[Claim] = []
    for claim in claims:
        pattern = next((pattern for pattern in study.claims if fnmatch.fnmatchcase(claim.key, pattern)), None)
        if pattern is None:
            continue
        band = study.claims[pattern]
        if claim.kind == "number" or (claim.kind == "direction" and claim.published):
            note = claim.note.partition(", published")[0]
            claim = dataclasses.replace(claim, kind="direction", published=(), note=note)
        if band is not None:
            verdict = judged(claim.low, claim.high, band)
            would = needed.of_interval(claim.measured, claim.low, claim.high, band, claim.count)
            enough = would if verdict == "undecided" else None
            claim = dataclasses.replace(claim, band=band, verdict=verdict, needed=enough)
        found.append(claim)
    return found


def title_of(dataset: str) -> str:
    """What a data set is called in a table: the last part of its name, as `digits` of `sklearn:digits`; MNIST where it
    is the one that studies are made for."""
    if dataset in ("", MADE_FOR):
        return "MNIST"
    last = dataset.rstrip("/").replace(":", "/").rpartition("/")[2]
    return Path(last).stem if dataset.startswith(("npz:", "csv:")) else last


def absolute(dataset: str) -> str:
    """The name with the place in it from the root on, so that a process elsewhere finds it."""
    if own.is_reference(dataset):
        file, name = own.parts_of(dataset)
        return f"{place(file).absolute()}:{name}"
    kind, colon, rest = dataset.partition(":")
    return f"{kind}:{place(rest).absolute()}" if colon and kind in input_pipeline.FILES and rest else dataset
