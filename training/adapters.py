"""Models of other people as one set of functions of nested dictionaries: Flax Linen, Flax NNX, and pairs of functions.

B batch, C classes. x is an array of examples as the model takes it.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from nets.trees import paths_of_arrays
from training.console import shown
from training.own import OwnError

Tree: TypeAlias = dict[str, Any]  # Nested, of arrays by the path of a parameter.
IN_TRAINING, NOT_IN_TRAINING = ("train", "training", "is_training"), ("deterministic", "use_running_average")
ACCEPTED = "a Flax module, a pair of functions init(key, x) and apply(params, x), or a function that gives one"


class Network(NamedTuple):
    """A model as pure functions of nested dictionaries of arrays; statistics are what changes without being trained.

    `init(key, x) -> (params, statistics)`
    `apply(params, statistics, x) -> logits_BxC`, as it is evaluated
    `apply_in_training(params, statistics, x, counts_B, key) -> (logits_BxC, statistics)`; `counts_B` is false of
        padding, which only a model that `takes_mask` is told
    """

    init: Callable[[jax.Array, jax.Array], tuple[Tree, Tree]]
    apply: Callable[[Tree, Tree, jax.Array], Any]
    apply_in_training: Callable[[Tree, Tree, jax.Array, jax.Array, jax.Array], tuple[Any, Tree]]
    takes_mask: bool


class Offer(NamedTuple):
    """What a model may take from a config, by name, and those names that it has to take since the config says them."""

    values: Mapping[str, Any]
    said: Mapping[str, Any]


def network_of(given: Any, name: str, offer: Offer) -> Network:
    """The network that an object of that name stands for; OwnError where it is none."""
    from flax import linen

    if isinstance(given, type) and _is_nnx(given):
        made = functools.partial(given, **_arguments(given.__init__, name, offer, ("self", "rngs")))
        return _of_nnx(made, _told(given.__call__))
    if isinstance(given, type) and issubclass(given, linen.Module):
        given = given(**_arguments(given, name, offer, ("parent", "name")))
    elif inspect.isfunction(given):
        given = given(**_arguments(given, name, offer))
    else:
        _check_taken((), name, offer)
    if isinstance(given, linen.Module):
        return _of_linen(given)
    pair: Any = getattr(given, "init", None), getattr(given, "apply", None)
    pair = given if isinstance(given, tuple | list) and len(given) == 2 else pair
    if callable(pair[0]) and callable(pair[1]):
        return _of_pair(*pair)
    made = ", a module that is made" if _is_nnx(type(given)) else ""
    raise OwnError(f"it is {shown(given)}{made}; accepted: {ACCEPTED}")


def _is_nnx(kind: type) -> bool:
    """Whether it is a class of NNX modules; importing NNX to ask would take long."""
    return any(base.__name__ == "Module" and base.__module__.startswith("flax.nnx") for base in kind.__mro__)


def _arguments(function: Callable[..., Any], name: str, offer: Offer, given: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a class or function takes of what is offered; OwnError for what it needs besides."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in given]
    _check_taken([p.name for p in parameters], name, offer)
    for parameter in parameters:
        is_rest = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if parameter.name not in offer.values and parameter.default is inspect.Parameter.empty and not is_rest:
            fields = ", ".join(offer.values)
            raise OwnError(f"{name} needs {parameter.name!r}, which no config has; accepted: a default, or {fields}")
    return {p.name: offer.values[p.name] for p in parameters if p.name in offer.values}


def _check_taken(names: Sequence[str], name: str, offer: Offer) -> None:
    """OwnError where the config says what the model does not take."""
    for field, value in offer.said.items():
        if field not in names:
            taken = ", ".join(other for other in offer.values if other in names) or "nothing"
            raise OwnError(f"{name} does not take config.{field}={shown(value)}; accepted: what it takes, {taken}")


def _told(call: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """The keywords by which a call is told whether it trains and which examples count, as a function of these."""
    taken = inspect.signature(call).parameters

    def keywords(is_training: bool, counts_B: jax.Array | None = None) -> dict[str, Any]:
        said = {name: is_training for name in IN_TRAINING if name in taken}
        said |= {name: not is_training for name in NOT_IN_TRAINING if name in taken}
        return said | ({"mask": counts_B} if "mask" in taken else {})

    return keywords


def _of_linen(module: Any) -> Network:
    from flax.core import meta

    keywords = _told(type(module).__call__)
    collections: set[str] = set()  # Of what is not trained, once it has been made.

    def statistics_of(variables: Mapping[str, Tree]) -> Tree:
        """What is not trained; of the collection `batch_stats` alone what is in it."""
        others = {name: tree for name, tree in variables.items() if name != "params"}
        collections.update(others)
        return others["batch_stats"] if others.keys() == {"batch_stats"} else others

    def variables_of(params: Tree, statistics: Tree) -> dict[str, Tree]:
        others = {"batch_stats": statistics} if collections == {"batch_stats"} else statistics
        return {"params": params, **others}

    def init(key: jax.Array, x: jax.Array) -> tuple[Tree, Tree]:
        keys = {"params": key, "dropout": jax.random.fold_in(key, 1)}
        drawn = meta.unbox(module.init(keys, x, **keywords(False)))
        return drawn.get("params", {}), statistics_of(drawn)

    def apply(params: Tree, statistics: Tree, x: jax.Array) -> Any:
        return module.apply(variables_of(params, statistics), x, **keywords(False))

    def apply_in_training(
        params: Tree, statistics: Tree, x: jax.Array, counts_B: jax.Array, key: jax.Array
    ) -> tuple[Any, Tree]:
        variables, said = variables_of(params, statistics), keywords(True, counts_B)
        if not collections:
            return module.apply(variables, x, **said, rngs={"dropout": key}), statistics
        logits, mutated = module.apply(variables, x, **said, rngs={"dropout": key}, mutable=sorted(collections))
        return logits, statistics_of(meta.unbox(dict(mutated)))

    return Network(init, apply, apply_in_training, "mask" in keywords(True))


def _of_pair(init_of: Callable[..., Any], apply_of: Callable[..., Any]) -> Network:
    taken = list(inspect.signature(apply_of).parameters)
    takes_key, keywords = len(taken) > 1 and taken[1] in ("key", "rng"), _told(apply_of)
    if "state" in taken:
        raise OwnError("apply takes a state besides parameters; accepted: apply(params, x) or apply(params, key, x)")
    likes: list[_Like] = []  # Of the parameters, once they have been made for x of some shape.

    def init(key: jax.Array, x: jax.Array) -> tuple[Tree, Tree]:
        tree = init_of(key, x)
        likes[:] = [_Like(tree)]
        return likes[0].as_dict(tree), {}

    def called(params: Tree, x: jax.Array, key: jax.Array, said: dict[str, Any]) -> Any:
        tree = likes[0].from_dict(params)
        return apply_of(tree, key, x, **said) if takes_key else apply_of(tree, x, **said)

    def apply(params: Tree, statistics: Tree, x: jax.Array) -> Any:
        del statistics
        return called(params, x, jax.random.key(0), keywords(False))

    def apply_in_training(
        params: Tree, statistics: Tree, x: jax.Array, counts_B: jax.Array, key: jax.Array
    ) -> tuple[Any, Tree]:
        return called(params, x, key, keywords(True, counts_B)), statistics

    return Network(init, apply, apply_in_training, "mask" in keywords(True))


def _of_nnx(make: Callable[..., Any], keywords: Callable[..., dict[str, Any]]) -> Network:
    from flax import nnx

    def parts(key: jax.Array) -> tuple[Any, ...]:
        module = make(rngs=nnx.Rngs(key, dropout=jax.random.fold_in(key, 1)))
        return nnx.split(module, nnx.Param, nnx.RngState, ...)

    graph, *states = nnx.eval_shape(lambda: parts(jax.random.key(0)))
    trained, keys, others = (_Like(state) for state in states)

    def init(key: jax.Array, x: jax.Array) -> tuple[Tree, Tree]:
        del x
        _, params, _, statistics = parts(key)
        return trained.as_dict(params), others.as_dict(statistics)

    def merged(params: Tree, statistics: Tree, key: jax.Array) -> Any:
        # Every stream of random numbers starts from the step's key.
        streams = [
            jax.random.fold_in(key, i) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jnp.zeros_like(leaf)
            for i, leaf in enumerate(keys.shapes)
        ]
        return nnx.merge(graph, trained.from_dict(params), keys.filled(streams), others.from_dict(statistics))

    def apply(params: Tree, statistics: Tree, x: jax.Array) -> Any:
        module = merged(params, statistics, jax.random.key(0))
        module.eval()
        return module(x, **keywords(False))

    def apply_in_training(
        params: Tree, statistics: Tree, x: jax.Array, counts_B: jax.Array, key: jax.Array
    ) -> tuple[Any, Tree]:
        module = merged(params, statistics, key)
        module.train()
        logits = module(x, **keywords(True, counts_B))
        return logits, others.as_dict(nnx.split(module, nnx.Param, nnx.RngState, ...)[3])

    return Network(init, apply, apply_in_training, "mask" in keywords(True))


class _Like:
    """A tree of arrays of some structure as nested dictionaries, by the paths of its arrays, and back."""

    def __init__(self, tree: Any):
        self.shapes, self._structure = jax.tree.flatten(tree)
        self._paths = [path or ("params",) for path in paths_of_arrays(tree)]
        if len(self._paths) != len(self.shapes):
            raise OwnError("its parameters hold what is no array; accepted: a tree of arrays")

    def as_dict(self, tree: Any) -> Tree:
        """The tree as dictionaries."""
        found: Tree = {}
        for path, leaf in zip(self._paths, jax.tree.leaves(tree), strict=True):
            inner = found
            for name in path[:-1]:
                inner = inner.setdefault(name, {})
            inner[path[-1]] = leaf
        return found

    def from_dict(self, found: Tree) -> Any:
        """The tree that the dictionaries were made of."""
        return self.filled([functools.reduce(lambda inner, name: inner[name], path, found) for path in self._paths])

    def filled(self, leaves: Sequence[Any]) -> Any:
        """The tree with these arrays."""
        return jax.tree.unflatten(self._structure, leaves)
