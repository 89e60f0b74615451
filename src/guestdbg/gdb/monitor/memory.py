"""`monitor phys` and `translate`: physical memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.monitor.command import Command, MonitorError
from guestdbg.machine import MachineError

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState

_ROW = 16
_MAX_LENGTH = 4096


def _number(text: str, name: str) -> int:
    """An unsigned 64-bit number, decimal or with 0x. Raises MonitorError."""
    try:
        value = int(text, 0)
    except ValueError:
        raise MonitorError(f"{name} {text!r} is not a number (0x40000000, 64)") from None
    if not 0 <= value < 1 << 64:
        raise MonitorError(f"{name} {text} is not in the range 0 to 2**64 - 1")
    return value


def phys(session: SessionState, words: list[str]) -> str:
    """Show physical memory, or device registers without side effects; or write memory."""
    if not 1 <= len(words) <= 4 or (len(words) > 2 and words[1] != "="):
        raise MonitorError("monitor phys ADDRESS [LENGTH], or monitor phys ADDRESS = VALUE [SIZE]")
    address = _number(words[0], "the address")
    execution = session.execution
    if len(words) > 2:
        value = _number(words[2], "the value")
        size = _number(words[3], "the size") if len(words) > 3 else 4
        if size not in (1, 2, 4, 8) or value >> 8 * size:
            raise MonitorError(
                f"{value:#x} in {size} bytes: the size is 1, 2, 4 or 8, and the value must fit"
            )
        execution.write_phys(address, value.to_bytes(size, "little"))
        return ""
    length = _number(words[1], "the length") if len(words) > 1 else _ROW
    if not 1 <= length <= _MAX_LENGTH:
        raise MonitorError(f"{length} bytes: the length is 1 to {_MAX_LENGTH}")
    try:
        data = execution.read_phys(address, length)
    except MachineError:
        data = execution.peek_device(address, length) or b""
        if not data:
            raise
    rows = []
    for at in range(0, len(data), _ROW):
        row = data[at : at + _ROW]
        text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in row)
        rows.append(f"{address + at:#010x}: {row.hex(' '):47}  {text}\n")
    return "".join(rows)


def translate(session: SessionState, words: list[str]) -> str:
    """The physical address of a virtual one."""
    if len(words) != 1:
        raise MonitorError("monitor translate ADDRESS")
    address = _number(words[0], "the address")
    return f"{address:#x} is at physical {session.context.space.translate(address):#x}\n"


COMMANDS = (
    Command(
        "phys", "ADDRESS [LENGTH | = VALUE [SIZE]]", "show physical memory, or write to it", phys
    ),
    Command(
        "translate", "ADDRESS", "the physical address of a virtual one, as mapped now", translate
    ),
)
