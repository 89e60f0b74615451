"""Text from a guest as text that is safe on a terminal.

Names in an ELF file, source lines, strings and console output may hold anything. What moves the
cursor, changes the direction of writing or has no width is not shown as it is: each row of the
screen has the cells that it was measured with.
"""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len

__all__ = ["LONGEST", "printable"]

#: A longer line is cut.
LONGEST = 2000
_NOT_PRINTABLE = "\ufffd"
#: Marks that are drawn over the letter before, and what cannot be seen at all.
_WITHOUT_WIDTH = ("Mn", "Me", "Cf")


def printable(text: str, longest: int = LONGEST) -> str:
    """One line: tabs become spaces, and what cannot be printed a replacement character."""
    if len(text) > longest:
        text = text[:longest] + "…"
    if "\t" in text:
        text = text.expandtabs(8)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if unicodedata.category(letter) in _WITHOUT_WIDTH:
        return ""
    if not letter.isprintable():
        return _NOT_PRINTABLE
    # What Textual lays out without a cell, marks beside a letter in Indian scripts for example.
    return letter if cell_len(letter) else ""
