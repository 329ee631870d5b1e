"""Every study takes one step at a small size; claims are judged by the bands stated before."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments import studies
from experiments.batches import (
    batch_size,
    edge_of_stability,
    landscape,
    rate_to_batch_ratio,
    sharp_minima,
    steps_to_target,
)
from experiments.escape import (
    bad_start,
    escape_time,
    explicit_minima,
    many_minima,
    power_law_escape,
    spurious_minima,
    two_wells,
)
from experiments.lecture import forward, gradient_descent, lecture_nets, neurons, perceptron, shallow_net
from experiments.saturation import (
    deep_saturation,
    dying_relu,
    init_saturation,
    learning_speed,
    nielsen_init,
    quadratic_or_cross_entropy,
    saturated_neuron,
)
from training.command_line import CONFIGS


class Synthetic:
    """A stand-in for a config file: the synthetic config, for seven epochs where it is the log's variant."""

    def __init__(self, config):
        self.config = config

    def get_config(self, variant=""):
        config = self.config.copy_and_resolve_references()
        config.epochs = 7 if variant else 2
        return config


def watched_outputs(_, config, seeds):
    """Outputs of .5 in every layer, before and after one epoch."""
    metrics = [f"activation_{m}/hidden_{i}" for m in ("mean", "std", "p98") for i in range(len(config.hidden))]
    return {metric: np.full((2, seeds), 0.5) for metric in metrics}


# Stand-ins for what takes long to compile.
MEASURES = {"sharpness": lambda *_: 2.0, "eigenvalue": lambda *_: 1.0, "line": lambda *_: np.linspace(1, 2, 9)}
STILL = edge_of_stability.Course(np.ones(3), np.ones((3, 1, 2)), np.arange(2), np.ones((3, 1, 2)))


def drawn_paths(*_):
    """Two paths of three points each, small draws of all weights, the last of which counts."""
    path_SxLxP = np.random.default_rng(0).normal(0, 0.1, (2, 3, 55_050)).astype(np.float32)
    return landscape.Trained(path_SxLxP, np.ones((2, 3)), np.array([2, 2]))


@pytest.mark.parametrize(
    ("study", "small", "claims"),
    [
        (init_saturation, {"SEEDS": 3, "EXAMPLES": 20}, 3),
        (
            deep_saturation,
            {"SEEDS": 1, "WIDTH": 30, "EXAMPLES": 1, "intermediate": Synthetic, "UNITS": 4, "WATCHED_EPOCHS": 1}
            # What is watched and the choice of the best rate have tests of their own.
            | {"watched": watched_outputs, "errors_of": lambda *_: np.array([0.1, 0.2])},
            6,
        ),
        (
            dying_relu,
            {"NETS": 20, "BORN": 100, "HIDDEN": 2, "STEPS": {"quick": 3}, "BATCH": 4, "GRID": 5}
            | {"PUBLISHED": {2: (0.9, (0.9, 1.0))}},
            2,
        ),
        (learning_speed, {"SEEDS": 3, "PUBLISHED": ((0.06574, 0.30922),), "EPOCHS": 20, "COURSE_SEEDS": 2}, 9),
        (perceptron, {"SETS": 2, "MOST_PASSES": 60}, 6),
        (saturated_neuron, {}, 10),
        (neurons, {}, 12),
        (
            quadratic_or_cross_entropy,
            # Nets of one size: fewer programs to compile.
            {"nielsen": Synthetic, "EPOCHS": 2, "SEEDS": 1, "RATE_OF_ETA": {"quadratic": 0.1, "cross_entropy": 0.1}}
            | {"SETUPS": tuple(setup._replace(hidden=8) for setup in quadratic_or_cross_entropy.SETUPS)},
            8,
        ),
        (nielsen_init, {"nielsen": Synthetic, "EPOCHS": 2, "SEEDS": {"quick": 2}, "HELD_OUT": 100}, 2),
        (forward, {"shallow": Synthetic}, 3),
        (
            gradient_descent,
            {"EXAMPLES": 64, "SEARCH_ROUNDS": 5, "LIMIT_STEPS": 50, "DRAWS": 50, "BATCH_SIZES": (1, 2), "GRID": 5},
            8,
        ),
        (shallow_net, {"shallow": Synthetic, "LOG_SEEDS": 2, "SEEDS": {"quick": 2}}, 9),
        (lecture_nets, {"intermediate": Synthetic, "deep": Synthetic, "SEEDS": 2}, 2),
        (many_minima, {"ONE": (2,), "MORE": ((6, 2),), "SCAN": {1: 1_000, 2: 100}}, 3),
        (
            two_wells,
            {"WALKERS": {"quick": 20}, "STEPS": 60, "MEDIANS": {(20.0, 1): 151}, "ESCAPED": {}, "MORE": ()}
            | {"SEEN_BATCHES": (1,), "SEEN_STEPS": 60, "SEEN_WALKERS": 20},
            7,
        ),
        (
            escape_time,
            {"POINTS": {"quick": ((1, 0.1, 0.4), (1, 0.2, 0.4))}, "PUBLISHED": {0.1: 42.85}, "WALKERS": 50},
            5,
        ),
        (
            power_law_escape,
            {"WALKERS": {"quick": 50}, "FAR_WALKERS": {"quick": 50}, "CROWD": 2_000, "ROUNDS": {"quick": 20}}
            | {
                "RATES": (0.1,),
                "LEVELS": 3,
                "BINS": 2,
                "FAR": (1.2, 1.3),
                "CELLS": 40,
                "DRAWN": 3,
                "DRAWN_TO": {0.1: 1.5},
            },
            8,
        ),
        (
            batch_size,
            {"shallow": Synthetic, "RULE": {"shallow": (0, 6)}, "MOST_EXTENSIONS": 0, "SMALL": 128, "LARGE": 128}
            # Both budgets are the same trials, which are compiled once; their measures have a test of their own.
            | {"measure": lambda *_: dict.fromkeys(batch_size.METRICS[1:], 1.0), "EXAMPLES": 512}
            | {"BUDGETS": {"quick": batch_size.Budget(2, 1, (128,), 4, 512, (128,), False)}},
            4,
        ),
        (
            explicit_minima,
            {"NETS": {"quick": 50}, "STEPS": 5, "WALKERS": {"quick": 3}, "WALK": 60, "BATCHES": (1,), "LOOKS": 2},
            35,
        ),
        (
            spurious_minima,
            {"NEURONS": {"quick": (7, 20)}, "RUNS": 4, "GROUPS": 2, "STEPS": {"quick": 100}}
            | {"FLOOR": -1.0, "STILL": 9.0},
            6,
        ),
        (
            sharp_minima,
            # Both batch sizes are the same trials; what measures them has tests of its own.
            {"shallow": Synthetic, "SMALL": 64, "LARGE_SHARE": 0.25, "make_measures": lambda _: MEASURES}
            | {"BUDGETS": {"quick": sharp_minima.Budget(2, 256, (4,), 1)}},
            4,
        ),
        (
            edge_of_stability,
            # The other problem and the sharpness have tests of their own.
            {"shallow": Synthetic, "HIDDEN": (3,), "toy": lambda: STILL, "sharpness": lambda *_: 8.0}
            | {"IMAGES": {"quick": 40}, "IMAGE_SEEDS": 1, "IMAGE_STEPS": 2, "LOOK_EVERY": 1},
            10,
        ),
        (
            steps_to_target,
            {"intermediate": Synthetic, "LOOK": 32, "EXAMPLES": 256, "STEPS": 8, "HELD_OUT": 50}
            | {"SIZES": {"quick": (32, 64)}, "SEEDS": {"quick": 2}, "SMALL": 64, "LARGE": 32, "NOISE_EXAMPLES": 40}
            | {"FIRST": -1, "MOST": 4, "BESIDE": 1, "TARGETS": (0.0899, 0.0895)},
            7,
        ),
        (
            rate_to_batch_ratio,
            # The eigenvalue has a test of its own.
            {"intermediate": Synthetic, "EXAMPLES": 64, "EPOCHS": 2, "SEEDS": {"quick": 2}}
            | {"largest_eigenvalue": lambda *_: 1.0, "EARLY": (1,)}
            | {"SIZES": {"quick": (32, 64)}, "SMALLEST": 32, "MIDDLE": 64, "LARGEST": 64},
            9,
        ),
        (
            landscape,
            {"EXAMPLES": 64, "SEEDS": {"quick": 2}, "TEST": 64, "GRID": 3, "FARTHEST": 9.0, "PLACES": 5, "BETWEEN": 5}
            # Training has a test of its own.
            | {"DIRECTIONS": 1, "run": drawn_paths},
            6,
        ),
        (
            bad_start,
            {"EXAMPLES": 64, "SEEDS": {"quick": 2}, "LEARNED_EPOCHS": 2, "SEEN": 50, "steepness": lambda *_: (1.0, 1.0)}
            | {"SETTINGS": {bad_start.DESCENT: bad_start.Setting(32, (0.1, 0.2), 2)}}
            | {"SMALL": bad_start.DESCENT, "REGULARIZED": bad_start.DESCENT, "DRAWN": ((bad_start.DESCENT, 0),)},
            6,
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_study_end_to_end(study, small, claims, synthetic_config, monkeypatch, tmp_path, capsys):
    """A study at a small size writes its figure and its claims, and prints the scoreboard."""
    for name, value in small.items():
        monkeypatch.setattr(study, name, value(synthetic_config) if value is Synthetic else value)
    studies.run(lambda: study.study(**studies.arguments(study.study, "quick", tmp_path)), tmp_path)
    lines = json.loads((tmp_path / "results.json").read_text())
    assert len(lines) == claims
    assert all(line.keys() >= {"name", "published", "source", "measured", "band", "reproduced"} for line in lines)
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    out = capsys.readouterr().out
    assert out.count("|") > 8 * claims
    # What learns nothing of MNIST does not end where the lecture's nets do.
    assert not any(line["reproduced"] for line in lines if "final" in line["name"])


def test_claims_are_judged_by_their_bands():
    """A log value outside the seeds' range, and an end outside its band, are not reproduced; inside they are."""
    val_loss_ExL = np.array(shallow_net.LOG_VAL_LOSS)[:, None] + np.array([[-0.001, 0.001]])
    assert all(claim["reproduced"] for claim in shallow_net.log_claims(val_loss_ExL))
    val_loss_ExL[2] += 0.002
    assert [c["reproduced"] for c in shallow_net.log_claims(val_loss_ExL)] == [True] * 2 + [False] + [True] * 4
    end = {"val_accuracy": np.array([[0.9542], [0.86]]), "val_loss": np.array([[0.09], [0.0286]])}
    assert [c["reproduced"] for c in shallow_net.end_claims(end)] == [True, True]
    assert not any(c["reproduced"] for c in lecture_nets.claims_of({"intermediate": end, "deep": end}))


def test_numbers_of_the_scoreboard():
    """Four decimals, and two digits for what they would hide."""
    assert [studies.number(value) for value in (0.95, 0.0, 3.28e-5, 12.0)] == ["0.9500", "0.0000", "3.3e-05", "12.0000"]


def test_band_without_an_upper_end():
    """Says so, where the file has a number."""
    line = studies.claim("x", None, "source", np.array([12.0]), 12.0, (10.0, studies.OPEN))
    assert studies.cells(line)[-2] == "10.0000 or more" and line["reproduced"]
    assert json.loads(json.dumps(line, allow_nan=False))["band"] == [10.0, studies.OPEN]


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


def test_command_line_of_a_study(tmp_path):
    """As a command: an unknown budget is refused in one line, --workdir is where the files go."""
    command = [sys.executable, "-m", "experiments.lecture.shallow_net", "--budget=huge"]
    refused = subprocess.run(command, cwd=CONFIGS.parent, capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "quick" in refused.stderr
    command = [sys.executable, "-m", "experiments.lecture.neurons", f"--workdir={tmp_path}"]
    subprocess.run(command, cwd=CONFIGS.parent, capture_output=True, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.png", "results.json"]
