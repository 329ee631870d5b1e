"""What is known of each value in a traced program while it is walked through."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from nets import axes
from nets.axes import Axes
from nets.curves import POINTS, Curve, operate

Place = tuple[int, ...]
Root = tuple[Place, Any]  # A variable of the program at that place.


class Loop(NamedTuple):
    """A scan."""

    place: Place
    length: int
    last: int  # The index of the step that comes last.


class Product(NamedTuple):
    """A product that feeds what follows it; later ones have a larger order."""

    order: int
    place: Place
    leaves: tuple[str, ...]  # The weights, by their path; of a product of two values, what feeds them.
    loops: tuple[Loop, ...]  # The scans each of whose steps has a slice of the weights of its own, from outside.
    inputs: frozenset[int]  # What it depends on.
    late: Loop | None = None  # The scan in whose next step it feeds what follows; what feeds that in the first step is
    before: "Product | None" = None


class Value(NamedTuple):
    """What is known of a value in a program, whatever it is."""

    axes: Axes = ()
    fed: bool = False  # Whether it depends on an input.
    leaf: str | None = None  # Of what depends on parameters alone: the largest of them.
    size: int = 0
    loops: tuple[Loop, ...] = ()
    product: Product | None = None
    fresh: bool = False  # Whether it is what its product gave, as it came out.
    reduced: bool = False  # Whether it is a statistic of what its product gave.
    constant: float | None = None
    inputs: frozenset[int] = frozenset()  # Those that it depends on.
    pending: frozenset[Place] = frozenset()  # The activations that went into it since its product.
    curves: Mapping[Root, Curve] = MappingProxyType({})  # What function it is of each value that alone determines it.


# A function of more values than that is no activation.
MOST_ROOTS = 32


def as_root(value: Value, variable: Any, place: Place) -> Value:
    """The value as the one that others are functions of, beside those that it is a function of itself."""
    if not value.fed or not jnp.issubdtype(getattr(variable.aval, "dtype", bool), jnp.floating):
        return value
    roots = [*value.curves.items()][-MOST_ROOTS:]
    return value._replace(curves=dict(roots) | {(place, variable): POINTS})


def curves_of(equation: Any, values: Sequence[Value]) -> dict[Root, Curve]:
    """What function an operation's result is of each value that alone determines it."""
    fed = [value for value in values if value.fed]
    if any(not value.fed and value.constant is None for value in values):
        return {}
    curves: dict[Root, Curve] = {}
    for root in fed[0].curves:
        if all(root in value.curves for value in fed):
            given = [value.curves[root] if value.fed else value.constant or 0.0 for value in values]
            curve = operate(equation.primitive.name, equation.params, given)
            if curve is None:
                return {}
            curves[root] = curve
    return curves


def constant_of(value: Any) -> Value:
    """What is known of a number, or of an array of which the program is made."""
    shape = np.shape(value)
    if shape == () and not isinstance(value, Tracer):
        kind = getattr(value, "dtype", None) or np.asarray(value).dtype
        if jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer):
            return Value(constant=float(value))
    return Value((None,) * len(shape))


def of_parameters(equation: Any, values: Sequence[Value], result: int = 0) -> Value:
    """What is known of a result that depends on no input."""
    weights = max((value for value in values if value.leaf is not None), key=lambda value: value.size, default=Value())
    rank = getattr(equation.outvars[result].aval, "ndim", 0)
    unchanged = equation.primitive.name in ("broadcast_in_dim", "convert_element_type", "copy", "stop_gradient")
    constant = values[0].constant if unchanged and values else _folded(equation, values)
    loops = tuple(dict.fromkeys(loop for value in values for loop in value.loops))
    return Value((None,) * rank, leaf=weights.leaf, size=weights.size, loops=loops, constant=constant)


def _folded(equation: Any, values: Sequence[Value]) -> float | None:
    """The number that an operation on numbers gives."""
    constants = [value.constant for value in values]
    if not constants or any(constant is None for constant in constants):
        return None
    curve = operate(equation.primitive.name, equation.params, [float(constant or 0) for constant in constants])
    return None if curve is None or curve.dtype == bool else float(curve.flat[0])


def either(values: Sequence[Value]) -> Value:
    """What is known of a value that is one of these."""
    fed = [value for value in values if value.fed]
    products = [value.product for value in fed if value.product]
    first = values[0]
    if not fed:
        return max(values, key=lambda value: value.size)._replace(constant=None)
    return Value(
        axes.merged([value.axes for value in fed], len(first.axes)),
        fed=True,
        product=max(products, key=lambda product: product.order, default=None),
        reduced=all(value.reduced for value in fed),
        inputs=frozenset[int]().union(*(value.inputs for value in fed)),
        pending=frozenset[Place]().union(*(value.pending for value in fed)),
    )


def settled(value: Value) -> tuple[object, ...]:
    """What has to be the same for a loop to be known."""
    product = value.product and (value.product.leaves, value.product.loops)
    return value.axes, value.fed, value.leaf, value.loops, product, value.reduced, value.constant, value.inputs
