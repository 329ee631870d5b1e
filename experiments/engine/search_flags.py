"""The flags that say what a sweep tries, axes, ranges, seeds and tuning, and the points that they ask for."""

from collections.abc import Sequence
from typing import NamedTuple

from absl import flags

from experiments.engine import axes, ranges, searching, space, tuning
from training import console
from training.command_line import folder_of
from training.config import ConfigError
from training.console import say


class Asked(NamedTuple):
    """What the command line asks for besides the config's own sweep: points to multiply it with, and for the field that
    is tuned the values to begin with."""

    parts: list[axes.Points]
    grid: tuple[float, ...]


def define() -> None:
    """Defines the flags."""
    flags.DEFINE_multi_string(
        "axis",
        [],
        "NAME=v1,v2: a config field and the values to try; may be repeated. A value may be a range with both ends, as "
        "log:0.001:10:9 (9 values, evenly in the logarithm), lin:0:0.9:4, int:1:8 (all of them), int:8:512:log (8, 16, "
        "... 512) or int:8:512:log:4. Fields that change together: NAME1,NAME2=v1:w1,v2:w2.",
    )
    flags.DEFINE_multi_string(
        "range",
        [],
        "NAME=LOW:HIGH or NAME=log:LOW:HIGH: a config field that --trials draws, in whole numbers where it has these; "
        "for the field of --tune, where the search begins.",
    )
    flags.DEFINE_integer(
        "trials",
        None,
        "How many points are drawn from the ranges (scrambled Sobol), each run with every value of the axes and every "
        "seed; more of them extend the set. Powers of 2 fill it most evenly.",
        lower_bound=1,
        upper_bound=ranges.MOST_TRIALS,
    )
    flags.DEFINE_integer("search_seed", None, "What the points of --trials are drawn from. [0]", lower_bound=0)
    flags.DEFINE_string(
        "tune",
        None,
        "A numeric field that is tuned for each setting of the other ones, on examples held out of the training set: "
        "its --axis, its --range or a grid of its own is extended while the best value lies at the edge and refined "
        "about it; then fresh seeds run at what was chosen. tuning.json says what came of it.",
    )
    flags.DEFINE_integer(
        "tune_seeds", None, f"Seeds 0, 1, ... that choose. [{tuning.TUNE_SEEDS}]", lower_bound=1, upper_bound=10_000
    )
    flags.DEFINE_integer(
        "tune_extensions",
        None,
        f"How often a grid is extended at most. [{searching.EXTENSIONS}]",
        lower_bound=0,
        upper_bound=1_000,
    )
    flags.DEFINE_integer(
        "tune_refinements",
        None,
        f"How often the spacing about the best value is halved. [{searching.REFINEMENTS}]",
        lower_bound=0,
        upper_bound=20,
    )
    flags.DEFINE_integer(
        "seeds",
        None,
        f"Seeds 0, 1, ... of every configuration; with --tune the fresh ones, after those that choose "
        f"[{tuning.FRESH_SEEDS}].",
        lower_bound=1,
        upper_bound=100_000,
    )


def asked() -> Asked:
    """What the axes, ranges and seeds of the command line ask for; what they have more than once is said. ConfigError
    for what makes no sense."""
    check_together()
    values = flags.FLAGS
    given_ranges = [ranges.parse_range(text) for text in values.range]
    given_axes = [axes.parse_axis(text) for text in values.axis]
    check_once([one.name for one in given_ranges], [name for one in given_axes for name in one.names])
    of_tuned = [tuning.grid_of(one) for one in given_ranges if one.name == values.tune]
    parts = [drawn] if (drawn := draw([one for one in given_ranges if one.name != values.tune])) else []
    for names, points in given_axes:
        if note := space.repeated(names, points):
            say(note)
        if values.tune not in names:
            parts.append(points)
        elif len(names) > 1:
            raise ConfigError(f"--axis {','.join(names)} with --tune={values.tune}; accepted: an axis of that alone")
        else:
            of_tuned.append(tuple(point[values.tune] for point in points))
    if values.seeds and values.tune is None:
        parts.append(axes.axis("seed", range(values.seeds)))
    return Asked(parts, of_tuned[0] if of_tuned else ())


def check_together() -> None:
    """ConfigError for a field that cannot be tuned, and for flags of a search that is not asked for."""
    values = flags.FLAGS
    if values.tune is not None:
        tuning.check_field(values.tune)
    for name in ("tune_seeds", "tune_extensions", "tune_refinements"):
        if values.tune is None and values[name].value is not None:
            raise ConfigError(f"--{name} is for a field that is tuned; accepted with it: --tune=learning_rate")
    if values.search_seed is not None and not values.trials:
        raise ConfigError(
            "--search_seed is for points that are drawn; accepted with it: --trials=N --range NAME=LOW:HIGH"
        )


def check_once(of_ranges: Sequence[str], of_axes: Sequence[str]) -> None:
    """ConfigError for a field that is given in two ways."""
    values = flags.FLAGS
    for flag, names in (("--axis", of_axes), ("--range", of_ranges)):
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            one = "list of all its values" if flag == "--axis" else "of them"
            raise ConfigError(f"{flag} {twice[0]} is given twice; accepted: one {one}")
    if both := [name for name in of_axes if name in of_ranges]:
        raise ConfigError(f"--axis {both[0]} and --range {both[0]} are both given; accepted: one of them")
    if "seed" in of_axes and (values.seeds or values.tune is not None):
        flag = "--seeds" if values.seeds else "--tune"
        instead = "one of them" if values.seeds else "--tune_seeds=N and --seeds=N"
        raise ConfigError(f"{flag} and --axis seed are both given; accepted: {instead}")


def draw(given: Sequence[ranges.Range]) -> axes.Points:
    """The points that --trials draws from the ranges, none where there are no ranges."""
    values = flags.FLAGS
    if given and not values.trials:
        name = given[0].name
        raise ConfigError(f"--range {name} is drawn by --trials=N; accepted: both, or --axis {name}=v1,v2")
    if values.trials and not given:
        raise ConfigError(f"--trials={values.trials} has nothing to draw from; accepted with it: --range NAME=LOW:HIGH")
    if not given:
        return []
    points = ranges.draw(given, values.trials, values.search_seed or 0)
    different = len({repr(point) for point in points})
    if different < len(points):
        say(f"--trials={len(points)} draws {different} different points: of the others, whole numbers coincide.")
    return points


def tuning_of(points: axes.Points, grid: Sequence[float]) -> tuning.Tuning | None:
    """The tuning that --tune asks for, of the settings among the points; None where it is not given."""
    values = flags.FLAGS
    if values.tune is None:
        return None
    given = {
        "tune_seeds": values.tune_seeds,
        "fresh_seeds": values.seeds,
        "extensions": values.tune_extensions,
        "refinements": values.tune_refinements,
    }
    given = {name: value for name, value in given.items() if value is not None}
    made = tuning.make_tuning(values.config, points, values.tune, grid, data_dir=str(folder_of("data_dir")), **given)
    settings, choosing = console.count(made.settings, "setting"), console.count(made.tune_seeds, "seed")
    fresh = console.count(made.fresh_seeds, "fresh seed")
    say(f"{values.tune}: tuned for {settings} on validation examples by {choosing}; {fresh} at what is chosen.")
    return made
