"""The record of advice: its settings, that a call that was ended goes on, and what is made of what is known."""

import json
import math
from functools import partial
from pathlib import Path

import pytest
from commands import run_here

from experiments.advising import record
from experiments.advising.checking import Check
from experiments.advising.estimates import Estimate, as_json
from experiments.benchmarks import advice, tables


def checked(rate: float, edge: Estimate, verdict: str) -> dict:
    """A rate that was held against that edge, with a 2 / lambda of a quarter; a batch that was not checked, and a scale
    that lacks 5 %."""
    comparisons = {
        "diverges": {"predicted": 0.25, "measured": edge, "verdict": "did not hold"},
        "climbs": {"predicted": 0.25, "measured": Estimate(1.0, 0.9, 1.1), "verdict": "held"},
    }
    of = [
        Check("rate", "", verdict, rate, edge, comparisons=comparisons),
        Check("batch", "", "not checked"),
        Check("scale", "", "held", 1.0, Estimate(0.05, 0.02, 0.08), comparisons={"best": {"measured": Estimate(4.0)}}),
    ]
    return {one.part: as_json(one.to_dict()) for one in of}


def test_settings_are_those_that_were_stated():
    """Three activations, two costs, two widths, two data sets; each a config of its own in a file of its own."""
    of = advice.settings()
    assert len(of) == len({one.config for one in of}) == len({one.path(Path("folder")) for one in of}) == 24
    assert {one.config.dataset for one in of} == {"mnist", "sklearn:digits"}
    assert str(of[0]) == "sigmoid, quadratic, 16 units, mnist"


def test_record_of_what_is_known():
    """Verdicts are counted, ratios are of numbers that are known from both sides, and what was wrong has its name."""
    found = {
        "a": {"checks": checked(1.0, Estimate(2.0, 1.8, 2.2), "held"), "seconds": 3.0},
        "b": {"checks": checked(3.0, Estimate(1.0, 0.9, 1.1), "did not hold"), "seconds": 5.0},
        "c": {"checks": checked(2.0, Estimate(9.0, 9.0, math.inf), "did not hold"), "seconds": 4.0},
    }
    measured = advice.recorded(json.loads(json.dumps(found)))
    counts = measured["counts"]
    assert counts["rate"] == {"held": 1, "did not hold": 2, "undecided": 0, "not checked": 0}
    assert counts["batch"]["not checked"] == counts["scale"]["held"] == 3
    assert counts["2 / lambda, held against where the cost climbs above its start at all"]["held"] == 3
    assert counts["2 / lambda, held against the edge of divergence"]["did not hold"] == 3
    assert counts["2 / lambda, held against where a step raises the cost"]["not checked"] == 3
    lines = {line["name"]: line for line in measured["figures"]}
    assert lines[f"largest rate advised / the edge of divergence {record.CHOSEN}"]["all"] == [0.5, 3.0]
    assert lines["2 / lambda / the edge of divergence"]["all"] == [0.125, 0.25]
    assert lines["2 / lambda / where the cost climbs above its start at all"]["all"] == [0.25] * 3
    assert "2 / lambda / where a step raises the cost" not in lines
    assert lines[f"scale advised / best of those that were tried from that rate on {record.CHOSEN}"]["measured"] == 0.25
    assert lines["settings in which the rate did not hold"]["measured"] == 2
    assert not any(name.startswith("batch advised / knee") for name in lines)
    assert measured["bad"] == [
        "rate did not hold: b (3 advised, 1 (0.9 to 1.1) measured)",
        "rate did not hold: c (2 advised, 9 (9 or more) measured)",
    ]
    text = tables.table(measured)
    assert "| settings in which the rate did not hold | 2.000 | 2.000 | 2.000 | 1 | <= 0 | **no** |" in text
    assert "| b | 3 | 1 (0.9 to 1.1) | did not hold |  |  | not checked | 1 | 0.05 (0.02 to 0.08) | held |" in text


def test_noise_scale_of_the_state_alone_is_counted_beside_the_batch():
    """Both are held against the same knee."""
    knee = Estimate(50.0, 45.0, 55.0)
    alone = {"predicted": 200.0, "measured": knee, "verdict": "did not hold"}
    of = checked(1.0, Estimate(2.0, 1.8, 2.2), "held")
    of["batch"] = as_json(Check("batch", "", "held", 40.0, knee, comparisons={"alone": alone}).to_dict())
    measured = advice.recorded(json.loads(json.dumps({"a": {"checks": of, "seconds": 3.0}})))
    lines = {line["name"]: line["measured"] for line in measured["figures"]}
    assert lines[f"batch advised / knee, tried from that rate on {record.CHOSEN}"] == 0.8
    assert lines["noise scale of the state alone / knee"] == 4.0
    assert measured["counts"]["noise scale of the state alone, held against the knee"]["did not hold"] == 1
    assert measured["counts"]["batch"]["held"] == 1


def test_a_call_that_was_ended_goes_on(monkeypatch, capsys, tmp_path):
    """Settings that are there are not measured again, but for damaged ones; with the record they are gone."""
    of, measured = advice.settings()[:3], list[advice.Setting]()

    def checks_of(setting: advice.Setting, ends: int) -> dict:
        if len(measured) == ends:
            raise KeyboardInterrupt
        measured.append(setting)
        return checked(1.0, Estimate(1.0, 0.9, 1.1), "held")

    monkeypatch.setattr(advice, "settings", lambda: of)
    monkeypatch.setattr(advice, "checks_of", partial(checks_of, ends=2))
    call = partial(run_here, "experiments.benchmark", monkeypatch, "--advice", f"--workdir={tmp_path}")
    monkeypatch.setattr("experiments.engine.lanes.use_all_cores", lambda: None)
    with pytest.raises(KeyboardInterrupt):
        call()
    assert measured == of[:2] and not (tmp_path / "advice.json").exists()
    of[0].path(tmp_path / "advice").write_text("{")
    monkeypatch.setattr(advice, "checks_of", partial(checks_of, ends=9))
    call()
    assert measured == [of[0], of[1], of[0], of[2]]
    assert "\nTaken over from a call that was ended: 1 setting of 3." in capsys.readouterr().out
    part = json.loads((tmp_path / "advice.json").read_text())
    assert part["measured"]["counts"]["rate"]["held"] == 3 and not (tmp_path / "advice").exists()
    assert part["command"] == "python -m experiments.benchmark --advice"
