"""The kernel's log, ``dmesg``: of the lockless ring buffer since Linux 5.10, and of the one before.

Their layouts are in vmcoreinfo, for those who read a crashed kernel (kernel/printk/
printk_ringbuffer.h; until 5.9 ``struct printk_log`` in kernel/printk/printk.c). Without vmcoreinfo,
early in a boot, they come from BTF.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.linux.errors import CorruptedGuestData, MissingKernelData
from guestdbg.linux.state.records import collect

if TYPE_CHECKING:
    from guestdbg.linux.state.records import Records
    from guestdbg.linux.state.view import KernelView

__all__ = ["LogRecord", "read_log"]

_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp"),
)
_CPU = 1 << 31
_NO_DATA = 1  # the lowest bit of a position of a record without text
_STATE_SHIFT = 62
_COMMITTED, _FINALIZED = 1, 2
_MAX_RECORDS = 1 << 20
_MAX_BITS = 30
_MAX_TEXT = 1 << 16
_MAX_BUFFER = 1 << 30
_U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A message of the kernel's log.

    Attributes:
        sequence: its number, from 0 on.
        nanoseconds: the time since the kernel has started; ``time`` has it in seconds.
        level: 0 (emerg) to 7 (debug).
        facility: 0 for those of the kernel itself.
        text: the message, which may have several lines.
        caller: who has printed it: ``T12`` for task 12, ``C1`` for an interrupt on CPU 1; None if
            that is not recorded (CONFIG_PRINTK_CALLER).
    """

    sequence: int
    nanoseconds: int
    level: int
    facility: int
    text: str
    caller: str | None = None

    @property
    def time(self) -> float:
        """Seconds since the kernel has started."""
        return self.nanoseconds / 1e9

    @property
    def level_name(self) -> str:
        """The level in words, as ``dmesg -x`` shows it."""
        return _LEVELS[self.level]

    @property
    def facility_name(self) -> str:
        """The facility in words."""
        if self.facility < len(_FACILITIES):
            return _FACILITIES[self.facility]
        return str(self.facility)

    def __str__(self) -> str:
        return f"[{self._stamp():>12}] {self.text}"

    def _stamp(self) -> str:
        """As the kernel prints it: cut to microseconds, not rounded."""
        microseconds = self.nanoseconds // 1000
        return f"{microseconds // 10**6}.{microseconds % 10**6:06}"

    def cells(self) -> tuple[str, ...]:
        """The columns of a table."""
        return self._stamp(), self.level_name, self.text


_HEADINGS = (">time", "level", "text")


def read_log(view: KernelView) -> Records[LogRecord]:
    """The records that are in the log now, the oldest first."""
    if view.find("prb") is not None:
        return collect(_HEADINGS, _Ring(view).records())
    if view.find("log_first_idx") is not None:
        return collect(_HEADINGS, _old_records(view))
    view.address("prb", "log_first_idx")
    raise AssertionError


class _Places:
    """Offsets and sizes: of vmcoreinfo, else of BTF."""

    def __init__(self, view: KernelView) -> None:
        self._view = view
        try:
            info = view.vmcoreinfo
            self._offsets, self._sizes = info.offsets, info.sizes
        except MissingKernelData:
            self._offsets, self._sizes = {}, {}

    def offset(self, struct: str, member: str) -> int:
        """Of a member."""
        found = self._offsets.get(f"{struct}.{member}")
        if found is None:
            found = self._view.layouts.struct(struct).field(member).offset
        return found

    def size(self, struct: str) -> int:
        """Of a structure."""
        found = self._sizes.get(struct)
        return self._view.layouts.struct(struct).size if found is None else found


class _Ring:
    """``struct printk_ringbuffer``: descriptors, an info for each, and their texts."""

    def __init__(self, view: KernelView) -> None:
        self._memory = view.memory
        self._places = _Places(view)
        at = view.memory.u64(view.address("prb"))
        offset = self._places.offset
        descs = at + offset("printk_ringbuffer", "desc_ring")
        texts = at + offset("printk_ringbuffer", "text_data_ring")
        self._count = 1 << self._bits(descs + offset("prb_desc_ring", "count_bits"))
        self._size = 1 << self._bits(texts + offset("prb_data_ring", "size_bits"))
        u64 = view.memory.u64
        self._descs = u64(descs + offset("prb_desc_ring", "descs"))
        self._infos = u64(descs + offset("prb_desc_ring", "infos"))
        self._head = u64(descs + offset("prb_desc_ring", "head_id"))
        self._tail = u64(descs + offset("prb_desc_ring", "tail_id"))
        self._data = u64(texts + offset("prb_data_ring", "data"))

    def _bits(self, address: int) -> int:
        bits = self._memory.number(address, 4)
        if not 0 < bits <= _MAX_BITS:
            raise CorruptedGuestData(f"the log's ring buffer has a size of 2^{bits}")
        return bits

    def records(self) -> Iterator[LogRecord]:
        """From the tail to the head."""
        mask = (1 << _STATE_SHIFT) - 1
        number = self._tail & mask
        last = self._head & mask
        size = self._places.size("prb_desc")
        state_at = self._places.offset("prb_desc", "state_var")
        block_at = self._places.offset("prb_desc", "text_blk_lpos")
        for _ in range(min(self._count, _MAX_RECORDS)):
            index = number % self._count
            desc = self._memory.read(self._descs + index * size, size)
            state = int.from_bytes(desc[state_at : state_at + 8], "little")
            if state & mask == number and state >> _STATE_SHIFT in (_COMMITTED, _FINALIZED):
                begin = int.from_bytes(desc[block_at : block_at + 8], "little")
                end = int.from_bytes(desc[block_at + 8 : block_at + 16], "little")
                yield self._record(index, begin, end)
            if number == last:
                return
            number = number + 1 & mask

    def _record(self, index: int, begin: int, end: int) -> LogRecord:
        size = self._places.size("printk_info")
        info = self._memory.read(self._infos + index * size, size)
        at = self._places.offset

        def number(member: str, width: int) -> int:
            start = at("printk_info", member)
            return int.from_bytes(info[start : start + width], "little")

        # After text_len (16 bits): facility (8 bits), flags (5 bits) and level (3 bits).
        rest = at("printk_info", "text_len") + 2
        return LogRecord(
            number("seq", 8),
            number("ts_nsec", 8),
            info[rest + 1] >> 5,
            info[rest],
            self._text(begin, end, number("text_len", 2)),
            _caller(number("caller_id", 4)),
        )

    def _text(self, begin: int, end: int, length: int) -> str:
        if begin & _NO_DATA:
            return ""
        # A block that does not fit before the end of the buffer begins at its start.
        start = 0 if begin // self._size != (end - 1) // self._size else begin % self._size
        start += 8  # the number of the descriptor
        length = min(length, _MAX_TEXT, max(0, self._size - start))
        return self._memory.read(self._data + start, length).decode("utf-8", "replace")


def _caller(number: int) -> str | None:
    if not number:
        return None
    return f"C{number & _CPU - 1}" if number & _CPU else f"T{number}"


def _old_records(view: KernelView) -> Iterator[LogRecord]:
    """Records one after another, each with its length; one of length 0 ends the buffer."""
    memory, places = view.memory, _Places(view)
    buffer = memory.u64(view.address("log_buf"))
    length = memory.number(view.address("log_buf_len"), 4)
    at = memory.number(view.address("log_first_idx"), 4)
    end = memory.number(view.address("log_next_idx"), 4)
    header = places.size("printk_log")
    if not header <= length <= _MAX_BUFFER:
        raise CorruptedGuestData(f"the log's buffer has {length} bytes")

    for sequence in range(length // header + 1):
        if at == end:
            return
        if not 0 <= at <= length - header:
            raise CorruptedGuestData(f"a record of the log is at {at} of {length} bytes")
        raw = memory.read(buffer + at, header)

        def number(member: str, width: int, raw: bytes = raw) -> int:
            start = places.offset("printk_log", member)
            return int.from_bytes(raw[start : start + width], "little")

        size, text = number("len", 2), number("text_len", 2)
        if size == 0:
            at = 0
            continue
        if size < header or text > size - header:
            raise CorruptedGuestData(f"a record of the log has {size} bytes, {text} of them text")
        # After dict_len (16 bits): facility (8 bits), flags (5 bits) and level (3 bits).
        rest = places.offset("printk_log", "dict_len") + 2
        yield LogRecord(
            sequence,
            number("ts_nsec", 8),
            raw[rest + 1] >> 5,
            raw[rest],
            memory.read(buffer + at + header, text).decode("utf-8", "replace"),
        )
        at += size
