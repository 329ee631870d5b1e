"""SGD as a Markov chain on a grid: how long it stays, exactly, for a cost of few params and few kinds of examples.

D params, N places of the grid, K kinds of examples, J batches that differ, T steps.

A step on a batch of B draws is one of J moves, whose probabilities are exact at every place. From each place of an
even grid a move leads to a point between places, and is shared among the corners of its cell by (multi)linear
interpolation. That keeps the mean of the move and adds to its variance, by width^2 / 6 on average, which is felt where
SGD's own noise is small: halve the width until nothing changes.

    well, axis = nets.wells.line(), np.linspace(-8.0, 8.0, 1_601)
    has_left = lambda at_NxD: at_NxD[:, 0] > 8
    chain = nets.step_chain.make_chain(well.cost, 1.1, well.kinds, [axis], 20.0, 4, has_left, well.shares)
    stay = nets.step_chain.leave(chain)
    stay.mean, stay.median, stay.survival(1_000)

Probabilities are only added and multiplied, nothing is subtracted, so that a mean of 10^20 steps has as many digits as
one of 100; the linear system (I - K) m = 1 for the mean loses one with every factor of ten. Solved once and stepped
until its start is forgotten, the chain goes on as a geometric distribution: that of its quasi-stationary rate.
ValueError, in one line, names what does not fit.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from nets import draws
from nets.chunks import Cost, Tree

# Steps between two looks at whether the start is forgotten.
BLOCK = 100
# Moves N x J x 2^D that are kept at most: about two gigabytes while the chain is made.
MOST_MOVES = 50_000_000


class Chain(NamedTuple):
    """The probabilities of a step among the N places of a grid, and of a step that leaves.

    `to_from_NxN` is a sparse matrix of SciPy whose entry [i, j] is the probability of a step from place j to place i;
    `leave_N` that of a step which leaves. `start_N` is the probability to start at each place.
    """

    to_from_NxN: Any
    leave_N: np.ndarray
    start_N: np.ndarray


class Stay(NamedTuple):
    """How long the chain stays: the shares that are left after 0, 1, ... T steps, and the rate at which they go on.

    `rate` is the share of those left that leave in a step once the start is forgotten, the quasi-stationary rate.
    """

    survival_T: np.ndarray
    rate: float

    def survival(self, steps: ArrayLike) -> np.ndarray:
        """The share that is left after so many steps."""
        steps, last = np.asarray(steps), len(self.survival_T) - 1
        later = np.exp(np.log1p(-self.rate) * np.maximum(steps - last, 0))
        return self.survival_T[np.minimum(steps, last)] * later

    @property
    def mean(self) -> float:
        """The mean number of steps until it leaves."""
        return float(self.survival_T[:-1].sum() + self.survival_T[-1] / self.rate)

    def mean_until(self, steps: int) -> float:
        """The mean number of steps until it leaves, or until so many are taken."""
        last = len(self.survival_T) - 1
        early = self.survival_T[: min(steps, last)].sum()
        # A geometric series from the last of the shares on.
        later = -math.expm1(math.log1p(-self.rate) * max(steps - last, 0)) / self.rate
        return float(early + self.survival_T[-1] * later)

    def steps_an_escape(self, steps: int) -> float:
        """The mean number of steps walked until so many are taken, by the share that leaves in them.

        Walkers that are waited for no longer give it without bias; once the start is forgotten it is 1 / rate.
        """
        return self.mean_until(steps) / (1 - float(self.survival(steps)))

    @property
    def median(self) -> float:
        """The first whole number of steps after which at most half are left."""
        if self.survival_T[-1] <= 0.5:
            return float(np.argmax(self.survival_T <= 0.5))
        return len(self.survival_T) - 1 + math.ceil(math.log(0.5 / self.survival_T[-1]) / math.log1p(-self.rate))


def _even(axes: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first place, the width and the number of places of each axis; ValueError where one is not even."""
    axes = [np.asarray(axis, np.float64) for axis in axes]
    if len(axes) != count:
        raise ValueError(f"axes are {len(axes)}; accepted: {count}, one for each number of the params")
    for axis in axes:
        if axis.ndim != 1 or len(axis) < 2 or not np.allclose(np.diff(axis), axis[1] - axis[0]) or axis[1] <= axis[0]:
            raise ValueError(f"an axis has the shape {axis.shape}; accepted: 2 places or more that rise evenly")
    spans = [(float(axis[0]), float(axis[-1] - axis[0]) / (len(axis) - 1), len(axis)) for axis in axes]
    first_D, width_D, length_D = zip(*spans, strict=True)
    return np.array(first_D), np.array(width_D), np.array(length_D)


def _corners(
    points_NxD: np.ndarray, first_D: np.ndarray, width_D: np.ndarray, length_D: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The places at the 2^D corners of each point's cell and their shares of it, [2^D, N] each.

    A point beyond the grid is at its edge.
    """
    at_NxD = np.clip((points_NxD - first_D) / width_D, 0, length_D - 1)
    low_NxD = np.minimum(at_NxD.astype(np.int64), length_D - 2)
    part_NxD = at_NxD - low_NxD
    places, shares = list[np.ndarray](), list[np.ndarray]()
    for corner in itertools.product((0, 1), repeat=len(length_D)):
        corner_D = np.array(corner)
        places.append(np.asarray(np.ravel_multi_index(tuple((low_NxD + corner_D).T), tuple(length_D))))
        shares.append(np.where(corner_D == 1, part_NxD, 1 - part_NxD).prod(axis=1))
    return np.array(places), np.array(shares)


def make_chain(
    cost: Cost,
    start: Tree,
    kinds: Tree,
    axes: Sequence[np.ndarray],
    learning_rate: float,
    batch_size: int,
    escaped: Callable[[np.ndarray], np.ndarray],
    weights: ArrayLike | None = None,
) -> Chain:
    """The chain of SGD's steps on batches of so many examples, each one of the kinds, drawn with those probabilities.

    `kinds` are data of K examples, equally likely for None. `axes` are D arrays of even places, one for each number of
    the params, in the order in which JAX flattens them. `escaped` tells of points [N, D] (NumPy) which have left; it is
    asked after every step, before the point is shared among places. A step beyond the grid that has not left ends at
    the grid's edge, which has to be so far away that this does not matter.
    """
    from scipy.sparse import coo_array

    with jax.enable_x64(True):
        start_D = np.asarray(ravel_pytree(draws.doubled(start))[0])
    grid = _even(axes, len(start_D))
    places_NxD = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(start_D))
    count, examples = len(places_NxD), len(jax.tree.leaves(kinds)[0])
    share_JxK, probability_J = draws.batches(draws.weights_of(weights, examples), batch_size)
    if (moves := count * len(share_JxK) * 2 ** len(start_D)) > MOST_MOVES:
        raise ValueError(f"the chain has {moves:,} moves; accepted: at most {MOST_MOVES:,}")
    gradient_NxKxD = draws.gradients(cost, start, places_NxD, kinds)
    leave_N, here_N = np.zeros(count), np.arange(count, dtype=np.int32)
    rows, columns, entries = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    for share_K, probability in zip(share_JxK, probability_J, strict=True):
        to_NxD = places_NxD - learning_rate * np.einsum("k,nkd->nd", share_K, gradient_NxKxD)
        out_N = np.asarray(escaped(to_NxD), bool)
        leave_N += probability * out_N
        for place_N, part_N in zip(*_corners(to_NxD[~out_N], *grid), strict=True):
            rows.append(place_N.astype(np.int32))
            columns.append(here_N[~out_N])
            entries.append(probability * part_N)
    to_from = np.concatenate(rows), np.concatenate(columns)
    matrix = coo_array((np.concatenate(entries), to_from), shape=(count, count)).tocsr()
    start_N = np.zeros(count)
    for (place,), (part,) in zip(*_corners(start_D[None], *grid), strict=True):
        start_N[place] += part
    return Chain(matrix, leave_N, start_N)


def leave(chain: Chain, tolerance: float = 1e-9, most: int = 1_000_000) -> Stay:
    """How long the chain stays, from its start; ValueError where it never leaves or does not forget its start.

    It is stepped, and those that are left are brought back to a total of 1, until the share that leaves in a step
    changes by less than the tolerance, as a share of itself, in each of two blocks of BLOCK steps.
    """
    here_N, left, survival, rate, calm = chain.start_N, 1.0, [1.0], 0.0, 0
    while calm < 2:
        if len(survival) > most:
            raise ValueError(f"the share that leaves in a step is still {rate:.3g} and moving after {most:,} steps")
        for _ in range(BLOCK):
            here_N = chain.to_from_NxN @ here_N
            total = float(here_N.sum())
            if not total > 0:
                # Nobody is left whose rate would matter.
                return Stay(np.array([*survival, 0.0]), 0.5)
            left *= total
            survival.append(left)
            here_N = here_N / total
        before, rate = rate, float(here_N @ chain.leave_N)
        calm = calm + 1 if rate > 0 and abs(rate - before) <= tolerance * rate else 0
    return Stay(np.array(survival), rate)
