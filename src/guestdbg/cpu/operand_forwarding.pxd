# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, HAND, Insn, Op

cdef enum:
    # What a function hands to the next one.
    NOTHING_HANDED = 0
    RESULT = 1             # what it wrote to x[rd]
    SAME = 2               # what it got: it writes no general-purpose register
    # beside one of those: it changes x[rn], too
    WRITES_BACK = 4

# Where an operand comes from, as a constant of the inlined bodies: a register, or what was handed.
cdef enum:
    NONE = 0
    RN = 1
    RM = 2
    RA = 3
    RD = 4                 # of instructions that read rd: stores, CBZ, TBZ

cdef inline uint64_t xn(const Cpu* c, const Insn* i, uint64_t last, int handed) noexcept nogil:
    return last if handed == RN else c.x[i.rn]

cdef inline uint64_t xm(const Cpu* c, const Insn* i, uint64_t last, int handed) noexcept nogil:
    return last if handed == RM else c.x[i.rm]

cdef inline uint64_t xa(const Cpu* c, const Insn* i, uint64_t last, int handed) noexcept nogil:
    return last if handed == RA else c.x[i.ra]

cdef inline uint64_t xd(const Cpu* c, const Insn* i, uint64_t last, int handed) noexcept nogil:
    return last if handed == RD else c.x[i.rd]

cdef inline void give(Cpu* c, const Insn* i, uint64_t value) noexcept nogil:
    """Write x[rd], and hand it to the next instruction."""
    c.x[i.rd] = value
    HAND(c, i, value)

# Each module's register() tells what its functions hand over, and which functions do the same with
# an operand handed to them. NULL: there is none.
cdef int hands(int what, Op plain) except -1
cdef int relays(int what, Op plain, Op rn, Op rm) except -1
cdef int relays_any(int what, Op plain, Op rn, Op rm, Op ra, Op rd) except -1

cdef void relay_block(Insn* insns, uint32_t count) noexcept nogil
"""Let the instructions of a decoded block take operands from the one before."""
