"""How long do deep sigmoid nets stay on their plateau, and does the most negative curvature there say so?

    python -m experiments.escape.saturated_saddle [--budget=full]      30 seconds on 2 cores, full 90 minutes

A command that was killed goes on with what WORKDIR holds.

Glorot & Bengio's (2010) deep sigmoid nets answer the shares of the classes to every image for a long time, with a top
layer that has fallen to 0. Near such a plateau the cost is a saddle. The linearised descent leaves it at

    rate x steps = ln(1 / delta) / lambda     -lambda the most negative eigenvalue of the Hessian, delta the overlap

(`nets.saddle`, which has nothing to fit). delta is the distance from the saddle along the eigenvector, slope over
lambda, over that at which the quadratic cost has fallen by as much as counts as leaving. Beside it the linearised
descent along all eigenvectors at once, of which there are many with much the same lambda. One law has to cover 3, 4
and 5 layers and rates from .1 to 1.6, of which the rival, a time that depends on the rate alone, knows nothing.

Of deep nets at high rates it errs in two ways that partly cancel, which nets of 4 and 5 layers are to show that go on
otherwise from the look on. With all images they leave before it says: out on the way the Hessian is no longer that of
the look. In batches they stay longer than with all images: the noise of the labels, which is how many images of each
class a batch happens to hold, adds to the cost, with J the derivatives of the logits and p the classes' shares,

    rate / (4 B) tr((diag p - p p^T) J J^T)           (`nets.saddle.label_noise`, which has nothing to fit either)

which pushes the top layer further into saturation. If that is so, descent on the sum leaves when nets in small batches
do, and batches of one image of each class, weighted by the shares, whose labels have no noise, when all images do. A
ratio of two times is of nets that left both ways, seed by seed; how many did not is said.

The nets are those of `deep_saturation`: layers of 50 sigmoids, weights U[+-1 / sqrt n], zero biases, softmax cross-
entropy, batches of 10 (here drawn with replacement), at most 300,000 steps. They learn the first 500 images of MNIST;
as descent commutes with rotations of the inputs, these and the first layer's draw are turned to the images' main axes,
of which the first 50 are kept, 90 % of their squares. A net has left once its cost over all images, at the best output
biases, is 2 % below the entropy of the classes, that of the best constant. The plateau is looked at once, at rate x
steps = 50, at the best output biases as well: they are fast, and their noise in small batches would be taken for
curvature.

Bands, set before the run: the geometric mean over the seeds of measured over predicted time within a factor of 1.5 in
each setting; a correlation of logs of .95 over the settings (.99 now, see below), times counted as rate x steps, so
that the rate itself gives none; full-batch descent as late as small batches, in rate x steps, within a factor of 1.5.
Whether a net leaves within 15,000 steps is said rightly of 70 % or more (at first the share that leaves was to lie in
Wilson's interval of that predicted, in which no exact interval of as many nets can lie). What counts as leaving, the
time of the look and the best output biases were chosen in runs of seven nets with other seeds, so that every line is
exploratory. What nets do after the look was chosen once the lateness was seen, from among several ways, with the same
factor of 1.5. The budget was 15,000 steps first, by which half of the nets had left in 12 of the 17 full settings, on
seeds from 1,000 on as well, and the other five were open; that it now lasts until they leave was chosen after that, and
after three nets of each with other seeds.

That times of 3 to 5 layers correlate with anything that knows the depth was seen late, with three nets of each setting:
the band is from .99 since, beside a time for each depth and nothing else, and a second correlation leaves the means of
the depths out of both sides (band from .95). In the full size both are of the descent with the noise's cost as well, at
every depth and rate. Of the settings that go no other way it is the farthest that is judged, beside the farthest of the
linearised descent, as in most of them the noise is so small that no band tells the two apart; the others have a line
each, beside what all images need. Of 5 layers at .8 the share was dropped: none leaves,
which "none does" says as well as any law.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

import nets
from experiments.study import command, plateau_pictures, toolkit
from experiments.study.claims import Band, Claim, Names, against, interval_claim, mean_claim, share_claim
from experiments.study.kept import Kept, digest_of
from experiments.study.plateau_nets import (
    EVERY,
    SMALL,
    Found,
    Net,
    Setting,
    Way,
    geometric_mean,
    load,
    median_of,
    median_times,
    passages,
    times_after,
    times_of,
    train_nets,
)
from experiments.study.study import FRESHER_SEEDS, Study
from training import figures

# The files of this project that make the nets.
MADE_OF = ("nets", "readers", "input_pipeline.py", "experiments/study/plateau_nets.py")
FACTOR, RIGHT = 1.5, 0.7
CORRELATED, WITHIN_DEPTHS = (0.99, 1.0), (0.95, 1.0)
BAND: Band = (1 / FACTOR, FACTOR)
SOURCE, NOISE = "nets.saddle", "nets.saddle.label_noise"
PREDICTIONS = {"law": "ln(1/delta)/lambda", "descent": "the time of the linearised descent along all directions"}
CHOSEN = (
    "what counts as leaving, the time of the look and the settled biases were chosen in runs of seven other nets; that "
    "the budget lasts until all leave, once 15,000 steps had left five settings open, also on seeds from 1,000 on, and "
    "that the full size has 200 seeds, once 72 had left four lines open"
)
RESTATED = f"{CHOSEN}; restated, as no sample could pass the first band"
EXPLORATORY = {"law": CHOSEN, "descent": f"{CHOSEN}; claims since a run with six of these seeds, where it was a note"}
LATE = "chosen after the lateness was seen, in runs of three to six nets a setting with other seeds"
NARROWED = "the band began at .95 before the correlation by depth alone was seen, with three nets of each setting"
ADDED = "added once the correlation by depth alone was seen"
JOINT = (
    "one line of the settings that go no other way, since a run in which each had its own: the bands of 8 of the 11 "
    "held the rival, and of 10 on fresh seeds, as the noise is small there"
)
# What a net does from the look on, beside going on with its batches.
AFTER: dict[Way, str] = {
    "all": "all images",
    "classes": "one image of each class in a batch",
    "noise": "descent on the cost and that of the labels' noise",
}


class Size(NamedTuple):
    """Images, main axes that are kept, units a layer; seeds and steps; which nets are trained; of which the share that
    leaves is judged, and within how many steps; which go other ways after the look, which by the descent with the
    noise's cost, and how many seeds of each; the first seed."""

    images: int
    axes: int
    units: int
    seeds: int
    steps: int
    settings: tuple[Setting, ...]
    shares: tuple[Setting, ...]
    within: int
    after: tuple[Setting, ...]
    noise: tuple[Setting, ...]
    after_seeds: int
    seeds_from: int = 0


RATES = (0.1, 0.2, 0.4, 0.8, 1.6)
DEEP, LATER = (Setting(5, 0.8), Setting(5, 1.6)), (Setting(4, 0.8), Setting(4, 1.6))
SETTINGS = (*(Setting(3, r) for r in RATES), *(Setting(4, r) for r in RATES[1:]), *DEEP, Setting(3, 1.6, 0))
# Of 5 layers at .8 none leaves within the steps of the share, which tells nothing from that none does.
QUICK = Size(500, 50, 50, 12, 300_000, SETTINGS, DEEP[1:], within=15_000, after=LATER, noise=LATER, after_seeds=6)
ALL = tuple(Setting(layers, rate) for layers in EVERY for rate in RATES)
MORE = (*ALL, Setting(3, 1.6, 0), Setting(3, 0.4, 0))
FULL = QUICK._replace(seeds=200, settings=MORE, after=(*LATER, *DEEP), noise=ALL, after_seeds=20)
ONE = (Setting(3, 1.6),)
TINY = Size(60, 5, 4, 2, 40, settings=ONE, shares=ONE, within=30, after=ONE, noise=ONE, after_seeds=2)

OVER_NOISE = f"batch {SMALL}: leaving time over that of {AFTER['noise']}"

# Of each setting and way, rate x steps at which its nets left, infinite where the budget ended.
Ways: TypeAlias = dict[tuple[Setting, Way], list[float]]


# ---------------------------------------------------------------------------------------------------------------------
# Claims.


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


def correlation_claims(
    name: str, words: str, medians: dict[Setting, tuple[float, float]], seeds: int, **more: str
) -> list[Claim]:
    """Of the logs of measured and predicted medians of so many nets, over the settings half of whose nets have left;
    then what is left of it within the depths, as a time for each depth and nothing else correlates as well."""
    pairs = {setting: pair for setting, pair in medians.items() if all(map(math.isfinite, pair))}
    logs_Sx2, layers_S = np.log([*pairs.values()]).reshape(-1, 2), np.array([setting.layers for setting in pairs])
    middles_Sx2 = np.zeros_like(logs_Sx2)
    for layers in set(layers_S.tolist()):
        middles_Sx2[layers_S == layers] = logs_Sx2[layers_S == layers].mean(axis=0)
    by_depth, _ = toolkit.correlated(logs_Sx2[:, 0], middles_Sx2[:, 0])
    worst = float(np.exp(np.abs(logs_Sx2[:, 0] - logs_Sx2[:, 1]).max(initial=0)))
    said: Any = {
        "count": len(pairs),
        "sample": "settings",
        "note": f"medians of {seeds} nets each differ by a factor of {worst:.2f} at most; settings share their seeds",
    }
    title, source = f"correlation of the logs of medians and {words}", more["source"]
    value, within = toolkit.correlated(logs_Sx2[:, 0], logs_Sx2[:, 1])
    said["exploratory"] = f"{more['exploratory']}; {ADDED if name == 'noise' else NARROWED}"
    line = interval_claim(f"correlation/{name}", title, "oracle", source, value, within, CORRELATED, **said)
    rival = "the best time for each depth and nothing else" + (f": {by_depth:.3f}" if math.isfinite(by_depth) else "")
    claims = [against(line, rival, by_depth)]
    apart_Sx2 = logs_Sx2 - middles_Sx2
    value, within = toolkit.correlated(apart_Sx2[:, 0], apart_Sx2[:, 1], len(set(layers_S.tolist())) - 1)
    said |= {"exploratory": f"{more['exploratory']}; {ADDED}", "rival": "a time for each depth: 0", "rival_at": 0.0}
    said["note"] = f"medians of {seeds} nets each; the interval counts the settings less the fitted means"
    key, title = f"within_depths/{name}", f"{title}, less the means of each depth"
    return [*claims, interval_claim(key, title, "oracle", source, value, within, WITHIN_DEPTHS, **said)]


def share_claims(size: Size, found: dict[Setting, list[Found]]) -> list[Claim]:
    """Of how many nets it is said rightly whether they leave within so many steps."""
    claims: list[Claim] = []
    for setting in size.shares:
        end = size.within * setting.rate
        predicted_S = np.array([net.law <= end for net in found[setting]])
        left_S = np.array([net.left_by(end) for net in found[setting]])
        title = f"{setting.words}: nets of which the law says rightly whether they leave within {size.within:,} steps"
        note = f"{predicted_S.sum()} of {len(left_S)} are to leave, and {left_S.sum()} do"
        words: Any = {"published": 1.0, "exploratory": RESTATED, "note": note}
        key, right_S = f"share/{setting.key}", predicted_S == left_S
        line = share_claim(key, title, "oracle", SOURCE, right_S, (RIGHT, 1.0), **words)
        claims.append(against(line, *one_answer(left_S)))
    return claims


def one_answer(left_S: np.ndarray) -> tuple[str, float]:
    """A share's rival, to say of all nets that they leave or of none, the better of both, and how often it is right."""
    share = float(left_S.mean())
    return f"that {'all leave' if share >= 0.5 else 'none leaves'}, {max(share, 1 - share):.2g}", max(share, 1 - share)


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


def ratio_line(names: Names, upper: ArrayLike, lower: ArrayLike, **words: Any) -> Claim:
    """The geometric mean of upper over lower time, of nets that left both ways."""
    upper_S, lower_S = np.asarray(upper, float), np.asarray(lower, float)
    left_S = np.isfinite(upper_S) & np.isfinite(lower_S)
    ratios_S = np.divide(upper_S, lower_S, out=np.full(len(left_S), np.nan), where=left_S)
    note = "" if left_S.all() else f"{left_S.sum()} of {len(left_S)} nets left both ways before the budget ended"
    key, title, kind, source = names
    return mean_claim(key, title, kind, source, ratios_S, BAND, log=True, exploratory=LATE, note=note, **words)


def looked(setting: Setting) -> str:
    """How finely the times are known."""
    return f"whether a net has left is looked at every {EVERY[setting.layers]:g} in rate x steps"


def without_noise(setting: Setting, size: Size, found: dict[Setting, list[Found]], ways: Ways) -> float:
    """How much longer nets stay with batches than with all images; of one that stays it is known that it is at least
    so."""
    ended_S = np.minimum(ways[setting, "all"], size.steps * setting.rate)
    return geometric_mean([net.time for net in found[setting][: size.after_seeds]] / ended_S)


def after_claims(size: Size, found: dict[Setting, list[Found]], ways: Ways) -> list[Claim]:
    """What keeps the nets: without noise in the labels they leave as with all images, which is before the linearised
    descent says."""
    claims: list[Claim] = []
    for setting in size.after:
        all_S, classes_S = np.array(ways[setting, "all"]), np.array(ways[setting, "classes"])
        at_least = without_noise(setting, size, found, ways)
        title, of = f"{setting.layers} layers, rate {setting.rate:g}, after the look ", setting.key
        words = f"{title}{AFTER['classes']}: leaving time over that of all images"
        line = ratio_line((f"classes/{of}", words, "ours", "no noise in the labels"), classes_S, all_S)
        line = dataclasses.replace(line, note="; ".join(filter(None, (line.note, looked(setting)))))
        claims.append(against(line, f"that of batches of {SMALL}, {at_least:.2g}", at_least))
        words = f"{title}{AFTER['all']}: leaving time over {PREDICTIONS['descent']}"
        descents_S = [net.descent for net in found[setting][: size.after_seeds]]
        line = ratio_line((f"all/{of}", words, "oracle", SOURCE), all_S, descents_S, published=1.0)
        claims.append(beside_rival(line, setting, found))
    return claims


def noise_claims(size: Size, found: dict[Setting, list[Found]], ways: Ways) -> list[Claim]:
    """With the cost that the noise of the labels amounts to they leave as with batches, at every depth and rate."""
    claims: list[Claim] = []
    medians: dict[Setting, tuple[float, float]] = {}
    for setting in size.noise:
        nets_S, noise_S = found[setting][: size.after_seeds], np.array(ways[setting, "noise"])
        medians[setting] = median_of(times_of(nets_S)), median_of(noise_S)
        if setting in size.after:
            words = f"{setting.layers} layers, rate {setting.rate:g}, after the look {OVER_NOISE}"
            names: Names = f"noise/{setting.key}", words, "oracle", NOISE
            line = ratio_line(names, times_of(nets_S), noise_S, published=1.0)
            at_least = without_noise(setting, size, found, ways)
            claims.append(against(line, f"all images, without the noise's cost: {at_least:.2g}", at_least))
        if setting in size.shares:
            claims.append(noise_share_claim(setting, size, nets_S, noise_S))
    if only := [setting for setting in size.noise if setting not in size.after]:
        claims.append(farthest_claim(only, size, found, ways))
    # Of fewer depths nothing can be said of how the times correlate.
    if len({setting.layers for setting in size.noise}) == len(EVERY):
        more = {"source": NOISE, "exploratory": LATE}
        claims += correlation_claims("noise", f"those of {AFTER['noise']}", medians, size.after_seeds, **more)
    return claims


def farthest_claim(settings: list[Setting], size: Size, found: dict[Setting, list[Found]], ways: Ways) -> Claim:
    """Of those settings the one in which the descent with the noise's cost errs most, beside that of the linearised
    descent; what has not left when the budget ends is taken to leave then."""
    by_noise: list[np.ndarray] = []
    by_descent: list[float] = []
    late = 0
    for setting in settings:
        nets_S, noise_S, end = found[setting][: size.after_seeds], ways[setting, "noise"], size.steps * setting.rate
        late += sum(net.censored or time > end for net, time in zip(nets_S, noise_S, strict=True))
        by_noise.append(np.log([net.time for net in nets_S]) - np.log(np.minimum(noise_S, end)))
        by_descent.append(math.log(geometric_mean([net.time / net.descent for net in nets_S])))
    middles, spreads = np.mean(by_noise, axis=1), np.std(by_noise, axis=1, ddof=1)
    errors, degrees = spreads / size.after_seeds**0.5, size.after_seeds - 1
    farthest, within = toolkit.farthest(middles, errors, middle=0.0, degrees=degrees)
    off = math.exp(max(by_descent, key=abs))
    by_setting = ", ".join(f"{of.words} {math.exp(m):.3f}" for of, m in zip(settings, middles, strict=True))
    note = f"{by_setting}" + f"; of {late} nets the budget ended first" * bool(late)
    line = interval_claim(
        "noise/farthest",
        f"{OVER_NOISE}, the farthest of {len(settings)} settings",
        "oracle",
        NOISE,
        math.exp(farthest),
        (math.exp(within[0]), math.exp(within[1])),
        BAND,
        count=size.after_seeds,
        published=1.0,
        values=np.exp(middles),
        exploratory=f"{LATE}; {JOINT}",
        note=note,
    )
    return against(line, f"the farthest of the linearised descent: {off:.2g}", off)


def noise_share_claim(setting: Setting, size: Size, nets_S: list[Found], noise_S: np.ndarray) -> Claim:
    """Of how many nets the descent with the noise's cost says rightly whether they leave within so many steps."""
    end = size.within * setting.rate
    left_S = np.array([net.left_by(end) for net in nets_S])
    law = float(np.mean(left_S == np.array([net.law <= end for net in nets_S])))
    said = f"nets of which {AFTER['noise']} says rightly whether they leave within {size.within:,} steps"
    key, title = f"share/noise/{setting.key}", f"{setting.words}: {said}"
    note = f"{np.sum(noise_S <= end)} of {len(left_S)} are to leave, and {left_S.sum()} do"
    words: Any = {"published": 1.0, "exploratory": LATE, "note": note}
    right_S = (noise_S <= end) == left_S
    line = share_claim(key, title, "oracle", NOISE, right_S, (RIGHT, 1.0), **words)
    rival, at = one_answer(left_S)
    return against(line, f"{rival} (the law: {law:.2g})", at)


def run(size: Size, workdir: Path) -> tuple[Any, list[Claim]]:
    """The figure and the claims; nets that the folder keeps are not trained again."""
    data, extent = load(size.images, size.axes), (size.units, size.steps)
    # The longest first.
    settings = sorted(size.settings, key=lambda setting: (-setting.layers, setting.rate))
    otherwise: list[tuple[Setting, Way]] = [
        (setting, way)
        for setting in sorted({*size.after, *size.noise}, reverse=True)
        for way in reversed(AFTER)
        if setting in (size.noise if way == "noise" else size.after)
    ]
    seeds, after_seeds = (range(size.seeds_from, size.seeds_from + count) for count in (size.seeds, size.after_seeds))
    with Kept(workdir, digest_of(MADE_OF, size.images, size.axes)) as kept:
        trained = train_nets([Net(setting, seed, *extent) for setting in settings for seed in seeds], data, kept)
        times = times_after(
            [(Net(of, seed, *extent), way) for of, way in otherwise for seed in after_seeds], data, kept
        )
    found = {setting: [net for of, net in trained if of.setting == setting] for setting in size.settings}
    ways: Ways = {
        (of, way): [time for (net, by), time in times if (net.setting, by) == (of, way)] for of, way in otherwise
    }
    factors = [claim for name in PREDICTIONS for claim in factor_claims(found, name, size.steps)]
    correlations: list[Claim] = []
    for name, words in PREDICTIONS.items():
        medians = {setting: median_times(of, name) for setting, of in found.items()}
        correlations += correlation_claims(
            name, words, medians, size.seeds, source=SOURCE, exploratory=EXPLORATORY[name]
        )
    claims = [*factors, *correlations, *share_claims(size, found), *batch_claims(size, found)]
    claims += [*after_claims(size, found, ways), *noise_claims(size, found, ways)]
    figure, axes = figures.new_figure(17, 6, 3)
    plateau_pictures.draw_law(axes[0], found, FACTOR)
    axes[0].set_title(f"{correlations[0].count} settings: correlation of logs {correlations[0].measured:.3f}")
    plateau_pictures.draw_survival(axes[1], size.steps, found)
    times_of_ways = {
        words: [
            (min(time, size.steps * setting.rate), net.time)
            for setting in (size.noise if way == "noise" else size.after)
            for time, net in zip(ways[setting, way], found[setting], strict=False)
        ]
        for way, words in AFTER.items()
    }
    plateau_pictures.draw_after(axes[2], times_of_ways, FACTOR)
    return figure, claims


STUDY = Study(
    question="How long do deep sigmoid nets stay on their plateau, and does the most negative curvature there say so?",
    run=run,
    sizes={"tiny": TINY, "quick": QUICK, "full": FULL},
    fresh_seeds=FRESHER_SEEDS,
)

if __name__ == "__main__":
    command.main(STUDY)
