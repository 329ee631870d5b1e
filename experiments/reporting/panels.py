"""What the page says of the whole sweep in tables, whatever is filtered: a place for every finding that is a sentence
and a few rows. A panel more is a function here and an entry in `PANELS`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from experiments.engine import conclusion
from experiments.engine.conclusion import MARK, gap
from experiments.engine.standing import Standing
from experiments.reporting.sweep_data import Sweep, configuration_name, count_of, counts_of, cut_epochs, label
from training.console import count, duration

MOST_ROWS = 100


class Panel(NamedTuple):
    """A finding in one sentence, its table, and what is to be said of that; `title` is its heading, `key` its place in
    the page's address. Cells are texts and whole numbers."""

    key: str
    title: str
    finding: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    note: str


def panels_of(sweep: Sweep, standing: Standing | None) -> list[Panel]:
    """The panels that have something to say."""
    return [panel for make in PANELS if (panel := make(sweep, standing))]


def the_best(sweep: Sweep, _: Standing | None) -> Panel | None:
    """Which settings cannot be told from the best, and by how much the first one is ahead; None of one setting."""
    decision = sweep.decision
    if len(decision.ranked) < 2:
        return None
    rows: list[tuple[Any, ...]] = []
    for row in decision.ranked[:MOST_ROWS]:
        of, bounds = decision.difference_from(row.number), ""
        if of and of.n > 1:
            bounds = f"{gap(decision, of.low)} to {gap(decision, of.high)}"
        ahead = (gap(decision, of.mean), bounds, p_words(of.p_holm)) if of and of.n else ("", "", "")
        within = f"{row.low:.4f} to {row.high:.4f}" if row.n > 1 else ""
        mark = MARK if row.is_best else ""
        rows.append((mark, conclusion.name_of(row.setting), f"{row.mean:.4f}", within, str(row.n), *ahead))
    how = "by the test set" if decision.selected_by == "test" else "on examples that are held out of training"
    note = f"{MARK} cannot be told from the best. Ranked {how}; differences are paired by seed, p is adjusted by Holm."
    fresh = sum(len(row.trials) for row in decision.ranked) < len(sweep.names_T)
    note += " Of a tuning the fresh seeds alone count." if fresh and not sweep.cut_T.any() else ""
    note += more_words(len(decision.ranked))
    columns = ("", "setting", decision.score, "95 % interval", "seeds", "first ahead by", "95 % interval of that", "p")
    return Panel("best", "The best", conclusion.verdict(decision).removeprefix("Verdict: "), columns, rows, note)


def p_words(p: float) -> str:
    """A p-value in two digits, '' where there is none."""
    return "" if np.isnan(p) else f"{p:.2g}"


def more_words(count: int) -> str:
    """That not all are listed, where that is so."""
    return f" {MOST_ROWS} of {count:,} settings are listed." if count > MOST_ROWS else ""


def at_edges(sweep: Sweep, _: Standing | None) -> Panel | None:
    """Whether the best setting lies at the edge of what was tried."""
    if not (found := sweep.decision.edges):
        return None
    return Panel("edges", "At an edge", "; ".join(edge.words for edge in found), (), [], "Beyond may be a better one.")


def what_matters(sweep: Sweep, _: Standing | None) -> Panel | None:
    """Shares of the fields in the variance of the scores; None of fewer than two fields."""
    found = sweep.decision.importance
    words = conclusion.importance_line(sweep.decision).removeprefix("Importance") if sweep.decision.ranked else ""
    if not words or (not found.method and not sweep.fields):
        return None
    shares = [(" x ".join(share.factors), share.share) for share in found.shares]
    shares += [(name, share) for name, share in (("seeds", found.seeds), ("rest", found.rest)) if share > 0]
    rows = [(name, f"{100 * share:.1f} %") for name, share in shares[:MOST_ROWS]] if found.method else []
    note = "A x B is what two fields do together beyond what each does alone."
    columns = ("field", "share of the variance")
    return Panel("importance", "Importance", words.lstrip(": "), columns, rows, note if rows else "")


def failed_seeds(sweep: Sweep, _: Standing | None) -> Panel | None:
    """Which seeds diverged or ended at chance, and at which settings; None where none did."""
    lost_T = sweep.diverged_T | sweep.broken_T
    failed = np.flatnonzero(lost_T)
    if not len(failed):
        return None
    seeds = []
    for seed in np.unique(sweep.seed_T[failed]):
        lost, count = np.sum(sweep.seed_T[failed] == seed), np.sum(sweep.seed_T == seed)
        seeds.append(f"{lost:,} of {count:,} of seed {seed}")
    trials_C, diverged_C = counts_of(sweep)
    broken_C = count_of(sweep, sweep.broken_T)
    lost_C = diverged_C + broken_C
    rows: list[tuple[Any, ...]] = []
    order = np.lexsort((-trials_C, -lost_C / trials_C))
    for c in order[lost_C[order] > 0][:MOST_ROWS]:
        trials = [t for t in sweep.index_SxC[:, c] if t < len(sweep.seed_T) and lost_T[t]]
        ends = [
            f"{sweep.seed_T[t]} ({'at chance, ' * bool(sweep.broken_T[t])}epoch {sweep.epochs_E[sweep.last_T[t]]})"
            for t in trials
        ]
        shares = (f"{of_C[c]} of {trials_C[c]}" for of_C in (diverged_C, broken_C))
        rows.append((configuration_name(sweep, c), *shares, ", ".join(ends[:20])))
    kinds = ((sweep.diverged_T, "diverged"), (sweep.broken_T, "ended at chance"))
    words = " and ".join(f"{of_T.sum():,} {kind}" for of_T, kind in kinds if of_T.any())
    finding = f"of {len(lost_T):,} trials {words}: {', '.join(seeds[:12])}"
    finding += f", and of {len(seeds) - 12} more seeds" if len(seeds) > 12 else ""
    means = "Neither is in a mean." if sweep.decision.rank == "survivors" else "A seed that diverged is in no mean."
    note = f"The largest shares first. {means}{more_words(int(np.sum(lost_C > 0)))}"
    columns = ("setting", "diverged", "at chance", "seeds, and when")
    return Panel("failed", "Seeds that failed", finding, columns, rows, note)


def groups_of_seeds(sweep: Sweep, _: Standing | None) -> Panel | None:
    """Settings whose seeds fall into two groups."""
    found = sweep.decision.groups
    if not found:
        return None
    rows: list[tuple[Any, ...]] = [
        (conclusion.name_of(one.setting), *map(conclusion.group_words, one.groups)) for one in found[:MOST_ROWS]
    ]
    finding = f"in {count(found, 'setting')} the seeds lie in two groups far apart, of which a mean says little"
    return Panel("groups", "Two groups of seeds", finding, ("setting", "lower", "upper"), rows, more_words(len(found)))


def what_was_cut(sweep: Sweep, standing: Standing | None) -> Panel | None:
    """Which settings successive halving has cut, and after which epoch; None where none was."""
    going_T = np.isin(sweep.names_T, list(standing.going)) if standing else np.zeros(len(sweep.names_T), bool)
    cut_C = np.where(count_of(sweep, sweep.cut_T & going_T) > 0, 0, cut_epochs(sweep))
    if not cut_C.any():
        return None
    order = sorted(np.flatnonzero(cut_C).tolist(), key=lambda c: (-cut_C[c], sweep.late_C[c]))
    rows: list[tuple[Any, ...]] = [(configuration_name(sweep, c), int(cut_C[c])) for c in order[:MOST_ROWS]]
    ends, counts = np.unique(cut_C[cut_C > 0], return_counts=True)
    words = ", ".join(f"{number:,} after epoch {end}" for end, number in zip(ends, counts, strict=True))
    finding = f"of {count(cut_C, 'setting')} {words}"
    note = f"Their last numbers are those of that epoch, and are not compared.{more_words(len(order))}"
    return Panel("cut", "Cut by halving", finding, ("setting", "after epoch"), rows, note)


def time_spent(sweep: Sweep, standing: Standing | None) -> Panel | None:
    """How long the packs took, by the values of each swept field; None where no pack says."""
    if standing is None or not standing.seconds or standing.began is None or standing.ended is None:
        return None
    seconds_C = seconds_of(sweep, standing)
    total, rows = float(seconds_C.sum()), list[tuple[Any, ...]]()
    trials_C, _ = counts_of(sweep)
    for i, name in enumerate(sweep.fields):
        if len(sweep.values[name]) > 12:
            continue
        for code, value in enumerate(sweep.values[name]):
            chosen = sweep.codes_CxF[:, i] == code
            spent, trials = float(seconds_C[chosen].sum()), int(trials_C[chosen].sum())
            each = f"{spent / trials:.3g} s"
            rows.append((f"{name}={label(value)}", trials, duration(spent), f"{100 * spent / total:.0f} %", each))
    first, last = (
        datetime.fromtimestamp(when).strftime("%Y-%m-%d %H:%M:%S") for when in (standing.began, standing.ended)
    )
    finding = f"{duration(total)} in packs of trials, from {first} to {last}"
    note = (
        "A trial's time is its share of its pack's, in which trials run side by side, compilation included: what a "
        "trial cost, not how long one waits for it."
    )
    return Panel("time", "Time spent", finding, ("setting", "trials", "time", "share", "a trial"), rows, note)


def seconds_of(sweep: Sweep, standing: Standing) -> np.ndarray:
    """How long the trials of each configuration took, [C]; 0 where their packs do not say."""
    seconds_T = np.array([*(standing.seconds.get(name, 0.0) for name in sweep.names_T), 0.0])
    return seconds_T[sweep.index_SxC].sum(axis=0)


Make: TypeAlias = Callable[[Sweep, Standing | None], Panel | None]
PANELS: tuple[Make, ...] = (
    the_best, at_edges, what_matters, failed_seeds, groups_of_seeds, what_was_cut, time_spent
)  # fmt: skip
