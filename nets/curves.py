"""Which activation a chain of elementwise operations is, whoever wrote it: told by its values at a few numbers.

A function of one number is known by what it does: `x * jax.nn.sigmoid(x)`, `jax.nn.silu` and `x / (1 + exp(-x))` are
one activation. A *curve* is the values of such a function at `POINTS`, in float64.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from nets.activations import ACTIVATIONS, get

_BELOW = np.array([-11.0, -7.3, -6.1, -5.0, -3.7, -2.9, -2.1, -1.6, -1.1, -0.8, -0.5, -0.3, -0.1, -0.01])
POINTS = np.concatenate([_BELOW, -_BELOW[::-1] + 0.003])
Curve = np.ndarray[Any, Any]


def _select(which: Curve, *cases: Curve) -> Curve:
    return np.choose(which.astype(int), cases)


# Elementwise operations of JAX, by the name of their primitive.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "add_any": np.add,
    "and": np.logical_and,
    "cbrt": np.cbrt,
    "clamp": lambda low, x, high: np.clip(x, low, high),
    "copy": lambda x: x,
    "cosh": np.cosh,
    "div": np.divide,
    "eq": np.equal,
    "erf": special.erf,
    "erfc": special.erfc,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "ge": np.greater_equal,
    "gt": np.greater,
    "is_finite": np.isfinite,
    "le": np.less_equal,
    "log": np.log,
    "log1p": np.log1p,
    "logistic": special.expit,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.logical_not,
    "or": np.logical_or,
    "pow": np.power,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "select_n": _select,
    "sign": np.sign,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "stop_gradient": lambda x: x,
    "sub": np.subtract,
    "tanh": np.tanh,
}


def operate(primitive: str, parameters: Mapping[str, Any], operands: Sequence[Curve | float]) -> Curve | None:
    """The curve of an operation on curves and constants; None for an operation that is not elementwise."""
    with np.errstate(all="ignore"):
        if primitive == "integer_pow":
            return np.asarray(operands[0]) ** float(parameters["y"])
        if primitive == "convert_element_type":
            is_truth = np.dtype(parameters["new_dtype"]) == np.bool_
            return np.asarray(operands[0]).astype(np.bool_ if is_truth else np.float64)
        operation = OPERATIONS.get(primitive)
        if operation is None:
            return None
        shaped = [np.broadcast_to(np.asarray(operand), POINTS.shape) for operand in operands]
        return np.asarray(operation(*shaped))


def _gelu_tanh(z: Curve) -> Curve:
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def _elu(z: Curve, alpha: float = 1.0) -> Curve:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
with np.errstate(all="ignore"):
    KNOWN: dict[str, Curve] = {
        "sigmoid": special.expit(POINTS),
        "tanh": np.tanh(POINTS),
        "relu": np.maximum(POINTS, 0),
        "relu6": np.clip(POINTS, 0, 6),
        "gelu": POINTS * special.ndtr(POINTS),
        "gelu_tanh": _gelu_tanh(POINTS),
        "silu": POINTS * special.expit(POINTS),
        "mish": POINTS * np.tanh(np.logaddexp(POINTS, 0)),
        "softplus": np.logaddexp(POINTS, 0),
        "softsign": POINTS / (1 + np.abs(POINTS)),
        "elu": _elu(POINTS),
        "selu": SELU_SCALE * _elu(POINTS, SELU_ALPHA),
        "hard_tanh": np.clip(POINTS, -1, 1),
        "hard_sigmoid": np.clip(POINTS + 3, 0, 6) / 6,
        "hard_silu": POINTS * np.clip(POINTS + 3, 0, 6) / 6,
        "step": (POINTS > 0).astype(np.float64),
    }
NAMED_ALONE = ("identity", "leaky_relu", "celu")  # The first is everywhere, the others have a number of their own.
EXACT = ("relu", "relu6", "hard_tanh", "step")  # No rounding is in them.
_ONE = int(np.argmin(np.abs(POINTS - 1)))


@functools.cache
def _table(others: tuple[str, ...]) -> tuple[list[str], Curve]:
    """The names of all activations that are known, with those of the table that are none of ours, and their curves."""
    with jax.ensure_compile_time_eval():
        curves = {name: np.float64(get(name).function(jnp.float32(POINTS))) for name in others}
    return [*KNOWN, *others], np.stack([*KNOWN.values(), *curves.values()])


class Match(NamedTuple):
    """An activation, with the number it depends on besides: the slope of leaky_relu, the alpha of elu."""

    activation: str
    parameter: float | None = None


def match(curve: Curve, tolerance: float = 1e-5) -> Match | None:
    """The activation whose curve this is, at most so far off it anywhere."""
    if curve.dtype == np.bool_ or not np.all(np.isfinite(curve)):
        return None
    names, curves_KxN = _table(tuple(name for name in ACTIVATIONS if name not in KNOWN and name not in NAMED_ALONE))
    differences = np.max(np.abs(curves_KxN - curve), axis=1)
    nearest = int(np.argmin(differences))
    # A floor of 1e-7 under a probability is no neuron.
    if differences[nearest] <= (1e-9 if names[nearest] in EXACT else tolerance):
        return Match(names[nearest])
    share = float(curve[_ONE] / POINTS[_ONE])
    if 0.5 < share < 1:
        rate = float(special.logit(share) / POINTS[_ONE])
        if np.max(np.abs(POINTS * special.expit(rate * POINTS) - curve)) <= tolerance:
            return Match("silu", float(np.float32(rate)))
    below, above = POINTS < 0, POINTS > 0
    if np.max(np.abs(curve - POINTS)[above]) > tolerance:
        return None
    slope = float(np.mean(curve[below] / POINTS[below]))
    if tolerance < slope < 0.99 and np.max(np.abs(curve - slope * POINTS)[below]) <= tolerance:
        return Match("leaky_relu", float(np.float32(slope)))
    alpha = -float(curve[0])  # At -11 the exponential is 2e-5.
    alpha /= -np.expm1(POINTS[0])
    if alpha > 0 and np.max(np.abs(curve - _elu(POINTS, alpha))) <= tolerance:
        return Match("elu", float(np.float32(alpha)))
    celu = alpha * np.expm1(np.minimum(POINTS, 0) / alpha) if alpha > 0 else curve + 1
    return Match("celu", float(np.float32(alpha))) if np.max(np.abs(celu - curve)[below]) <= tolerance else None
