"""What the tests of every wing ask of the claims of its studies."""

from pathlib import Path

import pytest

from experiments.study import command
from experiments.study.claims import Claim
from experiments.study.standard import faults_of


def hold_to_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies that are run write no claim with a fault."""
    write = command.write

    def write_what_holds(workdir: Path, claims: list[Claim]) -> None:
        assert not faults_of(claims)
        write(workdir, claims)

    monkeypatch.setattr(command, "write", write_what_holds)
