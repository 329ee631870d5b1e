"""Visits the page as somebody does who tries everything: random settings, links, buttons and parts of pictures.

What comes of each is counted: it is *answered* by a new picture or by words, *refused* by words at a control, or
*stopped* with words; a page that *hung* gave no answer. An *error* is one of the browser's console. A net or a descent
whose numbers have left has to say so in words; *not told* is one that does not. Tracebacks of the server and the
worker stand in what they say of errors, which whoever has started them counts.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from experiments.classroom.browser import Browser, BrowserError
from experiments.classroom.view import COMPARE, OTHER, Control, State, StateError, View
from experiments.classroom.visits import FRAMES, HAS_STARTED, until

CLASSES = ("answered", "refused", "stopped", "hung", "error", "diverged, told", "diverged, not told")
# What no control takes, but a visitor may type.
JUNK = ("", "abc", "-1", "0", "1e999", "nan", "1e-30", "999999999999", "<b>", "../../x.py:f", "a,b")
# Of controls whose words are no numbers, and of those whose numbers are for small nets, what is typed.
TYPED: dict[str, tuple[Any, ...]] = {
    "hidden": ("", "16", "64", "32-16", "8-8-8-8", "1000", "100000", "8-x"),
    "batch_size": (1, 32, 100, 128, 1_000, 100_000),
    "train_examples": (100, 1_000, 5_000),
    "seed": (0, 1, 2, 3),
}
# Settings of a view that is opened, so that what is computed of it takes little time.
SMALL: dict[str, State] = {"train": {"train_examples": 1_000}, "forward": {"train_examples": 1_000}}
SHARES = {"open": 0.2, "set": 0.4, "press": 0.3, "part": 0.07, "save": 0.03}
TEXT = "document.getElementById('{}').textContent".format
WRONG = "[...document.querySelectorAll('[data-wrong]')].map((e) => e.textContent).join('')"
# How often the server has said something, since the page was opened.
COUNTED = "(window.told = 0, {}, 0)".format(
    ", ".join(
        f"((before) => {{ classroom.{name} = (...all) => {{ window.told += 1; return before(...all); }}; }})"
        f"(classroom.{name})"
        for name in ("settings", "told", "show", "copied")
    )
)
LEFT, SAID = ("diverged", "beyond all numbers"), ("diverge", "thrown", "beyond the edge")


class Visitor:
    """Somebody at a browser who does something at random, again and again; the same for the same seed."""

    def __init__(self, page: Browser, address: str, views: Mapping[str, View], seed: int, patience: float) -> None:
        self._page, self._address, self._views, self._patience = page, address, views, patience
        self._dice = random.Random(seed)
        self._view = next(iter(views.values()))
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in views}
        self.bad: list[str] = []

    def click_around(self, count: int, after: Callable[[], object] = lambda: None) -> None:
        """Opens a view, and does so many things in all; `after` is called after each."""
        for i in range(count):
            self.does(self._dice.choices(list(SHARES), list(SHARES.values()))[0] if i else "open")
            after()

    def does(self, kind: str) -> None:
        """Something of that kind, and counts what comes of it."""
        kinds = {"set": self._set, "press": self._press, "part": self._part, "save": self._save, "open": self._open}
        what, found = kind, "hung"
        try:
            what = f"{kind} {kinds[kind]()}"
            found = self._outcome()
        except (BrowserError, OSError) as error:
            what += f": {error}"
        counts = self.counts[self._view.name]
        if found != "hung" and (errors := self._page.errors()):
            found, what = "error", f"{what}: {errors[0]}"
        if found in ("hung", "error"):
            self.bad.append(f"{found}: view {self._view.name}, {what}"[:600])
        counts[found] += 1
        if found == "hung":
            self._open()
            return
        status, finding = self._page.run(f"[{TEXT('status')}, {TEXT('finding')}]")
        if any(word in status for word in LEFT):
            is_told = any(word in finding.lower() for word in SAID)
            counts["diverged, told" if is_told else "diverged, not told"] += 1
            if not is_told:
                self.bad.append(f"not told: view {self._view.name}, {what}: {status} {finding}"[:600])

    def _outcome(self) -> str:
        """What has come of what was done last, when something has."""
        news, words = f"{FRAMES} > {self._frames}", f"(window.told > {self._told} && {WRONG})"
        stopped = f"{TEXT('status')} === 'stopped'"
        copied = f"{TEXT('news')} !== {json.dumps(self._news)}"
        until(self._page, f"{news} || {words} || {stopped} || {copied}", self._patience)
        refused, has_stopped = self._page.run(f"[Boolean({words}), {stopped}]")
        return "refused" if refused else "stopped" if has_stopped else "answered"

    def _mark(self) -> None:
        """What is there before something is done."""
        self._frames, self._told, self._news = self._page.run(f"[{FRAMES}, window.told, {TEXT('news')}]")

    # ------------------------------------------------------------------------------------------------------------------
    # What is done; each says what it was.

    def _open(self) -> str:
        """A view at random settings, or at an address that nobody has made."""
        self._view = self._dice.choice(list(self._views.values()))
        state = self._view.defaults() | SMALL.get(self._view.name, {})
        for _ in range(self._dice.randrange(3)):
            control = self._dice.choice(self._view.controls)
            try:
                state = self._view.with_settings(state, {control.name: self._value(control)})
            except StateError:
                continue
        path = self._view.address(state)
        if self._dice.random() < 0.2:
            path += ("&" if "?" in path else "?") + f"{self._dice.choice(('nothing', 'seed', 'at'))}=%3Cx%3E"
        self._frames, self._told, self._news = 0, 0, ""
        self._page.visit(self._address + path)
        until(self._page, f"{HAS_STARTED} || document.getElementById('status')?.textContent === 'stopped'")
        self._page.run(COUNTED)
        self._frames, self._told = -1, 0
        return path

    def _set(self) -> str:
        """A control, also of the second setting."""
        controls = [control for control in self._view.controls if not control.hidden]
        names = [(control.name, control) for control in controls]
        if self._view.compares:
            names += [(OTHER + control.name, control) for control in controls if control.second]
            names += [(COMPARE, Control(COMPARE, "", False))] * 3
        name, control = self._dice.choice(names)
        value = self._value(control)
        self._mark()
        element = f"document.querySelector('[data-set=\"{name}\"]')"
        word = json.dumps(value if isinstance(value, bool) else control.word(value))
        key = "checked" if isinstance(value, bool) else "value"
        if control.choices and control.slider:
            word = str(control.choices.index(value))
        change = "new Event('change', { bubbles: true })"
        self._page.run(f"({element}.{key} = {word}, {element}.dispatchEvent({change}), 0)")
        return f"{name}={word}"

    def _value(self, control: Control) -> Any:
        """A value for it, mostly one that it takes."""
        dice = self._dice
        if control.choices:
            return dice.choice(control.choices)
        if isinstance(control.default, bool):
            return dice.random() < 0.5
        if control.slider:
            steps = round((control.high - control.low) / control.step) if control.step else 100
            return type(control.default)(control.low + dice.randint(0, steps) * (control.step or 0.01))
        if dice.random() < 0.15:
            return dice.choice(JUNK)
        if control.name in TYPED:
            return dice.choice(TYPED[control.name])
        if isinstance(control.default, float):
            return float(f"{(control.default or 0.1) * 10 ** dice.uniform(-2, 6):.3g}")
        if isinstance(control.default, int):
            return dice.randint(int(max(control.low, 0)), int(min(control.high, 1_000)))
        return dice.choice(JUNK)

    def _press(self) -> str:
        """A button, also one that is folded away."""
        buttons = "[...document.querySelectorAll('#classroom button[data-do]')].filter((e) => e.dataset.do !== 'save')"
        i = self._dice.randrange(self._page.run(f"{buttons}.length"))
        self._mark()
        return self._page.run(f"((e) => (e.click(), `${{e.dataset.do}} ${{e.dataset.value ?? ''}}`))({buttons}[{i}])")

    def _part(self) -> str:
        """A part of a picture that sets something; where there is none, a setting."""
        parts = "[...document.querySelectorAll('.picture [data-setting]')]"
        if not (count := self._page.run(f"{parts}.length")):
            return self._set()
        i = self._dice.randrange(count)
        self._mark()
        click = "new MouseEvent('click', { bubbles: true })"
        return self._page.run(f"((e) => (e.dispatchEvent({click}), e.dataset.value))({parts}[{i}])")

    def _save(self) -> str:
        """The saved page; it is answered where that is one."""
        start = time.monotonic()
        asked = "fetch('/saved/' + document.getElementById('classroom').dataset.key).then((answer) => answer.text())"
        text = self._page.run(asked)
        if not text.startswith("<!DOCTYPE html>") or len(text.encode()) > 8e6:
            raise BrowserError(f"saved, {len(text):,} characters after {time.monotonic() - start:.1f} s: {text[:60]!r}")
        self._frames, self._told, self._news = -1, 0, ""
        return f"{len(text):,} characters"
