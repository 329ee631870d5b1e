"""What is reported of the cost: means over a batch and over many, counts by class, the cost of a guess.

B batch, C classes or targets of a regression, S batches, V validation examples.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from nets import costs


class Measure(NamedTuple):
    """What is said of a measure wherever it is shown: its unit, between what it can lie, whether its axis is
    logarithmic."""

    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    log: bool = False


# Of the cost, on the training set as it is descended, on the validation set and on a test set beside it.
MEASURES = {
    **dict.fromkeys(("loss", "val_loss", "test_loss"), Measure("cost", 0.0)),
    **dict.fromkeys(("accuracy", "val_accuracy", "test_accuracy"), Measure("fraction correct", 0.0, 1.0)),
}


def are_targets(labels: jax.Array | np.ndarray) -> bool:
    """Whether labels are the float targets of a regression, [B, C], and not classes, [B]."""
    return bool(jnp.issubdtype(labels.dtype, jnp.floating))


def targets_of(labels: jax.Array, classes: int, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """What the outputs are held against, [B, C]: classes one-hot, targets of a regression as they are."""
    return labels if are_targets(labels) else jax.nn.one_hot(labels, classes, dtype=dtype)


def batch_metrics(
    cost: costs.Cost, logits_BxC: jax.Array, labels_B: jax.Array, weights_B: jax.Array
) -> dict[str, jax.Array]:
    """Means over the batch of the cost and of correct answers, padding left out, and the number of examples. Labels may
    be targets_BxC of a regression, where no answer is correct or wrong: its accuracy is NaN, recorded as null."""
    targets_BxC = targets_of(labels_B, logits_BxC.shape[-1], logits_BxC.dtype)
    examples = jnp.sum(weights_B)
    loss = jnp.sum(cost.per_example(logits_BxC, targets_BxC) * weights_B) / examples
    if are_targets(labels_B):
        accuracy = jnp.full_like(loss, jnp.nan)
    else:
        accuracy = jnp.sum(costs.correct(logits_BxC, labels_B) * weights_B) / examples
    return {"loss": loss, "accuracy": accuracy, "examples": examples}


def of_part(part: str, metrics: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """What was measured on a part of the data set, under the names by which it is recorded, as `val_loss`."""
    return {f"{part}_{name}": value for name, value in metrics.items()}


def confusion_matrix(labels_V: np.ndarray, outputs_VxC: np.ndarray) -> np.ndarray:
    """Examples by true label (row) and predicted label (column), [C, C]."""
    classes = outputs_VxC.shape[1]
    confusion_CxC = np.zeros((classes, classes), int)
    np.add.at(confusion_CxC, (labels_V, np.argmax(outputs_VxC, axis=1)), 1)
    return confusion_CxC


def mean_guess_cost(cost: costs.Cost, targets_NxC: np.ndarray) -> float:
    """The cost of answering each example of a regression with the mean of all targets."""
    guess_NxC = np.broadcast_to(targets_NxC.mean(axis=0, dtype=np.float64), targets_NxC.shape)
    return float(jnp.mean(cost.per_example(jnp.asarray(guess_NxC, jnp.float32), jnp.asarray(targets_NxC))))


def weighted_means(metrics_S: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The means over S batches, each weighted by its number of examples."""
    share_S = metrics_S["examples"] / jnp.sum(metrics_S["examples"])
    return {name: jnp.sum(metrics_S[name] * share_S) for name in ("loss", "accuracy")}
