"""Looking into the equations of a traced program: the programs within them, their names and their places."""

import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

PRODUCTS = ("dot_general", "conv_general_dilated")


def inner_program(equation: Any) -> ClosedJaxpr | None:
    """The program that an equation runs once, as it stands, where it is such a call."""
    if equation.primitive.name in ("scan", "while", "cond", *_OPAQUE):
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        if isinstance(inner, ClosedJaxpr):
            return inner
        if isinstance(inner, Jaxpr):
            return ClosedJaxpr(inner, ())
    return None


# Kernels and programs on several devices, into whose middle nothing can be added.
_OPAQUE = ("pallas_call", "shard_map", "custom_root", "custom_linear_solve", "custom_partitioning")


def name_of(equation: Any) -> str:
    """The name of the function that an equation calls, empty where it calls none."""
    name = equation.params.get("name")
    if name is None and (inner := equation.params.get("call_jaxpr")) is not None:
        name = getattr(getattr(inner, "jaxpr", inner).debug_info, "func_name", "")
    return str(name or "")


def line_of(equation: Any) -> str:
    """`file.py:12`, the innermost place in the user's source from which an equation comes."""
    traceback = equation.source_info.traceback
    frames = list(traceback.frames) if traceback is not None else []
    libraries = [Path(module.__file__ or "").parent for name in _LIBRARIES if (module := sys.modules.get(name))]
    for frame in frames:
        in_python = frame.file_name.startswith(_PYTHON) and "site-packages" not in frame.file_name
        if not in_python and not any(library in Path(frame.file_name).parents for library in libraries):
            return f"{frame.file_name}:{frame.line_num}"
    return f"{frames[0].file_name}:{frames[0].line_num}" if frames else "an unknown place"


_PYTHON = sysconfig.get_paths()["stdlib"]
_LIBRARIES = ("jax", "jaxlib", "flax", "equinox", "haiku", "optax", "nets")


def programs_in(parameter: object) -> Iterable[Jaxpr]:
    """The programs in a parameter of an equation."""
    if isinstance(parameter, ClosedJaxpr):
        yield parameter.jaxpr
    elif isinstance(parameter, Jaxpr):
        yield parameter
    elif isinstance(parameter, list | tuple):
        for part in parameter:
            yield from programs_in(part)


def equations_within(program: Jaxpr) -> Iterable[Any]:
    """All equations of a program and of those within it."""
    for equation in program.eqns:
        yield equation
        for parameter in equation.params.values():
            for inner in programs_in(parameter):
                yield from equations_within(inner)


def has_products(equation: Any) -> bool:
    programs = [inner for parameter in equation.params.values() for inner in programs_in(parameter)]
    return any(within.primitive.name in PRODUCTS for inner in programs for within in equations_within(inner))


def variables_of(variables: Iterable[Any]) -> list[Any]:
    return [variable for variable in variables if not isinstance(variable, Literal)]
