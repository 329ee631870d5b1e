"""Small dense networks as pure functions of arrays: no files, no flags, no global state.

    import jax, nets

    net = nets.MLP(hidden=(64, 64), classes=10, activation="tanh", output="softmax")
    variables = net.init(jax.random.key(0), images_BxD)
    logits_BxC, named = net.apply(variables, images_BxD)
    cost = nets.costs.get("cross_entropy", "softmax")
    cost.per_example(logits_BxC, jax.nn.one_hot(labels_B, 10)).mean()
    named["hidden_0/a"]                       # outputs of the first hidden layer, [B, 64]
    nets.activations.get("tanh").asymptotes   # (-1.0, 1.0)

`activations` has the neurons' functions with their ranges and asymptotes, `costs` the per-example costs, `mlp` the
network and its initializers, `perceptron` Rosenblatt's unit and learning rule.
"""

from nets import activations, costs, mlp, perceptron
from nets.mlp import MLP

__all__ = ["MLP", "activations", "costs", "mlp", "perceptron"]
