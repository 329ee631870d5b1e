"""The gaps are those of the means of the seeds, after the first and after the last epoch."""

import numpy as np

from experiments.saturation import nielsen_init


def claims_of(large_ExS, small_ExS) -> list[bool]:
    """What is reproduced of these accuracies."""
    curves = {
        "N(0, 1)": {"val_accuracy": np.array(large_ExS)},
        "N(0, 1/n)": {"val_accuracy": np.array(small_ExS)},
    }
    return [line["reproduced"] for line in nielsen_init.claims_of(curves)]


def test_gaps_after_the_first_and_the_last_epoch():
    """4 points or more at first, .6 at most at the end, in either direction."""
    assert claims_of([[0.86, 0.87], [0.9, 0.9], [0.96, 0.97]], [[0.92, 0.9], [0.9, 0.9], [0.97, 0.97]]) == [True, True]
    assert claims_of([[0.86, 0.87], [0.95, 0.95]], [[0.90, 0.9], [0.96, 0.96]]) == [False, False]
    assert claims_of([[0.92, 0.92], [0.967, 0.967]], [[0.86, 0.87], [0.96, 0.96]]) == [False, False]
