"""How much of a sweep fits onto its page, and how its numbers are written there.

C configurations, E epochs. The numbers of a large sweep stand in the page as their bits, in base64, which takes half of
the room of decimal digits and far less time to read; what does not fit even so is left out in a fixed order, and the
page says what.
"""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.records import METRICS, OUTCOMES

# What the page may take in bytes: plotly.js has 4.8 million of 10 million.
ROOM = 4_700_000
# More numbers than this are packed.
MOST_PLAIN = 60_000
MOST_EPOCHS, LEAST_EPOCHS = 100, 24
# Curves of so many configurations are on any page.
LEAST_CURVES = 200
# Bytes of a number of a curve, five digits, and of one of the end; four characters stand for three bytes.
CURVE_BYTES, END_BYTES = 3, 4
# Of a configuration: codes of fields, counts and places; and of each of its curves at which epochs it is known.
CODES_CHARACTERS, GRID_CHARACTERS = 32, 3


class Detail(NamedTuple):
    """What of a sweep is on its page: the metrics; those whose means at the end have intervals, and those that have a
    best epoch; those that have curves, and those whose curves have bands; at how many epochs, of how many
    configurations; whether numbers are packed."""

    metrics: tuple[str, ...]
    intervals: tuple[str, ...]
    bests: tuple[str, ...]
    curves: tuple[str, ...]
    bands: tuple[str, ...]
    epochs: int
    configurations: int
    is_packed: bool


def detail_of(metrics: Sequence[str], score: str, core: Sequence[str], configurations: int, epochs: int) -> Detail:
    """The most that fits. First to go are epochs of the curves, down to `LEAST_EPOCHS`, then bands of probes, then
    metrics that are neither outcomes nor in the `core`, then intervals and bests of all but the score, then curves of
    configurations."""
    everything = tuple(metrics)
    outcomes = tuple(name for name in everything if name in OUTCOMES)
    few = tuple(name for name in everything if name in OUTCOMES or name in core)
    bests = tuple(name for name in everything if name in METRICS)
    most = min(epochs, MOST_EPOCHS)
    choices = (
        Detail(everything, everything, bests, everything, everything, most, configurations, True),
        Detail(everything, everything, bests, everything, outcomes, most, configurations, True),
        Detail(few, few, bests, few, outcomes, most, configurations, True),
        Detail(few, (score,), (score,), few, (score,), most, configurations, True),
    )
    numbers = end_numbers(choices[0], configurations) + curve_numbers(choices[0]) * configurations
    if numbers <= MOST_PLAIN:
        return choices[0]._replace(is_packed=False)
    for choice in choices:
        fitting = int(room_for_curves(choice, configurations) / (bytes_an_epoch(choice) * configurations))
        if fitting >= min(most, LEAST_EPOCHS):
            return choice._replace(epochs=min(most, fitting))
    least, fewest = choices[-1], min(most, LEAST_EPOCHS)
    fitting = int(room_for_curves(least, configurations) / (bytes_an_epoch(least) * fewest))
    return least._replace(epochs=fewest, configurations=min(configurations, max(LEAST_CURVES, fitting)))


def room_for_curves(detail: Detail, configurations: int) -> float:
    """What the ends and the best epochs leave, and of each configuration codes, counts and the epochs of its curves."""
    others = CODES_CHARACTERS + GRID_CHARACTERS * len(detail.curves)
    return ROOM - configurations * others - end_numbers(detail, configurations) * END_BYTES * 4 / 3


def bytes_an_epoch(detail: Detail) -> float:
    """What an epoch of the curves of a configuration takes."""
    return curve_numbers(detail._replace(epochs=1)) * CURVE_BYTES * 4 / 3


def end_numbers(detail: Detail, configurations: int) -> int:
    """How many numbers the ends and the best epochs are."""
    return configurations * (len(detail.metrics) + 2 * len(detail.intervals) + 3 * len(detail.bests))


def curve_numbers(detail: Detail) -> int:
    """How many numbers the curves of a configuration are."""
    return detail.epochs * (len(detail.curves) + 2 * len(detail.bands))


def chosen(ranked: Sequence[int], configurations: int, most: int) -> np.ndarray:
    """Which configurations have curves, [C] of truth values: all that fit, else the best half of as many and others
    evenly over the ranks."""
    is_chosen_C = np.zeros(configurations, bool)
    others = np.setdiff1d(np.arange(configurations), ranked)
    in_order = np.concatenate([np.asarray(ranked, int), others])
    if configurations <= most:
        return ~is_chosen_C
    best = most // 2
    rest = in_order[best:]
    is_chosen_C[in_order[:best]] = True
    is_chosen_C[rest[np.linspace(0, len(rest) - 1, most - best).astype(int)]] = True
    return is_chosen_C


def packed(values: np.ndarray, size: int) -> str:
    """The upper bytes of numbers as float32, so many of each, the lowest first, in base64; NaN for what is not finite.
    report.js has the way back."""
    numbers = np.where(np.isfinite(values), values, np.nan).astype("<f4").ravel()
    bits = numbers.view("<u4")
    if size < 4:  # Rounded to what is kept.
        bits = bits + np.uint32(1 << (8 * (4 - size) - 1))
    return base64.b64encode(bits.view(np.uint8).reshape(-1, 4)[:, 4 - size :].tobytes()).decode()
