"""Advice as a screen of plain sentences."""

import math
import textwrap

from experiments.advising.advice import Advice, Layer, percent
from experiments.advising.checking import Check, about
from experiments.advising.edges import BUDGET, Edges, edge_in_words, stability
from experiments.advising.estimates import Estimate, brief
from experiments.advising.measuring import Measured, Parts
from training.config import Config
from training.console import WIDTH, count

TITLE = 11


def paragraph(title: str, sentences: list[str]) -> str:
    """Sentences that are wrapped beside their title."""
    text = " ".join(sentence[:1].upper() + sentence[1:] + "." for sentence in sentences)
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=title.ljust(TITLE),
        subsequent_indent=" " * TITLE,
        break_long_words=False,
        break_on_hyphens=False,
    )


def in_words(config: Config, advice: Advice, found: Measured, parts: Parts) -> str:
    """The advice with its intervals and doubts."""
    return "\n".join(
        [
            paragraph("measured", measured_words(advice, found, parts)),
            paragraph("rate", rate_words(config, advice)),
            paragraph("batch", batch_words(config, advice)),
            paragraph("scale", scale_words(config, advice)),
            paragraph("layers", layer_words(advice)),
        ]
    )


def when(epoch: int) -> str:
    """`at the start`, `after epoch 2`."""
    return f"after epoch {epoch}" if epoch else "at the start"


def measured_words(advice: Advice, found: Measured, parts: Parts) -> list[str]:
    """What was measured, of what."""
    sets, size = parts.labels_KxP.shape[:2]
    last = advice.epochs[-1]
    course = f", at the start and to epoch {last} of the run as it is configured" if last else ", at the start alone"
    words = [
        f"{found.parameters:,} parameters on {sets} probe sets of {size:,} training examples{course}; intervals are "
        "95 % over these sets"
    ]
    if last:
        words.append(
            f"the training cost was {advice.losses[1]:.4g} in epoch 1"
            + (f" and {advice.losses[-1]:.4g} in epoch {last}" if last > 1 else "")
        )
    if advice.diverged:
        words.append(f"in epoch {advice.diverged} the run left the numbers: its rate is too high")
    return words


def rate_words(config: Config, advice: Advice) -> list[str]:
    """The largest stable rate, the largest one from which descent comes back, what each is for, and where the config's
    own stands."""
    words = [stable_words(config, advice), largest_words(config, advice), *use_words(config, advice)]
    return words + advice.rate_doubts + advice.largest_doubts


def stable_words(config: Config, advice: Advice) -> str:
    """f / lambda, at the start and after the last epoch."""
    start, factor = advice.rates[0], stability(config)
    if math.isinf(start.value):
        return "at the start the cost is curved upwards on no probe set: no largest stable rate follows from that"
    later = f", {advice.rates[-1]} {when(advice.epochs[-1])}" if len(advice.rates) > 1 else ""
    return (
        f"{'descent' if factor else 'plain descent'} on all examples is stable up to a rate of {start} {when(0)}"
        f"{later}, which is {brief(factor or 2)} / lambda: beyond it a step may raise the cost"
    )


def largest_words(config: Config, advice: Advice) -> str:
    """What running it has found, and what it means to come back."""
    optimizer = "" if config.optimizer == "sgd" else f" of {config.optimizer}"
    found = advice.edges
    if not found.steps:
        return (
            f"from which rate on descent{optimizer} diverges was not looked for: running it would take more than "
            f"{BUDGET / 60:g} minutes"
        )
    run = f"run on {ran_on(found)}, from a draw of its own, {found.steps} steps of descent{optimizer}"
    back = "descent comes back where a cost that rose above its start falls again, half-way or more to the best rate's"
    if not advice.largest.low:
        return f"{run} are known to come back from no rate: the largest lies {edge_in_words(advice.largest)}; {back}"
    if math.isinf(advice.largest.high):
        return f"{run} come back from a rate of {brief(advice.largest.low)}, and diverged at none above it; {back}"
    return f"{run} come back from a rate of up to {advice.largest}, and diverge beyond it; {back}"


def ran_on(found: Edges) -> str:
    """`250 examples of each of 5 probe sets`."""
    return f"{found.examples:,} examples of each of {count(found.of_sets, 'probe set')}"


def use_words(config: Config, advice: Advice) -> list[str]:
    """Which of the two is for what, and where the config's rate stands."""
    largest, own = advice.largest, config.learning_rate
    if not largest.low:
        return []
    stable = min((rate.value for rate in advice.rates if not math.isnan(rate.value)), default=math.nan)
    if advice.rate is None or not math.isfinite(stable):
        return [f"{below(largest)}; the config's, {own:g}, {stands(own, largest)}"]
    use = (
        f"start a search for the best rate from {brief(stable)} on and "
        + ("go on while it gets better" if math.isinf(largest.high) else f"end it at {about(largest)}")
        if stable < largest.value
        else below(largest)
    )
    return [
        f"{use}; batches may bear less than all examples do",
        f"the config's, {own:g}, is {times(own / stable)} the lowest stable rate, and {stands(own, largest)}",
    ]


def below(largest: Estimate) -> str:
    """Where the best rate is, where 2 / lambda says nothing of it."""
    return f"search for the best rate below {about(largest)}" if math.isfinite(largest.high) else "any may be best"


def stands(own: float, largest: Estimate) -> str:
    """Where a rate stands to the largest one."""
    if math.isinf(largest.high) and own > largest.low:
        return "is larger than any that was tried"
    said = f"is {times(own / largest.value)} the largest"
    if own > largest.high:
        return f"{said}: descent diverges"
    return f"{said}: descent may diverge" if own > largest.low else said


def times(factor: float) -> str:
    """`0.32 times`, `1/250 of`."""
    return f"{brief(factor)} times" if factor >= 0.01 else f"1/{1 / factor:,.0f} of"


def batch_words(config: Config, advice: Advice) -> list[str]:
    """The useful batch, and where the config's own stands."""
    last = advice.epochs[-1]
    if math.isnan(advice.batch.value):
        return ["the gradient noise cannot be told", *advice.batch_doubts]
    known = math.isfinite(advice.batch.value)
    worth = f"about {advice.batch}" if known else f"{brief(advice.batch.low)} or more"
    at_start = f" ({advice.batches[0]} {when(0)})" if last else ""
    if not advice.along.steps:
        words = [
            f"batches are worth their examples up to {worth} {when(last)}{at_start}, the noise scale of "
            "the state alone, tr(Sigma) / |G|^2"
        ]
    else:
        left_out = advice.along.left_out
        words = [
            f"batches are worth their examples up to {worth} in the next {advice.along.steps} steps "
            f"{when(last)}, at their best rate, {brief(advice.along.rate)}"
            + (f", without the {100 * left_out:.2g} % at which the cost lies above its start" if left_out else ""),
            f"the noise scale of the state alone, tr(Sigma) / |G|^2, is {advice.batches[-1]} {when(last)}{at_start}"
            + (": that of descent at the rate by which it was reached" if last else ""),
        ]
    if known and advice.batch.value > 0:
        steps = 1 + advice.batch.value / config.batch_size
        words.append(
            f"the config's, {config.batch_size}, takes about {brief(steps)} times the least steps; twice as large a "
            f"batch would save {100 * (1 - (1 + advice.batch.value / config.batch_size / 2) / steps):.0f} % of them"
        )
    return words + advice.batch_doubts


def scale_words(config: Config, advice: Advice) -> list[str]:
    """The initial scale, and where the config's own stands."""
    if (scale := advice.scale) is None:
        return advice.scale_doubts
    own = scale.tried.index(config.init_scale)
    tops = max(scale.tried)
    limit = f"slopes survive up to init_scale {brief(scale.survives_to)}" if scale.survives_to < tops else ""
    single = f" (single draws: {scale.advised.within})" if scale.advised.low < scale.advised.high else ""
    words = [
        *filter(None, [limit]),
        f"layers learn most evenly at {brief(scale.advised.value)}{single}, where the slowest has "
        f"{brief(100 * scale.evenness[scale.tried.index(scale.advised.value)])} % of the fastest's speed",
    ]
    if scale.advised.value != config.init_scale:
        words.append(
            f"at the config's, {config.init_scale:g}, it is {brief(100 * scale.evenness[own])} %, with "
            f"{100 * scale.slope_mass[own]:.0f} % of the largest slope in the flattest layer"
        )
    return words + advice.scale_doubts


def layer_words(advice: Advice) -> list[str]:
    """Which layers are saturated or dying; of the others the one that is nearest to it."""
    if not advice.layers:
        return ["no hidden layer has an activation"]
    last = advice.epochs[-1]
    faulty = [f"layer {layer.name} is {'; '.join(layer.faults)}" for layer in advice.layers if layer.faults]
    if faulty:
        rest = len(advice.layers) - len(faulty)
        return [
            *faulty,
            f"that is {when(last)}" + (f"; {count(range(rest), 'other layer')} without a fault" * (rest > 0)),
        ]
    flattest = min(advice.layers, key=slope_of)
    if math.isinf(slope_of(flattest)):
        return [f"none is saturated or dying {when(last)}"]
    return [
        f"none is saturated or dying {when(last)}; the flattest is {flattest.name}, with "
        f"{percent(flattest.measures['slope_mass'])} of the largest slope "
        f"({percent(flattest.slope_at_start)} {when(0)})"
    ]


def slope_of(layer: Layer) -> float:
    """The slope mass that is left, infinite where it is not measured."""
    return layer.measures["slope_mass"].value if "slope_mass" in layer.measures else math.inf


def check_in_words(check: Check) -> str:
    """What came of a check."""
    return paragraph(check.part, [f"{check.said}: {check.verdict}", *check.notes])
