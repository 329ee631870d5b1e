"""The count of false verdicts: few sweeps of each kind, and what pairing is worth in a table that is known."""

import numpy as np
import pytest
from finals_tables import finals_of_table

from experiments.benchmarks import decide


def test_lines_of_tables(monkeypatch):
    """Of each kind and size how often intervals missed, a winner was false, the best was left out; all together."""
    monkeypatch.setattr(decide, "SIZES", ((2, 5),))
    lines = decide.simulated_lines(50)
    assert {line["name"].split(":")[0] for line in lines} == {
        "95 % intervals that miss",
        "their distance from 5 %",
        "false winners",
        "the best left out",
    }
    shares = {line["name"]: line["measured"] for line in lines}
    kinds = [shares[f"false winners: {name}, 2 settings x 5 seeds"] for name in decide.KINDS]
    assert shares["false winners: all of them"] == pytest.approx(np.mean(kinds)) and 0 < np.mean(kinds) < 0.15
    assert shares["the best left out: normal, 2 settings x 5 seeds"] < 0.1


def test_what_pairing_is_worth():
    """A seed's part with variance 4 in each of two settings, noise with variance 1: 2 over 10. No lost seed counts."""
    random = np.random.default_rng(0)
    values = 2 * random.normal(size=(1, 40_000)) + random.normal(size=(2, 40_000))
    table = finals_of_table(("learning_rate",), [(0.1,), (1.0,)], values)
    assert decide.paired_over_unpaired(table) == pytest.approx(0.2, rel=0.02)
    broken = np.zeros(values.shape, bool)
    broken[0, 0] = True
    assert np.isnan(decide.paired_over_unpaired(table._replace(broken_CxS=broken)))


def test_trained_nets(monkeypatch):
    """Two settings of as many seeds, whose scores are shares."""
    monkeypatch.setattr(decide, "REAL_EPOCHS", 1)
    scores = decide.trained_scores(3, decide.input_pipeline.synthetic())
    assert scores.shape == (2, 3) and np.all((scores > 0) & (scores < 1)) and np.ptp(scores) > 0
