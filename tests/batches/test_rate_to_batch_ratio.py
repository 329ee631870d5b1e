"""The ratio study: how far curves are apart, a longer run by its rate x steps, and claims on runs that are known."""

import jax
import numpy as np
import pytest

import nets
import train
from experiments import studies
from experiments.batches import rate_to_batch_ratio
from experiments.engine import space

HIGH, LOW = rate_to_batch_ratio.RATIOS


def runs_of(cost, eigenvalue, epochs=20, seeds=3):
    """Costs that fall by that factor an epoch, and an eigenvalue."""
    cost_ExS = np.repeat(cost ** np.arange(1.0, epochs + 1)[:, None], seeds, axis=1)
    return rate_to_batch_ratio.Runs(cost_ExS, *np.full((2, seeds), eigenvalue))


def test_curves_are_as_far_apart_as_at_their_worst_epoch():
    """The largest of the epochs, of each seed for itself; a run that has diverged is apart from anything."""
    a, b = (
        rate_to_batch_ratio.Runs(np.array(cost_ExS), *np.ones((2, 2)))
        for cost_ExS in ([[2.0, 1.0], [1.0, 3.0]], [[2.0, 2.0], [2.0, 3.0]])
    )
    assert rate_to_batch_ratio.apart(a, b).tolist() == [0.5, 0.5]
    a.cost_ExS[1, 1] = np.nan
    assert rate_to_batch_ratio.apart(a, b).tolist() == [0.5, rate_to_batch_ratio.MOST]


def test_longer_run_by_its_rate_times_steps():
    """Four epochs at a quarter of the ratio are one: their mean cost, in order."""
    longer = rate_to_batch_ratio.Runs(np.arange(8.0)[:, None] * [[1.0, 10.0]], *np.ones((2, 2)))
    assert rate_to_batch_ratio.binned(longer).cost_ExS.tolist() == [[1.5, 15.0], [5.5, 55.0]]


def known(equal=1.0, flatter=0.5, large=0.99):
    """Runs that depend on the ratio alone but for their eigenvalue at the smallest batch, and end at the largest."""
    runs = {}
    for ratio, factor, eigenvalue in ((HIGH, 0.7, 4 * flatter), (LOW, 0.9, 4.0)):
        for size, times in ((4, equal), (16, 1.0), (1_024, 1.0)):
            runs[ratio, size, 20] = runs_of(large if size == 1_024 else factor, times * eigenvalue)
    return runs | {(LOW, 16, 80): runs_of(0.9, 4.0, 80)}


def test_claims_tell_runs_of_the_ratio_alone_from_others():
    """All is reproduced where the ratio decides; not where the eigenvalue depends on the batch, or on nothing, or where
    large batches go on as small ones do."""
    verdicts = lambda **given: [c["reproduced"] for c in rate_to_batch_ratio.claims_of(known(**given))]  # noqa: E731
    assert verdicts() == [True] * 9
    assert verdicts(equal=2.0) == [True, False, True] * 2 + [True] * 3
    assert verdicts(flatter=1.0) == [True] * 7 + [False, False]
    assert verdicts(large=0.7)[2] is False


def test_eigenvalue_is_that_of_the_training_cost(synthetic_config, monkeypatch):
    """Along its eigenvector the gradient changes by it; weights that are not finite have none."""
    synthetic_config.update(hidden=(4,), train_examples=50, batch_size=50)
    monkeypatch.setattr(rate_to_batch_ratio, "MEASURED_ON", 40)
    (trial,) = space.make_trials(synthetic_config, None, {}).values()
    dataset, state = train.load_dataset(synthetic_config, ""), train.initial_state(synthetic_config)
    found = rate_to_batch_ratio.largest_eigenvalue(trial, state, dataset)
    cost = studies.cost_of(trial)
    batch = dataset.images[:40], dataset.labels[:40]
    expected = nets.curvature.top_eigenvalues(cost, state.params, batch, jax.random.key(5), k=1, steps=60).values_K[0]
    assert found == pytest.approx(float(expected), rel=2e-2)
    broken = state._replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))
    assert np.isnan(rate_to_batch_ratio.largest_eigenvalue(trial, broken, dataset))
