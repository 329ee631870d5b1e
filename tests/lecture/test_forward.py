"""One digit through the trained net: the hand computation in loops, what is marked, and wrong digits."""

import json
import math
from functools import partial

import numpy as np
import pytest
from commands import refused, run_here

from experiments.lecture import forward
from experiments.study import command

RANDOM = np.random.default_rng(0)
PARAMS = {
    "hidden_0": {"kernel": RANDOM.normal(size=(5, 3)), "bias": RANDOM.normal(size=3)},
    "output": {"kernel": RANDOM.normal(size=(3, 4)), "bias": RANDOM.normal(size=4)},
}
IMAGE = np.array([0, 255, 3, 128, 40], np.uint8)


def test_study_at_its_tiny_size(tmp_path, capsys):
    """Three oracles, and every number of the digit in print."""
    command.run(forward.STUDY, "tiny", tmp_path)
    claims = json.loads((tmp_path / "results.json").read_text())
    assert len({claim["key"] for claim in claims}) == 3 and {claim["kind"] for claim in claims} == {"oracle"}
    assert all(claim["verdict"] == "reproduced" for claim in claims)
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    out = capsys.readouterr().out
    assert "Test digit 0." in out and out.count(" -> 0.") + out.count(" -> 1.") == 64


def test_forward_pass_in_loops():
    """Sums of products one by one, with math's exponential."""
    a_H, z_C = [], []
    for h in range(3):
        z = PARAMS["hidden_0"]["bias"][h] + sum(IMAGE[d] / 255 * PARAMS["hidden_0"]["kernel"][d, h] for d in range(5))
        a_H.append(1 / (1 + math.exp(-z)))
    for c in range(4):
        z_C.append(PARAMS["output"]["bias"][c] + sum(a_H[h] * PARAMS["output"]["kernel"][h, c] for h in range(3)))
    total = sum(math.exp(z) for z in z_C)
    hidden, output = forward.by_hand(PARAMS, IMAGE)
    np.testing.assert_allclose(hidden.a, a_H, rtol=1e-14)
    np.testing.assert_allclose(output.z, z_C, rtol=1e-14)
    np.testing.assert_allclose(output.a, [math.exp(z) / total for z in z_C], rtol=1e-14)
    for layer, name in ((hidden, "hidden_0"), (output, "output")):
        np.testing.assert_array_equal(layer.b, PARAMS[name]["bias"])
        np.testing.assert_array_equal(layer.z, layer.wx + layer.b)


def test_claims_see_a_wrong_net():
    """An output off by more than rounding, outputs that do not add up, another class."""
    hidden, output = forward.by_hand(PARAMS, IMAGE)
    right = {"hidden_0/z": hidden.z, "hidden_0/a": hidden.a, "output/z": output.z, "output/a": output.a}
    verdicts = lambda named: [c.is_reproduced for c in forward.claims_of(hidden, output, named)]  # noqa: E731
    assert verdicts(right) == [True, True, True]
    assert verdicts(right | {"hidden_0/z": hidden.z * (1 + 2e-5)}) == [False, True, True]
    assert verdicts(right | {"output/a": output.a * (1 + 2e-6)}) == [True, False, True]
    assert verdicts(right | {"output/a": np.roll(output.a, 1)}) == [False, True, False]


def test_saturated_units_and_answers_are_marked():
    """A star from |z| = ln 19 on, and the predicted and the true class."""
    z = np.array([-2.95, -2.94, 0.0, 2.94, 2.95])
    lines = forward.hidden_lines(forward.Layer(z, 0 * z, z, forward.sigmoid(z)))
    # Two rows, down the columns: units 0, 2 and 4, then 1 and 3.
    assert [line.count("*") for line in lines[1:]] == [2, 0]
    layer = forward.Layer(z, 0 * z, z, forward.softmax(z))
    marked = [line for line in forward.output_lines(layer, true=1) if line.endswith(("predicted", "true"))]
    assert [line.split()[0] for line in marked] == ["1", "4"]
    assert forward.output_lines(layer, true=4)[-2].endswith("predicted, true")


def test_wrong_digit_is_refused_in_one_line(monkeypatch, capsys, tmp_path):
    """Before anything is made."""
    monkeypatch.chdir(tmp_path)
    run = partial(run_here, "experiments.lecture.forward", monkeypatch)
    assert "[0, 9999]" in refused(run, capsys, "--digit=10000", "--workdir=work")


def test_digit_that_a_data_set_lacks_is_refused(tmp_path, capsys):
    """In one line that says which there are."""
    sizes = {"tiny": forward.STUDY.sizes["tiny"]._replace(digit=9_999)}
    with pytest.raises(SystemExit) as caught:
        command.run(forward.STUDY._replace(sizes=sizes), "tiny", tmp_path)
    err = capsys.readouterr().err
    assert caught.value.code == 2 and err.count("\n") == 1 and "9999; accepted: from 0 to" in err
