"""Exception handlers of a guest that debugs itself: they log each exception, and continue.

They are for exceptions taken from EL1 to EL1. They use x9 to x13, and x27 for the log. How the
guest continues depends on the exception:

- breakpoint, watchpoint: with PSTATE.D set, so that the instruction is executed, and debug
  exceptions stay masked;
- software step: with PSTATE.SS set, so that one more instruction is stepped;
- BRK: after the BRK;
- any other, such as SVC: where the exception returns to.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64.esr import EC
from guestdbg.arm64.exception_class import EC_SHIFT, exception_class
from guestdbg.check import assembler as asm
from guestdbg.check import layout
from guestdbg.check.rig import PSTATE_D

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_LOG = layout.DATA + 0x100000
_LOG_SIZE = 24 * 64
_SPSR_SS = 1 << 21


class Handled(NamedTuple):
    """An exception that the guest took: its class, where it was taken, and FAR_EL1."""

    ec: int
    elr: int
    far: int


def install(rig: Rig) -> None:
    """Point VBAR_EL1 to the handlers, and empty the log."""
    choose: list[asm.Item] = []
    for ec, target in (
        (EC.BREAKPT_CUR, "mask"),
        (EC.WATCHPT_CUR, "mask"),
        (EC.SOFTSTP_CUR, "step"),
        (EC.BRK64, "skip"),
    ):
        choose += [asm.mov(13, ec << EC_SHIFT), asm.subs_reg(31, 12, 13), asm.b_cond("eq", target)]
    handlers = rig.machine.program(
        # The vector for synchronous exceptions from EL1 with SP_EL1.
        [asm.NOP] * 0x80,
        *(asm.mrs(9, "ESR_EL1"), asm.mrs(10, "ELR_EL1"), asm.mrs(11, "FAR_EL1")),
        asm.pair("stp", 9, 10, 27, 16, mode="post"),
        asm.access("str", 11, 27, 8, mode="post"),
        *(asm.mov(13, 0x3F << EC_SHIFT), asm.and_reg(12, 9, 13), asm.mrs(11, "SPSR_EL1")),
        *(*choose, asm.ERET),
        *(asm.label("mask"), asm.mov(13, PSTATE_D), asm.b("return")),
        *(asm.label("step"), asm.mov(13, _SPSR_SS)),
        *(asm.label("return"), asm.orr_reg(11, 11, 13), asm.msr("SPSR_EL1", 11), asm.ERET),
        *(asm.label("skip"), asm.add(10, 10, 4), asm.msr("ELR_EL1", 10), asm.ERET),
    )
    rig.set_reg("VBAR_EL1", handlers.address)
    empty(rig)


def empty(rig: Rig) -> None:
    """Empty the log."""
    rig.machine.write(_LOG, bytes(_LOG_SIZE))
    rig.set_x(27, _LOG)


def handled(rig: Rig) -> list[Handled]:
    """The exceptions that the guest took since the log was empty, in order."""
    count = (rig.x(27) - _LOG) // 24
    values = struct.unpack(f"<{3 * count}Q", rig.machine.read(_LOG, 24 * count))
    return [
        Handled(exception_class(esr), elr, far)
        for esr, elr, far in zip(values[::3], values[1::3], values[2::3], strict=True)
    ]
