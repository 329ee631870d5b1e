"""Visits the page as somebody does who tries everything: random settings, links, buttons and parts of pictures.

What comes of each is counted: it is *answered* by a new picture or by words, *refused* by words at a control that were
not there before, or *stopped* with words; a page that *hung* gave no answer, also where it does not open. An *error* is
one of the browser's console. Where numbers have left, by the status, in words or at the end of a curve, the page has to
say so in words; *not told* is one that does not. Tracebacks of the server and the worker stand in what they say of
errors, which whoever has started them counts.
"""

import json
import random
import re
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
RUNNING = "document.getElementById('classroom').dataset.running"
# What is said at controls, by their names.
WRONG = (
    "Object.fromEntries([...document.querySelectorAll('[data-wrong]')].map((e) => [e.dataset.wrong, e.textContent]))"
)
# Counts what the server says since the page was opened; notes whether a curve of the newest frame ends in no number.
COUNTED = """(window.counted = { settings: 0, told: 0, copied: 0 }, window.left = false,
  Object.keys(window.counted).forEach((name) => {
    const before = classroom[name];
    classroom[name] = (...all) => { window.counted[name] += 1; return before(...all); };
  }),
  ((show) => { classroom.show = (frame) => {
    show(frame);
    const lines = Object.values(frame.pictures ?? {}).flatMap((picture) => picture?.lines ?? []);
    window.left = lines.some((line) => !line.gaps && [line.x, line.y].some((some) => some?.at(-1) === null));
  }; })(classroom.show), 0)"""
LEFT = re.compile(r"diverged|beyond all numbers|\b(nan|inf|infinity|null|undefined)\b", re.IGNORECASE)
SAID = ("diverge", "thrown", "beyond the edge")
# Settings of a view that is opened at which numbers leave.
LARGE: dict[str, State] = {
    "train": {"activation": "relu", "learning_rate": 1e4, "at": 1},
    "descent": {"rate": 8.0, "at": 60},
}
# A page that does not open so often in turn is left.
MOST_HANGS = 3


class Visitor:
    """Somebody at a browser who does something at random, again and again; the same for the same seed. After so many
    seconds without an answer, or until a page is there, it counts as hung."""

    def __init__(
        self,
        page: Browser,
        address: str,
        views: Mapping[str, View],
        seed: int,
        patience: float = 60.0,
        opening: float = 60.0,
    ) -> None:
        self._page, self._address, self._views = page, address, views
        self._patience, self._opening = patience, opening
        self._dice = random.Random(seed)
        self._view = next(iter(views.values()))
        self._own = ""  # The control that was set last, where one was.
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in views}
        self.bad: list[str] = []
        self.is_lost = False  # Whether the page did not open again after it hung.

    def click_around(self, count: int, after: Callable[[], object] = lambda: None) -> None:
        """Opens a view, and does so many things in all, as long as the page opens; `after` is called after each."""
        for i in range(count):
            if self.is_lost:
                self.bad.append(f"hung: the page did not open again, after {i} of {count}")
                break
            self.does(self._dice.choices(list(SHARES), list(SHARES.values()))[0] if i else "open")
            after()

    def does(self, kind: str) -> None:
        """Something of that kind, and counts what comes of it."""
        kinds = {"set": self._set, "press": self._press, "part": self._part, "save": self._save, "open": self._open}
        what, found, errors = kind, "hung", list[str]()
        status = finding = ""
        left = False
        try:
            what = f"{kind} {kinds[kind]()}"
            found = self._outcome()
            errors = self._page.errors()
            status, finding, left = self._page.run(f"[{TEXT('status')}, {TEXT('finding')}, window.left]")
        except (BrowserError, OSError) as error:
            found, what = "hung", f"{what}: {error}"
        if errors and found != "hung":
            found, what = "error", f"{what}: {errors[0]}"
        self._count(found, what if found in ("hung", "error") else "")
        if found == "hung":
            self._open_again()
        elif left or LEFT.search(f"{status} {finding}"):
            is_told = any(word in finding.lower() for word in SAID)
            words = "" if is_told else f"{what}: {status} {finding}"
            self._count(f"diverged, {'told' if is_told else 'not told'}", words)

    def _count(self, found: str, bad: str) -> None:
        """One more of these, and the words of what is bad."""
        self.counts[self._view.name][found] += 1
        if bad:
            self.bad.append(f"{found}: view {self._view.name}, {bad}"[:600])

    def _open_again(self) -> None:
        """A view after one that hung; one that hangs as well is counted, too."""
        for _ in range(MOST_HANGS):
            try:
                self._open()
            except (BrowserError, OSError) as error:
                self._count("hung", f"open: {error}")
            else:
                return
        self.is_lost = True

    def _outcome(self) -> str:
        """What has come of what was done last, when something has. What was refused or has stopped before says nothing
        of it: the server has to have said it again."""
        news, copied = f"{FRAMES} > {self._frames}", f"window.counted.copied > {self._counted['copied']}"
        before, own = json.dumps(self._wrong), json.dumps(self._own)
        is_new = f"Object.entries({WRONG}).some(([name, text]) => text && (name === {own} || text !== {before}[name]))"
        refused = f"(window.counted.settings > {self._counted['settings']} && {is_new})"
        stopped = f"({TEXT('status')} === 'stopped' && window.counted.told > {self._counted['told']})"
        until(self._page, f"{news} || {refused} || {stopped} || {copied}", self._patience)
        is_refused, has_stopped = self._page.run(f"[{refused}, {stopped}]")
        return "refused" if is_refused else "stopped" if has_stopped else "answered"

    def _mark(self, own: str = "") -> None:
        """What is there before something is done, to that control where it is one."""
        self._own = own
        self._frames, self._counted, self._wrong = self._page.run(f"[{FRAMES}, {{ ...window.counted }}, {WRONG}]")

    # ------------------------------------------------------------------------------------------------------------------
    # What is done; each says what it was.

    def _open(self) -> str:
        """A view at random settings, or at an address that nobody has made."""
        self._view = self._dice.choice(list(self._views.values()))
        state = self._view.defaults() | SMALL.get(self._view.name, {})
        if self._dice.random() < 0.2:
            state |= LARGE.get(self._view.name, {})
        for _ in range(self._dice.randrange(3)):
            control = self._dice.choice(self._view.controls)
            try:
                state = self._view.with_settings(state, {control.name: self._value(control)})
            except StateError:
                continue
        path = self._view.address(state)
        if self._dice.random() < 0.2:
            path += ("&" if "?" in path else "?") + f"{self._dice.choice(('nothing', 'seed', 'at'))}=%3Cx%3E"
        self._page.visit(self._address + path)
        stopped = "document.getElementById('status')?.textContent === 'stopped'"
        until(self._page, f"{HAS_STARTED} || {stopped}", self._opening)
        if state.get("at"):  # It goes there by itself, and may come to no end before it.
            until(self._page, f"{RUNNING} === 'false'", self._opening)
        self._page.run(COUNTED)
        # Whatever is there has come of it.
        self._own, self._frames, self._wrong = "", -1, {}
        self._counted = dict.fromkeys(("settings", "told", "copied"), -1)
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
        self._mark(name)
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
        self._mark(self._page.run(f"{parts}[{i}].dataset.setting"))
        click = "new MouseEvent('click', { bubbles: true })"
        return self._page.run(f"((e) => (e.dispatchEvent({click}), e.dataset.value))({parts}[{i}])")

    def _save(self) -> str:
        """The saved page; it is answered where that is one."""
        start = time.monotonic()
        asked = "fetch('/saved/' + document.getElementById('classroom').dataset.key).then((answer) => answer.text())"
        text = self._page.run(asked)
        if not text.startswith("<!DOCTYPE html>") or len(text.encode()) > 8e6:
            raise BrowserError(f"saved, {len(text):,} characters after {time.monotonic() - start:.1f} s: {text[:60]!r}")
        self._mark()
        self._frames = -1  # This is the answer.
        return f"{len(text):,} characters"
