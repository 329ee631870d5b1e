"""Places that users name: `~` is expanded or refused, and what is not on this machine is refused."""

import os
import pwd
from pathlib import Path

import pytest

from training.files import PlaceError, place


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
