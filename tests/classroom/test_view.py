"""Settings, the addresses that restore them, and what is said of those that cannot be used."""

import json
import random
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from experiments.classroom import fields, saved
from experiments.classroom.session import Frames, Kept
from experiments.classroom.view import StateError, find_views, first_and_second
from training.config import FIELDS, Config

VIEWS = find_views()
TRAIN = VIEWS["train"]


def drawn(view, draw):
    """Some settings of a view, as a visitor may choose them."""
    given = {}
    for control in view.controls:
        if control.choices:
            given[control.name] = draw.choice(control.choices) if draw.random() < 0.5 else control.default
        elif isinstance(control.default, bool) and draw.random() < 0.5:
            given[control.name] = not control.default
        elif control.slider and draw.random() < 0.5:
            given[control.name] = draw.choice((control.low, control.high))
    return given


@pytest.mark.parametrize("name", VIEWS)
def test_addresses_restore_settings(name):
    """Whatever may be set comes back from its address, and the address of what is as by default is the view's own."""
    view, draw, accepted = VIEWS[name], random.Random(0), 0
    assert view.address(view.defaults()) == f"/{name}"
    for _ in range(50):
        try:
            state = view.with_settings(view.defaults(), drawn(view, draw))
        except StateError:
            continue
        accepted += 1
        address = urlsplit(view.address(state))
        assert address.path == f"/{name}"
        assert view.restored(address.query) == (state, {})
    assert accepted > 10 or not view.controls


@pytest.mark.parametrize("name", VIEWS)
def test_what_a_view_says(name):
    """Its slide, one sentence to look for, three things to try, whose settings are accepted."""
    view = VIEWS[name]
    assert view.slide and view.look_for.endswith(".") and len(view.tries) == 3
    for one in view.tries:
        state = view.with_settings(view.defaults(), one.settings)
        assert view.restored(urlsplit(view.address(state)).query) == (state, {})


def test_second_settings():
    """They are those of the first but for what is said of them; what is said of the first moves both."""
    state = TRAIN.with_settings(
        TRAIN.defaults(), {"compare": "1", "other.learning_rate": "2", "other.cost": "quadratic"}
    )
    assert dict(parse_qsl(urlsplit(TRAIN.address(state)).query)) == {"compare": "1", "other.learning_rate": "2"}
    state = TRAIN.with_settings(state, {"activation": "tanh"})
    first, second = first_and_second(state)
    assert (first["activation"], first["learning_rate"]) == ("tanh", 0.01)
    assert (second["activation"], second["learning_rate"]) == ("tanh", 2.0)
    assert first_and_second(TRAIN.with_settings(state, {"compare": False})) == [first]


@pytest.mark.parametrize(
    ("query", "control", "words"),
    [
        ("activation=sigmoit", "activation", "sigmoid"),
        ("learning_rate=-1", "learning_rate", "a finite number above 0"),
        ("learning_rate=nan", "learning_rate", "accepted"),
        (f"batch_size={'9' * 400}", "batch_size", "accepted"),
        ("hidden=64-0", "hidden", "accepted"),
        ("hidden=4000-4000", "hidden", "at most 2,000,000"),
        ("hidden=" + "-".join(["8"] * 9), "hidden", "at most 8"),
        ("batch_size=60001", "batch_size", "at most 60000"),
        ("batch_size=1e400", "batch_size", "a whole number"),
        ("batch_norm=perhaps", "batch_norm", "1 or 0"),
        ("activation=evil.py:f", "activation", "accepted"),
        ("rate=1", "rate", "unknown setting"),
        ("compare=1&other.learning_rate=0", "other.learning_rate", "above 0"),
        ("cost=cross_entropy&output=identity", "cost", "cross_entropy"),
    ],
)
def test_wrong_settings_are_named(query, control, words):
    """One line at the control it is of; all other settings are kept."""
    state, wrong = TRAIN.restored(f"{query}&seed=3")
    assert state["seed"] == 3 and state["activation"] == "sigmoid"
    assert list(wrong) == [control] or control == "cost"
    assert words in " ".join(wrong.values()) and "\n" not in str(wrong)


def test_controls_of_fields():
    """Every word of a choice is accepted by the field, and the defaults make the default config."""
    assert fields.config_of(TRAIN.defaults()) == Config()
    for control in TRAIN.controls:
        for word in control.choices:
            assert FIELDS[control.name].spec.test(word)
    assert "relu" in TRAIN.control_of("activation").choices
    assert fields.config_of(TRAIN.defaults() | {"hidden": ""}).hidden == ()


def test_frames_of_a_saved_page():
    """Not more than it holds, the first and the last among them; anew where it was started over or is of other
    settings."""
    frames = Frames()
    for at in range(1_000):
        frames.add(Kept(float(at), "x" * 100), True)
    kept = [one.at for one in frames.all()]
    assert kept[0] == 0 and kept[-1] == 999 and 90 < len(kept) <= 201 and kept == sorted(kept)
    frames.add(Kept(0.0, "y"), True)
    assert frames.all() == [Kept(0.0, "y")]
    frames.add(Kept(0.5, "z"), False)
    frames.add(Kept(0.7, "z"), False)
    assert [one.at for one in frames.all()] == [0.0, 0.7]
    frames.add(Kept(0.7, "w", series=1), True)
    frames.add(Kept(0.8, "w", series=1), True)
    assert [one.at for one in frames.all()] == [0.7, 0.8]


def test_a_saved_page_is_small():
    """Also of many epochs whose pictures are large, and made of what is written longer in a page."""
    session: Any = SimpleNamespace(view=TRAIN, state=TRAIN.defaults(), frames=Frames())
    for epoch in range(200):
        session.frames.add(Kept(float(epoch), json.dumps({"at": epoch, "pictures": "</i><!" * 30_000})), True)
    text = saved.page_text(session)
    assert 3e6 < len(text.encode()) < 8e6 and text.count("</script>") == 2
    frames = json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])
    assert [frames[0]["at"], frames[-1]["at"]] == [0, 199] and frames[0]["pictures"].startswith("</i><!</i>")
