"""How does the time that SGD takes to leave a minimum depend on batch size and learning rate?

    python -m experiments.escape.escape_time [--budget=full]      35 seconds on 2 cores, 2.5 minutes full
    python -m experiments.escape.escape_time --batch_size=2 --learning_rate=0.1 --radius=0.63      one point, 13 seconds

One weight, inputs x = +-1, targets y ~ N(0, 1), cost (u x - y)^2 / 2: a step of SGD on a batch of B fresh examples is
exactly u' = (1 - eta) u + eta xi / sqrt(B), whose mean first exit time T = eta x (steps) from |u| < r follows from an
integral equation (`nets.exit_time.mean_steps_of_signs`). Walkers start at 0 and are looked at after every step, and
every one walks until it is out. The examples are drawn and the cost is differentiated wherever a walker needs no more
than EXAMPLES of them on average; elsewhere the batch's mean of x y, which is N(0, 1 / B), is drawn as a whole.

Source of the law, read second-hand: Xie, Sato & Sugiyama 2021, ln T grows linearly in B / eta; Arrhenius' factor is
exp(r^2 B / eta), hence .400 at r^2 = .4. The oracle's numbers were computed independently beforehand. Bands, set before
the run: simulation within 3 % of the oracle at every point (30,000 walkers: a standard error of .6 % in each, and
80,000 where a walker needs no more than 1,000 steps on average); the exact slope of ln T over B = 1, 2, 4 at eta = .1
to half of the last digit of .379; the same slope of T sqrt(B / eta), as Kramers' prefactor goes with (B / eta)^-1/2,
within .01 of Arrhenius' .400.

The exact slope depends on where it is taken: it rises towards Arrhenius' with B / eta. The grid of the .379 is not on
record; eta = .1 with B = 1, 2, 4 was chosen, after looking, as the plainest that rounds to it. No seed enters these two
lines, so that fresh ones confirm nothing: beside them stand the same slopes at radii for which nothing was chosen.
"""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

import nets
from experiments.study import command, toolkit
from experiments.study.claims import Claim, against, by_key, exact_claim, interval_claim
from experiments.study.study import Study
from training import figures
from training.console import fail

R2, OTHER_R2 = 0.4, (0.3, 0.5)
SLOPE_BATCHES, SLOPE_RATE, ARRHENIUS = (1, 2, 4), 0.1, 0.4
# Walkers of a point, those that are walked at once, and how many examples a walker may need on average for them to be
# drawn.
WALKERS, PART, EXAMPLES = 20_000, 10_000, 2_000
# A point is soon left if the exact mean steps are no more.
SOON = 1_000
# About ten minutes of one core.
MOST_STEPS = 1_000_000
SOURCE, LAW = "integral equation, in float64", "Xie, Sato & Sugiyama 2021"
POINT_FLAGS = ("batch_size", "learning_rate", "radius")


class Size(NamedTuple):
    """Where walkers are simulated, how many, and the mean exit times that were computed beforehand."""

    points: tuple[tuple[int, float, float], ...]  # batch size, learning rate, squared radius
    walkers: int
    soon: int  # walkers at the points that are soon left
    published: dict[float, float]  # by learning rate, at batch 1 and r^2 = .4


QUICK = Size(
    (
        (1, 0.2, R2),
        (1, 0.1, R2),
        (1, 1 / 15, R2),
        (1, 0.05, R2),
        (2, 0.4, R2),
        (2, 0.2, R2),
        (4, 0.8, R2),
        (4, 0.4, R2),
        (4, 0.2, R2),
        (1, 1.0, 4.0),
        (1, 0.2, 1.0),
        (4, 0.1, 0.1),
        (16, 0.5, 0.2),
    ),
    30_000,
    80_000,
    {0.1: 42.85, 0.05: 1_634.0},
)
MORE = ((2, 2 / 15, R2), (2, 0.1, R2), (4, 4 / 15, R2), (4, 0.16, R2), (8, 0.32, R2))
FULL = QUICK._replace(points=(*QUICK.points, *MORE))
TINY = Size(((1, 0.1, R2), (1, 0.2, R2)), 50, 50, {0.1: 42.85})


def cost(u: jax.Array, x_B: jax.Array, y_B: jax.Array) -> jax.Array:
    """The quadratic cost of a batch."""
    return jnp.mean((u * x_B - y_B) ** 2) / 2


@cache
def sgd_step(batch_size: int) -> nets.exit_time.Step:
    """A step of SGD on fresh examples x = +-1, y ~ N(0, 1) for every walker."""

    def step(u_W: jax.Array, learning_rate: jax.Array, key: jax.Array) -> jax.Array:
        of_x, of_y = jax.random.split(key)
        shape = len(u_W), batch_size
        x_WxB, y_WxB = jax.random.rademacher(of_x, shape, jnp.float32), jax.random.normal(of_y, shape)
        return u_W - learning_rate * jax.vmap(jax.grad(cost))(u_W, x_WxB, y_WxB)

    return step


def autoregressive_step(u_W: jax.Array, numbers: jax.Array, key: jax.Array) -> jax.Array:
    """The same step with the batch's mean of x y drawn as a whole; numbers are the learning rate and its noise."""
    learning_rate, noise = numbers
    return (1 - learning_rate) * u_W + noise * jax.random.normal(key, u_W.shape)


class Measured(NamedTuple):
    """The mean exit time of a point in steps: simulated, its standard error, exact; whether examples were drawn; of how
    many walkers."""

    batch_size: int
    learning_rate: float
    radius: float
    simulated: float
    error: float
    exact: float
    examples: bool
    walkers: int = WALKERS

    @property
    def ratio(self) -> float:
        """Simulated by exact."""
        return self.simulated / self.exact


class Point(NamedTuple):
    """A point of which walkers are asked: its exact mean steps, how many walkers, and whether examples are drawn."""

    batch_size: int
    learning_rate: float
    radius: float
    exact: float
    walkers: int
    examples: bool

    @property
    def parts(self) -> list[int]:
        """How many walkers walk at once, part by part."""
        return [min(PART, self.walkers - begun) for begun in range(0, self.walkers, PART)]

    def walk(self, key: jax.Array, walkers: int) -> np.ndarray:
        """The steps after which each of so many walkers was out, [W]."""
        rate, noise = self.learning_rate, self.learning_rate / np.sqrt(self.batch_size)
        numbers = np.array(rate if self.examples else [rate, noise], np.float32)
        step = sgd_step(self.batch_size) if self.examples else autoregressive_step
        return nets.exit_time.first_exits(step, numbers, np.array([self.radius]), walkers, key)[0]

    def measured(self, steps_W: np.ndarray) -> Measured:
        """What all of its walkers come to."""
        error = float(steps_W.std() / np.sqrt(len(steps_W)))
        return Measured(*self[:3], float(steps_W.mean()), error, self.exact, self.examples, len(steps_W))


def point_of(
    batch_size: int, learning_rate: float, radius: float, walkers: int, soon: int, most_examples: int = EXAMPLES
) -> Point:
    """The point, with the oracle's mean steps; `soon` walkers where it is soon left; examples are drawn where a walker
    needs no more than that many on average."""
    exact = nets.exit_time.mean_steps_of_signs(learning_rate, batch_size, radius)
    count = soon if exact <= SOON else walkers
    return Point(batch_size, learning_rate, radius, exact, count, batch_size * exact <= most_examples)


def measure(
    batch_size: int,
    learning_rate: float,
    radius: float,
    key: jax.Array,
    walkers: int = WALKERS,
    most_examples: int = EXAMPLES,
) -> Measured:
    """The mean exit time of the walkers of one point, and the oracle's."""
    point = point_of(batch_size, learning_rate, radius, walkers, walkers, most_examples)
    return point.measured(point.walk(key, walkers))


def measure_all(size: Size) -> list[Measured]:
    """All points, the longest walks first and as many at once as there are cores: a walk is one thread's work."""
    points = [point_of(b, rate, square**0.5, size.walkers, size.soon) for b, rate, square in size.points]
    jobs = [(i, part) for i, point in enumerate(points) for part in range(len(point.parts))]
    jobs.sort(key=lambda job: -points[job[0]].exact * points[job[0]].parts[job[1]])

    def walk(job: tuple[int, int]) -> np.ndarray:
        i, part = job
        key = jax.random.key(i)
        return points[i].walk(jax.random.fold_in(key, part) if part else key, points[i].parts[part])

    with toolkit.threads() as pool:
        walked = dict(zip(jobs, pool.map(walk, jobs), strict=True))
    steps = [np.concatenate([walked[i, part] for part in range(len(p.parts))]) for i, p in enumerate(points)]
    return [point.measured(steps_W) for point, steps_W in zip(points, steps, strict=True)]


def diffusion_steps(m: Measured) -> float:
    """The mean steps of the diffusion that Kramers' and Arrhenius' laws are of, at that point."""
    return nets.exit_time.mean_steps_of_diffusion(m.learning_rate, m.batch_size, m.radius, np.ones_like)


def line_of(m: Measured) -> str:
    """A point as a line to read."""
    drawn = "examples" if m.examples else "mean of x y"
    return (
        f"B={m.batch_size:<3} eta={m.learning_rate:<7.4g} r={m.radius:<7.4g} simulated {m.simulated:>11,.2f} steps, "
        f"standard error {m.error:>9,.2f}   exact {m.exact:>11,.2f}   ratio {m.ratio:.4f}   ({drawn} drawn)"
    )


def slope(batch_sizes: np.ndarray, learning_rates: np.ndarray, times: np.ndarray) -> float:
    """d ln T / d(B / eta) by least squares."""
    return float(np.polyfit(batch_sizes / learning_rates, np.log(times), 1)[0])


def slope_error(batch_sizes: np.ndarray, learning_rates: np.ndarray, relative: np.ndarray) -> float:
    """The standard error of such a slope, from the relative ones of the times."""
    ratio = batch_sizes / learning_rates
    away = ratio - ratio.mean()
    return float(np.sqrt(np.sum((away * relative) ** 2)) / np.sum(away**2))


def exact_slopes(squared_radius: float) -> tuple[float, float]:
    """The exact d ln T / d(B/eta) over SLOPE_BATCHES, and that of T sqrt(B/eta), without Kramers' prefactor."""
    b, eta = np.array(SLOPE_BATCHES), np.full(len(SLOPE_BATCHES), SLOPE_RATE)
    steps = [nets.exit_time.mean_steps_of_signs(SLOPE_RATE, int(size), squared_radius**0.5) for size in b]
    exact = SLOPE_RATE * np.array(steps)
    return slope(b, eta, exact), slope(b, eta, exact * np.sqrt(b / eta))


def other_radius_claim(squared_radius: float) -> Claim:
    """The exact slope without its prefactor at a radius for which nothing was chosen."""
    plain, bare = exact_slopes(squared_radius)
    return exact_claim(
        f"slope/without_prefactor/r2_{squared_radius:g}",
        f"exact d ln (T sqrt(B/eta)) / d(B/eta), r^2 = {squared_radius:g}, eta = .1, B = 1, 2, 4",
        "oracle",
        f"Arrhenius' r^2; {LAW}",
        bare,
        (squared_radius - 0.01, squared_radius + 0.01),
        published=squared_radius,
        rival=f"the {plain:.3f} with the prefactor",
        rival_at=plain,
    )


def slope_claims(points: list[Measured]) -> list[Claim]:
    """The law: the exact slope, that without Kramers' prefactor, and the walkers' slope by the exact one."""
    plain, bare = exact_slopes(R2)
    same = [m for m in points if m.radius == R2**0.5]
    rows = [[m.batch_size, m.learning_rate, m.simulated, m.exact, m.error] for m in same]
    batch, rate, walked, known, error = np.array(rows).T
    known_slope = slope(batch, rate, rate * known)
    ratio = slope(batch, rate, rate * walked) / known_slope
    half = 1.96 * slope_error(batch, rate, error / walked) / known_slope
    diffusion = slope(batch, rate, rate * np.array([diffusion_steps(m) for m in same])) / known_slope
    where = "r^2 = .4, eta = .1, B = 1, 2, 4"
    looked = "the grid of the printed number is not on record; this is the plainest that rounds to it"
    walkers = interval_claim(
        "slope/walkers",
        "walkers' d ln T / d(B/eta) by the exact one",
        "oracle",
        SOURCE,
        ratio,
        (ratio - half, ratio + half),
        (0.97, 1.03),
        count=min(m.walkers for m in same),
        sample=f"walkers or more at each of {len(same)} points",
        published=1.0,
        note=f"a diffusion has {diffusion:.3f} of it; what it has for the times stands with these",
    )
    arrhenius = ARRHENIUS / known_slope
    return [
        exact_claim(
            "slope/exact",
            f"exact d ln T / d(B/eta), {where}",
            "oracle",
            SOURCE,
            plain,
            (0.3785, 0.3795),
            published=0.379,
            rival="Arrhenius' .400",
            rival_at=ARRHENIUS,
            exploratory=looked,
        ),
        exact_claim(
            "slope/without_prefactor",
            f"exact d ln (T sqrt(B/eta)) / d(B/eta), {where}",
            "oracle",
            f"Arrhenius' r^2; {LAW}",
            bare,
            (ARRHENIUS - 0.01, ARRHENIUS + 0.01),
            published=ARRHENIUS,
            rival="the .379 with the prefactor",
            rival_at=plain,
            exploratory="on the grid that was chosen for the slope with the prefactor",
        ),
        *map(other_radius_claim, OTHER_R2),
        against(walkers, f"Arrhenius' {ARRHENIUS:.3f}, without the prefactor: {arrhenius:.2f}", arrhenius),
    ]


def claims_of(size: Size, points: list[Measured]) -> list[Claim]:
    """The oracle's two printed numbers, its farthest point from the walkers, and the law."""
    lines: list[Claim] = []
    for learning_rate, published in size.published.items():
        m = next(m for m in points if m[:2] == (1, learning_rate) and m.radius == R2**0.5)
        time, half = learning_rate * m.simulated, 1.96 * learning_rate * m.error
        line = interval_claim(
            f"time/rate{learning_rate:g}",
            f"mean exit time at r^2 = .4, B = 1, eta = {learning_rate:g}",
            "oracle",
            SOURCE,
            time,
            (time - half, time + half),
            (0.97 * published, 1.03 * published),
            count=m.walkers,
            sample="walkers",
            published=published,
        )
        diffusion = learning_rate * diffusion_steps(m)
        lines.append(against(line, f"a diffusion: {diffusion:,.4g}", diffusion))
    value, within = toolkit.farthest([m.ratio for m in points], [m.error / m.exact for m in points])
    line = interval_claim(
        "farthest",
        f"mean exit time of walkers over the exact one, farthest of {len(points)} points",
        "oracle",
        SOURCE,
        value,
        within,
        (0.97, 1.03),
        count=min(m.walkers for m in points),
        sample=f"walkers or more at each of {len(points)} points",
        published=1.0,
        values=[m.ratio for m in points],
    )
    # What a diffusion has for the same number.
    other = max((diffusion_steps(m) / m.exact for m in points), key=lambda ratio: abs(ratio - 1))
    line = against(line, f"a diffusion, its farthest: {other:.2f}", other)
    return [*lines, line, *slope_claims(points)]


def draw_law(axis: Any, size: Size, points: list[Measured]) -> None:
    """The exact times by B / eta with the walkers on them."""
    ratio_B = np.linspace(4, 40, 13)
    same = [m for m in points if m.radius == R2**0.5]
    for batch_size, colour in zip(sorted({m.batch_size for m in same}), ("C0", "C1", "C2", "C3"), strict=False):
        rates = batch_size / ratio_B
        fits = rates < 1
        exact = [r * nets.exit_time.mean_steps_of_signs(float(r), batch_size, R2**0.5) for r in rates[fits]]
        axis.plot(ratio_B[fits], exact, color=colour, linewidth=1)
        own = [m for m in same if m.batch_size == batch_size]
        places = [m.batch_size / m.learning_rate for m in own]
        times = [m.learning_rate * m.simulated for m in own]
        axis.plot(places, times, "o", color=colour, label=f"batch {batch_size}, walkers")
    scale = size.published[0.1] / np.exp(ARRHENIUS * 10)
    axis.plot(ratio_B, scale * np.exp(ARRHENIUS * ratio_B), "k--", linewidth=1, label="Arrhenius, slope .400")
    places = [1 / rate for rate in size.published]
    axis.plot(places, list(size.published.values()), "kx", markersize=9, label="computed beforehand")
    axis.set(yscale="log", xlabel="B / eta, at r^2 = .4 (lines: exact)", ylabel="mean exit time T (steps x eta)")
    axis.legend(loc="upper left")


def draw_ratios(axis: Any, points: list[Measured]) -> None:
    """Every point's distance from the oracle."""
    names = [f"{m.batch_size}, {m.learning_rate:.3g}, {m.radius**2:.2g}" for m in points]
    places = np.arange(len(points))
    errors = [1.96 * m.error / m.exact for m in points]
    axis.errorbar([m.ratio for m in points], places, xerr=errors, fmt="o", capsize=3, label="with 95 % interval")
    axis.axvspan(0.97, 1.03, color="tab:green", alpha=0.15, label="band")
    axis.axvline(1, color="gray", linewidth=1)
    axis.set(xlabel="simulated / exact mean exit time", ylabel="B, eta, squared radius")
    axis.set_yticks(places, labels=names)
    # Below the last point there is room for the legend.
    axis.set_ylim(len(points) + 1.2, -0.8)
    axis.legend(loc="lower center", ncols=2)


def draw(size: Size, points: list[Measured], claims: list[Claim]) -> Any:
    """The law with the walkers on it, then every point's distance from the oracle."""
    figure, (law, ratios) = figures.new_figure(13, 5, 2)
    by = by_key(claims)
    draw_law(law, size, points)
    law.set_title(f"ln T rises by {by['slope/exact'].measured:.3f} per unit of B / eta, whatever B")
    draw_ratios(ratios, points)
    off = abs(by["farthest"].measured - 1)
    ratios.set_title(f"The farthest of {len(points)} points is {off:.1%} off the oracle")
    for axis in (law, ratios):
        axis.grid(alpha=0.3)
    return figure


def run(size: Size, _: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims."""
    points = measure_all(size)
    print("\n".join(map(line_of, points)), flush=True)
    claims = claims_of(size, points)
    return draw(size, points, claims), claims


def check_point(values: dict[str, Any]) -> bool:
    """Whether no point is asked for, or one that can be simulated; the error says what cannot."""
    missing = [name for name in POINT_FLAGS if values[name] is None]
    if len(missing) == len(POINT_FLAGS):
        return True
    if missing:
        raise flags.ValidationError(f"--{missing[0]} is missing; accepted: none or all of {', '.join(POINT_FLAGS)}")
    try:
        steps = nets.exit_time.mean_steps_of_signs(values["learning_rate"], values["batch_size"], values["radius"])
    except ValueError as error:
        raise flags.ValidationError(str(error)) from error
    if steps > MOST_STEPS:
        message = f"a walker leaves after {steps:.3g} steps on average; accepted: at most {MOST_STEPS:,}"
        raise flags.ValidationError(message)
    return True


def answer() -> bool:
    """Prints the one point that the flags ask for; whether they ask for one."""
    if flags.FLAGS.radius is None:
        return False
    for name in ("budget", "workdir"):
        if flags.FLAGS[name].present:
            fail(f"--{name} is given with --radius; accepted for one point: {', '.join(f'--{f}' for f in POINT_FLAGS)}")
    point = measure(flags.FLAGS.batch_size, flags.FLAGS.learning_rate, flags.FLAGS.radius, jax.random.key(0))
    print(line_of(point))
    return True


STUDY = Study(
    question="How does the time that SGD takes to leave a minimum depend on batch size and learning rate?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
)

if __name__ == "__main__":
    flags.DEFINE_integer("batch_size", None, "One point: examples in a batch, 1 or more.")
    flags.DEFINE_float("learning_rate", None, "One point: the learning rate eta, more than 0 and less than 2.")
    flags.DEFINE_float("radius", None, "One point: the walkers are out where |u| reaches it, more than 0.")
    flags.register_multi_flags_validator(POINT_FLAGS, check_point, "")
    command.main(STUDY, answer)
