"""The neurons' printed numbers."""

import json

import pytest

from experiments.lecture import neurons
from experiments.study import command


def test_study_at_its_tiny_size(tmp_path):
    """Twelve printed numbers, all of them met."""
    command.run(neurons.STUDY, "tiny", tmp_path)
    claims = json.loads((tmp_path / "results.json").read_text())
    assert len(claims) == len({claim["key"] for claim in claims}) == 12
    assert {claim["kind"] for claim in claims} == {"number"}
    assert all(claim["verdict"] == "reproduced" for claim in claims)
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_numbers_by_hand():
    """sigmoid(-1) = 1 / (1 + e), the quadratic cost of .6 is .4^2, the cross-entropy of .9 is -ln .9."""
    found = {key: value for key, _, _, value in neurons.numbers()}
    assert found["sigmoid/-1"] == pytest.approx(1 / (1 + 2.718281828), rel=1e-6)
    assert found["quadratic/0.6"] == pytest.approx(0.16, rel=1e-5)
    assert found["cross_entropy/0.9"] == pytest.approx(0.1053605, rel=1e-5)
