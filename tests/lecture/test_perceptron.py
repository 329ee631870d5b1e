"""The perceptron study: its points, and its claims, each of which can fail."""

import json

import numpy as np

from experiments.lecture import perceptron
from experiments.study import command


def test_study_at_its_tiny_size(tmp_path, capsys):
    """Three printed outputs and three theorems, and the detector's table."""
    command.run(perceptron.STUDY, "tiny", tmp_path)
    claims = json.loads((tmp_path / "results.json").read_text())
    assert [claim["kind"] for claim in claims] == ["number"] * 3 + ["oracle"] * 3
    assert len({claim["key"] for claim in claims}) == 6
    assert [claim["count"] for claim in claims[3:]] == [2, 2, 60]
    assert all(claim["verdict"] == "reproduced" for claim in claims)
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert capsys.readouterr().out.count("hot dog") == 5


def test_perceptron_points_are_separated_by_the_margin():
    """Novikoff's bound is that of a line which does separate the points."""
    x_BxD, labels_B, bound = perceptron.separable(3)
    assert x_BxD.shape == (perceptron.POINTS, 2) and 0 < labels_B.mean() < 1
    assert 1 < bound < 3 / perceptron.MARGIN**2


def test_claims_see_what_is_wrong():
    """A wrong sum or output, a set that is not learnt, one beyond the bound, and a pass over XOR without a mistake."""
    table = perceptron.detector_table()
    learnt = perceptron.Learnt(
        points=perceptron.separable(0)[:2],
        unit=perceptron.learn(*perceptron.separable(0)[:2], passes=2)[0],
        total_S=np.array([3.0, 5.0]),
        last_S=np.zeros(2),
        bounds_S=np.array([4.0, 5.0]),
        xor_P=np.ones(4),
    )
    verdicts = lambda *given: [claim.is_reproduced for claim in perceptron.claims_of(*given)]  # noqa: E731
    assert verdicts(table, learnt) == [True] * 6
    wrong_sums = [(meal, total + 1, out) for meal, total, out in table]
    assert verdicts(wrong_sums, learnt)[:3] == [False] * 3
    assert verdicts([(meal, total, 1 - out) for meal, total, out in table], learnt)[:3] == [False] * 3
    assert verdicts(table, learnt._replace(last_S=np.array([0.0, 1.0])))[3:] == [False, True, True]
    assert verdicts(table, learnt._replace(bounds_S=np.array([4.0, 4.0])))[3:] == [True, False, True]
    assert verdicts(table, learnt._replace(xor_P=np.array([1.0, 0.0])))[3:] == [True, True, False]
