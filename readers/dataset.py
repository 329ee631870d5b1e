"""What a data set is, and what can be trained on.

N examples, D = numbers of an example: the pixels of an image or the features of a row. T targets of a regression.
"""

import math
from typing import NamedTuple

import numpy as np

HOLD_OUT = "--config.validation=N holds N examples out of the training set instead"
# No data set has as many classes; what has is damaged, or its labels are no classes.
MOST_CLASSES = 1_000_000
# Whole numbers from 0 to 255 in as many columns as this, some beyond 127, are taken for the pixels of pictures.
FEWEST_PIXELS = 64
TARGETS = "; targets of a regression are floats"


class Dataset(NamedTuple):
    """images_NxD with labels_N to train on, and the same to validate on; the images' height, width and, where they
    have several, channels, or () where that is not known; the classes' names where they have some.

    Labels are int32 classes from 0, or float32 targets_NxT of a regression. A data set as it is read has its published
    test set to validate on, without examples where there is none; `input_pipeline.split` holds others out, and then
    the test set is a third part, to be measured beside them."""

    images: np.ndarray
    labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    shape: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    test_images: np.ndarray = np.empty((0, 0), np.float32)
    test_labels: np.ndarray = np.empty(0, np.int32)

    @property
    def has_test(self) -> bool:
        """Whether there is a test set besides what is validated on."""
        return len(self.test_labels) > 0

    @property
    def is_regression(self) -> bool:
        """Whether the labels are float targets."""
        return self.labels.dtype.kind == "f"


class DataError(ValueError):
    """A data set that is not there or not what its name says, in one line."""


class NoTestError(DataError):
    """A data set that has no test set, where one was asked for; the line ends with how to do without."""

    def __init__(self, said: str):
        super().__init__(f"{said}; {HOLD_OUT}")


def without_test(images: np.ndarray, labels: np.ndarray, shape: tuple[int, ...] = ()) -> Dataset:
    """A data set that has no test part."""
    return Dataset(images, labels, images[:0], labels[:0], shape)


def checked(dataset: Dataset, name: str, tested: bool = True) -> Dataset:
    """The data set as flat uint8 or float32 images, with int32 labels or float32 targets, as many of one as of the
    other, and with the shape of the images if they were not flat; DataError for what cannot be trained on."""
    shape = dataset.images.shape[1:] if dataset.images.ndim > 2 else dataset.shape
    dataset = dataset._replace(shape=_without_one_channel(shape))
    is_picture = bool(dataset.shape) or math.prod(dataset.images.shape[1:]) >= FEWEST_PIXELS
    images, labels = _checked_part(dataset.images, dataset.labels, f"{name}: ", "training", is_picture)
    checked = dataset._replace(images=images, labels=labels)
    if not (tested or len(dataset.validation_images)):
        return checked._replace(validation_images=images[:0], validation_labels=labels[:0])
    validation = _checked_part(
        dataset.validation_images, dataset.validation_labels, f"{name}: ", "validation", is_picture
    )
    sizes = [" x ".join(map(str, part.shape[1:])) for part in (dataset.images, dataset.validation_images)]
    if sizes[0] != sizes[1]:
        raise DataError(f"{name}: training images are {sizes[0]} pixels, validation images {sizes[1]}")
    if validation[1].dtype != labels.dtype or validation[1].shape[1:] != labels.shape[1:]:
        given = [f"{part.dtype} {list(part.shape)}" for part in (dataset.labels, dataset.validation_labels)]
        raise DataError(
            f"{name}: training labels are {given[0]}, validation labels {given[1]}; accepted: whole numbers in both, "
            f"or as many float targets in both"
        )
    return checked._replace(validation_images=validation[0], validation_labels=validation[1])


def _without_one_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height and width where there is one channel; () for what is no picture."""
    shape = shape[:2] if shape[2:] == (1,) else shape
    return shape if len(shape) in (2, 3) else ()


def _checked_part(
    images: np.ndarray, labels: np.ndarray, name: str, which: str, is_picture: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Flat images and int32 labels, or float32 targets, of one part of a data set."""
    is_float = labels.dtype.kind == "f"
    if images.ndim < 2 or labels.ndim not in ((1, 2) if is_float else (1,)):
        given = f"{which} images of shape {images.shape} with labels of shape {labels.shape}"
        raise DataError(f"{name}{given}; accepted: examples first, and one class each, as argmax(-1) makes of one-hot")
    if len(images) != len(labels):
        raise DataError(f"{name}{len(images)} {which} images but {len(labels)} labels")
    if not images.size:
        raise DataError(f"{name}no {which} images" + (", but empty ones" if len(images) else ""))
    if images.dtype != np.uint8:
        images = _checked_numbers(images, f"{name}{which} images", is_picture)
    labels = _checked_targets(labels, f"{name}{which}") if is_float else _checked_classes(labels, name, which)
    return np.ascontiguousarray(images).reshape(len(images), -1), labels


def _checked_classes(labels: np.ndarray, name: str, which: str) -> np.ndarray:
    """int32 classes from 0."""
    if labels.dtype.kind not in "iub":
        raise DataError(f"{name}{which} labels are {labels.dtype}; accepted: whole numbers from 0{TARGETS}")
    for label in (labels.min(), labels.max()):
        if not 0 <= label < MOST_CLASSES:
            accepted = f"whole numbers from 0 to {MOST_CLASSES - 1:,}{TARGETS}"
            raise DataError(f"{name}a {which} label is {label}; accepted: {accepted}")
    return labels.astype(np.int32)


def _checked_targets(targets: np.ndarray, name: str) -> np.ndarray:
    """float32 targets [N, T]."""
    if not targets.size:
        raise DataError(f"{name} targets have the shape {targets.shape}; accepted: one number an example or more")
    return _finite(targets, f"{name} targets").reshape(len(targets), -1)


def _checked_numbers(images: np.ndarray, name: str, is_picture: bool) -> np.ndarray:
    """float32 images that a network can be trained on as they are."""
    if images.dtype.kind not in "fiu":
        raise DataError(f"{name} are {images.dtype}; accepted: uint8, other whole numbers, or floats")
    checked = _finite(images, name)
    low, high = float(images.min()), float(images.max())
    # Bytes in the clothes of floats would saturate every unit: floats are not scaled.
    suspected = is_picture and images.dtype.kind == "f" and low >= 0 and 128 <= high <= 255
    if suspected and np.array_equal(images, np.floor(images)):
        given = f"{name} are {images.dtype}, whole numbers from {low:g} to {high:g}"
        raise DataError(f"{given}, and floats are not scaled; accepted: uint8, or floats of about 0 to 1")
    return checked


def _finite(numbers: np.ndarray, name: str) -> np.ndarray:
    """The numbers as float32; DataError where one of them is not finite in it."""
    low, high = float(numbers.min()), float(numbers.max())
    if not (math.isfinite(low) and math.isfinite(high) and max(-low, high) <= float(np.finfo(np.float32).max)):
        raise DataError(f"{name} are {numbers.dtype} from {low:g} to {high:g}; accepted: finite numbers")
    return numbers.astype(np.float32, copy=False)
