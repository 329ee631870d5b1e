"""The pictures of the lecture's notebook that its sliders draw again, each with its words.

The numbers are those of `nets`, of training and of the studies; here they are drawn. D inputs, H neurons, W walkers.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nets
from experiments.classroom.notebook import Drawn
from experiments.escape import two_wells
from experiments.lecture import gradient_descent, neurons, perceptron
from experiments.saturation import saturated_neuron
from experiments.study import surfaces
from training import figures

# Of a layer in the drawing of a net, at most so many neurons; those between are left out.
MOST_NEURONS = 11
Z_LIMIT = 6.0
# An output that has gone no farther than this has not learnt.
STANDS_STILL = 0.05
SURVIVORS, WALKED = 400, 8_000
WALKS, WALK_STEPS, SHOWN_WALKS = 100, 1_000, 5


# ---------------------------------------------------------------------------------------------------------------------
# The perceptron, and the net.


def draw_perceptron(meal: Sequence[int], threshold: float = perceptron.THRESHOLD) -> Drawn:
    """The hot dog detector: its inputs, weights and threshold, the sum, and whether it fires."""
    weights = np.array(perceptron.WEIGHTS)
    unit = nets.perceptron.from_threshold(weights, threshold)
    fires, total = bool(nets.perceptron.forward(unit, np.array(meal, np.float32))), float(np.dot(meal, weights))
    figure, (axis,) = figures.new_figure(7.5, 3.2)
    for height, name, x, w in zip((2, 1, 0), perceptron.INGREDIENTS, meal, weights, strict=True):
        colour = "tab:red" if x else "lightgray"
        axis.plot([1, 3], [height, 1], color=colour, linewidth=w, zorder=0)
        axis.plot(1, height, "o", markersize=24, color=colour, markeredgecolor="black")
        axis.text(1, height, x, ha="center", va="center", fontsize=12)
        axis.text(0.75, height, name, ha="right", va="center", fontsize=11)
        axis.text(1.85, 1 + 0.575 * (height - 1) + 0.12, f"w = {w:g}", ha="center", va="bottom", fontsize=11)
    axis.plot(3, 1, "o", markersize=62, color="tab:red" if fires else "white", markeredgecolor="black")
    axis.text(3, 1, f"sum\n{total:g}", ha="center", va="center", fontsize=12, color="white" if fires else "black")
    axis.annotate("", (4.1, 1), (3.42, 1), arrowprops={"arrowstyle": "->", "linewidth": 2})
    axis.text(4.2, 1, f"{int(fires)}: {'a hot dog' if fires else 'no hot dog'}", va="center", fontsize=13)
    compared = f"{total:g} is {'more' if fires else 'not more'} than the threshold, {threshold:g}"
    axis.set(xlim=(-0.2, 5.6), ylim=(-0.5, 2.5), title=f"{compared}: {'it fires' if fires else 'it does not fire'}")
    axis.set_axis_off()
    inputs = ", ".join(
        f"{name} {x} (weight {w:g})" for name, x, w in zip(perceptron.INGREDIENTS, meal, weights, strict=True)
    )
    return Drawn(figure, f"A perceptron with three inputs, {inputs}. {compared}, so that its output is {int(fires)}.")


def count_lines(params: Any) -> list[str]:
    """How many weights and biases each layer has, and all of them."""
    shapes = [jax.tree.map(np.shape, layer)["kernel"] for layer in params.values()]
    lines = [f"{i:,} x {o:,} weights + {o:,} biases = {i * o + o:,}" for i, o in shapes]
    return [*lines, f"{sum(i * o + o for i, o in shapes):,} in all"]


def draw_net(params: Any, words: Sequence[str]) -> Drawn:
    """A net of dense layers, its neurons and how many weights lie between them; below, each of its weights as a pixel.
    `words` are what the layers are called, the inputs among them."""
    kernels = [np.asarray(layer["kernel"]) for layer in params.values()]
    biases = [np.asarray(layer["bias"]) for layer in params.values()]
    sizes, lines = [len(kernels[0]), *(kernel.shape[1] for kernel in kernels)], count_lines(params)
    figure, (graph, *matrices) = figures.new_figure(9, 3.6 + 1.4 * len(kernels), 1, 1 + len(kernels))
    graph.get_subplotspec().get_gridspec().set_height_ratios([3.2, *(1.3 for _ in kernels)])
    for i, kernel in enumerate(kernels):
        _draw_weights(graph, i, kernel)
        graph.text(i + 0.5, -0.66, lines[i].replace(" = ", "\n= "), ha="center", va="top", fontsize=10)
    for i, (size, word) in enumerate(zip(sizes, words, strict=True)):
        at = _heights(size)
        graph.plot([i] * len(at), at, "o", markersize=11, color="white", markeredgecolor="black")
        if size > len(at):
            graph.text(i, 0, "...", rotation=90, ha="center", va="center", fontsize=16)
        graph.text(i, 0.62, f"{size:,} {word}", ha="center", va="bottom", fontsize=11)
    for c, height in enumerate(_heights(sizes[-1]) if sizes[-1] <= MOST_NEURONS else ()):
        graph.text(len(kernels) + 0.07, height, c, va="center", fontsize=10)
    graph.set(
        xlim=(-0.4, len(kernels) + 0.4),
        ylim=(-0.95, 0.75),
        title=f"{lines[-1].removesuffix(' in all')} weights and biases",
    )
    graph.set_axis_off()
    for axis, kernel, bias, line in zip(matrices, kernels, biases, lines[:-1], strict=True):
        both = np.concatenate([kernel, bias[None]]).T
        limit = float(np.abs(both).max()) or 1.0
        axis.imshow(both, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        axis.set(
            title=f"a pixel each: {line}; blue -{limit:.2g}, red {limit:.2g}",
            ylabel="to neuron",
            xlabel="from input; bias last",
        )
        axis.title.set_fontsize(10)
    layers = ", ".join(f"{size:,} {word}" for size, word in zip(sizes, words, strict=True))
    said = f"A net drawn as layers of neurons, each joined to all of the next: {layers}. {'; '.join(lines)}."
    return Drawn(figure, f"{said} Below, every weight is a pixel, red above zero and blue below.")


def _heights(size: int) -> np.ndarray:
    """Where the neurons of a layer are drawn; of too many the first and the last ones, with a gap."""
    at = np.linspace(0.5, -0.5, min(size, MOST_NEURONS)) if size > 1 else np.zeros(1)
    return at if size <= MOST_NEURONS else np.delete(at, MOST_NEURONS // 2)


def _draw_weights(axis: Any, layer: int, kernel_DxH: np.ndarray) -> None:
    """Lines between the neurons that are drawn, the stronger the larger the weight."""
    shown = [_heights(size) for size in kernel_DxH.shape]
    chosen = [np.linspace(0, size - 1, len(at)).astype(int) for size, at in zip(kernel_DxH.shape, shown, strict=True)]
    weights = kernel_DxH[np.ix_(*chosen)]
    scale = np.abs(weights).max() or 1.0
    for i, low in enumerate(shown[0]):
        for j, high in enumerate(shown[1]):
            colour = "tab:red" if weights[i, j] > 0 else "tab:blue"
            strength = 0.08 + 0.6 * abs(weights[i, j]) / scale
            axis.plot([layer, layer + 1], [low, high], color=colour, alpha=strength, linewidth=1, zorder=0)


# ---------------------------------------------------------------------------------------------------------------------
# One neuron.


def draw_neuron(activation: str, z: float) -> Drawn:
    """An activation and its slope, with the tangent at a weighted input."""
    z_G = np.linspace(-Z_LIMIT, Z_LIMIT, 241, dtype=np.float32)
    values, slopes = (np.asarray(values) for values in _value_and_slope(activation, np.append(z_G, np.float32(z))))
    a, slope = float(values[-1]), float(slopes[-1])
    figure, (axis,) = figures.new_figure(9, 3.6)
    axis.plot(z_G, values[:-1], label="output a = f(z)")
    axis.plot(z_G, slopes[:-1], "--", label="slope f'(z)")
    near = np.array([z - 1.5, z + 1.5])
    axis.plot(near, a + slope * (near - z), color="black", linewidth=1)
    axis.plot(z, a, "ko", label=f"z = {z:g}: a = {a:.4f}, slope {slope:.4f}")
    learns = "saturated: it hardly learns" if neurons.is_flat(activation, slope) else "it learns"
    name = activation.replace("_", " ")
    axis.set(xlabel="weighted input z = w.x + b", title=f"{name} at z = {z:g}: {learns}")
    # Of outputs without bounds the lower part is shown, as steep as all others.
    axis.set_ylim(min(-0.2, values.min() - 0.2), min(values.max(), 3.0) + 0.2)
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    said = f"The {name} neuron's output and slope for weighted inputs from -6 to 6. At z = {z:g} it answers {a:.4f}"
    return Drawn(figure, f"{said} with slope {slope:.4f}: {learns}.")


def _value_and_slope(activation: str, z_G: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """a and da/dz at each z."""
    function = nets.activations.get(activation).function
    return jax.jit(jax.vmap(jax.value_and_grad(function)))(jnp.asarray(z_G))


def draw_saturated(w: float, b: float, rate: float) -> Drawn:
    """How fast one sigmoid neuron unlearns a wrong answer by either cost; its input is 1, its target 0."""
    figure, (axis,) = figures.new_figure(7.5, 3.8)
    said: list[str] = []
    for cost, colour in (("quadratic", "tab:blue"), ("cross_entropy", "tab:green")):
        a_S = saturated_neuron.outputs(saturated_neuron.true_slope, cost, w, b, rate)
        half, name = int(np.argmax(a_S < (a_S[0] + a_S[-1]) / 2)), cost.replace("_", "-")
        moved = f"half-way at step {half}" if a_S[0] - a_S[-1] > STANDS_STILL else "it hardly moves"
        said.append(f"{name} from {a_S[0]:.2f} to {a_S[-1]:.2f}, {moved}")
        axis.plot(a_S, color=colour, label=said[-1])
    axis.set(xlabel="step", ylabel="output a (target 0)", ylim=(0, 1.02))
    axis.set_title(f"One sigmoid neuron from w = {w:g}, b = {b:g} at learning rate {rate:g}")
    axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", frameon=False)
    steps = f"The output of one sigmoid neuron over {saturated_neuron.STEPS} steps, from w = {w:g}, b = {b:g}"
    return Drawn(figure, f"{steps} at learning rate {rate:g}: {'; '.join(said)}.")


# ---------------------------------------------------------------------------------------------------------------------
# Descents, and escapes.


class Bowl:
    """The bowl of two weights of the study of gradient descent, with its surface and its steepest curvature."""

    def __init__(self) -> None:
        _, x_NxP, y_N = gradient_descent.zeros_and_ones(gradient_descent.QUICK.examples)
        _, self.problem, self.neuron = gradient_descent.problems(x_NxP, y_N)
        self.mean_cost = jax.jit(lambda w_P: jnp.mean(self.problem.cost(w_P, self.problem.data)))
        # Of two weights the Hessian is written out at once.
        self.top = float(np.linalg.eigvalsh(jax.jit(jax.hessian(self.mean_cost))(self.problem.start_P))[-1])
        limits, labels = (-1.6, 1.6), ("weight of the whole image", "weight of its middle")
        self.surface = surfaces.surface(self.problem.cost, self.problem.data, labels, limits, limits, 61)

    def draw(self, times: float) -> Drawn:
        """Gradient descent at a rate of so many times 1 / lambda, its path and its cost."""
        problem, steps = self.problem, gradient_descent.BOWL_STEPS
        order = gradient_descent.all_examples(problem.examples, steps)
        path_SxP = gradient_descent.descend(
            problem.cost, problem.start_P, jnp.float32(times / self.top), problem.data, order
        )
        cost_S = np.array([float(self.mean_cost(w_P)) for w_P in path_SxP])
        kind = (
            "too small"
            if times < 0.5
            else "no overshooting"
            if times <= 1
            else "oscillating"
            if times < 2
            else "diverging"
        )
        figure, (across, along) = figures.new_figure(10, 4, 2)
        surfaces.draw_surface(across, self.surface)
        surfaces.draw_path(across, path_SxP, "o-")
        across.set_title(f"learning rate {times:g} / lambda: {kind}")
        along.plot(cost_S, "o-", markersize=3)
        along.set(
            xlabel="step", ylabel="cost", yscale="log", title=f"the cost goes from {cost_S[0]:.3g} to {cost_S[-1]:.3g}"
        )
        along.grid(alpha=0.3)
        said = (
            f"{steps} steps of gradient descent on a bowl of two weights at learning rate {times:g} / lambda: {kind}."
        )
        return Drawn(figure, f"{said} The cost goes from {cost_S[0]:.3g} to {cost_S[-1]:.3g}.")


def draw_wells() -> Drawn:
    """The two wells of one neuron's quadratic cost."""
    w_G = np.linspace(-2, 40, 400)
    cost_G = nets.curvature.cost_on_line(two_wells.quadratic, 0.0, 1.0, w_G, two_wells.examples())
    figure, (axis,) = figures.new_figure(8, 3.8)
    axis.plot(w_G, cost_G)
    low, barrier, flat = two_wells.PLACES.values()
    axis.axvline(barrier, color="gray", linestyle="--", label=f"the barrier, w = {barrier:g}")
    axis.plot(two_wells.START, np.interp(two_wells.START, w_G, cost_G), "ko", label=f"start, w = {two_wells.START:g}")
    title = f"The well at w = {low:.1f} is the deeper one, that at {flat:.0f} the flatter one"
    axis.set(xlabel="weight w", ylabel="cost: mean (a - y)^2", title=title)
    axis.grid(alpha=0.3)
    axis.legend()
    return Drawn(
        figure, f"The cost over the weight w has two wells, with a barrier between them at {barrier:g}. {title}."
    )


def draw_walks(rate: float, batch: int) -> Drawn:
    """Walks of SGD from the deeper well, beside gradient descent from there, and how many of them leave it."""
    count = len(two_wells.examples()[0])
    drawn = jax.random.randint(jax.random.key(0), (WALKS, WALK_STEPS, batch), 0, count)
    start, data = jnp.float32(two_wells.START), two_wells.examples()

    def walk(order_SxB: jax.Array) -> jax.Array:
        return gradient_descent.descend(two_wells.quadratic, start, jnp.float32(rate), data, order_SxB)

    w_WxS = np.asarray(jax.vmap(walk)(drawn))
    everything_S = np.asarray(walk(gradient_descent.all_examples(count, WALK_STEPS)))
    left = int(np.any(w_WxS > two_wells.BARRIER, axis=1).sum())
    figure, (axis,) = figures.new_figure(8, 4)
    axis.plot(w_WxS[:SHOWN_WALKS].T, alpha=0.6)
    axis.plot(everything_S, "k", linewidth=2, label=f"gradient descent, all {count} examples a step")
    axis.plot([], [], color="C0", label=f"five walks of batch size {batch}")
    axis.axhline(two_wells.PLACES["barrier"], color="gray", linestyle="--", label="the barrier")
    does = "stays in" if everything_S[-1] < two_wells.BARRIER else "leaves too"
    ends = f"{left} of {WALKS} walks leave the well that gradient descent {does}"
    axis.set(xlabel="step", ylabel="weight w", title=ends)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")
    said = f"The weight over {WALK_STEPS} steps at learning rate {rate:g} and batch size {batch}: {ends}."
    return Drawn(figure, f"{said} Gradient descent ends at w = {everything_S[-1]:.2f}.")


def draw_survival(rate: float, batch: int) -> Drawn:
    """How many walkers are still in the deeper well, step by step, and the median step at which they leave it."""
    steps_W, censored_W, _ = two_wells.passage((rate, batch), SURVIVORS, WALKED)
    curve, median = nets.escape.kaplan_meier(steps_W, censored_W), nets.escape.median_passage(steps_W, censored_W)
    left = int(np.sum(~np.asarray(censored_W)))
    figure, (axis,) = figures.new_figure(8, 3.8)
    # To the last step, where those that are left are censored.
    times, survival = (np.append(x, x[-1]) for x in curve[:2])
    times[-1] = WALKED
    axis.step(times, survival, where="post")
    half = f": half of them after {median.median:,.0f}" if np.isfinite(median.median) else ", less than half of them"
    title = f"{left} of {SURVIVORS} walkers leave within {WALKED:,} steps{half}"
    axis.set(xlabel="steps", ylabel="share still in the first well", title=title)
    axis.set(xscale="log", xlim=(10, WALKED), ylim=(-0.02, 1.02))
    axis.grid(alpha=0.3)
    said = f"The share of walkers that are still in the first well, at learning rate {rate:g} and batch size {batch}."
    return Drawn(figure, f"{said} {title}.")
