# cython: language_level=3
"""Advanced SIMD modified immediate (C4.1.96): MOVI, MVNI, ORR, BIC, FMOV (vector, immediate).

The decoder expands the immediate: imm is the 64 bits that are moved or combined, inverted for MVNI and
BIC; aux is the mask of the upper half (lanes.pxd).
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Insn, NEXT, OK, UNDEF
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.instructions.simd.lanes cimport BYTE, every, HALFWORD, upper_mask, WORD, write_upper_masked
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vd
from guestdbg.cpu.operands cimport imm

cdef void movi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_upper_masked(c, i, imm(i), imm(i))
    NEXT(c, i)

cdef void orr_immediate(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_upper_masked(c, i, vd(c, i)[0] | imm(i), vd(c, i)[1] | imm(i))
    NEXT(c, i)

cdef void bic_immediate(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_upper_masked(c, i, vd(c, i)[0] & imm(i), vd(c, i)[1] & imm(i))
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef inline uint64_t imm8(uint32_t raw) noexcept nogil:
    return bits(raw, 18, 16) << 5 | bits(raw, 9, 5)

cdef inline int fill(Insn* o, uint32_t raw, uint64_t value) noexcept nogil:
    set_registers(o, raw)
    o.imm = value
    o.aux = 0xFFFFFFFF if raw & (1 << 30) else 0
    return OK

# AdvSIMDExpandImm(), for each group of cmode.

cdef inline uint64_t shifted_word(uint32_t raw) noexcept nogil:
    """cmode 0xx0, 0xx1: shifted by 0, 8, 16 or 24."""
    return every(WORD, imm8(raw) << 8 * bits(raw, 14, 13))

cdef inline uint64_t shifted_halfword(uint32_t raw) noexcept nogil:
    """cmode 10x0, 10x1: shifted by 0 or 8."""
    return every(HALFWORD, imm8(raw) << 8 * bits(raw, 13, 13))

cdef int fill_word(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill(o, raw, shifted_word(raw))

cdef int fill_word_inverted(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill(o, raw, ~shifted_word(raw))

cdef int fill_halfword(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill(o, raw, shifted_halfword(raw))

cdef int fill_halfword_inverted(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill(o, raw, ~shifted_halfword(raw))

cdef int fill_ones(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """cmode 110x: ones are shifted in, by 8 or 16. MVNI (bit 29) inverts."""
    cdef uint32_t shift = 8 << bits(raw, 12, 12)
    cdef uint64_t value = every(WORD, imm8(raw) << shift | ((<uint64_t>1 << shift) - 1))
    return fill(o, raw, ~value if raw & (1 << 29) else value)

cdef int fill_byte(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill(o, raw, every(BYTE, imm8(raw)))

cdef int fill_bytes_of_bits(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """cmode 1110 with op: each bit of imm8 gives a byte."""
    cdef uint64_t value = 0
    cdef uint32_t n
    for n in range(8):
        if imm8(raw) >> n & 1:
            value |= <uint64_t>0xFF << 8 * n
    return fill(o, raw, value)

cdef inline uint64_t expanded(uint64_t a, uint32_t size, uint32_t exponent) noexcept nogil:
    """VFPExpandImm(): a format of `size` bits with `exponent` bits of exponent."""
    cdef uint64_t fraction = (a & 15) << (size - exponent - 5)
    # NOT(a<6>) : Replicate(a<6>) : a<5:4>
    cdef uint64_t biased = (a >> 4) & 3
    if a & 0x40:
        biased |= ((<uint64_t>1 << (exponent - 3)) - 1) << 2
    else:
        biased |= <uint64_t>1 << (exponent - 1)
    return (a >> 7) << (size - 1) | biased << (size - 1 - exponent) | fraction

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_fp16(c):
        return UNDEF
    return fill(o, raw, every(HALFWORD, expanded(imm8(raw), 16, 5)))

cdef int fill_single(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill(o, raw, every(WORD, expanded(imm8(raw), 32, 8)))

cdef int fill_double(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill(o, raw, expanded(imm8(raw), 64, 11))

cdef int register() except -1:
    add(b"MOVI_S", b"0q0 0111100000 iii 0xx001 iiiii ddddd", fill_word, movi)
    add(b"ORR_immediate_S", b"0q0 0111100000 iii 0xx101 iiiii ddddd", fill_word, orr_immediate)
    add(b"MOVI_H", b"0q0 0111100000 iii 10x001 iiiii ddddd", fill_halfword, movi)
    add(b"ORR_immediate_H", b"0q0 0111100000 iii 10x101 iiiii ddddd", fill_halfword, orr_immediate)
    add(b"MOVI_S_ones", b"0q0 0111100000 iii 110x01 iiiii ddddd", fill_ones, movi)
    add(b"MOVI_B", b"0q0 0111100000 iii 111001 iiiii ddddd", fill_byte, movi)
    add(b"FMOV_vector_immediate_S", b"0q0 0111100000 iii 111101 iiiii ddddd", fill_single, movi)
    add(b"FMOV_vector_immediate_H", b"0q0 0111100000 iii 111111 iiiii ddddd", fill_half, movi)
    add(b"MVNI_S", b"0q1 0111100000 iii 0xx001 iiiii ddddd", fill_word_inverted, movi)
    add(b"BIC_immediate_S", b"0q1 0111100000 iii 0xx101 iiiii ddddd", fill_word_inverted, bic_immediate)
    add(b"MVNI_H", b"0q1 0111100000 iii 10x001 iiiii ddddd", fill_halfword_inverted, movi)
    add(b"BIC_immediate_H", b"0q1 0111100000 iii 10x101 iiiii ddddd", fill_halfword_inverted, bic_immediate)
    add(b"MVNI_S_ones", b"0q1 0111100000 iii 110x01 iiiii ddddd", fill_ones, movi)
    add(b"MOVI_D", b"0q1 0111100000 iii 111001 iiiii ddddd", fill_bytes_of_bits, movi)
    add(b"FMOV_vector_immediate_D", b"011 0111100000 iii 111101 iiiii ddddd", fill_double, movi)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
