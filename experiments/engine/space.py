"""The trials of a sweep: configs by name, made of points, which are some fields of a config each.

A trial is one config, seed included. `sweep(add)` of a config file calls `add(field=value, ...)` once a trial; axes
given on the command line multiply whatever it adds, and replace what it says of their own fields: points are put
together by the algebra of `experiments.engine.axes`.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from experiments.engine.axes import Point, Points, axis, product
from nets.tables import near_match
from training import own
from training.config import AXES, FIELDS, GIVEN, AnyConfig, Config, ConfigError, as_config

Sweep: TypeAlias = Callable[[Callable[..., None]], None]
Trials: TypeAlias = Mapping[str, Config]


def make_trials(base: AnyConfig, sweep: Sweep | None, axes: Mapping[str, Sequence[Any]]) -> dict[str, Config]:
    """The trials by name, each a checked config, in the order in which they are added; ConfigError for what no
    config accepts."""
    return trials_at(base, product(points_of(sweep), *(axis(name, values) for name, values in axes.items())))


def points_of(sweep: Sweep | None) -> Points:
    """What the `sweep(add)` of a config file adds; without one, the point without fields."""
    if sweep is None:
        return product()
    added: Points = []
    sweep(lambda **fields: added.append(fields))
    if not added:
        raise ConfigError("sweep(add) adds no trial; accepted: one call of add(field=value, ...) or more")
    if unknown := [name for point in added for name in point if name not in AXES]:
        near = near_match(unknown[0], AXES)
        raise ConfigError(f"sweep(add) sets {unknown[0]!r}{near}; accepted: {', '.join(AXES)}")
    return added


def trials_at(base: AnyConfig, points: Iterable[Point]) -> dict[str, Config]:
    """The trials at the points, by name, each once; ConfigError for what no config accepts."""
    return named(configs_at(base, points))


def configs_at(base: AnyConfig, points: Iterable[Point]) -> list[Config]:
    """The base config with the fields of each point; ConfigError for what no config accepts."""
    shared = as_config(base)
    return [shared.replace(**point) for point in points]


def named(configs: Iterable[Config]) -> dict[str, Config]:
    """The configs by name, each once."""
    trials: dict[str, Config] = {}
    for config in configs:
        trials.setdefault(config.name(), config)
    return trials


def repeated(names: Sequence[str], points: Sequence[Point]) -> str | None:
    """What is to be said of an axis that has a point more than once, None where it has none."""
    twice = [point for i, point in enumerate(points) if point in points[:i]]
    if not twice:
        return None
    has_layers = len(names) == 1 and FIELDS[names[0]].type is tuple
    hint = f"; accepted for more than one part: {FIELDS[names[0]].accepted_on_axis}" if has_layers else ""
    value = ":".join(str(as_cell(twice[0][name])) for name in names)
    return f"--axis {','.join(names)} has {value} more than once, which is run once{hint}"


def as_cell(value: Any) -> Any:
    """A config field's value as it stands in a column: hidden layers as '64-64', probes as 'saturation,speed'."""
    if not isinstance(value, tuple):
        return value
    parts: tuple[Any, ...] = value
    return ("-" if all(isinstance(part, int) for part in parts) else ",").join(map(str, parts))


def text_of(value: Any) -> str:
    """A number in its shortest form that tells it from others, anything else as it is."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


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
