"""What is kept of studies that were run: a record each, read from and written to JSON."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.engine import lanes
from experiments.study.claims import Claim
from experiments.study.scoreboard import counts_by_kind, headline
from training.files import RunError, write_atomically
from training.provenance import versions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """A study that was run: at which size, when, on which revision of the code and how long; its claims, or why it
    failed; the data set, where it is another one than MNIST."""

    study: str
    question: str
    command: str
    budget: str
    date: str
    git_revision: str | None
    seconds: float
    cores: int
    versions: dict[str, str]
    failed: str | None
    claims: tuple[Claim, ...]
    dataset: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON takes it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields |= {"claims": [claim.to_dict() for claim in self.claims]}
        return fields if self.dataset else {name: value for name, value in fields.items() if name != "dataset"}


def from_dict(fields: Mapping[str, Any]) -> Record:
    """The record that `to_dict` wrote; TypeError, ValueError or KeyError where it did not."""
    found = dict(fields)
    found["claims"] = tuple(map(Claim.from_dict, found["claims"]))
    return Record(**found)


def read(path: Path) -> dict[str, Record]:
    """The records in a file by study, {} where there is none; RunError where it is damaged."""
    return {record.study: record for record in _read(path, "studies")}


def read_elsewhere(path: Path) -> dict[tuple[str, str], Record]:
    """The records on other data sets in a file, by data set and study; RunError where it is damaged."""
    return {(record.dataset, record.study): record for record in _read(path, "elsewhere")}


def _read(path: Path, part: str) -> list[Record]:
    try:
        content = json.loads(path.read_bytes()) if path.exists() else {"studies": []}
        return [from_dict(record) for record in (content[part] if part == "studies" else content.get(part, []))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error!r}); accepted: another --workdir") from error


def write(path: Path, records: Iterable[Record], elsewhere: Iterable[Record] = ()) -> None:
    """Writes the records, with what holds for all of them together; those on other data sets apart, where there are
    any."""
    records, elsewhere = list(records), list(elsewhere)
    content: dict[str, Any] = {"headline": headline_of(records), "studies": [record.to_dict() for record in records]}
    if elsewhere:
        content["elsewhere"] = [record.to_dict() for record in elsewhere]
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def headline_of(records: Iterable[Record]) -> list[str]:
    """A line a kind of claim, over all studies."""
    return headline(claim for record in records for claim in record.claims)


def counts_by_kind_of(records: Iterable[Record]) -> list[list[str]]:
    """The headline as rows, over all studies."""
    return counts_by_kind(claim for record in records for claim in record.claims)


def machine() -> dict[str, Any]:
    """What a record says of where it was made."""
    return {"cores": lanes.available_cores(), "versions": versions()}


def outcome(record: Record) -> str:
    """`12 of 12 reproduced, 0 undecided`, or why there is nothing."""
    if record.failed:
        return f"failed, {record.failed}"
    verdicts = [claim.verdict for claim in record.claims]
    undecided = verdicts.count("undecided")
    return f"{verdicts.count('reproduced')} of {len(verdicts)} reproduced" + (
        f", {undecided} undecided" if undecided else ""
    )
