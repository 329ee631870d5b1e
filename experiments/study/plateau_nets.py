"""Deep sigmoid nets on their plateau: drawn, looked at, and trained until they leave, for `saturated_saddle`.

N images, K main axes, C classes, H units, B examples of a batch, S steps of Lanczos.

A step goes one of four ways: `draws`, a batch drawn with replacement; `all`, all images; `classes`, one image of each
class, weighted by the classes' shares, whose labels have no noise and whose images do; `noise`, all images, with the
cost added that the noise of the labels of such a batch amounts to (`nets.saddle.label_noise`). The last is descent
along a smooth cost, in which a rate below COARSE is followed in steps of COARSE: the cost takes the rate, the steps do
not matter (with steps of .2, .4 and .8 nets of rates .1 and .2 leave at the same look, one of eight at the next).
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

import input_pipeline
import nets
from experiments.study import toolkit
from experiments.study.kept import Kept

Way: TypeAlias = Literal["draws", "all", "classes", "noise"]
CLASSES = 10
SMALL = 10  # The batch of the nets.
# Of the output biases, which settle at once on the plateau, and of Lanczos from the gradient.
SETTLING, LANCZOS = 15, 40
# The noise's slope, which is small and dear, is taken anew after so many steps; how long these are at least.
ANEW, COARSE = 4, 0.8
# Rate x steps at which the plateau is looked at; the share of the entropy by which the cost has fallen when a net has
# left; between two looks at that, rate x steps by layers: some 2 % of the leaving time.
LOOKED_AT, LEFT = 50.0, 0.02
EVERY = {3: 8.0, 4: 32.0, 5: 128.0}


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


class Data(NamedTuple):
    """Images in their first K main axes and labels as C outputs; the axes, [pixels, K]; the images' places in the order
    of their classes, and how many each has; the entropy of the classes."""

    x_NxK: jax.Array
    y_NxC: jax.Array
    axes_DxK: jax.Array
    order_N: jax.Array
    counts_C: jax.Array
    entropy: float


def load(images: int, axes: int) -> Data:
    """The first images of MNIST, in so many of their main axes."""
    dataset = input_pipeline.load("mnist")
    x_NxD = dataset.images[:images].reshape(images, -1).astype(np.float32) / 255
    labels_N = dataset.labels[:images]
    y_NxC = np.eye(CLASSES, dtype=np.float32)[labels_N]
    axes_DxK = np.linalg.svd(x_NxD, full_matrices=False)[2][:axes].T
    shares_C = y_NxC.mean(axis=0)
    entropy = -float(np.sum(shares_C * np.log(np.maximum(shares_C, 1e-9))))
    order_N, counts_C = np.argsort(labels_N, kind="stable"), np.bincount(labels_N, minlength=CLASSES)
    x_NxK, y_NxC, axes_DxK = jnp.asarray(x_NxD @ axes_DxK), jnp.asarray(y_NxC), jnp.asarray(axes_DxK)
    return Data(x_NxK, y_NxC, axes_DxK, jnp.asarray(order_N), jnp.asarray(counts_C), entropy)


class Walk(NamedTuple):
    """Where a descent is, after how many steps, and whether its net has left."""

    params: Any
    steps: jax.Array
    left: jax.Array


class Programs(NamedTuple):
    """What is compiled for nets of a depth: `draw(key, axes)`; `descend(walk, key, data, numbers)` with numbers the
    length of a step, the rate that the noise's cost takes, last step, steps between looks and the cost below which a
    net has left; `look(params, data)`, eigenvalues and squared slopes."""

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
def programs(layers: int, units: int, batch: int, way: Way = "draws") -> Programs:
    """The programs of nets of so many layers, whose steps go that way; with a batch of 0 `draws` takes all images."""
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

    def slope(params: Any, key: jax.Array, data: Data) -> Any:
        """That of a step, without the noise's cost."""
        if way == "classes":
            starts_C = jnp.cumsum(data.counts_C) - data.counts_C
            chosen_C = jnp.int32(jax.random.uniform(key, (CLASSES,)) * data.counts_C)
            x_CxK, y_CxC = (values[data.order_N[starts_C + chosen_C]] for values in (data.x_NxK, data.y_NxC))
            shares_C = data.counts_C / jnp.sum(data.counts_C)
            costs_C = lambda p: nets.costs.cross_entropy(outputs(p, x_CxK)[0], y_CxC, "softmax")  # noqa: E731
            return jax.grad(lambda p: jnp.sum(shares_C * costs_C(p)))(params)
        if way == "draws" and batch:
            index_B = jax.random.randint(key, (batch,), 0, len(data.x_NxK))
            return jax.grad(mean_cost)(params, data.x_NxK[index_B], data.y_NxC[index_B])
        return jax.grad(mean_cost)(params, data.x_NxK, data.y_NxC)

    def noise_slope(params: Any, rate: jax.Array, data: Data) -> Any:
        """Of the cost that the labels' noise adds, at the mean image, as all images have nearly the same outputs."""
        mean_1xK = jnp.mean(data.x_NxK, axis=0, keepdims=True)
        logits_of = lambda params: outputs(params, mean_1xK)[0][0]  # noqa: E731
        return jax.grad(lambda params: nets.saddle.label_noise(logits_of, params, rate, batch))(params)

    @jax.jit
    def descend(walk: Walk, key: jax.Array, data: Data, numbers: tuple[jax.Array, ...]) -> Walk:
        length, rate, last, every, below = numbers

        def step(i: jax.Array, walked: tuple[Any, Any]) -> tuple[Any, Any]:
            params, added = walked
            gradient = slope(params, jax.random.fold_in(key, i), data)
            if way == "noise":
                added = jax.lax.cond(i % ANEW == 0, lambda: noise_slope(params, rate, data), lambda: added)
                gradient = jax.tree.map(jnp.add, gradient, added)
            return jax.tree.map(lambda p, g: p - length * g, params, gradient), added

        def on(walk: Walk) -> Walk:
            end = jnp.minimum(walk.steps + every, last)
            added = noise_slope(walk.params, rate, data) if way == "noise" else None
            params, _ = jax.lax.fori_loop(walk.steps, end, step, (walk.params, added))
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
    look at its plateau by the most negative curvature (`law`), and along all directions (`descent`); the eigenvalue."""

    time: float
    censored: bool
    law: float
    descent: float
    eigenvalue: float

    def left_by(self, end: float) -> bool:
        """Whether it had left at that rate x steps."""
        return not self.censored and self.time <= end


class Net(NamedTuple):
    """One that is to be trained: its setting and seed, units a layer, steps at most."""

    setting: Setting
    seed: int
    units: int
    steps: int


def walked(net: Net, data: Data, way: Way = "draws") -> tuple[Walk, Walk, float]:
    """A net at the look, where it ended from there by that way, and how long a step of that way is."""
    setting, seed, units, steps = net
    rate, length = setting.rate, max(setting.rate, COARSE if way == "noise" else 0.0)
    first, then = (programs(setting.layers, units, setting.batch, of) for of in ("draws", way))
    draw_key, walk_key = jax.random.split(jax.random.key(seed))
    below = (1 - LEFT) * data.entropy

    def numbers(length: float, last: int) -> tuple[jax.Array, ...]:
        every = max(1, round(EVERY[setting.layers] / length))
        return tuple(map(jnp.asarray, (length, rate, last, every, below)))

    start = Walk(first.draw(draw_key, data.axes_DxK), jnp.int32(0), jnp.asarray(False))
    at_look = first.descend(start, walk_key, data, numbers(rate, min(max(1, round(LOOKED_AT / rate)), steps)))
    # At the same place, counted in steps of the way.
    going = at_look._replace(steps=jnp.int32(round(int(at_look.steps) * rate / length)))
    ended = then.descend(going, walk_key, data, numbers(length, round(steps * rate / length)))
    return at_look, ended, length


def time_after(net: Net, data: Data, way: Way) -> float:
    """Rate x steps until a net left that went that way from the look on; infinite where the budget ended."""
    _, ended, length = walked(net, data, way)
    return int(ended.steps) * length if ended.left else math.inf


def one_net(net: Net, data: Data) -> Found:
    """Trains a net until it leaves, and looks at where it was at the look."""
    at_look, ended, _ = walked(net, data)
    setting = net.setting
    # In float64, in which a Hessian's small eigenvalues can be seen beside its large ones.
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (at_look.params, data))
        look = programs(setting.layers, net.units, setting.batch).look
        values_S, squares_S = map(np.asarray, look(*exact))
    before, drop = int(at_look.steps) * setting.rate, LEFT * data.entropy
    lowest, slope = float(values_S[0]), float(np.sqrt(squares_S[0]))
    overlap = nets.saddle.overlap(min(lowest, -1e-12), slope, drop)
    law = before + nets.saddle.leaving_time(min(lowest, -1e-12), overlap)
    descent = before + nets.saddle.descent_time(values_S, squares_S, drop)
    return Found(int(ended.steps) * setting.rate, not bool(ended.left), law, descent, lowest)


def train_nets(jobs: Sequence[Net], data: Data, kept: Kept) -> list[tuple[Net, Found]]:
    """All of them with what is found of each, as many at once as there are cores: a net is one thread's work."""

    def found(net: Net) -> Found:
        numbers = kept(repr(net), lambda: one_net(net, data))
        return Found(numbers[0], bool(numbers[1]), *numbers[2:])

    with toolkit.threads() as pool:
        each = tqdm(pool.map(found, jobs), desc="nets", total=len(jobs), leave=False, disable=None)
        return list(zip(jobs, each, strict=True))


def times_after(jobs: Sequence[tuple[Net, Way]], data: Data, kept: Kept) -> list[tuple[tuple[Net, Way], float]]:
    """All of them with what `time_after` gives."""

    def time(job: tuple[Net, Way]) -> float:
        net, way = job
        return kept(f"{net!r} {way}", lambda: [time_after(net, data, way)])[0]

    with toolkit.threads() as pool:
        each = tqdm(pool.map(time, jobs), desc="other ways", total=len(jobs), leave=False, disable=None)
        return list(zip(jobs, each, strict=True))


def passages(nets_S: list[Found]) -> tuple[np.ndarray, np.ndarray]:
    """Measured rate x steps, and whether the budget ended there, [S] each."""
    return np.array([net.time for net in nets_S]), np.array([net.censored for net in nets_S])


def median_of(times_S: np.ndarray) -> float:
    """The median by the Kaplan-Meier curve; infinite where fewer than half of the times are finite."""
    left_S = np.isfinite(times_S)
    ended = np.max(times_S, where=left_S, initial=1.0)
    return nets.escape.median_passage(np.where(left_S, times_S, ended), ~left_S).median


def times_of(nets_S: list[Found]) -> np.ndarray:
    """Measured rate x steps, infinite where the budget ended, [S]."""
    return np.array([math.inf if net.censored else net.time for net in nets_S])


def geometric_mean(values: ArrayLike) -> float:
    """exp of the mean of the logs."""
    return float(np.exp(np.mean(np.log(np.asarray(values, float)))))


def median_times(nets_S: list[Found], prediction: str = "law") -> tuple[float, float]:
    """The medians of measured and predicted rate x steps; the first is infinite where fewer than half have left."""
    return median_of(times_of(nets_S)), median_of(np.array([getattr(net, prediction) for net in nets_S]))
