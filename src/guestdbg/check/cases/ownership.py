"""What Linux 6.14 changed: who owns the debug registers, pending steps, ID_AA64DFR0_EL1."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.arm64.esr import EC
from guestdbg.arm64.registers import by_name
from guestdbg.check import assembler as asm
from guestdbg.check.cases.guest_and_host import arm_own_stop, run_to_the_fifth
from guestdbg.check.evidence import KDE, MDE, debug_itself
from guestdbg.check.layout import DATA, NOWHERE
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import ENABLE, STEP, USE_HW
from guestdbg.kvm import ExitIntr, ExitMmio

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_OWNER = "Linux 6.14, arch/arm64/kvm/debug.c: enum debug_owner; KVM API 4.87"
_STEP = "Linux 6.14: a pending step is recomputed when a run ends; Arm ARM D2.12"
_IDENTITY = "KVM API 4.68 (KVM_SET_ONE_REG); Linux 6.14: ID_AA64DFR0_EL1 is writable"
_SINCE = (6, 14)
#: Bits 63 to 32 of MDSCR_EL1 that no extension uses so far.
_HIGH = 0x5A5A << 48


@case_for_each(
    "guest.not-to-userspace",
    {
        f"{kind}-{how}": (kind == "watchpoint", control)
        for kind in ("breakpoint", "watchpoint")
        for how, control in (("enable", ENABLE), ("singlestep", STEP))
    },
    "With {} and without USE_HW, the guest's own is not in the hardware: it stops nothing.",
    _OWNER,
    since=_SINCE,
)
def _(rig: Rig, what: tuple[bool, int]) -> None:
    watch, control = what
    code = rig.code(asm.NOP, asm.str_(0, 1), asm.NOP, asm.brk(7))
    arm_own_stop(rig, code, watch)
    with rig.positive_control():
        rig.takes(EC.WATCHPT_CUR if watch else EC.BREAKPT_CUR, 0x200)
    rig.debug(control)
    if control == STEP:
        for n in range(3):
            rig.steps(code.at(n + 1))
    rig.brk(code.at(3), 7)


@case_for_each(
    "guest.mdscr-high-bits",
    {"enable": ENABLE, "singlestep": STEP, "use-hw": USE_HW},
    "All 64 bits of the guest's MDSCR_EL1 are its own while userspace debugs it ({}).",
    _OWNER,
    since=_SINCE,
)
def _(rig: Rig, control: int) -> None:
    code = rig.code(
        *(asm.mrs(2, "MDSCR_EL1"), asm.msr("MDSCR_EL1", 3), asm.NOP, asm.mrs(4, "MDSCR_EL1")),
        asm.brk(),
    )
    rig.set_reg("MDSCR_EL1", _HIGH | KDE)
    rig.set_x(3, _HIGH << 1 | MDE)
    rig.debug(control, [breakpoint(code.at(4))])
    run_to_the_fifth(rig, code, control)
    rig.expect("MDSCR_EL1 as the guest reads it", rig.x(2), _HIGH | KDE)
    rig.expect("MDSCR_EL1 as written", rig.x(4), _HIGH << 1 | MDE)
    rig.expect("MDSCR_EL1 by one-reg access", rig.reg("MDSCR_EL1"), _HIGH << 1 | MDE)


@case(
    "guest.external-set-without-use-hw",
    "A step after USE_HW does not bring the guest's own breakpoint back: userspace's registers, "
    "disabled, stay in force until debugging ends.",
    _OWNER,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.NOP, asm.NOP, rig.finish())
    debug_itself(rig, {0: breakpoint(code.at(2))}, {})
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.breaks(code.at(1))
    rig.debug(STEP)
    rig.steps(code.at(2))
    rig.steps(code.at(3))
    rig.debug(0)
    rig.pc = code.at(2)
    rig.takes(EC.BREAKPT_CUR, 0x200)


@case(
    "step.over-a-wfi-that-waits",
    "A step over a WFI that waits until KVM_RUN is interrupted is not lost: the next KVM_RUN takes "
    "its exception, and executes nothing.",
    _STEP,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.WFI, asm.add(0, 0, 1), rig.finish())
    rig.debug(STEP)
    timer = threading.Timer(0.2, rig.vcpu.kick)
    timer.start()
    try:
        exit_ = rig.vcpu.run()
    finally:
        timer.cancel()
        timer.join()
    if isinstance(exit_, ExitIntr):
        rig.expect("PC after the interrupted WFI", rig.pc, code.at(1))
        rig.steps(code.at(1), rig.run())
    else:
        # An interrupt was pending, so that it did not wait.
        rig.steps(code.at(1), exit_)
    rig.expect("x0", rig.x(0), 0)
    rig.steps(code.at(2))
    rig.expect("x0", rig.x(0), 1)


@case(
    "step.over-a-completed-access",
    "A step over an access to MMIO is taken by the KVM_RUN after the one that completes the access "
    "alone (immediate_exit).",
    _STEP,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.str_(0, 1), asm.add(0, 0, 1), rig.finish())
    rig.set_x(1, NOWHERE + 0x8000)
    rig.debug(STEP)
    rig.expect("the exit", type(rig.run()), ExitMmio)
    rig.complete()
    rig.expect("PC after the access", rig.pc, code.at(1))
    rig.steps(code.at(1))
    rig.expect("x0", rig.x(0), 0)
    rig.steps(code.at(2))


def _lowered(rig: Rig, field: str) -> int:
    register = by_name("ID_AA64DFR0_EL1")
    value = rig.reg("ID_AA64DFR0_EL1")
    number = register.get(value, field)
    if not number:
        rig.skip(f"ID_AA64DFR0_EL1.{field} is 0: it cannot be lower")
    return register.encode(base=value, **{field: number - 1})


@case(
    "identity.fewer-watchpoints",
    "Userspace may hide watchpoints from the guest (ID_AA64DFR0_EL1.WRPs) before the first run; "
    "what KVM reports, and userspace's own registers, stay as they are.",
    _IDENTITY,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    lower = _lowered(rig, "WRPs")
    rig.set_reg("ID_AA64DFR0_EL1", lower)
    rig.expect("ID_AA64DFR0_EL1", rig.reg("ID_AA64DFR0_EL1"), lower)
    code = rig.code(asm.mrs(2, "ID_AA64DFR0_EL1"), asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, (), {rig.watchpoints - 1: watchpoint(DATA, 8)[0]})
    rig.watches(code.at(1), DATA, write=True)
    rig.expect("ID_AA64DFR0_EL1 as the guest reads it", rig.x(2), lower)


@case_for_each(
    "identity.fixed",
    {"breakpoints": "BRPs", "context-breakpoints": "CTX_CMPs"},
    "The number of {} cannot be changed: their place in the hardware is fixed (EINVAL).",
    _IDENTITY,
    since=_SINCE,
)
def _(rig: Rig, field: str) -> None:
    before, lower = rig.reg("ID_AA64DFR0_EL1"), _lowered(rig, field)
    rig.refused("KVM_SET_ONE_REG", lambda: rig.set_reg("ID_AA64DFR0_EL1", lower))
    rig.expect("ID_AA64DFR0_EL1", rig.reg("ID_AA64DFR0_EL1"), before)


@case(
    "identity.debug-version",
    "ID_AA64DFR0_EL1.DebugVer is at least 6, Armv8.0: a lower one, and one above the processor's, "
    "are refused (EINVAL).",
    _IDENTITY,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    register = by_name("ID_AA64DFR0_EL1")
    value = rig.reg("ID_AA64DFR0_EL1")
    version = register.get(value, "DebugVer")
    for wrong in (5, 0, *((version + 1,) if version < 15 else ())):
        changed = register.encode(base=value, DebugVer=wrong)
        rig.refused("KVM_SET_ONE_REG", lambda c=changed: rig.set_reg("ID_AA64DFR0_EL1", c))
    rig.set_reg("ID_AA64DFR0_EL1", register.encode(base=value, DebugVer=6))
    rig.expect("ID_AA64DFR0_EL1", register.get(rig.reg("ID_AA64DFR0_EL1"), "DebugVer"), 6)


@case(
    "identity.after-a-run",
    "Once a vCPU has run, ID_AA64DFR0_EL1 can only be written as it is (EBUSY otherwise).",
    _IDENTITY,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    lower = _lowered(rig, "WRPs")
    rig.code(rig.finish())
    rig.done()
    value = rig.reg("ID_AA64DFR0_EL1")
    rig.refused("KVM_SET_ONE_REG", lambda: rig.set_reg("ID_AA64DFR0_EL1", lower), errno.EBUSY)
    rig.set_reg("ID_AA64DFR0_EL1", value)
