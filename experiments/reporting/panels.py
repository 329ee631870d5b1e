"""What the page says of the whole sweep in tables, whatever is filtered: a place for every finding that is a sentence
and a few rows. A panel more is a function here and an entry in `PANELS`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from experiments.engine.standing import Standing
from experiments.reporting.sweep_data import Sweep, configuration_name, counts_of, label
from training.console import duration

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


def failed_seeds(sweep: Sweep, _: Standing | None) -> Panel | None:
    """Which seeds diverged, and at which settings; None where none did."""
    failed = np.flatnonzero(sweep.diverged_T)
    if not len(failed):
        return None
    seeds = []
    for seed in np.unique(sweep.seed_T[failed]):
        lost, count = np.sum(sweep.seed_T[failed] == seed), np.sum(sweep.seed_T == seed)
        seeds.append(f"{lost:,} of {count:,} of seed {seed}")
    trials_C, diverged_C = counts_of(sweep)
    rows: list[tuple[Any, ...]] = []
    order = np.lexsort((-trials_C, -diverged_C / trials_C))
    for c in order[diverged_C[order] > 0][:MOST_ROWS]:
        trials = [t for t in sweep.index_SxC[:, c] if t < len(sweep.seed_T) and sweep.diverged_T[t]]
        ends = [f"{sweep.seed_T[t]} (epoch {sweep.epochs_E[sweep.last_T[t]]})" for t in trials]
        rows.append((configuration_name(sweep, c), f"{diverged_C[c]} of {trials_C[c]}", ", ".join(ends[:20])))
    finding = f"{len(failed):,} of {len(sweep.diverged_T):,} trials diverged: {', '.join(seeds[:12])}"
    finding += f", and of {len(seeds) - 12} more seeds" if len(seeds) > 12 else ""
    lost = int(np.sum(diverged_C > 0))
    note = "The largest shares first. A seed that diverged is in no mean."
    note += f" {MOST_ROWS} of {lost:,} settings are listed." if lost > MOST_ROWS else ""
    return Panel("failed", "Seeds that failed", finding, ("setting", "diverged", "seeds, and when"), rows, note)


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
PANELS: tuple[Make, ...] = (failed_seeds, time_spent)
