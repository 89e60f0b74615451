"""`monitor phys`, `translate`: physical memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.monitor import Command, MonitorError, add

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

_ROW = 16
_MOST = 4096


def number(text: str, what: str) -> int:
    """An unsigned number as people write it. Raises MonitorError."""
    try:
        value = int(text, 0)
    except ValueError:
        raise MonitorError(f"{what} {text!r} is not a number (0x40000000, 64)") from None
    if not 0 <= value < 1 << 64:
        raise MonitorError(f"{what} {text} is not 0 to 2**64 - 1")
    return value


def phys(session: Session, words: list[str]) -> str:
    """Show physical memory, or write a value there."""
    if not 1 <= len(words) <= 4 or (len(words) > 2 and words[1] != "="):
        raise MonitorError("monitor phys ADDRESS [LENGTH], or monitor phys ADDRESS = VALUE [SIZE]")
    address = number(words[0], "the address")
    memory = session.guest.memory
    if len(words) > 2:
        value = number(words[2], "the value")
        size = number(words[3], "the size") if len(words) > 3 else 4
        if size not in (1, 2, 4, 8) or value >> 8 * size:
            raise MonitorError(f"{value:#x} in {size} bytes: sizes are 1, 2, 4 and 8, and it fits")
        memory.write_phys(address, value.to_bytes(size, "little"))
        return ""
    length = number(words[1], "the length") if len(words) > 1 else _ROW
    if not 1 <= length <= _MOST:
        raise MonitorError(f"{length} bytes: 1 to {_MOST} are shown at a time")
    data = memory.read_phys(address, length)
    rows = []
    for at in range(0, length, _ROW):
        row = data[at : at + _ROW]
        text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in row)
        rows.append(f"{address + at:#010x}: {row.hex(' '):47}  {text}\n")
    return "".join(rows)


def translate(session: Session, words: list[str]) -> str:
    """The physical address behind a virtual one."""
    if len(words) != 1:
        raise MonitorError("monitor translate ADDRESS")
    address = number(words[0], "the address")
    return f"{address:#x} is at physical {session.core.space.translate(address):#x}\n"


add(Command("phys", "ADDRESS [LENGTH | = VALUE [SIZE]]", "show physical memory, or write it", phys))
add(
    Command(
        "translate",
        "ADDRESS",
        "the physical address behind a virtual one, as now mapped",
        translate,
    )
)
