"""The situation in which a case failed: what KVM was asked, its last exit, where the guest is.

It helps to find the cause. Nothing here judges, and nothing here may fail: what can no longer be
read is left out.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import capstone

from guestdbg.arm64.debug import DBGBCR, DBGWCR
from guestdbg.check.describe import exit_words
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.structures import control_names

if TYPE_CHECKING:
    from guestdbg.arm64.fields import Register
    from guestdbg.check.rig import Rig
    from guestdbg.kvm import GuestDebug

_REGISTERS = (*(f"x{n}" for n in range(8)), "sp", "sp_el1", "elr_el1", "pstate", "pc")
_SYSTEM = ("ESR_EL1", "FAR_EL1", "MDSCR_EL1")
#: Instructions shown before the PC, and after it.
_AROUND = 4


def situation_of(rig: Rig) -> dict[str, Any]:
    """The situation of a vCPU, as plain values for JSON.

    ``vcpu``: its number. ``asked``: the last argument of KVM_SET_GUEST_DEBUG, in lines. ``exit``:
    the last exit of KVM_RUN, in words. ``registers``: name to value in hexadecimal. ``program``:
    disassembled lines, with a mark at the PC.
    """
    found: dict[str, Any] = {"vcpu": rig.number, "asked": guest_debug_lines(rig.asked)}
    if rig.last_exit is not None:
        found["exit"] = exit_words(rig.last_exit)
    found["registers"] = {}
    for names, read in ((_REGISTERS, rig.core), (_SYSTEM, rig.reg)):
        for name in names:
            try:
                found["registers"][name] = f"{read(name):#x}"
            except (GuestdbgError, OSError):
                continue
    found["program"] = _program(rig)
    return found


def guest_debug_lines(debug: GuestDebug | None) -> list[str]:
    """An argument of KVM_SET_GUEST_DEBUG in lines: the control word, then each pair of registers
    that is not zero."""
    if debug is None:
        return ["nothing"]
    lines = [control_names(debug.control)]
    for kind, layout, values, controls in (
        ("B", DBGBCR, debug.dbg_bvr, debug.dbg_bcr),
        ("W", DBGWCR, debug.dbg_wvr, debug.dbg_wcr),
    ):
        for n, (value, control) in enumerate(zip(values, controls, strict=False)):
            if value or control:
                fields = _fields(layout, control)
                lines.append(f"DBG{kind}VR{n} {value:#x}, DBG{kind}CR{n} {control:#x} ({fields})")
    return lines


def _fields(layout: Register, value: int) -> str:
    return " ".join(
        f"{name}={number:#x}" for name, number in layout.decode(value).items() if number
    )


def _program(rig: Rig) -> list[str]:
    """The instructions around the PC, if it is in a program of the case or in the vectors."""
    try:
        pc = rig.pc
        start = max(pc - 4 * _AROUND, pc & ~0xFFF)
        code = rig.machine.code_at(start, (pc - start) // 4 + 1 + _AROUND)
    except (GuestdbgError, OSError):
        return []
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    lines = []
    for address in range(start, start + len(code), 4):
        raw = code[address - start :][:4]
        word = int.from_bytes(raw, "little")
        found = None
        with contextlib.suppress(capstone.CsError):
            found = next(disassembler.disasm_lite(raw, address, 1), None)
        text = f"{found[2]} {found[3]}".rstrip() if found else f".inst {word:#010x}"
        lines.append(f"{'->' if address == pc else '  '} {address:#x}  {word:08x}  {text}")
    return _without_padding(_without_padding(lines)[::-1])[::-1]


def _without_padding(lines: list[str]) -> list[str]:
    """Without the zero words at the end, which are no instructions; the line of the PC stays."""
    while lines and lines[-1].endswith("udf #0") and not lines[-1].startswith("->"):
        lines = lines[:-1]
    return lines
