"""What questions about an interval are answered with: tables, whose rows are in the order of time.

``Accesses`` and ``Values`` have the interface of arrays of NumPy (``__array_interface__``):
``numpy.asarray`` takes them as a structured array as they are, without a copy. Nothing here needs
NumPy. ``table()`` of each of them is a table for pandas, Polars, Arrow, and as a file.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, overload

from guestdbg.debugger.errors import InvalidLocation
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.history.questions.as_tables import (
    table_of_accesses,
    table_of_calls,
    table_of_values,
)
from guestdbg.history.questions.call_result import Call
from guestdbg.history.questions.repeating import ROW
from guestdbg.html_table import EDGE_ROWS
from guestdbg.machine import Position
from guestdbg.tables import Tabular

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import AccessName
    from guestdbg.debugger.program.bit_field import BitField
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.tables import Table

__all__ = ["VALUE_ROW", "AccessRow", "Accesses", "Calls", "Value", "ValueDecoder", "Values"]

_NAMES: tuple[AccessName, ...] = ("execute", "read", "write", "readwrite")
#: turn, instructions, value, vCPU, by, padding.
VALUE_ROW = struct.Struct("<QQQHBx4x")
#: Who changed a value, by its number in a row.
CHANGED_BY = ("start", "vcpu", "device", "user", "unseen")


@hexadecimal("pc", "address")
class AccessRow(NamedTuple):
    """One access.

    Attributes:
        position: when it was made: after its instruction.
        pc: of the instruction; of a device's access that of the vCPU whose turn it was.
        address: the first watched byte that was accessed.
        size: how many watched bytes were accessed.
        access: ``"read"``, ``"write"`` or ``"readwrite"``.
        old, new: the value before and after; ``new`` is None if nothing was written. Of a variable
            of 1, 2, 4 or 8 bytes it is the whole value, otherwise that of the accessed bytes.
        number: the count of accesses, those for which the condition was false included.
        device: whether a device has made it.
    """

    position: Position
    pc: int
    address: int
    size: int
    access: AccessName
    old: int | float
    new: int | float | None
    number: int
    device: bool


@dataclass(frozen=True, slots=True)
class ValueDecoder:
    """Makes values of a variable's type of the words that rows have."""

    bit_field: BitField | None = None
    float_format: FloatFormat | None = None

    @property
    def kind(self) -> Literal["u64", "i64", "f64"]:
        """The type of the values as a column of a table."""
        if self.float_format is not None:
            return "f64"
        return "i64" if self.bit_field is not None and self.bit_field.signed else "u64"

    def value(self, word: int) -> int | float:
        """The value: a float, a bit-field with its sign, or an unsigned number."""
        if self.float_format is not None:
            return self.float_format.value(word)
        signed = self.bit_field is not None and self.bit_field.signed
        return word - (1 << 64) if signed and word >> 63 else word


class _Rows(Tabular):
    """Rows of numbers.

    Attributes:
        name: what was asked for.
        start, end: the interval.
        cut: why it is not complete, in words; None: it is.
    """

    _row: ClassVar[struct.Struct]
    _types: ClassVar[Sequence[tuple[str, str]]]

    def __init__(
        self,
        name: str,
        start: Position,
        end: Position,
        rows: bytes,
        decoder: ValueDecoder,
        cut: str | None,
    ) -> None:
        self.name = name
        self.start = start
        self.end = end
        self.cut = cut
        self._rows = rows
        self._decoder = decoder

    def __len__(self) -> int:
        return len(self._rows) // self._row.size

    def __bool__(self) -> bool:
        return bool(self._rows)

    def data(self) -> memoryview:
        """The rows as bytes, as ``numpy.frombuffer`` takes them with ``dtype``."""
        return memoryview(self._rows)

    @property
    def dtype(self) -> list[tuple[str, str]]:
        """The fields of a row as NumPy names them: (name, type)."""
        return list(self._types)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's array interface, version 3: a structured array of one dimension."""
        return {
            "version": 3,
            "shape": (len(self),),
            "typestr": f"|V{self._row.size}",
            "descr": self.dtype,
            "data": self._rows or bytes(self._row.size),
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(name for name, _ in self._types if name)

    def column(self, name: str) -> memoryview:
        """One column as unsigned 64-bit numbers, ``(len,)``.

        A negative value of a bit-field is its two's complement, and a float is its bits. Raises
        InvalidLocation for a name that is not in ``columns``.
        """
        if name not in self.columns:
            raise InvalidLocation(
                f"there is no column {name!r}; the columns are {', '.join(self.columns)}"
            )
        place = self.columns.index(name)
        return memoryview(array("Q", (row[place] for row in self._row.iter_unpack(self._rows))))

    def _fields(self) -> dict[str, Sequence[int]]:
        """The words of each field of the rows, ``(len,)`` each."""
        names = self.columns
        found = tuple(zip(*self._row.iter_unpack(self._rows), strict=True))
        return dict(zip(names, found or ((),) * len(names), strict=True))

    def _unpacked(self, number: int) -> tuple[int, ...]:
        count = len(self)
        if not -count <= number < count:
            raise IndexError(f"row {number} of {count}")
        return self._row.unpack_from(self._rows, number % count * self._row.size)

    def _excerpt(self) -> tuple[Table, int]:
        rows, edge = self._rows, EDGE_ROWS * self._row.size
        if len(rows) > 2 * edge:
            rows = rows[:edge] + rows[-edge:]
        some = type(self)(self.name, self.start, self.end, rows, self._decoder, self.cut)
        return some.table(), len(self)

    def __repr__(self) -> str:
        cut = f", {self.cut}" if self.cut else ""
        return (
            f"<{type(self).__name__} of {self.name}: {len(self)} from {self.start} to {self.end}"
            f"{cut}>"
        )


class Accesses(_Rows):
    """All accesses to a variable in an interval, in the order of time.

    Iterate over them, or take one by its number, as ``AccessRow``; ``numpy.asarray`` makes a
    structured array of them. There ``access`` is 1 for a read, 2 for a write and 3 for both;
    ``written`` is 1 where ``new`` is a value. A row takes 64 bytes.

    Attributes:
        name: what was asked for.
        start, end: the interval.
        cut: why it is not complete, in words; None: it is.
    """

    _row = ROW
    _types = (
        *((name, "<u8") for name in ("turn", "instructions", "pc", "address", "old", "new")),
        ("number", "<u8"),
        *(("vcpu", "<u2"), ("size", "<u2"), ("access", "|u1"), ("written", "|u1")),
        *(("device", "|u1"), ("", "|V1")),
    )

    @overload
    def __getitem__(self, number: int) -> AccessRow: ...
    @overload
    def __getitem__(self, number: slice) -> list[AccessRow]: ...
    def __getitem__(self, number: int | slice) -> AccessRow | list[AccessRow]:
        if isinstance(number, slice):
            return [self._access(self._unpacked(n)) for n in range(*number.indices(len(self)))]
        return self._access(self._unpacked(number))

    def __iter__(self) -> Iterator[AccessRow]:
        return map(self._access, self._row.iter_unpack(self._rows))

    def table(self) -> Table:
        """The accesses as a table: for NumPy, pandas, Polars, Arrow, and as a file.

        Its columns are the position (``turn``, ``vcpu``, ``instructions``) and the fields of an
        ``AccessRow``. ``old`` and ``new`` are unsigned, of a bit-field with a sign signed, and of a
        float floating point of 64 bits.
        """
        return table_of_accesses(self._fields(), self._decoder.kind, self._decoder.value)

    def _access(self, row: tuple[int, ...]) -> AccessRow:
        turn, instructions, pc, address, old, new, number, vcpu, size, access, written, device = row
        value = self._decoder.value
        return AccessRow(
            Position(turn, vcpu, instructions),
            pc,
            address,
            size,
            _NAMES[access],
            value(old),
            value(new) if written else None,
            number,
            bool(device),
        )


class Value(NamedTuple):
    """A value that a variable had from a time on.

    Attributes:
        position: since when.
        value: an unsigned number; of a bit-field its own value, of a floating-point type a float.
        by: who wrote it: ``"vcpu"``; ``"device"``; ``"user"``, the user of the debugger;
            ``"start"``, it had that value at the start of the interval. ``"unseen"``: it changed
            before that time, after the one before, by what no watch sees, such as a semihosting
            call, or a store to another virtual address of the same memory.
    """

    position: Position
    value: int | float
    by: str


class Values(_Rows):
    """The value of a variable over time: a row for the start, and one for each change.

    Iterate over them, or take one by its number, as ``Value``; ``numpy.asarray`` makes a structured
    array of them, in which ``by`` is 0 for ``"start"``, 1 ``"vcpu"``, 2 ``"device"``, 3 ``"user"``
    and 4 ``"unseen"``.

    Attributes:
        name: what was asked for.
        start, end: the interval.
        cut: why it is not complete, in words; None: it is.
    """

    _row = VALUE_ROW
    _types = (
        *(("turn", "<u8"), ("instructions", "<u8"), ("value", "<u8"), ("vcpu", "<u2")),
        *(("by", "|u1"), ("", "|V5")),
    )

    @overload
    def __getitem__(self, number: int) -> Value: ...
    @overload
    def __getitem__(self, number: slice) -> list[Value]: ...
    def __getitem__(self, number: int | slice) -> Value | list[Value]:
        if isinstance(number, slice):
            return [self._value(self._unpacked(n)) for n in range(*number.indices(len(self)))]
        return self._value(self._unpacked(number))

    def __iter__(self) -> Iterator[Value]:
        return map(self._value, self._row.iter_unpack(self._rows))

    def _value(self, row: tuple[int, ...]) -> Value:
        turn, instructions, value, vcpu, by = row
        position = Position(turn, vcpu, instructions)
        return Value(position, self._decoder.value(value), CHANGED_BY[by])

    def table(self) -> Table:
        """The values as a table: for NumPy, pandas, Polars, Arrow, and as a file.

        Its columns are the position (``turn``, ``vcpu``, ``instructions``), ``value`` and ``by``.
        """
        decoder = self._decoder
        return table_of_values(self._fields(), decoder.kind, decoder.value, CHANGED_BY)

    def at(self, position: Position) -> int | float | None:
        """The value at a time; None before the first row."""
        found: int | float | None = None
        for each in self:
            if each.position > position:
                break
            found = each.value
        return found


class Calls(Sequence[Call], Tabular):
    """All calls of a function in an interval, in the order of time.

    Attributes:
        name: the function.
        start, end: the interval.
        cut: why it is not complete, in words; None: it is.
        note: what else is to be known, such as that the function was inlined elsewhere.
    """

    def __init__(
        self,
        name: str,
        start: Position,
        end: Position,
        calls: Sequence[Call],
        cut: str | None,
        note: str | None,
    ) -> None:
        self.name = name
        self.start = start
        self.end = end
        self.cut = cut
        self.note = note
        self._calls = tuple(calls)

    def table(self) -> Table:
        """The calls as a table: for NumPy, pandas, Polars, Arrow, and as a file.

        ``arg_NAME`` is the argument of this name. ``result`` and the arguments are numbers where
        all of a column are, otherwise JSON text (structures, arrays); a value that is not known is
        missing.
        """
        return table_of_calls(self)

    def _excerpt(self) -> tuple[Table, int]:
        some = self._calls
        if len(some) > 2 * EDGE_ROWS:
            some = some[:EDGE_ROWS] + some[-EDGE_ROWS:]
        return table_of_calls(some), len(self)

    @overload
    def __getitem__(self, number: int) -> Call: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Call]: ...
    def __getitem__(self, number: int | slice) -> Call | Sequence[Call]:
        return self._calls[number]

    def __len__(self) -> int:
        return len(self._calls)

    def __repr__(self) -> str:
        cut = f", {self.cut}" if self.cut else ""
        return f"<Calls of {self.name}: {len(self)} from {self.start} to {self.end}{cut}>"
