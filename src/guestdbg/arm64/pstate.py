"""Fields of PSTATE and SPSR_ELx as plain ints, and what they select (C5.2.20, D1.2).

``guestdbg.arm64.registers.PSTATE`` describes the whole register in words. This module is for code
that runs at every stop.
"""

from __future__ import annotations

from typing import Final

__all__ = ["EL_MASK", "EL_SHIFT", "SP_SEL", "exception_level", "uses_sp_elx"]

#: PSTATE.SP, which is M[0] of an SPSR: the stack pointer is SP_ELx (1) or SP_EL0 (0).
SP_SEL: Final = 1
#: PSTATE.EL, which is M[3:2] of an SPSR.
EL_SHIFT: Final = 2
EL_MASK: Final = 3


def exception_level(pstate: int) -> int:
    """The Exception level, 0 to 3."""
    return pstate >> EL_SHIFT & EL_MASK


def uses_sp_elx(pstate: int) -> bool:
    """Whether the stack pointer in use is the Exception level's own: SP_EL1 at EL1.

    At EL0 it is always SP_EL0; at a higher level PSTATE.SP selects between the two.
    """
    return bool(pstate & SP_SEL and pstate >> EL_SHIFT & EL_MASK)
