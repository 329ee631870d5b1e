"""Files that are whole or not there, lines that are sound or known not to be; places that users name: `~` is expanded
or refused, and what is not on this machine is refused."""

import json
import os
import pwd
import resource
from pathlib import Path

import pytest

from training.files import LineFile, PlaceError, RunError, digests_of, place, read_lines, write_atomically


def refusal(given):
    """The one line that a place is refused with, as an OSError."""
    with pytest.raises(PlaceError) as caught:
        place(given)
    assert isinstance(caught.value, OSError)
    message = str(caught.value)
    assert "accepted: " in message and "\n" not in message
    return message


def test_home_is_expanded(monkeypatch):
    """`~` by HOME, `~user` by the system's list; as text and as a path."""
    monkeypatch.setenv("HOME", "/homes/me")
    assert place("~") == Path("/homes/me")
    assert place("~/runs/first") == place(Path("~/runs/first")) == Path("/homes/me/runs/first")
    user = pwd.getpwuid(os.getuid())
    assert place(f"~{user.pw_name}/runs") == Path(user.pw_dir, "runs")


@pytest.mark.parametrize("given", ["runs/first", "/tmp/x", ".", "runs/~/x", "runs:1/x", "C:/x", "a b/\udcff"])
def test_other_paths_stay_as_they_are(given):
    """Also a `~` further on, a colon, and names that are no UTF-8."""
    assert place(given) == place(Path(given)) == Path(given)


def test_home_that_is_not_known_is_refused(monkeypatch):
    """A user who does not exist; a user without a home; an empty HOME, which would mean the root folder."""
    message = refusal("~nobody-of-that-name/mnist")
    assert "'nobody-of-that-name' has no home folder" in message and "./~nobody-of-that-name/mnist" in message

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    assert "~/runs: this user has no home folder" in refusal("~/runs")
    monkeypatch.setenv("HOME", "")
    assert "~/runs: this user has no home folder" in refusal("~/runs")


def test_a_folder_whose_name_begins_with_a_tilde(monkeypatch, tmp_path):
    """What the refusal advises works, and goes in again unchanged."""
    monkeypatch.chdir(tmp_path)
    assert place("./~nobody-of-that-name/x") == tmp_path / "~nobody-of-that-name" / "x"
    assert place(str(place("./~nobody-of-that-name/x"))) == tmp_path / "~nobody-of-that-name" / "x"


@pytest.mark.parametrize("given", ["gs://bucket/run", "s3://bucket", "file:///tmp/x", Path("gs://bucket/run")])
def test_other_machines_are_refused(given):
    """Addresses are no folders: `Path` would make a local folder `gs:` of them."""
    assert f"{given} is not on this machine" in refusal(given)


@pytest.mark.parametrize("given", ["", "a\0b"])
def test_no_paths_are_refused(given):
    """Nothing at all, and what no file system takes."""
    assert f"{given!r} is no path" in refusal(given)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch, failing):
    """When the disk fails, the old content stays and no temporary file is left."""
    path = tmp_path / "metrics.jsonl"
    write_atomically(path, "old")

    def fail(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_write_replaces_text_and_bytes(tmp_path):
    """Text and bytes are written whole over what was there, and nothing else is left."""
    path = tmp_path / "file"
    for content, expected in (("a longer text, \u00e9", "a longer text, \u00e9".encode()), (b"\0\xff", b"\0\xff")):
        write_atomically(path, content)
        assert path.read_bytes() == expected and list(tmp_path.iterdir()) == [path]


def test_readers_see_the_old_or_the_new(tmp_path, monkeypatch):
    """Until the new content is complete, the file holds the old one."""
    path = tmp_path / "file"
    write_atomically(path, "old")
    replace, seen = os.replace, []

    def look(source, target):
        seen.append((Path(source).read_text(), path.read_text()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    write_atomically(path, "new")
    assert seen == [("new", "old")] and path.read_text() == "new"


ROWS = [{"epoch": 1, "loss": 0.25}, {"epoch": 2, "loss": None}, {"epoch": 3, "loss": 1e-7}]


def write_lines(path):
    """The rows, the first at once and the others one by one."""
    file = LineFile(path, ROWS[:1])
    for row in ROWS[1:]:
        file.append(row)
    file.close()
    return path


def test_lines_are_plain_json(tmp_path):
    """What other tools read: an object a line, and nothing of the digests; begun again, the same bytes."""
    path = write_lines(tmp_path / "m.jsonl")
    assert [json.loads(line) for line in path.read_text().splitlines()] == ROWS
    assert read_lines(path) == (ROWS, "", True)
    before = path.read_bytes(), digests_of(path).read_bytes()
    LineFile(path, ROWS).close()
    assert (path.read_bytes(), digests_of(path).read_bytes()) == before


@pytest.mark.parametrize("file", ["lines", "digests"])
def test_every_changed_byte_is_noticed(tmp_path, file):
    """Wherever one byte of the lines or of their digests is changed, no row from its line on is believed, and what is
    left are rows as written."""
    path = write_lines(tmp_path / "m.jsonl")
    changed = path if file == "lines" else digests_of(path)
    content = changed.read_bytes()
    for i in range(len(content)):
        changed.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        found = read_lines(path)
        line = content[:i].count(b"\n")
        assert found.rows == ROWS[: len(found.rows)], i
        if file == "lines" or content[i : i + 1] != b"\n":
            # A last line that has lost its end was torn.
            assert len(found.rows) <= line and (found.damage or i == len(content) - 1), i


def test_lines_lost_from_the_middle_or_swapped(tmp_path):
    """Each digest is of all lines before it."""
    path = write_lines(tmp_path / "m.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    assert read_lines(path) == (ROWS[:1], f"line 2 of {path} does not match its digest", True)
    path.write_bytes(lines[1] + lines[0])
    assert read_lines(path).rows == []
    path.write_bytes(b"".join(lines) + lines[2])
    assert read_lines(path) == (ROWS, f"line 4 of {path} has no digest", True)


def test_torn_and_lost_ends_are_no_damage(tmp_path):
    """A machine may stop at any byte."""
    path = write_lines(tmp_path / "m.jsonl")
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        assert read_lines(path) == (ROWS[: content[:end].count(b"\n")], "", True)


def test_lines_of_before_there_were_digests(tmp_path):
    """They are read, and known to be without."""
    path = write_lines(tmp_path / "m.jsonl")
    digests_of(path).unlink()
    assert read_lines(path) == (ROWS, "", False)
    path.write_text('{"epoch": 1}\n[2]\n')
    assert read_lines(path) == ([{"epoch": 1}], f"line 2 of {path} is no JSON object", False)


@pytest.mark.parametrize("room", [0, 10])
def test_lines_that_cannot_be_written(tmp_path, room):
    """A full disk is one line that names the file, also where it takes the row in part; what was there stays sound."""
    path = write_lines(tmp_path / "m.jsonl")
    file = LineFile(path, ROWS[:2])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (digests_of(path).stat().st_size + room, hard))
    try:
        with pytest.raises(RunError, match=r"m\.jsonl\.sha256 cannot be written: .*") as caught:
            file.append(ROWS[2])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file.close()
    assert "\n" not in str(caught.value)
    assert read_lines(path) == (ROWS[:2], "", True)
