"""The fields of a config that may name a file of one's own, and the texts of the files that they name."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from training import own
from training.console import shown
from training.fields import ConfigError

NAMING = ("dataset", "model", "activation", "cost")


def each_word(words: str, function: Callable[[str], str]) -> str:
    """The words between commas, each that names a file of one's own as the function has it."""
    return ",".join(function(word) if own.is_reference(word) else word for word in words.split(","))


def shortened(fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields that may name files, these as they are called from the folder that this process is in."""
    return {name: each_word(fields[name], own.shortest) for name in NAMING if name in fields}


def code_of(fields: Mapping[str, Any], known: str = "") -> str:
    """The texts of the files of one's own that the fields name; those that are known are not read again."""
    texts: dict[str, str] = {}
    for name in NAMING:
        references = [word for word in str(fields.get(name, "")).split(",") if own.is_reference(word)]
        try:
            texts |= own.texts_in(own.code_of(references, known))
        except own.OwnError as error:
            raise ConfigError(f"config.{name}={shown(fields[name])}: {error}; accepted: a file of Python") from error
    if twice := own.called_alike(texts):
        raise ConfigError(f"two files are called {twice}, whose folders are no part of a run; accepted: other names")
    return json.dumps(texts, sort_keys=True) if texts else ""
