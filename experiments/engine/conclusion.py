"""What a sweep says at its end, in words: its ranking and what it decides, within a screen."""

from typing import Any

from experiments.engine.ranking import Decision, Ranked
from experiments.engine.statistics import CONFIDENCE

MOST_RANKED, MOST_SHARES, MOST_GROUPS = 5, 5, 2
MARK = "="


def conclusion(decision: Decision, most: int = MOST_RANKED) -> str:
    """The settings with the best final score as a table, with what the test set gives beside; then which of them cannot
    be told from the best, at which edges it lies, and which fields matter."""
    rows = decision.ranked
    if not rows:
        return "Every trial has diverged."
    told = any(difference.n > 1 for difference in decision.differences)
    lines = [heading(decision, told), *(row_line(row, decision.score, told) for row in rows[:most])]
    if len(rows) > most:
        lost = sum(row.diverged + row.broken > 0 for row in rows[most:])
        lost_words = f", {lost} of them with lost seeds" if lost else ""
        lines.append(f"  ... and {len(rows) - most} more{lost_words}")
    if len(rows) > 1:
        lines.append(verdict(decision))
    lines += [f"At an edge: {edge.words}" for edge in decision.edges]
    for one in decision.groups[:MOST_GROUPS]:
        low, high = one.groups
        lines.append(f"Two groups of seeds: {name_of(one.setting)}: {group_words(low)}, {group_words(high)}")
    if len(decision.groups) > MOST_GROUPS:
        lines.append(f"Two groups of seeds in {len(decision.groups) - MOST_GROUPS} more settings")
    return "\n".join([*lines, *filter(None, [importance_line(decision)])])


def heading(decision: Decision, told: bool) -> str:
    """What is ranked, by which examples, and what the marks say."""
    parts = ["mean over seeds", f"{100 * CONFIDENCE:g} % interval of the mean"]
    if len(decision.ranked) > 1 and decision.selected_by == "test":
        parts.append("ranked by the test set")
    lost = [row.diverged + row.broken > 0 for row in decision.ranked]
    if decision.rank == "survivors":
        parts.append("of the seeds that survive, --rank=survivors")
    elif any(lost) and not all(lost):
        parts.append("the more seeds are lost, the later")
    if told:
        parts.append(f"{MARK} cannot be told from the best")
    return f"Best final {decision.score} ({', '.join(parts[:2])}{''.join(f'; {part}' for part in parts[2:])}):"


def row_line(row: Ranked, score: str, told: bool) -> str:
    """`= 0.9728 (0.9715 to 0.9740, 8 seeds, test_accuracy 0.9711)  activation=tanh  learning_rate=1`."""
    parts = [f"{row.low:.4f} to {row.high:.4f}"] if row.n > 1 and not row.points else []
    if row.points:
        parts = ["seeds at " + ", ".join(f"{point:.4f}" for point in sorted(row.points))]
    else:
        parts.append("1 seed" if row.n == 1 else f"{row.n} seeds")
    parts += [f"{score.replace('val', 'test')} {row.test_mean:.4f}"] if row.test_n else []
    parts += [f"{row.diverged} of {row.seeds} seeds diverged"] if row.diverged else []
    parts += [f"{row.broken} of {row.seeds} seeds broken: at chance"] if row.broken else []
    parts += [f"cut after epoch {row.epoch}"] if row.is_cut else []
    called = "".join(f"  {name}={value}" for name, value in row.setting.items())
    mark = MARK if told and row.is_best else " "
    return f"{mark} {row.mean:.4f} ({', '.join(parts)}){called}"


def verdict(decision: Decision) -> str:
    """Which setting is best, or how many cannot be told from it and how many seeds would; in one sentence."""
    first, compared = decision.ranked[0], decision.compared
    cut = sum(row.is_cut for row in decision.ranked)
    left_out = {"with more lost seeds": len(decision.ranked) - compared - cut, "cut before the end": cut}
    beside = "".join(f"; {count} {why} not compared" for why, count in left_out.items() if count)
    if not compared:
        return "Verdict: none; no setting has come to its end."
    if compared < 2:
        why = "loses fewer seeds than the others" if compared + cut < len(decision.ranked) else "alone was not cut"
        return f"Verdict: {name_of(first.setting)} comes first, since it {why}."
    shared = [one.n for one in decision.differences]
    if max(shared) < 2:
        return "Verdict: none; one shared seed tells no difference from chance, --seeds=5 may."
    if first.setting not in decision.best:
        return "Verdict: none; the settings share too few seeds to be compared."
    after = decision.differences[0]
    by = f"{gap(decision, after.mean)}, {gap(decision, after.low)} to {gap(decision, after.high)}"
    if len(decision.best) == 1:
        of_all = "" if compared == 2 else f" of {compared} compared"
        return f"Verdict: {name_of(first.setting)} is the best{of_all}: ahead of the next by {by}{beside}."
    which = (
        f"{len(decision.best)} of {compared} settings" if len(decision.best) < compared else f"all {compared} settings"
    )
    next_one = decision.best[1]
    seeds = decision.seeds_that_decide
    more = f"about {seeds:,} seeds would tell the first from {name_of(next_one)}" if seeds else ""
    more = more or f"no number of seeds below 10,000 would tell the first from {name_of(next_one)}"
    return f"Verdict: undecided; {which} cannot be told from the best by {max(shared)} seeds{beside}; {more}."


def gap(decision: Decision, value: float) -> str:
    """A difference of scores: of shares in points."""
    return f"{100 * value:.2f} points" if decision.is_share else f"{value:.3g}"


def name_of(setting: dict[str, Any]) -> str:
    """`activation=tanh, learning_rate=1`."""
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in setting.items()
    )


def group_words(values: tuple[float, ...]) -> str:
    """`3 at 0.0980 to 0.1135`."""
    low, high = f"{values[0]:.4f}", f"{values[-1]:.4f}"
    return f"{len(values)} at {low}" + (f" to {high}" if low != high else "")


def importance_line(decision: Decision) -> str:
    """`Importance (shares of the variance of val_accuracy): learning_rate 62 %, ...`; '' of fewer than two fields."""
    importance = decision.importance
    if not decision.ranked[0].setting:
        return ""
    if not importance.method:
        return f"Importance: not told, {importance.reason}" if len(decision.ranked[0].setting) > 1 else ""
    shares = [(" x ".join(share.factors), share.share) for share in importance.shares if share.share >= 0.005]
    words = [f"{name} {100 * share:.0f} %" for name, share in shares[:MOST_SHARES]]
    words += [
        f"{name} {100 * share:.0f} %"
        for name, share in (("seeds", importance.seeds), ("rest", importance.rest))
        if share >= 0.005
    ]
    how = "" if importance.method == "grid" else ", of a fit"
    return f"Importance (shares of the variance of {decision.score}{how}): {', '.join(words)}"
