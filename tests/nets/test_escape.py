"""Walkers against geometric first passages, survival curves against published tables, minima against known forms."""

import contextlib
import io
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets
from nets import escape

KEY = jax.random.key(0)
# Months of remission of 21 patients given 6-mercaptopurine (Freireich et al. 1963), True where still in remission.
MONTHS = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35])
STILL = np.array([0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1], bool)


def lottery(w, batch):
    """Drawing an example moves w by its prize times the learning rate."""
    return -w * batch


def square(params, batch):
    """A quadratic form of [P] params with the example as its diagonal and its minimum at 1."""
    return batch @ (params - 1) ** 2


def never(_):
    """No walker escapes."""
    return jnp.bool_(False)


@pytest.mark.parametrize("count", [256, 250, 4_096, 100_000])
def test_draws_are_uniform_and_independent(count):
    """Chi-square of 50 bins, and of 5 x 5 bins of neighbours, within five standard deviations of its mean."""
    draws = np.asarray(escape._draw(KEY, (300, 101), count))
    assert draws.shape == (300, 101) and draws.min() >= 0 and draws.max() < count
    bins = draws * 50 // count
    share = np.bincount(np.arange(count) * 50 // count, minlength=50) / count
    fair = draws.size * share
    assert np.sum((np.bincount(bins.ravel(), minlength=50) - fair) ** 2 / fair) < 49 + 5 * math.sqrt(98)
    # Along the batch, where neighbours share a random word, and from step to step.
    for first, second in ((bins[:, :-1], bins[:, 1:]), (bins[:-1], bins[1:])):
        pairs = np.bincount((first // 10 * 5 + second // 10).ravel(), minlength=25)
        fair = np.outer(*[share.reshape(5, 10).sum(axis=1)] * 2).ravel() * first.size
        assert np.sum((pairs - fair) ** 2 / fair) < 24 + 5 * math.sqrt(48)


@pytest.mark.parametrize(("batch_size", "examples"), [(1, 10), (3, 16)])
def test_first_passage_is_geometric(batch_size, examples):
    """Out as soon as the one prize is drawn: P(T > t) = (1 - 1 / N)^(B t), at every t and for the censored."""
    prizes = jnp.zeros(examples).at[3].set(1.0)
    walkers, steps = 2_000, 10
    far = 1 / batch_size
    out = escape.first_passage(lottery, jnp.zeros(walkers), prizes, KEY, 2.0, batch_size, steps, lambda w: w > far)
    out = jax.device_get(out)
    stay = (1 - 1 / examples) ** batch_size
    for t in range(1, steps + 1):
        share = np.mean(np.where(out.censored_W, steps + 1, out.steps_W) > t)
        assert share == pytest.approx(stay**t, abs=4 * math.sqrt(stay**t * (1 - stay**t) / walkers))
    assert np.all(out.steps_W[out.censored_W] == steps) and np.all(out.params_W[out.censored_W] == 0)
    # The step is the learning rate times the mean over the batch, and a walker that is out stays where it is.
    hits = out.params_W[~out.censored_W] * batch_size / 2
    np.testing.assert_allclose(hits, np.round(hits), rtol=1e-6)
    assert hits.min() == 1 and (hits.max() > 1) == (batch_size > 1)


def test_walkers_are_gradient_descent_on_one_example():
    """w_t = 3 (1 - .8^t) passes 2 at t = 5: by hand for a start that escapes, one that is out, and one cut short."""
    arguments = lambda w, batch: (w["w"] - batch) ** 2, {"w": jnp.array([0.0, 2.5])}, jnp.array([3.0]), KEY
    out = escape.first_passage(*arguments, 0.1, 2, 100, lambda w: w["w"] > 2)
    assert out.steps_W.tolist() == [5, 0] and out.steps_W.dtype == jnp.int32 and not out.censored_W.any()
    np.testing.assert_allclose(out.params_W["w"], [3 * (1 - 0.8**5), 2.5], rtol=1e-6)
    short = escape.first_passage(*arguments, 0.1, 2, 4, lambda w: w["w"] > 2)
    assert short.steps_W.tolist() == [4, 0] and short.censored_W.tolist() == [True, False]
    assert float(short.params_W["w"][0]) == pytest.approx(3 * (1 - 0.8**4))


def test_walkers_do_not_depend_on_each_other():
    """Five walk as the first five of eight do, each on its own; rates and steps compile nothing anew."""
    prizes = jnp.arange(7.0)
    escape.first_passage.clear_cache()
    few, many, half = (
        escape.first_passage(lottery, jnp.zeros(walkers), prizes, KEY, rate, 2, steps, never)
        for walkers, rate, steps in ((5, 1.0, 90), (8, 1.0, 90), (8, 0.5, 90))
    )
    np.testing.assert_array_equal(few.params_W, many.params_W[:5])
    assert len(set(many.params_W.tolist())) == 8
    np.testing.assert_allclose(half.params_W, many.params_W / 2)
    assert escape.first_passage._cache_size() == 2


def test_survival_of_the_published_trial():
    """S, its Greenwood error and its ln(-ln S) interval, as textbooks and statistics packages print them."""
    found = escape.kaplan_meier(MONTHS, STILL)
    assert found.times_K.tolist() == [0, 6, 7, 10, 13, 16, 22, 23]
    printed = [1, 0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    np.testing.assert_allclose(found.survival_K, printed, atol=6e-5)
    np.testing.assert_allclose(found.low_K[1:], [0.6197, 0.5631, 0.5032, 0.4316, 0.3675, 0.2678, 0.1881], atol=6e-5)
    np.testing.assert_allclose(found.high_K[1:], [0.9516, 0.9228, 0.8894, 0.8491, 0.8049, 0.7468, 0.6801], atol=6e-5)
    assert found.low_K[0] == found.high_K[0] == 1
    assert escape.median_passage(MONTHS, STILL) == (23, 13, math.inf)


def test_survival_without_censoring_is_the_share_left():
    """With binomial errors; the interval that ends at 0 keeps its upper bound; with nobody out, no median."""
    steps_W = np.array([1, 2, 2, 5])
    found = escape.kaplan_meier(steps_W, np.zeros(4, bool))
    np.testing.assert_allclose(found.survival_K, [1, 0.75, 0.25, 0], atol=1e-15)
    spread = np.log(np.log(found.low_K[1:3]) / np.log(found.high_K[1:3])) / 2 / 1.959964
    share = np.array([0.75, 0.25])
    np.testing.assert_allclose(spread, np.sqrt((1 - share) / share / 4) / -np.log(share), rtol=1e-6)
    assert found.low_K[3] == 0 and found.high_K[3] == found.high_K[2]
    assert escape.median_passage(steps_W, np.zeros(4, bool))[:2] == (2, 1)
    # Exactly half is enough.
    assert escape.median_passage(np.array([1, 2, 3, 4]), np.zeros(4, bool)).median == 2
    assert escape.median_passage(steps_W, np.ones(4, bool)) == (math.inf,) * 3


def test_wilson_interval():
    """Printed values, and its definition: the rates from which the observed one is z standard errors away."""
    np.testing.assert_allclose(
        escape.wilson([0, 5, 10], [10, 10, 10]), [[0, 0.2366, 0.7225], [0.2775, 0.7634, 1]], atol=5e-5
    )
    for bound in escape.wilson(3, 40, 0.9):
        assert abs(3 / 40 - bound) == pytest.approx(1.6448536 * math.sqrt(bound * (1 - bound) / 40), rel=1e-6)


def test_certificate_of_known_forms():
    """Eigenvalues, distance and verdict of diagonal forms; digits that float32 does not have are there."""
    diagonal = jnp.array([[1e-5, 1e4, 2.0], [3e-5, 1e4, 4.0]])
    here = escape.is_minimum(square, np.array([1 + 1e-7, 1, 1]), diagonal)
    assert here.holds and here.newton_step == pytest.approx(1e-7, rel=1e-6)
    assert here.smallest_eigenvalue == pytest.approx(4e-5, rel=1e-6)
    assert here.largest_eigenvalue == pytest.approx(2e4)
    assert here.gradient_norm == pytest.approx(4e-12, rel=1e-6)
    # Too far away; a saddle; a flat direction; a place that is not finite.
    assert not escape.is_minimum(square, jnp.array([1.5, 1, 1]), diagonal).holds
    assert not escape.is_minimum(square, jnp.ones(2), jnp.array([[1.0, -1.0]])).holds
    flat = escape.is_minimum(square, jnp.ones(2), jnp.array([[1.0, 0.0]]))
    assert not flat.holds and flat.newton_step == math.inf
    assert not escape.is_minimum(square, jnp.array([math.nan, 1.0]), jnp.array([[1.0, 1.0]])).holds


def test_polish_finds_the_critical_point():
    """cosh has its minimum at 0, to float64; a flat direction is left alone, and a tree stays a tree."""

    def cost(params, batch):
        return jnp.cosh(params["a"] - batch) + 0 * jnp.sum(params["b"])

    found = escape.polish(cost, {"a": 0.3, "b": jnp.array([5.0, 7.0])}, jnp.zeros(3))
    assert abs(found["a"]) < 1e-15 and found["a"].dtype == np.float64 and found["b"].tolist() == [5, 7]
    # Where Newton's method overshoots to a larger gradient, the start is what comes back.
    assert escape.polish(lambda w, batch: jnp.log(jnp.cosh(w - batch)), 2.0, jnp.zeros(1)) == 2


def test_ball_around_kinks_and_saddles():
    """|x| + |y| has its minimum at the kink; |x| - |y| has none, and in the ball it is lowest on the y axis's edge."""

    def cost(params, batch):
        return batch @ jnp.abs(params - 1)

    kink = escape.lowest_in_ball(cost, jnp.ones(2), jnp.array([[1.0, 1.0]]), KEY, 0.5, 2_000)
    assert 0.5e-3 <= kink.rise < 1e-3
    saddle = escape.lowest_in_ball(cost, jnp.ones(2), jnp.array([[1.0, -1.0]]), KEY, 0.5, 2_000)
    assert -0.5 <= saddle.rise < -0.46
    step = saddle.params - 1
    assert abs(step[0]) < 0.02 and np.linalg.norm(step) <= 0.5


def test_the_ten_lines_of_the_docstring():
    """They run, and the median is near 707, which 400 walkers of another generator gave."""
    lines = [line[4:] for line in (escape.__doc__ or "").splitlines() if line.startswith("    ")]
    assert 10 <= len([line for line in lines if line]) <= 12
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec("\n".join(lines), names := {"jax": jax, "jnp": jnp, "nets": nets})
    assert out.getvalue().startswith("Median(")
    median = escape.median_passage(names["passage"].steps_W, names["passage"].censored_W)
    assert median.low < 707 < median.high and 560 < median.median < 850
    assert names["minimum"] == pytest.approx(1.19, abs=0.005)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: escape.first_passage(lottery, jnp.zeros(2), jnp.ones(3), KEY, 1.0, 0, 5, never), "batch_size is 0"),
        (lambda: escape.first_passage(lottery, 0.0, jnp.ones(3), KEY, 1.0, 1, 5, never), "leading axis W"),
        (lambda: escape.first_passage(lottery, jnp.zeros(2), jnp.ones(3), KEY, 1.0, 1, 5, lambda w: w), "truth value"),
        (lambda: escape.kaplan_meier([], []), "not empty"),
        (lambda: escape.kaplan_meier([1], [False], 1.0), "confidence is 1.0"),
        (lambda: escape.wilson(3, 2), "3.0 of 2.0 trials"),
        (lambda: escape.is_minimum(square, jnp.zeros(2_001), jnp.ones((1, 2_001))), "2001 numbers"),
        (lambda: escape.is_minimum(lottery, 0.0, jnp.ones((0,))), "0 examples"),
        (lambda: escape.polish(lambda w, batch: w, 0.0, jnp.ones(2)), "one cost an example"),
        (lambda: escape.lowest_in_ball(lottery, 0.0, jnp.ones(2), KEY, 0.0), "radius is 0"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    """In one line."""
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
