"""What a view is: what stands on its page and may be set there, and how its settings become an address and come back.

A view is a `View` called `VIEW` in a file of `views/`; adding one is adding that file, and the class that it names in
`simulations/`. Nothing here knows of the server or of JAX.
"""

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from nets.tables import near_match
from training.console import one_line, shown

State = dict[str, Any]
# Settings of the second of two that run side by side, and the switch that makes it two.
OTHER, COMPARE = "other.", "compare"
# More of an address than this is no link that was made here.
LONGEST_ADDRESS = 4_000


class StateError(ValueError):
    """A setting that cannot be used, in one line; `control` names it."""

    def __init__(self, control: str, message: object) -> None:
        super().__init__(one_line(message, 300))
        self.control = control


class Control(NamedTuple):
    """Something that a visitor sets: its name, label, meaning and default, whose type is its own.

    With `choices` it is one of these words, and `slider` slides over them; a bool is a switch; a number with `low` and
    `high` and `slider` is a slider of that `step`; anything else is a field to type in. `unit` stands beside the label.
    `second` says that two settings side by side may differ in it, `more` that it is folded away at first, `hidden` that
    it is in links alone.
    """

    name: str
    label: str
    default: Any
    meaning: str = ""
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    step: float = 0.0
    slider: bool = False
    unit: str = ""
    second: bool = False
    more: bool = False
    hidden: bool = False

    def read(self, given: Any) -> Any:
        """The value that was given, as a word of an address or as a control of the page has it; StateError, which says
        what is accepted."""
        kind = type(self.default)
        text = str(given).strip()
        if self.choices:
            if text not in self.choices:
                raise self._refused(given, f"{near_match(text, self.choices)}; accepted: {', '.join(self.choices)}")
            return text
        if kind is bool:
            if text.lower() not in _SWITCHES:
                raise self._refused(given, "; accepted: 1 or 0")
            return _SWITCHES[text.lower()]
        if kind is str:
            return text
        try:
            value = kind(text) if kind is float else int(text)
            is_finite = math.isfinite(value)  # Of a whole number that no float is so large as, an OverflowError.
        except (ValueError, OverflowError):
            raise self._refused(given, f"; accepted: {self._range()}") from None
        if not (is_finite and self.low <= value <= self.high):
            raise self._refused(given, f"; accepted: {self._range()}")
        return value

    def word(self, value: Any) -> str:
        """The value as an address and a control have it."""
        if isinstance(value, bool):
            return str(int(value))
        return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)

    def _range(self) -> str:
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        low = f" from {self.low:g}" if math.isfinite(self.low) else ""
        high = f" to {self.high:g}" if math.isfinite(self.high) else ""
        return f"{kind}{low}{high}"

    def _refused(self, given: Any, accepted: str) -> StateError:
        return StateError(self.name, f"{shown(given, 60)} is not accepted{accepted}")


_SWITCHES = {"1": True, "true": True, "0": False, "false": False}


class Action(NamedTuple):
    """A button: the name of what is done, its label, what it does in words; `main` stands out. One called `play` is
    Play or Pause. One that `changes` settings gives the new ones of a state; any other is for the simulation."""

    name: str
    label: str
    meaning: str = ""
    main: bool = False
    changes: "Callable[[State], Mapping[str, Any]] | None" = None


PLAY = Action("play", "Play", "Let it run, or pause it", main=True)
RESET = Action("reset", "Start over", "Begin again with these settings")


def next_seed(state: State) -> State:
    """The seed after this one."""
    return {"seed": (state["seed"] + 1) % 2**32}


class Place(NamedTuple):
    """Where a picture stands: the name of the picture, its caption, what to see in it, whether it is as wide as the
    page."""

    name: str
    caption: str
    note: str = ""
    wide: bool = False


class Try(NamedTuple):
    """Something to try: what to do, what will be seen, and the settings that a button makes; `does` is what is done
    then, such as `play`."""

    words: str
    seen: str
    settings: Mapping[str, Any]
    does: str = "play"


def _accept(_: State) -> None:
    """Every state of values that the controls accept."""


class View(NamedTuple):
    """A view, `/NAME` in the address.

    `slide` names the slide of the lecture that it stands for; `look_for` is one sentence; `tries` are three.
    `simulation` is MODULE:CLASS, what the worker runs (`worker.Simulation`). `check` raises StateError for values that
    do not go together. `markup` is HTML of its own above the pictures, `script` and `style` files beside it in `views/`
    that belong to it.
    """

    name: str
    title: str
    slide: str
    look_for: str
    tries: tuple[Try, ...]
    controls: tuple[Control, ...]
    actions: tuple[Action, ...]
    places: tuple[Place, ...]
    simulation: str
    check: Callable[[State], None] = _accept
    markup: str = ""
    script: str = ""
    style: str = ""
    order: int = 0

    @property
    def compares(self) -> bool:
        """Whether two settings may run side by side."""
        return any(control.second for control in self.controls)

    def control_of(self, name: str) -> Control:
        """The control that a setting is of, also one of the second setting; StateError for an unknown one."""
        plain = name.removeprefix(OTHER)
        for control in self.controls:
            if control.name == plain and (plain == name or control.second):
                return control
        if name == COMPARE and self.compares:
            return Control(COMPARE, "compare", False)
        known = [control.name for control in self.controls]
        message = f"unknown setting {shown(name, 60)}{near_match(name, known)}; accepted: {', '.join(known)}"
        raise StateError(name, message)

    def change_of(self, action: str) -> Callable[[State], Mapping[str, Any]] | None:
        """What the button of that name changes of the settings; None for one that is for the simulation."""
        return next((one.changes for one in self.actions if one.name == action), None)

    def defaults(self) -> State:
        """The state of a page that nothing is said of."""
        return {control.name: control.default for control in self.controls}

    def with_settings(self, state: State, given: Mapping[str, Any]) -> State:
        """The state with other settings, checked; StateError. A setting of the second that is that of the first, and
        one of its own where there is no second, is none."""
        changed = state | {name: self.control_of(name).read(value) for name, value in given.items()}
        changed = {
            name: value
            for name, value in changed.items()
            if not name.startswith(OTHER) or (changed.get(COMPARE) and value != changed[name.removeprefix(OTHER)])
        }
        if not changed.get(COMPARE):
            changed.pop(COMPARE, None)
        self.check(changed)
        return changed

    def words_of(self, state: State) -> dict[str, Any]:
        """What each control shows: switches as bool, all else as text; what the second does not say is as the first."""
        both = dict(state)
        if self.compares:
            both[COMPARE] = bool(state.get(COMPARE))
            both |= {
                f"{OTHER}{c.name}": state.get(f"{OTHER}{c.name}", state[c.name]) for c in self.controls if c.second
            }
        return {
            name: value if isinstance(value, bool) else self.control_of(name).word(value)
            for name, value in both.items()
        }

    def address(self, state: State) -> str:
        """The link that restores the state: what is not as by default."""
        defaults = self.defaults()
        said = {name: self.control_of(name).word(value) for name, value in state.items() if value != defaults.get(name)}
        return f"/{self.name}" + (f"?{urlencode(said)}" if said else "")

    def restored(self, query: str) -> tuple[State, dict[str, str]]:
        """The state that the query of an address asks for, and what is wrong with it by the name of the setting: what
        cannot be used is as by default."""
        given = dict(parse_qsl(query[:LONGEST_ADDRESS], keep_blank_values=True))
        try:
            return self.with_settings(self.defaults(), given), {}
        except StateError:
            state, wrong = self.defaults(), dict[str, str]()
        # The switch comes first, without which there is no second setting.
        for name in sorted(given, key=lambda name: name != COMPARE):
            try:
                state = self.with_settings(state, {name: given[name]})
            except StateError as error:
                wrong[error.control] = str(error)
        return state, wrong


def first_and_second(state: State) -> list[State]:
    """The settings that run side by side, one or two: each without the other's and without the switch."""
    first = {name: value for name, value in state.items() if name != COMPARE and not name.startswith(OTHER)}
    if not state.get(COMPARE):
        return [first]
    second = {name.removeprefix(OTHER): value for name, value in state.items() if name.startswith(OTHER)}
    return [first, first | second]


def find_views() -> dict[str, View]:
    """The views by their names, in their order: every file of `views/` that has one."""
    from experiments.classroom import views

    found: list[View] = []
    for module in pkgutil.iter_modules(views.__path__, f"{views.__name__}."):
        found.append(importlib.import_module(module.name).VIEW)
    return {view.name: view for view in sorted(found, key=lambda view: (view.order, view.name))}
