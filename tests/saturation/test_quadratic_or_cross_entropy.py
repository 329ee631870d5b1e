"""Rates that work are judged by their best epoch, rates that fail by their last; his eta becomes our learning rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets
from experiments import quadratic_or_cross_entropy as study

BY_NAME = {setup.name: setup for setup in study.SETUPS}


def curves_of(accuracy_ExS, wrong: float) -> dict[str, np.ndarray]:
    """The metrics of a setup whose wrongly saturated share does not change."""
    return {"val_accuracy": np.array(accuracy_ExS), study.WRONG_SIDE: np.full(np.shape(accuracy_ExS), wrong)}


def claims_of(works, fails, wrong_of_quadratic: float = 0.1, wrong_of_cross_entropy: float = 0.001) -> list[bool]:
    """What is reproduced where every net that works has these accuracies, and every one that fails those."""
    curves = {setup: curves_of(fails if setup.fails else works, wrong_of_quadratic) for setup in study.SETUPS}
    curves[BY_NAME["cross-entropy, 30 hidden, eta 0.5"]] = curves_of(works, wrong_of_cross_entropy)
    return [line["reproduced"] for line in study.claims_of(curves)]


def test_best_epoch_of_the_best_seed_and_last_epoch_of_all():
    """.955 in any epoch of any seed counts for 30 units, and only for them; the end counts for rates that fail."""
    works = [[0.9, 0.955], [0.94, 0.91]]
    assert claims_of(works, [[0.5], [0.1]])[:6] == [True, False, True, False, True, True]
    assert claims_of(works, [[0.1, 0.1], [0.1, 0.4]])[4:6] == [True, False]
    assert claims_of([[0.96], [0.94]], [[0.1], [0.31]])[:6] == [False] * 6


def test_saturated_outputs_are_judged():
    """Half of an output unit a digit on the wrong side is the quadratic cost's least, .02 the cross-entropy's most."""
    assert claims_of([[0.95]], [[0.1]], 0.051, 0.019)[6:] == [True, True]
    assert claims_of([[0.95]], [[0.1]], 0.049, 0.021)[6:] == [False, False]


def test_seeds_that_are_stuck_are_explained():
    """A seed ten points below the other is, and what it has on the wrong side is said; two alike need no words."""
    metrics = {
        "val_accuracy": np.array([[0.5, 0.5], [0.96, 0.86]]),
        study.WRONG_SIDE: np.array([[0.2, 0.2], [0.003, 0.0123]]),
    }
    np.testing.assert_array_equal(study.stuck_seeds(metrics), [False, True])
    note = study.note_of(metrics)
    assert note.startswith("1 of 2 seeds") and note.index("0.0123") < note.index("0.0030")
    assert study.note_of(metrics | {"val_accuracy": np.array([[0.96, 0.86], [0.96, 0.92]])}) == ""


@pytest.mark.parametrize("cost", list(study.RATE_OF_ETA))
def test_a_step_at_nielsens_eta(cost):
    """Our rate times our gradient is eta times his: eta (a - y) sigma'(z) for his quadratic cost, eta (a - y) for the
    cross-entropy (chapter 3, equations 59 and 67)."""
    z_1xC = jax.random.normal(jax.random.key(0), (1, 10), dtype=jnp.float32)
    y_1xC = jax.nn.one_hot(jnp.array([3]), 10)
    per_example = nets.costs.get(cost, "sigmoid").per_example
    ours = study.RATE_OF_ETA[cost] * jax.grad(lambda z: per_example(z, y_1xC)[0])(z_1xC)
    a = 1 / (1 + np.exp(-np.float64(z_1xC)))
    his = (a - y_1xC) * (a * (1 - a) if cost == "quadratic" else 1)
    np.testing.assert_allclose(ours, his, rtol=1e-5)
