"""What the tests of every wing ask of the claims of its studies."""

from pathlib import Path
from typing import Any

import pytest

from experiments.study import command
from experiments.study.claims import IS_IN_BAND, Claim
from experiments.study.standard import faults_of
from experiments.study.study import Study, can_be_confirmed


def hold_to_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies that are run write no claim with a fault, and none that is exploratory but cannot be run on fresh seeds;
    an exact number has none."""
    run, write = command.run, command.write
    found: list[Claim] = []

    def write_what_holds(workdir: Path, claims: list[Claim]) -> None:
        assert not faults_of(claims)
        found[:] = claims
        write(workdir, claims)

    def run_what_can_be_confirmed(study: Study[Any], size: str, workdir: Path, confirm: bool | None = None) -> None:
        run(study, size, workdir, confirm)
        is_due = any(claim.exploratory and claim.rule != IS_IN_BAND for claim in found)
        assert not is_due or can_be_confirmed(study)

    monkeypatch.setattr(command, "write", write_what_holds)
    monkeypatch.setattr(command, "run", run_what_can_be_confirmed)
