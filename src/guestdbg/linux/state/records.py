"""Lists of records: each a line of text, and a table of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from guestdbg.debugger import AddressError
from guestdbg.linux.errors import CorruptedGuestData

__all__ = ["Record", "Records", "collect"]

_WIDTH = 80


class Record(Protocol):
    """What a table has a line of."""

    def cells(self) -> tuple[str, ...]:
        """The texts of its columns."""


R = TypeVar("R", bound=Record)


class Records(list[R]):
    """Records of one kind, in the kernel's order.

    Attributes:
        headings: those of the columns. One that begins with ``>`` is of numbers, at the right.
        cut: why there are not all of them, in words: the kernel's list is damaged from there on.
            None if they are all there.
    """

    def __init__(
        self, headings: tuple[str, ...], records: Iterable[R] = (), cut: str | None = None
    ) -> None:
        super().__init__(records)
        self.headings = headings
        self.cut = cut

    def table(self, width: int = _WIDTH) -> str:
        """All of them as lines of at most ``width`` columns; the last cell is cut to fit.

        Characters that are not printable are shown as ``?``.
        """
        rows = [[_printable(cell) for cell in record.cells()] for record in self]
        names = [heading.lstrip(">") for heading in self.headings]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        lines = []
        for row in (names, *rows):
            cells = [
                cell.rjust(size) if heading.startswith(">") else cell.ljust(size)
                for cell, size, heading in zip(row, widths, self.headings, strict=True)
            ]
            lines.append(" ".join(cells).rstrip()[:width])
        if self.cut is not None:
            lines.append(f"({self.cut})")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def collect(headings: tuple[str, ...], found: Iterator[R]) -> Records[R]:
    """The records that an iterator gives, until the guest's structures are damaged."""
    records: Records[R] = Records(headings)
    try:
        for record in found:
            records.append(record)
    except (CorruptedGuestData, AddressError) as error:
        records.cut = f"the rest cannot be read: {error}"
    return records
