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
from typing import NamedTuple

import jax

from nets.measures import Probed, of_cockpit, of_curvature, of_noise, of_saturation, of_speed
from training import metrics
from training.metrics import Measure


class Group(NamedTuple):
    """Measures that are taken together: the function that takes them, what is said of each, by the name that its
    metrics begin with, and the figures that a run draws of them."""

    measure: Callable[[Probed], dict[str, jax.Array]]
    measures: dict[str, Measure]
    figures: tuple[str, ...] = ()


PROBES = {
    "saturation": Group(
        of_saturation,
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
        of_speed,
        {
            "speed": Measure("|mean dC/db|", 0.0, log=True),
            "gradient_norm": Measure("|dC/dw|", 0.0, log=True),
            "update_ratio": Measure("|update| / |weights|", 0.0, log=True),
            "displacement": Measure("|change of the parameters|", 0.0, log=True),
        },
        figures=("learning_speed.png", "update_ratios.png"),
    ),
    "curvature": Group(
        of_curvature,
        {
            "curvature/top_eigenvalue": Measure(),
            "curvature/top_residual": Measure(),
            "curvature/trace": Measure(),
            "curvature/trace_error": Measure(),
        },
    ),
    "noise": Group(
        of_noise,
        {
            "noise/scale": Measure("examples"),
            "noise/covariance_trace": Measure(),
            "noise/gradient_squared": Measure(),
        },
    ),
    "cockpit": Group(
        of_cockpit,
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
