"""The studies of exit times: their steps, their command of one point, what they fit."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from experiments.escape import escape_time, power_law_escape
from nets import exit_time
from training.command_line import CONFIGS

KEY = jax.random.key(0)


def test_sgd_on_signs_is_the_autoregression():
    """With x = +-1 the gradient of the cost is u - mean(x y), so that a step is (1 - eta) u + eta N(0, 1 / B)."""
    x_B, y_B = jnp.array([1.0, -1.0, -1.0]), jnp.array([0.3, 2.0, -0.4])
    assert float(jax.grad(escape_time.cost)(0.7, x_B, y_B)) == pytest.approx(0.7 - (0.3 - 2.0 + 0.4) / 3, rel=1e-6)
    walkers, noise = 20_000, 0.2 / 4**0.5
    for step, numbers in ((escape_time.sgd_step(4), 0.2), (escape_time.autoregressive_step, [0.2, noise])):
        after_W = np.asarray(jax.jit(step)(jnp.full(walkers, 0.5), jnp.array(numbers), KEY))
        assert after_W.mean() == pytest.approx(0.8 * 0.5, abs=4 * noise / walkers**0.5)
        assert after_W.std() == pytest.approx(noise, rel=4 / (2 * walkers) ** 0.5)


def test_exponent_of_a_density_that_is_a_power():
    """phi is found back."""
    edges = power_law_escape.bin_edges(0.1)
    assert power_law_escape.phi(0.1, (edges[1:] * edges[:-1]) ** (-7.5 / 2)) == pytest.approx(7.5)


def test_counted_places_are_those_of_the_stationary_density(monkeypatch):
    """The share of walkers in the range of the fit, against the exact chain."""
    monkeypatch.setattr(power_law_escape, "CROWD", 2_000)
    edges = power_law_escape.bin_edges(0.1)
    assert power_law_escape.counts(jnp.float32(0.1), jnp.float32(edges), KEY, 40).shape == (40, len(edges) - 1)
    density_GxK = power_law_escape.density(0.1, 40, 0)
    u_N, exact_N = exit_time.stationary_density_of_gaussians(0.1, 1, 2.0)
    inside = (u_N**2 + 1 > edges[0]) & (u_N**2 + 1 < edges[-1])
    found = (density_GxK.mean(axis=0) * np.diff(np.sqrt(edges - 1))).sum()
    assert found == pytest.approx(exact_N[inside].sum() * 2.0 / len(u_N), rel=0.05)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1, 0.1, None), "--radius is missing; accepted: none or all of"),
        ((0, 0.1, 1.0), "batch_size is 0"),
        ((1, float("nan"), 1.0), "learning_rate is nan"),
        ((1, 0.1, 1.4), r"a walker leaves after .* steps on average; accepted: at most 1,000,000"),
    ],
)
def test_points_that_cannot_be_simulated(values, message):
    """The validator of the command's flags says what cannot; no point and a good one pass."""
    names = escape_time.POINT_FLAGS
    with pytest.raises(flags.ValidationError, match=message):
        escape_time.check_point(dict(zip(names, values, strict=True)))
    assert escape_time.check_point(dict.fromkeys(names))
    assert escape_time.check_point(dict(zip(names, (2, 0.1, 0.63), strict=True)))


def test_command_of_one_point(tmp_path):
    """A wrong point ends in one line and exit status 2, with nothing written."""
    command = [
        sys.executable,
        "-m",
        "experiments.escape.escape_time",
        "--batch_size=2",
        "--learning_rate=3",
        "--radius=0.63",
    ]
    command.append(f"--workdir={tmp_path / 'new'}")
    refused = subprocess.run(command, cwd=CONFIGS.parent, capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "learning_rate is 3.0" in refused.stderr
    assert not (tmp_path / "new").exists()


def test_line_of_one_point(monkeypatch):
    """Simulation, standard error, oracle and ratio; beyond EXAMPLES the batch's mean of x y is drawn."""
    monkeypatch.setattr(escape_time, "WALKERS", 3_000)
    lines = {}
    for most in (2_000, 1):
        monkeypatch.setattr(escape_time, "EXAMPLES", most)
        m = escape_time.measure(2, 0.4, 0.4**0.5, KEY)
        assert abs(m.simulated - m.exact) < 4 * m.error and m.error == pytest.approx(m.exact / 3_000**0.5, rel=0.2)
        lines[m.examples] = escape_time.line_of(m)
    assert "(examples drawn)" in lines[True] and "(mean of x y drawn)" in lines[False]
    assert f"{m.exact:,.2f}" in lines[False] and f"ratio {m.ratio:.4f}" in lines[False]
