"""The gaps are those of the seeds' pairs, after the first and after the last epoch."""

import json

import numpy as np
import pytest

from experiments.saturation import nielsen_init
from experiments.study import command


def test_study_at_its_tiny_size(tmp_path):
    """A published direction and a number, neither of which two epochs on synthetic images reproduce."""
    command.run(nielsen_init.STUDY, "tiny", tmp_path)
    claims = {claim["key"]: claim for claim in json.loads((tmp_path / "results.json").read_text())}
    assert list(claims) == ["gain/first_epoch", "gain/last_epoch"]
    assert [claim["kind"] for claim in claims.values()] == ["direction", "number"]
    assert all(claim["count"] == 2 for claim in claims.values())
    assert not any(claim["verdict"] == "reproduced" for claim in claims.values())
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def verdicts(first_gap, last_gap) -> list[str]:
    """The verdicts on those mean gaps, which three seeds have within .0002 and more."""
    scatter_S = np.array([-1e-4, 0.0, 1e-4])
    large_ExS = np.array([[0.86], [0.9], [0.96]]) + scatter_S
    gaps_Ex1 = np.array([[first_gap], [0.0], [last_gap]])
    curves = {
        "N(0, 1)": {"val_accuracy": large_ExS},
        "N(0, 1/n)": {"val_accuracy": large_ExS + gaps_Ex1 * (1 + scatter_S)},
    }
    return [claim.verdict for claim in nielsen_init.claims_of(curves)]


def test_gaps_after_the_first_and_the_last_epoch():
    """4 points or more at first, .6 at most at the end, in either direction; on the edge it is undecided."""
    assert verdicts(0.06, 0.001) == ["reproduced"] * 2
    assert verdicts(0.03, 0.007) == ["not reproduced"] * 2
    assert verdicts(-0.06, -0.007) == ["not reproduced"] * 2
    assert verdicts(0.04, 0.006) == ["undecided"] * 2


def test_gaps_are_paired():
    """A gap that every seed has is certain, however much the seeds differ."""
    large_ExS = np.array([[0.80, 0.86, 0.92]] * 2)
    curves = {"N(0, 1)": {"val_accuracy": large_ExS}, "N(0, 1/n)": {"val_accuracy": large_ExS + 0.05}}
    first, last = nielsen_init.claims_of(curves)
    assert first.high - first.low < 1e-9 and first.is_reproduced and last.verdict == "not reproduced"


def test_only_the_picture_of_mnist_shows_what_was_printed():
    """With its stars go their word in the legend."""
    one = {"val_accuracy": np.full((2, 3), 0.9), "saturation/hidden_0": np.full((2, 3), 0.5)}
    for is_mnist in (True, False):
        axis = nielsen_init.draw({name: one for name in nielsen_init.INITS}, is_mnist).axes[0]
        assert len(axis.lines) == (5 if is_mnist else 2)
        assert ("published" in axis.get_legend_handles_labels()[1]) == is_mnist


def test_another_data_set_is_given_as_many_steps():
    """The first epoch of MNIST has 5,000: the digits are judged after the epoch that ends with as many, which says that
    it was chosen later."""
    size = nielsen_init.STUDY.elsewhere.on(nielsen_init.QUICK, "sklearn:digits")
    # 1,498 of them in batches of 10 are 150 steps an epoch, and MNIST's 50,000 are 5,000.
    assert size.as_first == 34 <= size.config.epochs
    large_ExS = np.array([[0.5, 0.5], [0.6, 0.6], [0.7, 0.7]])
    gaps_Ex1 = np.array([[-0.2], [0.01], [0.05]])
    curves = {"N(0, 1)": {"val_accuracy": large_ExS}, "N(0, 1/n)": {"val_accuracy": large_ExS + gaps_Ex1}}
    first, last = nielsen_init.claims_of(curves, as_first=2)
    assert first.measured == pytest.approx(0.01) and "epoch 2" in first.name and first.exploratory
    assert last.measured == pytest.approx(0.05) and not last.exploratory
