"""Small tables of HTML, in which notebooks show objects (``_repr_html_``).

What is shown may come from a hostile guest: all text is escaped, and nothing is long. No colours
are set, so that it is readable on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

__all__ = ["EDGE_ROWS", "details", "fields_html", "table_html", "text_of"]

#: Of more rows than twice as many, so many are shown from the start, and so many from the end.
EDGE_ROWS = 10
_MOST_TEXT = 160
_MOST_COLUMNS = 40
#: Jupyter takes text between dollar signs for a formula, except in elements of these classes.
_CLASS = 'class="guestdbg tex2jax_ignore mathjax_ignore"'
_RIGHT = ' style="text-align:right"'
_LEFT = ' style="text-align:left"'


def text_of(value: object) -> str:
    """A value as text in HTML: bounded, escaped, and without what is not printable.

    None is empty. Characters that are not printable, which may be ends of lines, change the
    direction of the text, or be no characters at all, are shown as Python escapes them.
    """
    if value is None:
        return ""
    text = value[:_MOST_TEXT].hex(" ", 8) if isinstance(value, bytes) else str(value)
    cut = len(text) > _MOST_TEXT
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in text[: _MOST_TEXT - 1 if cut else _MOST_TEXT]
    )
    from html import escape  # it brings the names of 2,000 characters

    return escape(shown) + "…" * cut


def _cell(value: object, tag: str = "td") -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"<{tag}{_RIGHT if is_number else _LEFT}>{text_of(value)}</{tag}>"


def table_html(
    title: str,
    names: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    count: int | None = None,
    note: str | None = None,
    hints: Sequence[str] = (),
) -> str:
    """A table with a line of names.

    Args:
        title: its caption.
        names: the names of its columns.
        rows: its rows. If there are more than twice ``EDGE_ROWS``, the first and the last.
        count: how many rows there are in all, if ``rows`` are the first and the last ``EDGE_ROWS``
            of them; None: ``rows`` are all.
        note: what is to be known besides.
        hints: what the columns are, shown where the mouse is on a name.
    """
    listed = list(rows)
    total = len(listed) if count is None else count
    width = min(len(names), _MOST_COLUMNS)
    if len(listed) > 2 * EDGE_ROWS:
        listed = listed[:EDGE_ROWS] + listed[-EDGE_ROWS:]
    lines = [f"<tr>{''.join(map(_cell, row[:width]))}</tr>" for row in listed]
    if total > len(listed):
        more = f'<tr><td colspan="{width}"{_LEFT}>… {total - len(listed):,} more rows …</td></tr>'
        lines.insert(EDGE_ROWS, more)
    notes = [note] if note else []
    if len(names) > width:
        notes.append(f"{len(names) - width:,} more columns")
    head = "".join(
        f'<th{_LEFT} title="{text_of(hint)}">{text_of(name)}</th>'
        for name, hint in zip_longest(names[:width], hints[:width])
    )
    return (
        f"<table {_CLASS}>{_caption(title)}<thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>{_notes(notes)}"
    )


def fields_html(
    title: str, fields: Iterable[tuple[str, object]], *, note: str | None = None
) -> str:
    """A table of names and values; those that are None are left out."""
    rows = "".join(
        f"<tr>{_cell(name, 'th')}<td{_LEFT}>{text_of(value)}</td></tr>"
        for name, value in fields
        if value is not None and value != ""
    )
    notes = _notes([note] if note else [])
    return f"<table {_CLASS}>{_caption(title)}<tbody>{rows}</tbody></table>{notes}"


def details(title: str, inner: str) -> str:
    """What is shown only after a click on its title."""
    return f"<details {_CLASS}><summary>{text_of(title)}</summary>{inner}</details>"


def _caption(title: str) -> str:
    return f"<caption{_LEFT}><b>{text_of(title)}</b></caption>" if title else ""


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"<p {_CLASS}>{text_of(note)}</p>" for note in notes)
