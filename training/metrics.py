"""What is reported of the cost: means over a batch and over many, and counts by class.

B batch, C classes, S batches.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nets import costs


class Measure(NamedTuple):
    """What is said of a measure wherever it is shown: its unit, between what it can lie, whether its axis is
    logarithmic."""

    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    log: bool = False


# Of the cost, on the training set as it is descended and on the validation set.
MEASURES = {
    **dict.fromkeys(("loss", "val_loss"), Measure("cost", 0.0)),
    **dict.fromkeys(("accuracy", "val_accuracy"), Measure("fraction correct", 0.0, 1.0)),
}


def batch_metrics(
    cost: costs.Cost, logits_BxC: jax.Array, labels_B: jax.Array, weights_B: jax.Array
) -> dict[str, jax.Array]:
    """Means over the batch of the cost and of correct answers, padding left out, and the number of examples."""
    targets_BxC = jax.nn.one_hot(labels_B, logits_BxC.shape[-1], dtype=logits_BxC.dtype)
    examples = jnp.sum(weights_B)
    loss = jnp.sum(cost.per_example(logits_BxC, targets_BxC) * weights_B) / examples
    accuracy = jnp.sum(costs.correct(logits_BxC, labels_B) * weights_B) / examples
    return {"loss": loss, "accuracy": accuracy, "examples": examples}


def weighted_means(metrics_S: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The means over S batches, each weighted by its number of examples."""
    share_S = metrics_S["examples"] / jnp.sum(metrics_S["examples"])
    return {name: jnp.sum(metrics_S[name] * share_S) for name in ("loss", "accuracy")}
