"""Rows written to a CSV file."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, BinaryIO

from guestdbg.closing import Closing

if TYPE_CHECKING:
    from guestdbg.tables.columns import Column, Value, Values

__all__ = ["CsvWriter"]


class CsvWriter(Closing):
    """Writes rows as comma-separated values (RFC 4180), UTF-8, with a line of names.

    Addresses are hexadecimal text (``0x40201688``): a spreadsheet would take such a number for one
    of 53 bits. A missing value is empty.

    Args:
        file: an unbuffered binary file, open for writing.
        columns: the columns.
        names: whether the line of names is written; it is there already in a file that grows.
    """

    def __init__(self, file: BinaryIO, columns: Sequence[Column], *, names: bool = True) -> None:
        self._file = file
        if names:
            self._put([[column.name for column in columns]])

    def write(self, values: Iterable[Values]) -> None:
        """Write rows, given as columns. Raises OSError, after which there are only whole lines."""
        columns = [_shown(each.column, each.listed()) for each in values]
        self._put(zip(*columns, strict=True))

    def _put(self, rows: Iterable[Sequence[object]]) -> None:
        text = io.StringIO()
        write = csv.writer(text, lineterminator="\r\n").writerow
        ends = [text.tell() for row in rows if write(row)]
        data = text.getvalue()
        encoded = data.encode()
        done = 0
        try:
            while done < len(encoded):
                done += self._file.write(encoded[done:])
        except OSError:
            # What is not a whole row goes; a pipe cannot take it back.
            whole = [len(data[:end].encode()) for end in ends if end <= done]
            kept = max((size for size in whole if size <= done), default=0)
            with contextlib.suppress(OSError, ValueError):
                self._file.truncate(self._file.seek(0, os.SEEK_CUR) - done + kept)
            raise

    def note(self, key: str, text: str) -> None:
        """A CSV file has no place for notes."""

    def close(self) -> None:
        """All of it is in the file already."""


def _shown(column: Column, values: Iterable[Value]) -> Iterable[Value]:
    if column.unit != "address":
        return values
    return ["" if value is None else f"{value:#x}" for value in values]
