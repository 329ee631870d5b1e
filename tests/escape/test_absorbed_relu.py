"""The study of absorbed ReLUs: its walkers, its nets, how it judges."""

import numpy as np
import pytest

from experiments.escape import absorbed_relu as study


def test_end_to_end(tiny_claims):
    """Units and nets; what is made of known shares is marked."""
    claims = tiny_claims(study.STUDY)
    keys = ["units/rate0.4/+1", "units/rate0.4/-1", "first/+1", "first/-1", "nets/width3"]
    assert list(claims)[:5] == keys and [key for key in keys if claims[key].exploratory] == ["nets/width3"]
    assert claims["units/rate0.4/-1"].count == 500 and claims["units/rate0.4/-1"].measured > 0.2
    # Three steps of Adam at .001 kill hardly any net.
    assert claims["nets/width3"].measured < 0.1 and not claims["nets/width3"].is_reproduced


def test_walkers_die_once():
    """After a step of theirs, more of them the longer; who is pushed down dies more often."""
    up_W, down_W = (study.walkers_dead(0.4, outgoing, 20, 2_000) for outgoing in study.OUTGOING)
    assert up_W.min() >= 1 and set(np.unique(up_W)) <= set(range(1, 22))
    assert np.mean(down_W <= 20) > 5 * np.mean(up_W <= 20) > 0
    assert np.mean(down_W <= 5) < np.mean(down_W <= 20)


def test_units_are_judged_by_the_chain():
    """4,000 of 10,000 beside .4 and beside .5; the band never holds the rival."""
    when_W = np.where(np.arange(10_000) < 4_000, 5, 301)
    for exact, verdict in ((0.4, "reproduced"), (0.5, "not reproduced")):
        units = {(0.2, 1.0): study.Units(when_W, np.linspace(0, exact, 301))}
        claim = study.unit_claims(units, study.QUICK._replace(walkers=1_000, first_walkers=1_000))[0]
        assert claim.verdict == verdict and claim.band[0] > 0


def test_nets_are_judged_by_the_rule():
    """A share of units of .5 gives .339 of nets of width 3; those that die are looked at apart."""
    died_L, pushed_L = np.arange(3_000) < 1_000, np.arange(3_000) % 3 > 0
    of_nets, of_dead = study.net_claims({3: study.Living(died_L, pushed_L)}, 0.5)
    assert of_nets.published[0] == (1.5**3 - 1) / 7 and of_nets.verdict == "reproduced"
    assert of_dead.count == 1_000 and of_dead.verdict == "reproduced" and of_dead.rival == "no matter, 0.34"
    assert study.net_claims({3: study.Living(died_L, pushed_L)}, 0.01)[0].verdict == "not reproduced"
    # Within five points of a rule that gives ten times the share.
    rarely_L = np.arange(20_000) < 80
    line = study.net_claims({10: study.Living(rarely_L, rarely_L)}, 0.447)[0]
    assert line.verdict == "not reproduced" and line.band == pytest.approx((0.0384 / 1.5, 0.0384 * 1.5), rel=0.01)
