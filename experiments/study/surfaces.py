"""The cost of two weights as a surface, and paths of descents on it, as pictures.

A, B weights of the grid across and up, S steps, P = 2 weights.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import nets


class Surface(NamedTuple):
    """The cost of two weights on a grid, [A, B], and what the weights are called."""

    across_A: np.ndarray
    up_B: np.ndarray
    cost_AxB: np.ndarray
    labels: tuple[str, str]


def surface(
    cost: nets.curvature.Cost,
    data: Any,
    labels: tuple[str, str],
    across: tuple[float, float],
    up: tuple[float, float],
    grid: int,
) -> Surface:
    """The mean cost over the data of two weights within those limits, on a grid of so many weights each way."""
    across_A, up_B = (np.linspace(*ends, grid, dtype=np.float32) for ends in (across, up))
    directions = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    cost_AxB = nets.curvature.cost_on_plane(cost, jnp.zeros(2), directions, across_A, up_B, data)
    return Surface(across_A, up_B, np.asarray(cost_AxB), labels)


def draw_path(axis: Any, path_SxP: Any, style: str) -> None:
    """A path with its start, white, and its end, black."""
    axis.plot(*np.asarray(path_SxP).T, style, color="tab:red", markersize=3, linewidth=1)
    axis.plot(*path_SxP[0], "o", color="white", markeredgecolor="black", markersize=7)
    axis.plot(*path_SxP[-1], "o", color="black", markersize=7)


def draw_surface(axis: Any, drawn: Surface) -> None:
    """Contours of the cost of two weights, denser where it is low; dark is low."""
    axis.contourf(drawn.across_A, drawn.up_B, np.sqrt(drawn.cost_AxB).T, 16, cmap="Blues_r", alpha=0.7)
    axis.set(xlabel=drawn.labels[0], ylabel=drawn.labels[1])
    # A path that leaves the grid does not widen it.
    axis.set(xlim=drawn.across_A[[0, -1]], ylim=drawn.up_B[[0, -1]])
    axis.locator_params(nbins=5)
