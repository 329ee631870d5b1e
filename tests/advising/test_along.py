"""The noise scale along descent, where it is known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import input_pipeline
import train
from experiments.advising import along, edges, measuring, steps
from experiments.advising.estimates import Estimate, ratio
from training.config import Config

LINEAR = Config(dataset="synthetic", inputs=3, classes=2, hidden=(), output="identity", batch_size=8)
EDGES = edges.Edges([Estimate(4.0, 3.0, 5.0)] * 2)


def found_at(state: train.TrainState, *eigenvalues: float) -> measuring.Measured:
    """A net with these largest eigenvalues at its points, all of one state."""
    points = [
        measuring.Point(epoch, math.nan, {"curvature/top_eigenvalue": np.full(5, value)}, state)
        for epoch, value in enumerate(eigenvalues)
    ]
    return measuring.Measured(points, (), {}, 0, False, 8)


@pytest.fixture(scope="module")
def parts():
    """Four hundred random examples of three numbers and two classes, cut up."""
    random = np.random.default_rng(0)
    images = np.float32(random.normal(size=(400, 3)) * (0.3, 0.6, 1.0))
    labels = np.int32(images @ [1.0, -1.0, 0.5] + random.normal(size=400) > 0)
    return measuring.cut(LINEAR, input_pipeline.Dataset(images, labels, images[:4], labels[:4]))


def curvatures(images: np.ndarray, labels: np.ndarray, weights_DxC: np.ndarray) -> tuple[float, float]:
    """G' H G and tr(H Sigma) of the squared error of a linear net, whose Hessian is the mean of x x^T for each of two
    outputs, exactly."""
    x_NxD = np.hstack([images, np.ones((len(images), 1))]).astype(float)
    hessian_DxD = x_NxD.T @ x_NxD / len(x_NxD)
    slopes_NxDxC = x_NxD[:, :, None] * (x_NxD @ weights_DxC - np.eye(2)[labels])[:, None]
    mean_DxC = slopes_NxDxC.mean(0)
    apart = slopes_NxDxC - mean_DxC
    noise = float(np.einsum("ndc,de,nec->", apart, hessian_DxD, apart)) / (len(x_NxD) - 1)
    return float(np.sum(mean_DxC * (hessian_DxD @ mean_DxC))) - noise / len(x_NxD), noise


def test_noise_scale_of_one_step(parts, monkeypatch):
    """That of a linear net's state, from its examples' gradients and its Hessian."""
    monkeypatch.setattr(steps, "STEPS", 1)
    monkeypatch.setattr(along, "SIGNS", 1_000)
    state = train.initial_state(LINEAR)
    params = jax.device_get(state.params)["output"]
    weights_DxC = np.vstack([params["kernel"], params["bias"]])
    of_sets = [curvatures(*parts.probe_set(number), weights_DxC) for number in range(measuring.SETS)]
    curved_K, noise_K = np.array(of_sets).T
    made = along.noise_along(LINEAR, parts, found_at(state, 1.0), EDGES)
    expected = ratio(noise_K, curved_K)
    assert made.scale.value == pytest.approx(expected.value, rel=0.1)
    assert made.scale.low == pytest.approx(expected.low, rel=0.2) and made.rate > 0


def test_noise_scale_grows_along_descent(parts):
    """The gradient goes and the noise stays, so that the scale of all steps is larger than that of the first."""
    state = train.initial_state(LINEAR)
    made = along.noise_along(LINEAR, parts, found_at(state, 1.0), EDGES)
    params = jax.device_get(state.params)["output"]
    first = curvatures(*parts.pooled(400), np.vstack([params["kernel"], params["bias"]]))
    assert made.scale.value > 1.5 * first[1] / first[0] and not made.at_edge


def test_what_says_nothing_of_noise(parts, monkeypatch):
    """A scale that is negative, as where the cost is curved downwards, and that of a state that left the numbers."""
    state = train.initial_state(LINEAR)
    broken = state._replace(params=jax.tree.map(lambda leaf: leaf * math.nan, state.params))
    assert math.isnan(along.noise_along(LINEAR, parts, found_at(broken, 1.0), EDGES).scale.value)
    monkeypatch.setattr(along, "noise_look", lambda _: lambda *_: (jnp.float32(2.0), jnp.float32(-1.0)))
    made = along.noise_along(LINEAR, parts, found_at(state, 1.0), EDGES)
    assert math.isnan(made.scale.value) and made.left_out < 1


def test_rates_along_which_it_is_measured():
    """The largest rate moves as 2 / lambda does; unknown of other optimizers, and where none comes back. Where running
    was cut short for its time, nothing more is run."""
    found = found_at(train.initial_state(LINEAR), 4.0, 8.0)
    assert along.largest_at_last(LINEAR, found, Estimate(8.0, 6.0, 10.0)) == pytest.approx(4.0)
    assert math.isnan(along.largest_at_last(LINEAR.replace(optimizer="adam"), found, Estimate(8.0, 6.0, 10.0)))
    assert math.isnan(along.largest_at_last(LINEAR, found, Estimate(1.0, 0.0, 1.0)))
    cut = along.noise_along(LINEAR, None, found, EDGES._replace(is_cut=True))  # pyright: ignore[reportArgumentType]
    assert not cut.steps and math.isnan(cut.scale.value)


def test_it_is_not_run_where_that_takes_too_long(parts):
    """Seen from the time of one set's first rates."""
    found = found_at(train.initial_state(LINEAR), 1.0)
    slow = along.noise_along(LINEAR, parts, found, EDGES, budget=1e-9)
    assert not slow.steps and math.isnan(slow.scale.value)
    assert along.noise_along(LINEAR, parts, found, EDGES, budget=1e9) == along.noise_along(LINEAR, parts, found, EDGES)
