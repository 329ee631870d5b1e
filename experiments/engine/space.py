"""The trials of a sweep: configs by name, from the axes of a command line and the `sweep(add)` of a config file.

A trial is one config, seed included. `sweep(add)` of a config file calls `add(field=value, ...)` once a trial; axes
given on the command line multiply whatever it adds, and replace what it says of their own fields.
"""

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from nets.tables import near_match
from training import own
from training.config import AXES, FIELDS, GIVEN, AnyConfig, Config, ConfigError, as_config

Sweep: TypeAlias = Callable[[Callable[..., None]], None]
Trials: TypeAlias = Mapping[str, Config]


def parse_axis(text: str) -> tuple[str, tuple[Any, ...]]:
    """The field and the values of NAME=v1,v2; layers of `hidden` are joined by -, as in hidden=64,64-64."""
    name, equals, given = text.partition("=")
    if name not in AXES:
        because = " says what is recorded, not what is trained" if name in FIELDS else " is no config field"
        raise ConfigError(f"--axis {text!r}: {name!r}{because}{near_match(name, AXES)}; accepted: {', '.join(AXES)}")
    words = [word.strip() for word in given.split(",") if word.strip()]
    if not equals or not words:
        raise ConfigError(f"--axis {text!r} has no values; accepted: NAME=v1,v2, such as learning_rate=0.01,0.1")
    return name, tuple(parse_value(name, word) for word in words)


def repeated(name: str, values: Sequence[Any]) -> str | None:
    """What is to be said of an axis that has a value more than once, None where it has none."""
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if not twice:
        return None
    hint = f"; accepted for more than one part: {FIELDS[name].accepted_on_axis}" if FIELDS[name].type is tuple else ""
    return f"--axis {name} has {as_cell(twice[0])} more than once, which is run once{hint}"


def parse_value(name: str, word: str) -> Any:
    """A word of the command line as the type of that field."""
    field = FIELDS[name]
    if name == "activation" and own.MARK not in word:  # No name of one has a hyphen, but a file may.
        return word.replace("-", ",")
    try:
        if field.type is bool:
            return {"true": True, "false": False}[word.lower()]
        return tuple(map(field.item, word.split("-"))) if field.type is tuple else field.type(word)
    except (ValueError, KeyError) as error:
        kind = f"tuple of {field.item.__name__}" if field.type is tuple else field.type.__name__
        raise ConfigError(f"--axis {name}: {word!r} is no {kind}; accepted: {field.accepted_on_axis}") from error


def make_trials(base: AnyConfig, sweep: Sweep | None, axes: Mapping[str, Sequence[Any]]) -> dict[str, Config]:
    """The trials by name, each a checked config, in the order in which they are added; ConfigError for what no
    config accepts."""
    added: list[dict[str, Any]] = []
    if sweep:
        sweep(lambda **fields: added.append(fields))
        if not added:
            raise ConfigError("sweep(add) adds no trial; accepted: one call of add(field=value, ...) or more")
    trials: dict[str, Config] = {}
    shared = as_config(base)
    for fields in added or [{}]:
        if unknown := [name for name in fields if name not in AXES]:
            near = near_match(unknown[0], AXES)
            raise ConfigError(f"sweep(add) sets {unknown[0]!r}{near}; accepted: {', '.join(AXES)}")
        for values in itertools.product(*axes.values()):
            config = shared.replace(**{**fields, **dict(zip(axes, values, strict=True))})
            trials.setdefault(config.name(), config)
    return trials


def as_cell(value: Any) -> Any:
    """A config field's value as it stands in a column: hidden layers as '64-64', probes as 'saturation,speed'."""
    if not isinstance(value, tuple):
        return value
    parts: tuple[Any, ...] = value
    return ("-" if all(isinstance(part, int) for part in parts) else ",").join(map(str, parts))


def cells_of(config: Config) -> dict[str, Any]:
    """The config's fields as they stand in columns; of files of one's own the digest of their texts."""
    return {name: as_cell(value) for name, value in config.to_dict().items()} | {"code": own.digest_of(config.code)}


def of_cells(cells: Mapping[str, Any]) -> Config:
    """The config whose fields stand in columns; fields that were added since then are as by default. ConfigError for
    what no config accepts."""

    def value_of(name: str, cell: Any) -> Any:
        field = FIELDS[name]
        if field.type is not tuple or not isinstance(cell, str):
            return cell
        # No hidden layers are ''; no words are a word '', which a config takes for none.
        return tuple(cell.split(",")) if field.item is str else tuple(map(int, cell.split("-"))) if cell else ()

    try:
        return as_config({name: value_of(name, cell) for name, cell in cells.items()})
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"hidden layers {cells.get('hidden')!r} are no numbers joined by -") from error


def swept(trials: Trials) -> list[str]:
    """The fields that differ between trials."""
    return [name for name in GIVEN if len(set(map(operator.attrgetter(name), trials.values()))) > 1]


def has_settings(trials: Iterable[Config]) -> bool:
    """Whether there is more than one setting among the trials: whether two differ in more than the seed."""
    first: Config | None = None
    for trial in trials:
        first = first or trial
        if any(getattr(trial, name) != getattr(first, name) for name in GIVEN if name != "seed"):
            return True
    return False
