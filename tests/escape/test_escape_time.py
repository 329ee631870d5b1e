"""The study of exit times: its steps, its command of one point, how it judges."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from commands import refused, run_here

from experiments.escape import escape_time

KEY = jax.random.key(0)


def test_end_to_end(tiny_claims):
    """Fifty walkers decide nothing; the exact slopes need none, and were fitted on a grid that was chosen for them."""
    claims = tiny_claims(escape_time.STUDY)
    slopes = ["exact", "without_prefactor", "without_prefactor/r2_0.3", "without_prefactor/r2_0.5", "walkers"]
    keys = ["time/rate0.1", "farthest", *(f"slope/{name}" for name in slopes)]
    assert list(claims) == keys and all(claim.kind == "oracle" for claim in claims.values())
    assert [key for key in keys if claims[key].is_reproduced] == keys[2:6]
    assert [key for key in keys if claims[key].exploratory] == keys[2:4]
    assert all(claims[key].rival_at for key in keys)


def points(ratio: float, error: float) -> list[escape_time.Measured]:
    """Four points of walkers on the oracle, the last of them off it by that ratio; relative errors."""
    given = [(1, 0.1), (1, 0.2), (2, 0.2), (2, 0.4)]
    exact = [100 * np.exp(0.4 * batch / rate) for batch, rate in given]
    ratios = [1.0, 1.0, 1.0, ratio]
    return [
        escape_time.Measured(batch, rate, 0.4**0.5, r * steps, error * steps, steps, True)
        for (batch, rate), r, steps in zip(given, ratios, exact, strict=True)
    ]


@pytest.mark.parametrize(
    ("ratio", "error", "verdict"),
    [(1.01, 0.002, "reproduced"), (1.02, 0.006, "undecided"), (0.9, 0.02, "not reproduced"), (1.0, 0.02, "undecided")],
)
def test_farthest_point_is_judged_with_all_others(ratio, error, verdict):
    """In the band only if no point's interval leaves it, outside only if one lies outside with all of its own."""
    size = escape_time.TINY._replace(published={})
    line = escape_time.claims_of(size, points(ratio, error))[0]
    assert line.measured == pytest.approx(ratio) and line.verdict == verdict


def test_slope_error_is_that_of_noisy_times():
    """The spread of the slope over many draws of times with that relative error."""
    batch, rate, relative = np.array([1.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.1]), np.array([0.01, 0.02, 0.03])
    random, times = np.random.default_rng(0), np.exp(0.4 * batch / rate)
    draws = [escape_time.slope(batch, rate, times * (1 + relative * random.normal(size=3))) for _ in range(4_000)]
    assert escape_time.slope_error(batch, rate, relative) == pytest.approx(np.std(draws), rel=0.05)


def test_sgd_on_signs_is_the_autoregression():
    """With x = +-1 the gradient of the cost is u - mean(x y), so that a step is (1 - eta) u + eta N(0, 1 / B)."""
    x_B, y_B = jnp.array([1.0, -1.0, -1.0]), jnp.array([0.3, 2.0, -0.4])
    assert float(jax.grad(escape_time.cost)(0.7, x_B, y_B)) == pytest.approx(0.7 - (0.3 - 2.0 + 0.4) / 3, rel=1e-6)
    walkers, noise = 20_000, 0.2 / 4**0.5
    for step, numbers in ((escape_time.sgd_step(4), 0.2), (escape_time.autoregressive_step, [0.2, noise])):
        after_W = np.asarray(jax.jit(step)(jnp.full(walkers, 0.5), jnp.array(numbers), KEY))
        assert after_W.mean() == pytest.approx(0.8 * 0.5, abs=4 * noise / walkers**0.5)
        assert after_W.std() == pytest.approx(noise, rel=4 / (2 * walkers) ** 0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1, 0.1, None), "--radius is missing; accepted: none or all of"),
        ((0, 0.1, 1.0), "batch_size is 0"),
        ((1, float("nan"), 1.0), "learning_rate is nan"),
        ((1, 0.1, 1.4), r"a walker leaves after .* steps on average; accepted: at most 1,000,000"),
    ],
)
def test_points_that_cannot_be_simulated(values, message):
    """The validator of the command's flags says what cannot; no point and a good one pass."""
    names = escape_time.POINT_FLAGS
    with pytest.raises(flags.ValidationError, match=message):
        escape_time.check_point(dict(zip(names, values, strict=True)))
    assert escape_time.check_point(dict.fromkeys(names))
    assert escape_time.check_point(dict(zip(names, (2, 0.1, 0.63), strict=True)))


def test_command_of_one_point(monkeypatch, capsys, tmp_path):
    """A wrong point ends in one line and exit status 2, with nothing written."""
    monkeypatch.chdir(tmp_path)
    run = partial(run_here, "experiments.escape.escape_time", monkeypatch)
    point = ("--batch_size=2", "--learning_rate=3", "--radius=0.63")
    assert "learning_rate is 3.0" in refused(run, capsys, *point, "--workdir=new")


def test_walks_in_parts_are_all_of_a_point(monkeypatch):
    """More walkers where they are soon out, in parts by keys of their own, the first of them as if it were alone."""
    monkeypatch.setattr(escape_time, "PART", 40)
    size = escape_time.TINY._replace(points=((1, 0.4, 0.4),), walkers=40, soon=100)
    (found,) = escape_time.measure_all(size)
    point = escape_time.point_of(1, 0.4, 0.4**0.5, 40, 100)
    assert point.parts == [40, 40, 20] and found.walkers == point.walkers == 100 and point.exact < escape_time.SOON
    alone_W, other_W = point.walk(jax.random.key(0), 40), point.walk(jax.random.fold_in(jax.random.key(0), 1), 40)
    assert found.simulated * 100 - alone_W.sum() - other_W.sum() > 0 and not np.array_equal(alone_W, other_W)
    assert escape_time.measure_all(size._replace(soon=40))[0].simulated == alone_W.mean()


def test_line_of_one_point():
    """Simulation, standard error, oracle and ratio; beyond so many examples the batch's mean of x y is drawn."""
    lines = {}
    for most in (2_000, 1):
        m = escape_time.measure(2, 0.4, 0.4**0.5, KEY, 3_000, most)
        assert abs(m.simulated - m.exact) < 4 * m.error and m.error == pytest.approx(m.exact / 3_000**0.5, rel=0.2)
        lines[m.examples] = escape_time.line_of(m)
    assert "(examples drawn)" in lines[True] and "(mean of x y drawn)" in lines[False]
    assert f"{m.exact:,.2f}" in lines[False] and f"ratio {m.ratio:.4f}" in lines[False]
