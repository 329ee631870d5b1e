"""How long gradient descent stays near a saddle of the cost: the linearised descent, exactly.

K eigenvalues.

Near a saddle the cost is quadratic. Along an eigenvector of its Hessian with the eigenvalue h < 0 the descent goes away
from the saddle, u' = (1 - eta h) u, and has won h u^2 / 2 of cost. It starts at u = |g / h|, where g is the slope of
the cost along that eigenvector (Newton's step back to the saddle), and it has left once it has won `drop`:

    delta = nets.saddle.overlap(-0.01, 0.001, drop=0.05)         # 0.0316, of the way out
    nets.saddle.leaving_time(-0.01, delta) / 0.1                 # ln(1 / delta) / (eta |h|), in steps of eta = 0.1

Times are rate x steps, for rates small beside 1 / |h|. With all eigenvalues h_K and the squared components of the
gradient along their eigenvectors, `descent_time` does not take one direction for all of them. `label_noise` is what
small batches add to the cost on a plateau, on which descent may stay longer for it. ValueError, in one line, names what
is out of range.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

# A time beyond any training.
LATEST = 1e15


def _check(name: str, value: float, is_accepted: bool, accepted: str) -> None:
    """ValueError for what is out of range."""
    if not (is_accepted and math.isfinite(value)):
        raise ValueError(f"{name} is {value}; accepted: {accepted}")


def overlap(eigenvalue: float, slope: float, drop: float) -> float:
    """delta: the distance from the saddle along the eigenvector over that at which the cost has fallen by `drop`,
    |g / h| / sqrt(2 drop / |h|) = |g| / sqrt(2 drop |h|). 1 or more has left."""
    _check("eigenvalue", eigenvalue, eigenvalue < 0, "less than 0")
    _check("drop", drop, drop > 0, "more than 0")
    return abs(slope) / math.sqrt(2 * drop * abs(eigenvalue))


def leaving_time(eigenvalue: float, overlap: float) -> float:
    """Rate x steps until the descent has left, ln(1 / delta) / |h|; 0 where it has, infinite without an overlap."""
    _check("eigenvalue", eigenvalue, eigenvalue < 0, "less than 0")
    _check("overlap", overlap, overlap >= 0, "0 or more")
    return math.inf if overlap == 0 else max(0.0, -math.log(overlap)) / abs(eigenvalue)


def descent_time(values_K: ArrayLike, squares_K: ArrayLike, drop: float) -> float:
    """Rate x steps until the linearised descent along all eigenvectors has won `drop` of cost.

    Along one with the eigenvalue h and the squared slope g^2 it has won g^2 (1 - e^(-2 h t)) / (2 h) after the time t:
    a bounded amount for h > 0, a growing one for h < 0. Infinite where all of them together never win so much; squares
    are 0 or more. `nets.curvature.lanczos`, started at the gradient, gives both.
    """
    _check("drop", drop, drop > 0, "more than 0")
    values_K, squares_K = np.asarray(values_K, float), np.asarray(squares_K, float)
    if values_K.ndim != 1 or values_K.shape != squares_K.shape or not len(values_K) or np.any(squares_K < 0):
        shapes = f"{values_K.shape} and {squares_K.shape}"
        raise ValueError(f"values_K and squares_K have the shapes {shapes}; accepted: one axis K, squares 0 or more")

    def won(time: float) -> float:
        # (1 - e^(-2 h t)) / (2 h), which is t where h is 0.
        with np.errstate(over="ignore"):
            grown_K = np.where(
                values_K == 0, time, -np.expm1(-2 * values_K * time) / np.where(values_K == 0, 1, 2 * values_K)
            )
        return float(np.sum(squares_K * grown_K))

    # What is won grows with the time: double, then halve.
    early, late = 0.0, 1.0 / float(np.abs(values_K).max() or 1.0)
    while won(late) < drop:
        early, late = late, 2 * late
        if late > LATEST:
            return math.inf
    while late - early > 1e-10 * late:
        middle = (early + late) / 2
        early, late = (middle, late) if won(middle) < drop else (early, middle)
    return late


def label_noise(logits_of: Callable[[Any], jax.Array], params: Any, rate: float | jax.Array, batch: int) -> jax.Array:
    """What the noise of the labels adds to a softmax net's mean cross-entropy on a plateau, in nats: a scalar.

    On a plateau all examples have the same logits, `logits_of(params)`, [C], with the same derivatives J by the
    parameters, and the labels come with the probabilities p of their softmax. Noise is how many examples of each class
    a batch happens to hold: the gradient of a batch of B, drawn with replacement, is J^T (p - mean of y). Its
    covariance, J^T (diag p - p p^T) J / B, is the Hessian over B, so that across the plateau the parameters come to
    fluctuate with the variance rate / (2 B) in every direction that changes p. Along it descent in such batches then
    drifts, on average, as descent on the mean cost and

        rate / (4 B) tr((diag p - p p^T) J J^T)

    (Blanc, Gupta, Valiant & Valiant 2020 and Damian, Ma & Lee 2021, where labels are perturbed on purpose). This is a
    quarter of the rate times the mean square of the noise, which Smith, Dherin, Barrett & De (2021) derive for batches
    without replacement. It holds for rates small beside 2 over the largest eigenvalue, and for drifts that are slow
    beside the fluctuations.

    It falls where the logits depend less on the parameters, as where a sigmoid layer saturates at 0. Nothing is
    differentiated by p: along the plateau it does not change, and the covariance of the labels is that of the data,
    whatever the net answers. ValueError for a batch below 1 or logits that are not [C].
    """
    _check("batch", batch, batch >= 1, "1 or more")
    logits_C = logits_of(params)
    if logits_C.ndim != 1:
        raise ValueError(f"logits_of(params) has the shape {logits_C.shape}; accepted: one axis C")
    p_C = jax.lax.stop_gradient(jax.nn.softmax(logits_C))
    rows = [leaf.reshape(len(p_C), -1) for leaf in jax.tree.leaves(jax.jacrev(logits_of)(params))]
    traces = [p_C @ jnp.sum(jnp.square(row_CxP), axis=1) - jnp.sum(jnp.square(p_C @ row_CxP)) for row_CxP in rows]
    return rate / (4 * batch) * sum(traces, jnp.zeros(()))
