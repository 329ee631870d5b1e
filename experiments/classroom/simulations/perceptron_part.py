"""Rosenblatt's perceptron for the view One neuron: the lecture's hot dog detector, and one that learns from zero.

S examples shown, D = 3 ingredients.
"""

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.classroom import pictures
from experiments.classroom.pictures import Picture, axis, line
from experiments.classroom.simulations.tables import MINUS, table
from experiments.classroom.view import State
from experiments.classroom.views.neuron import EXACTLY_ONE
from experiments.lecture import perceptron

INGREDIENTS = perceptron.INGREDIENTS
WEIGHTS = tuple(f"w_{name}" for name in INGREDIENTS)
# Passes over the eight meals, at most.
PASSES, MEALS = 40, 8
TICK, CROSS, ARROW = "\N{CHECK MARK}", "\N{MULTIPLICATION SIGN}", "\N{LEFTWARDS ARROW}"
NOT_ABOVE = "\N{LESS-THAN OR EQUAL TO}"
# Where the sum stands in the drawing.
SUM_X, MIDDLE = 430, 110


@jax.jit
def _learn(x_SxD: jax.Array, labels_S: jax.Array) -> tuple[nets.perceptron.Perceptron, jax.Array]:
    """The learning rule at rate 1 from zero, example by example: the unit after each, and whether it was a mistake."""

    def one(unit: nets.perceptron.Perceptron, example: tuple[jax.Array, jax.Array]):
        unit, metrics = nets.perceptron.learn(unit, 1.0, example)
        return unit, (unit, metrics["mistakes"])

    start = nets.perceptron.Perceptron(jnp.zeros(len(INGREDIENTS)), jnp.float32(0.0))
    return jax.lax.scan(one, start, (x_SxD, labels_S))[1]


class Perceptron:
    """The detector of those weights and that threshold; Play teaches another one from zero."""

    a_second = 8.0
    takes = (*WEIGHTS, "threshold", "lesson")

    def __init__(self, settings: State) -> None:
        self._settings = settings
        self._meal = tuple(int(settings[name]) for name in INGREDIENTS)
        self._weights = [settings[name] for name in WEIGHTS]
        self.table = perceptron.detector_table(self._weights, settings["threshold"])
        self._is_xor = settings["lesson"] == EXACTLY_ONE
        meals = np.array([meal for meal, _, _ in self.table], np.float32)
        self.labels = np.array(
            [m[0] != m[1] for m, _, _ in self.table] if self._is_xor else [out for *_, out in self.table]
        )
        units, mistakes_S = _learn(np.tile(meals, (PASSES, 1)), np.tile(self.labels.astype(np.float32), PASSES))
        self.weights_SxD = np.concatenate([np.zeros((1, len(INGREDIENTS))), units.weights_D])
        self.biases_S = np.concatenate([[0.0], units.bias])
        self.mistakes_P = np.asarray(mistakes_S).reshape(PASSES, MEALS).sum(axis=1)
        without = np.flatnonzero(self.mistakes_P == 0)
        self.has_learnt = bool(len(without))
        self.moments = MEALS * int(without[0] + 1 if self.has_learnt else PASSES)
        self._mistakes_S = np.concatenate([[0.0], np.cumsum(mistakes_S)])

    def learnt(self, at: int) -> np.ndarray:
        """What the learner answers to the eight meals after so many examples."""
        unit = nets.perceptron.Perceptron(
            jnp.asarray(self.weights_SxD[at], jnp.float32), jnp.float32(self.biases_S[at])
        )
        return np.asarray(nets.perceptron.forward(unit, np.array([m for m, _, _ in self.table], np.float32)))

    def words(self, at: int) -> dict[str, str]:
        """What the detector says to the meal, and how far the learner is."""
        meal, total, out = next(row for row in self.table if row[0] == self._meal)
        names = " and ".join(name for name, there in zip(INGREDIENTS, meal, strict=True) if there) or "nothing"
        sign = ">" if out else NOT_ABOVE
        says = "a hot dog" if out else "no hot dog"
        limit = _short(self._settings["threshold"])
        does = "fires" if out else "does not fire"
        finding = f"{names.capitalize()}: {_short(total)} {sign} {limit}, so it {does}: {says}."
        return {"status": self._status(at), "finding": f"{finding} {self._learning(at)}".strip()}

    def _status(self, at: int) -> str:
        mistakes = int(self._mistakes_S[at])
        return f"the learner: {at} meals shown, {mistakes} mistake{'s' if mistakes != 1 else ''}"

    def _learning(self, at: int) -> str:
        if at < self.moments:
            return "" if at else "Press Play: another perceptron learns, from zero weights."
        if self.has_learnt:
            passes = self.moments // MEALS
            return (
                f"The learner made no mistake in pass {passes}: it has learnt all eight, with other weights than the "
                "detector's."
                if passes > 1
                else "The learner, who never fires, is right from the start."
            )
        if self._is_xor:
            return (
                f"Mistakes in each of {PASSES} passes, and so for ever: no line parts the meals with exactly one of "
                "ketchup and mustard from the others."
            )
        return f"After {PASSES} passes the learner still makes mistakes; they end, since such weights exist."

    def pictures(self, at: int) -> dict[str, Picture]:
        """The detector and the learner after so many examples."""
        return {
            "detector": pictures.svg(self._detector()),
            "meals": self._meals(at),
            "boundary": self._boundary(),
            "learning": self._learning_picture(at),
            "mistakes": self._mistakes(at),
        }

    def _meals(self, at: int) -> Picture:
        answers, is_given = self.learnt(at), (at - 1) % MEALS if at else -1
        rows, marked = [], 0
        for i, (meal, total, out) in enumerate(self.table):
            marked = i if meal == self._meal else marked
            wanted = int(self.labels[i])
            right, given = TICK if answers[i] == wanted else CROSS, f" {ARROW}" if i == is_given else ""
            learner = f"{int(answers[i])} {right}{given}"
            contents = [TICK if there else "" for there in meal]
            sign = ">" if out else NOT_ABOVE
            rows.append(
                [
                    *contents,
                    f"{_short(total)} {sign} {_short(self._settings['threshold'])}",
                    str(out),
                    str(wanted),
                    learner,
                ]
            )
        head = [*INGREDIENTS, "sum", "fires", "to learn", "learner"]
        return pictures.svg(f'<div class="scroll meals">{table(head, rows, marked)}</div>')

    def _boundary(self) -> Picture:
        """The plane of ketchup and mustard, with the line where the sum is the threshold, without and with a bun."""
        (w_k, w_m, w_b), threshold = self._weights, self._settings["threshold"]
        span, drawn = np.linspace(-0.5, 1.5, 2), []
        for bun, colour in ((0, 0), (1, 1)):
            rest = threshold - w_b * bun
            name = f"boundary {'with' if bun else 'without'} a bun"
            if w_m:
                drawn.append(line(name, span, (rest - w_k * span) / w_m, colour))
            elif w_k:
                drawn.append(line(name, [rest / w_k] * 2, [-1.0, 2.0], colour))
            for fires in (1, 0):
                there = [m for m, _, out in self.table if m[2] == bun and out == fires]
                # Beside each other, so that both are seen.
                at = [m[0] + 0.05 * bun for m in there], [m[1] + 0.05 * bun for m in there]
                drawn += pictures.dots("", *at, colour, 8 if fires else 3)
        words = "The meals in the plane of ketchup and mustard, and the lines where the detector begins to fire"
        note = "Large points: it fires; small ones: it does not. A line off the picture parts no meal."
        x, y = axis("ketchup", -0.5, 1.5), axis("mustard", -0.5, 1.5)
        return pictures.lines(drawn, x, y, words, height=280, note=note)

    def _learning_picture(self, at: int) -> Picture:
        steps = np.arange(at + 1)
        drawn = [line(name, steps, self.weights_SxD[: at + 1, i], i) for i, name in enumerate(INGREDIENTS)] + [
            line("bias = -threshold", steps, self.biases_S[: at + 1], 7, dash=True)
        ]
        words = f"The learner's weights over the first {at} meals"
        note = "A mistake adds the meal to the weights, or takes it away; what is right changes nothing."
        x = axis("meals shown", 0, self.moments, whole=True)
        return pictures.lines(drawn, x, axis("weight"), words, height=280, note=note)

    def _mistakes(self, at: int) -> Picture:
        done = at // MEALS
        passes = np.arange(1, done + 1)
        drawn = [line("", passes, self.mistakes_P[:done], 0), line("", passes, self.mistakes_P[:done], 0, points=True)]
        words = f"The learner's mistakes in each of the first {done} passes"
        x = axis("pass", 1, max(2, self.moments // MEALS), whole=True)
        return pictures.lines(drawn, x, axis("mistakes", 0.0, 8.0, whole=True), words, height=280)

    # ------------------------------------------------------------------------------------------------------------------
    # The drawing.

    def _detector(self) -> str:
        """Ingredients that are clicked, their weights, the sum, the threshold, the answer."""
        _, total, out = next(row for row in self.table if row[0] == self._meal)
        threshold, live, on = _short(self._settings["threshold"]), " live" if out else "", " on" if out else ""
        sign, answer = ("&gt;", "yes") if out else (NOT_ABOVE, "no")
        terms = [_short(w) for w, there in zip(self._weights, self._meal, strict=True) if there]
        sums = " + ".join(f"({term})" if term.startswith(MINUS) else term for term in terms) or "nothing"
        words = f"The hot dog detector: the sum is {_short(total)}, the threshold {threshold}"
        return (
            f'<svg class="detector" role="group" aria-label="{words}" viewBox="0 0 900 226" font-size="16">'
            f"{''.join(self._ingredient(i) for i in range(len(INGREDIENTS)))}"
            f'<circle class="rim" cx="{SUM_X}" cy="{MIDDLE}" r="44"/>'
            f'<text x="{SUM_X}" y="{MIDDLE + 6}" text-anchor="middle" font-size="20">{_short(total)}</text>'
            f'<text x="{SUM_X}" y="{MIDDLE + 72}" text-anchor="middle">sum: {sums}</text>'
            f'<path class="wire{live}" d="M{SUM_X + 44} {MIDDLE}H700" stroke-width="3"/>'
            f'<text x="587" y="{MIDDLE - 12}" text-anchor="middle">{_short(total)} {sign} {threshold}? {answer}</text>'
            f'<rect class="rim{on}" x="700" y="{MIDDLE - 28}" width="180" height="56" rx="8"/>'
            f'<text class="{"over" if out else ""}" x="790" y="{MIDDLE + 6}" text-anchor="middle" font-size="18">'
            f"{out}: {'hot dog' if out else 'no hot dog'}</text></svg>"
        )

    def _ingredient(self, i: int) -> str:
        """A part of the meal, with the wire to the sum."""
        name, there, weight, y = INGREDIENTS[i], self._meal[i], self._weights[i], 38 + 72 * i
        live, on, over = (" live", " on", "over") if there else ("", "", "")
        pressed, is_in = ("true", "in") if there else ("false", "not in")
        return (
            f'<path class="wire{live}" d="M160 {y}L{SUM_X - 44} {MIDDLE}" '
            f'stroke-width="{1 + 0.7 * min(abs(weight), 10):.1f}"/>'
            f'<g data-setting="{name}" data-value="{1 - there}" role="button" tabindex="0" aria-pressed="{pressed}" '
            f'aria-label="{name}: {is_in} the meal">'
            f'<rect class="rim{on}" x="20" y="{y - 22}" width="140" height="44" rx="8"/>'
            f'<text class="{over}" x="90" y="{y + 5}" text-anchor="middle">{name} = {there}</text></g>'
            f'<text x="225" y="{y + (MIDDLE - y) * 0.29 - 9:.0f}" text-anchor="middle">{CROSS} {_short(weight)}</text>'
        )


def _short(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)
