"""How long do deep sigmoid nets stay on their plateau, and does the most negative curvature there say so?

    python -m experiments.escape.saturated_saddle [--budget=full]      1 minute on 2 cores, full 20 with fresh seeds

Glorot & Bengio's (2010) deep sigmoid nets answer the shares of the classes to every image for a long time, with a top
layer that has fallen to 0. Near such a plateau the cost is a saddle. The linearised descent leaves it at

    rate x steps = ln(1 / delta) / lambda     -lambda the most negative eigenvalue of the Hessian, delta the overlap

(`nets.saddle`, which has nothing to fit). delta is the distance from the saddle along the eigenvector, slope over
lambda, over that at which the quadratic cost has fallen by as much as counts as leaving. Beside it the linearised
descent along all eigenvectors at once, of which there are many with much the same lambda. One law has to cover 3, 4
and 5 layers and rates from .1 to 1.6, of which the rival, a time that depends on the rate alone, knows nothing.

The nets are those of `deep_saturation`: layers of 50 sigmoids, weights U[+-1 / sqrt n], zero biases, softmax cross-
entropy, batches of 10 (here drawn with replacement), at most 15,000 steps. They learn the first 500 images of MNIST; as
descent commutes with rotations of the inputs, these and the first layer's draw are turned to the images' main axes, of
which the first 50 are kept, 90 % of their squares. A net has left once its cost over all images, at the best output
biases, is 2 % below the entropy of the classes, that of the best constant. The plateau is looked at once, at rate x
steps = 50, at the best output biases as well: they are fast, and their noise in small batches would be taken for
curvature.

Bands, set before the run: the geometric mean over the seeds of measured over predicted time within a factor of 1.5 in
each setting; a correlation of logs of .95 over the settings, times counted as rate x steps, so that the rate itself
gives none; full-batch descent as late as small batches, in rate x steps, within a factor of 1.5. Whether a net leaves
within the budget is said rightly of 70 % or more (at first the share that leaves was to lie in Wilson's interval of
that predicted, in which no exact interval of as many nets can lie). What counts as leaving, the time of the look and
the best output biases were chosen in runs of seven nets with other seeds, so that every line is exploratory.
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

import input_pipeline
import nets
from experiments.study import command, toolkit
from experiments.study.claims import Band, Claim, against, interval_claim, mean_claim, share_claim
from experiments.study.study import Study
from training import figures

CLASSES = 10
SMALL = 10  # The batch of the nets.
# Rate x steps at which the plateau is looked at; the share of the entropy by which the cost has fallen when a net has
# left; between two looks at that, rate x steps by layers: some 2 % of the leaving time.
LOOKED_AT, LEFT = 50.0, 0.02
EVERY = {3: 8.0, 4: 32.0, 5: 128.0}
# Of the output biases, which settle at once on the plateau, and of Lanczos from the gradient.
SETTLING, LANCZOS = 15, 40
FACTOR, RIGHT = 1.5, 0.7
SHOWN, SHOWN_CURVATURE = (100.0, 40_000.0), (1e-4, 0.03)
BAND: Band = (1 / FACTOR, FACTOR)
SOURCE = "nets.saddle"
PREDICTIONS = {"law": "ln(1/delta)/lambda", "descent": "the time of the linearised descent along all directions"}
CHOSEN = "what counts as leaving, the time of the look and the settled biases were chosen in runs of seven other nets"
RESTATED = f"{CHOSEN}; restated, as no sample could pass the first band"
EXPLORATORY = {"law": CHOSEN, "descent": f"{CHOSEN}; claims since a run with six of these seeds, where it was a note"}


class Setting(NamedTuple):
    """Nets of so many hidden layers, their rate, and examples in a batch (0: all)."""

    layers: int
    rate: float
    batch: int = SMALL

    @property
    def key(self) -> str:
        """`4layers/rate0.8`, and `/all` where a batch has all examples."""
        return f"{self.layers}layers/rate{self.rate:g}" + "/all" * (not self.batch)

    @property
    def words(self) -> str:
        """For the scoreboard."""
        return f"{self.layers} layers, rate {self.rate:g}, {f'batch {self.batch}' if self.batch else 'all images'}"


class Size(NamedTuple):
    """Images, main axes that are kept, units a layer; seeds and steps; which nets are trained; of which the share that
    leaves is judged; the first seed."""

    images: int
    axes: int
    units: int
    seeds: int
    steps: int
    settings: tuple[Setting, ...]
    shares: tuple[Setting, ...]
    seeds_from: int = 0


RATES = (0.1, 0.2, 0.4, 0.8, 1.6)
SHARES = (Setting(5, 0.8), Setting(5, 1.6))
SETTINGS = (*(Setting(3, r) for r in RATES), *(Setting(4, r) for r in RATES[1:]), *SHARES, Setting(3, 1.6, 0))
QUICK = Size(images=500, axes=50, units=50, seeds=12, steps=15_000, settings=SETTINGS, shares=SHARES)
MORE = (*(Setting(n, r) for n in EVERY for r in RATES), Setting(3, 1.6, 0), Setting(3, 0.4, 0))
FULL = QUICK._replace(seeds=72, settings=MORE)
TINY = Size(60, 5, 4, 2, 40, (Setting(3, 1.6),), (Setting(3, 1.6),))


class Data(NamedTuple):
    """Images in their first K main axes and labels as C outputs; the axes, [pixels, K]; the entropy of the classes."""

    x_NxK: jax.Array
    y_NxC: jax.Array
    axes_DxK: jax.Array
    entropy: float


def load(size: Size) -> Data:
    """The first images of MNIST."""
    dataset = input_pipeline.load("mnist")
    x_NxD = dataset.images[: size.images].reshape(size.images, -1).astype(np.float32) / 255
    y_NxC = np.eye(CLASSES, dtype=np.float32)[dataset.labels[: size.images]]
    axes_DxK = np.linalg.svd(x_NxD, full_matrices=False)[2][: size.axes].T
    shares_C = y_NxC.mean(axis=0)
    entropy = -float(np.sum(shares_C * np.log(np.maximum(shares_C, 1e-9))))
    return Data(jnp.asarray(x_NxD @ axes_DxK), jnp.asarray(y_NxC), jnp.asarray(axes_DxK), entropy)


class Walk(NamedTuple):
    """Where a descent is, after how many steps, and whether its net has left."""

    params: Any
    steps: jax.Array
    left: jax.Array


class Programs(NamedTuple):
    """What is compiled for nets of a depth: `draw(key, axes)`; `descend(walk, key, data, numbers)` with numbers rate,
    last step, steps between looks and the cost below which a net has left; `look(params, data)`, eigenvalues and
    squared slopes."""

    draw: Callable[..., Any]
    descend: Callable[..., Walk]
    look: Callable[..., tuple[jax.Array, jax.Array]]


def settled(params: Any, top_NxH: jax.Array, y_NxC: jax.Array) -> tuple[Any, jax.Array]:
    """The params with output biases at which the mean outputs are the shares of the classes, the best ones, and the
    mean cost there."""
    kernel_HxC, bias_C = params["output"]["kernel"], params["output"]["bias"]
    logits_NxC, shares_C = jnp.matmul(top_NxH, kernel_HxC), jnp.maximum(jnp.mean(y_NxC, axis=0), 1e-9)

    def improved(_: int, bias_C: jax.Array) -> jax.Array:
        means_C = jnp.mean(jax.nn.softmax(logits_NxC + bias_C[None]), axis=0)
        return bias_C + jnp.log(shares_C / means_C)

    bias_C = jax.lax.fori_loop(0, SETTLING, improved, bias_C)
    costs_N = nets.costs.cross_entropy(logits_NxC + bias_C[None], y_NxC, "softmax")
    return params | {"output": {"kernel": kernel_HxC, "bias": bias_C}}, jnp.mean(costs_N)


@functools.cache
def programs(layers: int, units: int, batch: int) -> Programs:
    """The programs of nets of so many layers; with a batch of 0 each step takes all examples."""
    net = nets.MLP(hidden=(units,) * layers, classes=CLASSES, kernel_init="glorot_standard")

    def outputs(params: Any, x_BxK: jax.Array) -> tuple[jax.Array, jax.Array]:
        applied: Any = net.apply({"params": params}, x_BxK)
        logits_BxC, named = applied
        return logits_BxC, named[f"hidden_{layers - 1}/a"]

    def mean_cost(params: Any, x_BxK: jax.Array, y_BxC: jax.Array) -> jax.Array:
        return jnp.mean(nets.costs.cross_entropy(outputs(params, x_BxK)[0], y_BxC, "softmax"))

    @jax.jit
    def draw(key: jax.Array, axes_DxK: jax.Array) -> Any:
        """The net's own draw, its first layer turned to the main axes."""
        params: Any = net.init(key, jnp.zeros((1, len(axes_DxK))))["params"]
        first = params["hidden_0"] | {"kernel": axes_DxK.T @ params["hidden_0"]["kernel"]}
        return params | {"hidden_0": first}

    @jax.jit
    def descend(walk: Walk, key: jax.Array, data: Data, numbers: tuple[jax.Array, ...]) -> Walk:
        rate, last, every, below = numbers

        def step(i: jax.Array, params: Any) -> Any:
            if batch:
                index_B = jax.random.randint(jax.random.fold_in(key, i), (batch,), 0, len(data.x_NxK))
                gradient = jax.grad(mean_cost)(params, data.x_NxK[index_B], data.y_NxC[index_B])
            else:
                gradient = jax.grad(mean_cost)(params, data.x_NxK, data.y_NxC)
            return jax.tree.map(lambda p, g: p - rate * g, params, gradient)

        def on(walk: Walk) -> Walk:
            end = jnp.minimum(walk.steps + every, last)
            params = jax.lax.fori_loop(walk.steps, end, step, walk.params)
            cost = settled(params, outputs(params, data.x_NxK)[1], data.y_NxC)[1]
            return Walk(params, end, cost < below)

        return jax.lax.while_loop(lambda walk: ~walk.left & (walk.steps < last), on, walk)

    @jax.jit
    def look(params: Any, data: Data) -> tuple[jax.Array, jax.Array]:
        params = settled(params, outputs(params, data.x_NxK)[1], data.y_NxC)[0]
        slope = jax.grad(lambda params: mean_cost(params, data.x_NxK, data.y_NxC))
        product = lambda vector: jax.jvp(slope, (params,), (vector,))[1]  # noqa: E731
        gradient = slope(params)
        run = nets.curvature.lanczos(product, params, jax.random.key(0), LANCZOS, gradient)
        beside_SxS = jnp.diag(run.betas_S[:-1], 1)
        values_S, vectors_SxS = jnp.linalg.eigh(jnp.diag(run.alphas_S) + beside_SxS + beside_SxS.T)
        square = sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradient))
        return values_S, jnp.square(vectors_SxS[0]) * square

    return Programs(draw, descend, look)


class Found(NamedTuple):
    """A net: rate x steps until it left, or until the budget ended, and whether that is so; what is predicted from one
    look at its plateau, by each of PREDICTIONS; the eigenvalue."""

    time: float
    censored: bool
    law: float
    descent: float
    eigenvalue: float


def one_net(setting: Setting, seed: int, size: Size, data: Data) -> Found:
    """Trains a net to the look, looks, and trains on until it leaves."""
    of = programs(setting.layers, size.units, setting.batch)
    draw_key, walk_key = jax.random.split(jax.random.key(seed))
    whole = lambda time: min(max(1, round(time / setting.rate)), size.steps)  # noqa: E731
    every, below = whole(EVERY[setting.layers]), (1 - LEFT) * data.entropy
    start = Walk(of.draw(draw_key, data.axes_DxK), jnp.int32(0), jnp.asarray(False))
    numbers = lambda last: tuple(map(jnp.asarray, (setting.rate, last, every, below)))  # noqa: E731
    at_look = of.descend(start, walk_key, data, numbers(whole(LOOKED_AT)))
    # In float64, in which a Hessian's small eigenvalues can be seen beside its large ones.
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (at_look.params, data))
        values_S, squares_S = map(np.asarray, of.look(*exact))
    ended = of.descend(at_look, walk_key, data, numbers(size.steps))
    before, drop = int(at_look.steps) * setting.rate, LEFT * data.entropy
    lowest, slope = float(values_S[0]), float(np.sqrt(squares_S[0]))
    overlap = nets.saddle.overlap(min(lowest, -1e-12), slope, drop)
    law = before + nets.saddle.leaving_time(min(lowest, -1e-12), overlap)
    descent = before + nets.saddle.descent_time(values_S, squares_S, drop)
    return Found(int(ended.steps) * setting.rate, not bool(ended.left), law, descent, lowest)


def passages(nets_S: list[Found]) -> tuple[np.ndarray, np.ndarray]:
    """Measured rate x steps, and whether the budget ended there, [S] each."""
    return np.array([net.time for net in nets_S]), np.array([net.censored for net in nets_S])


def median_times(nets_S: list[Found], prediction: str = "law") -> tuple[float, float]:
    """The medians of measured and predicted rate x steps by Kaplan-Meier curves; the first is infinite where fewer than
    half have left."""
    measured = nets.escape.median_passage(*passages(nets_S))
    predicted_S = np.array([getattr(net, prediction) for net in nets_S])
    return measured.median, nets.escape.median_passage(predicted_S, np.zeros(len(nets_S), bool)).median


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def geometric_mean(values: ArrayLike) -> float:
    """exp of the mean of the logs."""
    return float(np.exp(np.mean(np.log(np.asarray(values, float)))))


def beside_rival(claim: Claim, setting: Setting, found: dict[Setting, list[Found]]) -> Claim:
    """The claim beside what its ratio would be with the plateau of nets of a layer less, or more, at the next rate."""
    for layers in (setting.layers - 1, setting.layers + 1):
        others = [other for other in found if other.layers == layers and other.batch]
        if others:
            next_to = min(others, key=lambda other: abs(math.log(other.rate / setting.rate)))
            off = geometric_mean([net.time for net in found[setting]])
            off /= geometric_mean([net.law for net in found[next_to]])
            return against(claim, f"the plateau of {layers} layers, rate {next_to.rate:g}: {off:.2g}", off)
    return claim


def factor_claims(found: dict[Setting, list[Found]], prediction: str, steps: int) -> list[Claim]:
    """Measured over predicted time of each setting, the geometric mean; the medians where the budget ended for some."""
    claims: list[Claim] = []
    for setting, of in found.items():
        ratios_S = [net.time / getattr(net, prediction) for net in of]
        title, key = f"{setting.words}: leaving time over {PREDICTIONS[prediction]}", f"{prediction}/{setting.key}"
        words: Any = {"published": 1.0, "exploratory": EXPLORATORY[prediction]}
        if any(net.censored for net in of):
            median = nets.escape.median_passage(*passages(of))
            # Of a median that is not reached it is known that it lies beyond the budget.
            low, predicted = min(median.low, steps * setting.rate), median_times(of, prediction)[1]
            within, words["count"] = (low / predicted, median.high / predicted), len(of)
            line = interval_claim(key, title, "oracle", SOURCE, median.median / predicted, within, BAND, **words)
        else:
            line = mean_claim(key, title, "oracle", SOURCE, ratios_S, BAND, log=True, **words)
        claims.append(beside_rival(line, setting, found))
    return claims


def correlation_claim(found: dict[Setting, list[Found]], prediction: str) -> Claim:
    """Of the logs of predicted and measured medians, over the settings half of whose nets have left."""
    from scipy.stats import pearsonr

    pairs = [median_times(of, prediction) for of in found.values()]
    logs_Sx2 = np.log([pair for pair in pairs if math.isfinite(pair[0])]).reshape(-1, 2)
    value, within = math.nan, (math.nan, math.nan)
    if len(logs_Sx2) > 3 and np.all(np.ptp(logs_Sx2, axis=0) > 0):
        result: Any = pearsonr(*logs_Sx2.T)
        value, (low, high) = float(result.statistic), result.confidence_interval()
        within = float(low), float(high)
    worst = float(np.exp(np.abs(logs_Sx2[:, 0] - logs_Sx2[:, 1]).max(initial=0)))
    title = f"correlation of the logs of medians and {PREDICTIONS[prediction]}"
    words: Any = {"rival": "no dependence on the eigenvalue, 0", "rival_at": 0.0}
    words |= {
        "exploratory": EXPLORATORY[prediction],
        "note": f"the medians differ by a factor of {worst:.2f} at most; settings share their seeds",
        "sample": "settings",
    }
    key, count = f"correlation/{prediction}", len(logs_Sx2)
    return interval_claim(key, title, "oracle", SOURCE, value, within, (0.95, 1.0), count=count, **words)


def share_claims(size: Size, found: dict[Setting, list[Found]]) -> list[Claim]:
    """Of how many nets it is said rightly whether they leave within the budget."""
    claims: list[Claim] = []
    for setting in size.shares:
        predicted_S = np.array([net.law <= size.steps * setting.rate for net in found[setting]])
        left_S = np.array([not net.censored for net in found[setting]])
        title = f"{setting.words}: nets of which the law says rightly whether they leave within {size.steps:,} steps"
        note = f"{predicted_S.sum()} of {len(left_S)} are to leave, and {left_S.sum()} do"
        words: Any = {"published": 1.0, "exploratory": RESTATED, "note": note}
        key, right_S = f"share/{setting.key}", predicted_S == left_S
        line = share_claim(key, title, "oracle", SOURCE, right_S, (RIGHT, 1.0), **words)
        # By the rate alone all leave, as those of 4 layers do.
        claims.append(against(line, f"that all leave, as of 4 layers: {left_S.mean():.2g}", left_S.mean()))
    return claims


def batch_claims(size: Size, found: dict[Setting, list[Found]]) -> list[Claim]:
    """Full-batch descent beside small batches, by the same seeds at the same rate."""
    claims: list[Claim] = []
    for setting in (setting for setting in found if not setting.batch):
        small = found[setting._replace(batch=SMALL)]
        ratios_S = [net.time / other.time for net, other in zip(found[setting], small, strict=True)]
        title = f"{setting.layers} layers, rate {setting.rate:g}: leaving time of full-batch descent over batch {SMALL}"
        equal, key = SMALL / size.images, f"batch/{setting.layers}layers/rate{setting.rate:g}"
        words: Any = {"rival": f"as many examples: {equal:g}", "rival_at": equal, "exploratory": CHOSEN}
        claims.append(mean_claim(key, title, "ours", "equal rate x steps", ratios_S, BAND, log=True, **words))
    return claims


# ---------------------------------------------------------------------------------------------------------------------
# The picture.


def draw_law(axis: Any, found: dict[Setting, list[Found]]) -> None:
    """Measured against predicted rate x steps, a point a net, with the band and the rival."""
    ends = np.array(SHOWN)
    axis.plot(ends, ends, "k-", linewidth=1, label="ln(1/delta)/|h|, and a factor of 1.5")
    axis.fill_between(ends, ends / FACTOR, ends * FACTOR, color="gray", alpha=0.2)
    for i, layers in enumerate(sorted({setting.layers for setting in found})):
        of = [net for setting, nets_S in found.items() if setting.layers == layers for net in nets_S]
        for censored, marker in ((False, "o"), (True, "^")):
            points = [(net.law, net.time) for net in of if net.censored is censored]
            if points:
                words = f"{layers} layers" + ", budget ended" * censored
                axis.plot(*np.array(points).T, marker, color=f"C{i}", markersize=4, alpha=0.6, label=words)
    medians = [median for of in found.values() if math.isfinite(median := median_times(of)[0])]
    if medians:
        axis.axhline(geometric_mean(medians), color="tab:red", linestyle=":", label="rival: one time for all")
    axis.set(xscale="log", yscale="log", xlim=SHOWN, xlabel="predicted at rate x steps = 50")
    axis.set_ylabel("measured rate x steps")
    axis.grid(alpha=0.3)
    toolkit.legend_below(axis)


def draw_survival(axis: Any, size: Size, found: dict[Setting, list[Found]]) -> None:
    """Kaplan-Meier curves at the highest rate, small batches solid and all images dotted, with predicted medians."""
    highest = max(setting.rate for setting in found)
    for setting, of in found.items():
        if setting.rate == highest:
            times, share, low, high = (np.append(x, x[-1]) for x in nets.escape.kaplan_meier(*passages(of)))
            times[0], times[-1] = 1.0, size.steps * highest
            colour, style = f"C{setting.layers - 3}", "-" if setting.batch else ":"
            axis.step(times, share, style, where="post", color=colour, label=setting.words)
            if setting.batch:
                axis.fill_between(times, low, high, step="post", color=colour, alpha=0.15)
                axis.plot(median_times(of)[1], 0.5, "x", color=colour, markersize=9)
    axis.plot([], [], "kx", label="predicted median")
    axis.set(xscale="log", xlim=SHOWN, ylim=(-0.02, 1.02), xlabel=f"rate x steps, at rate {highest:g}")
    axis.set(ylabel="share of nets still on the plateau", title="Who is still on the plateau (Kaplan-Meier)")
    axis.grid(alpha=0.3)
    toolkit.legend_below(axis)


def draw_curvature(axis: Any, found: dict[Setting, list[Found]]) -> None:
    """The time a net takes against its most negative eigenvalue, with the line of least squares through the logs."""
    nets_S = [net for of in found.values() for net in of if not net.censored]
    logs_Sx2 = np.log([(-net.eigenvalue, net.time) for net in nets_S]).reshape(-1, 2)
    for i, layers in enumerate(sorted({setting.layers for setting in found})):
        of = [net for setting in found if setting.layers == layers for net in found[setting] if not net.censored]
        points = np.array([(-net.eigenvalue, net.time) for net in of]).reshape(-1, 2)
        axis.plot(*points.T, "o", color=f"C{i}", markersize=4, alpha=0.6, label=f"{layers} layers")
    if len(logs_Sx2) > 2:
        slope, height = np.polyfit(logs_Sx2[:, 0], logs_Sx2[:, 1], 1)
        across = np.exp([logs_Sx2[:, 0].min(), logs_Sx2[:, 0].max()])
        axis.plot(across, math.exp(height) * across**slope, "k--", linewidth=1, label="least squares")
        axis.set_title(f"Leaving time ~ |h|^{slope:.2f} over {len(nets_S)} nets")
    words = {"xlabel": "|h|, most negative eigenvalue on the plateau", "ylabel": "measured rate x steps"}
    axis.set(xscale="log", yscale="log", xlim=SHOWN_CURVATURE, ylim=SHOWN, **words)
    axis.grid(alpha=0.3)
    toolkit.legend_below(axis)


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    data = load(size)
    # The longest first, and as many at once as there are cores: a net is one thread's work.
    settings = sorted(size.settings, key=lambda setting: (-setting.layers, setting.rate))
    jobs = [(setting, seed) for setting in settings for seed in range(size.seeds_from, size.seeds_from + size.seeds)]
    with toolkit.threads() as pool:
        trained = pool.map(lambda job: one_net(job[0], job[1], size, data), jobs)
        trained = list(tqdm(trained, desc="nets", total=len(jobs), leave=False, disable=None))
    found: dict[Setting, list[Found]] = {setting: [] for setting in size.settings}
    for (setting, _seed), net in zip(jobs, trained, strict=True):
        found[setting].append(net)
    factors = [claim for name in PREDICTIONS for claim in factor_claims(found, name, size.steps)]
    correlations = [correlation_claim(found, prediction) for prediction in PREDICTIONS]
    claims = [*factors, *correlations, *share_claims(size, found), *batch_claims(size, found)]
    figure, axes = figures.new_figure(17, 6, 3)
    draw_law(axes[0], found)
    axes[0].set_title(f"{correlations[0].count} settings: correlation of logs {correlations[0].measured:.3f}")
    draw_survival(axes[1], size, found)
    draw_curvature(axes[2], found)
    return figure, claims


STUDY = Study(
    question="How long do deep sigmoid nets stay on their plateau, and does the most negative curvature there say so?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
)

if __name__ == "__main__":
    command.main(STUDY)
