# cython: language_level=3
"""What mem_struct and mem_struct_slow share: the shape of an instruction, and the test for plain memory.

Operands: rd first register, rn, ra as everywhere (mem_common.pxd), rm the register added for
post-index, or the zero register, imm the constant added for post-index (0 without), aux packs the
shape.

Register elements are addressed as bytes of Cpu.v: 16 a register, least significant first, which is
their place on a little-endian host.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    Cpu, Insn, likely, line, line_miss_r, line_miss_w, miss_r, miss_w, Tlbe, tlbe,
)
from guestdbg.cpu.operands cimport aux, imm, set_xn, xm, xn

# Insn.aux: bits 1..0 log2 of the element's bytes; 4..2 registers of a structure; 7..5 repetitions;
# 12..8 elements of a register (16 at most); 16..13 element index (single structure); 17: Q.
cdef inline uint32_t elem_log2(const Insn* i) noexcept nogil:
    return aux(i) & 3

cdef inline uint32_t selem(const Insn* i) noexcept nogil:
    return (aux(i) >> 2) & 7

cdef inline uint32_t repeat(const Insn* i) noexcept nogil:
    return (aux(i) >> 5) & 7

cdef inline uint32_t elements(const Insn* i) noexcept nogil:
    return (aux(i) >> 8) & 31

cdef inline uint32_t index(const Insn* i) noexcept nogil:
    return (aux(i) >> 13) & 15

cdef inline bint has_128_bits(const Insn* i) noexcept nogil:
    return aux(i) >> 17

cdef inline uint8_t* element(Cpu* c, uint32_t register, uint32_t n, uint32_t log2) noexcept nogil:
    return <uint8_t*>&c.v[2 * (register & 31)] + (n << log2)

cdef inline void finish(Cpu* c, const Insn* i) noexcept nogil:
    """Post-index; adds 0 without it."""
    set_xn(c, i, xn(c, i) + imm(i) + xm(c, i))

# ---- plain memory -----------------------------------------------------------------------------
# Aligned elements, all in one page of the TLB, or in one line, that needs no slow path: the host address.
# Otherwise 0.

cdef inline uint64_t plain_read(Cpu* c, uint64_t va, uint64_t size, uint64_t total) noexcept nogil:
    """size: of an element. total: bytes, 64 at most."""
    cdef const Tlbe* e = tlbe(c, va)
    if likely(not miss_r(e, va, size) and (va & 0xFFF) + total <= 0x1000):
        return va + e.add
    e = line(c, va)
    if not line_miss_r(e, va, size) and (va & 63) + total <= 64:
        return va + e.add
    return 0

cdef inline uint64_t plain_write(Cpu* c, uint64_t va, uint64_t size, uint64_t total) noexcept nogil:
    cdef const Tlbe* e = tlbe(c, va)
    if likely(not miss_w(e, va, size) and (va & 0xFFF) + total <= 0x1000):
        return va + e.add
    e = line(c, va)
    if not line_miss_w(e, va, size) and (va & 63) + total <= 64:
        return va + e.add
    return 0
