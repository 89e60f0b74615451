# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, FORWARD, Insn, Op
from guestdbg.cpu.operands cimport set_xd, xa, xd, xm, xn

# An instruction function's third argument, `last`, is what the function before it forwarded.

cdef enum:
    # What a function forwards to the next one.
    FORWARDS_NOTHING = 0
    FORWARDS_RESULT = 1        # what it wrote to x[rd]
    FORWARDS_SAME = 2          # `last`: it writes no general-purpose register
    # in addition to one of those: it changes x[rn], too
    WRITES_BACK = 4

# The operand that is forwarded, as a constant argument of the inlined bodies; the others are read from
# their registers.
cdef enum:
    NONE = 0
    RN = 1
    RM = 2
    RA = 3
    RD = 4                 # of instructions that read x[rd]: stores, CBZ, TBZ

cdef inline uint64_t fwd_xn(const Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    return last if forwarded == RN else xn(c, i)

cdef inline uint64_t fwd_xm(const Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    return last if forwarded == RM else xm(c, i)

cdef inline uint64_t fwd_xa(const Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    return last if forwarded == RA else xa(c, i)

cdef inline uint64_t fwd_xd(const Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    return last if forwarded == RD else xd(c, i)

cdef inline void write_xd(Cpu* c, const Insn* i, uint64_t value) noexcept nogil:
    """Write x[rd], and forward it to the next instruction."""
    set_xd(c, i, value)
    FORWARD(c, i, value)

# Each module declares at import what its functions forward (FORWARDS_*), and their specializations: the
# functions that do the same with one operand forwarded. NULL: there is none.
cdef int forwards(int what, Op plain) except -1
cdef int specialize(int what, Op plain, Op rn, Op rm) except -1
cdef int specialize_all(int what, Op plain, Op rn, Op rm, Op ra, Op rd) except -1

cdef void forward_operands(Insn* insns, uint32_t count) noexcept nogil
"""Replace functions in a decoded block by specializations that take an operand from the one before."""
