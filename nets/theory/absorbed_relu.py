"""One ReLU under SGD as a walker that silence absorbs: the chance of dying, exactly, by a chain on its weight and bias.

S states, Q nodes.

The unit answers v max(0, w x + b) to an input x ~ N(0, 1), is to answer |x|, and has the cost r^2 / 2, r the residual.
Only w and b learn, from one fresh example a step:

    w' = w - eta r v x,   b' = b - eta r v        where w x + b > 0, and nothing moves elsewhere.

On Gaussian inputs no unit is silent for ever. It counts as dead once it fires with a probability of at most `silence`,
Phi(b / |w|) <= silence, and stays so: it is absorbed.

    chain = nets.absorbed_relu.Chain(learning_rate=0.2, outgoing=1.0)
    chain.dead(50)                                     # the share that is dead after 50 steps, from He's weights, b = 0
    nets.absorbed_relu.dead_at_first_step(1.1, 1.0)    # without a grid
    nets.absorbed_relu.dead_nets(0.5, width=3)         # of living nets, if each unit of their last layer dies with 1/2

Everything is in float64 by NumPy and SciPy. ValueError, in one line, names what is out of range.
"""

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

# The largest |w| and |b| of the chain; what goes beyond is put there. The largest |x|, and the nodes up to it.
REACH, FARTHEST, NODES = 6.0, 5.0, 96
SILENCE = 1e-3
# He's standard deviation for one input.
DEVIATION = math.sqrt(2)


def _check(learning_rate: float, silence: float) -> None:
    """ValueError for what is out of range."""
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate}; accepted: a number more than 0")
    if not 0 < silence < 0.5:
        raise ValueError(f"silence is {silence}; accepted: more than 0 and less than .5")


def is_silent(w: np.ndarray, b: np.ndarray, silence: float = SILENCE) -> np.ndarray:
    """Whether a unit fires with a probability of at most `silence`, on inputs x ~ N(0, 1)."""
    from scipy.special import ndtri  # Where it is used: every command imports `nets`, and waits for what that imports.

    return b < ndtri(silence) * np.abs(w)


def step(
    w: np.ndarray, b: np.ndarray, x: np.ndarray, learning_rate: float, outgoing: float
) -> tuple[np.ndarray, np.ndarray]:
    """The weight and bias after a step on the example x, elementwise."""
    z = w * x + b
    push = np.where(z > 0, learning_rate * outgoing * (outgoing * z - np.abs(x)), 0.0)
    return w - push * x, b - push


@cache
def _inputs(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of x ~ N(0, 1), which take longer to find than to use."""
    node_Q, weight_Q = np.polynomial.legendre.leggauss(nodes)
    x_Q = node_Q * FARTHEST
    weight_Q = weight_Q * np.exp(-(x_Q**2) / 2)
    return x_Q, weight_Q / weight_Q.sum()


def dead_at_first_step(learning_rate: float, outgoing: float, silence: float = SILENCE, nodes: int = 600) -> float:
    """The share of units with w ~ N(0, 2), b = 0 that their first step kills, by quadrature over w and x."""
    _check(learning_rate, silence)
    x_Q, weight_Q = _inputs(nodes)
    w_Qx1, b_Qx1 = DEVIATION * x_Q[:, None], np.zeros((nodes, 1))
    dead_QxQ = is_silent(*step(w_Qx1, b_Qx1, x_Q[None, :], learning_rate, outgoing), silence)
    return float(weight_Q @ dead_QxQ @ weight_Q)


class Chain:
    """The chain on a grid of |w| and b with that spacing, and linear interpolation between its points.

    w and -w die alike, so that |w| is enough. Interpolation adds a little noise of its own: halve the spacing to see
    whether it matters; it does where steps, of the size of the learning rate, are smaller than it.
    """

    def __init__(
        self, learning_rate: float, outgoing: float, silence: float = SILENCE, spacing: float = 0.1, nodes: int = NODES
    ) -> None:
        from scipy import sparse

        _check(learning_rate, silence)
        if not 0 < spacing <= 1:
            raise ValueError(f"spacing is {spacing}; accepted: more than 0 and at most 1")
        self.side = math.ceil(REACH / spacing)
        self.spacing = REACH / self.side
        w_I, b_J = np.arange(self.side + 1) * self.spacing, np.arange(-self.side, self.side + 1) * self.spacing
        w_S, b_S = (grid.ravel() for grid in np.meshgrid(w_I, b_J, indexing="ij"))
        self.silent_S = is_silent(w_S, b_S, silence)
        moved = sparse.csr_array((len(w_S), len(w_S)))
        dead_S = np.zeros(len(w_S))
        for x, weight in zip(*_inputs(nodes), strict=True):
            next_w_S, next_b_S = step(w_S, b_S, np.full_like(w_S, x), learning_rate, outgoing)
            dies_S = is_silent(next_w_S, next_b_S, silence)
            dead_S += weight * dies_S
            moved = moved + self._interpolated(np.abs(next_w_S), next_b_S, weight * ~dies_S)
        self._moved_SxS, self._dead_S = moved, dead_S

    def _interpolated(self, w_S: np.ndarray, b_S: np.ndarray, weight_S: np.ndarray) -> "sparse.csr_array":
        """What of each state comes to which points of the grid."""
        from scipy import sparse

        columns, side = 2 * self.side + 1, self.side
        i_S, j_S = np.clip(w_S / self.spacing, 0, side), np.clip(b_S / self.spacing + side, 0, 2 * side)
        low_i, low_j = np.minimum(i_S.astype(int), side - 1), np.minimum(j_S.astype(int), 2 * side - 1)
        part_i, part_j, states = i_S - low_i, j_S - low_j, np.arange(len(w_S))
        corners = [
            (weight_S * (part_i if up else 1 - part_i) * (part_j if right else 1 - part_j), low_i + up, low_j + right)
            for up in (0, 1)
            for right in (0, 1)
        ]
        values, rows, places = zip(*((value, states, i * columns + j) for value, i, j in corners), strict=True)
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(places))
        return sparse.csr_array(entries, shape=(len(w_S), len(w_S)))

    def dead(self, steps: int) -> np.ndarray:
        """The shares of units with w ~ N(0, 2), b = 0 that are dead after 0, 1, ..., `steps` steps, [steps + 1]."""
        if steps < 0:
            raise ValueError(f"steps are {steps}; accepted: 0 or more")
        w_I = np.arange(self.side + 1) * self.spacing
        weight_I = np.exp(-((w_I / DEVIATION) ** 2) / 2)
        weight_I[0] /= 2  # The trapezoidal rule; nothing is left at the far end.
        weight_I /= weight_I.sum()
        dead_S, shares = self.silent_S.astype(float), [0.0]
        columns = 2 * self.side + 1
        for _ in range(steps):
            dead_S = np.where(self.silent_S, 1.0, self._dead_S + self._moved_SxS @ dead_S)
            shares.append(float(weight_I @ dead_S[self.side :: columns]))
        return np.array(shares)


def dead_nets(share: float, width: int) -> float:
    """The share of living nets that die, if one dies when all living units of its last layer do, independently and with
    that share each: ((1 + p)^width - 1) / (2^width - 1).

    In a random layer each unit is silent with probability 1/2, as in `nets.born_dead`; k of them are left with the
    probability of C(width, k) / (2^width - 1), k > 0. ValueError for a share beyond 0 and 1 or a width below 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; accepted: 0 to 1")
    if width < 1:
        raise ValueError(f"width is {width}; accepted: a whole number >= 1")
    return ((1 + share) ** width - 1) / (2**width - 1)
