"""Does what saturation leaves of a hidden layer's slopes bound its sharpness, and give its largest stable rate?

    python -m experiments.escape.slope_and_sharpness [--budget=full]      45 seconds on 2 cores, full 4 minutes

Nets of one hidden layer, 784-32-10, on the first images of MNIST, untrained: all bounded activations, initial scales
from .1 to 10 times Glorot's, once of the hidden kernel alone and once of both kernels, zero biases; quadratic cost of
identity outputs, and cross-entropy of softmax. The largest eigenvalue of the Gauss-Newton block of the hidden layer
(kernel and bias) is at most |K| E[|x|^2 sum_j |v_j|^2 f'(z_j)^2], with v_j the weights that go out of unit j and K the
cost's Hessian in the logits: `trace` of `nets.slope_bounds`. It takes all ten outputs and all inputs as if they were in
line; two bounds that do not are made of the same slopes, of which the least is called the bound below. Measured are the
eigenvalues themselves, of both layers' blocks and of the whole net, by Lanczos's method. Images are
described in the space that they span, which changes no inner product, and so no eigenvalue.

The largest stable rate of the hidden layer is swept: full-batch descent on it alone, the output layer left as it is, at
rates a factor of 2^1/2 apart, and the last one below the first at which the cost rises in any of the steps. Oracles:
the eigenvalues; 2 / rate (Cohen et al. 2021), at which descent on a quadratic becomes unstable.

Bands, set before the run. A net is unsaturated where its slope mass (mean |f'| by the largest f') is .5 or more, and
saturated below .35 (at scale 10 that of tanh is about .16); there are others in between.
- No net breaks a bound: its share of the nets, with its interval, is above .98; the eigenvalue is taken with its
  residual.
- Unsaturated, the eigenvalue is more than half of the bound, in the median. Of `trace` it is, where the slope mass is
  .9 or more, what the first principal direction has of the inputs times the edge of Marchenko & Pastur's law, (H^-1/2 +
  C^-1/2)^2, within 25 %, quadratic cost: about a tenth. Saturated, it is less than half of the bound: units have their
  slopes at different examples, which no bound sees.
- From scale 1 to 10 of the hidden kernel the eigenvalue falls to less than half; without slopes it would stay.
- Unsaturated, 2 / bound is within a factor of 2 of the swept rate in 90 % of the nets (hidden kernel scaled, quadratic
  cost); 2 / eigenvalue is within 2^1/2 in the geometric mean. Saturated, 2 / bound is so in less than half.
- A net's edge lies between the larger block and twice that, as for any matrix of two blocks without negative
  eigenvalues. With activations that are odd the hidden block is the larger one at the smallest scale, and the output
  block at the largest one, in 80 % of the nets.

Afterwards, as the swept rate was seen to exceed 2 / eigenvalue where the eigenvalue is small, the sweep was repeated
beside a minimum: targets are the net's own outputs, and the kernel is a little off. Each net has its own draw.
"""

import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np

import input_pipeline
import nets
from experiments.study import claims as judge
from experiments.study import command, toolkit
from experiments.study.claims import Band, Claim, Kind, Words, against, mean_claim, share_claim
from experiments.study.study import Study
from training import figures

PIXELS, CLASSES, UNSATURATED, NEARLY_LINEAR, SATURATED = 784, 10, 0.5, 0.9, 0.35
COSTS = {"quadratic": "identity", "cross_entropy": "softmax"}
DESIGNS = ("hidden", "both")
BOUNDED = tuple(
    name for name, entry in nets.activations.ACTIVATIONS.items() if np.isfinite([*entry.range, entry.max_slope]).all()
)
ODD = ("tanh", "softsign", "hard_tanh")
# Half steps of 2 about 2 / bound.
HALVINGS_BELOW, HALVINGS_ABOVE = 4, 12
RISE, TOLERANCE, NUDGE = 1e-5, 1e-5, 1e-3
LOOKED = "added to explain a miss: the swept rate of saturated nets exceeds 2 / eigenvalue at the start"
SOURCE = "eigenvalues, by Lanczos's method"


class Size(NamedTuple):
    """Which nets, on how many images, how far eigenvalues and descents go, and the first seed."""

    activations: tuple[str, ...]
    scales: tuple[float, ...]
    costs: tuple[str, ...]
    seeds: int
    dataset: str
    images: int
    units: int
    eigenvalue_steps: int
    descent_steps: int
    seeds_from: int = 0


QUICK = Size(BOUNDED, tuple(np.geomspace(0.1, 10, 7).tolist()), tuple(COSTS), 4, "mnist", 128, 32, 30, 30)
FULL = QUICK._replace(seeds=16, images=256)
TINY = Size(("tanh",), (0.1, 10.0), ("quadratic",), 1, "synthetic", 12, 3, 30, 3)


class Nets(NamedTuple):
    """L nets of all designs, scales and seeds, in the coordinates of the images."""

    design_L: np.ndarray
    scale_L: np.ndarray
    kernel_LxDxH: jax.Array
    outgoing_LxHxC: jax.Array


class Data(NamedTuple):
    """The images in the space that they span, and one-hot labels."""

    x_BxD: jax.Array
    targets_BxC: jax.Array


class Table(NamedTuple):
    """What is measured of R nets: how they were made, slope mass, eigenvalues with their residuals, bounds, and the
    swept rate (quadratic cost; 0 where none was stable), and that beside a minimum."""

    activation: np.ndarray
    cost: np.ndarray
    design: np.ndarray
    scale: np.ndarray
    mass: np.ndarray
    hidden: np.ndarray
    residual: np.ndarray
    output: np.ndarray
    whole: np.ndarray
    trace: np.ndarray
    least: np.ndarray
    rate: np.ndarray
    calm: np.ndarray

    def of(self, which: np.ndarray) -> "Table":
        """The nets that are marked."""
        return Table(*(column[which] for column in self))


def load(size: Size) -> Data:
    """The first images of the data set."""
    dataset = input_pipeline.load(size.dataset)
    images = np.float64(dataset.images[: size.images].reshape(size.images, -1)) / 255
    left, singular, _ = np.linalg.svd(images, full_matrices=False)
    targets_BxC = np.eye(CLASSES, dtype=np.float32)[dataset.labels[: size.images]]
    return Data(jnp.asarray(left * singular, jnp.float32), jnp.asarray(targets_BxC))


def draw_nets(size: Size, inputs: int, lot: int = 0) -> Nets:
    """Gaussian kernels of Glorot's variances times the scale: no two nets of a lot, or of two lots, share a draw."""
    made = [(design, scale) for design in DESIGNS for scale in size.scales]
    scale_Sx1x1 = np.array([scale for _, scale in made])[:, None, None]
    outgoing_Sx1x1 = np.array([scale if design == "both" else 1.0 for design, scale in made])[:, None, None]
    kernels, outgoing = list[Any](), list[Any]()
    for seed in range(size.seeds_from, size.seeds_from + size.seeds):
        of_kernel, of_outgoing = jax.random.split(jax.random.fold_in(jax.random.key(seed), lot))
        kernel_SxDxH = jax.random.normal(of_kernel, (len(made), inputs, size.units))
        outgoing_SxHxC = jax.random.normal(of_outgoing, (len(made), size.units, CLASSES))
        kernels.append(kernel_SxDxH * (2 / (PIXELS + size.units)) ** 0.5 * scale_Sx1x1)
        outgoing.append(outgoing_SxHxC * (2 / (size.units + CLASSES)) ** 0.5 * outgoing_Sx1x1)
    designs, scales = zip(*made * size.seeds, strict=True)
    return Nets(np.array(designs), np.array(scales), jnp.concatenate(kernels), jnp.concatenate(outgoing))


# ---------------------------------------------------------------------------------------------------------------------
# Eigenvalues and bounds.


@partial(jax.jit, static_argnames="steps")
def measure(x_BxD: jax.Array, lanes: tuple[jax.Array, ...], steps: int) -> dict[str, jax.Array]:
    """Eigenvalues and bounds of lanes of nets, whatever their activation and cost, from their slopes, outputs, outgoing
    weights and Hessians in the logits: one net after the other, each with as many iterations as it needs."""

    def one(lane: tuple[jax.Array, ...]) -> dict[str, jax.Array]:
        slope_BxH, a_BxH, outgoing_HxC, hessian_BxCxC = lane
        found = nets.slope_bounds.layer_eigenvalues(
            slope_BxH, a_BxH, outgoing_HxC, x_BxD, hessian_BxCxC, jax.random.key(0), steps=steps, tolerance=TOLERANCE
        )
        bounds = nets.slope_bounds.hidden_bounds(slope_BxH, outgoing_HxC, x_BxD, hessian_BxCxC)
        values = {"hidden": found.hidden, "output": found.output, "whole": found.whole}
        return values | {"residual": found.residuals_3[0], "trace": bounds.trace, "least": bounds.least}

    return jax.lax.map(one, lanes)


@partial(jax.jit, static_argnames=("activation", "cost"))
def linearised(drawn: tuple[Any, Any], data: Data, activation: str, cost: str) -> tuple[Any, ...]:
    """Slopes, outputs, slope mass and the cost's Hessians in the logits of lanes of nets."""
    per_example = nets.costs.get(cost, COSTS[cost]).per_example

    def one(kernel_DxH: Any, outgoing_HxC: Any) -> tuple[Any, ...]:
        z_BxH = data.x_BxD @ kernel_DxH
        a_BxH = nets.activations.get(activation).function(z_BxH)
        slope_BxH = nets.saturation.slopes(z_BxH, activation)
        hessian = jax.hessian(lambda logits_C, target_C: per_example(logits_C[None], target_C[None])[0])
        hessian_BxCxC = jax.vmap(hessian)(a_BxH @ outgoing_HxC, data.targets_BxC)
        return slope_BxH, a_BxH, nets.saturation.slope_mass(z_BxH, activation), hessian_BxCxC

    return jax.vmap(one)(*drawn)


# ---------------------------------------------------------------------------------------------------------------------
# Descent.


@partial(jax.jit, static_argnames=("activation", "steps"))
def descend(drawn: tuple[Any, Any], data: Data, rate_LxK: Any, activation: str, steps: int, nudge: Any) -> jax.Array:
    """The quadratic cost before and after each step of full-batch descent on the hidden layer, [L, K, 1 + steps]; with
    a nudge from that far off a minimum, where the net's own outputs are the targets."""
    function = nets.activations.get(activation).function

    def one(kernel_DxH: Any, outgoing_HxC: Any, rate: Any) -> jax.Array:
        own_BxC = function(data.x_BxD @ kernel_DxH) @ outgoing_HxC
        targets_BxC = jnp.where(nudge > 0, own_BxC, data.targets_BxC)

        def mean_cost(params: Any) -> jax.Array:
            a_BxH = function(data.x_BxD @ params["kernel"] + params["bias"][None])
            return jnp.mean(nets.costs.quadratic(a_BxH @ outgoing_HxC, targets_BxC, "identity"))

        def step(params: Any, _: None) -> tuple[Any, jax.Array]:
            value, gradient = jax.value_and_grad(mean_cost)(params)
            return jax.tree.map(lambda w, g: w - rate * g, params, gradient), value

        off_DxH = nudge * jax.random.normal(jax.random.key(0), kernel_DxH.shape)
        start = {"kernel": kernel_DxH + off_DxH, "bias": jnp.zeros(kernel_DxH.shape[1])}
        return jax.lax.scan(step, start, length=steps + 1)[1]

    over_rates = jax.vmap(one, in_axes=(None, None, 0))
    return jax.vmap(over_rates)(*drawn, rate_LxK)


def last_stable(rate_K: np.ndarray, cost_KxT: np.ndarray) -> float:
    """Of rising rates the last one before the first at which the cost rises, or is NaN; 0 if that is the first."""
    falls_K = np.all(cost_KxT[:, 1:] <= (1 + RISE) * cost_KxT[:, :-1], axis=1)
    count = int(np.argmin(falls_K)) if not falls_K.all() else len(rate_K)
    return float(rate_K[count - 1]) if count else 0.0


def swept(made: tuple[Any, Any], data: Data, least_L: Any, activation: str, steps: int, nudge: float) -> np.ndarray:
    """The largest stable rate of each net, [L]."""
    rate_LxK = 2 / least_L[:, None] * 2 ** (np.arange(-HALVINGS_BELOW, HALVINGS_ABOVE + 1) / 2)
    cost_LxKxT = np.asarray(descend(made, data, jnp.asarray(rate_LxK, jnp.float32), activation, steps, nudge))
    return np.array([last_stable(*of_net) for of_net in zip(rate_LxK, cost_LxKxT, strict=True)])


def tabulate(size: Size) -> Table:
    """All nets of all activations and costs."""
    data, parts = load(size), list[Table]()
    for activation in size.activations:
        start = time.perf_counter()
        for cost in size.costs:
            made = draw_nets(size, data.x_BxD.shape[1], len(parts))
            drawn, count = (made.kernel_LxDxH, made.outgoing_LxHxC), len(made.scale_L)
            slope, a, mass_L, hessian = linearised(drawn, data, activation, cost)
            found = measure(data.x_BxD, (slope, a, drawn[1], hessian), size.eigenvalue_steps)
            numbers = {name: np.asarray(column, np.float64) for name, column in found.items()}
            rates_2xL = np.full((2, count), np.nan)
            if cost == "quadratic":
                given = drawn, data, numbers["least"], activation, size.descent_steps
                rates_2xL = [swept(*given, nudge) for nudge in (0.0, NUDGE)]
            names = np.full(count, activation), np.full(count, cost), made.design_L
            numbers |= {"mass": np.asarray(mass_L), "rate": rates_2xL[0], "calm": rates_2xL[1]}
            parts.append(Table(*names, made.scale_L, **numbers))
        print(f"{activation}: {len(size.costs)} costs, {time.perf_counter() - start:.0f} s", flush=True)
    return Table(*(np.concatenate(column) for column in zip(*parts, strict=True)))


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def bound_claims(t: Table) -> list[Claim]:
    """The bounds hold in every net."""
    claims = list[Claim]()
    for key, bound in (("trace", t.trace), ("least", t.least)):
        # Sums in float32 have seven digits.
        holds = t.hidden + t.residual <= bound * (1 + 1e-4)
        name = f"nets in which the hidden block's eigenvalue is within the bound, {key} of slope_bounds"
        ratio = t.hidden / bound
        note = f"eigenvalue by bound: largest {ratio.max():.4f}, smallest {ratio.min():.2g}"
        words: Words = {"rival": "one net in fifty breaks it, .98", "rival_at": 0.98, "note": note}
        band = (judge.above(0.98), 1.0)
        claims.append(share_claim(f"holds/{key}", name, "oracle", SOURCE, holds, band, sample="nets", **words))
    return claims


def median_of(values: np.ndarray) -> float:
    """The median, NaN of nothing."""
    return float(np.median(values)) if len(values) else float("nan")


def median_claim(
    key: str, name: str, names: tuple[Kind, str], values: np.ndarray, band: Band, **words: Unpack[Words]
) -> Claim:
    """A claim of a median over nets, of (kind, source), with the interval between order statistics."""
    within, of = toolkit.median_interval(values), {"count": len(values), "sample": "nets", "values": values}
    return judge.interval_claim(key, name, *names, median_of(values), within, band, **of, **words)


def tight_claims(t: Table, linear: float) -> list[Claim]:
    """How much of the bounds there is."""
    unsaturated, saturated = t.of(t.mass >= UNSATURATED), t.of(t.mass < SATURATED)
    straight = t.of((t.mass >= NEARLY_LINEAR) & (t.cost == "quadratic"))
    name = "unsaturated nets, hidden eigenvalue over the bound, median"
    by_trace = median_of(unsaturated.hidden / unsaturated.trace)
    values = unsaturated.hidden / unsaturated.least
    ours: tuple[Kind, str] = "ours", SOURCE
    first = median_claim("tight/unsaturated", name, ours, values, (0.5, 1.001))
    claims = [against(first, f"as loose as the trace: {by_trace:.2f}", by_trace)]
    name = f"slope mass {NEARLY_LINEAR:g} or more, hidden eigenvalue over trace, over that of a linear layer, median"
    values = straight.hidden / straight.trace / linear
    closed: tuple[Kind, str] = "oracle", "Marchenko & Pastur's edge"
    line = median_claim("tight/trace", name, closed, values, (0.8, 1.25), note=f"a linear layer has {linear:.3f}")
    claims.append(against(line, f"tight: {1 / linear:.1f}", 1 / linear))
    name, values = "saturated nets, hidden eigenvalue over the bound, median", saturated.hidden / saturated.least
    note = f"by trace {median_of(saturated.hidden / saturated.trace):.3f}"
    words: Words = {"rival": "as tight as of unsaturated nets: .5 or more", "rival_at": 0.5, "note": note}
    return [*claims, median_claim("tight/saturated", name, ours, values, (0.0, judge.below(0.5)), **words)]


def lowers_claim(t: Table, size: Size) -> Claim:
    """Saturation lowers the eigenvalue: hidden kernel alone, the largest scale by the scale nearest to 1."""
    middle = min(size.scales, key=lambda scale: abs(np.log(scale)))
    of_scale = [t.of((t.design == "hidden") & (t.scale == scale)) for scale in (size.scales[-1], middle)]
    ratios, bounds = (of_scale[0].hidden / of_scale[1].hidden, of_scale[0].least / of_scale[1].least)
    name = f"hidden eigenvalue at scale {size.scales[-1]:g} by that at {middle:g}, hidden kernel scaled, geometric mean"
    note = f"the bound falls to {np.exp(np.mean(np.log(bounds))):.3f} of what it was"
    words: Words = {"rival": "no effect of saturation: 1", "rival_at": 1.0, "note": note}
    return mean_claim("lowers", name, "ours", SOURCE, ratios, (0.0, 0.5), sample="pairs of nets", log=True, **words)


def is_near(values: np.ndarray, others: np.ndarray | float, factor: float = 2.0) -> np.ndarray:
    """Whether two positive numbers are within that factor, which a rate of 0 never is."""
    return (values * factor >= others) & (values <= others * factor)


def near_claim(key: str, which: str, kind: Kind, t: Table, band: Band, rival: str, at: float) -> Claim:
    """The share of nets whose swept rate is within a factor of 2 of 2 / bound, beside a rival at that share."""
    name = f"{which}: nets whose swept rate is within a factor of 2 of 2 / bound"
    exact, times = np.mean(is_near(t.rate, 2 / t.hidden)), median_of(t.rate * t.least / 2)
    note = f"of 2 / eigenvalue in a share of {exact:.2f}; the swept rate is {times:.2g} times 2 / bound in the median"
    near = is_near(t.rate, 2 / t.least)
    line = share_claim(f"rate/{key}", name, kind, "2 / bound", near, band, sample="nets", note=note)
    return against(line, f"{rival}: {at:.2f}", at)


def best_guess(rates: np.ndarray) -> float:
    """The largest share of nets that one rate for all is within a factor of 2 of; NaN of fewer than two nets."""
    guesses = rates[rates > 0] if len(rates) > 1 else []
    return max((float(np.mean(is_near(rates, guess))) for guess in guesses), default=float("nan"))


def rate_claims(t: Table) -> list[Claim]:
    """The swept rate against what the slopes say."""
    t = t.of(t.cost == "quadratic")
    alone, both = t.of(t.design == "hidden"), t.of((t.design == "both") & (t.mass >= UNSATURATED))
    unsaturated, saturated = alone.of(alone.mass >= UNSATURATED), alone.of(alone.mass < SATURATED)
    ratio, by_trace = unsaturated.rate * unsaturated.hidden / 2, unsaturated.hidden / unsaturated.trace
    name, source = "the same nets, swept rate by 2 / eigenvalue, geometric mean", "Cohen et al. 2021: 2 / rate"
    note, of = "the grid of rates is 2^1/2 apart", "nets"
    cohen = mean_claim("rate/cohen", name, "oracle", source, ratio, (2**-0.5, 2**0.5), sample=of, log=True, note=note)
    cohen = against(cohen, f"2 / trace: {median_of(by_trace):.2f}", median_of(by_trace))
    one, which, band = "one rate for all, the best", "hidden kernel scaled, {}", (0.9, 1.0)
    guess, calm = best_guess(unsaturated.rate), unsaturated._replace(rate=unsaturated.calm)
    first = near_claim("unsaturated", which.format("unsaturated"), "oracle", unsaturated, band, one, guess)
    guess = best_guess(both.rate)
    second = near_claim("both", "both kernels scaled, unsaturated", "ours", both, band, one, guess)
    third = near_claim("saturated", which.format("saturated"), "ours", saturated, (0.0, 0.5), "as unsaturated", 0.9)
    fourth = near_claim("minimum", "as the first, beside a minimum", "oracle", calm, band, one, best_guess(calm.rate))
    return [first, cohen, second, third, dataclasses.replace(fourth, exploratory=LOOKED)]


def edge_claims(t: Table, size: Size) -> list[Claim]:
    """Which block sets the edge of the net."""
    ratio = t.whole / np.maximum(t.hidden, t.output)
    name = "eigenvalue of the whole net by that of its larger block, largest"
    note = f"the smallest is {ratio.min():.3f}, the median {np.median(ratio):.3f}"
    words = {"count": len(ratio), "sample": "matrices", "rival": "more than two layers' worth: above 2", "note": note}
    most = float(ratio.max())
    claims = [judge.exact_claim("edge/blocks", name, "oracle", "closed form", most, (0.999, 2.0), **words)]
    odd = t.of((t.design == "hidden") & np.isin(t.activation, ODD))
    for key, scale, block in (("small", size.scales[0], "hidden"), ("large", size.scales[-1], "output")):
        at = odd.of(odd.scale == scale)
        is_larger = at.hidden > at.output if block == "hidden" else at.output > at.hidden
        name = f"odd activations, scale {scale:g} of the hidden kernel: nets whose larger block is the {block} layer's"
        note = f"hidden by output eigenvalue {np.exp(np.mean(np.log(at.hidden / at.output))):.3g}, geometric mean"
        of_block: Words = {"rival": "chance: .5", "rival_at": 0.5, "note": note}
        line = share_claim(f"edge/{key}", name, "ours", SOURCE, is_larger, (0.8, 1.0), sample="nets", **of_block)
        claims.append(line)
    return claims


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    t = tabulate(size)
    linear = nets.slope_bounds.linear_share(np.asarray(load(size).x_BxD), size.units, CLASSES)
    claims = [*bound_claims(t), *tight_claims(t, linear), lowers_claim(t, size)]
    claims += [*rate_claims(t), *edge_claims(t, size)]
    return draw(t, size), claims


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw(t: Table, size: Size) -> Any:
    """Eigenvalues against the bound; both layers' by scale; the swept rate against what slopes say."""
    figure, axes = figures.new_figure(17, 5.4, 3)
    for i, activation in enumerate(size.activations):
        of = t.of(t.activation == activation)
        axes[0].plot(of.least, of.hidden, ".", color=f"C{i}", markersize=4, label=activation)
    ends = np.array([t.least.min(), t.least.max()])
    axes[0].plot(ends, ends, "k-", label="bound")
    axes[0].plot(ends, ends / 2, "k:", label="half of it")
    axes[0].set(xscale="log", yscale="log", xlabel="bound, from slopes and outgoing weights")
    axes[0].set_ylabel("hidden block's largest eigenvalue, cost / weight$^2$")
    broken = int(np.sum(t.hidden > t.least * (1 + 1e-4)))
    axes[0].set_title(f"{broken} of {len(t.hidden)} nets break the bound")
    draw_scales(axes[1], t, size)
    draw_rates(axes[2], t)
    for axis in axes:
        axis.grid(alpha=0.3)
        toolkit.legend_below(axis, columns=3)
    return figure


def draw_scales(axis: Any, t: Table, size: Size) -> None:
    """The eigenvalue of each layer's block by the scale of the hidden kernel, of an odd activation and another."""
    shown = [name for name in ("tanh", "sigmoid") if name in size.activations]
    for i, activation in enumerate(shown):
        of = t.of((t.activation == activation) & (t.design == "hidden") & (t.cost == "quadratic"))
        columns = ("-o", "hidden", of.hidden), ("--", "output", of.output), (":", "bound", of.least)
        for style, block, column in columns:
            medians = [median_of(column[of.scale == scale]) for scale in size.scales]
            axis.plot(size.scales, medians, style, color=f"C{i}", markersize=4, label=f"{activation}, {block}")
    axis.set(xscale="log", yscale="log", xlabel="scale of the hidden kernel, times Glorot's")
    axis.set_ylabel("largest eigenvalue, quadratic cost, median")
    axis.set_title("Saturation lowers the hidden block, not the output's")


def draw_rates(axis: Any, t: Table) -> None:
    """The swept rate of the hidden layer by 2 / bound, against the slope mass."""
    alone = t.of((t.cost == "quadratic") & (t.design == "hidden"))
    for i, activation in enumerate(dict.fromkeys(t.activation.tolist())):
        of = alone.of((alone.activation == activation) & (alone.rate > 0))
        axis.plot(of.mass, of.rate * of.least / 2, "o", color=f"C{i}", markersize=4, label=activation)
    axis.axhspan(0.5, 2, color="tab:green", alpha=0.12, label="within a factor of 2")
    axis.axvline(UNSATURATED, color="gray", linestyle="--")
    axis.axvline(SATURATED, color="gray", linestyle=":")
    axis.set(yscale="log", xlabel="slope mass: mean |f'| by the largest f'", ylabel="swept stable rate by 2 / bound")
    of = alone.of(alone.mass >= UNSATURATED)
    axis.set_title(f"2 / bound gives the rate of {np.mean(is_near(of.rate, 2 / of.least)):.0%} of unsaturated nets")


STUDY = Study(
    question="Does what saturation leaves of a hidden layer's slopes bound its sharpness, and give its stable rate?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
)

if __name__ == "__main__":
    command.main(STUDY)
