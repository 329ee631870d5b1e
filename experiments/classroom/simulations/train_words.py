"""What is said of nets that train, in sentences: how far they are, and what is to be seen where it is not obvious."""

from collections.abc import Sequence

from experiments.advising.advice import stability
from experiments.classroom.simulations.side import Side

NAMES = ("First", "Second")
# Of a share: nearly all.
NEARLY_ALL = 0.9
# Within so much of the guess's cost it sits on the plateau, where fewer than these answers are right.
ON_PLATEAU, RIGHT = 0.03, 0.35


def status(sides: Sequence[Side]) -> str:
    """How far it is, in one line."""
    at = sides[0].run.at
    epoch = f"epoch {at:.0f}" if at == int(at) else f"epoch {at:.2f}"
    return " | ".join([epoch, *(_numbers(side) for side in sides)])


def _numbers(side: Side) -> str:
    """`cost .0897, accuracy .12, validation .0896, .13`, of the last whole epoch where there was one."""
    if side.is_lost:
        return "diverged"
    _, row = side.rows[-1]
    words = [] if "loss" not in row else [f"loss {row['loss']:.4f}", f"accuracy {row['accuracy']:.4f}"]
    return ", ".join([*words, f"val_loss {row['val_loss']:.4f}", f"val_accuracy {row['val_accuracy']:.4f}"])


def finding(sides: Sequence[Side]) -> str:
    """A sentence on each net that has one."""
    found = [_of_side(side) for side in sides]
    if len(sides) == 1:
        return found[0]
    return " ".join(f"{name}: {words}" for name, words in zip(NAMES, found, strict=True) if words)


def _of_side(side: Side) -> str:
    if side.lost_at is not None:
        return _lost(side)
    return _dead(side) or _saturated(side) or _plateau(side)


def _lost(side: Side) -> str:
    """Why the cost is no number any more."""
    words = f"It diverged at epoch {side.lost_at:.2f}: its cost is no longer a number."
    factor, config = stability(side.config), side.config
    rate = f"{config.learning_rate:g}"
    tops = [value for value in side.top.values if value > 0]
    if factor is not None and tops:
        limit = factor / max(tops)
        if config.learning_rate > limit:
            return (
                f"{words} Its rate of {rate} is above {limit:.2g}, where steps along the steepest direction stop "
                "shrinking: each overshoots by more than the one before. A smaller rate is stable."
            )
    return (
        f"{words} The steps at a rate of {rate} overshoot, each by more than the one before; a smaller rate is stable."
    )


def _dead(side: Side) -> str:
    """Layers that give nothing any more."""
    dead = side.now("dead_units")
    all_dead = [layer for layer, share in dead.items() if share >= 1]
    if all_dead:
        return (
            f"Every unit of {all_dead[0]} is dead: it outputs 0 on all images, where the slope of ReLU is 0, so that "
            "nothing before it learns any more. A smaller rate, or another start, keeps units alive."
        )
    half = [f"{share:.0%} of {layer}" for layer, share in dead.items() if share >= 0.5]
    if half:
        return f"Dead, and lost for good unless their inputs change: {', '.join(half)}; they output 0 on all images."
    return ""


def _saturated(side: Side) -> str:
    """Layers that sit on their asymptotes."""
    found = [
        f"{share:.0%} of the outputs of {layer}"
        for layer, share in side.now("saturation").items()
        if share >= NEARLY_ALL
    ]
    if found:
        return f"Saturated: {', '.join(found)} lie at an asymptote, where the slope is near 0 and learning is slow."
    wrong = side.now("wrong_side").get("output", 0.0)
    if wrong >= 0.05:
        vanishes = (
            "the quadratic cost's gradient vanishes there"
            if side.config.cost == "quadratic"
            else ("the gradient of cross-entropy does not vanish there")
        )
        return f"{wrong:.0%} of the output neurons are saturated on the wrong side: {vanishes}."
    return ""


def _plateau(side: Side) -> str:
    """Whether it sits on the plateau of the uniform guess."""
    (epoch, row), guess = side.rows[-1], side.guess
    cost = f"{row['val_loss']:.4f}"
    if epoch and abs(row["val_loss"] / guess - 1) < ON_PLATEAU and row["val_accuracy"] < RIGHT:
        same = f"that of giving every digit the same share, {guess:.4g}"
        return f"It sits on the plateau: its cost, {cost}, is about {same}."
    if not epoch and row["val_loss"] > guess * (1 + ON_PLATEAU) and not side.cost.at:
        return f"The draw is worse than no knowledge at all: it costs {cost}, a uniform guess {guess:.4g}."
    return ""
