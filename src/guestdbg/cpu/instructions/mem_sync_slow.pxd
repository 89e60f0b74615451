# cython: language_level=3
"""The slow paths of exclusives (mem_excl.pyx) and LSE atomics (mem_atomic.pyx): see mem_slow.pxd."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn
from guestdbg.cpu.operands cimport aux, xm

# log2 is of all the bytes accessed; pair: they are two registers, x[rd] and x[aux].
cdef void slow_load_exclusive(Cpu* c, const Insn* i, uint64_t va, uint32_t log2, bint pair) noexcept nogil
cdef void slow_store_exclusive(Cpu* c, const Insn* i, uint64_t va, uint32_t log2, bint pair) noexcept nogil

# log2 is of one register.
cdef void slow_modify(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
cdef void slow_swap_if(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
cdef void slow_swap_pair_if(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil

cdef enum:               # Insn.aux: o3 << 3 | opc of the encoding
    ADD = 0
    CLR = 1
    EOR = 2
    SET = 3
    SMAX = 4
    SMIN = 5
    UMAX = 6
    UMIN = 7
    SWP = 8

cdef inline uint64_t truncate(uint64_t value, uint32_t log2) noexcept nogil:
    return value & (~<uint64_t>0 >> (64 - (8 << log2)))

cdef inline int64_t signed(uint64_t value, uint32_t log2) noexcept nogil:
    cdef uint32_t shift = 64 - (8 << log2)
    return <int64_t>(value << shift) >> shift

cdef inline uint64_t result(Cpu* c, const Insn* i, uint64_t old, uint32_t log2) noexcept nogil:
    """What is written where memory holds old (zero-extended)."""
    cdef uint64_t operand = truncate(xm(c, i), log2)
    cdef uint32_t what = aux(i)
    if what == ADD:
        return truncate(old + operand, log2)
    if what == CLR:
        return old & ~operand
    if what == EOR:
        return old ^ operand
    if what == SET:
        return old | operand
    if what == SMAX:
        return old if signed(old, log2) > signed(operand, log2) else operand
    if what == SMIN:
        return old if signed(old, log2) < signed(operand, log2) else operand
    if what == UMAX:
        return old if old > operand else operand
    if what == UMIN:
        return old if old < operand else operand
    return operand
