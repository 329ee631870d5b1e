"""What a tuning came to: tuning.json, and the lines that a command ends with."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import input_pipeline
from experiments.engine import ranking
from experiments.engine.space import as_cell, swept
from experiments.engine.statistics import bounds_of, interval
from experiments.engine.tuning import Outcome, Tuning, score_of
from training.files import write_atomically
from training.records import LOWEST_IS_BEST, OUTCOMES

FILE = "tuning.json"
MOST_LINES = 20


def records_of(tuning: Tuning, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What tuning.json says of each setting, in their order."""
    configs = {str(i): outcome.setting.config for i, outcome in enumerate(outcomes)}
    fields = [name for name in swept(configs) if name not in (tuning.field, "seed")]
    found: list[dict[str, Any]] = []
    for outcome in outcomes:
        choice, config = outcome.choice, outcome.setting.config
        tried = [
            {tuning.field: value, "scores": [finite(score) for score in score_S]}
            for value, score_S in zip(choice.values, choice.score_RxS.tolist(), strict=True)
        ]
        found.append(
            {
                "setting": {name: as_cell(getattr(config, name)) for name in fields},
                "chosen": choice.value,
                "leave_one_out": finite(choice.score),
                "chosen_by_others": choice.of_seeds.tolist(),
                "at_edge": choice.at_edge,
                "sound": choice.is_sound,
                "fresh": fresh_of(outcome),
                "tried": tried,
            }
        )
    return found


def fresh_of(outcome: Outcome) -> dict[str, Any]:
    """What the fresh seeds give: their trials, each metric's mean, 95 % interval and values, how many diverged, and how
    many of the others ended at chance."""
    said: dict[str, Any] = {
        "trials": list(outcome.names),
        "seeds": len(outcome.ends),
        "diverged": sum(not end.metrics for end in outcome.ends),
    }
    said["at_chance"] = int(np.sum(outcome.of("val_accuracy") <= outcome.setting.rule.broken))
    for metric in OUTCOMES:
        values_S = outcome.of(metric)
        if np.isfinite(values_S).any():
            part = interval(values_S, bounds=bounds_of(metric))
            numbers = {name: finite(float(getattr(part, name))) for name in ("mean", "low", "high")}
            said[metric] = {**numbers, "values": [finite(value) for value in values_S.tolist()]}
    return said


def finite(value: float) -> float | None:
    """The number, None where it is none: JSON has no NaN."""
    return value if math.isfinite(value) else None


def write(path: Path, tuning: Tuning, table: pa.Table) -> dict[str, Any]:
    """Writes tuning.json, whole or not at all: the field, the seeds, the score, and of each setting what was tried,
    what was chosen and what came of it. Returns what stands in it."""
    content = {
        "field": tuning.field,
        "score": score_of(table),
        "tune_seeds": tuning.tune_seeds,
        "fresh_seeds": tuning.fresh_seeds,
        "settings": records_of(tuning, tuning.outcomes(table)),
    }
    write_atomically(path, json.dumps(content, indent=1) + "\n")
    return content


def read(workdir: Path) -> dict[str, Any] | None:
    """What tuning.json in the folder says, None where there is none that can be read."""
    try:
        return json.loads((workdir / FILE).read_bytes())
    except (OSError, ValueError):
        return None


def fresh_rows(content: Mapping[str, Any] | None, table: pa.Table) -> pa.Table:
    """The rows of the fresh seeds at what was chosen, which are the result of a tuning: without those that had a part
    in the choice. All rows where tuning.json, which is None then, is not there or does not name trials of the table."""
    names = pa.array(fresh_trials(content), pa.string())
    rows = table.filter(pc.is_in(table["trial"], names))  # pyright: ignore
    return rows if len(rows) else table


def fresh_trials(content: Mapping[str, Any] | None) -> frozenset[str]:
    """The names of the trials of the fresh seeds at what was chosen, as far as tuning.json says."""
    settings = content["settings"] if content else ()
    return frozenset(name for one in settings for name in one["fresh"].get("trials", ()))


def decide(
    content: Mapping[str, Any] | None,
    table: pa.Table,
    rank: str = "all",
    data_dir: str = input_pipeline.DEFAULT_DATA_DIR,
) -> ranking.Decision:
    """What the results say: of a tuning the fresh seeds alone. Whether a chosen value lies at an edge of what was tried
    is told by tuning.json, and not by what was chosen for other settings."""
    rows = fresh_rows(content, table)
    found = ranking.decide(rows, rank, data_dir)
    if not content:
        return found
    fresh = fresh_trials(content) if len(rows) < len(table) else frozenset[str]()
    return found._replace(edges=[edge for edge in found.edges if edge.field != content["field"]], fresh=fresh)


def in_words(content: Mapping[str, Any]) -> str:
    """What tuning.json says, as a table: what was chosen for each setting and what the fresh seeds give there, first
    those of which no seed failed, the best of them first."""
    score, settings = content["score"], content["settings"]

    def rank(one: Mapping[str, Any]) -> tuple[float, float]:
        fresh = one["fresh"]
        mean = fresh[score]["mean"] if score in fresh else math.inf
        return fresh["diverged"] + fresh["at_chance"], mean if score in LOWEST_IS_BEST else -mean

    seeds = len(content["tune_seeds"])
    chosen = f"{content['field']} as {seeds} seed{'s' * (seeds > 1)} chose it on validation examples"
    said = [f"{chosen}, and what {len(content['fresh_seeds'])} others give there (mean, 95 % interval):"]
    ordered = sorted(settings, key=rank)
    said += [line_of(content["field"], score, one) for one in ordered[:MOST_LINES]]
    if len(ordered) > MOST_LINES:
        said.append(f"  and {len(ordered) - MOST_LINES} settings more in tuning.json")
    return "\n".join(said)


def line_of(field: str, score: str, one: Mapping[str, Any]) -> str:
    """A setting's line."""
    fresh, parts = one["fresh"], list[str]()
    for metric in (score, score.replace("val", "test")):
        if metric in fresh:
            mean, low, high = (fresh[metric][part] for part in ("mean", "low", "high"))
            parts.append(f"{metric} {mean:.4f}" + (f" ({low:.4f} to {high:.4f})" if low is not None else ""))
    for failure in ("diverged", "at_chance"):
        if fresh[failure]:
            parts.append(f"{fresh[failure]} of {fresh['seeds']} seeds {failure.replace('_', ' ')}")
    alone = one["leave_one_out"]
    parts.append("leave-one-out " + (f"{abs(alone):.4f}" if alone is not None else "none, as a seed diverged"))
    if not one["sound"]:
        parts.append("a seed breaks down at every value")
    if one["at_edge"]:
        tried = [entry[field] for entry in one["tried"]]
        parts.append(f"at the edge of what was tried, {tried[0]:g} to {tried[-1]:g}: --axis {field}= may go beyond it")
    named = "".join(f"  {name}={value}" for name, value in one["setting"].items())
    return f"  {field}={one['chosen']:g}: {', '.join(parts)}{named}"
