"""What the axes of a value inside a program are: examples, units, or neither.

B batch, H units. A program moves its axes about: `jax.vmap` puts the examples wherever a product leaves them, a
convolution's channels stand first in Equinox and last in Flax, heads are split off and joined again. Each axis of the
inputs and of what follows from them carries a label through every operation, so that a layer's output can be read as
examples times units wherever the two are.
"""

import math
from collections.abc import Sequence
from typing import Any

BATCH, UNIT = "batch", "unit"
Axes = tuple[str | None, ...]


def merged(labels: Sequence[Axes], rank: int) -> Axes:
    """The labels of a value that has the axes of several of that rank: each axis has the first label that is known."""
    known = [axes for axes in labels if len(axes) == rank]
    return tuple(next((axes[i] for axes in known if axes[i]), None) for i in range(rank))


def after(equation: Any, labels: Sequence[Axes]) -> Axes:
    """The labels of an operation's first result, from those of its operands."""
    rank = getattr(equation.outvars[0].aval, "ndim", 0)
    rule = _RULES.get(equation.primitive.name)
    if rule and len(labels[0]) == getattr(equation.invars[0].aval, "ndim", 0):
        return rule(equation, labels[0])
    return merged(labels, rank)


def of_product(equation: Any, labels: Sequence[Axes], is_weight: Sequence[bool]) -> Axes:
    """The labels of a matrix product's or a convolution's result: the axes that come from the weights are units, those
    that come from the other operand keep what they are, but for its own units."""
    if equation.primitive.name == "conv_general_dilated":
        numbers, axes = equation.params["dimension_numbers"], [None] * equation.outvars[0].aval.ndim
        axes[numbers.out_spec[0]] = labels[0][numbers.lhs_spec[0]]
        if is_weight[1]:
            axes[numbers.out_spec[1]] = UNIT
        return tuple(axes)
    contracted, paired = equation.params["dimension_numbers"]
    both = zip(*paired, strict=True)
    axes = [_of_pair((labels[0][i], labels[1][j]), is_weight) for i, j in both]
    for side in (0, 1):
        free = [i for i in range(len(labels[side])) if i not in contracted[side] and i not in paired[side]]
        axes += [UNIT if is_weight[side] else _without_unit(labels[side][i]) for i in free]
    return tuple(axes)


def _of_pair(labels: tuple[str | None, str | None], is_weight: Sequence[bool]) -> str | None:
    """The label of an axis along which both operands go together: experts are units, examples are examples."""
    known = next(filter(None, labels), None)
    return known if known == BATCH or not any(is_weight) else UNIT


def _without_unit(label: str | None) -> str | None:
    return None if label == UNIT else label


def of_lookup(equation: Any, labels: Sequence[Axes]) -> Axes:
    """The labels of rows of a table of weights: what the indices have, and units."""
    offset = equation.params["dimension_numbers"].offset_dims
    indices, rank = iter(labels[1][:-1]), equation.outvars[0].aval.ndim
    return tuple(UNIT if i in offset else next(indices, None) for i in range(rank))


def _broadcast(equation: Any, axes: Axes) -> Axes:
    given, shape = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    result: list[str | None] = [None] * len(shape)
    for i, place in enumerate(equation.params["broadcast_dimensions"]):
        result[place] = axes[i] if given[i] == shape[place] else None
    return tuple(result)


def _transpose(equation: Any, axes: Axes) -> Axes:
    return tuple(axes[i] for i in equation.params["permutation"])


def _squeeze(equation: Any, axes: Axes) -> Axes:
    return tuple(label for i, label in enumerate(axes) if i not in equation.params["dimensions"])


def _reduce(equation: Any, axes: Axes) -> Axes:
    return tuple(label for i, label in enumerate(axes) if i not in equation.params["axes"])


def _reshape(equation: Any, axes: Axes) -> Axes:
    before, shape = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    if not before or not shape or 0 in before:
        return (None,) * len(shape)
    result: list[str | None] = [None] * len(shape)
    for old, new in _groups(before, shape):
        kept = [axes[i] for i in old if before[i] != 1] or [axes[i] for i in old]
        places = [i for i in new if shape[i] != 1] or new
        if kept and places:
            for place, label in zip(places, _regrouped(kept, len(places)), strict=True):
                result[place] = label
    return tuple(result)


def _regrouped(labels: list[str | None], count: int) -> list[str | None]:
    """The labels of so many axes that the elements of the labelled ones are laid out along."""
    if len(labels) == count:
        return labels
    if set(labels) == {UNIT}:
        return [UNIT] * count
    # Examples times positions are examples; units times positions are neither.
    return [BATCH if BATCH in labels and UNIT not in labels else None] + [None] * (count - 1)


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest runs of axes, before and after a reshape, that hold the same elements."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        old, new = [i] if i < len(before) else [], [j] if j < len(after) else []
        i, j = i + len(old), j + len(new)
        while (sizes := (_size(before, old), _size(after, new)))[0] != sizes[1]:
            if sizes[0] < sizes[1]:
                old.append(i)
                i += 1
            else:
                new.append(j)
                j += 1
        groups.append((old, new))
    return groups


def _size(shape: Sequence[int], axes: list[int]) -> int:
    return math.prod(shape[i] for i in axes)


_RULES = {
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "reshape": _reshape,
    **{
        name: _reduce
        for name in (
            "reduce_sum",
            "reduce_max",
            "reduce_min",
            "reduce_prod",
            "reduce_and",
            "reduce_or",
            "argmax",
            "argmin",
        )
    },
}
