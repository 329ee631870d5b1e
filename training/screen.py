"""What a run prints: the table of its layers, a line an epoch, how it ended."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import nets
from input_pipeline import Dataset
from training import models, schedules, stopping
from training.config import AnyConfig, Config, ConfigError, as_config
from training.console import count
from training.metrics import are_targets, confusion_matrix, mean_guess_cost
from training.records import METRICS, RATE, best_of, lacks


def as_number(value: Any) -> float:
    """A float32 scalar by way of str, since its own shortest digits read better than their float64 expansion."""
    return float(str(np.float32(value)))


def natural_order(name: str) -> list[str | int]:
    """A sorting key that puts hidden_2 before hidden_10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def epoch_line(row: dict[str, Any], epochs: int, steps: int) -> str:
    """`Epoch 7/200  469 steps  0.12s  loss: 0.0889  accuracy: 0.1682  val_loss: 0.0887  val_accuracy: 0.1933`. What the
    test set gives is recorded and said at the end: the line is long enough, and nobody is to choose by it."""
    metrics = "  ".join(f"{name}: {row[name]:.4f}" for name in METRICS if not lacks(row, name))
    rate = f"  rate: {row[RATE]:.3g}" if RATE in row else ""
    return (
        f"Epoch {row['epoch']}/{epochs}  {steps} steps  {row['seconds']:.2f}s  {metrics}{rate}{saturation_words(row)}"
    )


def saturation_words(row: Mapping[str, Any]) -> str:
    """`  saturated: 0.012 0.340`, the saturated fraction of each hidden layer, where it was probed; `zero` of ReLUs."""
    words = ""
    for label, measure in (("saturated", "saturation/"), ("zero", "zero_fraction/")):
        fractions = [f"{value:.3f}" for name, value in row.items() if name.startswith(measure)]
        words += f"  {label}: {' '.join(fractions)}" if fractions else ""
    return words


def diverged_line(row: dict[str, Any], config: Config) -> str:
    """What a run that has lost its cost says last."""
    return (
        f"the cost is {row['loss']} (validation {row['val_loss']}) at epoch {row['epoch']}; metrics up to there are "
        f"kept; try a smaller learning rate than {config.learning_rate:g}"
    )


def rate_line(config: Config) -> str:
    """How the rate goes, as `Learning rate: from 0 to 0.5 in 1.5 epochs; then cosine to 0.01 of it after epoch 20`."""
    rise = f"from 0 to {config.learning_rate:g} in {config.warmup:g} epochs" if config.warmup else ""
    drop = f"every {config.decay_every:g} epochs" if config.decay_every else "after each third of the run"
    words = {
        schedules.CONSTANT: "the same at every step",
        "step": f"times {config.decay_factor:g} {drop}",
    }
    falls = f"{config.schedule} to {config.end_share:g} of it after epoch {config.epochs}"
    course = words.get(config.schedule, falls)
    return f"Learning rate: {rise}; then {course}" if rise else f"Learning rate: {config.learning_rate:g}; {course}"


def validation_line(config: Config, dataset: Dataset) -> str:
    """What is validated on, and whether a test set is measured beside it."""
    count = f"{len(dataset.validation_labels):,}"
    if config.validation == "test":
        return f"Validation: the test set ({count} examples)"
    held_out = f"Validation: the last {count} training examples"
    beside = f"; the test set ({len(dataset.test_labels):,} examples) is measured beside it"
    return held_out + (beside if dataset.has_test else "")


def conclusion(rows: list[dict[str, Any]]) -> str:
    """The best and the final validation accuracy of a run, of a regression the cost; what the test set gives at the
    epoch that the validation has chosen."""
    last = rows[-1]
    best = best_of(rows) or last
    score = "val_loss" if lacks(last, "val_accuracy") else "val_accuracy"
    test = score.replace("val", "test")
    beside = f" ({test} {best[test]:.4f} there)" if best.get(test) is not None else ""
    final = f"final {score} {last[score]:.4f}"
    final += f", val_loss {last['val_loss']:.4f}" if score != "val_loss" else ""
    return f"Best {score} {best[score]:.4f} at epoch {best['epoch']}{beside}; {final} at epoch {last['epoch']}."


def ending(rows: list[dict[str, Any]], config: Config) -> str:
    """`conclusion`, and why the run has stopped before its last epoch, where it has."""
    why = {
        stopping.STOP_AT: config.stop_at,
        stopping.PATIENCE: f"{count(range(config.patience), 'epoch')} without a better one",
    }.get(stopping.reason(config, rows))
    early = f" Stopped after epoch {len(rows)} of {config.epochs}: {why}." if why and len(rows) < config.epochs else ""
    return conclusion(rows) + early


def uniform_guess_cost(config: AnyConfig) -> float:
    """The cost of giving every class the same share: the plateau that a run starts from."""
    config = as_config(config)
    share_1xC = np.full((1, config.classes), 1 / config.classes, np.float32)
    logits_1xC = {"softmax": np.zeros_like(share_1xC), "sigmoid": np.log(share_1xC / (1 - share_1xC))}
    targets_1xC = np.eye(1, config.classes, dtype=np.float32)
    cost = jax.jit(models.cost_of(config).per_example)  # One program, not one for each of its operations.
    return float(np.asarray(cost(logits_1xC.get(config.output, share_1xC), targets_1xC))[0])


def guess_cost(config: Config, dataset: Dataset) -> float:
    """The cost of knowing nothing of an example: of a uniform guess, for a regression of the mean training target."""
    if dataset.is_regression:
        return mean_guess_cost(models.cost_of(config), dataset.labels)
    return uniform_guess_cost(config)


class _Row(NamedTuple):
    """A line of the table of layers."""

    name: str
    shape: str
    parameters: int


def summary(config: Config, params: Any, batch_stats: Any) -> str:
    """The layers of the config's network as a table: output shape and number of parameters, which are those of the
    trees of arrays, or of their shapes; below it how the rate goes, where it is not the same at every step."""
    rows_of = _rows_of_own if config.has_own_model else _rows_of_mlp
    rows = rows_of(config, params, batch_stats)
    trainable = sum(leaf.size for leaf in jax.tree.leaves(params))
    total = trainable + sum(leaf.size for leaf in jax.tree.leaves(batch_stats))
    first = max(28, *(len(row.name) + 2 for row in rows))
    second = max(16, *(len(row.shape) + 2 for row in rows))
    lines = [f"{'Layer':<{first}}{'Output shape':<{second}}{'Parameters':>10}"]
    lines += [f"{row.name:<{first}}{row.shape:<{second}}{row.parameters:>10,}" for row in rows]
    note = "" if total == trainable else f"  ({trainable:,} trainable)"
    rule = "-" * len(lines[0])
    made = [f"Model: {models.make_model(config).made}"] if config.has_own_model else []
    rate = [rate_line(config)] if config.is_scheduled else []
    total_line = f"{'total':<{first + second}}{total:>10,}{note}"
    return "\n".join([*made, lines[0], rule, *lines[1:], rule, total_line, *rate])


def _rows_of_mlp(config: Config, params: Any, batch_stats: Any) -> list[_Row]:
    counts: dict[str, int] = {}
    for tree in (params, batch_stats):
        for layer, leaves in tree.items():
            counts[layer] = counts.get(layer, 0) + sum(leaf.size for leaf in jax.tree.leaves(leaves))
    rows: list[_Row] = []
    of_layers = nets.activations.of_layers(",".join(models.activations_of(config)), len(config.hidden))
    for i, units in enumerate(config.hidden):
        rows.append(_Row(f"hidden_{i} ({of_layers[i]})", f"(B, {units})", counts[f"hidden_{i}"]))
        if config.batch_norm:
            rows.append(_Row(f"batch_norm_{i}", f"(B, {units})", counts[f"batch_norm_{i}"]))
    if config.dropout:
        rows.append(_Row(f"dropout ({config.dropout:g})", f"(B, {config.hidden[-1]})", 0))
    return [*rows, _Row(f"output ({config.output})", f"(B, {config.classes})", counts["output"])]


def _rows_of_own(config: Config, params: Any, statistics: Any) -> list[_Row]:
    """The layers of a model of one's own, where they can be followed with their outputs; other parameters below."""
    counts: dict[str, int] = {}
    for tree in (params, statistics):
        for layer, leaves in nets.measures.layers_of(tree).items() if jax.tree.leaves(tree) else ():
            for leaf, array in leaves.items():
                # Arrays in no container are each a layer.
                name = leaf if layer == "." else layer.removeprefix("batch_stats/")
                counts[name] = counts.get(name, 0) + array.size
    try:
        layers = models.layers_of(config)
    except ConfigError:  # It is trained without being measured.
        layers = ()
    rows = [
        _Row(
            f"{layer.name} ({layer.activation})" if layer.activation else layer.name,
            f"(B, {', '.join(map(str, layer.shape[1:]))})",
            counts.pop(layer.name, 0),
        )
        for layer in layers
    ]
    return rows + [_Row(name, "", count) for name, count in counts.items()]


def evaluation_lines(labels: np.ndarray, outputs_VxC: np.ndarray, metrics: Mapping[str, Any], guess: float) -> str:
    """What `--evaluate_only` says of the validation set: cost and accuracy, and the latter by class; of a regression
    the cost beside that of guessing the mean of the training targets, which is `guess`."""
    loss = f"val_loss: {float(metrics['loss']):.4f}"
    if are_targets(labels):
        return f"{loss}  (the mean of the training targets as a guess: {guess:.4f})"
    lines = [f"{loss}  val_accuracy: {float(metrics['accuracy']):.4f}"]
    lines.append(f"{'class':>5}  {'examples':>8}  {'correct':>7}  {'accuracy':>8}")
    for label, row in enumerate(confusion_matrix(labels, outputs_VxC)):
        accuracy = f"{row[label] / row.sum():.4f}" if row.sum() else "none"
        lines.append(f"{label:>5}  {row.sum():>8,}  {row[label]:>7,}  {accuracy:>8}")
    return "\n".join(lines)


def tested_line(labels: np.ndarray, metrics: Mapping[str, Any]) -> str:
    """What `--evaluate_only` says of a test set beside the validation examples."""
    accuracy = "" if are_targets(labels) else f"  test_accuracy: {float(metrics['accuracy']):.4f}"
    return f"test_loss: {float(metrics['loss']):.4f}{accuracy}  on {len(labels):,} test examples"
