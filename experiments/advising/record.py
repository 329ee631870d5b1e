"""How often such advice was wrong, as it was last measured: what `experiments.benchmark --advice` has left in
docs/speed.json."""

import json
from pathlib import Path
from typing import Any

from experiments.advising import checking
from experiments.advising.words import TITLE

PARTS = ("rate", "batch", "scale")
# Of the largest rate and the useful batch, which are found by running descent, and of how batches and scales are
# checked.
CHOSEN = "(chosen after these settings were seen)"
HELD, WRONG, UNDECIDED = (checking.WORDS[verdict] for verdict in ("reproduced", "not reproduced", "undecided"))
CLASSES = (HELD, WRONG, UNDECIDED, checking.NOT_CHECKED)


def in_one_line(path: Path) -> str:
    """`Of 24 settings, advice that was wrong: rate 3 of 24; batch 5 of 22, 8 undecided; ...` with the command that has
    measured it; '' where there is no such file, or nothing of advice in it."""
    try:
        part: Any = json.loads(path.read_bytes())["advice"]
        counts = {name: {each: int(part["measured"]["counts"][name][each]) for each in CLASSES} for name in PARTS}
        command = str(part["command"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    settings = max(sum(found.values()) for found in counts.values())
    said = "; ".join(f"{name} {of_checked(found)}" for name, found in counts.items())
    how = f"rate and batch are found, and batch and scale checked, in a way {CHOSEN[1:-1]}"
    return f"{'record':{TITLE}}Of {settings} settings, advice that was wrong: {said} ({command}; {how})."


def of_checked(found: dict[str, int]) -> str:
    """`5 of 22 (9 held, 8 undecided)`: those that did not hold, of those that were checked."""
    undecided = f", {found[UNDECIDED]} undecided" if found[UNDECIDED] else ""
    checked = sum(found.values()) - found[checking.NOT_CHECKED]
    return f"{found[WRONG]} of {checked} ({found[HELD]} held{undecided})"
