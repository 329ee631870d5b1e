"""The study of large deviations: its rules of extrapolation, its walkers' measure, and its tiny size."""

import numpy as np
import pytest

from experiments.escape import large_deviations
from nets import wells
from nets.theory.step_chain import Stay


def test_end_to_end(tiny_claims):
    """Actions are exact at any size, and medians on their own grid; coarse grids and sixty walkers show no more."""
    claims = tiny_claims(large_deviations.STUDY)
    exact = [key for key in claims if key.startswith(("action/", "gaussian/", "median/coarse"))]
    assert len(exact) == 7 and all(claims[key].is_reproduced for key in exact)
    assert claims["median/coarse"].rival_at == (claims["median/refined"].measured,)
    assert claims["grid/halved"].verdict == claims["median/refined"].verdict == "not reproduced"
    rules = ["slope/extrapolated", "slope/at_batch_one"]
    assert all(claims[key].rival_at == (32.026, 3.237) for key in rules)
    assert claims["slope/rises"].rival_at == (0.0,) and len(claims["plane/slope"].rival_at) == 2
    # exp of (32.03 - 42.22) / 20 at rate 20, batch 1.
    assert claims["walkers/line"].rival_at == pytest.approx((0.601,), abs=0.001) and claims["walkers/plane"].rival_at
    assert {claim.kind for claim in claims.values()} == {"oracle"}
    looked = [key for key, claim in claims.items() if claim.exploratory]
    assert len(looked) == 4 and not {"grid/halved", "walkers/line", *rules} & set(looked)
    assert "diffusion, true noise: 0.8" in claims["plane/slope"].rival


def stay(mean: float) -> Stay:
    """One that is geometric from its first step on."""
    return Stay(np.array([1.0]), 1 / mean)


def test_rules_of_extrapolation():
    """Each finds S of times that its own expansion makes."""
    rates, action = (8.0, 4.0, 2.0), 42.0
    log_time = lambda rate, batch: action * batch / rate + 0.3 * batch + 5 + rate * (0.02 * batch + 0.05)  # noqa: E731
    halved = {(r, b): stay(np.exp(log_time(r, b)) / r) for r in rates for b in (1, 2)}
    beside = {r: (log_time(32 * r / 31, 1), log_time(32 * r / 33, 1)) for r in rates}
    plane = {r: stay(np.exp(log_time(r, 1)) / r) for r in rates}
    times = large_deviations.Times({}, {}, halved, beside, plane, {}, large_deviations.Ratio(1, 0))
    size = large_deviations.TINY._replace(rates=rates)
    main, other = (rule(size, times) for rule in (large_deviations.slopes_of, large_deviations.slopes_at_batch_one))
    assert large_deviations.at_zero(rates, main, (0, 1, 2)) == pytest.approx(action, rel=1e-9)
    assert large_deviations.at_zero(rates, other, (0, 2, 3)) == pytest.approx(action, rel=1e-3)
    assert large_deviations.plane_slope(times) == pytest.approx(action, rel=1e-9)


def test_walkers_take_the_chain_s_steps():
    """A thousand walkers on a grid that is fine enough, within four standard errors."""
    cell = (20.0, 1)
    exact = wells.stay_on_line(*cell, 0.025)
    found = large_deviations.walked(wells.line(), wells.START, large_deviations.beyond, cell, exact, 1_000)
    assert found.value == pytest.approx(1, abs=4 * found.error) and 0.02 < found.error < 0.06
