"""What is seen of a cost around and between minima: the plane of a path, barriers on lines, widths of basins.

S points of a path, P parameters, A places on a line, A and B coordinates of a plane, x any leading axes.

    path_SxP = jnp.stack([ravel_pytree(params)[0] for params in of_every_epoch])
    plane = nets.landscape.path_plane(path_SxP)
    plane.shares_2                                   # of the path's variance, in each of the two directions
    unravel = ravel_pytree(params)[1]
    nets.curvature.cost_on_plane(cost, params, tuple(map(unravel, plane.directions_2xP)), a, b, data)

The functions are pure and work under jit and vmap. Numbers that are not finite raise nothing.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nets.chunks import CHUNK, Cost, Tree, check_cost, check_like, check_params, mean_cost, measure


class PathPlane(NamedTuple):
    """The plane that a path varies most in.

    `directions_2xP` are orthonormal, `coordinates_Sx2` those of the path's points in them, with the last point as the
    origin and the first one at positive coordinates, in the parameters' unit; `shares_2` is the share of the path's
    variance in each direction.
    """

    directions_2xP: jax.Array
    coordinates_Sx2: jax.Array
    shares_2: jax.Array


def path_plane(path_SxP: ArrayLike) -> PathPlane:
    """The first two principal components of a path through the weights (Li et al. 2018, section 7.2).

    [S, P] points -> the plane through the last point; the variance is that around the path's mean. Shares are NaN where
    no point differs from another. Much of a path lies in its plane even where nothing pulls it there: of a long random
    walk in high dimensions the shares are 6 / pi^2 and a quarter of that (Antognini & Sohl-Dickstein 2018). ValueError
    unless there are at least 2 parameters and 3 points.
    """
    path_SxP = jnp.asarray(path_SxP)
    if path_SxP.ndim != 2 or path_SxP.shape[0] < 3 or path_SxP.shape[1] < 2:
        raise ValueError(f"path_SxP has shape {path_SxP.shape}; accepted: [S, P] with S >= 3 and P >= 2")
    centred_SxP = path_SxP - jnp.mean(path_SxP, axis=0, keepdims=True)
    _, sizes, rows = jnp.linalg.svd(centred_SxP, full_matrices=False)
    coordinates_Sx2 = (path_SxP - path_SxP[-1:]) @ rows[:2].T
    signs_2 = jnp.where(coordinates_Sx2[0] < 0, -1, 1).astype(path_SxP.dtype)
    shares_2 = sizes[:2] ** 2 / jnp.sum(sizes**2)
    return PathPlane(rows[:2] * signs_2[:, None], coordinates_Sx2 * signs_2[None], shares_2)


def _check_line(name: str, values_xA: jax.Array) -> None:
    """ValueError unless there are two places or more on the line."""
    if values_xA.ndim < 1 or values_xA.shape[-1] < 2:
        raise ValueError(f"{name} has shape {values_xA.shape}; accepted: a last axis of 2 places or more")


def barrier(costs_xA: ArrayLike) -> jax.Array:
    """How far the costs on the way between two nets rise above the higher end, [x], in the costs' unit; 0 where they do
    not. ValueError for fewer than two places."""
    costs_xA = jnp.asarray(costs_xA)
    _check_line("costs_xA", costs_xA)
    return jnp.max(costs_xA, axis=-1) - jnp.maximum(costs_xA[..., 0], costs_xA[..., -1])


def instability(errors_xA: ArrayLike) -> jax.Array:
    """The highest error on the way between two nets less the mean of both ends, [x] (Frankle et al. 2020, section 2).

    Two nets count as connected there where that is below 2 points. ValueError for fewer than two places.
    """
    errors_xA = jnp.asarray(errors_xA)
    _check_line("errors_xA", errors_xA)
    return jnp.max(errors_xA, axis=-1) - (errors_xA[..., 0] + errors_xA[..., -1]) / 2


def width(coordinates_A: ArrayLike, costs_xA: ArrayLike, level_x: ArrayLike) -> jax.Array:
    """The coordinate at which the costs on a line first reach a level, [x], linear between places.

    `coordinates_A` ascend from where the line leaves the minimum; infinite where the level is not reached, and the
    first coordinate where it is reached there. ValueError for shapes that do not fit.
    """
    coordinates_A, costs_xA = jnp.asarray(coordinates_A), jnp.asarray(costs_xA)
    level_x = jnp.asarray(level_x)
    _check_line("costs_xA", costs_xA)
    if coordinates_A.shape != costs_xA.shape[-1:] or level_x.shape not in ((), costs_xA.shape[:-1]):
        raise ValueError(
            f"coordinates_A has shape {coordinates_A.shape}, costs_xA {costs_xA.shape} and level_x {level_x.shape}; "
            "accepted: [A], [x, A], and [x] or none"
        )
    level_x = jnp.broadcast_to(level_x, costs_xA.shape[:-1])
    reached_xA = costs_xA >= level_x[..., None]
    after_x = jnp.maximum(jnp.argmax(reached_xA, axis=-1), 1)
    at = lambda i_x: jnp.take_along_axis(costs_xA, i_x[..., None], axis=-1)[..., 0]  # noqa: E731
    low_x, high_x = at(after_x - 1), at(after_x)
    share_x = jnp.clip((level_x - low_x) / (high_x - low_x), 0, 1)
    left_x, right_x = coordinates_A[after_x - 1], coordinates_A[after_x]
    # Where the first place reaches the level, nothing lies before it.
    place_x = jnp.where(reached_xA[..., 0], coordinates_A[0], left_x + share_x * (right_x - left_x))
    return jnp.where(jnp.any(reached_xA, axis=-1), place_x, jnp.inf)


Layout: TypeAlias = Literal["in_out", "out_in"]


def filter_normalised_direction(key: jax.Array, params: Tree, layout: Layout | None = None) -> Tree:
    """A random direction, a tree like params, whose filters have the norms of the params' filters (Li et al. 2018).

    N(0, 1), rescaled filter by filter. A filter is what belongs to one output unit: of a leaf with two axes or more
    everything at one index of the last axis for the layout "in_out", as Flax, Haiku and Keras have it ([in, out]; [h,
    w, in, out]), and of the first for "out_in", as Equinox and PyTorch do ([out, in]; [out, in, h, w]). Biases, and
    other leaves of one axis or none, get 0. `None` is "in_out", but a ValueError where a leaf is called `weight`, the
    name that goes with the other layout. The layout is fixed at trace time.
    """
    check_params(params)
    if layout not in (None, "in_out", "out_in"):
        raise ValueError(f"layout is {layout!r}; accepted: in_out, out_in")
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, params))
    if layout is None:
        _check_names(params)
    unit = 0 if layout == "out_in" else -1

    def norms(leaf: jax.Array) -> jax.Array:
        """The norm of each filter, with an axis for each of the leaf's."""
        rows = jnp.moveaxis(leaf, unit, -1).reshape(-1, leaf.shape[unit])
        shape = [1] * leaf.ndim
        shape[unit] = -1
        return jnp.linalg.norm(rows, axis=0).reshape(shape)

    def one(key: jax.Array, leaf: jax.Array) -> jax.Array:
        if leaf.ndim < 2 or not leaf.size:
            return jnp.zeros_like(leaf)
        random = jax.random.normal(key, leaf.shape, leaf.dtype)
        return random * (norms(leaf) / norms(random))

    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, [one(key, leaf) for key, leaf in zip(keys, leaves, strict=True)])


def _check_names(params: Tree) -> None:
    """ValueError where a leaf's name says that its first axis may be that of the output units."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = jax.tree_util.keystr(path[-1:], simple=True)
        if jnp.ndim(leaf) >= 2 and (name == "weight" or name.startswith("weight_")):
            raise ValueError(
                f"a leaf is called {name!r}, which PyTorch and Equinox lay out as [out, in]; "
                "accepted with it: layout='out_in' or layout='in_out'"
            )


def _moved(params: Tree, coordinate: jax.Array, direction: Tree) -> Tree:
    """params + coordinate direction."""
    return jax.tree.map(lambda x, d: x + (coordinate * d).astype(x.dtype), params, direction)


def _coordinates(given: ArrayLike | Sequence[float]) -> jax.Array:
    """The coordinates as a vector; ValueError unless they are numbers on one axis."""
    numbers = [getattr(x, "dtype", type(x)) for x in jax.tree.leaves(given)]
    try:
        coordinates = jnp.asarray(given) if all(jnp.issubdtype(x, jnp.number) for x in numbers) else None
    except ValueError:  # Rows of several lengths.
        coordinates = None
    if coordinates is None or jnp.iscomplexobj(coordinates):
        raise ValueError(f"coordinates are a {type(given).__name__} of something else; accepted: one axis of numbers")
    if jnp.ndim(coordinates) != 1:
        raise ValueError(f"coordinates have the shape {jnp.shape(coordinates)}; accepted: one axis")
    return coordinates


def cost_on_line(
    cost: Cost,
    params: Tree,
    direction: Tree,
    coordinates_A: ArrayLike | Sequence[float],
    data: Tree,
    chunk: int = CHUNK,
) -> jax.Array:
    """The mean cost at params + a direction for each coordinate a: [A], in the cost's unit.

    ValueError for a direction that is no tree like params, for coordinates of another number of axes than one, and as
    `nets.curvature` says.
    """
    return _on_line(cost, params, direction, _coordinates(coordinates_A), data, chunk)


@measure()
def _on_line(cost: Cost, params: Tree, direction: Tree, a_A: jax.Array, data: Tree, chunk: int) -> jax.Array:
    """The program of `cost_on_line`."""
    check_cost(cost, params, data, chunk)
    check_like("direction", direction, params)
    params = jax.tree.map(jnp.asarray, params)
    return jax.lax.map(lambda a: mean_cost(cost, _moved(params, a, direction), data, chunk), a_A)


def cost_on_plane(
    cost: Cost,
    params: Tree,
    directions: tuple[Tree, Tree],
    coordinates_A: ArrayLike | Sequence[float],
    coordinates_B: ArrayLike | Sequence[float],
    data: Tree,
    chunk: int = CHUNK,
) -> jax.Array:
    """The mean cost at params + a directions[0] + b directions[1]: [A, B], in the cost's unit.

    Errors as for `cost_on_line`, and for another number of directions than two.
    """
    if len(directions) != 2:
        raise ValueError(f"directions are {len(directions)}; accepted: two trees like params")
    return _on_plane(cost, params, directions, _coordinates(coordinates_A), _coordinates(coordinates_B), data, chunk)


@measure()
def _on_plane(
    cost: Cost, params: Tree, directions: tuple[Tree, Tree], a_A: jax.Array, b_B: jax.Array, data: Tree, chunk: int
) -> jax.Array:
    """The program of `cost_on_plane`."""
    check_like("direction", directions[0], params)
    params = jax.tree.map(jnp.asarray, params)
    return jax.lax.map(lambda a: _on_line(cost, _moved(params, a, directions[0]), directions[1], b_B, data, chunk), a_A)
