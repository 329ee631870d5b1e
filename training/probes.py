"""What a run measures of its network besides its cost: the groups that `config.probes` names.

P probe examples, D inputs, H units of a layer, C classes. A group is a pure function of a `Probed` and returns flat
metrics named `measure/layer`. Networks are measured as in evaluation: without dropout, with the running statistics of
batch normalization. The formulas are those of `nets.saturation`, `nets.speed`, `nets.curvature`, `nets.noise` and
`nets.cockpit`. A new measure is a line of its function and an entry of its group's measures, a new group an entry of
`PROBES`.

    saturation  saturation, phi (10 bins): hidden layers of activations that are bounded on both sides
                zero_fraction, dead_units: relu; dead_units as a share of the layer
                dormant_units (tau .1), as a share of the layer: all that are not bounded on both sides
                slope_mass, activation_mean, activation_std, activation_p98: all hidden layers
                wrong_side/output: sigmoid and softmax outputs more than .95 off their target
    speed       speed/LAYER       norm of the mean dC/db over the probe examples: Nielsen's |delta|
                gradient_norm     of all parameters of the layer
                update_ratio      of one step of the optimizer on the probe examples: |change of w| / |w|
                displacement      how far the layer's parameters went in the epoch
    curvature   curvature/top_eigenvalue of the Hessian of the cost over the probe examples, and how far off it may be,
                curvature/top_residual; curvature/trace and its standard error, curvature/trace_error
    noise       noise/scale       the gradient noise scale tr(Sigma)/|G|^2, in examples
                noise/covariance_trace, noise/gradient_squared: tr(Sigma) and |G|^2
    cockpit     cockpit/mean_gsnr, cockpit/early_stopping: the signal of the probe examples' gradient, above 0 of the
                second there is none; cockpit/norm_test, cockpit/inner_product_test, cockpit/orthogonality_test: the
                noise of their mean, around it, along it and across
                cockpit/alpha     of one step of the optimizer on the probe examples: 0 ends in the fit's minimum
                block_trace, block_eigenvalue: of the layer's block of the Hessian, with the trace's standard error,
                block_trace_error, and how far off the eigenvalue may be, block_eigenvalue_residual
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nets import activations, cockpit, curvature, noise, saturation, speed
from training import metrics
from training.metrics import Measure

DORMANT_TAU = 0.1
CURVATURE_STEPS, TRACE_SAMPLES = 20, 10
COCKPIT_KEY = 1


class Probed(NamedTuple):
    """A network at the end of an epoch with its probe examples."""

    activation: str
    named: dict[str, jax.Array]  # z and a of every layer, as nets.MLP gives them
    outputs_PxC: jax.Array | None  # outputs in (0, 1), None for identity outputs
    targets_PxC: jax.Array
    cost: Callable[[Any, Any], jax.Array]  # (params, (images_BxD, targets_BxC)) -> cost_B
    batch: tuple[jax.Array, jax.Array]  # images_PxD, targets_PxC
    params: Any
    params_before: Any  # at the start of the epoch
    params_after: Any  # one step of the optimizer on the probe examples later
    gradient: Any  # of the mean cost over the probe examples
    key: jax.Array


def hidden_layers(named: dict[str, jax.Array]) -> list[str]:
    """The names of the hidden layers, from the first one."""
    return [name.removesuffix("/a") for name in named if name.endswith("/a") and name != "output/a"]


def is_bounded(activation: activations.Activation) -> bool:
    """Whether the output approaches an asymptote at both ends."""
    return None not in activation.asymptotes


def probe_saturation(probed: Probed) -> dict[str, jax.Array]:
    """Where the neurons of each hidden layer sit on their activation function."""
    activation = activations.get(probed.activation)
    measured: dict[str, jax.Array] = {}
    for layer in hidden_layers(probed.named):
        z_PxH, a_PxH = probed.named[f"{layer}/z"], probed.named[f"{layer}/a"]
        if is_bounded(activation):
            measured[f"saturation/{layer}"] = saturation.saturated_fraction(a_PxH, activation)
            measured[f"phi/{layer}"] = saturation.phi(a_PxH, activation)
        else:
            measured[f"dormant_units/{layer}"] = jnp.mean(saturation.dormant_units(a_PxH, DORMANT_TAU))
        if probed.activation == "relu":
            measured[f"zero_fraction/{layer}"] = saturation.zero_fraction(a_PxH)
            measured[f"dead_units/{layer}"] = jnp.mean(saturation.dead_units(a_PxH))
        if probed.activation != "step":
            measured[f"slope_mass/{layer}"] = saturation.slope_mass(z_PxH, activation)
        statistics = saturation.statistics(a_PxH)
        measured[f"activation_mean/{layer}"] = statistics["mean"]
        measured[f"activation_std/{layer}"] = statistics["std"]
        measured[f"activation_p98/{layer}"] = statistics["percentile_98"]
    if probed.outputs_PxC is not None:
        measured["wrong_side/output"] = saturation.wrong_side_fraction(probed.outputs_PxC, probed.targets_PxC)
    return measured


def probe_speed(probed: Probed) -> dict[str, jax.Array]:
    """How fast each layer learns."""
    measures = {
        "speed": speed.bias_gradient_norms(probed.gradient),
        "gradient_norm": speed.gradient_norms(probed.gradient),
        "update_ratio": speed.update_ratios(probed.params, probed.params_after),
        "displacement": speed.displacements(probed.params_before, probed.params),
    }
    return {f"{measure}/{layer}": value for measure, layers in measures.items() for layer, value in layers.items()}


def probe_curvature(probed: Probed) -> dict[str, jax.Array]:
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


def probe_noise(probed: Probed) -> dict[str, jax.Array]:
    """The noise of single examples' gradients against their mean."""
    scale = noise.gradient_noise_scale(probed.cost, probed.params, probed.batch)
    return {
        "noise/scale": scale.noise_scale,
        "noise/covariance_trace": scale.covariance_trace,
        "noise/gradient_squared": scale.gradient_squared,
    }


def probe_cockpit(probed: Probed) -> dict[str, jax.Array]:
    """Cockpit's quantities: signal and noise of the gradient, the step on a local fit, and the curvature by layer."""
    arguments = probed.cost, probed.params, probed.batch
    # Not the keys that other groups split off.
    trace_key, lanczos_key = jax.random.split(jax.random.fold_in(probed.key, COCKPIT_KEY))
    signal = cockpit.gradient_signal(*arguments)
    traces = cockpit.block_traces(*arguments, trace_key, samples=TRACE_SAMPLES)
    eigenvalues = cockpit.block_eigenvalues(*arguments, lanczos_key, steps=CURVATURE_STEPS)
    return {
        "cockpit/mean_gsnr": signal.mean_gsnr,
        "cockpit/early_stopping": signal.early_stopping,
        "cockpit/norm_test": signal.norm_test,
        "cockpit/inner_product_test": signal.inner_product_test,
        "cockpit/orthogonality_test": signal.orthogonality_test,
        "cockpit/alpha": cockpit.alpha(probed.cost, probed.params, probed.params_after, probed.batch),
        **{f"block_trace/{layer}": block.trace for layer, block in traces.items()},
        **{f"block_trace_error/{layer}": block.error for layer, block in traces.items()},
        **{f"block_eigenvalue/{layer}": block.value for layer, block in eigenvalues.items()},
        **{f"block_eigenvalue_residual/{layer}": block.residual for layer, block in eigenvalues.items()},
    }


class Group(NamedTuple):
    """Measures that are taken together: the function that takes them, what is said of each, by the name that its
    metrics begin with, and the figures that a run draws of them."""

    measure: Callable[[Probed], dict[str, jax.Array]]
    measures: dict[str, Measure]
    figures: tuple[str, ...] = ()


PROBES = {
    "saturation": Group(
        probe_saturation,
        {
            "saturation": Measure("fraction of outputs near an asymptote", 0.0, 1.0),
            "phi": Measure("", 0.0, 1.0),
            "zero_fraction": Measure("fraction of outputs that are zero", 0.0, 1.0),
            "dead_units": Measure("fraction of units", 0.0, 1.0),
            "dormant_units": Measure("fraction of units", 0.0, 1.0),
            "slope_mass": Measure("mean |f'(z)| / largest", 0.0, 1.0),
            "activation_mean": Measure("output of a unit"),
            "activation_std": Measure("output of a unit", 0.0),
            "activation_p98": Measure("output of a unit"),
            "wrong_side": Measure("fraction of outputs", 0.0, 1.0),
        },
        figures=("activations.png", "saturation.png"),
    ),
    "speed": Group(
        probe_speed,
        {
            "speed": Measure("|mean dC/db|", 0.0, log=True),
            "gradient_norm": Measure("|dC/dw|", 0.0, log=True),
            "update_ratio": Measure("|update| / |weights|", 0.0, log=True),
            "displacement": Measure("|change of the parameters|", 0.0, log=True),
        },
        figures=("learning_speed.png", "update_ratios.png"),
    ),
    "curvature": Group(
        probe_curvature,
        {
            "curvature/top_eigenvalue": Measure(),
            "curvature/top_residual": Measure(),
            "curvature/trace": Measure(),
            "curvature/trace_error": Measure(),
        },
    ),
    "noise": Group(
        probe_noise,
        {
            "noise/scale": Measure("examples"),
            "noise/covariance_trace": Measure(),
            "noise/gradient_squared": Measure(),
        },
    ),
    "cockpit": Group(
        probe_cockpit,
        {
            "cockpit/mean_gsnr": Measure("signal / noise", 0.0, log=True),
            "cockpit/early_stopping": Measure("", high=1.0),
            "cockpit/norm_test": Measure("|gradient|", 0.0, log=True),
            "cockpit/inner_product_test": Measure("|gradient|", 0.0, log=True),
            "cockpit/orthogonality_test": Measure("|gradient|", 0.0, log=True),
            "cockpit/alpha": Measure("steps to the minimum, less 1"),
            "block_trace": Measure(),
            "block_trace_error": Measure("", 0.0),
            "block_eigenvalue": Measure(),
            "block_eigenvalue_residual": Measure("", 0.0),
        },
    ),
}


def measure_of(name: str) -> Measure | None:
    """What is said of a metric of a run, `measure` or `measure/layer`; None where nothing is."""
    for measures in (metrics.MEASURES, *(group.measures for group in PROBES.values())):
        if found := measures.get(name) or measures.get(name.partition("/")[0]):
            return found
    return None
