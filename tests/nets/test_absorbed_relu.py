"""The chain of one ReLU against drawn units and against counts by hand."""

import math

import numpy as np
import pytest

import nets
from nets import absorbed_relu


def drawn(rate: float, outgoing: float, steps: int, count: int) -> float:
    """The share of drawn units that are dead after so many steps, each written out."""
    random = np.random.default_rng(0)
    w, b, dead = random.normal(0, math.sqrt(2), count), np.zeros(count), np.zeros(count, bool)
    for _ in range(steps):
        x = random.normal(size=count)
        a = np.maximum(w * x + b, 0)
        slope = np.where((a > 0) & ~dead, (outgoing * a - abs(x)) * outgoing, 0)
        w, b = w - rate * slope * x, b - rate * slope
        dead |= b < -3.0902 * abs(w)  # Phi(-3.0902) = .001
    return float(dead.mean())


@pytest.mark.parametrize(("rate", "outgoing", "steps"), [(0.4, -1.0, 20), (0.6, 1.0, 10)])
def test_chain_against_drawn_units(rate, outgoing, steps):
    """Within four standard errors and what the grid adds; nobody is dead at birth, and the dead stay so."""
    dead_T = absorbed_relu.Chain(rate, outgoing, spacing=0.1).dead(steps)
    share = drawn(rate, outgoing, steps, 20_000)
    assert abs(dead_T[-1] - share) < 4 * (share / 20_000) ** 0.5 + 0.005
    assert dead_T[0] == 0 and np.all(np.diff(dead_T) >= -1e-12)


@pytest.mark.parametrize("outgoing", [1.0, -1.0])
def test_first_step(outgoing):
    """The quadrature against drawn units, and against the chain's first step."""
    exact = absorbed_relu.dead_at_first_step(1.1, outgoing)
    assert drawn(1.1, outgoing, 1, 200_000) == pytest.approx(exact, abs=0.004)
    assert absorbed_relu.Chain(1.1, outgoing, spacing=0.1).dead(1)[1] == pytest.approx(exact, abs=0.01)
    assert absorbed_relu.dead_at_first_step(1e-6, outgoing) == pytest.approx(0, abs=1e-3)


def test_dead_nets_by_drawing():
    """Last layers whose units live by a coin each, and die by another."""
    random = np.random.default_rng(1)
    lives_NxH = random.random((200_000, 3)) < 0.5
    lives_NxH = lives_NxH[lives_NxH.any(axis=1)]
    dead = np.all(~lives_NxH | (random.random(lives_NxH.shape) < 0.4), axis=1).mean()
    assert nets.absorbed_relu.dead_nets(0.4, 3) == pytest.approx(dead, abs=0.005)
    assert nets.absorbed_relu.dead_nets(1.0, 5) == 1 and nets.absorbed_relu.dead_nets(0.0, 5) == 0
    assert nets.absorbed_relu.dead_nets(0.5, 1) == 0.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: absorbed_relu.Chain(0.0, 1.0), "learning_rate is 0"),
        (lambda: absorbed_relu.Chain(0.1, 1.0, silence=0.6), "silence is 0.6"),
        (lambda: absorbed_relu.Chain(0.1, 1.0, spacing=2.0), "spacing is 2"),
        (lambda: absorbed_relu.dead_nets(1.2, 3), "share is 1.2"),
        (lambda: absorbed_relu.dead_nets(0.5, 0), "width is 0"),
    ],
)
def test_out_of_range(call, words):
    """One line says what is accepted."""
    with pytest.raises(ValueError, match=words):
        call()
