"""Models of other people as one set of functions of nested dictionaries: Flax Linen, Flax NNX, and pairs of functions.

B batch, C classes. x is an array of examples as the model takes it.
"""

import functools
import inspect
import itertools
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
    made: str = ""  # With what it was made, in words.


class Offer(NamedTuple):
    """What a model may take from a config, by name, and as it stands there; and those names that it has to take since
    the config says of them what is not so by default."""

    values: Mapping[str, Any]
    words: Mapping[str, str]
    said: Mapping[str, Any]


def network_of(given: Any, name: str, offer: Offer) -> Network:
    """The network that an object of that name stands for; OwnError where it is none."""
    from flax import linen

    arguments: dict[str, Any] = {}
    if isinstance(given, type) and _is_nnx(given):
        arguments = _arguments(given.__init__, name, offer, ("self", "rngs"))
        network = _of_nnx(functools.partial(given, **arguments), _told(given.__call__))
    else:
        if isinstance(given, type) and issubclass(given, linen.Module):
            arguments = _arguments(given, name, offer, ("parent", "name"))
            given = given(**arguments)
        elif inspect.isfunction(given):
            arguments = _arguments(given, name, offer)
            given = given(**arguments)
        else:
            _check_taken((), name, offer)
        network = _of_made(given)
    return network._replace(made=f"{name}({', '.join(f'{taken}={offer.words[taken]}' for taken in arguments)})")


def _of_made(given: Any) -> Network:
    """The network that a module or a pair of functions is."""
    from flax import linen

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
        # Streams of other names fall back on `params`.
        streams = {"dropout": key, "params": jax.random.fold_in(key, 1)}
        if not collections:
            return module.apply(variables, x, **said, rngs=streams), statistics
        logits, mutated = module.apply(variables, x, **said, rngs=streams, mutable=sorted(collections))
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

    def split(module: Any) -> tuple[Any, ...]:
        """Structure, parameters, random numbers and the rest of a module, without what it has written down."""
        graph, params, keys, _, others = nnx.split(module, nnx.Param, nnx.RngState, nnx.Intermediate, ...)
        return graph, params, keys, others

    def parts(key: jax.Array) -> tuple[Any, ...]:
        module = make(rngs=nnx.Rngs(key, dropout=jax.random.fold_in(key, 1)))
        return split(module)

    graph, *states = nnx.eval_shape(lambda: parts(jax.random.key(0)))
    trained, keys, others = (_Like(state) for state in states)

    def init(key: jax.Array, x: jax.Array) -> tuple[Tree, Tree]:
        del x
        _, params, _, statistics = parts(key)
        return trained.as_dict(params), others.as_dict(statistics)

    def merged(params: Tree, statistics: Tree, key: jax.Array) -> Any:
        # Every stream of random numbers starts from the step's key.
        streams = [
            _keys_like(leaf, jax.random.fold_in(key, i))
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            else jnp.zeros(leaf.shape, leaf.dtype)
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
        return logits, others.as_dict(split(module)[3])

    return Network(init, apply, apply_in_training, "mask" in keywords(True))


def _keys_like(leaf: jax.ShapeDtypeStruct, key: jax.Array) -> jax.Array:
    """A key, or as many as stacked layers have."""
    return jax.random.split(key, leaf.shape) if leaf.shape else key


class _Like:
    """A tree of arrays of some structure as nested dictionaries, by the paths of its arrays, and back."""

    def __init__(self, tree: Any):
        leaves, self._structure = jax.tree.flatten(tree)
        self._paths = [path or ("params",) for path in paths_of_arrays(tree)]
        if len(self._paths) != len(leaves):
            raise OwnError("its parameters hold what is no array; accepted: a tree of arrays")
        self.shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
        joined = sorted("/".join(path) for path in self._paths)
        for one, next_one in itertools.pairwise(joined):
            if next_one == one or next_one.startswith(f"{one}/"):
                raise OwnError(f"two of its arrays are called {one!r}; accepted: a path for each")

    def as_dict(self, tree: Any) -> Tree:
        """The tree as dictionaries."""
        leaves = jax.tree.leaves(tree)
        if len(leaves) != len(self._paths):
            raise OwnError("its statistics after a step are other arrays than before")
        found: Tree = {}
        for path, leaf in zip(self._paths, leaves, strict=True):
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
