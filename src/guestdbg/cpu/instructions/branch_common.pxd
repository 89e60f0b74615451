# cython: language_level=3
"""What branch.pyx and fused_compare_branch.pyx share: going on through a link of the block.

Only inline functions: there is no module of this name at run time.
"""
from guestdbg.cpu.core cimport Cpu, follow, Insn
from guestdbg.cpu.operands cimport link_target

cdef inline void taken(Cpu* c, const Insn* i) noexcept nogil:
    follow(c, link_target(i + 1))

cdef inline void choose(Cpu* c, const Insn* i, bint take) noexcept nogil:
    """After the branch i: through the first link or the second. The only branch is the compiler's."""
    if take:
        follow(c, link_target(i + 1))
        return
    follow(c, link_target(i + 2))
