"""What there is in a data set, in words and as a picture of samples."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from readers.dataset import Dataset
from training.console import one_line
from training.pictures import draw_digits, save_figure

MOST_CLASSES_SHOWN = 40
# Of what has no test set, this share is advised to be held out.
HELD_OUT = 0.2


def file_name(name: str) -> str:
    """The name of a data set as part of a file's name, of a path its last part."""
    kind, _, rest = name.partition(":")
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(filter(None, (kind, Path(rest).name)))).strip("-")[:80] or "dataset"


def in_words(dataset: Dataset, name: str, more: Sequence[str] = ()) -> str:
    """Its parts, shapes, types, classes with their counts or targets, and the flags that train on it, `more` of them
    given."""
    parts = {"training": dataset.labels, "test": dataset.validation_labels}
    counts = ", ".join(f"{len(labels):,} {part}" for part, labels in parts.items() if len(labels))
    lines = [name, f"  examples: {counts}" + ("" if len(parts["test"]) else "; no test set")]
    lines.append(f"  inputs: {_inputs(dataset)}")
    lines += _targets(parts) if dataset.is_regression else _classes(parts, dataset.class_names)
    flags = [*_flags(dataset, name), *more]
    trained = " ".join(map(shlex.quote, flags)) if _has_enough(dataset) else "2 examples or more are needed"
    return "\n".join([*lines, f"  train on it: {trained}"])


def _has_enough(dataset: Dataset) -> bool:
    """Whether an example is left to train on where one is held out for want of a test set."""
    return len(dataset.labels) + len(dataset.validation_labels) > 1


def _inputs(dataset: Dataset) -> str:
    """How many numbers an example has, as which picture, of which type and size."""
    images = dataset.images
    shape = f" ({' x '.join(map(str, dataset.shape))})" if dataset.shape else ""
    scaled = "scaled by 1/255 in training" if images.dtype == np.uint8 else "taken as they are"
    return f"{images.shape[1]:,}{shape}, {images.dtype} from {images.min():g} to {images.max():g}, {scaled}"


def _classes(parts: dict[str, np.ndarray], names: tuple[str, ...]) -> list[str]:
    """The classes and how many examples each part has of each."""
    parts = {part: labels for part, labels in parts.items() if len(labels)}
    classes = max(int(labels.max()) for labels in parts.values()) + 1
    counts = [np.bincount(labels, minlength=classes) for labels in parts.values()]
    shown = min(classes, MOST_CLASSES_SHOWN)
    called = [one_line(name, 40) for name in names[:shown]] or [str(label) for label in range(shown)]
    width = max([5, *map(len, called)])
    head = f"  {'class':>{width}}" + "".join(f"  {part:>8}" for part in parts)
    lines = [f"  labels: {classes:,} classes", head]
    for label in range(shown):
        lines.append(f"  {called[label]:>{width}}" + "".join(f"  {count[label]:>8,}" for count in counts))
    lines += [f"  and {classes - shown:,} more"] * (classes > shown)
    # Prices and years are whole numbers as well.
    if classes > sum(map(len, parts.values())) and not names:
        lines.append("  more classes than examples: targets need --config.classes=1 --config.output=identity instead")
    return lines


def _targets(parts: dict[str, np.ndarray]) -> list[str]:
    """How the targets of a regression are spread."""
    lines = [f"  targets: {parts['training'].shape[1]:,} of a regression, float32"]
    for part, targets_NxT in parts.items():
        for i, targets in enumerate(targets_NxT.T[:MOST_CLASSES_SHOWN] if len(targets_NxT) else ()):
            spread = f"mean {targets.mean(dtype=float):.4g}, standard deviation {targets.std(dtype=float):.4g}"
            lines.append(f"  {part} target {i}: {spread}, from {targets.min():.4g} to {targets.max():.4g}")
    return lines


def _flags(dataset: Dataset, name: str) -> list[str]:
    """The flags with which a config trains on it."""
    width = (
        dataset.labels.shape[1]
        if dataset.is_regression
        else 1 + max(int(labels.max()) for labels in (dataset.labels, dataset.validation_labels) if len(labels))
    )
    fields = {"dataset": name, "inputs": dataset.images.shape[1], "classes": max(width, 2 - dataset.is_regression)}
    if dataset.is_regression:
        fields |= {"output": "identity", "cost": "quadratic"}
    examples = len(dataset.labels)
    if not len(dataset.validation_labels):
        fields["validation"] = max(1, int(HELD_OUT * examples))
        examples -= fields["validation"]
    # The default is 128, and a batch has no more examples than there are.
    if examples < 128:
        fields["batch_size"] = examples
    return [f"--config.{field}={value}" for field, value in fields.items()]


def write_samples(dataset: Dataset, path: Path) -> None:
    """Draws the first training examples with their labels."""
    figure = draw_digits(dataset.images, dataset.labels, shape=dataset.shape, names=dataset.class_names)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
