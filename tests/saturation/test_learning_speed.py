"""The course of learning speed against Nielsen's own update by hand, and its claims on courses that are known."""

import jax
import numpy as np
import pytest

import input_pipeline
import train
from experiments.saturation import learning_speed


def sigmoid(z):
    """In numpy's float64."""
    return 1 / (1 + np.exp(-z))


def deltas(params, x_BxD, targets_BxC):
    """Outputs of the layers before each layer, and delta = dC/dz of each, for one hidden layer and cross-entropy."""
    (w1, b1), (w2, b2) = params
    hidden_BxH = sigmoid(x_BxD @ w1 + b1)
    output_BxC = sigmoid(hidden_BxH @ w2 + b2) - targets_BxC
    return (x_BxD, hidden_BxH), ((output_BxC @ w2.T) * hidden_BxH * (1 - hidden_BxH), output_BxC)


def test_course_is_that_of_nielsens_update(monkeypatch):
    """w <- (1 - eta lambda / n) w - eta / n sum dC/dw, b <- b - eta / n sum dC/db; then |mean delta|."""
    for name, value in {"IMAGES": 40, "UNITS": 6, "EPOCHS": 6, "COURSE_SEEDS": 1, "PROBE_EVERY": 2}.items():
        monkeypatch.setattr(learning_speed, name, value)
    monkeypatch.setattr(learning_speed, "LAMBDA", 20.0)
    dataset = input_pipeline.split(input_pipeline.load("synthetic"), 40, "10")
    config = learning_speed.course_config(1)
    start = jax.device_get(train.initial_state(config).params)
    params = [[np.float64(start[name][leaf]) for leaf in ("kernel", "bias")] for name in ("hidden_0", "output")]
    x_BxD, targets_BxC = dataset.images / 255, np.eye(10)[dataset.labels]
    speeds = []
    for _ in range(6):
        inputs, errors = deltas(params, x_BxD, targets_BxC)
        params = [
            [(1 - 0.1 * 20 / 40) * w - 0.1 / 40 * a.T @ delta, b - 0.1 / 40 * delta.sum(axis=0)]
            for (w, b), a, delta in zip(params, inputs, errors, strict=True)
        ]
        speeds.append(np.linalg.norm(deltas(params, x_BxD, targets_BxC)[1][0].mean(axis=0)))
    measured_SxExL = learning_speed.course(1, dataset)
    assert measured_SxExL.shape == (1, 3, 1)
    np.testing.assert_allclose(measured_SxExL[0, :, 0], speeds[1::2], rtol=1e-4)


def known_course(seeds=5):
    """Three hidden layers as in the book, from ten times their speed at the end, in all seeds."""
    end = np.array(learning_speed.PUBLISHED_COURSE[3][499])
    course_ExL = np.geomspace(10 * end, end, 100)
    course_ExL[3] = learning_speed.PUBLISHED_COURSE[3][20]
    return np.tile(course_ExL, (seeds, 1, 1))


def verdicts(speed_SxExL):
    """Whether each claim is reproduced, by the end of its name."""
    claims = learning_speed.course_claims(speed_SxExL)
    assert len(claims) == 6
    return {line["name"].removeprefix("3 hidden layers, training: "): line["reproduced"] for line in claims}


def test_claims_hold_for_the_books_course():
    """All six, and there is nothing to explain."""
    assert all(verdicts(known_course()).values())
    assert not any("note" in line for line in learning_speed.course_claims(known_course()))


@pytest.mark.parametrize(
    ("seeds", "rows", "layer", "factor", "missed"),
    [
        (3, slice(50, 61), 0, 1000.0, "share of epochs with the first layer slower than the last"),
        (1, -1, 1, 20.0, "share of seeds with all layers slower at the end"),
        (3, 3, 0, 2.1, "speed of layer 1 after 20 epochs"),
        (3, 3, 2, 1 / 2.1, "speed of layer 3 after 20 epochs"),
        (3, -1, 0, 1 / 2.1, "speed of layer 1 after 500 epochs"),
        (3, -1, 2, 2.1, "speed of layer 3 after 500 epochs"),
    ],
)
def test_each_claim_can_miss(seeds, rows, layer, factor, missed):
    """What lies outside its band in the median seed, or for the share of seeds in one of five, is that claim's miss."""
    speed_SxExL = known_course()
    speed_SxExL[:seeds, rows, layer] *= factor
    assert [name for name, reproduced in verdicts(speed_SxExL).items() if not reproduced] == [missed]


def test_a_first_layer_that_overtakes_is_explained():
    """By how many seeds and when: rows 10 to 14 are epochs 55 to 75."""
    speed_SxExL = known_course()
    speed_SxExL[0, 10:15, 0] = 1.0
    line = learning_speed.course_claims(speed_SxExL)[0]
    assert line["reproduced"] and "1 of 5 seeds" in line["note"] and "between epochs 55 and 75" in line["note"]
