"""The probes of a run: what they measure, against the measures taken by hand, and for every kind of network.

P probe examples, D inputs, H hidden units, C classes.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import input_pipeline
import nets
import train
from configs import shallow
from experiments.engine import statistics
from experiments.reporting import sweep_data
from training import models, probes, run_directory
from training.config import as_config
from training.metrics import MEASURES, Measure
from training.records import OUTCOMES
from training.screen import saturation_words

EXAMPLES = 50


@pytest.fixture(scope="module")
def data():
    return input_pipeline.load("synthetic")


def probed(config, data, epochs=1):
    """The state before and after some epochs, the last epoch's first parameters, and what the probe says."""
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    state = functions.init(numbers, jax.random.key(0))
    for epoch in range(epochs):
        before = state.params
        state, _ = functions.epoch(state, numbers, data, jax.random.key(epoch))
    metrics, activations = train.make_probe(config)(state, numbers, before, data, jax.random.key(9))
    return state, before, *jax.device_get((metrics, activations))


def small(config, **changes):
    config.update({"hidden": (6, 5), "batch_size": 64, "probe_examples": EXAMPLES, **changes})
    return config


class Tiny(NamedTuple):
    """A net on images of a few pixels after an epoch, what its probe says, and what is known of its cost."""

    probe: Any
    numbers: Any
    data: Any
    state: Any
    metrics: dict[str, Any]
    g_PxK: np.ndarray  # The gradient of each example's cost by the K parameters, in the order of the layers' names.
    hessian_KxK: np.ndarray  # Of the mean cost.


@pytest.fixture(scope="module")
def tiny(data):
    few = data._replace(images=data.images[:, 380:384])
    changes = {"inputs": 4, "hidden": (3,), "activation": "tanh", "cost": "cross_entropy", "learning_rate": 0.1}
    groups = ("saturation", "speed", "noise", "curvature", "cockpit")
    config = small(shallow.get_config(), dataset="synthetic", probes=groups, **changes)
    functions, numbers, probe = train.make_train(config), train.hyperparameters(config), train.make_probe(config)
    start = functions.init(numbers, jax.random.key(0))
    state, _ = functions.epoch(start, numbers, few, jax.random.key(0))
    metrics, _ = probe(state, numbers, start.params, few, jax.random.key(9))
    flat_K, unravel = jax.flatten_util.ravel_pytree(state.params)
    model, cost = models.make_mlp(config), nets.costs.get(config.cost, config.output)
    x_PxD, y_PxC = np.float32(few.images[:EXAMPLES]) / 255, np.eye(10, dtype=np.float32)[few.labels[:EXAMPLES]]

    def costs(flat_K):
        return cost.per_example(model.apply({"params": unravel(flat_K)}, x_PxD)[0], y_PxC)

    g_PxK = np.float64(jax.jit(jax.jacrev(costs))(flat_K))
    hessian_KxK = np.float64(jax.jit(jax.hessian(lambda flat_K: jnp.mean(costs(flat_K))))(flat_K))
    return Tiny(probe, numbers, few, state, jax.device_get(metrics), g_PxK, hessian_KxK)


def test_saturation_is_measured_on_the_first_images(synthetic_config, data):
    """Against numpy on the outputs of the trained network; only the first probe_examples images count."""
    config = small(synthetic_config, probes=("saturation",), kernel_init="nielsen_large")
    state, _, metrics, activations = probed(config, data)
    x_PxD = np.float32(data.images[:EXAMPLES]) / 255
    for i, inputs in ((0, x_PxD), (1, activations["hidden_0"])):
        dense = state.params[f"hidden_{i}"]
        z_PxH = np.float64(inputs) @ np.float64(dense["kernel"]) + np.float64(dense["bias"])
        a_PxH = 1 / (1 + np.exp(-z_PxH))
        np.testing.assert_allclose(activations[f"hidden_{i}"], a_PxH, atol=1e-5)
        layer = f"hidden_{i}"
        np.testing.assert_allclose(metrics[f"saturation/{layer}"], np.mean((a_PxH < 0.05) | (a_PxH > 0.95)), atol=0.004)
        np.testing.assert_allclose(metrics[f"phi/{layer}"], np.mean(abs(2 * a_PxH - 1)), rtol=1e-4)
        np.testing.assert_allclose(metrics[f"slope_mass/{layer}"], np.mean(4 * a_PxH * (1 - a_PxH)), rtol=1e-4)
        np.testing.assert_allclose(metrics[f"activation_mean/{layer}"], a_PxH.mean(), rtol=1e-4)
        np.testing.assert_allclose(metrics[f"activation_std/{layer}"], a_PxH.std(), rtol=1e-4)
        np.testing.assert_allclose(metrics[f"activation_p98/{layer}"], np.percentile(a_PxH, 98), rtol=1e-4)
    assert metrics["saturation/hidden_0"] > 0.1
    wrong = abs(activations["output"] - np.eye(10)[data.labels[:EXAMPLES]]) > 0.95
    np.testing.assert_allclose(metrics["wrong_side/output"], wrong.mean(), atol=1e-6)


def test_speed_is_that_of_the_step(synthetic_config, data):
    """update_ratio is that of a real step on the probe examples; displacement is the epoch's; speed is |mean dC/db|."""
    config = small(synthetic_config, probes=("speed",), learning_rate=0.5, l2=1e-3)
    state, before, metrics, _ = probed(config, data, epochs=2)
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    batch = data.images[:EXAMPLES], data.labels[:EXAMPLES], jnp.ones(EXAMPLES)
    stepped, _ = functions.step(state, numbers, batch)
    for layer in ("hidden_0", "hidden_1", "output"):
        w, moved = state.params[layer]["kernel"], stepped.params[layer]["kernel"] - state.params[layer]["kernel"]
        ratio = np.linalg.norm(moved) / np.linalg.norm(w)
        np.testing.assert_allclose(metrics[f"update_ratio/{layer}"], ratio, rtol=1e-2)
        # Biases have no L2, so that their step is the learning rate times their gradient.
        step_of_bias = np.linalg.norm(stepped.params[layer]["bias"] - state.params[layer]["bias"])
        np.testing.assert_allclose(metrics[f"speed/{layer}"], step_of_bias / 0.5, rtol=1e-3)
        gone = [state.params[layer][leaf] - before[layer][leaf] for leaf in ("kernel", "bias")]
        distance = np.sqrt(sum(np.sum(np.square(change)) for change in gone))
        np.testing.assert_allclose(metrics[f"displacement/{layer}"], distance, rtol=1e-4)


def test_curvature_is_that_of_the_exact_hessian(tiny):
    """The largest eigenvalue of the whole Hessian by numpy; the trace within its error."""
    eigenvalues = np.linalg.eigvalsh(tiny.hessian_KxK)
    np.testing.assert_allclose(tiny.metrics["curvature/top_eigenvalue"], eigenvalues[-1], rtol=1e-3)
    # The variance of Hutchinson's estimate is at most 2 |H|^2 / samples.
    error = np.sqrt(2 * np.sum(eigenvalues**2) / nets.measures.TRACE_SAMPLES)
    assert abs(tiny.metrics["curvature/trace"] - eigenvalues.sum()) < 4 * error


def test_noise_is_that_of_the_single_gradients(tiny):
    """The trace of the covariance of the single examples' gradients, by numpy from one gradient an example."""
    trace = tiny.g_PxK.var(axis=0, ddof=1).sum()
    squared = np.sum(tiny.g_PxK.mean(axis=0) ** 2) - trace / EXAMPLES
    np.testing.assert_allclose(tiny.metrics["noise/covariance_trace"], trace, rtol=1e-3)
    np.testing.assert_allclose(tiny.metrics["noise/gradient_squared"], squared, rtol=1e-2)
    np.testing.assert_allclose(tiny.metrics["noise/scale"], trace / squared, rtol=1e-2)


def test_cockpit_is_that_of_the_network_and_its_step(tiny):
    """All of a block's eigenvalues by numpy, the signal and a full-batch step's alpha."""
    metrics, hessian_KxK, g_PxK = tiny.metrics, tiny.hessian_KxK, tiny.g_PxK
    # The flat order is that of the layers' names.
    for layer, block in (("hidden_0", slice(0, 15)), ("output", slice(15, None))):
        eigenvalues = np.linalg.eigvalsh(hessian_KxK[block, block])
        np.testing.assert_allclose(metrics[f"block_eigenvalue/{layer}"], eigenvalues[-1], rtol=1e-3)
        assert metrics[f"block_eigenvalue_residual/{layer}"] < 1e-3 * eigenvalues[-1]
        error = np.sqrt(2 * np.sum(eigenvalues**2) / nets.measures.TRACE_SAMPLES)
        assert abs(metrics[f"block_trace/{layer}"] - eigenvalues.sum()) < 4 * error
        assert 0 < metrics[f"block_trace_error/{layer}"] < 3 * error
    g_K, variance_K = g_PxK.mean(axis=0), g_PxK.var(axis=0, ddof=1)
    np.testing.assert_allclose(
        metrics["cockpit/early_stopping"], 1 - EXAMPLES * np.mean(g_K**2 / variance_K), rtol=1e-3
    )
    np.testing.assert_allclose(metrics["cockpit/mean_gsnr"], np.mean(g_K**2 / g_PxK.var(axis=0)), rtol=1e-3)
    norm = np.sqrt(variance_K.sum() / EXAMPLES) / np.linalg.norm(g_K)
    np.testing.assert_allclose(metrics["cockpit/norm_test"], norm, rtol=1e-3)
    inner = np.sqrt((g_PxK @ g_K).var(ddof=1) / EXAMPLES) / (g_K @ g_K)
    np.testing.assert_allclose(metrics["cockpit/inner_product_test"], inner, rtol=1e-3)
    np.testing.assert_allclose(metrics["cockpit/orthogonality_test"], np.sqrt(norm**2 - inner**2), rtol=1e-3)
    # A step of gradient descent on a cost that is nearly a parabola on its way has alpha = rate g.Hg / g.g - 1.
    np.testing.assert_allclose(metrics["cockpit/alpha"] + 1, 0.1 * (g_K @ hessian_KxK @ g_K) / (g_K @ g_K), rtol=0.02)


@pytest.mark.parametrize("activation", nets.activations.ACTIVATIONS)
def test_every_activation_is_measured(activation, synthetic_config, data):
    """Saturation where there are two asymptotes, dormant units elsewhere, zeros of relu, slopes where they end."""
    config = small(synthetic_config, activation=activation, probes=("saturation",))
    functions, numbers, key = train.make_train(config), train.hyperparameters(config), jax.random.key(0)
    state = jax.eval_shape(functions.init, numbers, key)
    metrics, _ = jax.eval_shape(train.make_probe(config), state, numbers, state.params, data, key)
    bounded = activation in ("sigmoid", "tanh", "softsign", "step", "relu6", "hard_tanh", "hard_sigmoid")
    found = {name.removesuffix("/hidden_1") for name in metrics if name.endswith("/hidden_1")}
    expected = {"saturation", "phi"} if bounded else {"dormant_units"}
    expected |= {"zero_fraction", "dead_units"} if activation == "relu" else set()
    expected |= {"activation_mean", "activation_std", "activation_p98"}
    assert found == expected | (set() if activation == "step" else {"slope_mass"})


@pytest.mark.parametrize("group", probes.PROBES)
def test_all_that_a_group_measures_is_in_its_table(group, synthetic_config, data):
    """By the whole name or by what stands before the layer, whatever the activation; nothing else is in the table."""
    found = set()
    for activation in ("sigmoid", "relu") if group == "saturation" else ("sigmoid",):
        config = small(synthetic_config, activation=activation, probes=(group,))
        functions, numbers, key = train.make_train(config), train.hyperparameters(config), jax.random.key(0)
        state = jax.eval_shape(functions.init, numbers, key)
        metrics, _ = jax.eval_shape(train.make_probe(config), state, numbers, state.params, data, key)
        found |= set(metrics)
    table = probes.PROBES[group].measures
    names = {name if name in table else name.partition("/")[0] for name in found}
    assert names == set(table)


def test_what_is_said_of_a_measure():
    """Of a metric by its whole name or by its measure; of the cost; nothing of what is not measured."""
    assert probes.measure_of("noise/scale") == Measure("examples")
    assert probes.measure_of("speed/hidden_10") == Measure("|mean dC/db|", 0.0, math.inf, log=True)
    assert probes.measure_of("val_accuracy") == Measure("fraction correct", 0.0, 1.0)
    assert probes.measure_of("learning_rate") is None
    assert probes.measure_of("test_accuracy") == probes.measure_of("val_accuracy")
    assert set(MEASURES) == set(OUTCOMES)


def test_a_new_group_is_an_entry_of_the_table(monkeypatch, synthetic_config, data):
    """A config accepts it, a run takes it, statistics and the report read its bounds and its unit."""

    def largest(probed):
        return {"largest/output": jnp.max(probed.params["output"]["kernel"])}

    monkeypatch.setitem(probes.PROBES, "size", probes.Group(largest, {"largest": Measure("weight", -2.0, 3.0)}))
    state, _, metrics, _ = probed(small(synthetic_config, probes=("size",)), data)
    assert metrics.keys() == {"largest/output"}
    assert metrics["largest/output"] == state.params["output"]["kernel"].max()
    assert statistics.bounds_of("largest/output") == (-2.0, 3.0)
    assert sweep_data.unit_of("largest/output") == "weight"
    assert [sweep_data.unit_of(name) for name in ("batch_size", "activation", "diverged")] == ["examples", "", ""]
    rows = [{"epoch": 1, "loss": 1.0, "largest/output": 0.5}]
    assert len(run_directory.figure_names(as_config(synthetic_config), rows)) == 4


def test_batch_norm_and_dropout_are_measured_as_in_evaluation(synthetic_config, data):
    """Two calls agree, since nothing is dropped; batch normalization is a layer that learns."""
    config = small(
        synthetic_config, activation="relu", batch_norm=True, dropout=0.2, optimizer="adam", cost="cross_entropy"
    )
    state, before, metrics, activations = probed(config, data)
    probe, numbers = train.make_probe(config), train.hyperparameters(config)
    again, _ = probe(state, numbers, before, data, jax.random.key(9))
    assert {name: float(value) for name, value in again.items()} == {n: float(v) for n, v in metrics.items()}
    assert all(np.isfinite(value) for value in metrics.values())
    assert "speed/batch_norm_0" in metrics
    assert np.float32(np.mean(activations["hidden_0"] == 0)) == metrics["zero_fraction/hidden_0"]


def test_probe_works_under_vmap(tiny):
    """Lanes of a sweep are measured as they are alone."""
    states = jax.tree.map(lambda leaf: np.stack([np.roll(leaf, 1), leaf]), tiny.state)
    lanes = jax.jit(jax.vmap(tiny.probe, in_axes=(0, None, 0, None, None)))
    metrics_L, _ = lanes(states, tiny.numbers, states.params, tiny.data, jax.random.key(9))
    alone, _ = tiny.probe(tiny.state, tiny.numbers, tiny.state.params, tiny.data, jax.random.key(9))
    for name, value in alone.items():
        np.testing.assert_allclose(metrics_L[name][1], value, rtol=1e-4, atol=1e-7, err_msg=name)


def test_groups_as_the_command_line_gives_them(synthetic_config):
    """--config.probes=speed,noise arrives as one string in a tuple; doubles count once."""
    synthetic_config.probes = ("speed,noise", "speed")
    assert as_config(synthetic_config).probes == ("speed", "noise")
    synthetic_config.probes = ("",)
    assert as_config(synthetic_config).probes == ()


def test_epoch_line_shows_saturation(synthetic_config):
    """Each hidden layer's fraction in order, and the zeros of ReLUs under their own name."""
    row = {"saturation/hidden_0": 0.25, "saturation/hidden_1": 0.0011}
    assert saturation_words(row) == "  saturated: 0.250 0.001"
    assert saturation_words({"zero_fraction/hidden_0": 0.5}) == "  zero: 0.500"
    assert saturation_words({"speed/hidden_0": 0.5}) == ""
