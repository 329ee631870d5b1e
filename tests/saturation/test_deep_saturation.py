"""What is watched begins with the run's own initial weights; the claims are judged as they are stated."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest

import nets
import train
from experiments.engine import executors
from experiments.saturation import deep_saturation
from experiments.study import command
from training import models
from training.batches import scale
from training.config import as_config


def test_study_at_its_tiny_size(tmp_path):
    """Two published numbers, three directions; four units are not saturated, and one net has one error."""
    command.run(deep_saturation.STUDY, "tiny", tmp_path)
    claims = {claim["key"]: claim for claim in json.loads((tmp_path / "results.json").read_text())}
    assert [claim["kind"] for claim in claims.values()] == ["number"] * 2 + ["direction"] * 3
    assert list(claims) == ["jacobian/normalized", "jacobian/standard", "4/lowest", "leaves", "5/error"]
    assert claims.pop("5/error")["measured"] == 0
    assert not any(claim["verdict"] == "reproduced" for claim in claims.values())
    assert [bool(claim["exploratory"]) for claim in claims.values()] == [False] * 2 + [True] * 2
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_watched_outputs_start_with_the_draw(synthetic_config, monkeypatch):
    """The first row is of each seed's initial weights, the others are the epochs of its run; tanhs are only drawn."""
    config = as_config(synthetic_config).replace(hidden=(6, 5), activation="tanh", batch_size=50)
    watch = deep_saturation.Watch({}, 7, drawn_seeds=2, epochs=2, images=100, held_out="50", probe_images=20)
    metrics = [f"activation_{m}/hidden_{i}" for m in ("mean", "std", "p98") for i in (0, 1)]

    def rows_of(trials, dataset, _):
        assert len(dataset.images) == 100 and len(dataset.validation_images) == 50
        rows = [10.0 * trial.seed + epoch for trial in trials.values() for epoch in range(trial.epochs)]
        return pa.table(dict.fromkeys(metrics, rows))

    monkeypatch.setattr(executors, "train_all", rows_of)
    found = deep_saturation.watched("watched", config, watch)
    assert set(found) == set(metrics)
    images = scale(jnp.asarray(train.load_dataset(config, "").images[:20]))
    init = train.make_train(config).init
    for seed in (0, 1):
        state = init(train.hyperparameters(config), train.run_keys(seed)[0])
        named: Any = models.make_mlp(config).apply(train.variables(state), images)[1]
        expected = nets.saturation.statistics(named["hidden_1/a"])
        for metric, name in (("mean", "mean"), ("std", "std"), ("p98", "percentile_98")):
            values_E = found[f"activation_{metric}/hidden_1"][:, seed]
            assert values_E == pytest.approx([float(expected[name]), 10 * seed, 10 * seed + 1], abs=1e-5)


def courses_of(four: list[float], five: list[float]) -> dict:
    """Six seeds of both sigmoid nets whose top layers' means go that way; the layer below moves the other way."""

    def course(top: list[float], layer: int) -> dict:
        top_ExS = np.array(top)[:, None] * np.ones((1, 6))
        return {f"activation_mean/hidden_{layer - 1}": 1 - top_ExS, f"activation_mean/hidden_{layer}": top_ExS}

    return {deep_saturation.FOUR: course(four, 3), deep_saturation.FIVE: course(five, 4)}


def test_claims_about_the_top_layer():
    """Fallen and risen again with 4 layers, fallen for good with 5, in all of six seeds; nothing else will do."""
    fallen, risen, high = [0.5, 0.02, 0.01, 0.01], [0.5, 0.02, 0.01, 0.02], [0.5, 0.15, 0.11, 0.3]

    def judged(*tops: list[float]) -> list[tuple[float, str]]:
        claims = deep_saturation.course_claims(courses_of(*tops), 15_000)
        assert [claim.key for claim in claims] == ["4/lowest", "leaves"]
        assert all(claim.exploratory and claim.kind == "direction" for claim in claims)
        return [(claim.measured, claim.verdict) for claim in claims]

    assert judged(risen, fallen) == [(0.01, "reproduced"), (1.0, "reproduced")]
    assert judged(fallen, risen) == [(0.01, "reproduced"), (0.0, "not reproduced")]
    assert judged(high, fallen) == [(0.11, "not reproduced"), (1.0, "reproduced")]
    both = deep_saturation.course_claims(courses_of(risen, risen), 15_000)[-1]
    assert both.count == 0 and both.verdict == "undecided" and np.isnan(both.measured)
    twice = courses_of(risen, risen)[deep_saturation.FIVE]
    claims = deep_saturation.course_claims(courses_of(risen, fallen) | {deep_saturation.TWICE: twice}, 15_000)
    assert "twice the rate: 6 of 6 seeds leave" in claims[-1].note and "15,000" in claims[-1].name


def test_best_rate_is_chosen_by_what_is_held_out(monkeypatch):
    """The errors handed out are those on the test images at the rate that is best on others, though another rate has
    the least of them; and the published gap is table 1's."""
    errors = {0.5: [0.1, 0.1], 1.0: [0.15, 0.2]}

    def ends_of(_, config, seeds):
        assert (seeds, config.validation) == (range(2), "50")
        return np.array({0.5: [0.7, 0.9], 1.0: [0.85, 0.8]}[config.learning_rate]), np.array(
            errors[config.learning_rate]
        )

    monkeypatch.setattr(deep_saturation, "ends_of", ends_of)
    tested = deep_saturation.tested(sigmoid=tuple(errors), tanh=())
    found = deep_saturation.errors_of("sigmoid", deep_saturation.TINY._replace(tested=tested))
    assert found == pytest.approx([0.15, 0.2])
    claim = deep_saturation.error_claim({"sigmoid": found, "normalized tanh": np.array([0.2, 0.2])})
    assert claim.published == pytest.approx((0.0057,)) and claim.verdict == "undecided" and claim.exploratory
    better = {"sigmoid": found, "normalized tanh": found - 0.01}
    assert deep_saturation.error_claim(better).verdict == "reproduced"


def test_singular_values_are_judged():
    """Means over seeds inside .05 of the published ones, with each other's for rivals."""
    values = {name: np.full((3, 4, 2, 5), value) for name, value in (("normalized", 0.78), ("standard", 0.49))}
    claims = deep_saturation.jacobian_claims(values)
    assert [claim.verdict for claim in claims] == ["reproduced"] * 2
    assert "standard initialization, 0.5" in claims[0].rival
    exchanged = dict(zip(values, reversed(values.values()), strict=True))
    assert [claim.verdict for claim in deep_saturation.jacobian_claims(exchanged)] == ["not reproduced"] * 2
