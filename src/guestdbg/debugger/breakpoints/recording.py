"""Recordings: watches that keep a record of every hit, to be examined afterwards."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from guestdbg.debugger.breakpoints.point import Watch
from guestdbg.debugger.errors import BadRange, InvalidLocation
from guestdbg.debugger.validation import integer
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.html_table import EDGE_ROWS
from guestdbg.kvm import SupportsInstructionCount
from guestdbg.kvm.hit_programs import MAX_REGISTERS, RECORD_WORDS
from guestdbg.tables import Column, Table, Tabular, Values

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import Hit, TaskName
    from guestdbg.debugger.breakpoints.point import Handler, Point
    from guestdbg.debugger.breakpoints.task_words import TaskWords
    from guestdbg.debugger.program.bit_field import BitField

__all__ = ["Record", "Recording"]

_ACCESS = {"read": 1, "write": 2, "readwrite": 3}
_CHUNK = 65536
#: The columns by name; some of them are parts of one word.
_FIRST = ("pc", "address", "old", "new", "instructions")
_PACKED = len(_FIRST)
_PARTS = {"size": (0, 0xFF), "access": (8, 3), "written": (16, 1), "vcpu": (32, 0xFFFF)}
_COLUMNS = (*_FIRST, *_PARTS, "number")
_PLACES_MORE = len(_PARTS) - 1
_U64 = (1 << 64) - 1
_ACCESS_NAMES = ("", "read", "write", "readwrite")
_PC = Column("pc", "u64", "the instruction that made the access", "address")
_ADDRESS = Column("address", "u64", "the first watched byte that was accessed", "address")
_INSTRUCTIONS = Column(
    "instructions", "u64", "how many the vCPU had retired, the access included", "instructions"
)
_SIZE = Column("size", "u8", "how many watched bytes were accessed", "bytes")
_ACCESS_COLUMN = Column("access", "text", "read, write or readwrite")
_NUMBER = Column("number", "u64", "the point's hits with this one")
_VCPU = Column("vcpu", "u32", "number of the vCPU")
_TASK = (
    Column("pid", "u32", "Linux: PID of the task", optional=True),
    Column("tgid", "u32", "Linux: PID of its process", optional=True),
    Column("comm", "text", "Linux: name of the task", optional=True),
    Column("context", "text", "Linux: process, softirq, hardirq or nmi", optional=True),
)


def _numbers(registers: object) -> tuple[int, ...]:
    if not isinstance(registers, Iterable) or not all(isinstance(n, int) for n in registers):
        raise InvalidLocation(
            f"registers is {registers!r}: it must be numbers, (0, 1) for x0 and x1"
        )
    return tuple(registers)


@hexadecimal("pc", "address", "old", "new", "registers")
class Record(NamedTuple):
    """One hit.

    ``new`` is None if nothing was written; ``instructions`` is how many the vCPU had retired, the
    access included (0 if the provider does not count them); ``number`` counts the point's hits,
    those for which its condition was false included. ``vcpu`` is the number of the vCPU, and
    ``task`` is what ``hit.task`` is for a hit: the task of a Linux guest, and what it was for; None
    where that is not known.
    """

    pc: int
    address: int
    old: int
    new: int | None
    instructions: int
    size: int
    access: str
    number: int
    registers: tuple[int, ...]
    vcpu: int = 0
    task: TaskName | None = None


class Recording(Watch, Tabular):
    """A watch that keeps a record of every hit, and has no handler to call.

    ``len(recording)`` records; iterate over them, or take them as an array. ``registers`` are those
    of x0 to x30 that a record has. After ``limit`` records the run ends, and the recording is
    disabled. ``task_words`` says which words of a record name the task of a hit; None: there are
    none.
    """

    __slots__ = (
        *("_buffer", "_chunks", "_count", "_layout", "_words"),
        *("limit", "registers", "task_words"),
    )

    def __init__(
        self,
        number: int,
        name: str,
        changed: Callable[[Point, str], None],
        *,
        registers: Iterable[int],
        limit: int | None,
        task_words: TaskWords | None = None,
        **watch: Any,
    ) -> None:
        super().__init__(number, name, changed, **watch)
        if not self.scalar:
            raise BadRange(
                f"{name}: a recording keeps values of 1, 2, 4 or 8 bytes, not {self.length}"
            )
        registers = _numbers(registers)
        if len(registers) > MAX_REGISTERS or not all(0 <= n <= 30 for n in registers):
            raise InvalidLocation(
                f"a recording keeps at most {MAX_REGISTERS} registers of x0 to x30"
            )
        if limit is not None and integer("limit", limit) < 1:
            raise InvalidLocation(f"a recording of {limit} records: at least 1")
        self.registers = registers
        self.limit = limit
        self.task_words = task_words
        names = () if task_words is None else task_words.names
        self._words = RECORD_WORDS + len(self.registers) + len(names)
        self._layout = struct.Struct(f"={self._words}Q")
        self._chunks: list[bytes] = []
        self._count = 0
        self._buffer = bytearray(min(limit or _CHUNK, _CHUNK) * self._layout.size)

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return True

    @property
    def limit_reached(self) -> bool:
        """Whether ``limit`` records have been made."""
        return self.limit is not None and self._count >= self.limit

    @property
    def handler(self) -> Handler | None:
        """None: a recording has no handler."""
        return None

    @handler.setter
    def handler(self, handler: Handler | None) -> None:
        raise InvalidLocation(
            f"{self.name}: a recording calls no handler; guest.watch() makes a watch that does"
        )

    @property
    def enabled(self) -> bool:
        """Whether it is armed. Raises InvalidLocation where it has all the records of its limit."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if value and not self._enabled and not self.deleted and self.limit_reached:
            raise InvalidLocation(
                f"{self.name} has the {len(self)} records of its limit: clear() it, or raise the "
                "limit, before it is enabled again"
            )
        self._set_enabled(value)

    @property
    def buffer(self) -> memoryview:
        """Where a provider writes the next records; ``take`` copies them out of it."""
        return memoryview(self._buffer)

    @property
    def room(self) -> int:
        """After how many more records, at most, they have to be taken out of the buffer."""
        size = len(self._buffer) // self._layout.size
        # A limit that was lowered below the number of records ends it at the next.
        return size if self.limit is None else max(1, min(size, self.limit - len(self)))

    def take(self, count: int) -> None:
        """Keep the first ``count`` records of the buffer."""
        chunk = bytes(memoryview(self._buffer)[: count * self._layout.size])
        self._chunks.append(
            chunk if self.bit_field is None else self._fields(chunk, self.bit_field)
        )
        self._count += count

    def _fields(self, chunk: bytes, field: BitField) -> bytes:
        """Records of the bytes that a bit-field lies in, as records of the field."""
        records = []
        for pc, address, old, new, *rest in self._layout.iter_unpack(chunk):
            values = (field.value(old) & _U64, field.value(new) & _U64)
            records.append(self._layout.pack(pc, address, *values, *rest))
        return b"".join(records)

    def note(self, hit: Hit) -> None:
        """Make a record of a hit that the provider has not recorded."""
        vcpu, retired = hit.vcpu, hit.provider
        task = () if self.task_words is None else self.task_words.read(hit.provider)
        self._count += 1
        self._chunks.append(
            self._layout.pack(
                hit.pc,
                hit.address,
                self._word(hit.old, hit.old_bytes),
                self._word(hit.new, hit.new_bytes),
                retired.instructions if isinstance(retired, SupportsInstructionCount) else 0,
                hit.size
                | _ACCESS[hit.access] << 8
                | (hit.new is not None) << 16
                | (hit.device is not None) << 17
                | vcpu.id << 32,
                self.seen,
                *(vcpu.x[n] for n in self.registers),
                *task,
            )
        )

    def _word(self, value: Any, data: bytes | None) -> int:
        """A value of a hit as a word: of a float its bits, of a bit-field its own value."""
        if self.float_format is not None:
            return int.from_bytes(data or b"", "little")
        return int(value or 0) & _U64

    def clear(self) -> None:
        """Forget the records."""
        self._chunks.clear()
        self._count = 0

    def data(self) -> memoryview:
        """All records as unsigned 64-bit words, ``(len, 7 + len(registers))``.

        pc, address, old, new, instructions, size | access << 8 | written << 16 | device << 17 |
        vcpu << 32 (device: one has written, and not a vCPU), count, registers, and of a Linux guest
        six more words for the task (see ``columns``); a negative value of a bit-field is its two's
        complement, and a float is its bits;
        ``numpy.asarray`` takes it as it is.
        """
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        flat = memoryview(self._chunks[0] if self._chunks else b"")
        if not flat:
            return flat.cast("Q")  # a memoryview has no shape (0, n)
        return flat.cast("Q", (len(self), self._words))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns: those of a Record, ``written``, and the registers."""
        task = () if self.task_words is None else self.task_words.names
        return (*_COLUMNS, *(f"x{n}" for n in self.registers), *task)

    def column(self, name: str) -> memoryview:
        """One column as unsigned 64-bit numbers, ``(len,)``; ``numpy.asarray`` takes it as it is.

        ``access`` is 1 for a read, 2 for a write and 3 for both; ``written`` is 1 where ``new`` is
        a value. A negative value of a bit-field is its two's complement, and a float is its bits.
        Raises InvalidLocation for a name that is not in ``columns``.
        """
        if name not in self.columns:
            raise InvalidLocation(
                f"there is no column {name!r}; the columns are {', '.join(self.columns)}"
            )
        words = memoryview(self.data().tobytes()).cast("Q")
        if name in _PARTS:
            shift, mask = _PARTS[name]
            parts = (word >> shift & mask for word in words[_PACKED :: self._words])
            return memoryview(array("Q", parts))
        place = self.columns.index(name)
        return words[place - _PLACES_MORE if place > _PACKED else place :: self._words]

    def table(self) -> Table:
        """The records as a table: for NumPy, pandas, Polars, Arrow, and as a file.

        Its columns are those of a Record, one for each register, and of a Linux guest the task.
        ``old`` and ``new`` are unsigned, of a bit-field with a sign signed, and of a float
        floating point of 64 bits.
        """
        return self._table(self.data().tobytes())

    def _excerpt(self) -> tuple[Table, int]:
        data, edge = self.data().cast("B"), EDGE_ROWS * self._layout.size
        if len(data) > 2 * edge:
            return self._table(bytes(data[:edge]) + bytes(data[-edge:])), len(self)
        return self._table(bytes(data)), len(self)

    def _table(self, records: bytes) -> Table:
        """Some records as a table."""
        words = memoryview(records).cast("Q")
        packed = words[_PACKED :: self._words]
        written = bytes(word >> 16 & 1 for word in packed)
        kind = self._kind
        found = [
            Values.of_words(_PC, words[0 :: self._words]),
            Values.of_words(_ADDRESS, words[1 :: self._words]),
            self._values_of(Column("old", kind, "the value before"), words[2 :: self._words]),
            self._values_of(
                Column("new", kind, "the value after a write", optional=True),
                words[3 :: self._words],
                written,
            ),
            Values.of_words(_INSTRUCTIONS, words[4 :: self._words]),
            Values(_SIZE, (word & 0xFF for word in packed)),
            Values(_ACCESS_COLUMN, (_ACCESS_NAMES[word >> 8 & 3] for word in packed)),
            Values.of_words(_NUMBER, words[6 :: self._words]),
            Values(_VCPU, (word >> 32 & 0xFFFF for word in packed)),
        ]
        for place, number in enumerate(self.registers, RECORD_WORDS):
            register = Column(f"x{number}", "u64", f"register x{number}")
            found.append(Values.of_words(register, words[place :: self._words]))
        if self.task_words is not None:
            found += self._tasks(self.task_words, words)
        return Table(found)

    def _tasks(self, task_words: TaskWords, words: memoryview) -> list[Values]:
        """Columns of the tasks that the hits happened in."""
        start = RECORD_WORDS + len(self.registers)
        rows = zip(
            *(words[place :: self._words] for place in range(start, self._words)), strict=True
        )
        names: dict[tuple[int, ...], TaskName | None] = {}
        tasks = [
            names[row] if row in names else names.setdefault(row, task_words.name(row))
            for row in rows
        ]
        return [
            Values(column, (None if task is None else getattr(task, column.name) for task in tasks))
            for column in _TASK
        ]

    @property
    def _kind(self) -> Literal["u64", "i64", "f64"]:
        if self.float_format is not None:
            return "f64"
        return "i64" if self.bit_field is not None and self.bit_field.signed else "u64"

    def _values_of(self, column: Column, words: memoryview, written: bytes | None = None) -> Values:
        if self.float_format is None:
            return Values.of_words(column, words, written)
        floats = map(self.float_format.value, words)
        if written is None:
            return Values(column, floats)
        return Values(column, (v if w else None for v, w in zip(floats, written, strict=True)))

    def _value(self, word: int) -> int | float:
        """The value that a word of a record has: of a bit-field with a sign, of a float."""
        if self.float_format is not None:
            return self.float_format.value(word)
        signed = self.bit_field is not None and self.bit_field.signed
        return word - (1 << 64) if signed and word >> 63 else word

    def __iter__(self) -> Iterator[Record]:
        are_words = self.float_format is None and self.bit_field is None
        words, first = self.task_words, len(self.registers)
        for chunk in list(self._chunks):
            for pc, address, old, new, retired, bits, count, *registers in self._layout.iter_unpack(
                chunk
            ):
                if not are_words:
                    old, new = self._value(old), self._value(new)
                access = _ACCESS_NAMES[bits >> 8 & 3]
                yield Record(
                    pc,
                    address,
                    old,
                    new if bits >> 16 & 1 else None,
                    retired,
                    bits & 0xFF,
                    access,
                    count,
                    tuple(registers[:first]),
                    bits >> 32 & 0xFFFF,
                    None if words is None else words.name(registers[first:]),
                )
