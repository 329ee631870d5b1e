"""Groups of measures of a network: flat metrics named `measure/layer`, from the values of its layers.

N examples times positions, H units of a layer. A group is a pure function of a `Probed`; the formulas are those of
`nets.saturation`, `nets.speed`, `nets.curvature` and `nets.noise`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nets import activations, cockpit, curvature, noise, saturation, speed
from nets.activations import Activation
from nets.chunks import Cost
from nets.trees import Tree, floats_of

DORMANT_TAU = 0.1
CURVATURE_STEPS, TRACE_SAMPLES = 20, 10
COCKPIT_KEY = 1


class LayerValues(NamedTuple):
    """What a layer gave: weighted inputs, outputs, and the gradient of the mean cost by each unit's weighted input."""

    name: str
    activation: str | None  # None where no activation follows the product.
    parameter: float | None  # What else the activation depends on: the slope of leaky_relu, the alpha of elu.
    z_NxH: jax.Array
    a_NxH: jax.Array
    delta_H: jax.Array


class Probed(NamedTuple):
    """A network with a batch, as groups take it."""

    layers: list[LayerValues]
    gradient: Tree  # of the mean cost, like params
    cost: Cost
    params: Tree
    batch: Tree
    params_before: Tree | None  # a while ago
    params_after: Tree | None  # one step of the optimizer later
    key: jax.Array
    outputs_BxC: jax.Array | None = None  # of the network, in (0, 1)
    targets_BxC: jax.Array | None = None


def layers_of(tree: Tree) -> dict[str, dict[str, jax.Array]]:
    """`speed.by_layer` of the floats in a tree, without the collection `params` of Flax in the names."""
    layers = speed.by_layer(floats_of(tree))
    return {name.removeprefix("params/"): leaves for name, leaves in layers.items()}


def activation_of(layer: LayerValues) -> Activation | None:
    """The layer's activation; None where there is none that works on each unit by itself."""
    name, given = layer.activation, layer.parameter
    if name is None or name == "softmax":
        return None
    if given is not None and math.isnan(given):  # A learned parameter.
        return None
    if name == "silu" and given is not None:
        return activations.scaled_silu(given)
    if name in ("elu", "celu") and given not in (None, 1.0):
        return activations.exponential(name, given)
    if name == "leaky_relu" and given not in (None, activations.LEAKY_SLOPE):
        return activations.leaky(given)
    return activations.get(name)


def is_bounded(activation: Activation) -> bool:
    """Whether the output approaches an asymptote at both ends."""
    return None not in activation.asymptotes


def of_saturation(probed: Probed) -> dict[str, jax.Array]:
    """Where the neurons of each layer with an activation sit on it."""
    found: dict[str, jax.Array] = {}
    for layer in probed.layers:
        if (activation := activation_of(layer)) is None:
            continue
        name, z_NxH, a_NxH = layer.name, layer.z_NxH, layer.a_NxH
        if is_bounded(activation):
            found[f"saturation/{name}"] = saturation.saturated_fraction(a_NxH, activation)
            found[f"phi/{name}"] = saturation.phi(a_NxH, activation)
        else:
            found[f"dormant_units/{name}"] = jnp.mean(saturation.dormant_units(a_NxH, DORMANT_TAU))
        if layer.activation == "relu":
            found[f"zero_fraction/{name}"] = saturation.zero_fraction(a_NxH)
            found[f"dead_units/{name}"] = jnp.mean(saturation.dead_units(a_NxH))
        if layer.activation != "step":
            found[f"slope_mass/{name}"] = saturation.slope_mass(z_NxH, activation)
        statistics = saturation.statistics(a_NxH)
        found[f"activation_mean/{name}"] = statistics["mean"]
        found[f"activation_std/{name}"] = statistics["std"]
        found[f"activation_p98/{name}"] = statistics["percentile_98"]
    if probed.outputs_BxC is not None and probed.targets_BxC is not None:
        found["wrong_side/output"] = saturation.wrong_side_fraction(probed.outputs_BxC, probed.targets_BxC)
    return found


def of_speed(probed: Probed) -> dict[str, jax.Array]:
    """How fast each layer learns."""
    # A bias that follows no product, as that of a normalization, is a layer of its own.
    now, gradient = layers_of(probed.params), layers_of(probed.gradient)
    speeds = {name: speed.norm([leaves[bias]]) for name, leaves, bias in speed.biases(gradient)}
    speeds |= {layer.name: speed.norm([layer.delta_H]) for layer in probed.layers}
    measures = {"speed": speeds, "gradient_norm": speed.gradient_norms(gradient)}
    if probed.params_after is not None:
        measures["update_ratio"] = speed.update_ratios(now, layers_of(probed.params_after))
    if probed.params_before is not None:
        measures["displacement"] = speed.displacements(layers_of(probed.params_before), now)
    return {f"{measure}/{layer}": value for measure, layers in measures.items() for layer, value in layers.items()}


def of_curvature(probed: Probed) -> dict[str, jax.Array]:
    """The Hessian of the cost: its largest eigenvalue and its trace."""
    lanczos_key, trace_key = jax.random.split(probed.key)
    arguments = probed.cost, probed.params, probed.batch
    top = curvature.top_eigenvalues(*arguments, lanczos_key, k=1, steps=CURVATURE_STEPS)
    trace, trace_error = curvature.hessian_trace(*arguments, trace_key, samples=TRACE_SAMPLES)
    return {
        "curvature/top_eigenvalue": top.values_K[0],
        "curvature/top_residual": top.residuals_K[0],
        "curvature/trace": trace,
        "curvature/trace_error": trace_error,
    }


def of_noise(probed: Probed) -> dict[str, jax.Array]:
    """The noise of single examples' gradients against their mean."""
    scale = noise.gradient_noise_scale(probed.cost, probed.params, probed.batch)
    return {
        "noise/scale": scale.noise_scale,
        "noise/covariance_trace": scale.covariance_trace,
        "noise/gradient_squared": scale.gradient_squared,
    }


def of_cockpit(probed: Probed) -> dict[str, jax.Array]:
    """Cockpit's quantities: signal and noise of the gradient, the step on a local fit, and the curvature by layer."""
    arguments = probed.cost, probed.params, probed.batch
    # Not the keys that other groups split off.
    trace_key, lanczos_key = jax.random.split(jax.random.fold_in(probed.key, COCKPIT_KEY))
    signal = cockpit.gradient_signal(*arguments)
    traces = cockpit.block_traces(*arguments, trace_key, samples=TRACE_SAMPLES)
    eigenvalues = cockpit.block_eigenvalues(*arguments, lanczos_key, steps=CURVATURE_STEPS)
    measures = {
        "cockpit/mean_gsnr": signal.mean_gsnr,
        "cockpit/early_stopping": signal.early_stopping,
        "cockpit/norm_test": signal.norm_test,
        "cockpit/inner_product_test": signal.inner_product_test,
        "cockpit/orthogonality_test": signal.orthogonality_test,
    }
    if probed.params_after is not None:
        measures["cockpit/alpha"] = cockpit.alpha(probed.cost, probed.params, probed.params_after, probed.batch)
    for layer, block in traces.items():
        name = layer.removeprefix("params/")
        measures |= {f"block_trace/{name}": block.trace, f"block_trace_error/{name}": block.error}
    for layer, block in eigenvalues.items():
        name = layer.removeprefix("params/")
        measures |= {f"block_eigenvalue/{name}": block.value, f"block_eigenvalue_residual/{name}": block.residual}
    return measures


GROUPS: dict[str, Callable[[Probed], dict[str, jax.Array]]] = {
    "saturation": of_saturation,
    "speed": of_speed,
    "curvature": of_curvature,
    "noise": of_noise,
    "cockpit": of_cockpit,
}
