"""Pictures of when deep sigmoid nets leave their plateau, in rate x steps."""

import math
from typing import Any

import numpy as np

import nets
from experiments.study import toolkit
from experiments.study.plateau_nets import SMALL, Found, Setting, geometric_mean, median_times, passages

SHOWN = (100.0, 200_000.0)


def draw_law(axis: Any, found: dict[Setting, list[Found]], factor: float) -> None:
    """Measured against predicted rate x steps, a point a net, with the band and the rival."""
    ends = np.array(SHOWN)
    axis.plot(ends, ends, "k-", linewidth=1, label=f"ln(1/delta)/|h|, and a factor of {factor:g}")
    axis.fill_between(ends, ends / factor, ends * factor, color="gray", alpha=0.2)
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


def draw_survival(axis: Any, steps: int, found: dict[Setting, list[Found]]) -> None:
    """Kaplan-Meier curves at the highest rate, small batches solid and all images dotted, with predicted medians."""
    highest = max(setting.rate for setting in found)
    for setting, of in found.items():
        if setting.rate == highest:
            times, share, low, high = (np.append(x, x[-1]) for x in nets.escape.kaplan_meier(*passages(of)))
            times[0], times[-1] = 1.0, steps * highest
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


def draw_after(axis: Any, times_of_ways: dict[str, list[tuple[float, float]]], factor: float) -> None:
    """The time with batches against that of what goes on otherwise from the same look, a point a net; the ways by their
    words."""
    ends = np.array(SHOWN)
    axis.plot(ends, ends, "k-", linewidth=1)
    axis.fill_between(
        ends, ends / factor, ends * factor, color="gray", alpha=0.2, label=f"equal, and a factor of {factor:g}"
    )
    for (words, points), marker in zip(times_of_ways.items(), ("s", "+", "o"), strict=True):
        axis.plot(*np.array(points).T, marker, markersize=5, alpha=0.7, fillstyle="none", label=words)
    axis.set(xscale="log", yscale="log", xlim=SHOWN, ylim=SHOWN, title="What keeps them is the noise of the labels")
    axis.set(xlabel="rate x steps, other ways from the look on", ylabel=f"rate x steps with batches of {SMALL}")
    axis.grid(alpha=0.3)
    toolkit.legend_below(axis)
