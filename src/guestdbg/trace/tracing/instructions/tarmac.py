"""A trace of instructions as Tarmac text, as Arm's Fast Models write it and its tools read it.

See Arm's `tarmac-trace-utilities`. The time of a line is the number of retired instructions. Values
are of at most 8 bytes, so a larger access is several lines. SP is the stack pointer in use; of
PSTATE, ``cpsr`` has the flags only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from guestdbg.trace.tracing.instructions.records import NZCV, SP, V0

if TYPE_CHECKING:
    from guestdbg.trace.tracing.instructions.records import Access, Record

__all__ = ["tarmac_lines"]

_KINDS = {"synchronous": "SYNC", "IRQ": "IRQ", "FIQ": "FIQ", "SError": "SERROR"}
# By bits 10 and 9 of the vector's address: from where the exception came (table D1-5).
_ORIGINS = ("CURRENT_SP0", "CURRENT_SPx", "LOWER_64", "LOWER_32")
_LARGEST = 8
_MASK = (1 << 64) - 1


def tarmac_lines(
    records: Iterable[Record], disassemble: Callable[[int, int], str]
) -> Iterator[str]:
    """Lines, each with its end.

    Args:
        disassemble: encoding, address -> text.
    """
    text = lru_cache(maxsize=1 << 16)(disassemble)
    for record in records:
        start = f"{record.time} clk cpu{record.vcpu} "
        if record.kind == "exception":
            yield start + _exception(record)
            continue
        if record.kind == "fault":
            continue  # it has not been executed; the exception's line follows
        if record.kind != "outside":
            mode = "EL1h_n" if record.el else "EL0t_n"
            yield (
                f"{start}IT ({record.time}) {record.pc:016x} {record.raw:08x} O {mode} : "
                f"{text(record.raw, record.pc)}\n"
            )
        for number, value in record.registers:
            yield f"{start}R {_register(number, value)}\n"
        for access in record.accesses:
            for line in _memory(access):
                yield start + line


def _exception(record: Record) -> str:
    origin = _ORIGINS[record.vector >> 9 & 3]
    place = record.vector & 0x780
    return (
        f"E {record.vector:016x} {place:08x} CoreEvent_{origin}_{_KINDS[str(record.exception)]}\n"
    )


def _register(number: int, value: int) -> str:
    if number < SP:
        return f"X{number} {value:016x}"
    if number == SP:
        return f"SP {value:016x}"
    if number >= V0:
        return f"V{number - V0} {value >> 64:016x}_{value & _MASK:016x}"
    return f"{'cpsr' if number == NZCV else 'FPSR'} {value:08x}"


def _memory(access: Access) -> Iterator[str]:
    letter = "W" if access.write else "R"
    value, done = access.value, 0
    while done < access.size:
        # The sizes of an access are powers of two, but for those that cross a page.
        size = _LARGEST
        while size > access.size - done:
            size >>= 1
        part = value & ((1 << 8 * size) - 1)
        address = access.address + done & _MASK
        digits = f"{part:0{2 * size}x}"
        if size == _LARGEST:
            digits = f"{digits[:8]}_{digits[8:]}"
        yield f"M{letter}{size} {address:016x} {digits}\n"
        value >>= 8 * size
        done += size
