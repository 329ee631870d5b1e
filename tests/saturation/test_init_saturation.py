"""Saturation before training: the closed form, and what is judged by it."""

import json

import numpy as np
import pytest

from experiments.saturation import init_saturation
from experiments.study import command


def test_study_at_its_tiny_size(tmp_path):
    """Two closed forms and a published draw, of three seeds."""
    command.run(init_saturation.STUDY, "tiny", tmp_path)
    claims = {claim["key"]: claim for claim in json.loads((tmp_path / "results.json").read_text())}
    assert list(claims) == ["nielsen_large", "nielsen_large/one", "glorot_uniform"]
    assert [claim["kind"] for claim in claims.values()] == ["oracle", "number", "oracle"]
    assert all(claim["count"] == 3 for claim in claims.values())
    assert [bool(claim["exploratory"]) for claim in claims.values()] == [False, False, True]
    assert claims["nielsen_large"]["verdict"] == "reproduced"
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_closed_form_of_the_saturated_fraction():
    """P(|N(0, 784/3)| > ln 19), as published."""
    assert init_saturation.closed_form("nielsen_large") == pytest.approx(0.8555, abs=5e-5)
    assert init_saturation.closed_form("glorot_uniform") == pytest.approx(3.3e-5, abs=5e-7)


def test_claims_can_fail():
    """Means off the closed forms, and a published draw outside the seeds' range."""
    closed = {name: init_saturation.closed_form(name) for name in init_saturation.VARIANCES}
    right = {name: share * np.array([0.99, 1.0, 1.01]) for name, share in closed.items()}
    one_S = np.linspace(0.80, 0.92, 60)
    verdicts = lambda *given: [claim.verdict for claim in init_saturation.claims_of(*given)]  # noqa: E731
    assert verdicts(right, one_S) == ["reproduced"] * 3
    assert verdicts({name: 3 * values_S for name, values_S in right.items()}, one_S)[::2] == ["not reproduced"] * 2
    assert verdicts(right, one_S - 0.2)[1] == "not reproduced"
