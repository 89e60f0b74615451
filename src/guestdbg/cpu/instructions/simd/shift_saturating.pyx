# cython: language_level=3
"""Advanced SIMD saturating shift left by immediate (C4.1.96): SQSHL, UQSHL, SQSHLU, vector and scalar.

Only elements that exist may set FPSR.QC, so the others are made 0, which never saturates
(shift_common.pxd: elements_of).
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT, OK
from guestdbg.cpu.instructions.simd.shift_common cimport (
    elements_of, is_scalar, left_shift, set_qc, set_shifted, size_of_shifted,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, write_vd
from guestdbg.cpu.operands cimport rm

cdef inline bint sqshl_elements8(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int8_t x, limit
    cdef uint8_t y, wrong, changed = 0
    for e in range(16):
        x = (<const int8_t*>n)[e]
        y = <uint8_t>(<uint8_t>x << shift)
        wrong = <uint8_t>0 - <uint8_t>(<int8_t>y >> shift != x)
        limit = <int8_t>(<int8_t>(x >> 7) ^ <int8_t>0x7f)
        (<uint8_t*>result)[e] = (y & ~wrong) | (<uint8_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef int16_t x, limit
    cdef uint16_t y, wrong, changed = 0
    for e in range(8):
        x = (<const int16_t*>n)[e]
        y = <uint16_t>(<uint16_t>x << shift)
        wrong = <uint16_t>0 - <uint16_t>(<int16_t>y >> shift != x)
        limit = <int16_t>(<int16_t>(x >> 15) ^ <int16_t>0x7fff)
        (<uint16_t*>result)[e] = (y & ~wrong) | (<uint16_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef int32_t x, limit
    cdef uint32_t y, wrong, changed = 0
    for e in range(4):
        x = (<const int32_t*>n)[e]
        y = <uint32_t>(<uint32_t>x << shift)
        wrong = <uint32_t>0 - <uint32_t>(<int32_t>y >> shift != x)
        limit = <int32_t>(<int32_t>(x >> 31) ^ <int32_t>0x7fffffff)
        (<uint32_t*>result)[e] = (y & ~wrong) | (<uint32_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef int64_t x, limit
    cdef uint64_t y, wrong, changed = 0
    for e in range(2):
        x = (<const int64_t*>n)[e]
        y = <uint64_t>(<uint64_t>x << shift)
        wrong = <uint64_t>0 - <uint64_t>(<int64_t>y >> shift != x)
        limit = <int64_t>(<int64_t>(x >> 63) ^ <int64_t>0x7fffffffffffffff)
        (<uint64_t*>result)[e] = (y & ~wrong) | (<uint64_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef uint8_t x, limit
    cdef uint8_t y, wrong, changed = 0
    for e in range(16):
        x = (<const uint8_t*>n)[e]
        y = <uint8_t>(<uint8_t>x << shift)
        wrong = <uint8_t>0 - <uint8_t>(y >> shift != x)
        limit = <uint8_t>0xff
        (<uint8_t*>result)[e] = (y & ~wrong) | (<uint8_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef uint16_t x, limit
    cdef uint16_t y, wrong, changed = 0
    for e in range(8):
        x = (<const uint16_t*>n)[e]
        y = <uint16_t>(<uint16_t>x << shift)
        wrong = <uint16_t>0 - <uint16_t>(y >> shift != x)
        limit = <uint16_t>0xffff
        (<uint16_t*>result)[e] = (y & ~wrong) | (<uint16_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef uint32_t x, limit
    cdef uint32_t y, wrong, changed = 0
    for e in range(4):
        x = (<const uint32_t*>n)[e]
        y = <uint32_t>(<uint32_t>x << shift)
        wrong = <uint32_t>0 - <uint32_t>(y >> shift != x)
        limit = <uint32_t>0xffffffff
        (<uint32_t*>result)[e] = (y & ~wrong) | (<uint32_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef uint64_t x, limit
    cdef uint64_t y, wrong, changed = 0
    for e in range(2):
        x = (<const uint64_t*>n)[e]
        y = <uint64_t>(<uint64_t>x << shift)
        wrong = <uint64_t>0 - <uint64_t>(y >> shift != x)
        limit = <uint64_t>0xffffffffffffffff
        (<uint64_t*>result)[e] = (y & ~wrong) | (<uint64_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef int8_t x, limit
    cdef uint8_t y, wrong, changed = 0
    for e in range(16):
        x = (<const int8_t*>n)[e]
        y = <uint8_t>(<uint8_t>x << shift)
        wrong = <uint8_t>0 - <uint8_t>(<uint8_t>(y >> shift) != <uint8_t>x or x < 0)
        limit = <int8_t>~<int8_t>(x >> 7)
        (<uint8_t*>result)[e] = (y & ~wrong) | (<uint8_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef int16_t x, limit
    cdef uint16_t y, wrong, changed = 0
    for e in range(8):
        x = (<const int16_t*>n)[e]
        y = <uint16_t>(<uint16_t>x << shift)
        wrong = <uint16_t>0 - <uint16_t>(<uint16_t>(y >> shift) != <uint16_t>x or x < 0)
        limit = <int16_t>~<int16_t>(x >> 15)
        (<uint16_t*>result)[e] = (y & ~wrong) | (<uint16_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef int32_t x, limit
    cdef uint32_t y, wrong, changed = 0
    for e in range(4):
        x = (<const int32_t*>n)[e]
        y = <uint32_t>(<uint32_t>x << shift)
        wrong = <uint32_t>0 - <uint32_t>(<uint32_t>(y >> shift) != <uint32_t>x or x < 0)
        limit = <int32_t>~<int32_t>(x >> 31)
        (<uint32_t*>result)[e] = (y & ~wrong) | (<uint32_t>limit & wrong)
        changed |= wrong
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
    cdef int e
    cdef int64_t x, limit
    cdef uint64_t y, wrong, changed = 0
    for e in range(2):
        x = (<const int64_t*>n)[e]
        y = <uint64_t>(<uint64_t>x << shift)
        wrong = <uint64_t>0 - <uint64_t>(<uint64_t>(y >> shift) != <uint64_t>x or x < 0)
        limit = <int64_t>~<int64_t>(x >> 63)
        (<uint64_t*>result)[e] = (y & ~wrong) | (<uint64_t>limit & wrong)
        changed |= wrong
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
