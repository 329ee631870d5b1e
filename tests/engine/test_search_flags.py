"""What a sweep tries, as its command line says it: axes, drawn trials and tuning together, and what is refused."""

from pathlib import Path

import pytest
from commands import SHALLOW, SYNTHETIC, one_line

from experiments.engine import plan

SMALL = (SHALLOW, SYNTHETIC, "--config.epochs=2", "--config.probes=")
RATE, DRAWN = ("--range", "learning_rate=log:0.001:10"), ("--range", "momentum=0:0.95")

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture
def planned(call, capsys, monkeypatch):
    """What a dry run of the command prints, without measuring how long a step takes."""
    monkeypatch.setattr(plan, "step_seconds", lambda trial, width: 1e-3)

    def run(*arguments):
        call(*SMALL, *arguments, "--dry_run")
        assert list(Path.cwd().iterdir()) == []
        return capsys.readouterr().out

    return run


def test_drawn_trials_are_multiplied_by_axes_and_seeds(planned):
    """4 points, 2 activations and 3 seeds; the points are those of any larger number."""
    out = planned("--trials=4", *RATE, *DRAWN, "--axis", "activation=tanh,relu", "--seeds=3")
    assert "24 trials, 0 finished" in out
    of = lambda out, name: next(line for line in out.splitlines() if line.startswith(f"{name}: ")).split(", ")  # noqa: E731
    more = planned("--trials=5", *DRAWN, *RATE, "--axis", "activation=tanh,relu", "--seeds=3")
    assert of(more, "learning_rate")[:4] == of(out, "learning_rate") and len(of(more, "momentum")) == 5
    other = planned("--trials=4", *RATE, *DRAWN, "--search_seed=1")
    assert not {*of(other, "learning_rate")} & {*of(out, "learning_rate")}


def test_whole_numbers_that_coincide_are_said(planned):
    """Of 16 points of a range of 3 whole numbers there are 3."""
    out = planned("--trials=16", "--range", "batch_size=30:32")
    assert "--trials=16 draws 3 different points" in out and "3 trials, 0 finished" in out


def test_axes_of_ranges_and_of_fields_that_change_together(planned):
    """They multiply each other; a point that is there twice is run once and said."""
    out = planned("--axis", "batch_size=int:8:64:log", "--axis", "activation,init_scale=tanh:1,relu:2,tanh:1.0")
    assert "8 trials, 0 finished" in out and "batch_size: 8, 16, 32, 64" in out
    assert "--axis activation,init_scale has tanh:1.0 more than once, which is run once" in out


def test_the_first_round_of_a_tuned_sweep_is_planned(planned):
    """Of the range of the tuned field, with drawn settings of the others; the tuned field is no axis beside it."""
    out = planned("--tune=learning_rate", *RATE, "--trials=2", *DRAWN, "--tune_seeds=1")
    assert "learning_rate: tuned for 2 settings on validation examples by 1 seed; 5 fresh seeds" in out
    assert "18 trials, 0 finished" in out and "validation" not in out.replace("on validation examples", "")
    out = planned("--tune=batch_size", "--config.validation=100")
    assert "batch_size: 16, 64, 256\n" in out and "9 trials, 0 finished" in out


def test_layers_in_a_flag_as_on_an_axis(planned):
    """64-64, 64,64 and their axis are one and the same."""
    for arguments in (("--config.hidden=16-8",), ("--config.hidden=16,8",), ("--axis", "hidden=16-8")):
        assert "one structure: 1 trial" in planned(*arguments)
    out = planned("--config.hidden=16-8", "--axis", "hidden=16-8,(),8", "--config.activation=tanh")
    assert "hidden: 16-8, , 8" in out
    assert "1 trial, " in planned("--config.hidden=16-8", "--config.activation=tanh-relu")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (RATE, ("--range learning_rate is drawn by --trials=N", "--axis learning_rate=v1,v2")),
        (("--trials=4",), ("--trials=4 has nothing to draw from", "--range NAME=LOW:HIGH")),
        (("--trials=0", *RATE), ("trials",)),
        (("--search_seed=1",), ("--search_seed is for points that are drawn", "--trials=N")),
        (("--trials=4", *RATE, "--axis", "learning_rate=1,2"), ("--axis learning_rate and --range learning_rate",)),
        (("--trials=4", *RATE, *RATE), ("--range learning_rate is given twice", "one of them")),
        (("--axis", "l2=1", "--axis", "l2,seed=1:2"), ("--axis l2 is given twice", "one list")),
        (("--axis", "learning_rate,seed=1:1", "--seeds=2"), ("--seeds and --axis seed are both given",)),
        (("--tune=hidden",), ("--tune=hidden: it is no number to tune",)),
        (("--tune=",), ("--tune=: '' is no config field",)),
        (("--tune=learning_rate", "--axis", "seed=1,2"), ("--tune and --axis seed", "--tune_seeds=N and --seeds=N")),
        (("--tune=learning_rate", "--axis", "learning_rate,l2=1:1"), ("an axis of that alone",)),
        (("--tune=learning_rate", "--axis", "learning_rate=1"), ("has 1 values to begin with",)),
        (("--tune=learning_rate", *RATE, "--trials=2"), ("--trials=2 has nothing to draw from",)),
        (("--tune=learning_rate", "--config.dataset=idx:nowhere"), ("nowhere",)),
        (("--tune=batch_size", "--axis", "batch_size=64,1000"), ("config.batch_size=1000 is more than the 427",)),
        (("--tune=learning_rate", "--halving=2"), ("--halving and --tune are both given",)),
        (("--tune=learning_rate", "--continue", "--workdir=mine"), ("--continue and --tune are both given",)),
        (("--tune_seeds=2",), ("--tune_seeds is for a field that is tuned", "--tune=learning_rate")),
        (("--tune_refinements=2",), ("--tune_refinements is for a field that is tuned",)),
    ],
)
def test_mistakes_end_in_one_line(call, capsys, arguments, words):
    """What was given, what is accepted; nothing is made."""
    with pytest.raises(SystemExit) as caught:
        call(*SMALL, *arguments)
    message = one_line(capsys.readouterr().err)
    assert caught.value.code == 2 and all(word in message for word in words), message
    assert list(Path.cwd().iterdir()) == []
