"""The OS Lock and the OS Double Lock: they bind the guest, never userspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check.evidence import KDE, MDE
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import EL0T, PSTATE_D, STEP, USE_HW, USE_SW_BP

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_LOCK = "Arm ARM D2 and H6 (OS Lock), OSLAR_EL1, OSLSR_EL1"
#: Older Linux ignored what guests wrote to OSLAR_EL1.
_SINCE = (5, 18)
_HOST = _LOCK + "; KVM API 4.87: the guest's OS Lock does not bind userspace"


def _lock(rig: Rig) -> None:
    """The guest locks its OS Lock."""
    rig.code(asm.msr("OSLAR_EL1", 2), asm.ISB, rig.finish())
    rig.set_x(2, 1)
    rig.done()


@case(
    "lock.after-reset",
    "After reset the OS Lock is unlocked, and OSLSR_EL1 says that it is implemented.",
    _LOCK + "; KVM_ARM_VCPU_INIT (KVM API 4.82) unlocks it, as firmware does after a Cold reset",
    since=_SINCE,
)
def _(rig: Rig) -> None:
    rig.code(asm.mrs(2, "OSLSR_EL1"), rig.finish(2))
    rig.done(value=8)
    rig.expect("OSLSR_EL1 by one-reg access", rig.reg("OSLSR_EL1"), 8)


@case(
    "lock.locks-and-unlocks",
    "Writing 1 and 0 to OSLAR_EL1 locks and unlocks, as OSLSR_EL1.OSLK shows.",
    _LOCK,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    rig.code(
        *(asm.msr("OSLAR_EL1", 2), asm.ISB, asm.mrs(4, "OSLSR_EL1")),
        *(asm.msr("OSLAR_EL1", 3), asm.ISB, asm.mrs(5, "OSLSR_EL1"), rig.finish()),
    )
    rig.set_x(2, 1)
    rig.set_x(3, 0)
    rig.done()
    rig.expect("OSLSR_EL1, locked", rig.x(4), 10)
    rig.expect("OSLSR_EL1, unlocked", rig.x(5), 8)


@case(
    "lock.by-one-reg",
    "One-reg access to OSLSR_EL1 locks and unlocks, so that the lock can migrate.",
    _LOCK + "; KVM API 4.68 (KVM_SET_ONE_REG)",
    since=_SINCE,
)
def _(rig: Rig) -> None:
    rig.set_reg("OSLSR_EL1", 10)
    rig.expect("OSLSR_EL1", rig.reg("OSLSR_EL1"), 10)
    rig.code(asm.mrs(2, "OSLSR_EL1"), rig.finish(2))
    rig.done(value=10)
    rig.set_reg("OSLSR_EL1", 8)
    rig.expect("OSLSR_EL1", rig.reg("OSLSR_EL1"), 8)


@case_for_each(
    "lock.masks-the-guests",
    {"breakpoint": False, "watchpoint": True},
    "While the guest's OS Lock is locked, its own {} stops nothing; once unlocked, it does.",
    _LOCK,
    since=_SINCE,
)
def _(rig: Rig, watch: bool) -> None:
    _lock(rig)
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    kind, pair = ("W", watchpoint(DATA, 8)[0]) if watch else ("B", breakpoint(code.at(1)))
    rig.set_reg(f"DBG{kind}CR0_EL1", pair.control)
    rig.set_reg(f"DBG{kind}VR0_EL1", pair.value)
    rig.set_reg("MDSCR_EL1", MDE | KDE)
    rig.pstate = rig.pstate & ~PSTATE_D
    rig.done()
    rig.set_reg("OSLSR_EL1", 8)
    rig.start(code)
    rig.pstate = rig.pstate & ~PSTATE_D
    rig.takes(EC.WATCHPT_CUR if watch else EC.BREAKPT_CUR, 0x200)


@case(
    "lock.masks-the-guests-step",
    "While the guest's OS Lock is locked, the guest's own step of EL0 does nothing; once unlocked, "
    "it steps.",
    _LOCK,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    _lock(rig)
    below = rig.machine.program(asm.NOP, rig.finish(), el=0)
    rig.code(asm.ERET)
    rig.set_core("elr_el1", below.address)
    rig.set_core("spsr[0]", EL0T | 1 << 21)
    rig.set_reg("MDSCR_EL1", 1)
    rig.done()
    rig.set_reg("OSLSR_EL1", 8)
    rig.start(below, el=0)
    rig.pstate = EL0T | 1 << 21
    rig.takes(EC.SOFTSTP_LOW, 0x400)


@case(
    "lock.not-brk",
    "The OS Lock does not mask BRK: the guest takes it.",
    _LOCK + "; D2.7",
    since=_SINCE,
)
def _(rig: Rig) -> None:
    _lock(rig)
    rig.code(asm.brk(1))
    rig.takes(EC.BRK64, 0x200)


@case(
    "lock.not-the-hosts-breakpoint",
    "Userspace's breakpoints work while the guest's OS Lock is locked.",
    _HOST,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    _lock(rig)
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.breaks(code.at(1))


@case(
    "lock.not-the-hosts-watchpoint",
    "Userspace's watchpoints work while the guest's OS Lock is locked.",
    _HOST,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    _lock(rig)
    code = rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, (), watchpoint(DATA, 8))
    rig.watches(code.at(0), DATA, DATA + 7, write=True)


@case(
    "lock.not-the-hosts-step",
    "Userspace steps while the guest's OS Lock is locked.",
    _HOST,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    _lock(rig)
    code = rig.code(asm.NOP, asm.NOP, asm.NOP)
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.steps(code.at(2))


@case(
    "lock.not-the-hosts-brk",
    "Userspace gets BRK while the guest's OS Lock is locked.",
    _HOST,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    _lock(rig)
    code = rig.code(asm.brk(9))
    rig.debug(USE_SW_BP)
    rig.brk(code.at(0), 9)


@case(
    "lock.while-debugged",
    "If the guest locks its OS Lock while userspace debugs it, userspace's breakpoints and "
    "watchpoints stay in force.",
    _HOST,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.msr("OSLAR_EL1", 2), asm.ISB, asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.set_x(2, 1)
    rig.debug(USE_HW, [breakpoint(code.at(2))], watchpoint(DATA, 8))
    rig.breaks(code.at(2))
    rig.debug(USE_HW, (), watchpoint(DATA, 8))
    rig.watches(code.at(3), DATA, DATA + 7, write=True)
    rig.expect("OSLSR_EL1", rig.reg("OSLSR_EL1"), 10)


@case(
    "lock.registers-stay-readable",
    "A locked OS Lock hides no debug register from the guest, which saves and restores them under "
    "the lock.",
    _LOCK,
    since=_SINCE,
)
def _(rig: Rig) -> None:
    rig.set_reg("DBGBVR0_EL1", DATA)
    _lock(rig)
    rig.code(asm.mrs(2, "DBGBVR0_EL1"), asm.msr("DBGWVR0_EL1", 2), rig.finish(2))
    rig.done(value=DATA)
    rig.expect("DBGWVR0_EL1", rig.reg("DBGWVR0_EL1"), DATA)


@case(
    "lock.double-lock",
    "OSDLR_EL1 reads as zero whatever is written: the guest has no OS Double Lock.",
    "Arm ARM OSDLR_EL1; KVM emulates it as RAZ/WI",
)
def _(rig: Rig) -> None:
    rig.code(asm.msr("OSDLR_EL1", 2), asm.ISB, asm.mrs(3, "OSDLR_EL1"), rig.finish(3))
    rig.set_x(2, 1)
    rig.done(value=0)
