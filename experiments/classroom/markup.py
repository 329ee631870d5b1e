"""The HTML of a view's page: what stands there before Python sends anything."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from experiments.classroom.view import COMPARE, OTHER, Action, Control, Place, View

FOLDER = Path(__file__).parent


def read(name: str) -> str:
    """One of the files that the page is made of."""
    return (FOLDER / name).read_text(encoding="utf-8")


def page_markup(view: View, views: Iterable[View], key: str) -> str:
    """The page of a view for the visitor of that key, with links to the others."""
    return (
        f'<div id="classroom" data-view="{view.name}" data-key="{key}">'
        f"{_header(view, views)}{_intro(view)}{_bar(view)}"
        f'<p id="finding" class="news" aria-live="polite"></p><p id="news" class="news" role="status"></p>'
        f'<div id="stage">{_controls(view)}<div>{view.markup}'
        f'<div id="pictures">{figures(view.places)}</div></div></div>'
        "</div>"
    )


def _header(view: View, views: Iterable[View]) -> str:
    links = "".join(
        f'<li><a href="/{one.name}"{" aria-current=page" if one.name == view.name else ""}>{escape(one.title)}</a></li>'
        for one in views
    )
    return f'<header><h1>Plateau</h1><nav aria-label="Views"><ul>{links}</ul></nav></header>'


def _intro(view: View) -> str:
    tries = "".join(
        f'<li>{escape(one.words)} <button class="small" data-do="try" data-value="{i}" '
        f'aria-label="Try it: {escape(one.words)}">Try it</button><br>'
        f'<span class="meaning">You will see: {escape(one.seen)}</span></li>'
        for i, one in enumerate(view.tries)
    )
    return (
        f'<section class="intro" aria-labelledby="title"><h2 id="title">{escape(view.title)} '
        f'<span class="slide">slide &ldquo;{escape(view.slide)}&rdquo;</span></h2>'
        f"<p><b>What to look for:</b> {escape(view.look_for)}</p>"
        f"<details><summary>Three things to try</summary><ol>{tries}</ol></details></section>"
    )


def _bar(view: View) -> str:
    buttons = "".join(_button(action) for action in view.actions)
    return (
        f'<section class="bar" aria-label="Run">{buttons}'
        '<span id="status">preparing ...</span><span class="room"></span>'
        '<button data-do="copy" title="A link that restores these settings">Copy link</button>'
        '<button data-do="save" title="One file that plays offline what was just seen">Save this page</button>'
        "</section>"
    )


def _button(action: Action) -> str:
    main = ' class="main"' if action.main else ""
    return f'<button{main} data-do="{action.name}" title="{escape(action.meaning)}">{escape(action.label)}</button>'


def _controls(view: View) -> str:
    shown = [control for control in view.controls if not control.hidden]
    if not shown:
        return "<div></div>"
    first = "".join(_control(view, control) for control in shown if not control.more)
    more = "".join(_control(view, control) for control in shown if control.more)
    folded = f"<details><summary>More settings</summary><fieldset>{more}</fieldset></details>" if more else ""
    compare = ""
    if view.compares:
        control = Control(COMPARE, "Two side by side", False, "A second setting, with the same seed")
        words = f'<p class="note" data-when="{COMPARE}" hidden>Left the first, right the second.</p>'
        compare = _one(control, COMPARE) + words
    return f'<section class="controls" aria-label="Settings">{compare}<fieldset>{first}</fieldset>{folded}</section>'


def _control(view: View, control: Control) -> str:
    """A control, and beside it that of the second setting."""
    if not control.second:
        return _one(control, control.name)
    other = control._replace(unit="")
    return (
        f'<div class="two">{_one(control, control.name)}'
        f'<div data-when="{COMPARE}" hidden>{_one(other, OTHER + control.name)}</div></div>'
    )


def _one(control: Control, name: str) -> str:
    called = f"set-{name.replace('.', '-')}"
    wrong = f'<span data-wrong="{name}" data-of="{called}" id="{called}-wrong" role="alert"></span>'
    unit = f' <span class="unit">{escape(control.unit)}</span>' if control.unit else ""
    words = escape(control.label)
    if name.startswith(OTHER):  # Its label stands beside it; it has one of its own to be heard.
        words = f'<span class="unseen">{words}, </span>second'
    label = f'<label for="{called}">{words}{unit}</label>'
    given = f'id="{called}" data-set="{name}" aria-describedby="{called}-wrong" title="{escape(control.meaning)}"'
    value = escape(control.word(control.default))
    if control.choices and control.slider:
        ends = f'min="0" max="{len(control.choices) - 1}" step="1" data-words="{escape("|".join(control.choices))}"'
        at = control.choices.index(control.default)
        field = f'<input type="range" {given} {ends} value="{at}"><output for="{called}">{value}</output>'
    elif control.choices:
        options = "".join(
            f"<option{' selected' if word == control.default else ''}>{escape(word)}</option>"
            for word in control.choices
        )
        field = f"<select {given}>{options}</select>"
    elif isinstance(control.default, bool):
        checked = " checked" if control.default else ""
        return f'<div class="control switch"><input type="checkbox" {given}{checked}> {label}{wrong}</div>'
    elif control.slider:
        ends = f'min="{control.low:g}" max="{control.high:g}" step="{control.step or "any"}"'
        field = f'<input type="range" {given} {ends} value="{value}"><output for="{called}">{value}</output>'
    else:
        mode = ' inputmode="decimal"' if isinstance(control.default, int | float) else ""
        field = f'<input type="text" {given} value="{value}" autocomplete="off" spellcheck="false"{mode}>'
    return f'<div class="control">{label}{field}{wrong}</div>'


def figures(places: Iterable[Place]) -> str:
    """The places of the pictures, which are empty at first."""
    return "".join(
        f'<figure data-picture="{place.name}"{" class=wide" if place.wide else ""} hidden>'
        f'<figcaption>{escape(place.caption)}</figcaption><div class="picture"></div>'
        + (f'<p class="note">{escape(place.note)}</p>' if place.note else "")
        + "</figure>"
        for place in places
    )
