"""Trees of parameters, whatever framework made them: their arrays, the names of their places, and the floats in them.

The state of a Flax NNX module and an Equinox module hold more than parameters: functions, names, switches, random
keys, counters. `floats_of` leaves the arrays of floats, with None in the place of everything else.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax.core.meta import AxisMetadata

Tree: TypeAlias = Any  # A pytree of arrays, whose structure a type checker cannot know.


def is_box(node: object) -> bool:
    """Whether it is one array in a box, as NNX keeps its variables and Flax Linen its partitioned parameters."""
    return isinstance(node, AxisMetadata) or _is_variable(node)


def _is_variable(node: object, kind: str = "Variable") -> bool:
    """Whether it is a variable of NNX of that kind. Importing NNX to ask would take long."""
    return any(base.__name__ == kind and base.__module__.startswith("flax.nnx") for base in type(node).__mro__)


def is_array(leaf: object) -> bool:
    """Whether it is an array, of JAX or NumPy, and no Python number, flag, name or function."""
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape")


def is_float(leaf: object) -> bool:
    """Whether it is an array of floats, or a Python float."""
    return isinstance(leaf, float) or (is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating))  # pyright: ignore[reportAttributeAccessIssue]


def paths_of_arrays(tree: Tree) -> list[tuple[str, ...]]:
    """The path of every array in the tree, in the order in which JAX flattens it; a box ends a path.

    The collection `params` of Flax, where it is the first, is left out.
    """
    paths: list[tuple[str, ...]] = []
    for path, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_box):
        names = tuple(jax.tree_util.keystr((key,), simple=True) for key in path)
        names = names[1:] if len(names) > 1 and names[0] == "params" else names
        paths += [names] * sum(is_array(leaf) for leaf in jax.tree.leaves(node))
    return paths


class Skeleton:
    """What a tree is but for its arrays, as something that is equal for equal trees, such as jit takes it."""

    def __init__(self, tree: Tree):
        leaves, self._structure = jax.tree.flatten(tree)
        self._others = tuple(None if is_array(leaf) else (leaf, type(leaf)) for leaf in leaves)

    def filled(self, arrays: Sequence[Any]) -> Tree:
        """The tree with these arrays, in the order in which JAX flattens it."""
        given = iter(arrays)
        return jax.tree.unflatten(
            self._structure, [next(given) if other is None else other[0] for other in self._others]
        )

    def __hash__(self) -> int:
        return hash((self._structure, self._others))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Skeleton) and (self._structure, self._others) == (other._structure, other._others)


def arrays_of(tree: Tree) -> list[Any]:
    """The arrays of the tree, in the order in which JAX flattens it."""
    return [leaf for leaf in jax.tree.leaves(tree) if is_array(leaf)]


# ---------------------------------------------------------------------------------------------------------------------
# Floats and the rest.


def _is_none(node: object) -> bool:
    return node is None


def _is_trained(path: tuple[Any, ...], leaf: object) -> bool:
    """Whether a leaf is an array of floats or a Python float, but for a float that is a setting of a module."""
    is_setting = bool(path) and isinstance(path[-1], jax.tree_util.GetAttrKey) and not is_array(leaf)
    return is_float(leaf) and not is_setting


def floats_of(tree: Tree) -> Tree:
    """The tree with its arrays of floats alone, and None in the place of everything else."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: leaf if _is_trained(path, leaf) else None, tree)


def is_mixed(tree: Tree) -> bool:
    """Whether the tree holds floats and other things besides, none of them complex numbers, which might be trained."""
    leaves = jax.tree.leaves(tree)
    floats = [_is_trained(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
    complexes = (leaf for leaf in leaves if jnp.issubdtype(getattr(leaf, "dtype", type(leaf)), jnp.complexfloating))
    return any(floats) and not all(floats) and not any(True for _ in complexes)


def check_no_statistics(params: Tree) -> None:
    """ValueError where running statistics of a batch normalization stand among the parameters."""
    for path, node in jax.tree_util.tree_leaves_with_path(params, is_leaf=is_box):
        names = [jax.tree_util.keystr((key,), simple=True) for key in path]
        if "batch_stats" in names or _is_variable(node, "BatchStat"):
            raise ValueError(
                f"params hold the running statistics {'/'.join(names)}, which are not trained; accepted: parameters "
                "alone, and a cost that closes over the statistics"
            )


class CostOfFloats:
    """A cost as a function of the floats among its parameters; the same for the same cost and the same others."""

    def __init__(self, cost: Callable[[Tree, Tree], jax.Array], params: Tree):
        others = jax.tree_util.tree_map_with_path(lambda path, leaf: None if _is_trained(path, leaf) else leaf, params)
        self._cost = cost
        self._others, self._structure = jax.tree.flatten(others, is_leaf=_is_none)

    def __call__(self, params: Tree, batch: Tree) -> jax.Array:
        floats = jax.tree.leaves(params, is_leaf=_is_none)
        whole = [value if other is None else other for value, other in zip(floats, self._others, strict=True)]
        return self._cost(jax.tree.unflatten(self._structure, whole), batch)

    def __hash__(self) -> int:
        return hash((self._cost, self._structure, len(self._others)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CostOfFloats) or (self._cost, self._structure) != (other._cost, other._structure):
            return False
        return all(
            a is b or (not (is_array(a) or is_array(b)) and a == b)
            for a, b in zip(self._others, other._others, strict=True)
        )
