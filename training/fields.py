"""What a field of a config is: its default, the test of a value, and what else is said of it."""

import builtins
import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, get_args

from training import own

T = TypeVar("T")
MOST_WHOLE = 2**31
# Sizes of layers as one word; no more digits each than any size has.
LAYERS = re.compile(r"[0-9]{1,12}([-,][0-9]{1,12})*")


class Spec(NamedTuple):
    """What a field accepts and means: a test of its value and that test in words, what it is and in which unit.

    *Numeric* is an argument of the compiled program, so that its values are lanes; *recorded* is what is written down
    and not what is trained; *later* was added after the first version; an *optional* number is left out of the program
    where it is zero in all runs that the program takes. *Of data* says which data set it is; *not compiled* is read
    between calls of the compiled programs, which do not depend on it; *derived* follows from other fields and is not
    given. `on_axis` says how a value is written as one word of a sweep's axis, where that differs.
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
