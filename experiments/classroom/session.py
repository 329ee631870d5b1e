"""What one visitor has: the settings, what the worker has shown, and the frames that a saved page would play."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.classroom.link import Link, Message
from experiments.classroom.view import OTHER, State, StateError, View
from training.console import one_line

# Of a saved page: its frames, and together at most so many bytes beside its style and script.
MOST_FRAMES, MOST_BYTES = 200, 6_500_000
# Seconds after which a browser that has not said that it drew a frame is sent another one.
PATIENCE = 2.0
LOST = "The worker has ended, perhaps for want of memory, and was started again: this begins anew."
LOST_AGAIN = (
    "The worker has ended once more, perhaps by what somebody has set, and was started again: this begins anew when "
    "something is done here."
)
LOST_FOR_NOW = (
    "The worker has ended again and again, and is not started for now; what it said stands in the terminal of the "
    "server. A click a minute later tries it once more."
)


class Kept(NamedTuple):
    """A frame as JSON, how far it is, and which series it belongs to: one is played after another of its series."""

    at: float
    text: str
    series: int = 0


class Frames:
    """The frames of a saved page: all of them at first, every second of those before where they become too many."""

    def __init__(self) -> None:
        self._kept: list[Kept] = []
        self._last: Kept | None = None

    def add(self, kept: Kept, is_one_to_keep: bool) -> None:
        """One more; where it is not one to keep, it is there as the last one until the next one comes."""
        before = self._last or kept
        if kept.at < before.at or kept.series != before.series:  # It was started over, or goes on with other settings.
            self._kept = []
        self._last = kept
        if is_one_to_keep:
            if self._kept and self._kept[-1].at == kept.at:
                self._kept[-1] = kept
            else:
                self._kept.append(kept)
            while len(self._kept) > MOST_FRAMES or sum(len(one.text) for one in self._kept) > MOST_BYTES:
                # The first stays: it is the start.
                self._kept = self._kept[::2] if len(self._kept) > 1 else []

    def all(self) -> list[Kept]:
        """The frames that were kept, and the last one."""
        if self._last is None or (self._kept and self._kept[-1] is self._last):
            return list(self._kept)
        return [*self._kept, self._last]


class Session:
    """A visitor's page of a view.

    `run` executes JavaScript in the visitor's browser. The browser is sent a frame when it has drawn the one before: a
    slow one is shown fewer, and none late.
    """

    def __init__(self, view: View, query: str, link: Link, run: Callable[[str], object]) -> None:
        self.key = uuid.uuid4().hex
        self.view, self._link, self._run = view, link, run
        self.state, self.wrong = view.restored(query)
        self.frames = Frames()
        self._newest: str | None = None
        self._asked = 0.0  # When the browser was sent what it has not drawn yet; 0: it has drawn all.
        self._at, self._running = 0.0, False
        self._is_lost = False  # Whether the worker has nothing of it, until something is done here.
        link.listen(self.key, self.received)
        self._open(False)

    # ------------------------------------------------------------------------------------------------------------------
    # What the visitor does.

    def connected(self) -> None:
        """The browser is there, perhaps again."""
        self._asked = 0.0
        self._show_settings()
        self._push()

    def heard(self, name: str, value: Any) -> None:
        """Something was done on the page."""
        if name == "shown":
            self._asked = 0.0
            self._push()
        elif name == "set" and isinstance(value, dict):
            self._set({str(value.get("name")): value.get("value")})
        elif name == "try":
            self._try(value)
        elif name == "copy":
            self._call("copied", self._address_here())
        elif (changes := self.view.change_of(name)) is not None:
            self._set(dict(changes(self.state)))
        else:
            if self._is_lost:
                self._open(False)
            if self._is_lost:  # There is no worker.
                return
            # That it was heard is seen at once, what comes of it with the next frame.
            if name == "play":
                self._running = not self._running
                self._call("running", self._running)
            self._link.send(self.key, name, value)

    def _set(self, given: dict[str, Any], does: str = "") -> None:
        # A link that went on to an epoch does so once.
        given = {"at": 0} | given if "at" in self.state else given
        try:
            self.state = self.view.with_settings(self.state, given)
        except StateError as error:
            self.wrong[error.control if error.control in given else list(given)[-1]] = str(error)
            self._show_settings()
            return
        for name in given:
            self.wrong.pop(name, None)
        self._open(self._running or does == "play")
        if does not in ("", "play"):
            self._link.send(self.key, does)
        self._show_settings()

    def _try(self, value: Any) -> None:
        """Sets what one of the things to try says, all else as by default."""
        if not (str(value).isdecimal() and int(value) < len(self.view.tries)):
            return
        one = self.view.tries[int(value)]
        self.state, self.wrong = self.view.defaults(), {}
        self._set(dict(one.settings), one.does)

    def _open(self, running: bool) -> None:
        """Has the worker begin with these settings."""
        self._running, self._is_lost = running, False
        self._call("said", {"news": ""})
        value = {"simulation": self.view.simulation, "settings": self.state, "running": running}
        self._link.send(self.key, "open", value)

    def _address_here(self) -> str:
        """The link that restores the settings, and how far it is where the view can go there."""
        state = dict(self.state)
        for control in self.view.controls:
            if control.name == "at":
                state["at"] = int(min(self._at, control.high))
        return self.view.address(state)

    # ------------------------------------------------------------------------------------------------------------------
    # What the worker says.

    def received(self, message: Message) -> None:
        """A frame, or words alone."""
        header = message.header
        if header.get("lost"):
            if header.get("begins"):
                self._open(False)
            else:
                self._running, self._is_lost = False, True
                self._call("told", {"words": {"status": "stopped"}, "running": False})
            news = LOST if header.get("begins") else LOST_AGAIN if header.get("again") else LOST_FOR_NOW
            self._call("said", {"news": news})
            return
        self._running = bool(header.get("running"))
        if "at" not in header:
            self._run(f"classroom.told({message.text})")
            return
        self._at = float(header["at"])
        self.frames.add(Kept(self._at, message.text, int(header.get("series", 0))), bool(header.get("keep")))
        self._newest = message.text
        self._push()

    def _push(self) -> None:
        """Sends the newest frame, if the browser is done with the one before."""
        if self._newest is None or (self._asked and time.monotonic() - self._asked < PATIENCE):
            return
        text, self._newest = self._newest, None
        self._asked = time.monotonic()
        self._run(f"classroom.show({text})")

    def _show_settings(self) -> None:
        values = self.view.words_of(self.state)
        self._call("settings", {"values": values, "wrong": self.wrong, "address": self.view.address(self.state)})

    def _call(self, name: str, value: Any) -> None:
        self._run(f"classroom.{name}({json.dumps(value)})")

    def close(self) -> None:
        """The visitor has gone."""
        self._link.leave(self.key)


def settings_in_words(view: View, state: State) -> str:
    """What differs from the defaults, as `learning_rate 1, other learning_rate 10`, for a title."""
    said: list[str] = []
    defaults = view.defaults()
    for name, value in state.items():
        if value != defaults.get(name) and name in {**defaults, **{k: 0 for k in state if k.startswith(OTHER)}}:
            control = view.control_of(name)
            word = f"{control.label} {control.word(value)}"
            said.append(f"second: {word}" if name.startswith(OTHER) else word)
    return one_line(", ".join(said) or "the settings at first", 300)
