"""A column of a table, and its values in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from guestdbg.tables.errors import TableError

__all__ = ["Column", "Kind", "Unit", "Value", "Values"]

#: Unsigned and signed integers, floating point, text.
Kind = Literal["u64", "i64", "u32", "u8", "f64", "text"]
#: "address": an address of the guest; "bytes"; "instructions": how many had retired; "": a number.
Unit = Literal["", "address", "bytes", "instructions"]
Value = int | float | str | None

#: Type codes of ``array``.
_TYPE_CODES = {"u64": "Q", "i64": "q", "u32": "I", "u8": "B", "f64": "d"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        name: its name.
        kind: the type of its values.
        unit: what they count.
        what: what they are, in a few words.
        optional: whether a value can be missing.
    """

    name: str
    kind: Kind
    what: str
    unit: Unit = ""
    optional: bool = False


class Values:
    """The values of a column.

    Args:
        column: the column.
        values: its values; None where there is none.

    Attributes:
        column: the column.
        data: numbers as an ``array`` (0 where there is none), text as a list.
        present: a byte for each value, 0 where there is none; None: all are there.

    Raises TableError for a value that the column cannot have.
    """

    __slots__ = ("column", "data", "present")

    def __init__(self, column: Column, values: Iterable[Value]) -> None:
        self.column = column
        self.present: bytearray | None = None
        self.data: array[int] | array[float] | list[str | None]
        listed = list(values)
        if column.optional:
            present = bytearray(value is not None for value in listed)
            self.present = present if 0 in present else None
        try:
            if column.kind == "text":
                self.data = [_text(value) for value in listed]
            else:
                numbers: Any = listed if self.present is None else [v or 0 for v in listed]
                self.data = array(_TYPE_CODES[column.kind], numbers)
        except (TypeError, OverflowError) as error:
            raise TableError(f"column {column.name} ({column.kind}): {error}") from error

    @classmethod
    def of_words(cls, column: Column, words: memoryview, present: bytes | None = None) -> Values:
        """The values of a column from memory: 64-bit words, in the column's own format."""
        values = cls.__new__(cls)
        values.column = column
        values.data = array(_TYPE_CODES[column.kind])
        values.data.frombytes(words.tobytes())
        values.present = bytearray(present) if present is not None and 0 in present else None
        return values

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, place: int) -> Value:
        if self.present is not None and not self.present[place]:
            return None
        return self.data[place]

    def listed(self) -> Sequence[Value]:
        """All of them; None where there is none."""
        if self.present is None:
            return self.data
        return [v if there else None for v, there in zip(self.data, self.present, strict=True)]


def _text(value: Value) -> str | None:
    if value is None or isinstance(value, str):
        # Names in a guest's file may have bytes that are no text.
        return None if value is None else value.encode("utf-8", "backslashreplace").decode()
    raise TypeError(f"{value!r} is no text")
