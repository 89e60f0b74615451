"""The registers of a vCPU as the pane shows them, with what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.tui.printable import printable
from guestdbg.tui.view import Register

if TYPE_CHECKING:
    from guestdbg.debugger import Cpu

__all__ = ["RegisterValues", "flags", "read_registers", "shown_registers"]

RegisterValues = dict[str, int]
_U64 = (1 << 64) - 1
#: Symbols are looked up for values from here on: small numbers are no addresses.
_LOWEST_ADDRESS = 0x1000
_FLAGS = "NZCV"
_MASKS = "DAIF"


def read_registers(cpu: Cpu) -> RegisterValues:
    """The general-purpose registers, SP, PC and PSTATE."""
    values = {f"x{n}": value for n, value in enumerate(cpu.x)}
    return values | {"sp": cpu.sp, "pc": cpu.pc, "pstate": cpu.pstate}


def flags(pstate: int) -> str:
    """PSTATE in short: flags that are set in capital letters, masks, Exception level (C5.2.20)."""
    set_ = "".join(name if pstate >> 31 - n & 1 else name.lower() for n, name in enumerate(_FLAGS))
    masks = "".join(name if pstate >> 9 - n & 1 else name.lower() for n, name in enumerate(_MASKS))
    stack = "h" if pstate & 1 else "t"
    return f"{set_} {masks} EL{pstate >> 2 & 3}{stack}"


def shown_registers(
    cpu: Cpu, before: RegisterValues | None
) -> tuple[RegisterValues, tuple[Register, ...]]:
    """The values, and each register as it is shown; ``before`` are the values of the last stop."""
    values = read_registers(cpu)
    rows = []
    for name, value in values.items():
        changed = before is not None and before.get(name) != value
        text = flags(value) if name == "pstate" else f"{value:016x}"
        note = "" if name == "pstate" else _note(cpu, value)
        rows.append(Register(name, text, changed, note))
    return values, tuple(rows)


def _note(cpu: Cpu, value: int) -> str:
    if value < _LOWEST_ADDRESS:
        return str(value) if value > 9 else ""
    try:
        location = cpu.locate(value)
    except GuestdbgError:
        return ""
    if location.function is None:
        return str(value - (1 << 64)) if value >> 63 and value > _U64 - 0xFFFF else ""
    return printable(location.symbolic, 200)
