# cython: language_level=3
"""What stencils of instructions are joined with, as stencils themselves (translation.pyx).

Only their stencils are executed, never these functions.
"""
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Block, Cpu, DISPATCH, follow, goto_pc, Insn, NEXT, unlikely, UNSPECIFIED
from guestdbg.cpu.operands cimport aux, imm, link_target, spend


cdef void bridge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """An instruction without a stencil, i: by the function that it has."""
    DISPATCH(c, i, last)


cdef void link_by_memory(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """Through a link, i, whose target is not known yet."""
    follow(c, link_target(i))


cdef void link_far(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """Through a link to another page: imm is the address."""
    goto_pc(c, imm(i))


cdef void link_known(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """To the block whose first instruction is i, by the function that it has; aux is the block's length."""
    if unlikely(spend(c, i)):
        c.budget += aux(i)
        c.pc = (<Block*>i - 1).pc
        c.ip = NULL
        return
    DISPATCH(c, i, UNSPECIFIED())


cdef void link_direct(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """The same, to the block's machine code."""
    if unlikely(spend(c, i)):
        c.budget += aux(i)
        c.pc = (<Block*>i - 1).pc
        c.ip = NULL
        return
    NEXT(c, i)
