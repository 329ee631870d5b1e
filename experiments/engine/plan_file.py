"""plan.json of a sweep's folder: the base config, the fields that are swept, every start, the packs.

It decides which files are read and written, so that nothing in it is believed that has not the form of what this
command writes: names of packs and trials are hexadecimal digits, shapes are small whole numbers. A digest covers it;
the plans of the first version have none.
"""

import functools
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from experiments.engine.lanes import Shape
from experiments.engine.plan import MOST_LANES, Pack
from training.config import FIELDS, MOST_WHOLE, OPTIONAL, Config, ConfigError, as_config
from training.console import LONGEST_LINE, one_line
from training.files import write_atomically

# Of a rung of successive halving: after which epoch it ends, how many settings were in it, how many went on.
RUNG = ("end", "settings", "kept")
PACK_NAME, TRIAL_NAME = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{12}")
KEYS = {"base", "swept", "made_for", "starts", "packs"}
# What is there where there is anything to say: the rungs of successive halving; which trials go on as which.
LATER_KEYS = {"rungs", "continued"}
DIGEST = "sha256"


class SweepError(Exception):
    """A sweep that cannot be run as asked, in one line."""

    def __init__(self, message: object) -> None:
        super().__init__(one_line(message, LONGEST_LINE))


class PlannedPack(NamedTuple):
    """A pack as it stands in plan.json: the name of its file, and of each row the trials with their epochs; after which
    epoch it starts and ends, as in `Pack`."""

    name: str
    rows: tuple[tuple[tuple[str, int], ...], ...]
    shape: Shape
    optional: tuple[str, ...]
    start: int = 0
    end: int = 0

    @property
    def epochs(self) -> dict[str, int]:
        """How many epochs each of its trials has when it has run."""
        return dict(itertools.chain(*self.rows))

    def renamed(self, names: Mapping[str, str]) -> "PlannedPack":
        """The pack with other names of its trials, those that are not there as they are."""
        rows = tuple(tuple((names.get(name, name), epochs) for name, epochs in row) for row in self.rows)
        return self._replace(rows=rows)

    def to_run(self) -> Pack:
        """The pack as it is run."""
        names = tuple(tuple(name for name, _ in row) for row in self.rows)
        return Pack(names, self.shape, self.optional, self.start, self.end)

    def to_json(self) -> dict[str, Any]:
        """Its entry in plan.json, `has_momentum` and its like for the numbers that may be left out; those that were
        added later only where they are not."""
        names = [name for name in OPTIONAL if name in self.optional or not FIELDS[name].spec.later]
        has = {f"has_{name}": name in self.optional for name in names}
        part = {"start": self.start, "end": self.end} if self.start or self.end else {}
        return {"name": self.name, "shape": self.shape, "rows": self.rows, **has, **part}


class Recorded(NamedTuple):
    """What plan.json says of earlier starts: the base config, the swept fields, what the packs were made for, the
    provenance of every start, the packs; whether it is covered by a digest; the rungs of successive halving; and by the
    name of a trial that went on for more epochs what it is called since."""

    base: Config
    swept: tuple[str, ...]
    made_for: Mapping[str, Any]
    starts: tuple[Mapping[str, Any], ...]
    packs: tuple[PlannedPack, ...]
    is_digested: bool = True
    rungs: tuple[Mapping[str, int], ...] = ()
    continued: Mapping[str, str] = MappingProxyType({})


def write_plan(recorded: Recorded, path: Path) -> None:
    """The plan as JSON with its digest, whole or not at all."""
    content = {
        "base": recorded.base.to_dict(),
        "swept": recorded.swept,
        "made_for": recorded.made_for,
        "starts": recorded.starts,
        "packs": [pack.to_json() for pack in recorded.packs],
    }
    content |= {"rungs": recorded.rungs} if recorded.rungs else {}
    content |= {"continued": dict(recorded.continued)} if recorded.continued else {}
    write_atomically(path, json.dumps(content | {DIGEST: digest_of(content)}) + "\n")


def digest_of(content: Mapping[str, Any]) -> str:
    """What stands for the content, however it is written as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_plan(workdir: Path) -> Recorded:
    """plan.json; SweepError where it is damaged."""
    path = workdir / "plan.json"
    try:
        return _recorded_in(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SweepError(f"{path} is damaged ({error}); accepted: a plan.json written by this command") from error


@functools.lru_cache(maxsize=1)
def _recorded_in(content: bytes) -> Recorded:
    """A start reads the same plan several times."""
    return recorded_of(json.loads(content))


def recorded_of(content: Any) -> Recorded:
    """The plan in what has been read from JSON; ValueError where it is none."""
    if not isinstance(content, dict) or content.keys() - {DIGEST} - LATER_KEYS != KEYS:
        raise ValueError(f"it has not the entries {', '.join(sorted(KEYS))}")
    has_digest, digest = DIGEST in content, content.pop(DIGEST, None)
    if has_digest and digest != digest_of(content):
        raise ValueError("it is not what was written")
    made_for = content["made_for"]
    if not (isinstance(content["base"], dict) and isinstance(made_for, dict)):
        raise ValueError("'base' or 'made_for' is no object")
    try:
        base = as_config(content["base"])
    except ConfigError as error:
        raise ValueError(f"its base config: {error}") from error
    packs = tuple(map(pack_of, list_of(content["packs"], "packs")))
    for kind, names in (
        ("pack", [pack.name for pack in packs]),
        ("trial", [key for pack in packs for key in itertools.chain(*pack.rows)]),
    ):
        if len(set(names)) < len(names):
            raise ValueError(f"a {kind} is there twice")
    swept = tuple(text_of(name, "swept field") for name in list_of(content["swept"], "swept"))
    starts = tuple(map(start_of, list_of(content["starts"], "starts")))
    rungs = tuple(map(rung_of, list_of(content.get("rungs", []), "rungs")))
    return Recorded(base, swept, made_for, starts, packs, digest is not None, rungs, continued_of(content))


def rung_of(entry: Any) -> dict[str, int]:
    """What is recorded of a rung."""
    if not isinstance(entry, dict) or entry.keys() != set(RUNG):
        raise ValueError(f"a rung has not the entries {', '.join(RUNG)}")
    return {name: whole_of(value, f"{name} of a rung", MOST_WHOLE) for name, value in entry.items()}


def continued_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Which trials went on as which."""
    entry = content.get("continued", {})
    if not isinstance(entry, dict):
        raise ValueError("'continued' is no object")
    return {
        text_of(name, "name of a trial", TRIAL_NAME): text_of(now, "name of a trial", TRIAL_NAME)
        for name, now in entry.items()
    }


def list_of(value: Any, what: str) -> list[Any]:
    """The value, which has to be a list."""
    if not isinstance(value, list):
        raise ValueError(f"{what!r} is no list")
    return value


def text_of(value: Any, what: str, form: re.Pattern[str] | None = None) -> str:
    """The value, which has to be a text, of the form where there is one."""
    if not isinstance(value, str) or (form and not form.fullmatch(value)):
        raise ValueError(f"{str(value)[:40]!r} is no {what}")
    return value


def whole_of(value: Any, what: str, most: int, least: int = 1) -> int:
    """The value, which has to be a whole number from 1, or from what is given."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{str(value)[:40]!r} is no {what}")
    return value


def start_of(entry: Any) -> dict[str, Any]:
    """The provenance of a start, of which the versions are read."""
    versions = entry.get("versions") if isinstance(entry, dict) else None
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise ValueError("a start has no versions")
    return entry


def pack_of(entry: Any) -> PlannedPack:
    """A pack's entry."""
    has = {f"has_{name}": name for name in OPTIONAL}
    least, part = {"name", "shape", "rows"}, ("start", "end")
    if not isinstance(entry, dict) or not least <= entry.keys() <= {*least, *has, *part}:
        raise ValueError("a pack has not the entries name, shape, rows")
    start, end = (whole_of(entry[key], f"{key} of a pack", MOST_WHOLE, least=0) if key in entry else 0 for key in part)
    shape = [whole_of(size, "size of a pack", MOST_LANES) for size in list_of(entry["shape"], "shape")]
    if len(shape) != 2:
        raise ValueError("a shape is not rows and lanes")
    rows = [[trial_of(trial) for trial in list_of(row, "row")] for row in list_of(entry["rows"], "rows")]
    if not 0 < len(rows) <= shape[0] or not all(0 < len(row) <= shape[1] for row in rows):
        raise ValueError("the rows of a pack do not fit its shape")
    for key in has:
        if type(entry.get(key, False)) is not bool:
            raise ValueError(f"{key!r} is neither true nor false")
    optional = tuple(name for key, name in has.items() if entry.get(key, False))
    name = text_of(entry["name"], "name of a pack", PACK_NAME)
    return PlannedPack(name, tuple(map(tuple, rows)), Shape(*shape), optional, start, end)


def trial_of(entry: Any) -> tuple[str, int]:
    """The name and the epochs of a trial."""
    pair: Sequence[Any] = list_of(entry, "trial")
    if len(pair) != 2:
        raise ValueError("a trial is not its name and its epochs")
    return text_of(pair[0], "name of a trial", TRIAL_NAME), whole_of(pair[1], "number of epochs", MOST_WHOLE)
