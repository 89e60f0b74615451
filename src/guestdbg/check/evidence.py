"""Whether the processor itself lacks something, judged by the guest's own debugging.

If a promise of the architecture is broken under KVM, the cause may be the processor: emulated ones
leave out parts of the debug unit. The guest's own debug registers get into the hardware without
KVM_SET_GUEST_DEBUG. What does not work with them either is missing in the processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from guestdbg.arm64.debug import RegisterPair, breakpoint, watchpoint
from guestdbg.arm64.esr import EC
from guestdbg.arm64.exception_class import exception_class
from guestdbg.check import assembler as asm
from guestdbg.check import layout
from guestdbg.check.describe import taken_vector
from guestdbg.check.rig import PSTATE_D
from guestdbg.kvm import ExitMmio

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

MDE, KDE = 1 << 15, 1 << 13


def debug_itself(
    rig: Rig, breakpoints: Mapping[int, RegisterPair], watchpoints: Mapping[int, RegisterPair]
) -> None:
    """Set the guest's own debug registers, as if it had written them, and enable its debugging."""
    for kind, pairs in (("B", breakpoints), ("W", watchpoints)):
        for n, pair in pairs.items():
            rig.set_reg(f"DBG{kind}CR{n}_EL1", pair.control)
            rig.set_reg(f"DBG{kind}VR{n}_EL1", pair.value)
    rig.set_reg("MDSCR_EL1", MDE | KDE)
    rig.pstate = rig.pstate & ~PSTATE_D


def own_debugging(rig: Rig, *items: asm.Item, **registers: Any) -> bool:
    """Whether a guest that debugs itself takes an exception; see ``own_exception``."""
    return own_exception(rig, *items, **registers) is not None


def own_exception(
    rig: Rig,
    *items: asm.Item,
    breakpoints: Mapping[int, RegisterPair] | None = None,
    watchpoints: Mapping[int, RegisterPair] | None = None,
    registers: Mapping[int, int] | None = None,
    system: Mapping[str, int] | None = None,
) -> int | None:
    """The class of the exception that a guest takes if it debugs itself with these registers.

    It runs on another machine, at EL1, without KVM_SET_GUEST_DEBUG. None: it takes no exception,
    though an ordinary breakpoint or watchpoint of a guest does cause one.

    Args:
        items: the program.
        breakpoints: by number. Their addresses are offsets into the program.
        watchpoints: by number.
        registers: the values of Xn, by n.
        system: the values of system registers, by name.

    Raises:
        Failure: nothing that the guest arms stops it: that is no evidence about the processor.
    """
    own = rig.another_machine()
    code = own.code(*items, own.finish())
    for n, value in (registers or {}).items():
        own.set_x(n, value)
    for name, value in (system or {}).items():
        own.set_reg(name, value)
    placed = {n: _placed(pair, code.address) for n, pair in (breakpoints or {}).items()}
    debug_itself(own, placed, watchpoints or {})
    exit_ = own.run()
    if taken_vector(exit_) is None or not isinstance(exit_, ExitMmio):
        _show_that_guests_can_debug_themselves(rig)
        return None
    return exception_class(int.from_bytes(exit_.data, "little"))


def _show_that_guests_can_debug_themselves(rig: Rig) -> None:
    """The positive control: plain registers of the guest's own stop it, on one more machine."""
    own = rig.another_machine()
    code = own.code(asm.str_(0, 1), asm.NOP, own.finish())
    own.set_x(1, layout.DATA)
    debug_itself(own, {0: breakpoint(code.at(1))}, {0: watchpoint(layout.DATA, 8)[0]})
    for ec, at in ((EC.WATCHPT_CUR, 0), (EC.BREAKPT_CUR, 1)):
        own.start(code)
        own.pc = code.at(at)
        own.pstate = own.pstate & ~PSTATE_D
        own.takes(ec, 0x200)


def _placed(pair: RegisterPair, start: int) -> RegisterPair:
    """A breakpoint's registers for a program at ``start``. Context breakpoints have no address."""
    context_type = pair.control >> 20 & 0xA
    return pair if context_type else RegisterPair(pair.control, pair.value + start)
