"""Do small batches find wider minima than large ones, and what lies between them and on the way there?

    python -m experiments.batches.landscape [--budget=full]      1 minute on 2 cores

Source: Li, Xu, Taylor, Studer & Goldstein 2018, Visualizing the loss landscape of neural nets: random directions whose
filters are rescaled to the norms of the weights' filters, biases left out (section 4), and the path of training in the
plane of its first two principal components (section 7.2). The lecture's intermediate net (784-64-64 relu-10,
cross-entropy) on the first 2,000 images of MNIST, with batches of 16 (rate .1, 60 epochs) and of 1,000 (rate .3, 600
epochs), 6 seeds (full: 12), which share their initial draw. So that a lower cost is not taken for a narrower minimum,
the two solutions of a seed are those that first have a training cost of at most .05, looked at 60 times in training.

    width: the way along a filter-normalised direction, in units of the weights' norms, on which the training cost
        doubles, the mean of 5 directions, the same draws for both solutions;
    lines: the straight way from the small-batch to the large-batch solution of the same draw, and from one small-batch
        solution to that of another draw, in pairs of seeds that have none in common; the error is that on the first
        2,000 test images;
    path: the share of the variance of the 61 points (the draw, and what is looked at) in two directions.

Bands, set before the run. The widths' ratio, small over large batch, has the whole 95 % interval of its geometric mean
above 1 (Li et al., section 4: small batches are flatter; and below 100). Frankle et al. 2020 (recalled) call two nets
connected where the error on the line rises less than 2 points above the mean of the ends, and find that for MNIST from
the start of training between orders of one draw: less than 2 points (mean) between batch sizes of one draw, which is
ours, and at least 2 between draws. Li et al.'s range for the share of a path in its plane (.4 to .9, second-hand) holds
that of a random walk with as many points and weights, 7.5 / pi^2 = .76, +-.02 (Antognini & Sohl-Dickstein 2018): it is
no sign of a low-dimensional path, and no band. So what is claimed of both paths is ours, that they lie in a plane
more than a random walk does; it was restated with their shares in view, and is exploratory.

The looks leave the small batches a lower cost; the width up to one cost of both, which favours the lower, is in the
claim's note.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import input_pipeline
import nets
import train
from configs import intermediate
from experiments.engine import executors, space, statistics
from experiments.study import command, toolkit
from experiments.study.claims import Band, Claim, Names, Words, above, below, by_key, interval_claim, mean_claim
from experiments.study.study import Study
from training import figures, models
from training.batches import scale
from training.config import Config, as_config
from training.files import RunError

LI, FRANKLE, WALK = "Li et al. 2018", "after Frankle et al. 2020, recalled", "Antognini & Sohl-Dickstein 2018, limit"
RESTATED = "restated with the paths' shares in view, as the published range holds a random walk's"
WIDER = (math.nextafter(1.0, 2.0), 100.0)  # Equal is not wider.
MARGIN = 0.25  # Of the path's extent, about its plane.
CONNECTED, SHARES, WALK_SHARE, WALK_WITHIN = 2.0, (0.4, 0.9), 7.5 / np.pi**2, 0.02
INTERMEDIATE = as_config(intermediate.get_config()).replace(probes=())


class Way(NamedTuple):
    """A batch size with its rate, epochs, and the number of them between looks."""

    batch_size: int
    rate: float
    epochs: int
    look_every: int


class Size(NamedTuple):
    """How much is trained and measured: the first so many training images, seeds, both ways, the cost that counts as
    solved, test images; directions about a solution, how far and at how many places; places between two solutions and
    on each side of a plane; the first seed."""

    examples: int
    seeds: int
    small: Way
    large: Way
    target: float
    test: int
    directions: int
    farthest: float
    places: int
    between: int
    grid: int
    seeds_from: int = 0

    def along(self) -> np.ndarray:
        """The places on the lines about a solution, [A]."""
        return np.linspace(0, self.farthest, self.places)


QUICK = Size(2_000, 6, Way(16, 0.1, 60, 1), Way(1_000, 0.3, 600, 10), 0.05, 2_000, 5, 2.0, 41, 21, 21)
SIZES = {
    "tiny": Size(64, 2, Way(32, 0.1, 2, 1), Way(64, 0.3, 2, 1), 0.05, 64, 1, 9.0, 5, 5, 3),
    "quick": QUICK,
    "full": QUICK._replace(seeds=12),
}


class Trained(NamedTuple):
    """What the seeds of a way went through: weights before training and at every look, [S, L, P], the training cost of
    each, [S, L], and the look from which on it counts as solved, [S]."""

    path_SxLxP: np.ndarray
    cost_SxL: np.ndarray
    solved_S: np.ndarray

    def solution(self, seed: int) -> np.ndarray:
        """The weights of a seed at that look, [P]."""
        return self.path_SxLxP[seed, self.solved_S[seed]]


# ---------------------------------------------------------------------------------------------------------------------
# Training.


def config_of(way: Way) -> Config:
    """The intermediate net's config, trained so."""
    return INTERMEDIATE.replace(batch_size=way.batch_size, learning_rate=way.rate, epochs=way.epochs)


@functools.cache
def unraveller() -> Callable[[Any], Any]:
    """What makes a tree of the net's parameters of a vector [P]."""
    state = train.make_train(INTERMEDIATE).init(train.hyperparameters(INTERMEDIATE), jax.random.key(0))
    return ravel_pytree(state.params)[1]


def flat(params: Any) -> np.ndarray:
    """The parameters as a vector [P], in the order of `ravel_pytree`."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def cost_of_net() -> nets.curvature.Cost:
    """The cost that is trained, an example's."""
    return toolkit.cost_of(INTERMEDIATE)


@functools.cache
def error_of_net() -> nets.curvature.Cost:
    """1 for a wrong answer, 0 for a right one."""
    model = models.make_mlp(INTERMEDIATE)

    def error(params: Any, batch: Any) -> jax.Array:
        logits_BxC, _ = model.apply({"params": params}, scale(batch[0]))
        return 1 - nets.costs.correct(logits_BxC, batch[1]).astype(jnp.float32)

    return error


def train_way(name: str, way: Way, dataset: input_pipeline.Dataset, size: Size) -> Trained:
    """A way of training with each seed."""
    config, unravel = config_of(way), unraveller()
    trials = space.make_trials(config, None, {"seed": range(size.seeds_from, size.seeds_from + size.seeds)})
    init, numbers = train.make_train(config).init, train.hyperparameters(config)
    paths = {key: [flat(init(numbers, train.run_keys(trial.seed)[0]).params)] for key, trial in trials.items()}
    watch = lambda key, _, state: paths[key].append(flat(state.params))  # noqa: E731
    looks = lambda _, epoch: epoch % way.look_every == 0  # noqa: E731
    executors.train_states(trials, dataset, f"{name} batches", watch=watch, looks=looks)
    if any(len(path) <= way.epochs // way.look_every for path in paths.values()):
        raise RunError(f"a run of {name} batches diverged at rate {way.rate:g}; accepted: a rate at which none does")
    path_SxLxP = np.array(list(paths.values()))
    cost_at = lambda point_P: float(nets.curvature.mean_cost(cost_of_net(), unravel(point_P), dataset[:2]))  # noqa: E731
    cost_SxL = np.array([[cost_at(point_P) for point_P in path_LxP] for path_LxP in path_SxLxP])
    return Trained(path_SxLxP, cost_SxL, solved(cost_SxL, size.target))


def solved(cost_SxL: np.ndarray, target: float) -> np.ndarray:
    """The first look with a cost of at most the target, [S]; the last where there is none, as its cost gives away."""
    is_solved_SxL = cost_SxL <= target
    return np.where(is_solved_SxL.any(axis=1), np.argmax(is_solved_SxL, axis=1), cost_SxL.shape[1] - 1)


# ---------------------------------------------------------------------------------------------------------------------
# Lines, widths, paths.


def around(point_P: np.ndarray, unravel: Callable[[Any], Any], data: Any, size: Size) -> np.ndarray:
    """The cost along filter-normalised directions, [directions, places]."""
    params, places_A = unravel(point_P), jnp.linspace(0, size.farthest, size.places)
    draw = nets.curvature.filter_normalised_direction
    lines = [draw(key, params) for key in jax.random.split(jax.random.key(0), size.directions)]
    return np.array([nets.curvature.cost_on_line(cost_of_net(), params, line, places_A, data) for line in lines])


def widths(places_A: np.ndarray, cost_SxQxA: np.ndarray, level_SxQ: np.ndarray) -> np.ndarray:
    """The way on which the cost reaches that level, mean over the directions, [S]."""
    return np.asarray(nets.landscape.width(places_A, cost_SxQxA, level_SxQ)).mean(axis=1)


def between(
    start_P: np.ndarray, end_P: np.ndarray, unravel: Callable[[Any], Any], train_data: Any, test_data: Any, places: int
) -> np.ndarray:
    """The training cost and the test error on the straight way from one net to another, [2, places]."""
    params, way, places_A = unravel(start_P), unravel(end_P - start_P), jnp.linspace(0, 1, places)
    measures = ((cost_of_net(), train_data), (error_of_net(), test_data))
    return np.array([nets.curvature.cost_on_line(cost, params, way, places_A, data) for cost, data in measures])


def shares(trained: Trained) -> np.ndarray:
    """The share of each seed's path in two directions, [S]."""
    planes = [nets.landscape.path_plane(path_LxP) for path_LxP in trained.path_SxLxP]
    return np.array([float(jnp.sum(plane.shares_2)) for plane in planes])


def straightness(trained: Trained) -> np.ndarray:
    """Each seed's distance from the draw to the end over the length of its path, [S]; of a random walk with L steps 1 /
    sqrt(L)."""
    steps_SxL = np.linalg.norm(np.diff(trained.path_SxLxP, axis=1), axis=-1)
    return np.linalg.norm(trained.path_SxLxP[:, -1] - trained.path_SxLxP[:, 0], axis=-1) / steps_SxL.sum(axis=1)


def walk_shares(shape: tuple[int, int, int]) -> np.ndarray:
    """The same of random walks of as many points and weights, [S]."""
    random = np.random.default_rng(0)
    walks = (np.cumsum(random.standard_normal(shape[1:], np.float32), axis=0) for _ in range(shape[0]))
    return np.array([float(jnp.sum(nets.landscape.path_plane(walk_LxP).shares_2)) for walk_LxP in walks])


class Plane(NamedTuple):
    """A path in its plane with the cost around it, [A, B]."""

    coordinates_Lx2: np.ndarray
    shares_2: np.ndarray
    a_A: np.ndarray
    b_B: np.ndarray
    cost_AxB: np.ndarray


def plane_of(path_LxP: np.ndarray, unravel: Callable[[Any], Any], data: Any, places: int) -> Plane:
    """The plane of a path, a margin wider than the path is."""
    plane = nets.landscape.path_plane(path_LxP)
    low, high = np.min(plane.coordinates_Sx2, axis=0), np.max(plane.coordinates_Sx2, axis=0)
    margin = MARGIN * (high - low)
    a_A, b_B = (np.linspace(low[i] - margin[i], high[i] + margin[i], places, dtype=np.float32) for i in range(2))
    directions = unravel(plane.directions_2xP[0]), unravel(plane.directions_2xP[1])
    cost_AxB = nets.curvature.cost_on_plane(cost_of_net(), unravel(path_LxP[-1]), directions, a_A, b_B, data)
    return Plane(np.asarray(plane.coordinates_Sx2), np.asarray(plane.shares_2), a_A, b_B, np.asarray(cost_AxB))


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


def ratio_of(one_S: np.ndarray, other_S: np.ndarray) -> tuple[float, float, float]:
    """The geometric mean of the ratios and its 95 % interval, without seeds in which either is 0 or infinite."""
    is_ratio_S = np.isfinite(one_S) & np.isfinite(other_S) & (one_S > 0) & (other_S > 0)
    logs_S = np.log(np.where(is_ratio_S, one_S, 1)) - np.log(np.where(is_ratio_S, other_S, 1))
    found = statistics.interval(np.where(is_ratio_S, logs_S, np.nan))
    return float(np.exp(found.mean)), float(np.exp(found.low)), float(np.exp(found.high))


def width_claim(small_SxQxA: np.ndarray, large_SxQxA: np.ndarray, size: Size) -> Claim:
    """Whether small batches end in wider minima, from the costs along random directions; in the note the same with one
    level for both, as the looks leave the two costs different."""
    both, places_A = (small_SxQxA, large_SxQxA), size.along()
    doubled = [widths(places_A, cost_SxQxA, 2 * cost_SxQxA[..., 0]) for cost_SxQxA in both]
    level_SxQ = np.full(small_SxQxA.shape[:2], 2 * size.target)
    ratio, low, high = ratio_of(*(widths(places_A, cost_SxQxA, level_SxQ) for cost_SxQxA in both))
    note = f"widths {doubled[0].mean():.3f} and {doubled[1].mean():.3f} of the weights' norms, at costs of "
    note += f"{small_SxQxA[..., 0].mean():.4f} and {large_SxQxA[..., 0].mean():.4f}; to a cost of {2 * size.target:g} "
    note += f"from both the ratio is {ratio:.3f}, {low:.3f} to {high:.3f}"
    measured, *within = ratio_of(*doubled)
    return interval_claim(
        "width",
        "width of the small-batch minimum over that of the large-batch one",
        "direction",
        f"{LI}, section 4 (P)",
        measured,
        (within[0], within[1]),
        WIDER,
        count=len(doubled[0]),
        values=doubled[0] / doubled[1],
        rival="equal widths: 1",
        rival_at=1.0,
        note=note,
    )


def line_claim(
    key: str, name: str, line_Sx2xA: np.ndarray, band: Band, rival: str, rival_at: float, sample: str = "seeds"
) -> Claim:
    """How far the test error rises between two nets, points: Frankle et al.'s between draws, ours between batches."""
    rise_S = 100 * np.asarray(nets.landscape.instability(line_Sx2xA[:, 1]))
    height_S = np.asarray(nets.landscape.barrier(line_Sx2xA[:, 0]))
    name, bounds = f"{name}: rise of the test error, points", (0.0, 100.0)
    note = f"the training cost rises {height_S.mean():.4f} above the higher end"
    words: Words = {"rival": rival, "rival_at": rival_at, "note": note}
    names: Names = key, name, "ours", "ours" if key == "line/batches" else FRANKLE
    return mean_claim(*names, rise_S, band, bounds=bounds, sample=sample, **words)


def path_claims(trained: Mapping[str, Trained], walk_S: np.ndarray) -> list[Claim]:
    """How much of the paths lies in two directions, and how much of a random walk would."""
    bounds: tuple[float, float] = (0.0, 1.0)
    rival, most = f"a random walk's, {WALK_SHARE:.2f}", WALK_SHARE + WALK_WITHIN
    lines = list[Claim]()
    for way, of_way in trained.items():
        share_S, straight_S = shares(of_way), straightness(of_way)
        name = f"{way} batches: share of the path's variance in two directions"
        steps = of_way.path_SxLxP.shape[1] - 1
        note = "Li et al., section 7.2 (S): .4 to .9, of far larger nets; the distance from draw to end is "
        note += f"{straight_S.mean():.2f} of the path's length, of a random walk's {steps**-0.5:.2f}"
        key = f"path/{way}"
        words: Words = {"rival": rival, "rival_at": WALK_SHARE, "exploratory": RESTATED, "note": note}
        lines.append(mean_claim(key, name, "ours", "ours", share_S, (above(most), 1.0), bounds=bounds, **words))
    band, name = (WALK_SHARE - WALK_WITHIN, most), "a random walk: share of its variance in two directions"
    independent = 2 / (next(iter(trained.values())).path_SxLxP.shape[1] - 1)
    words = Words(rival="a straight path, 1, and independent points", rival_at=(1.0, independent))
    of: dict[str, Any] = {"published": WALK_SHARE, "bounds": bounds, "sample": "walks"}
    walk = mean_claim("path/walk", name, "oracle", WALK, walk_S, band, **of, **words)
    return [*lines, walk]


# ---------------------------------------------------------------------------------------------------------------------
# The figure.


def draw_plane(figure: Any, axis: Any, name: str, plane: Plane) -> None:
    """The cost in the plane of a path, and the path."""
    levels = np.geomspace(plane.cost_AxB.min(), plane.cost_AxB.max(), 15)
    picture = axis.contourf(plane.a_A, plane.b_B, np.log10(plane.cost_AxB).T, levels=np.log10(levels), cmap="viridis")
    axis.plot(*plane.coordinates_Lx2.T, "o-", color="tab:red", markersize=3, linewidth=1)
    axis.plot(*plane.coordinates_Lx2[0], "ws", mec="k", label="initial draw")
    axis.plot(*plane.coordinates_Lx2[-1], "w*", mec="k", markersize=12, label="end")
    first, second = (f"{100 * share:.1f} %" for share in plane.shares_2)
    axis.set(xlabel=f"first direction ({first} of the variance)", ylabel=f"second direction ({second})")
    toolkit.legend_below(axis)
    bar = figure.colorbar(picture, ax=axis, label="training cost, nats")
    ticks = [tick for tick in (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0) if levels[0] <= tick <= levels[-1]] or levels[
        [0, -1]
    ].tolist()
    bar.set_ticks(np.log10(ticks).tolist(), labels=[f"{tick:.2g}" for tick in ticks])
    axis.set_title(f"{name} batches: {100 * plane.shares_2.sum():.0f} % of the path\nlies in its plane (first seed)")


def draw_around(axis: Any, cost: Mapping[str, np.ndarray], size: Size) -> None:
    """The cost along random directions, over its value at the minimum, mean and range of the seeds."""
    for (name, cost_SxQxA), colour in zip(cost.items(), ("tab:blue", "tab:orange"), strict=True):
        times_SxA = (cost_SxQxA / cost_SxQxA[..., :1]).mean(axis=1)
        axis.plot(size.along(), times_SxA.mean(axis=0), color=colour, label=f"{name} batches")
        axis.fill_between(size.along(), times_SxA.min(axis=0), times_SxA.max(axis=0), color=colour, alpha=0.2)
    axis.axhline(2, color="gray", linestyle=":", label="doubled")
    axis.set(xlabel="distance, in norms of the filters", ylabel="training cost / that at the minimum")
    axis.set(xlim=(0, 1), ylim=(0.9, 8))
    toolkit.legend_below(axis, 3)


def draw_lines(axis: Any, lines: Mapping[str, np.ndarray], measure: int, factor: float) -> None:
    """What is measured on the straight lines, a thin line each."""
    for (name, line_Sx2xA), colour in zip(lines.items(), ("tab:green", "tab:purple"), strict=True):
        place_A = np.linspace(0, 1, line_Sx2xA.shape[-1])
        axis.plot(place_A, factor * line_Sx2xA[:, measure].T, color=colour, alpha=0.3, linewidth=1)
        mean_A = factor * line_Sx2xA[:, measure].mean(axis=0)
        axis.plot(place_A, mean_A, color=colour, linewidth=2, label=name)
    highest = factor * max(line_Sx2xA[:, measure].max() for line_Sx2xA in lines.values())
    axis.set(xlabel="place on the straight line between two solutions", ylim=(0, 1.05 * highest))
    toolkit.legend_below(axis)


def draw_shares(axis: Any, of_key: Mapping[str, Claim]) -> None:
    """The share of each path in its plane beside that of random walks."""
    for place, way in enumerate(("small", "large", "walk")):
        value_S = of_key[f"path/{way}"].values
        axis.plot(np.full(len(value_S), place), value_S, "o", color="tab:red", alpha=0.6)
    axis.axhspan(*SHARES, color="gray", alpha=0.2, label="Li et al. 2018: .4 to .9")
    axis.axhline(WALK_SHARE, color="black", linestyle="--", label="random walk, limit")
    axis.set_xticks(range(3), ["small batches", "large batches", "random walks"])
    axis.set(ylim=(0, 1.02), xlim=(-0.5, 2.5), ylabel="share of the variance in two directions")
    axis.set_title("A plane holds most of any path,\neven of a random walk")
    toolkit.legend_below(axis)


def draw(
    planes: Mapping[str, Plane],
    cost: Mapping[str, np.ndarray],
    lines: Mapping[str, np.ndarray],
    size: Size,
    claims: Sequence[Claim],
) -> Any:
    """The paths in their planes, the cost around the solutions and between them, and the shares."""
    figure, axes = figures.new_figure(16, 10, 3, 2)
    of_key = by_key(claims)
    for axis, (name, plane) in zip(axes, planes.items(), strict=False):
        draw_plane(figure, axis, name, plane)
    draw_around(axes[2], cost, size)
    width = of_key["width"]
    axes[2].set_title(
        f"Small batches' minimum is {width.measured:.2f} times as\nwide as the large-batch one (wider: {width.verdict})"
    )
    draw_lines(axes[3], lines, 0, 1.0)
    axes[3].set(ylabel="training cost, nats", title="The cost on the line between two solutions")
    draw_lines(axes[4], lines, 1, 100.0)
    rises = f"{of_key['line/batches'].measured:.1f} points from batch to batch,\n"
    rises += f"{of_key['line/draws'].measured:.0f} from draw to draw"
    axes[4].set(ylabel="test error, %", title=f"The error rises {rises}")
    draw_shares(axes[5], of_key)
    for axis in axes[2:]:
        axis.grid(alpha=0.3)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    whole = input_pipeline.load("mnist")
    dataset = input_pipeline.split(whole, size.examples)
    # What runs are validated on after each epoch, nothing reads.
    dataset = toolkit.hardly_validated(dataset)
    ways, seeds = {"small": size.small, "large": size.large}, range(size.seeds)
    trained = {name: train_way(name, way, dataset, size) for name, way in ways.items()}
    unravel = unraveller()
    data = jax.device_put((dataset.images, dataset.labels))
    test = jax.device_put((whole.validation_images[: size.test], whole.validation_labels[: size.test]))
    small, large = trained.values()
    pairs = {
        "small to large batch, same draw": [(small.solution(s), large.solution(s)) for s in seeds],
        # No seed is in two pairs, which would depend on each other.
        "from draw to draw, small batches": [(small.solution(s), small.solution(s + 1)) for s in seeds[:-1:2]],
    }
    lines = {
        name: np.array([between(*pair, unravel, data, test, size.between) for pair in of_name])
        for name, of_name in pairs.items()
    }
    cost = {
        name: np.array([around(of_way.solution(s), unravel, data, size) for s in seeds])
        for name, of_way in trained.items()
    }
    (same, same_Sx2xA), (other, other_Sx2xA) = lines.items()
    claims = [
        width_claim(cost["small"], cost["large"], size),
        line_claim("line/batches", same, same_Sx2xA, (0.0, below(CONNECTED)), "a barrier, 2 or more", CONNECTED),
        line_claim("line/draws", other, other_Sx2xA, (CONNECTED, 100.0), "connected solutions, 0", 0.0, "pairs"),
        *path_claims(trained, walk_shares(small.path_SxLxP.shape)),
    ]
    planes = {name: plane_of(of_way.path_SxLxP[0], unravel, data, size.grid) for name, of_way in trained.items()}
    return draw(planes, cost, lines, size, claims), claims


STUDY = Study(
    question="Do small batches find wider minima than large ones, and what lies between them and on the way there?",
    run=run,
    sizes=SIZES,
)

if __name__ == "__main__":
    command.main(STUDY)
