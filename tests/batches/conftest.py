"""What the tests of these studies share."""

import pytest
from standards import hold_to_the_standard


@pytest.fixture(autouse=True)
def held_to_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever study a test runs, no claim of it lacks anything."""
    hold_to_the_standard(monkeypatch)
