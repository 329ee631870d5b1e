"""Every experiment takes one step on synthetic data, and says what is and what is not reproduced."""

import json

import numpy as np
import pytest
from absl import flags

import input_pipeline
import nets
from experiments import (
    benchmark,
    deep_saturation,
    executors,
    init_saturation,
    lanes,
    learning_speed,
    lecture_nets,
    neurons,
    perceptron,
    saturated_neuron,
    studies,
    sweep_benchmark,
)


def test_benchmark_opponents_run_an_epoch(monkeypatch):
    """On synthetic data: every opponent that is installed, with a positive time in each round."""
    monkeypatch.setattr(input_pipeline, "load", lambda name: input_pipeline.synthetic())
    monkeypatch.setattr(benchmark, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(benchmark, "EPOCHS_A_ROUND", 1)
    seconds = benchmark.time_epochs(rounds=1)
    assert {
        "matrix products (numpy)",
        "plateau",
        "plateau, batch size 1",
        "plateau, its probes",
        "flax loop",
    } <= set(seconds)
    assert all(len(values) == 1 and values[0] > 0 for values in seconds.values())


def test_benchmark_ratios_are_medians_of_rounds():
    """The median of each round's own ratio, and a target that is missed is shown as missed."""
    seconds = {
        "matrix products (numpy)": [1.0, 1.0, 2.0],
        "plateau": [2.0, 1.5, 2.0],
        "plateau, batch size 1": [2.0, 3.0, 4.0],
        "plateau, its probes": [0.1, 0.3, 0.1],
        "flax loop": [10.0, 10.0, 10.0],
    }
    lines = benchmark.ratio_lines(seconds)
    assert [line["measured"] for line in lines] == [1.5, 0.2, 2.0, 0.05]
    lines[0]["target"] = 1.4
    rows = benchmark.table(seconds, lines).splitlines()
    assert next(row for row in rows if "bound" in row).endswith("| <= 1.4 | **no** |")
    assert next(row for row in rows if "batch size 1 / epoch" in row).endswith("| <= 4 | yes |")


def test_sweep_benchmark_on_synthetic_data(monkeypatch):
    """Packs of lanes are timed beside the bound and a run alone; lanes are compared with runs alone."""
    monkeypatch.setattr(input_pipeline, "load", lambda name: input_pipeline.synthetic())
    monkeypatch.setattr(benchmark, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(sweep_benchmark, "PACKS", {"4 lanes": (2, 2, 1.1)})
    monkeypatch.setattr(lanes, "FAST_LANES", {})
    monkeypatch.setattr(sweep_benchmark, "ALONE_EPOCHS", 1)
    seconds = sweep_benchmark.time_packs(rounds=1)
    assert list(seconds) == ["matrix products (numpy)", "plateau", "4 lanes"]
    assert all(len(values) == 1 and values[0] > 0 for values in seconds.values())
    monkeypatch.setattr(nets.activations, "ACTIVATIONS", {"tanh": nets.activations.get("tanh")})
    monkeypatch.setattr(nets.costs, "COSTS", {"quadratic": nets.costs.quadratic})
    loss, images = sweep_benchmark.differences_from_alone(input_pipeline.synthetic())
    assert 0 < loss < 1e-5 and images == 0


def test_lecture_nets_end_to_end(synthetic_config, monkeypatch, tmp_path, capsys):
    """The whole study on synthetic data writes its figure and claims; nothing learns the lecture's numbers there."""

    class Module:
        @staticmethod
        def get_config(variant=""):
            config = synthetic_config.copy_and_resolve_references()
            config.epochs = 7 if variant else 2
            return config

    for name in ("shallow", "intermediate", "deep", "nielsen"):
        monkeypatch.setattr(lecture_nets, name, Module)
    # The four configs are one here: two runs serve for all.
    runs = {}
    train_all = executors.train_all

    def cached(trials, dataset, label):
        key = tuple(trials)
        runs[key] = runs.get(key) or train_all(trials, dataset, label)
        return runs[key]

    monkeypatch.setattr(executors, "train_all", cached)
    monkeypatch.setattr(lanes, "use_all_cores", lambda: None)
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", str(tmp_path), "", flag_values=values)
    flags.DEFINE_integer("log_seeds", 2, "", flag_values=values)
    values(["lecture_nets"])
    monkeypatch.setattr(lecture_nets.flags, "FLAGS", values)
    lecture_nets.main([])
    claims = json.loads((tmp_path / "results.json").read_text())
    assert len(claims) == 12
    assert all(claim.keys() >= {"name", "published", "source", "measured", "band", "reproduced"} for claim in claims)
    assert not any(claim["reproduced"] for claim in claims if "final" in claim["name"])
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "**no**" in capsys.readouterr().out


def test_claims_are_judged_by_their_bands():
    """A log value outside the seeds' range, and an end outside its band, are not reproduced; inside they are."""
    val_loss_ExL = np.array(lecture_nets.LOG_VAL_LOSS)[:, None] + np.array([[-0.001, 0.001]])
    assert all(claim["reproduced"] for claim in lecture_nets.log_claims(val_loss_ExL))
    val_loss_ExL[2] += 0.002
    assert [claim["reproduced"] for claim in lecture_nets.log_claims(val_loss_ExL)] == [True] * 2 + [False] + [True] * 4
    end = {"val_accuracy": np.array([[0.9542], [0.86]]), "val_loss": np.array([[0.09], [0.0286]])}
    verdicts = {
        c["name"]: c["reproduced"]
        for c in lecture_nets.end_claims(dict.fromkeys(("shallow", "intermediate", "deep", "nielsen"), end))
    }
    assert verdicts["shallow, final val_accuracy"] and verdicts["shallow, final val_loss"]
    assert verdicts["Nielsen 784-30-10, best accuracy"] and not verdicts["deep, final val_accuracy"]


@pytest.mark.parametrize(
    ("study", "small", "claims"),
    [
        (init_saturation, {"SEEDS": 3, "EXAMPLES": 20}, 3),
        (deep_saturation, {"SEEDS": 1, "WIDTH": 30, "EXAMPLES": 1}, 2),
        (learning_speed, {"SEEDS": 3, "PUBLISHED": ((0.06574, 0.30922),)}, 3),
        (perceptron, {"SETS": 2, "MOST_PASSES": 60}, 6),
        (saturated_neuron, {}, 10),
        (neurons, {}, 12),
    ],
)
def test_study_end_to_end(study, small, claims, monkeypatch, tmp_path, capsys):
    """A study at a small size writes its figure and its claims, and prints the scoreboard."""
    for name, value in small.items():
        monkeypatch.setattr(study, name, value)
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", str(tmp_path), "", flag_values=values)
    values(["study"])
    monkeypatch.setattr(study.flags, "FLAGS", values)
    study.main([])
    lines = json.loads((tmp_path / "results.json").read_text())
    assert len(lines) == claims
    assert all(line.keys() >= {"name", "published", "source", "measured", "band", "reproduced"} for line in lines)
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert capsys.readouterr().out.count("|") > 8 * claims


def test_saturated_neuron_is_the_exact_recursion():
    """The outputs are those of the recursion written by hand in float64, for both costs and for the animation."""
    slopes = {"quadratic": lambda a: a * a * (1 - a), "cross_entropy": lambda a: a, "animation": lambda a: 1 / (1 - a)}
    for name, by_hand in slopes.items():
        slope = saturated_neuron.animation_slope if name == "animation" else saturated_neuron.true_slope
        found = saturated_neuron.outputs(slope, name, 2.0, 2.0, 0.05)
        w = b = 2.0
        for a in found:
            expected = 1 / (1 + np.exp(-(w + b)))
            assert a == pytest.approx(expected, rel=1e-4)
            w, b = w - 0.05 * by_hand(expected), b - 0.05 * by_hand(expected)


def test_perceptron_points_are_separated_by_the_margin():
    """Novikoff's bound is that of a line which does separate the points."""
    x_BxD, labels_B, bound = perceptron.separable(3)
    assert x_BxD.shape == (perceptron.POINTS, 2) and 0 < labels_B.mean() < 1
    assert 1 < bound < 3 / perceptron.MARGIN**2


def test_closed_form_of_the_saturated_fraction():
    """P(|N(0, 784/3)| > ln 19), as published."""
    assert init_saturation.closed_form("nielsen_large") == pytest.approx(0.8555, abs=5e-5)
    assert init_saturation.closed_form("glorot_uniform") == pytest.approx(3.3e-5, abs=5e-7)


def test_numbers_of_the_scoreboard():
    """Four decimals, and two digits for what they would hide."""
    assert [studies.number(value) for value in (0.95, 0.0, 3.28e-5, 12.0)] == ["0.9500", "0.0000", "3.3e-05", "12.0000"]


def test_study_whose_folder_cannot_be_made(tmp_path, capsys):
    """A file in its place is said in one line, before the study runs."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as caught:
        studies.run(lambda: pytest.fail("the study ran"), tmp_path / "file")
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_published_draw_must_lie_within_the_percentiles():
    """The 5-95 % range of 0 ... 100 is 5 to 95."""
    values = np.arange(101.0)
    inside, outside = (studies.range_claim("x", p, "source", values, (5, 95)) for p in (94.9, 95.1))
    assert inside["band"] == [5.0, 95.0] and inside["reproduced"] and not outside["reproduced"]
