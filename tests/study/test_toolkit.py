"""What studies share: threads that end with what ends the study."""

import threading

import pytest

from experiments.study import toolkit


def test_what_ends_a_study_ends_what_its_threads_have_not_begun():
    """Jobs that wait are cancelled by whatever leaves the block; those of a block that ends well are all done."""
    with toolkit.threads() as pool:
        done = [pool.submit(int) for _ in range(50)]
    assert all(job.done() for job in done)
    begun, waiting = threading.Event(), []
    with pytest.raises(KeyboardInterrupt), toolkit.threads() as pool:
        waiting += [pool.submit(begun.wait, 30) for _ in range(50)]
        raise KeyboardInterrupt
    begun.set()
    assert waiting[-1].cancelled()
