"""Any model's layers, found in its own program: what goes into each activation and what comes out, and its measures.

    watched = nets.watch(lambda params, x_BxD: net.apply({"params": params}, x_BxD)[0])  # any pure function of pytrees
    print(watched.layers(params, images_BxD))                    # layer, activation, shape, place in the source
    z_BxH, a_BxH = watched.outputs(params, images_BxD)["hidden_0"]
    measured = watched.measure(cost, params, (images_BxD, labels_B))    # {"saturation/hidden_0": ..., ...}

It reads the jaxpr, so that Flax Linen and NNX, Equinox, Haiku and plain JAX are alike. B batch, H units, N examples
times positions.

A layer is named by the parameters of the nearest product or convolution that feeds it: the path of the innermost
container of the weights, or of the weights themselves where the container has several; a leading `params` is left out.
What `lax.scan` goes through stacked weights for is `block[0]`, `block[1]`, ...; a layer that is used again has `#2`
behind its name. A product with weights that no activation follows is a layer without activation: its output is its
weighted input.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jax.interpreters import partial_eval

from nets.axes import BATCH, UNIT, Axes
from nets.chunks import Cost, check_apart, check_hash
from nets.measures import GROUPS, LayerValues, Probed
from nets.programs import Site, UnfollowedError, find
from nets.replay import evaluate
from nets.tables import look_up
from nets.trees import (
    CostOfFloats,
    Skeleton,
    Tree,
    arrays_of,
    check_no_statistics,
    floats_of,
    is_mixed,
    paths_of_arrays,
)
from nets.values import Loop, Place, Product

UNITS = ("channels", "positions")


class Layer(NamedTuple):
    """A row of `Watched.layers`: `activation` is None where none follows the product, `shape` that of its output."""

    name: str
    activation: str | None
    shape: tuple[int, ...]
    line: str


class Layers(tuple[Layer, ...]):
    """The layers of a model in the order of its program; printed, a table."""

    __slots__ = ()

    def __str__(self) -> str:
        rows = [("layer", "activation", "shape", "source")]
        rows += [(row.name, row.activation or "none", str(row.shape), row.line) for row in self]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
        )


class _Program(NamedTuple):
    """A traced function of parameters and inputs with its sites and their names."""

    jaxpr: ClosedJaxpr
    arguments: list[Any]
    sites: list[Site]
    names: list[list[str]]  # Of each site, one for every step of the loops whose steps are layers.


def watch(forward: Callable[..., Any]) -> "Watched":
    """What finds and measures the layers of a pure function `forward(params, *inputs)`; see `Watched`."""
    if not callable(forward):
        raise ValueError(f"forward is {forward!r}; accepted: a function forward(params, *inputs)")
    return Watched(forward)


class Watched:
    """A model whose layers are found in its program: see the module's words. It is called as the function itself.

    Arguments may be any pytrees. What is no array in them (flags, strings, functions, Python numbers) is fixed as the
    program is traced. Everything works under `jit`, `vmap` and `grad`, and inside loops of the user's own.
    """

    def __init__(self, forward: Callable[..., Any]):
        self._forward = forward

    def __call__(self, params: Tree, *inputs: Any, **keywords: Any) -> Any:
        return self._forward(params, *inputs, **keywords)

    def layers(self, params: Tree, *inputs: Any, **keywords: Any) -> Layers:
        """The layers of the model, found without running it.

        ValueError, in one line with the place in the user's source, for what cannot be followed: an activation in a
        while loop or in a kernel.
        """
        program = _trace(self._forward, params, inputs, keywords)
        return Layers(
            Layer(name, site.activation, site.shape, site.line)
            for site, names in zip(program.sites, program.names, strict=True)
            for name in names
        )

    def outputs(self, params: Tree, *inputs: Any, **keywords: Any) -> dict[str, tuple[jax.Array, jax.Array]]:
        """Weighted input z and output a of every layer, as the program has them: `{layer: (z, a)}`.

        A layer inside a `scan` that goes through no weights of its own has the steps of the loop as its first axis; one
        in the branch of a `cond` that was not taken is NaN. ValueErrors of `layers`.
        """
        program = _trace(self._forward, params, inputs, keywords)
        taps = evaluate(program.jaxpr, program.arguments, program.sites, {})[1]
        return {
            name: (tap[0], tap[1])
            for site, names in zip(program.sites, program.names, strict=True)
            for name, *tap in zip(names, *(_by_step(site, value) for value in taps[site.place]), strict=True)
        }

    def measure(
        self,
        cost: Cost,
        params: Tree,
        batch: Tree,
        groups: Sequence[str] = ("saturation", "speed"),
        *,
        key: jax.Array | None = None,
        params_before: Tree | None = None,
        params_after: Tree | None = None,
        units: str = "channels",
    ) -> dict[str, jax.Array]:
        """The measures of these groups on a batch: `{"saturation/Dense_0": ..., "speed/Dense_0": ...}`, flat scalars.

        `cost(params, batch) -> cost_B`, one cost an example, calls the model; the layers are those that it goes
        through. Groups, as the probes of a run have them:

            saturation  of layers with an activation: `saturation` and `phi` where it is bounded on both sides,
                        `zero_fraction` and `dead_units` of relu, `dormant_units` of all that are not bounded, each a
                        share; `slope_mass`, `activation_mean`, `activation_std`, `activation_p98` (`nets.saturation`).
                        A softmax has none of them.
            speed       `speed`, the norm over the units of the mean of dC/dz, z being what goes into the activation:
                        Nielsen's |delta|, which is that of the bias's gradient where z = w x + b, and is defined
                        without a bias; by a shift of 0 added to z, of every layer;
                        `gradient_norm` by container of parameters; `update_ratio` with `params_after`, those one step
                        later; `displacement` with `params_before` (`nets.speed`)
            curvature   `curvature/top_eigenvalue`, `curvature/top_residual`, `curvature/trace`, `curvature/trace_error`
            noise       `noise/scale`, `noise/covariance_trace`, `noise/gradient_squared`
            cockpit     the quantities of `nets.cockpit`; `cockpit/alpha` with `params_after`

        A unit of a layer with positions, such as an image's, is a channel: its outputs at all positions of all examples
        are its outputs, so that it is dead where it is zero at all of them. With `units="positions"` a unit is each
        place of each channel, which is dead more easily. Values of a layer inside a `scan` without weights of its own
        count at every step. `key` is that of the random vectors of `curvature`, key(0) where none is given.

        Examples are the first axis of the batch's arrays. Where a `jax.custom_vjp` holds several activations or
        products, the gradients are those of what it computes, not its own. A layer in a branch of a `cond` that was not
        taken is NaN, and so is one within a loop that did not take it at every step.

        ValueError for an unknown group or kind of unit, for a cost of another shape than [B], for parameters of which
        none is a float, and those of `layers`.
        """
        if units not in UNITS:
            raise ValueError(f"units is {units!r}; accepted: {', '.join(UNITS)}")
        groups = (groups,) if isinstance(groups, str) else tuple(groups)
        for name in groups:
            look_up(GROUPS, name, "group")
        check_no_statistics(params)
        given = params, batch, params_before, params_after, jax.random.key(0) if key is None else key
        skeleton, static = Skeleton(given), {"cost": cost, "groups": groups, "units": units}
        check_hash(cost)
        if {"curvature", "noise", "cockpit"} & set(groups):
            of_floats = CostOfFloats(cost, params) if is_mixed(params) else cost
            check_apart(of_floats, floats_of(params), batch, whole=not {"noise", "cockpit"} & set(groups))
        return _measure(arrays_of(given), skeleton=skeleton, **static)


def every(count: int, measure: Callable[..., Any], step: jax.Array | int, *arguments: Any) -> Any:
    """What `measure(*arguments)` gives at steps 0, `count`, 2 `count`, ..., and NaN in its place at the steps between.

    It computes nothing between and works inside jitted loops, `lax.scan` among them, without a word to the host. Under
    `vmap` over steps both are computed. ValueError for a count below 1 and for a measure that gives no floats.
    """
    if isinstance(count, bool) or not hasattr(count, "__index__") or int(count) < 1:
        raise ValueError(f"count is {count!r}; accepted: a whole number >= 1")
    arrays, skeleton = arrays_of(arguments), Skeleton(arguments)

    def measured(*arrays: Any) -> Any:
        return measure(*skeleton.filled(arrays))

    shapes = jax.eval_shape(measured, *arrays)
    if not all(jnp.issubdtype(shape.dtype, jnp.floating) for shape in jax.tree.leaves(shapes)):
        raise ValueError("measure gives values that are no floats, which cannot be NaN; accepted: a tree of floats")

    def nothing(*_: Any) -> Any:
        return jax.tree.map(lambda shape: jnp.full(shape.shape, jnp.nan, shape.dtype), shapes)

    return jax.lax.cond(jnp.asarray(step) % count == 0, measured, nothing, *arrays)


# ---------------------------------------------------------------------------------------------------------------------
# Tracing and naming.


def _trace(
    function: Callable[..., Any],
    params: Tree,
    inputs: tuple[Any, ...],
    keywords: Mapping[str, Any],
    *,
    of_cost: bool = False,
) -> _Program:
    """The function's program for these arguments, without what its result does not depend on."""
    given = (params, inputs, keywords)
    arguments, skeleton = arrays_of(given), Skeleton(given)

    def flat(*arrays: Any) -> Any:
        params, inputs, keywords = skeleton.filled(arrays)
        return arrays_of(function(params, *inputs, **keywords))

    program = jax.make_jaxpr(flat)(*arguments)
    # What nothing depends on is no part of the network: a probability that the cost does not ask for.
    jaxpr, _ = partial_eval.dce_jaxpr(program.jaxpr, [True] * len(program.out_avals), instantiate=True)
    program = ClosedJaxpr(jaxpr, program.consts)
    paths = ["/".join(path) for path in paths_of_arrays(params)]
    leaves = [*paths, *[None] * (len(arguments) - len(paths))]
    sites = find(program, leaves, of_cost=of_cost)
    if not sites:
        raise UnfollowedError(
            "no layer was found: no product of an input with params and no activation; accepted: a function of "
            "(params, *inputs) that takes both from its arguments"
        )
    return _Program(program, arguments, sites, _names(sites))


def _names(sites: Sequence[Site]) -> list[list[str]]:
    """The names of each site's layers: more than one where a scan goes through stacked weights."""
    products = [site.product for site in sites if site.product]
    products += [product.before for product in products if product.before]
    weights = {leaf for product in products for leaf in product.leaves}
    beside = Counter(leaf.rpartition("/")[0] for leaf in weights)
    used: Counter[str] = Counter()

    def layer(leaf: str) -> str:
        container = leaf.rpartition("/")[0]
        return container if container and beside[container] == 1 else leaf or "."

    def label(product: Product | None, steps: Mapping[Loop, int]) -> str:
        if product is None:
            return "input"
        late = product.late
        if late and late in steps:
            back = 1 if late.last == 0 else -1
            if not 0 <= steps[late] + back < late.length:
                return label(product.before, steps)
            steps = {**steps, late: steps[late] + back}
        indices = "".join(f"[{steps.get(loop, loop.last)}]" for loop in product.loops)
        return "*".join(dict.fromkeys(layer(leaf) for leaf in product.leaves)) + indices

    names: list[list[str]] = []
    for site in sites:
        own = [loop for loop, sliced in zip(site.loops, site.sliced, strict=True) if sliced]
        of_site: list[str] = []
        for steps in itertools.product(*(range(loop.length) for loop in own)):
            name = label(site.product, dict(zip(own, steps, strict=True)))
            used[name] += 1
            of_site.append(name if used[name] == 1 else f"{name}#{used[name]}")
        names.append(of_site)
    return names


# ---------------------------------------------------------------------------------------------------------------------
# Values.


def _by_step(site: Site, value: jax.Array) -> list[jax.Array]:
    """The values of the layers that a site is, from one with an axis in front for every loop around it."""
    sliced = site.sliced
    front = [i for i, own in enumerate(sliced) if own]
    moved = jnp.moveaxis(value, front, range(len(front)))
    return list(moved.reshape(-1, *moved.shape[len(front) :]))


def _axes(site: Site) -> Axes:
    """The labels of a layer's values: the steps of loops without weights of their own are in front."""
    return (*[None for own in site.sliced if not own], *site.axes)


def _unit_axes(axes: Axes) -> list[int]:
    """Where the units are: along the axes that come from the weights, else along the last that is none of examples."""
    found = [i for i, label in enumerate(axes) if label == UNIT]
    return found or [len(axes) - 1] * (bool(axes) and axes[-1] != BATCH)


def _batch_axis(axes: Axes) -> int | None:
    """Where the examples are: along the axis that comes from the inputs' first, else the first but those of units."""
    if BATCH in axes:
        return axes.index(BATCH)
    units = _unit_axes(axes)
    return next((i for i in range(len(axes)) if i not in units), None)


def _as_matrix(value: jax.Array, axes: Axes, units: str) -> jax.Array:
    """A layer's values as [N, H]: examples times positions and channels, or examples and positions times channels."""
    if units == "positions":
        batch = _batch_axis(axes)
        return value.reshape(1, -1) if batch is None else jnp.moveaxis(value, batch, 0).reshape(value.shape[batch], -1)
    own = _unit_axes(axes)
    moved = jnp.moveaxis(value, own, range(-len(own), 0))
    return moved.reshape(-1, math.prod(moved.shape[moved.ndim - len(own) :]))


def _shift(site: Site, units: str) -> jax.Array:
    """Zeros that shift the weighted input of every unit of a site's layers."""
    batch, own = _batch_axis(site.axes), _unit_axes(site.axes)
    is_kept = [i != batch if units == "positions" else i in own for i in range(len(site.shape))]
    shape = [size if kept else 1 for size, kept in zip(site.shape, is_kept, strict=True)]
    steps = [loop.length for loop, own in zip(site.loops, site.sliced, strict=True) if own]
    return jnp.zeros((*steps, *shape), jnp.promote_types(site.dtype, jnp.float32))


@partial(jax.jit, static_argnames=("skeleton", "cost", "groups", "units"))
def _measure(
    arrays: list[Any], *, skeleton: Skeleton, cost: Cost, groups: tuple[str, ...], units: str
) -> dict[str, jax.Array]:
    """The program of `Watched.measure`."""
    params, batch, params_before, params_after, key = skeleton.filled(arrays)
    layers, gradient = layer_values(cost, params, batch, units)
    probed = Probed(layers, gradient, cost, params, batch, params_before, params_after, key)
    return {name: value for group in groups for name, value in GROUPS[group](probed).items()}


def layer_values(cost: Cost, params: Tree, batch: Tree, units: str = "channels") -> tuple[list[LayerValues], Tree]:
    """The values of every layer that a cost goes through, with the gradients of the mean cost by the layers' weighted
    inputs; and its gradient by the parameters, a tree like params. It is what `Watched.measure` measures."""
    program = _trace(cost, params, (batch,), {}, of_cost=True)
    count = len(paths_of_arrays(params))
    floats = [i for i, x in enumerate(program.arguments[:count]) if jnp.issubdtype(x.dtype, jnp.floating)]
    if not floats:
        raise ValueError("params hold no array of floats; accepted: the parameters of a model")

    def mean_cost(values: list[jax.Array], shifts: dict[Place, jax.Array]) -> tuple[jax.Array, Any]:
        arguments = list(program.arguments)
        for i, value in zip(floats, values, strict=True):
            arguments[i] = value
        costs, taps = evaluate(program.jaxpr, arguments, program.sites, shifts)
        if len(costs) != 1 or costs[0].ndim != 1:
            told = ", ".join(str(cost.shape) for cost in costs)
            raise ValueError(f"cost gives {told or 'nothing'}; accepted: one cost an example, [B]")
        return jnp.mean(costs[0]), taps

    shifts = {site.place: _shift(site, units) for site in program.sites}
    values = [program.arguments[i] for i in floats]
    (gradient, deltas), taps = jax.grad(mean_cost, (0, 1), has_aux=True)(values, shifts)
    layers = []
    for site, names in zip(program.sites, program.names, strict=True):
        axes = _axes(site)
        z, a = (_by_step(site, value) for value in taps[site.place])
        delta = deltas[site.place].reshape(len(names), -1)
        for i, name in enumerate(names):
            matrices = _as_matrix(z[i], axes, units), _as_matrix(a[i], axes, units)
            layers.append(LayerValues(name, site.activation, site.parameter, *matrices, delta[i]))
    like_params = list(program.arguments[:count])
    for i, array in zip(floats, gradient, strict=True):
        like_params[i] = array
    return layers, Skeleton(params).filled(like_params)
