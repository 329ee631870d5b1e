"""When a seed is broken: when it ends at chance.

A network that has learnt nothing of its inputs answers one class, or any, whatever it is shown, and is right at most as
often as the most frequent class is there. With V validation examples it is above the 99.9 % point of the binomial
distribution with that share once in a thousand times: a seed that ends no higher is broken. It may only have been
trained too little; what it is good for is nothing yet either way. A regression has no such level.
"""

import functools
import math

import numpy as np

import input_pipeline
from training import own

LEVEL = 0.999
# Where labels cannot be read, so many balanced ones are assumed: of ten classes that is an accuracy of .2.
ASSUMED_EXAMPLES = 100


def level_of(labels_V: np.ndarray) -> float:
    """The accuracy up to which a network on examples with these labels may have guessed."""
    _, counts = np.unique(labels_V, return_counts=True)
    return level(float(counts.max() / len(labels_V)), len(labels_V))


def level(share: float, examples: int) -> float:
    """The accuracy up to which one may have guessed so many examples of which the largest class is that share."""
    from scipy.special import bdtr, bdtrik  # `scipy.stats.binom.ppf`, whose import takes a second.

    count = math.ceil(bdtrik(LEVEL, examples, share))
    # The inverse is of a continuous function, and may be off by rounding where that meets a whole number.
    while count > 0 and bdtr(count - 1, examples, share) >= LEVEL:
        count -= 1
    return count / examples


@functools.cache
def level_in(dataset: str, validation: str, classes: int, data_dir: str = input_pipeline.DEFAULT_DATA_DIR) -> float:
    """The same of the validation examples of a data set, NaN of a regression. Where they are not at hand, as on another
    machine, or come from a file of one's own, which is not run for this, it is that of a hundred balanced ones."""
    try:
        if own.is_reference(dataset):
            raise input_pipeline.DataError("it is not run")
        given = input_pipeline.load(dataset, data_dir, validation)
        labels_V = input_pipeline.split(given, 0, validation).validation_labels
    except input_pipeline.DataError:
        return level(1 / classes, ASSUMED_EXAMPLES) if classes > 1 else math.nan
    return math.nan if np.issubdtype(labels_V.dtype, np.floating) else level_of(labels_V)
