"""What of a sweep fits onto its page, and how numbers are packed."""

import base64

import numpy as np
import pytest

from experiments.reporting import detail

CORE = ("saturation/hidden_0", "speed/hidden_0")
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", *CORE, "dead_units/hidden_0")


def of(configurations, epochs, metrics=METRICS):
    return detail.detail_of(metrics, "val_accuracy", CORE, configurations, epochs)


def size_of(found, configurations):
    """The characters that the numbers take."""
    curves = detail.curve_numbers(found) * found.configurations * detail.CURVE_BYTES
    ends = detail.end_numbers(found, configurations) * detail.END_BYTES
    beside = configurations * (detail.CODES_CHARACTERS + detail.GRID_CHARACTERS * len(found.curves))
    return (curves + ends) * 4 / 3 + beside


@pytest.mark.parametrize(("configurations", "epochs"), [(12, 30), (2_000, 30), (2_000, 500), (10_000, 2), (25_000, 10)])
def test_it_fits(configurations, epochs):
    """Any sweep is within its room, and the score has its curves, bands and intervals."""
    many = (*METRICS, *(f"activation_mean/hidden_{i}" for i in range(20)))
    found = of(configurations, epochs, many)
    assert size_of(found, configurations) <= detail.ROOM
    assert all("val_accuracy" in part for part in found[:5])


def test_what_goes_first():
    """Nothing of a small sweep; then epochs, bands of probes, metrics that are not looked at first, and at last curves
    of configurations."""
    assert of(12, 30) == detail.Detail(METRICS, METRICS, METRICS[:4], METRICS, METRICS, 30, 12, False)
    assert of(300, 400).epochs == detail.MOST_EPOCHS
    assert detail.LEAST_EPOCHS <= of(1_500, 400).epochs < detail.MOST_EPOCHS and of(1_500, 400).bands == METRICS
    assert of(2_500, 40).bands == METRICS[:4] and of(2_500, 40).metrics == METRICS
    assert of(3_000, 40).metrics == of(3_000, 40).intervals == METRICS[:6]
    assert of(4_000, 40).intervals == ("val_accuracy",) and of(4_000, 40).configurations == 4_000
    last = of(25_000, 40)
    assert last.metrics == METRICS[:6] and last.bands == ("val_accuracy",)
    assert last.epochs == detail.LEAST_EPOCHS and detail.LEAST_CURVES < last.configurations < 25_000


def test_which_configurations_have_curves():
    """All, or the best half of as many and others evenly over the ranks, the last one among them."""
    ranked = list(range(99, 9, -1))  # The first ten have no value.
    assert detail.chosen(ranked, 100, 100).all()
    chosen_C = detail.chosen(ranked, 100, 20)
    assert chosen_C.sum() == 20 and chosen_C[90:].all() and chosen_C[[9, 89]].all()


@pytest.mark.parametrize(("size", "error"), [(3, 2.0**-16), (4, 2.0**-24)])
def test_packed_numbers(size, error):
    """They come back to as many digits as their bytes hold, NaN for what is not finite; rounded, not cut."""
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-20, 20, 0.04)
    bits = np.zeros((1003, 4), np.uint8)
    text = detail.packed(np.append(values, [np.nan, np.inf, 0.0]), size)
    bits[:, 4 - size :] = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, size)
    found = bits.view("<f4").ravel().astype(float)
    assert np.isnan(found[[1000, 1001]]).all() and found[1002] == 0
    relative = found[:1000] / values - 1
    assert np.abs(relative).max() <= error * 1.01 and abs(relative.mean()) < error / 10
