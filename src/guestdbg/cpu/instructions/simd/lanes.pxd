# cython: language_level=3
"""Elements of a 64-bit word, all at once: replication, packing, and the masks of shifted elements.

esize is log2 of an element's bytes: 0 to 3, as a constant where speed matters.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn
from guestdbg.cpu.instructions.simd.simd_common cimport write_vd
from guestdbg.cpu.operands cimport aux

cdef enum:
    BYTE = 0
    HALFWORD = 1
    WORD = 2
    DOUBLEWORD = 3

cdef inline uint64_t ones(uint32_t bits) noexcept nogil:
    """Ones(bits), bits: 1 to 64."""
    return ~<uint64_t>0 >> (64 - bits)

cdef inline uint64_t every(uint32_t esize, uint64_t value) noexcept nogil:
    """Replicate(): value, of one element, in all elements of a word."""
    if esize == BYTE:
        return value * <uint64_t>0x0101010101010101
    if esize == HALFWORD:
        return value * <uint64_t>0x0001000100010001
    if esize == WORD:
        return value * <uint64_t>0x0000000100000001
    return value

cdef inline uint64_t even_elements(uint32_t esize, uint64_t word) noexcept nogil:
    """The even-numbered elements, side by side in the lower 32 bits; the upper ones are 0."""
    if esize == BYTE:
        word &= <uint64_t>0x00FF00FF00FF00FF
        word = (word | word >> 8) & <uint64_t>0x0000FFFF0000FFFF
    elif esize == HALFWORD:
        word &= <uint64_t>0x0000FFFF0000FFFF
    else:
        return <uint32_t>word
    return <uint32_t>(word | word >> 16)

cdef inline uint64_t odd_elements(uint32_t esize, uint64_t word) noexcept nogil:
    return even_elements(esize, word >> (8 << esize))

cdef inline uint64_t spread(uint32_t esize, uint64_t word) noexcept nogil:
    """The reverse of even_elements(): the lower 32 bits' elements become the even-numbered ones."""
    word = <uint32_t>word
    if esize == WORD:
        return word
    word = (word | word << 16) & <uint64_t>0x0000FFFF0000FFFF
    if esize == BYTE:
        word = (word | word << 8) & <uint64_t>0x00FF00FF00FF00FF
    return word

cdef inline uint64_t interleaved(uint32_t esize, uint64_t even, uint64_t odd) noexcept nogil:
    """The lower 32 bits of each."""
    return spread(esize, even) | spread(esize, odd) << (8 << esize)

# Functions that need imm for something else have the mask of the upper half, as set_vector() makes it,
# in aux.

cdef inline uint64_t upper_mask(const Insn* i) noexcept nogil:
    return <uint64_t><int64_t><int32_t>aux(i)

cdef inline void write_upper_masked(Cpu* c, const Insn* i, uint64_t low, uint64_t high) noexcept nogil:
    write_vd(c, i, low, high & upper_mask(i))
