"""What is watched begins with the run's own initial weights; the claims are judged as they are stated."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest

import nets
import train
from experiments.engine import executors
from experiments.saturation import deep_saturation
from training.batches import scale


def test_watched_outputs_start_with_the_draw(synthetic_config, monkeypatch):
    """The first row is of each seed's initial weights, the others are the epochs of its run."""
    config = synthetic_config
    config.update(hidden=(6, 5), activation="tanh", batch_size=50)
    for name, value in {"IMAGES": 100, "HELD_OUT": "50", "PROBE_IMAGES": 20, "WATCHED_EPOCHS": 2}.items():
        monkeypatch.setattr(deep_saturation, name, value)
    metrics = [f"activation_{m}/hidden_{i}" for m in ("mean", "std", "p98") for i in (0, 1)]

    def rows_of(trials, dataset, _):
        assert len(dataset.images) == 100 and len(dataset.validation_images) == 50
        rows = [10.0 * trial["seed"] + epoch for trial in trials.values() for epoch in range(trial["epochs"])]
        return pa.table(dict.fromkeys(metrics, rows))

    monkeypatch.setattr(executors, "train_all", rows_of)
    found = deep_saturation.watched("watched", config, seeds=2)
    assert set(found) == set(metrics)
    images = scale(jnp.asarray(train.load_dataset(config, "").images[:20]))
    init = train.make_train(config).init
    for seed in (0, 1):
        state = init(train.hyperparameters(config), train.run_keys(seed)[0])
        named: Any = train.make_model(config).apply(train.variables(state), images)[1]
        expected = nets.saturation.statistics(named["hidden_1/a"])
        for metric, name in (("mean", "mean"), ("std", "std"), ("p98", "percentile_98")):
            values_E = found[f"activation_{metric}/hidden_1"][:, seed]
            assert values_E == pytest.approx([float(expected[name]), 10 * seed, 10 * seed + 1], abs=1e-5)


def courses_of(four: list[float], five: list[float]) -> dict:
    """Two seeds of both sigmoid nets whose top layers' means go that way; the layer below moves the other way."""

    def course(top: list[float], layer: int) -> dict:
        top_ExS = np.array(top)[:, None] * np.ones((1, 2))
        return {f"activation_mean/hidden_{layer - 1}": 1 - top_ExS, f"activation_mean/hidden_{layer}": top_ExS}

    return dict(zip(deep_saturation.WATCHED, (course(four, 3), course(five, 4)), strict=False))


def test_claims_about_the_top_layer():
    """Fallen and risen again with 4 layers, fallen for good with 5; nothing else will do."""
    fallen, risen, high = [0.5, 0.02, 0.01, 0.01], [0.5, 0.02, 0.01, 0.02], [0.5, 0.15, 0.11, 0.3]
    judged = lambda *tops: [c["reproduced"] for c in deep_saturation.course_claims(courses_of(*tops))]  # noqa: E731
    assert judged(risen, fallen) == [True, True, True]
    assert judged(fallen, risen) == [True, False, False]
    assert judged(high, fallen) == [False, True, True]
    twice = dict(zip(deep_saturation.TWICE_THE_RATE, courses_of(risen, risen).values(), strict=False))
    claims = deep_saturation.course_claims(courses_of(risen, fallen) | twice)
    assert "2 of 2 seeds leave" in claims[-1]["note"]


def test_best_rate_is_the_one_with_the_least_mean_error(monkeypatch):
    """The errors handed out are those of the best rate, and the published gap is table 1's."""
    errors = {0.5: [0.1, 0.3], 1.0: [0.15, 0.2]}
    monkeypatch.setattr(deep_saturation, "RATES", {"quick": {"sigmoid": tuple(errors)}})
    monkeypatch.setattr(
        deep_saturation.studies,
        "curves",
        lambda _, config, seeds: {"val_accuracy": 1 - np.array([[0.9, 0.9], errors[config.learning_rate]])},
    )
    found = deep_saturation.errors_of("sigmoid", "quick")
    assert found == pytest.approx([0.15, 0.2])
    line = deep_saturation.error_claim({"sigmoid": found, "normalized tanh": np.array([0.2, 0.2])})
    assert line["published"] == pytest.approx(0.0057) and not line["reproduced"]
