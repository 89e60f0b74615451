# cython: language_level=3
"""Advanced SIMD saturating shift left by immediate (C4.1.96): SQSHL, UQSHL, SQSHLU, vector and scalar.

Only elements that exist may set FPSR.QC, so the others are made 0, which never saturates
(shift_common.pxd: elements_of). Whether an element saturates is seen from its value before the shift: `over`
and `under` are all ones where it does.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT, OK
from guestdbg.cpu.instructions.simd.lanes cimport BYTE, DOUBLEWORD, every, HALFWORD, ones, WORD
from guestdbg.cpu.instructions.simd.shift_common cimport (
    elements_of, is_scalar, left_shift, set_qc, set_shifted, size_of_shifted,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, store_halves, write_vd
from guestdbg.cpu.operands cimport rm

cdef inline void shift_left(uint32_t esize, uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    """What leaves an element is lost."""
    cdef uint64_t mask = every(esize, ones(8 << esize) & ~<uint64_t>0 << shift)
    store_halves(result, n[0] << shift & mask, n[1] << shift & mask)

cdef inline bint sqshl_elements8(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint8_t over, under, changed = 0
    cdef int8_t x, highest = <int8_t>0x7f >> shift, lowest = <int8_t>(<int8_t><uint8_t>0x80 >> shift)
    cdef int e
    shift_left(BYTE, shifted, n, shift)
    for e in range(16):
        x = (<const int8_t*>n)[e]
        over = <uint8_t>(0 - <uint8_t>(x > highest))
        under = <uint8_t>(0 - <uint8_t>(x < lowest))
        changed |= over | under
        (<uint8_t*>result)[e] = (((<const uint8_t*>shifted)[e] & ~(over | under)) | (over & <uint8_t>0x7f)
                                    | (under & <uint8_t>0x80))
    return changed != 0

cdef void sqshl_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshl_elements8(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint sqshl_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint16_t over, under, changed = 0
    cdef int16_t x, highest = <int16_t>0x7fff >> shift, lowest = <int16_t>(<int16_t><uint16_t>0x8000 >> shift)
    cdef int e
    shift_left(HALFWORD, shifted, n, shift)
    for e in range(8):
        x = (<const int16_t*>n)[e]
        over = <uint16_t>(0 - <uint16_t>(x > highest))
        under = <uint16_t>(0 - <uint16_t>(x < lowest))
        changed |= over | under
        (<uint16_t*>result)[e] = (((<const uint16_t*>shifted)[e] & ~(over | under)) | (over & <uint16_t>0x7fff)
                                    | (under & <uint16_t>0x8000))
    return changed != 0

cdef void sqshl_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshl_elements16(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint sqshl_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint32_t over, under, changed = 0
    cdef int32_t x, highest = <int32_t>0x7fffffff >> shift, lowest = <int32_t>(<int32_t><uint32_t>0x80000000 >> shift)
    cdef int e
    shift_left(WORD, shifted, n, shift)
    for e in range(4):
        x = (<const int32_t*>n)[e]
        over = <uint32_t>(0 - <uint32_t>(x > highest))
        under = <uint32_t>(0 - <uint32_t>(x < lowest))
        changed |= over | under
        (<uint32_t*>result)[e] = (((<const uint32_t*>shifted)[e] & ~(over | under)) | (over & <uint32_t>0x7fffffff)
                                    | (under & <uint32_t>0x80000000))
    return changed != 0

cdef void sqshl_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshl_elements32(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint sqshl_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint64_t over, under, changed = 0
    cdef int64_t x, highest = <int64_t>0x7fffffffffffffff >> shift, lowest = <int64_t><uint64_t>0x8000000000000000 >> shift
    cdef int e
    shift_left(DOUBLEWORD, shifted, n, shift)
    for e in range(2):
        x = (<const int64_t*>n)[e]
        over = <uint64_t>0 - <uint64_t>(x > highest)
        under = <uint64_t>0 - <uint64_t>(x < lowest)
        changed |= over | under
        (<uint64_t*>result)[e] = ((shifted[e] & ~(over | under)) | (over & <uint64_t>0x7fffffffffffffff)
                                 | (under & <uint64_t>0x8000000000000000))
    return changed != 0

cdef void sqshl_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshl_elements64(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint uqshl_elements8(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint8_t over, changed = 0
    cdef uint8_t x, highest = <uint8_t>(<uint8_t>0xff >> shift)
    cdef int e
    shift_left(BYTE, shifted, n, shift)
    for e in range(16):
        x = (<const uint8_t*>n)[e]
        over = <uint8_t>(0 - <uint8_t>(x > highest))
        changed |= over
        (<uint8_t*>result)[e] = (<const uint8_t*>shifted)[e] | over
    return changed != 0

cdef void uqshl_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqshl_elements8(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint uqshl_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint16_t over, changed = 0
    cdef uint16_t x, highest = <uint16_t>(<uint16_t>0xffff >> shift)
    cdef int e
    shift_left(HALFWORD, shifted, n, shift)
    for e in range(8):
        x = (<const uint16_t*>n)[e]
        over = <uint16_t>(0 - <uint16_t>(x > highest))
        changed |= over
        (<uint16_t*>result)[e] = (<const uint16_t*>shifted)[e] | over
    return changed != 0

cdef void uqshl_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqshl_elements16(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint uqshl_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint32_t over, changed = 0
    cdef uint32_t x, highest = <uint32_t>(<uint32_t>0xffffffff >> shift)
    cdef int e
    shift_left(WORD, shifted, n, shift)
    for e in range(4):
        x = (<const uint32_t*>n)[e]
        over = <uint32_t>(0 - <uint32_t>(x > highest))
        changed |= over
        (<uint32_t*>result)[e] = (<const uint32_t*>shifted)[e] | over
    return changed != 0

cdef void uqshl_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqshl_elements32(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint uqshl_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint64_t over, changed = 0
    cdef uint64_t x, highest = <uint64_t>0xffffffffffffffff >> shift
    cdef int e
    shift_left(DOUBLEWORD, shifted, n, shift)
    for e in range(2):
        x = (<const uint64_t*>n)[e]
        over = <uint64_t>0 - <uint64_t>(x > highest)
        changed |= over
        (<uint64_t*>result)[e] = (<const uint64_t*>shifted)[e] | over
    return changed != 0

cdef void uqshl_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqshl_elements64(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint sqshlu_elements8(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint8_t over, changed = 0
    cdef uint8_t x, highest = <uint8_t>(<uint8_t>0xff >> shift) if shift else <uint8_t>0x7f
    cdef int e
    shift_left(BYTE, shifted, n, shift)
    for e in range(16):
        x = (<const uint8_t*>n)[e]
        over = <uint8_t>(0 - <uint8_t>(x > highest))
        changed |= over
        (<uint8_t*>result)[e] = ((<const uint8_t*>shifted)[e] & ~over) | (over & <uint8_t>~<uint8_t>(<int8_t>x >> 7))
    return changed != 0

cdef void sqshlu_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshlu_elements8(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint sqshlu_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint16_t over, changed = 0
    cdef uint16_t x, highest = <uint16_t>(<uint16_t>0xffff >> shift) if shift else <uint16_t>0x7fff
    cdef int e
    shift_left(HALFWORD, shifted, n, shift)
    for e in range(8):
        x = (<const uint16_t*>n)[e]
        over = <uint16_t>(0 - <uint16_t>(x > highest))
        changed |= over
        (<uint16_t*>result)[e] = ((<const uint16_t*>shifted)[e] & ~over) | (over & <uint16_t>~<uint16_t>(<int16_t>x >> 15))
    return changed != 0

cdef void sqshlu_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshlu_elements16(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint sqshlu_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint32_t over, changed = 0
    cdef uint32_t x, highest = <uint32_t>(<uint32_t>0xffffffff >> shift) if shift else <uint32_t>0x7fffffff
    cdef int e
    shift_left(WORD, shifted, n, shift)
    for e in range(4):
        x = (<const uint32_t*>n)[e]
        over = <uint32_t>(0 - <uint32_t>(x > highest))
        changed |= over
        (<uint32_t*>result)[e] = ((<const uint32_t*>shifted)[e] & ~over) | (over & <uint32_t>~<uint32_t>(<int32_t>x >> 31))
    return changed != 0

cdef void sqshlu_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshlu_elements32(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline bint sqshlu_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef uint64_t shifted[2]
    cdef uint64_t over, changed = 0
    cdef uint64_t x, highest = <uint64_t>0xffffffffffffffff >> shift if shift else <uint64_t>0x7fffffffffffffff
    cdef int e
    shift_left(DOUBLEWORD, shifted, n, shift)
    for e in range(2):
        x = (<const uint64_t*>n)[e]
        over = <uint64_t>0 - <uint64_t>(x > highest)
        changed |= over
        (<uint64_t*>result)[e] = ((<const uint64_t*>shifted)[e] & ~over) | (over & <uint64_t>~<uint64_t>(<int64_t>x >> 63))
    return changed != 0

cdef void sqshlu_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshlu_elements64(result, n, rm(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_saturating(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_shifted(o, raw)
    o.rm = <uint8_t>left_shift(raw)
    o.ra = <uint8_t>(64 - (8 << size_of_shifted(raw))) if is_scalar(raw) else 0
    return OK

cdef int register() except -1:
    add(b"SQSHL_immediate_B", b"0q0011110 0001iii 011101 nnnnn ddddd", fill_saturating, sqshl_8)
    add(b"SQSHL_immediate_H", b"0q0011110 001iiii 011101 nnnnn ddddd", fill_saturating, sqshl_16)
    add(b"SQSHL_immediate_S", b"0q0011110 01iiiii 011101 nnnnn ddddd", fill_saturating, sqshl_32)
    add(b"SQSHL_immediate_D", b"010011110 1iiiiii 011101 nnnnn ddddd", fill_saturating, sqshl_64)
    add(b"SQSHL_immediate_scalar_B", b"010111110 0001iii 011101 nnnnn ddddd", fill_saturating, sqshl_8)
    add(b"SQSHL_immediate_scalar_H", b"010111110 001iiii 011101 nnnnn ddddd", fill_saturating, sqshl_16)
    add(b"SQSHL_immediate_scalar_S", b"010111110 01iiiii 011101 nnnnn ddddd", fill_saturating, sqshl_32)
    add(b"SQSHL_immediate_scalar_D", b"010111110 1iiiiii 011101 nnnnn ddddd", fill_saturating, sqshl_64)
    add(b"UQSHL_immediate_B", b"0q1011110 0001iii 011101 nnnnn ddddd", fill_saturating, uqshl_8)
    add(b"UQSHL_immediate_H", b"0q1011110 001iiii 011101 nnnnn ddddd", fill_saturating, uqshl_16)
    add(b"UQSHL_immediate_S", b"0q1011110 01iiiii 011101 nnnnn ddddd", fill_saturating, uqshl_32)
    add(b"UQSHL_immediate_D", b"011011110 1iiiiii 011101 nnnnn ddddd", fill_saturating, uqshl_64)
    add(b"UQSHL_immediate_scalar_B", b"011111110 0001iii 011101 nnnnn ddddd", fill_saturating, uqshl_8)
    add(b"UQSHL_immediate_scalar_H", b"011111110 001iiii 011101 nnnnn ddddd", fill_saturating, uqshl_16)
    add(b"UQSHL_immediate_scalar_S", b"011111110 01iiiii 011101 nnnnn ddddd", fill_saturating, uqshl_32)
    add(b"UQSHL_immediate_scalar_D", b"011111110 1iiiiii 011101 nnnnn ddddd", fill_saturating, uqshl_64)
    add(b"SQSHLU_immediate_B", b"0q1011110 0001iii 011001 nnnnn ddddd", fill_saturating, sqshlu_8)
    add(b"SQSHLU_immediate_H", b"0q1011110 001iiii 011001 nnnnn ddddd", fill_saturating, sqshlu_16)
    add(b"SQSHLU_immediate_S", b"0q1011110 01iiiii 011001 nnnnn ddddd", fill_saturating, sqshlu_32)
    add(b"SQSHLU_immediate_D", b"011011110 1iiiiii 011001 nnnnn ddddd", fill_saturating, sqshlu_64)
    add(b"SQSHLU_immediate_scalar_B", b"011111110 0001iii 011001 nnnnn ddddd", fill_saturating, sqshlu_8)
    add(b"SQSHLU_immediate_scalar_H", b"011111110 001iiii 011001 nnnnn ddddd", fill_saturating, sqshlu_16)
    add(b"SQSHLU_immediate_scalar_S", b"011111110 01iiiii 011001 nnnnn ddddd", fill_saturating, sqshlu_32)
    add(b"SQSHLU_immediate_scalar_D", b"011111110 1iiiiii 011001 nnnnn ddddd", fill_saturating, sqshlu_64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
