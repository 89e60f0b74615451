"""Whether the processor itself lacks something: the guest's own debugging tells.

Where a promise of the architecture is broken under KVM, the processor may be the one that broke it
(emulated processors leave out parts of the debug unit). The guest's own registers get to the
hardware in another way, without KVM_SET_GUEST_DEBUG: what does not work there either, the processor
does not do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guestdbg.arm64.debug import RegisterPair
from guestdbg.check import assembler as asm
from guestdbg.check.describe import taken_vector
from guestdbg.check.rig import EL1H, PSTATE_D, Rig
from guestdbg.kvm import ExitMmio

MDE, KDE = 1 << 15, 1 << 13


def own_debugging(rig: Rig, *items: asm.Item, **registers: Any) -> bool:
    """Whether a guest that debugs itself takes any exception; see ``own_exception``."""
    return own_exception(rig, *items, **registers) is not None


def own_exception(
    rig: Rig,
    *items: asm.Item,
    breakpoints: Mapping[int, RegisterPair] | None = None,
    watchpoints: Mapping[int, RegisterPair] | None = None,
    registers: Mapping[int, int] | None = None,
    system: Mapping[str, int] | None = None,
) -> int | None:
    """The class of the exception that a guest takes that debugs itself with these registers.

    On a machine of its own, at EL1, no host debugging; ``registers``: what Xn hold;
    ``system``: what system registers hold. Breakpoint addresses are offsets into the program here.
    """
    own = rig.another_machine()
    code = own.code(*items, own.tell())
    own.pstate = EL1H & ~PSTATE_D
    for n, pair in (breakpoints or {}).items():
        own.set_reg(f"DBGBCR{n}_EL1", pair.control)
        context_type = pair.control >> 20 & 0xA
        own.set_reg(f"DBGBVR{n}_EL1", pair.value + (0 if context_type else code.address))
    for n, pair in (watchpoints or {}).items():
        own.set_reg(f"DBGWCR{n}_EL1", pair.control)
        own.set_reg(f"DBGWVR{n}_EL1", pair.value)
    for n, value in (registers or {}).items():
        own.set_x(n, value)
    for name, value in (system or {}).items():
        own.set_reg(name, value)
    own.set_reg("MDSCR_EL1", MDE | KDE)
    exit_ = own.run()
    if taken_vector(exit_) is None or not isinstance(exit_, ExitMmio):
        return None
    return int.from_bytes(exit_.data, "little") >> 26 & 0x3F
