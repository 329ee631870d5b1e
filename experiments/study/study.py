"""The record that a study's module ends with, and where studies are found: adding a study is adding a file."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from experiments.study.claims import Claim
from experiments.study.elsewhere import Elsewhere

Size = TypeVar("Size")
EXPERIMENTS = Path(__file__).parent.parent
# In the order in which they would be taught.
WINGS = ("lecture", "saturation", "escape", "batches")
# `tiny` is what a test runs; a study without a `full` size says all that it can in its quick one.
SIZES = ("tiny", "quick", "full")
# Seeds that nobody had looked at when anything was chosen; the next ones, where the first of these had been looked at.
FRESH_SEEDS, FRESHER_SEEDS = 1_000, 2_000


class Study(NamedTuple, Generic[Size]):
    """A question, and what answers it.

    `run(size, workdir) -> (figure, claims)`: how much is computed is one of `sizes`, by name `tiny`, `quick` and, where
    more tells more, `full`; a study may keep in the folder `workdir` what it has finished, to go on after it was
    killed. A size that says from which seed on it draws, `seeds_from`, can be run again on others: so are claims
    confirmed that are exploratory, from `fresh_seeds` on. `elsewhere` says how it goes on another data set than MNIST,
    None where it has no data set or no other.
    """

    question: str
    run: Callable[[Size, Path], tuple[Any, list[Claim]]]
    sizes: Mapping[str, Size]
    elsewhere: Elsewhere | None = None
    fresh_seeds: int = FRESH_SEEDS


def can_be_confirmed(study: Study[Any]) -> bool:
    """Whether a study can be run on other seeds, with nothing else changed."""
    return all(hasattr(size, "seeds_from") for size in study.sizes.values())


def find_studies() -> dict[str, str]:
    """The modules of all studies by their short names, wing by wing: each file of a wing is one."""
    found: dict[str, str] = {}
    for wing in WINGS:
        for path in sorted((EXPERIMENTS / wing).glob("[!_]*.py")):
            found[path.stem] = f"experiments.{wing}.{path.stem}"
    return found


def load(module: str) -> Study[Any]:
    """The `STUDY` of a module."""
    study = getattr(importlib.import_module(module), "STUDY", None)
    if not isinstance(study, Study):
        raise TypeError(f"{module} has no STUDY; accepted: a module that ends with STUDY = Study(...)")
    return study
