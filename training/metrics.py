"""What is reported of the cost: means over a batch and over many, and counts by class.

B batch, C classes, S batches.
"""

import jax
import jax.numpy as jnp

import nets


def batch_metrics(cost: nets.costs.Cost, logits_BxC, labels_B, weights_B) -> dict[str, jax.Array]:
    """Means over the batch of the cost and of correct answers, padding left out, and the number of examples."""
    targets_BxC = jax.nn.one_hot(labels_B, logits_BxC.shape[-1], dtype=logits_BxC.dtype)
    examples = jnp.sum(weights_B)
    loss = jnp.sum(cost.per_example(logits_BxC, targets_BxC) * weights_B) / examples
    accuracy = jnp.sum(nets.costs.correct(logits_BxC, labels_B) * weights_B) / examples
    return {"loss": loss, "accuracy": accuracy, "examples": examples}


def weighted_means(metrics_S: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The means over S batches, each weighted by its number of examples."""
    share_S = metrics_S["examples"] / jnp.sum(metrics_S["examples"])
    return {name: jnp.sum(metrics_S[name] * share_S) for name in ("loss", "accuracy")}
