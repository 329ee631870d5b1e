"""The lecture's other nets: every published run within .004 of the mean, and no net's of one layer."""

import numpy as np

from experiments.lecture import lecture_nets
from experiments.study.claims import holds
from experiments.study.standard import faults_of


def verdicts(intermediate: float, deep: float, scatter: float = 1e-4) -> list[str]:
    """Of nets whose three seeds end about there; each line says from which net it is not told."""
    ends = {"intermediate": intermediate, "deep": deep}
    scatter_S = scatter * np.array([-1.0, 0.0, 1.0])
    claims = lecture_nets.claims_of({name: {"val_accuracy": (end + scatter_S)[None]} for name, end in ends.items()})
    assert not faults_of(claims)
    for claim, other in zip(claims, reversed(claims), strict=True):
        assert all(holds(claim.band, accuracy) for accuracy in other.published)
        assert f"from the {other.key} net" in claim.note
    return [claim.verdict for claim in claims]


def test_means_are_judged_with_their_intervals():
    """In the band; outside of it; and across its end, where more seeds would tell."""
    assert verdicts(0.9751, 0.9746) == ["reproduced"] * 2
    assert verdicts(0.9682, 0.97) == ["not reproduced"] * 2
    assert verdicts(0.9751, 0.9746, 0.003) == ["undecided"] * 2
