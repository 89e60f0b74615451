"""How things stood when a case failed: what KVM had been asked, what it said, where the guest is.

For whoever has to find out why. Nothing here judges, and nothing here may fail: what cannot be
had any more is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import capstone

from guestdbg.arm64.debug import DBGBCR, DBGWCR
from guestdbg.arm64.fields import Register
from guestdbg.check.describe import exit_words
from guestdbg.errors import GuestdbgError
from guestdbg.kvm import GuestDebug
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_FLAGS = {
    KVM_GUESTDBG_ENABLE: "ENABLE",
    KVM_GUESTDBG_SINGLESTEP: "SINGLESTEP",
    KVM_GUESTDBG_USE_SW_BP: "USE_SW_BP",
    KVM_GUESTDBG_USE_HW: "USE_HW",
}
_REGISTERS = (*(f"x{n}" for n in range(8)), "sp", "sp_el1", "elr_el1", "pstate", "pc")
_SYSTEM = ("ESR_EL1", "FAR_EL1", "MDSCR_EL1")
#: Instructions before and behind the PC.
_AROUND = 4


def situation(rig: Rig) -> dict[str, Any]:
    """For JSON, of the vCPU that ran last: ``vcpu``, ``asked`` (lines about KVM_SET_GUEST_DEBUG),
    ``exit`` (of the last KVM_RUN, in words), ``registers`` (name to value in hexadecimal),
    ``program`` (lines, the one that the PC is at marked)."""
    told: dict[str, Any] = {"vcpu": rig.number, "asked": asked(rig.asked)}
    if rig.last_exit is not None:
        told["exit"] = exit_words(rig.last_exit)
    told["registers"] = {}
    for names, read in ((_REGISTERS, rig.core), (_SYSTEM, rig.reg)):
        for name in names:
            try:
                told["registers"][name] = f"{read(name):#x}"
            except (GuestdbgError, OSError):
                continue
    told["program"] = _program(rig)
    return told


def asked(debug: GuestDebug | None) -> list[str]:
    """The last argument of KVM_SET_GUEST_DEBUG, in lines: the control word, then each register
    pair that is not zero."""
    if debug is None:
        return ["nothing"]
    names = [name for bit, name in _FLAGS.items() if debug.control & bit]
    rest = debug.control & ~sum(_FLAGS)
    lines = [" | ".join([*names, *([f"{rest:#x}"] if rest else [])]) or "0 (off)"]
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
        found = next(disassembler.disasm_lite(raw, address, 1), None)
        text = f"{found[2]} {found[3]}".rstrip() if found else f".inst {word:#010x}"
        lines.append(f"{'->' if address == pc else '  '} {address:#x}  {word:08x}  {text}")
    return _without_nothing(_without_nothing(lines)[::-1])[::-1]


def _without_nothing(lines: list[str]) -> list[str]:
    """Without the words at the end that are no instruction, the one of the PC excepted."""
    while lines and lines[-1].endswith("udf #0") and not lines[-1].startswith("->"):
        lines = lines[:-1]
    return lines
