"""Convolutions and pooling as XLA's CPU backend is fast with them, also within loops.

Outside of loops its compiler brings every convolution into the order of axes that its kernels take, examples first
and channels last. Within a loop it leaves them as they are, and the gradients of a convolution, which come in another
order, take many times as long (jaxlib 0.10.1; jax issue 12868). Here the order is changed in the program
itself: transposes around convolutions, the same products and sums. The gradient of max-pooling goes, where windows lie
side by side, through comparisons in place of a scatter that takes one window after the other.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from nets.equations import equations_within

Result = TypeVar("Result")
CONVOLUTION, POOLING = "conv_general_dilated", "select_and_scatter_add"


def in_order(function: Callable[..., Result]) -> Callable[..., Result]:
    """The function of pytrees of arrays with its convolutions in that order, where it is compiled for a CPU."""

    @functools.wraps(function)
    def ordered(*arguments: Any) -> Any:
        if jax.default_backend() != "cpu":
            return function(*arguments)
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _run(program, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return ordered


def _run(program: ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
    """The program's results."""
    known = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    known |= dict(zip(program.jaxpr.invars, arguments, strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else known[variable]

    for equation in program.jaxpr.eqns:
        results = _results(equation, [read(variable) for variable in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in program.jaxpr.outvars]


def _results(equation: Any, values: list[Any]) -> list[Any]:
    primitive, parameters = equation.primitive, equation.params
    with equation.ctx.manager:
        if primitive.name == CONVOLUTION and parameters["batch_group_count"] == 1:
            return [_convolution(primitive, parameters, *values)]
        if primitive.name == POOLING and _lie_side_by_side(parameters, values[1].shape):
            return [_to_largest(values[0], values[1], parameters["window_dimensions"])]
        parameters = {name: _ordered(value) for name, value in parameters.items()}
        results = primitive.bind(*values, **primitive.get_bind_params(parameters))
    return list(results) if primitive.multiple_results else [results]


def _ordered(parameter: Any) -> Any:
    """A parameter of an equation, its programs rewritten where they hold convolutions."""
    if isinstance(parameter, ClosedJaxpr):
        return _rewritten(parameter) if _has_any(parameter.jaxpr) else parameter
    if isinstance(parameter, Jaxpr) and _has_any(parameter) and not parameter.constvars:
        return _rewritten(ClosedJaxpr(parameter, ())).jaxpr
    if isinstance(parameter, tuple) and any(isinstance(part, ClosedJaxpr) for part in parameter):
        return tuple(map(_ordered, parameter))
    return parameter


def _rewritten(program: ClosedJaxpr) -> ClosedJaxpr:
    def run(*arguments: Any) -> list[Any]:
        return _run(program, arguments)

    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in program.in_avals]
    return jax.make_jaxpr(run)(*shapes)


def _has_any(program: Jaxpr) -> bool:
    return any(equation.primitive.name in (CONVOLUTION, POOLING) for equation in equations_within(program))


def _convolution(primitive: Any, parameters: dict[str, Any], inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution with examples first and channels last, its kernel [..., in, out]."""
    numbers = parameters["dimension_numbers"]
    of_inputs, of_kernel, of_outputs = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    places = len(of_inputs) - 2
    last = (0, places + 1, *range(1, places + 1))
    ordered = parameters | {
        "dimension_numbers": jax.lax.ConvDimensionNumbers(last, (places + 1, places, *range(places)), last)
    }
    outputs = primitive.bind(
        jnp.transpose(inputs, (of_inputs[0], *of_inputs[2:], of_inputs[1])),
        jnp.transpose(kernel, (*of_kernel[2:], of_kernel[1], of_kernel[0])),
        **ordered,
    )
    back = np.argsort((of_outputs[0], *of_outputs[2:], of_outputs[1]))
    return jnp.transpose(outputs, back.tolist())


def _lie_side_by_side(parameters: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether the windows of a max-pooling cover every input once."""
    window = parameters["window_dimensions"]
    return (
        parameters["select_prim"].name == "ge"
        and tuple(parameters["window_strides"]) == tuple(window)
        and not any(low or high for low, high in parameters["padding"])
        and not any(size % width for size, width in zip(shape, window, strict=True))
    )


def _to_largest(source: jax.Array, operand: jax.Array, window: Sequence[int]) -> jax.Array:
    """The gradients by windows at the first largest input of each, 0 at the others; [..., n] and [..., n window]."""
    places = [axis for axis, width in enumerate(window) if width > 1]
    offsets = list(itertools.product(*(range(window[axis]) for axis in places)))

    def at(offset: tuple[int, ...]) -> jax.Array:
        by_axis = dict(zip(places, offset, strict=True))
        return operand[tuple(slice(by_axis.get(axis, 0), None, width) for axis, width in enumerate(window))]

    inputs = [at(offset) for offset in offsets]
    largest = functools.reduce(jnp.maximum, inputs)
    is_taken, parts = jnp.zeros(source.shape, bool), list[jax.Array]()
    for value in inputs:
        is_here = ((value >= largest) | jnp.isnan(value)) & ~is_taken
        is_taken |= is_here
        parts.append(jnp.where(is_here, source, jnp.zeros_like(source)))
    # Windows are axes behind the inputs; each goes behind the axis that it divides.
    stacked = jnp.stack(parts, axis=-1).reshape(*source.shape, *(window[axis] for axis in places))
    order: list[int] = []
    for axis in range(operand.ndim):
        order += [axis, operand.ndim + places.index(axis)] if axis in places else [axis]
    return stacked.transpose(order).reshape(operand.shape)
