"""Tables of numbers as HTML, and numbers as they are read."""

from collections.abc import Sequence
from html import escape

MINUS = "\N{MINUS SIGN}"


class Cell(str):
    """Markup that stands in a cell as it is."""


def said(value: float, digits: int = 3) -> str:
    """A number with a minus that is one, none before a zero."""
    text = f"{value:.{digits}f}"
    text = text.lstrip("-") if float(text) == 0 else text
    return text.replace("-", MINUS)


def added(value: float, digits: int = 3) -> str:
    """A number as it is added to another: `+ 1.2`, or with a minus."""
    text = said(value, digits)
    return f"{MINUS} {text[1:]}" if text.startswith(MINUS) else f"+ {text}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: int = -1, total: bool = False) -> str:
    """A table; the row of that number stands out, `total` draws a line above the last one."""

    def row_of(i: int, row: Sequence[str]) -> str:
        kind = ' class="is"' if i == marked else ' class="total"' if total and i == len(rows) - 1 else ""
        cells = "".join(f"<td>{cell if isinstance(cell, Cell) else escape(cell)}</td>" for cell in row)
        return f"<tr{kind}>{cells}</tr>"

    titles = "".join(f'<th scope="col">{escape(title)}</th>' if title else "<td></td>" for title in head)
    body = "".join(row_of(i, row) for i, row in enumerate(rows))
    return f'<table class="numbers"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'
