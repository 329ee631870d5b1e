"""What the tests of these studies share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standards import hold_to_the_standard

from experiments.study import command
from experiments.study.claims import Claim, by_key
from experiments.study.study import Study


@pytest.fixture(autouse=True)
def held_to_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever study a test runs, no claim of it lacks anything."""
    hold_to_the_standard(monkeypatch)


@pytest.fixture
def tiny_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Study[Any]], dict[str, Claim]]:
    """A study at its smallest size, as its command runs it: the claims that it wrote, by their keys."""

    def claims_of(study: Study[Any]) -> dict[str, Claim]:
        command.run(study, "tiny", tmp_path)
        claims = by_key(map(Claim.from_dict, json.loads((tmp_path / "results.json").read_text())))
        assert (tmp_path / "figure.png").stat().st_size > 10_000
        out = capsys.readouterr().out
        assert all(f"| {claim.name} |" in out for claim in claims.values())
        return claims

    return claims_of
