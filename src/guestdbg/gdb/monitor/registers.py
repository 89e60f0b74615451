"""`monitor register`: any register of the target description, and system registers in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guestdbg.arm64 import registers
from guestdbg.arm64.errors import UnknownName
from guestdbg.debugger.program.float_format import BY_SIZE
from guestdbg.gdb.monitor.command import Command, MonitorError
from guestdbg.gdb.register_file import QEMU_ALIASES

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState

# The views of V0 to V31, with their bits (DDI 0487, B1.2.1).
_VIEWS = {"b": 8, "h": 16, "s": 32, "d": 64, "q": 128}
_VIEW = re.compile(r"([bhsdq])(\d\d?)")
_GENERAL = re.compile(r"[xw]\d\d?|[svp]p|pc|lr|fp|[svbhdq]\d\d?|fpcr|fpsr", re.ASCII)
_VECTOR_REGISTERS = 32
# PSTATE has the layout of SPSR_EL1 (DDI 0487, C5.2.18).
_LAYOUTS = {"cpsr": "SPSR_EL1", "pstate": "SPSR_EL1"}
_ADDRESSES = re.compile(r"x\d+|sp|sp_el[01]|pc|lr|fp|[a-z]+_el1")


def register(session: SessionState, words: list[str]) -> str:
    """A register; of a system register the fields in words."""
    if len(words) != 1:
        raise MonitorError("monitor register NAME, as in: monitor register esr_el1")
    name = words[0].lower().removeprefix("$")
    name = QEMU_ALIASES.get(name.upper(), name)
    for mask in session.registers.pauth:
        if mask.name == name:
            data = session.registers.read(session.context, mask.number)
            return f"{name} = {int.from_bytes(data, 'little'):#x}\n"
    view = _VIEW.fullmatch(name)
    if view is not None and int(view[2]) < _VECTOR_REGISTERS:
        bits = _VIEWS[view[1]]
        value = session.context.cpu.reg(f"v{view[2]}") & (1 << bits) - 1
        if (floating := BY_SIZE.get(bits // 8)) is not None:
            return f"{name} = {value:#x} ({floating.text(value)})\n"
    else:
        value = session.context.cpu.reg(name)
    try:
        layout = registers.by_name(_LAYOUTS.get(name, name))
    except UnknownName:
        layout = None
    if layout is None or _GENERAL.fullmatch(name):
        return f"{name} = {value:#x}{_meaning(session, name, value)}\n"
    summary = layout.summary(value) if layout.summary else layout.title
    shown = name.upper() if name in _LAYOUTS else layout.name
    lines = [f"{shown} = {value:#x}: {summary}"]
    lines += [f"  {x.bits:>8}  {x}" for x in layout.describe(value) if x.value or x.text]
    return "\n".join(lines) + "\n"


def _meaning(session: SessionState, name: str, value: int) -> str:
    """The symbol that the value is the address of; or else the value as a decimal number."""
    if _ADDRESSES.fullmatch(name):
        location = session.guest.locate(value)
        if location.function is not None:
            return f" <{location.symbolic}>"
    return f" ({value})"


COMMANDS = (
    Command("register", "NAME", "a register; a system register's fields in words", register),
)
