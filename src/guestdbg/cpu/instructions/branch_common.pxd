# cython: language_level=3
"""What the modules of branches share: going on through a link of the block; PSTATE.BTYPE.

Only inline functions: there is no module of this name at run time.
"""
from libc.stdint cimport uint32_t

from guestdbg.cpu.core cimport Cpu, follow, Insn
from guestdbg.cpu.operands cimport go_not_taken, go_taken, IS_STENCIL, link_target

cdef inline void taken(Cpu* c, const Insn* i) noexcept nogil:
    if IS_STENCIL:
        go_taken(c)
        return
    follow(c, link_target(i + 1))

cdef inline void not_taken(Cpu* c, const Insn* i) noexcept nogil:
    if IS_STENCIL:
        go_not_taken(c)
        return
    follow(c, link_target(i + 2))

cdef inline void choose(Cpu* c, const Insn* i, bint take) noexcept nogil:
    """After the branch i: through the first link or the second. The only branch is the compiler's."""
    if take:
        taken(c, i)
        return
    not_taken(c, i)

# PSTATE.BTYPE after an indirect branch (D5.4.4).
cdef enum:
    BTYPE_JUMP_ALLOWED = 1     # BR X16, BR X17, and every BR in a page that is not guarded
    BTYPE_CALL = 2
    BTYPE_JUMP = 3

cdef inline uint32_t br_btype_of(const Cpu* c, uint32_t raw) noexcept nogil:
    """For a BR, BRAA, ... that is decoded: its Rn, and the page that it is in, decide."""
    cdef uint32_t n = (raw >> 5) & 31
    return BTYPE_JUMP if c.fetch_guarded and n != 16 and n != 17 else BTYPE_JUMP_ALLOWED
