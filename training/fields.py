"""What a field of a config is: its default, the test of a value, and what else is said of it; and how values that are
given are made its own and checked."""

import builtins
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypedDict, TypeVar, Unpack, get_args

import numpy as np

from nets.tables import near_match
from training import own
from training.console import shown

T = TypeVar("T")
MOST_WHOLE = 2**31
# Sizes of layers as one word; no more digits each than any size has.
LAYERS = re.compile(r"[0-9]{1,12}([-,][0-9]{1,12})*")
# Numbers are used as float32, in which larger ones are infinite and smaller ones zero.
FLOAT32_LEAST, FLOAT32_MOST = 1.2e-38, 3.4e38


class ConfigError(ValueError):
    """A config that asks for something impossible, in one line."""


class Spec(NamedTuple):
    """What a field accepts and means: a test of its value and that test in words, what it is and in which unit.

    *Numeric* is an argument of the compiled program, so that its values are lanes; *recorded* is what is written down
    and not what is trained; *later* was added after the first version; an *optional* number is left out of the program
    where it is at its default in all runs that the program takes. *Of data* says which data set it is; *not compiled*
    is read between calls of the compiled programs, which do not depend on it; *derived* follows from other fields and
    is not given. `on_axis` says how a value is written as one word of a sweep's axis, where that differs.
    """

    test: Callable[[Any], bool]
    accepted: str
    words: str
    unit: str
    numeric: bool
    recorded: bool
    later: bool
    optional: bool
    of_data: bool
    not_compiled: bool
    derived: bool
    on_axis: str


class Field(NamedTuple):
    """A field of a config: its name, type and default, the type of its parts where it is a tuple, and its `Spec`."""

    name: str
    type: builtins.type
    item: builtins.type
    default: Any
    spec: Spec

    @property
    def accepted(self) -> str:
        """The accepted values in words."""
        return self.spec.accepted

    @property
    def accepted_on_axis(self) -> str:
        """The accepted values as words of a sweep's axis."""
        return self.spec.on_axis or self.spec.accepted


def field_of(
    default: T,
    test: Callable[[Any], bool],
    accepted: str,
    words: str,
    *,
    unit: str = "",
    numeric: bool = False,
    recorded: bool = False,
    later: bool = False,
    optional: bool = False,
    of_data: bool = False,
    not_compiled: bool = False,
    derived: bool = False,
    on_axis: str = "",
) -> T:
    """A field of a dataclass: its default, the test of a value, the accepted values and what it is in words."""
    spec = Spec(
        test, accepted, words, unit, numeric, recorded, later, optional, of_data, not_compiled, derived, on_axis
    )
    return dataclasses.field(default=default, metadata={"spec": spec})


class _Kinds(TypedDict, total=False):
    recorded: bool
    later: bool
    of_data: bool
    not_compiled: bool


def choice(default: str, table: Mapping[str, Any], words: str, **kinds: Unpack[_Kinds]) -> str:
    """A field that takes the names in a table."""
    return field_of(default, lambda name: name in table, ", ".join(table), words, unit="", **kinds)


def whole(default: int, least: int, words: str, *, unit: str = "", **kinds: Unpack[_Kinds]) -> int:
    """A field that takes whole numbers from the least one."""
    accepted = f"a whole number from {least}, below 2^31"
    return field_of(default, lambda n: least <= n < MOST_WHOLE, accepted, words, unit=unit, **kinds)


def later_number(default: float, test: Callable[[float], bool], accepted: str, words: str, unit: str = "") -> float:
    """A numeric field that was added later, and that is left out of programs where it is at its default."""
    return field_of(default, test, accepted, words, unit=unit, numeric=True, later=True, optional=True)


def is_positive(x: float) -> bool:
    """Whether a number is above 0, and neither 0 nor infinite as a float32."""
    return FLOAT32_LEAST < x < FLOAT32_MOST


def is_amount(x: float) -> bool:
    """Whether a number is finite as a float32, and not below 0."""
    return 0 <= x < FLOAT32_MOST


def is_share(x: float) -> bool:
    """Whether a number is in [0, 1), also as a float32."""
    return x >= 0 and bool(np.float32(x) < 1)


def is_one_of(word: str, table: Mapping[str, Any]) -> bool:
    """Whether a word is a name in the table, or of something in a file of one's own."""
    return word in table or own.is_reference(word)


def are_sizes(sizes: tuple[int, ...]) -> bool:
    """Whether they can be sizes of arrays."""
    return all(0 < n < MOST_WHOLE for n in sizes)


def with_commas(words: str) -> str:
    """Names of layers joined by '-', as tanh-relu, as a config has them, joined by ','. A file of one's own may have a
    '-' in its name, and stays as it is."""
    return words if own.MARK in words else words.replace("-", ",")


def by_layer(field: Field, value: Any) -> Any:
    """A value that is written as one word, layer by layer: sizes as 64-64 or 64,64, names as tanh-relu or tanh,relu;
    anything else as it is."""
    if field.name == "activation" and isinstance(value, str):
        return with_commas(value)
    word = value[0] if isinstance(value, tuple | list) and len(value) == 1 else value
    if field.type is tuple and field.item is int and isinstance(word, str) and LAYERS.fullmatch(word):
        return tuple(map(int, re.split("[-,]", word)))
    return value


def of_dataclass(field: "dataclasses.Field[Any]") -> Field:
    """The field in the words of this file."""
    kind = type(field.default)
    item = get_args(field.type)[0] if kind is tuple else kind
    return Field(field.name, kind, item, field.default, field.metadata["spec"])


def normal(fields: Mapping[str, Any], table: Mapping[str, Field]) -> dict[str, Any]:
    """The fields with 1 as 1.0 where a field is a float, lists as tuples, numpy's numbers as Python's, probes one by
    one: one config, however it was written."""

    def value_of(name: str, value: Any) -> Any:
        field = table.get(name)
        value = value.item() if isinstance(value, np.generic) else value
        if field is None:
            return value
        if field.type is float and type(value) is int:
            return float(value) if abs(value) < MOST_WHOLE**9 else value
        value = by_layer(field, value)
        if field.type is tuple and isinstance(value, str) and field.item is str:
            value = (value,)
        if field.type is tuple and isinstance(value, list | tuple):
            parts: Iterable[Any] = value
            parts = [part.item() if isinstance(part, np.generic) else part for part in parts]
            # --config.probes=speed,noise is parsed as one word.
            return words_of(parts) if field.item is str else tuple(parts)
        return value

    return {name: value_of(name, value) for name, value in fields.items()}


def words_of(parts: Iterable[Any]) -> tuple[Any, ...]:
    """The words in ('speed', 'noise') or ('speed,noise',), each once; what is no text as it is."""
    words = [word for part in parts for word in (part.split(",") if isinstance(part, str) else [part])]
    return tuple(dict.fromkeys(word.strip() if isinstance(word, str) else word for word in words if word != ""))


def check_fields(fields: Mapping[str, Any], table: Mapping[str, Field]) -> None:
    """ConfigError for a field that is not in the table, of the wrong type or out of range."""
    for name, value in fields.items():
        if name not in table:
            given = [name for name, field in table.items() if not field.spec.derived]
            raise ConfigError(f"unknown config field {name!r}{near_match(name, given)}; accepted: {', '.join(given)}")
        field = table[name]
        # True is no number.
        fits = isinstance(value, field.type) and (field.type is bool or not isinstance(value, bool))
        if fits and isinstance(value, tuple):
            fits = all(type(part) is field.item for part in value)
        if not fits:
            kind = f"tuple of {field.item.__name__}" if field.type is tuple else field.type.__name__
            raise ConfigError(f"config.{name}={shown(value)} is no {kind}; accepted: {field.accepted}")
        if not field.spec.test(value):
            raise ConfigError(
                f"config.{name}={shown(value)} is not accepted{_near(field, value)}; accepted: {field.accepted}"
            )


def _near(field: Field, value: Any) -> str:
    """The accepted word that is close to the one that is not."""
    choices = [word for word in field.accepted.removeprefix("any of ").split(", ") if " " not in word]
    words: tuple[Any, ...] = value if isinstance(value, tuple) else words_of([value])
    wrong = [word for word in words if isinstance(word, str) and word not in choices]
    return near_match(wrong[0], choices) if wrong else ""


class Taker(Protocol):
    """What a field chooses of a table: it takes some of the other fields, which are for nothing else."""

    @property
    def takes(self) -> tuple[str, ...]: ...


def check_taken(name: str, choices: Mapping[str, Taker], given: Mapping[str, Any], table: Mapping[str, Field]) -> None:
    """ConfigError for a field that the choice of that name does not take, where it is not at its default."""
    chosen = given[name]
    takes = choices[chosen].takes
    for choice in choices.values():
        for taken in choice.takes:
            if taken not in takes and (value := given[taken]) != (default := table[taken].default):
                takers = ", ".join(other for other, choice in choices.items() if taken in choice.takes)
                raise ConfigError(f"config.{taken}={value} is for {takers}; accepted with {chosen}: {default}")


def rows_of(table: Mapping[str, Field]) -> list[tuple[str, str, str, str, str, str]]:
    """A row a field: name, type, default, unit, accepted values, words."""
    rows: list[tuple[str, str, str, str, str, str]] = []
    for name, field in table.items():
        kind = f"tuple of {field.item.__name__}" if field.type is tuple else field.type.__name__
        rows.append((name, kind, repr(field.default), field.spec.unit, field.accepted, field.spec.words))
    return rows
