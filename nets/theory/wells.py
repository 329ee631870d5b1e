"""Neurons with two wells, whose times to leave one are exact: the barrier is known, and so is every step of SGD.

D params, N places of a grid, K kinds of examples.

`line` has one weight and no bias, and inputs 1 and 1/20 with three labels 1 to one label 0 at each: either half alone
would have its minimum where the output is 3/4, at w = 1.10 and 21.97, and together they make two wells. `plane` has a
bias too. Two inputs would then have one minimum, as each could have its own logit: a third, 0, whose labels are 1 and 0
equally often, holds the bias near 0. Both have the quadratic cost (a - y)^2 without 1/2.

    well = nets.wells.line()
    nets.wells.stay_on_line(rate=20.0, batch=4, width=0.01).median              # 686 steps
    nets.escape.action(well.cost, well.kinds, well.minimum, well.saddle, weights=well.shares).value        # 42.217
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nets import escape
from nets.chunks import Cost, Tree
from nets.theory import step_chain

Data = tuple[jax.Array, jax.Array]

# Where walkers of the line start and where they are out: beyond the barrier, before the second minimum. Farther to the
# left than that range nothing changes.
START, OUT, LEFT = 1.1, 8.0, -8.0
PLANE_OUT = 7.0


def one_weight(w: jax.Array, batch: Data) -> jax.Array:
    """The quadratic cost of a neuron with one weight, [B]."""
    x_B, y_B = batch
    return (jax.nn.sigmoid(w * x_B) - y_B) ** 2


def weight_and_bias(params: jax.Array, batch: Data) -> jax.Array:
    """The quadratic cost of a neuron with a weight and a bias, [B]."""
    x_B, y_B = batch
    return (jax.nn.sigmoid(params[0] * x_B + params[1]) - y_B) ** 2


class Well(NamedTuple):
    """A neuron, its kinds of examples with the share of each, as many examples as have these shares, a minimum and the
    saddle beyond it."""

    cost: Cost
    kinds: Data
    shares: np.ndarray
    examples: Data
    minimum: Tree
    saddle: Tree


def _well(cost: Cost, inputs: Sequence[float], counts: Sequence[int], near: Tree, over: Tree) -> Well:
    """The neuron on labels 1 and 0 at each input, so many of each, with the critical points near those places."""
    x_K, y_K = kinds = jnp.repeat(jnp.array(inputs), 2), jnp.tile(jnp.array([1.0, 0.0]), len(inputs))
    counts_K = np.array(counts)
    examples = jnp.repeat(x_K, counts_K), jnp.repeat(y_K, counts_K)
    minimum, saddle = (escape.polish(cost, place, examples) for place in (near, over))
    return Well(cost, kinds, counts_K / counts_K.sum(), examples, minimum, saddle)


@cache
def line() -> Well:
    """One weight: the minimum at 1.19 and the barrier at 4.59."""
    return _well(one_weight, (1.0, 0.05), (3, 1, 3, 1), 1.2, 4.6)


@cache
def plane() -> Well:
    """Weight and bias, inputs 1, 1/10 and 0: the minimum at (.94, .28), the saddle at (4.46, .17)."""
    places = jnp.array([0.94, 0.28]), jnp.array([4.46, 0.17])
    return _well(weight_and_bias, (1.0, 0.1, 0.0), (3, 1, 3, 1, 4, 4), *places)


def _axis(low: float, high: float, width: float) -> np.ndarray:
    """Even places no farther apart than that."""
    return np.linspace(low, high, int(np.ceil((high - low) / width)) + 1)


def grid_width(share: float, rate: float, batch: int) -> float:
    """A grid as fine as a share of rate^1.5 / batch, to which SGD's own noise at the barrier goes."""
    return share * rate**1.5 / batch


def stay_on_line(rate: float, batch: int, width: float, tolerance: float = 1e-9) -> step_chain.Stay:
    """How long SGD stays at w <= 8 from w = 1.1, on a grid of that width.

    The noise that the grid adds is felt once the width is more than about `grid_width(5e-4, rate, batch)`.
    """
    well, axis = line(), _axis(LEFT, OUT, width)

    def is_out(at_NxD: np.ndarray) -> np.ndarray:
        return at_NxD[:, 0] > OUT

    chain = step_chain.make_chain(well.cost, START, well.kinds, [axis], rate, batch, is_out, well.shares)
    return step_chain.leave(chain, tolerance)


def stay_on_plane(rate: float, width: tuple[float, float], tolerance: float = 1e-6) -> step_chain.Stay:
    """How long SGD of batch 1 stays at w <= 7 from the minimum, on a grid of those widths in weight and bias.

    The grid goes left by 1 + rate, and 1.5 + .75 rate to both sides of the bias .3, four times as far as SGD's noise.
    """
    well, reach = plane(), 1.5 + 0.75 * rate
    axes = [_axis(-1 - rate, PLANE_OUT, width[0]), _axis(0.3 - reach, 0.3 + reach, width[1])]

    def is_out(at_NxD: np.ndarray) -> np.ndarray:
        return at_NxD[:, 0] > PLANE_OUT

    chain = step_chain.make_chain(well.cost, well.minimum, well.kinds, axes, rate, 1, is_out, well.shares)
    return step_chain.leave(chain, tolerance)
