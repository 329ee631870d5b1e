"""How does gradient descent walk down a cost surface: at which learning rates, and on how many examples a step?

    python -m experiments.lecture.gradient_descent [--workdir=runs/gradient_descent]      11 seconds of CPU time

Neurons of one and two weights, on the first zeros and ones of MNIST, so that the surface can be drawn. The features,
each standardized, are the mean pixel of the whole image and that of its middle, 8 x 8 pixels, where a zero has a hole;
a one is to be answered by 1, with cost mean (a - y)^2. A linear neuron makes the cost an exact quadratic bowl: with
lambda the largest eigenvalue of its Hessian, gradient descent overshoots the minimum from learning rate 1 / lambda on,
and converges below 2 / lambda alone. For a sigmoid neuron with a weight and a bias the same holds near its minimum;
farther off, where its cost is flat, too large a rate throws it about instead of ever farther.

The two limits are found by bisection of what gradient descent does, which knows nothing of lambda; lambda is from
`nets.curvature.top_eigenvalues`. Then batch, mini-batch and stochastic descent see equally many examples from the same
start, and one round of training is shown in its four steps: sample a mini-batch, propagate forward, compute the cost,
descend its gradient.

Sources: a lecture's slides (the pictures, the round of training); the limits follow from w' - w* = (1 - eta lambda)
(w - w*) along the eigenvector; the gradient of B independent examples has 1 / B of the covariance of one. Bands, set
before the run: limits within 1 % of theory; slope of the log-log line of variance over B within 15 % of -1, and the
variance times B within 10 % of `nets.curvature.gradient_covariance_trace`. The slope's interval is that of the
regression, the other's that of the mean over the batch sizes, whose mini-batches are drawn independently.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
import nets
from experiments.study import command, surfaces, toolkit
from experiments.study.claims import Claim, exact_claim, interval_claim, mean_claim
from experiments.study.study import Study
from training import figures

MIDDLE = slice(10, 18)
# Learning rates as multiples of 1 / lambda.
BOWL_REGIMES = {"too small": 0.1, "right": 1.0, "oscillating": 1.8, "diverging": 2.1}
REGIMES = {"too small": 0.05, "right": 1.0, "oscillating": 1.9, "thrown about": 7.0}
BOWL_STEPS, STEPS = 12, 60
START = (-3.0, 3.0)
# Of the descent to the sigmoid neuron's minimum, and how far from it the limits are looked for.
SEARCH_RATE, NEAR = 20.0, 1e-3
# Of the bisection: the rate reaches from 0 to MOST_RATE, and is halved down to 6e-5.
MOST_RATE, HALVINGS = 1_000.0, 24
PASSES, RATE, MINI_BATCH = 8, 2.0, 32
ROUND_BATCH, ROUND_RATE = 8, 20.0
THEORY, CURVATURE = "linear recursion, with lambda of nets.curvature", "nets.curvature"
DRAWN = "independent draws"


class Size(NamedTuple):
    """How many zeros and ones there are; how many rounds of STEPS lead to the sigmoid neuron's minimum; after how many
    steps a rate is seen to converge; how many mini-batches are drawn, of which sizes; and of how many weights each way
    the surfaces are drawn."""

    examples: int
    search_rounds: int
    limit_steps: int
    draws: int
    batch_sizes: tuple[int, ...]
    grid: int


QUICK = Size(1_024, 50, 500, 4_000, (1, 2, 4, 8, 16, 32, 64, 128, 256), 61)
TINY = Size(64, 5, 50, 50, (1, 2), 5)


class Problem(NamedTuple):
    """A neuron's data (x_NxP, y_N), per-example cost, and start_P."""

    cost: Any
    data: tuple[jax.Array, jax.Array]
    start_P: jax.Array

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return len(self.data[1])


def neuron_cost(output: str, w_P: jax.Array, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """(a - y)^2 of each example, [B], for a = output(w.x); a column of ones in x makes its weight the bias."""
    x_BxP, y_B = batch
    z_B = jnp.sum(x_BxP * w_P[None], axis=1)
    return nets.costs.get("quadratic", output).per_example(z_B[:, None], y_B[:, None])


linear, sigmoid = partial(neuron_cost, "identity"), partial(neuron_cost, "sigmoid")


def zeros_and_ones(examples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """So many first zeros and ones of the training set, their standardized features [N, 2], and y_N."""
    mnist = input_pipeline.load("mnist")
    chosen = np.flatnonzero(mnist.labels < 2)[:examples]
    images_NxD = mnist.images[chosen]
    pictures_NxHxW = figures.as_pictures(images_NxD) / 255
    whole_N, middle_N = pictures_NxHxW.mean(axis=(1, 2)), pictures_NxHxW[:, MIDDLE, MIDDLE].mean(axis=(1, 2))
    x_NxP = np.stack([whole_N, middle_N], axis=1)
    x_NxP = (x_NxP - x_NxP.mean(axis=0)) / x_NxP.std(axis=0)
    return images_NxD, x_NxP.astype(np.float32), mnist.labels[chosen].astype(np.float32)


def problems(x_NxP: np.ndarray, y_N: np.ndarray) -> tuple[Problem, Problem, Problem]:
    """The bowls of one and of two weights, their targets centred as they have no bias, and the sigmoid neuron."""
    # One weight is two of which the first has no input, so that both bowls share their compiled programs.
    only_middle_NxP = x_NxP * np.array([0, 1], np.float32)
    with_bias_NxP, centred_N = np.stack([x_NxP[:, 1], np.ones_like(y_N)], axis=1), y_N - y_N.mean()
    return (
        Problem(linear, jax.device_put((only_middle_NxP, centred_N)), jnp.array([0.0, -1.0])),
        Problem(linear, jax.device_put((x_NxP, centred_N)), jnp.array([0.8, -0.6])),
        Problem(sigmoid, jax.device_put((with_bias_NxP, y_N)), jnp.array(START)),
    )


@partial(jax.jit, static_argnames=("cost",))
def descend(cost: Any, start_P: jax.Array, rate: jax.Array, data: Any, order_SxB: jax.Array) -> jax.Array:
    """The weights before the first and after each step on the batches that the order names, [S + 1, P]."""

    def step(w_P: jax.Array, order_B: jax.Array) -> tuple[jax.Array, jax.Array]:
        batch = jax.tree.map(lambda x: x[order_B], data)
        after_P = w_P - rate * jax.grad(lambda w: jnp.mean(cost(w, batch)))(w_P)
        return after_P, after_P

    _, path_SxP = jax.lax.scan(step, start_P, order_SxB)
    return jnp.concatenate([start_P[None], path_SxP])


def all_examples(examples: int, steps: int) -> jax.Array:
    """The order of plain gradient descent: every step takes all examples."""
    return jnp.broadcast_to(jnp.arange(examples)[None], (steps, examples))


# ---------------------------------------------------------------------------------------------------------------------
# Learning rates, and examples a step.


@partial(jax.jit, static_argnames=("cost", "steps"))
def limits(cost: Any, start_P: jax.Array, data: Any, top_P: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
    """The largest learning rates at which gradient descent does not overshoot along that direction in its first step,
    and at which its gradient has shrunk after so many steps."""

    def gradient(w_P: jax.Array) -> jax.Array:
        return jax.grad(lambda w: jnp.mean(cost(w, data)))(w_P)

    def after(rate: jax.Array, steps: int) -> jax.Array:
        return jax.lax.fori_loop(0, steps, lambda _, w_P: w_P - rate * gradient(w_P), start_P)

    def bisect(holds: Callable[[jax.Array], jax.Array]) -> jax.Array:
        def halve(_: int, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = bracket
            middle = (low + high) / 2
            good = holds(middle)
            return jnp.where(good, middle, low), jnp.where(good, high, middle)

        return jax.lax.fori_loop(0, HALVINGS, halve, (jnp.float32(0.0), jnp.float32(MOST_RATE)))[0]

    before_P = gradient(start_P)
    # A gradient that is no longer finite is no smaller one, and compares as such.
    shrinks = lambda rate: jnp.linalg.norm(gradient(after(rate, steps))) < jnp.linalg.norm(before_P)  # noqa: E731
    keeps_side = lambda rate: jnp.sum(gradient(after(rate, 1)) * top_P) * jnp.sum(before_P * top_P) >= 0  # noqa: E731
    return bisect(keeps_side), bisect(shrinks)


def top_eigenvalue(problem: Problem, w_P: jax.Array) -> tuple[float, jax.Array]:
    """The largest eigenvalue of the Hessian there and its eigenvector [P]."""
    top = nets.curvature.top_eigenvalues(problem.cost, w_P, problem.data, jax.random.key(0), k=1)
    return float(top.values_K[0]), top.vectors[0]


def minimum(problem: Problem, rounds: int) -> jax.Array:
    """Where gradient descent from the start ends after so many rounds of STEPS, [P]."""
    w_P, order_SxB = problem.start_P, all_examples(problem.examples, STEPS)
    for _ in range(rounds):
        w_P = descend(problem.cost, w_P, jnp.float32(SEARCH_RATE), problem.data, order_SxB)[-1]
    return w_P


def limit_claims(
    key: str, name: str, problem: Problem, near_P: jax.Array, top: tuple[float, jax.Array], steps: int
) -> list[Claim]:
    """The two limits in units of 1 / lambda, found from that start."""
    overshoot, most = limits(problem.cost, near_P, problem.data, top[1], steps)
    claims: list[Claim] = []
    for limit, what, theory, rate in (
        ("overshoots", "largest rate without overshooting", 1.0, float(overshoot)),
        ("converges", "largest rate that converges", 2.0, float(most)),
    ):
        title, band = f"{name}: {what} x lambda", (0.99 * theory, 1.01 * theory)
        words: Any = {"published": theory, "rival": f"the other limit, {3 - theory:g}", "rival_at": 3 - theory}
        claims.append(exact_claim(f"{key}/{limit}", title, "oracle", THEORY, rate * top[0], band, **words))
    return claims


def passes(examples: int, batch_size: int, seed: int = 0) -> np.ndarray:
    """PASSES random orders of the examples, cut into batches: [S, B], equally many examples for every batch size."""
    random = np.random.default_rng(seed)
    order = np.concatenate([random.permutation(examples) for _ in range(PASSES)])
    return order.reshape(-1, batch_size)


def variances(problem: Problem, batch_sizes: Sequence[int], draws: int) -> np.ndarray:
    """E |g_B - g|^2 of the gradient of B random examples, drawn with replacement, for each batch size."""
    one = lambda x, y: jax.grad(lambda w: problem.cost(w, (x[None], y[None]))[0])(problem.start_P)  # noqa: E731
    gradients_NxP = np.asarray(jax.jit(jax.vmap(one))(*problem.data), np.float64)
    random, mean_P = np.random.default_rng(0), gradients_NxP.mean(axis=0)
    found: list[np.floating] = []
    for batch_size in batch_sizes:
        drawn_QxB = random.integers(0, problem.examples, (draws, batch_size))
        found.append(np.square(gradients_NxP[drawn_QxB].mean(axis=1) - mean_P).sum(axis=1).mean())
    return np.array(found)


def variance_claims(problem: Problem, batch_sizes: Sequence[int], variances_B: np.ndarray) -> list[Claim]:
    """How the spread of the gradient falls with the batch size."""
    trace = float(nets.curvature.gradient_covariance_trace(problem.cost, problem.start_P, problem.data))
    name, sizes, logs = "variance of the gradient", "batch sizes", (np.log(batch_sizes), np.log(variances_B))
    slope, within, band = float(np.polyfit(*logs, 1)[0]), toolkit.slope_interval(*logs), (-1.15, -0.85)
    words: Any = {"count": len(batch_sizes), "sample": sizes, "published": -1.0, "rival": "no fall, 0", "rival_at": 0.0}
    title, ratios_B = f"{name} x B / tr Sigma", variances_B * np.array(batch_sizes) / trace
    of_trace: Any = {"sample": sizes, "published": 1.0, "bounds": (0.0, np.inf)}
    return [
        interval_claim(
            "variance/slope", f"{name} over B: log-log slope", "oracle", DRAWN, slope, within, band, **words
        ),
        mean_claim("variance/trace", title, "oracle", CURVATURE, ratios_B, (0.9, 1.1), **of_trace),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# A round of training.


class Round(NamedTuple):
    """One step of the sigmoid neuron: which examples, their x, z, a and y, [B]; the weights and the gradient, [P]."""

    chosen_B: np.ndarray
    x_B: np.ndarray
    z_B: np.ndarray
    a_B: np.ndarray
    y_B: np.ndarray
    gradient_P: np.ndarray
    before_P: np.ndarray
    after_P: np.ndarray


def round_of_training(problem: Problem) -> Round:
    """The start's step on a random mini-batch of ROUND_BATCH at ROUND_RATE, its numbers by hand in float64."""
    chosen_B = np.random.default_rng(0).choice(problem.examples, ROUND_BATCH, replace=False)
    x_BxP, y_B = (np.asarray(leaf, np.float64)[chosen_B] for leaf in problem.data)
    before_P = np.asarray(problem.start_P, np.float64)
    z_B = x_BxP @ before_P
    a_B = 1 / (1 + np.exp(-z_B))
    gradient_P = (2 * (a_B - y_B) * a_B * (1 - a_B)) @ x_BxP / ROUND_BATCH
    return Round(chosen_B, x_BxP[:, 0], z_B, a_B, y_B, gradient_P, before_P, before_P - ROUND_RATE * gradient_P)


def costs_of(r: Round, w_P: np.ndarray) -> np.ndarray:
    """(a - y)^2 of the mini-batch with those weights, [B]."""
    return (1 / (1 + np.exp(-(w_P[0] * r.x_B + w_P[1]))) - r.y_B) ** 2


def round_lines(r: Round, examples: int) -> list[str]:
    """The four steps with their numbers."""
    (w, b), (slope_w, slope_b), (next_w, next_b) = r.before_P, r.gradient_P, r.after_P
    cost_B, after_B = costs_of(r, r.before_P), costs_of(r, r.after_P)
    lines = [
        f"A round of training of the neuron a = sigmoid(w x + b), w = {w:g}, b = {b:g}",
        f"1 Sample a mini-batch: examples {', '.join(map(str, r.chosen_B))} of {examples:,}",
        "2 Propagate forward; x is the ink in the middle of the image, in standard deviations from its mean",
        f"{'digit':>7} {'x':>8} {'z = w x + b':>12} {'a':>8} {'(a - y)^2':>10}",
    ]
    lines += [
        f"{y:>7.0f} {x:>+8.3f} {z:>+12.3f} {a:>8.4f} {cost:>10.4f}"
        for x, z, a, y, cost in zip(r.x_B, r.z_B, r.a_B, r.y_B, cost_B, strict=True)
    ]
    return [
        *lines,
        f"3 Compute the cost: their mean is {cost_B.mean():.4f}",
        f"4 Descend its gradient dC/dw = {slope_w:+.5f}, dC/db = {slope_b:+.5f} at learning rate {ROUND_RATE:g}:",
        f"  w = {w:+.4f} - {ROUND_RATE:g} x {slope_w:+.5f} = {next_w:+.4f}",
        f"  b = {b:+.4f} - {ROUND_RATE:g} x {slope_b:+.5f} = {next_b:+.4f}",
        f"  The cost of these examples is now {after_B.mean():.4f}.",
    ]


# ---------------------------------------------------------------------------------------------------------------------
# The study and its figure.


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    images_NxD, x_NxP, y_N = zeros_and_ones(size.examples)
    line, bowl, neuron = problems(x_NxP, y_N)
    minimum_P = minimum(neuron, size.search_rounds)
    tops = [top_eigenvalue(line, line.start_P), top_eigenvalue(bowl, bowl.start_P), top_eigenvalue(neuron, minimum_P)]
    steps, near_P = size.limit_steps, minimum_P + NEAR
    claims = [
        *limit_claims("line", "bowl of one weight", line, line.start_P, tops[0], steps),
        *limit_claims("bowl", "bowl of two weights", bowl, bowl.start_P, tops[1], steps),
        *limit_claims("neuron", "sigmoid neuron, near its minimum", neuron, near_P, tops[2], steps),
    ]
    variances_B = variances(neuron, size.batch_sizes, size.draws)
    claims += variance_claims(neuron, size.batch_sizes, variances_B)
    training = round_of_training(neuron)
    print("\n".join(round_lines(training, size.examples)))
    figure = draw(size, (line, bowl, neuron), [top[0] for top in tops], variances_B, training, images_NxD)
    return figure, claims


def draw(
    size: Size,
    problems: tuple[Problem, Problem, Problem],
    lambdas: list[float],
    variances_B: np.ndarray,
    training: Round,
    images_NxD: np.ndarray,
) -> Any:
    """Rates on one weight, on two and on the sigmoid neuron; examples a step; a round of training: a row each."""
    line, bowl, neuron = problems
    figure, axes = figures.new_figure(17, 18, 4, 5)
    figure.suptitle(
        "Gradient descent overshoots above the rate 1 / lambda and leaves a minimum above 2 / lambda, lambda being the "
        "largest eigenvalue of the Hessian there\n(start: white; end: black; the darker a surface, the lower its cost)",
        fontsize=14,
    )
    of_bowl, of_neuron = (
        ("weight of all ink", "weight of ink in the middle"),
        ("weight w of ink in the middle", "bias b"),
    )
    bowl_surface = surfaces.surface(bowl.cost, bowl.data, of_bowl, (-1.6, 1.6), (-1.6, 1.6), size.grid)
    neuron_surface = surfaces.surface(neuron.cost, neuron.data, of_neuron, (-6, 14), (-7, 8), size.grid)
    draw_line(axes[:4], line, lambdas[0])
    draw_regimes(axes[4:8], "Bowl", bowl, bowl_surface, BOWL_REGIMES, lambdas[1], BOWL_STEPS)
    draw_regimes(axes[8:12], "Neuron", neuron, neuron_surface, REGIMES, lambdas[2], STEPS)
    draw_batches(axes[12:15], neuron, neuron_surface)
    draw_variances(axes[15], size, variances_B)
    draw_round(axes[16:], neuron_surface, training, images_NxD)
    return figure


def draw_regimes(
    axes: np.ndarray,
    title: str,
    problem: Problem,
    drawn: surfaces.Surface,
    regimes: dict[str, float],
    top: float,
    steps: int,
) -> None:
    """A surface of two weights, descended at the four rates."""
    for axis, (name, multiple) in zip(axes, regimes.items(), strict=True):
        surfaces.draw_surface(axis, drawn)
        order_SxB = all_examples(problem.examples, steps)
        path_SxP = descend(problem.cost, problem.start_P, multiple / top, problem.data, order_SxB)
        surfaces.draw_path(axis, path_SxP, "o-")
        axis.set_title(f"{title}, rate {multiple:g} / lambda: {name}")


def draw_line(axes: np.ndarray, problem: Problem, top: float) -> None:
    """The parabola of one weight, descended at the four rates."""
    w_A = np.linspace(-2, 2.4, 201, dtype=np.float32)
    order_SxB = all_examples(problem.examples, BOWL_STEPS)
    paths = [
        descend(problem.cost, problem.start_P, multiple / top, problem.data, order_SxB)[:, 1]
        for multiple in BOWL_REGIMES.values()
    ]
    # In one call, as each size compiles anew.
    along = jnp.zeros(2), jnp.array([0.0, 1.0]), np.concatenate([w_A, *paths])
    cost_A, *path_costs = np.split(
        nets.curvature.cost_on_line(problem.cost, *along, problem.data),
        len(w_A) + np.arange(len(paths)) * (BOWL_STEPS + 1),
    )
    for axis, (name, multiple), path_S, cost_S in zip(axes, BOWL_REGIMES.items(), paths, path_costs, strict=True):
        axis.plot(w_A, cost_A, color="gray")
        surfaces.draw_path(axis, np.stack([path_S, cost_S], axis=1), "o-")
        axis.set(xlabel="weight of ink in the middle", ylabel="cost", xlim=(-2, 2.4), ylim=(0, cost_A.max()))
        axis.set_title(f"One weight, rate {multiple:g} / lambda: {name}")
        axis.locator_params(nbins=5)
        axis.grid(alpha=0.3)


def draw_batches(axes: np.ndarray, problem: Problem, drawn: surfaces.Surface) -> None:
    """Batch, mini-batch and stochastic descent on the same surface."""
    sizes = (("Batch", problem.examples), ("Mini-batch", MINI_BATCH), ("Stochastic", 1))
    for axis, (name, batch_size) in zip(axes, sizes, strict=True):
        path_SxP = descend(problem.cost, problem.start_P, RATE, problem.data, passes(problem.examples, batch_size))
        cost = float(nets.curvature.mean_cost(problem.cost, path_SxP[-1], problem.data))
        surfaces.draw_surface(axis, drawn)
        surfaces.draw_path(axis, path_SxP, "-")
        axis.set_title(f"{name}, B = {batch_size:,}: {len(path_SxP) - 1:,} steps to cost {cost:.3f}")
        print(f"{name}, B = {batch_size}: {len(path_SxP) - 1} steps at learning rate {RATE:g} end at cost {cost:.4f}.")


def draw_variances(axis: Any, size: Size, variances_B: np.ndarray) -> None:
    """The spread of the gradient estimate over the batch size."""
    axis.loglog(size.batch_sizes, variances_B, "o", label=f"{size.draws:,} mini-batches each")
    axis.loglog(size.batch_sizes, variances_B[0] / np.array(size.batch_sizes), "k--", label="1 / B")
    axis.set(xlabel="batch size B", ylabel="variance of the gradient")
    axis.set_title("The gradient's variance falls as 1 / B")
    axis.legend()


def draw_round(axes: np.ndarray, drawn: surfaces.Surface, r: Round, images_NxD: np.ndarray) -> None:
    """The four steps of a round of training."""
    sample, forward, cost, step = axes
    cost_B, after_B = costs_of(r, r.before_P), costs_of(r, r.after_P)
    pictures, columns = figures.as_pictures(images_NxD[r.chosen_B]), ROUND_BATCH // 2
    sample.imshow(figures.montage(pictures, columns), cmap="gray_r")
    low, high = MIDDLE.start - 0.5, MIDDLE.stop - 0.5
    for i in range(ROUND_BATCH):
        # The montage leaves a pixel between the images.
        across, down = i % columns * (pictures.shape[2] + 1), i // columns * (pictures.shape[1] + 1)
        square = np.array([[low, low], [high, low], [high, high], [low, high], [low, low]]) + np.array([across, down])
        sample.plot(*square.T, color="tab:red", linewidth=1)
    sample.set_title("1 Sample a mini-batch: x = ink in the square")
    sample.set_axis_off()
    x = np.linspace(-3, 3, 201)
    for (w, b), style, label in ((r.before_P, "-", "before"), (r.after_P, ":", "after the step")):
        forward.plot(x, 1 / (1 + np.exp(-(w * x + b))), style, color="gray", label=f"neuron {label}")
    forward.vlines(r.x_B, r.a_B, r.y_B, color="tab:red", linewidth=1)
    forward.plot(r.x_B, r.a_B, "o", color="tab:blue", label="output a")
    forward.plot(r.x_B, r.y_B, "x", color="black", label="target y")
    forward.set(xlabel="ink in the middle x (standard deviations)", ylabel="a = sigmoid(w x + b)", ylim=(-0.08, 1.45))
    forward.set_title("2 Propagate forward")
    forward.legend(fontsize=8, ncols=2, loc="upper center")
    cost.bar(range(ROUND_BATCH), cost_B, tick_label=[f"{y:.0f}" for y in r.y_B], color="tab:red")
    cost.axhline(cost_B.mean(), color="black", linestyle="--")
    cost.set(xlabel="digit", ylabel="cost (a - y)^2", title=f"3 Compute the cost: the mean is {cost_B.mean():.3f}")
    for axis in (forward, cost):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    surfaces.draw_surface(step, drawn)
    surfaces.draw_path(step, np.stack([r.before_P, r.after_P]), "-")
    step.set_title(f"4 Descend its gradient: mean now {after_B.mean():.3f}")


STUDY = Study(
    question="How does gradient descent walk down a cost surface: at which learning rates, and on how many examples?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK},
)

if __name__ == "__main__":
    command.main(STUDY)
