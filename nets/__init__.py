"""Small dense networks as pure functions of arrays: no files, no flags, no global state.

    import jax, jax.numpy as jnp, nets, optax

    net = nets.MLP(hidden=(64, 64), classes=10, activation="tanh", output="softmax")
    variables = net.init(jax.random.key(0), images_BxD)
    logits_BxC, named = net.apply(variables, images_BxD)
    cost = nets.costs.get("cross_entropy", "softmax")
    cost.per_example(logits_BxC, jax.nn.one_hot(labels_B, 10)).mean()
    named["hidden_0/a"]                       # outputs of the first hidden layer, [B, 64]
    nets.activations.get("tanh").asymptotes   # (-1.0, 1.0)

Any model can be measured, in Flax, Equinox, Haiku or plain JAX; here one that has never heard of `nets`:

    def forward(params, x_BxD):
        a_BxH = jnp.tanh(x_BxD @ params["first"]["w"] + params["first"]["bias"])
        return a_BxH @ params["second"]["w"] + params["second"]["bias"]

    def cost(params, batch):                  # one cost an example, [B]
        return optax.softmax_cross_entropy_with_integer_labels(forward(params, batch[0]), batch[1])

    watched = nets.watch(forward)
    print(watched.layers(params, x_NxD))      # first tanh, second none, with their shapes and places in the source
    z_NxH, a_NxH = watched.outputs(params, x_NxD)["first"]
    measured = watched.measure(cost, params, (x_NxD, labels_N))
    print(measured["saturation/first"], measured["speed/first"])
    print(nets.curvature.top_eigenvalues(cost, params, (x_NxD, labels_N), jax.random.key(0), k=1).values_K)

`watch` (`watching`) finds and measures the layers of any model, with the groups of measures of `measures`; `every`
takes them now and then within a jitted loop. `activations` has the neurons' functions with their ranges and asymptotes,
`costs` the per-example costs, `mlp` the network and its initializers, `perceptron` Rosenblatt's unit and learning rule;
`saturation`, `speed`, `curvature`, `sharpness`, `noise` and `cockpit` are the instruments: how far neurons are
saturated, how fast each layer learns, how the cost is curved, how far it rises nearby, how noisy its gradient is, and
whether a step was too short or too long. `chunks` has the mean of a cost over a data set and its derivatives. `escape`
sends walkers of SGD out of a minimum, certifies minima and has the action of the way out (`actions`); `draws` has what
a batch may draw; `landscape` has the plane of a path, the cost on lines and planes, barriers and the widths of basins.
`theory` has what is known exactly, and its modules are attributes of `nets` as well: `exit_time`, `step_chain` (SGD as
a chain on a grid), `residual_passage` (exit under costs whose gradient is bounded), `wells` (neurons with two minima),
`born_dead`, `absorbed_relu` (a unit's death in training), `saddle` (the time to leave one, and what small batches add
to the cost there), `relu_cells` (minima at the kinks of a ReLU net), `slope_bounds` (what slopes leave of a layer's
curvature) and `student_teacher` (a net whose cost over all Gaussian inputs is known).
"""

from nets import (
    actions,
    activations,
    chunks,
    cockpit,
    costs,
    curvature,
    draws,
    escape,
    landscape,
    measures,
    mlp,
    noise,
    perceptron,
    saturation,
    sharpness,
    speed,
    theory,
    watching,
)
from nets.mlp import MLP
from nets.theory import (
    absorbed_relu,
    born_dead,
    exit_time,
    relu_cells,
    residual_passage,
    saddle,
    slope_bounds,
    step_chain,
    student_teacher,
    wells,
)
from nets.watching import Watched, every, watch

__all__ = [
    "MLP",
    "Watched",
    "absorbed_relu",
    "actions",
    "activations",
    "born_dead",
    "chunks",
    "cockpit",
    "costs",
    "curvature",
    "draws",
    "escape",
    "every",
    "exit_time",
    "landscape",
    "measures",
    "mlp",
    "noise",
    "perceptron",
    "relu_cells",
    "residual_passage",
    "saddle",
    "saturation",
    "sharpness",
    "slope_bounds",
    "speed",
    "step_chain",
    "student_teacher",
    "theory",
    "watch",
    "watching",
    "wells",
]
