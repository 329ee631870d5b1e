"""What tests that read damaged checkpoints are marked with."""

import pytest

# Orbax leaves coroutines and callbacks behind where an array of a damaged checkpoint cannot be read: they are collected
# at the test's own end, and are no fault of a later one.
READS_DAMAGED = [
    pytest.mark.usefixtures("nothing_is_left"),
    pytest.mark.filterwarnings("ignore:coroutine '.*read.*' was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. (None|<coroutine):pytest.PytestUnraisableExceptionWarning"
    ),
]


def reads_damaged(test):
    """The test with all of these marks."""
    for mark in READS_DAMAGED:
        test = mark(test)
    return test
