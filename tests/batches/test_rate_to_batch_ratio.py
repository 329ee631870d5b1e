"""The ratio study: how far curves are apart, a longer run by its rate x steps, and claims on runs that are known."""

import json

import jax
import numpy as np
import pytest

import nets
import train
from experiments.batches import rate_to_batch_ratio
from experiments.batches.rate_to_batch_ratio import STUDY
from experiments.study import command, toolkit
from experiments.study.claims import Claim

SIZE = STUDY.sizes["quick"]
HIGH, LOW = rate_to_batch_ratio.RATIOS


def runs_of(cost, eigenvalue, epochs=20, seeds=3):
    """Costs that fall by that factor an epoch, a hundredth apart from seed to seed, and an eigenvalue."""
    cost_ExS = cost ** np.arange(1.0, epochs + 1)[:, None] * np.array([0.99, 1.0, 1.01])[:seeds]
    return rate_to_batch_ratio.Runs(cost_ExS, *np.full((2, seeds), eigenvalue))


def test_curves_are_apart_by_what_two_seeds_are():
    """The mean over epochs of |ln a / b|; one that has diverged is ln MOST apart; twice as far as two seeds is 2."""
    a, b = np.exp([[1.0, 0.0], [0.5, 3.0]]), np.exp([[0.0, 1.0], [0.0, 1.0]])
    assert rate_to_batch_ratio.distance(a, b).tolist() == pytest.approx([0.75, 1.5])
    a[1, 1] = np.nan
    far = np.log(rate_to_batch_ratio.MOST)
    assert rate_to_batch_ratio.distance(a, b).tolist() == pytest.approx([0.75, (1 + far) / 2])
    first, second = (rate_to_batch_ratio.Runs(cost_ExS, *np.ones((2, 2))) for cost_ExS in (b * np.exp(2.0), b))
    assert rate_to_batch_ratio.apart(first, second) == (pytest.approx(2), pytest.approx((2, 2)))


def test_curves_of_other_draws_are_as_far_apart_as_two_seeds():
    """Of one distribution the ratio is 1, and its interval holds it about as often as it says."""
    random, held = np.random.default_rng(0), []
    for _ in range(400):
        first, second = (
            rate_to_batch_ratio.Runs(np.exp(random.normal(scale=0.2, size=(20, 8))), *np.ones((2, 8))) for _ in "ab"
        )
        low, high = rate_to_batch_ratio.apart(first, second)[1]
        held.append(low <= 1 <= high)
    assert 0.88 < np.mean(held) <= 1


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


YES, NO = "reproduced", "not reproduced"


def test_claims_tell_runs_of_the_ratio_alone_from_others():
    """All is reproduced where the ratio decides; not where the eigenvalue depends on the batch, or on nothing, or where
    large batches go on as small ones do."""

    def verdicts(**given):
        return [claim.verdict for claim in rate_to_batch_ratio.claims_of(known(**given), SIZE)]

    assert verdicts() == [YES] * 9
    assert verdicts(equal=2.0) == [YES, NO, YES] * 2 + [YES] * 3
    assert verdicts(flatter=1.0) == [YES] * 7 + [NO, NO]
    assert verdicts(large=0.7)[2] == NO


def test_seeds_that_disagree_do_not_decide():
    """Eigenvalues of which one seed's is 25 % larger are within 15 % in the mean, but not their interval."""
    runs = known()
    runs[HIGH, 16, 20].eigenvalue_S[0] *= 1.25
    claims = {claim.key: claim for claim in rate_to_batch_ratio.claims_of(runs, SIZE)}
    assert claims["equal/high/eigenvalue"].measured == pytest.approx(0.25 / 3)
    assert claims["equal/high/eigenvalue"].verdict == "undecided" and claims["equal/low/eigenvalue"].verdict == YES


def test_eigenvalue_is_that_of_the_training_cost(synthetic_config):
    """Along its eigenvector the gradient changes by it; weights that are not finite have none."""
    synthetic_config.update(hidden=(4,), train_examples=50, batch_size=50)
    dataset, state = train.load_dataset(synthetic_config, ""), train.initial_state(synthetic_config)
    batch = dataset.images[:40], dataset.labels[:40]
    found = toolkit.sharpness_of(synthetic_config, state.params, *batch)
    cost = toolkit.cost_of(synthetic_config)
    expected = nets.curvature.top_eigenvalues(cost, state.params, batch, jax.random.key(5), k=1, steps=60).values_K[0]
    assert found == pytest.approx(float(expected), rel=2e-2)
    broken = jax.tree.map(lambda leaf: leaf * np.nan, state.params)
    assert np.isnan(toolkit.sharpness_of(synthetic_config, broken, *batch))


def test_a_run_that_diverged_has_no_early_eigenvalue(monkeypatch):
    """However sharp it was before."""
    monkeypatch.setattr(rate_to_batch_ratio, "RATIOS", (1e30, LOW))
    size = STUDY.sizes["tiny"]
    size = size._replace(config=size.config.replace(activation="relu"))
    found = rate_to_batch_ratio.train_all(size)
    early = {ratio: found[ratio, size.middle, size.config.epochs].early_S for ratio in (1e30, LOW)}
    assert np.isnan(early[1e30]).all() and np.isfinite(early[LOW]).all()


def test_study_end_to_end(tmp_path):
    """Nine claims, of which the control is ours; after two epochs the ratios do not differ."""
    command.run(STUDY, "tiny", tmp_path)
    claims = [Claim.from_dict(line) for line in json.loads((tmp_path / "results.json").read_text())]
    assert [claim.key for claim in claims][::8] == ["equal/high/cost", "longer/eigenvalue"]
    assert len({claim.key for claim in claims}) == len(claims) == 9
    assert [claim.kind for claim in claims] == ["direction"] * 8 + ["ours"]
    assert not any(claim.is_reproduced for claim in claims if not claim.key.startswith("equal/"))
    assert (tmp_path / "figure.png").stat().st_size > 10_000
