"""How often advice was wrong, in one line of a record."""

import json

from experiments.advising import record


def counts(held: int, wrong: int, undecided: int, not_checked: int) -> dict[str, int]:
    """As the benchmark has them."""
    return dict(zip(record.CLASSES, (held, wrong, undecided, not_checked), strict=True))


def test_one_line(tmp_path):
    """Those that did not hold, of those that were checked, and by which command; nothing where there is no record."""
    path, command = tmp_path / "speed.json", "python -m experiments.benchmark --advice"
    assert record.in_one_line(path) == ""
    of = {"rate": counts(20, 3, 1, 0), "batch": counts(10, 4, 8, 2), "scale": counts(24, 0, 0, 0)}
    path.write_text(json.dumps({"advice": {"command": command, "measured": {"counts": of | {"rate, beside": {}}}}}))
    said = "record     Of 24 settings, advice that was wrong: rate 3 of 24 (20 held, 1 undecided); "
    said += "batch 4 of 22 (10 held, 8 undecided); scale 0 of 24 (24 held)"
    how = "rate and batch are found, and batch and scale checked, in a way chosen after these settings were seen"
    assert record.in_one_line(path) == f"{said} ({command}; {how})."
    for damaged in ("{", "[]", '{"epoch": {}}', '{"advice": {"command": "c", "measured": {"counts": {"rate": 1}}}}'):
        path.write_text(damaged)
        assert record.in_one_line(path) == ""
