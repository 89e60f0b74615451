# cython: language_level=3
"""Advanced SIMD permute and extract (C4.1.96): ZIP1, ZIP2, UZP1, UZP2, TRN1, TRN2, EXT.

Functions with _half in their names are for 64-bit vectors, where the lower half of the 128-bit result
is not the 64-bit one.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Insn, NEXT, OK
from guestdbg.cpu.instructions.simd.lanes cimport BYTE, even_elements, HALFWORD, WORD
from guestdbg.cpu.instructions.simd.simd_common cimport (
    fp_is_trapped, set_vector, vm, vn, write_vd, write_vector,
)
from guestdbg.cpu.operands cimport imm, ra

# ---- ZIP --------------------------------------------------------------------------------------
# The halves that are interleaved: the lower ones by ZIP1, the upper ones by ZIP2. The upper half of a
# 64-bit vector begins in the middle of the lower word, so that its ZIP2 is ZIP1's upper word.

cdef inline void zip8(uint64_t* result, const uint64_t* n, const uint64_t* m) noexcept nogil:
    cdef int e
    for e in range(8):
        (<uint8_t*>result)[2 * e] = (<const uint8_t*>n)[e]
        (<uint8_t*>result)[2 * e + 1] = (<const uint8_t*>m)[e]

cdef inline void zip16(uint64_t* result, const uint64_t* n, const uint64_t* m) noexcept nogil:
    cdef int e
    for e in range(4):
        (<uint16_t*>result)[2 * e] = (<const uint16_t*>n)[e]
        (<uint16_t*>result)[2 * e + 1] = (<const uint16_t*>m)[e]

cdef inline void zip32(uint64_t* result, const uint64_t* n, const uint64_t* m) noexcept nogil:
    result[0] = <uint32_t>n[0] | m[0] << 32
    result[1] = n[0] >> 32 | m[0] >> 32 << 32

cdef void zip1_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip8(result, vn(c, i), vm(c, i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef void zip1_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip16(result, vn(c, i), vm(c, i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef void zip1_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip32(result, vn(c, i), vm(c, i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef void zip2_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip8(result, vn(c, i) + 1, vm(c, i) + 1)
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef void zip2_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip16(result, vn(c, i) + 1, vm(c, i) + 1)
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef void zip2_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip32(result, vn(c, i) + 1, vm(c, i) + 1)
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef void zip2_half8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip8(result, vn(c, i), vm(c, i))
    write_vd(c, i, result[1], 0)
    NEXT(c, i)

cdef void zip2_half16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip16(result, vn(c, i), vm(c, i))
    write_vd(c, i, result[1], 0)
    NEXT(c, i)

cdef void zip2_half32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    zip32(result, vn(c, i), vm(c, i))
    write_vd(c, i, result[1], 0)
    NEXT(c, i)

# ---- UZP --------------------------------------------------------------------------------------

cdef inline uint64_t unzipped(uint32_t esize, uint32_t part, uint64_t low, uint64_t high) noexcept nogil:
    """The even (part 0) or odd (part 1) elements of high:low."""
    cdef uint32_t shift = part * (8 << esize)
    return even_elements(esize, low >> shift) | even_elements(esize, high >> shift) << 32

cdef inline void uzp(Cpu* c, const Insn* i, uint32_t esize, uint32_t part) noexcept nogil:
    cdef uint64_t low = unzipped(esize, part, vn(c, i)[0], vn(c, i)[1])
    write_vd(c, i, low, unzipped(esize, part, vm(c, i)[0], vm(c, i)[1]))
    NEXT(c, i)

cdef inline void uzp_half(Cpu* c, const Insn* i, uint32_t esize, uint32_t part) noexcept nogil:
    write_vd(c, i, unzipped(esize, part, vn(c, i)[0], vm(c, i)[0]), 0)
    NEXT(c, i)

cdef void uzp1_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp(c, i, BYTE, 0)

cdef void uzp1_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp(c, i, HALFWORD, 0)

cdef void uzp1_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp(c, i, WORD, 0)

cdef void uzp2_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp(c, i, BYTE, 1)

cdef void uzp2_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp(c, i, HALFWORD, 1)

cdef void uzp2_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp(c, i, WORD, 1)

cdef void uzp1_half8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp_half(c, i, BYTE, 0)

cdef void uzp1_half16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp_half(c, i, HALFWORD, 0)

cdef void uzp1_half32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp_half(c, i, WORD, 0)

cdef void uzp2_half8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp_half(c, i, BYTE, 1)

cdef void uzp2_half16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp_half(c, i, HALFWORD, 1)

cdef void uzp2_half32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    uzp_half(c, i, WORD, 1)

# ---- TRN --------------------------------------------------------------------------------------

cdef inline uint64_t even_mask(uint32_t esize) noexcept nogil:
    if esize == BYTE:
        return 0x00FF00FF00FF00FF
    if esize == HALFWORD:
        return 0x0000FFFF0000FFFF
    return 0x00000000FFFFFFFF

cdef inline uint64_t trn1_word(uint32_t esize, uint64_t n, uint64_t m) noexcept nogil:
    return (n & even_mask(esize)) | (m & even_mask(esize)) << (8 << esize)

cdef inline uint64_t trn2_word(uint32_t esize, uint64_t n, uint64_t m) noexcept nogil:
    return (n >> (8 << esize) & even_mask(esize)) | (m & ~even_mask(esize))

cdef inline void trn1(Cpu* c, const Insn* i, uint32_t esize) noexcept nogil:
    cdef uint64_t low = trn1_word(esize, vn(c, i)[0], vm(c, i)[0])
    write_vd(c, i, low, trn1_word(esize, vn(c, i)[1], vm(c, i)[1]) & imm(i))
    NEXT(c, i)

cdef inline void trn2(Cpu* c, const Insn* i, uint32_t esize) noexcept nogil:
    cdef uint64_t low = trn2_word(esize, vn(c, i)[0], vm(c, i)[0])
    write_vd(c, i, low, trn2_word(esize, vn(c, i)[1], vm(c, i)[1]) & imm(i))
    NEXT(c, i)

cdef void trn1_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    trn1(c, i, BYTE)

cdef void trn1_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    trn1(c, i, HALFWORD)

cdef void trn1_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    trn1(c, i, WORD)

cdef void trn2_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    trn2(c, i, BYTE)

cdef void trn2_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    trn2(c, i, HALFWORD)

cdef void trn2_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    trn2(c, i, WORD)

# With elements of 64 bits, the three are the same.

cdef void lower_halves(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, vn(c, i)[0], vm(c, i)[0])
    NEXT(c, i)

cdef void upper_halves(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, vn(c, i)[1], vm(c, i)[1])
    NEXT(c, i)

# ---- EXT --------------------------------------------------------------------------------------
# ra: the bits that are skipped of the first word that is read.

cdef inline uint64_t funnel(uint64_t low, uint64_t high, uint32_t skip) noexcept nogil:
    """64 bits of high:low from bit `skip` on, 0 to 63."""
    return low >> skip | high << 1 << (63 - skip)

cdef void ext_half(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, funnel(vn(c, i)[0], vm(c, i)[0], ra(i)), 0)
    NEXT(c, i)

cdef void ext_from_low(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = funnel(vn(c, i)[0], vn(c, i)[1], ra(i))
    write_vd(c, i, low, funnel(vn(c, i)[1], vm(c, i)[0], ra(i)))
    NEXT(c, i)

cdef void ext_from_high(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = funnel(vn(c, i)[1], vm(c, i)[0], ra(i))
    write_vd(c, i, low, funnel(vm(c, i)[0], vm(c, i)[1], ra(i)))
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_vector(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_vector(o, raw)
    return OK

cdef int fill_ext(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_vector(o, raw)
    o.ra = <uint8_t>(8 * bits(raw, 13, 11))
    return OK

cdef int register_zip_trn() except -1:
    add(b"ZIP1_B", b"0q 001110000 mmmmm 001110 nnnnn ddddd", fill_vector, zip1_8)
    add(b"ZIP1_H", b"0q 001110010 mmmmm 001110 nnnnn ddddd", fill_vector, zip1_16)
    add(b"ZIP1_S", b"0q 001110100 mmmmm 001110 nnnnn ddddd", fill_vector, zip1_32)
    add(b"ZIP1_D", b"01 001110110 mmmmm 001110 nnnnn ddddd", fill_vector, lower_halves)
    add(b"ZIP2_8B", b"00 001110000 mmmmm 011110 nnnnn ddddd", fill_vector, zip2_half8)
    add(b"ZIP2_4H", b"00 001110010 mmmmm 011110 nnnnn ddddd", fill_vector, zip2_half16)
    add(b"ZIP2_2S", b"00 001110100 mmmmm 011110 nnnnn ddddd", fill_vector, zip2_half32)
    add(b"ZIP2_16B", b"01 001110000 mmmmm 011110 nnnnn ddddd", fill_vector, zip2_8)
    add(b"ZIP2_8H", b"01 001110010 mmmmm 011110 nnnnn ddddd", fill_vector, zip2_16)
    add(b"ZIP2_4S", b"01 001110100 mmmmm 011110 nnnnn ddddd", fill_vector, zip2_32)
    add(b"ZIP2_2D", b"01 001110110 mmmmm 011110 nnnnn ddddd", fill_vector, upper_halves)
    add(b"TRN1_B", b"0q 001110000 mmmmm 001010 nnnnn ddddd", fill_vector, trn1_8)
    add(b"TRN1_H", b"0q 001110010 mmmmm 001010 nnnnn ddddd", fill_vector, trn1_16)
    add(b"TRN1_S", b"0q 001110100 mmmmm 001010 nnnnn ddddd", fill_vector, trn1_32)
    add(b"TRN1_D", b"01 001110110 mmmmm 001010 nnnnn ddddd", fill_vector, lower_halves)
    add(b"TRN2_B", b"0q 001110000 mmmmm 011010 nnnnn ddddd", fill_vector, trn2_8)
    add(b"TRN2_H", b"0q 001110010 mmmmm 011010 nnnnn ddddd", fill_vector, trn2_16)
    add(b"TRN2_S", b"0q 001110100 mmmmm 011010 nnnnn ddddd", fill_vector, trn2_32)
    add(b"TRN2_D", b"01 001110110 mmmmm 011010 nnnnn ddddd", fill_vector, upper_halves)
    return 0

cdef int register_uzp() except -1:
    add(b"UZP1_8B", b"00 001110000 mmmmm 000110 nnnnn ddddd", fill_vector, uzp1_half8)
    add(b"UZP1_4H", b"00 001110010 mmmmm 000110 nnnnn ddddd", fill_vector, uzp1_half16)
    add(b"UZP1_2S", b"00 001110100 mmmmm 000110 nnnnn ddddd", fill_vector, uzp1_half32)
    add(b"UZP1_16B", b"01 001110000 mmmmm 000110 nnnnn ddddd", fill_vector, uzp1_8)
    add(b"UZP1_8H", b"01 001110010 mmmmm 000110 nnnnn ddddd", fill_vector, uzp1_16)
    add(b"UZP1_4S", b"01 001110100 mmmmm 000110 nnnnn ddddd", fill_vector, uzp1_32)
    add(b"UZP1_2D", b"01 001110110 mmmmm 000110 nnnnn ddddd", fill_vector, lower_halves)
    add(b"UZP2_8B", b"00 001110000 mmmmm 010110 nnnnn ddddd", fill_vector, uzp2_half8)
    add(b"UZP2_4H", b"00 001110010 mmmmm 010110 nnnnn ddddd", fill_vector, uzp2_half16)
    add(b"UZP2_2S", b"00 001110100 mmmmm 010110 nnnnn ddddd", fill_vector, uzp2_half32)
    add(b"UZP2_16B", b"01 001110000 mmmmm 010110 nnnnn ddddd", fill_vector, uzp2_8)
    add(b"UZP2_8H", b"01 001110010 mmmmm 010110 nnnnn ddddd", fill_vector, uzp2_16)
    add(b"UZP2_4S", b"01 001110100 mmmmm 010110 nnnnn ddddd", fill_vector, uzp2_32)
    add(b"UZP2_2D", b"01 001110110 mmmmm 010110 nnnnn ddddd", fill_vector, upper_halves)
    return 0

cdef int register_ext() except -1:
    add(b"EXT_8B", b"00 101110000 mmmmm 00iii0 nnnnn ddddd", fill_ext, ext_half)
    add(b"EXT_16B_low", b"01 101110000 mmmmm 00iii0 nnnnn ddddd", fill_ext, ext_from_low)
    add(b"EXT_16B_high", b"01 101110000 mmmmm 01iii0 nnnnn ddddd", fill_ext, ext_from_high)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register_zip_trn()
    register_uzp()
    register_ext()
