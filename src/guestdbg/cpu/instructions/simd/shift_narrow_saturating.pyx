# cython: language_level=3
"""Advanced SIMD saturating shift right by immediate and narrow (C4.1.96), vector and scalar: SQSHRN, UQSHRN,
SQSHRUN, SQRSHRN, UQRSHRN, SQRSHRUN (operands: shift_common.pxd).

Functions are named by the size of the elements that they read.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT
from guestdbg.cpu.instructions.simd.shift_common cimport elements_of, fill_narrow, set_qc, write_narrow
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport rm

cdef inline bint sqshrn_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int16_t x, y, changed = 0
    for e in range(8):
        x = <int16_t>((<const int16_t*>n)[e] >> shift)
        x = <int16_t>((x >> 1))
        y = x if x < 0x7f else 0x7f
        y = y if y > -0x80 else -0x80
        changed |= x ^ y
        (<int8_t*>result)[e] = <int8_t>y
    return changed != 0

cdef void sqshrn_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshrn_elements16(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqshrn_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int32_t x, y, changed = 0
    for e in range(4):
        x = <int32_t>((<const int32_t*>n)[e] >> shift)
        x = <int32_t>((x >> 1))
        y = x if x < 0x7fff else 0x7fff
        y = y if y > -0x8000 else -0x8000
        changed |= x ^ y
        (<int16_t*>result)[e] = <int16_t>y
    return changed != 0

cdef void sqshrn_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshrn_elements32(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqshrn_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int64_t x, y, changed = 0
    for e in range(2):
        x = <int64_t>((<const int64_t*>n)[e] >> shift)
        x = <int64_t>((x >> 1))
        y = x if x < <int64_t>0x7fffffff else <int64_t>0x7fffffff
        y = y if y > <int64_t>-0x80000000 else <int64_t>-0x80000000
        changed |= x ^ y
        (<int32_t*>result)[e] = <int32_t>y
    return changed != 0

cdef void sqshrn_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshrn_elements64(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint uqshrn_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint16_t x, y, over, changed = 0
    for e in range(8):
        x = <uint16_t>((<const uint16_t*>n)[e] >> shift)
        x = <uint16_t>((x >> 1))
        over = x >> 8
        y = x | <uint16_t>(<uint16_t>0 - <uint16_t>(over != 0))
        changed |= over
        (<uint8_t*>result)[e] = <uint8_t>y
    return changed != 0

cdef void uqshrn_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqshrn_elements16(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint uqshrn_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint32_t x, y, over, changed = 0
    for e in range(4):
        x = <uint32_t>((<const uint32_t*>n)[e] >> shift)
        x = <uint32_t>((x >> 1))
        over = x >> 16
        y = x | <uint32_t>(<uint32_t>0 - <uint32_t>(over != 0))
        changed |= over
        (<uint16_t*>result)[e] = <uint16_t>y
    return changed != 0

cdef void uqshrn_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqshrn_elements32(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint uqshrn_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint64_t x, y, over, changed = 0
    for e in range(2):
        x = <uint64_t>((<const uint64_t*>n)[e] >> shift)
        x = <uint64_t>((x >> 1))
        over = x >> 32
        y = x | <uint64_t>(<uint64_t>0 - <uint64_t>(over != 0))
        changed |= over
        (<uint32_t*>result)[e] = <uint32_t>y
    return changed != 0

cdef void uqshrn_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqshrn_elements64(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqshrun_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int16_t x, y, changed = 0
    for e in range(8):
        x = <int16_t>((<const int16_t*>n)[e] >> shift)
        x = <int16_t>((x >> 1))
        y = x if x < 0xff else 0xff
        y = y if y > 0x0 else 0x0
        changed |= x ^ y
        (<uint8_t*>result)[e] = <uint8_t>y
    return changed != 0

cdef void sqshrun_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshrun_elements16(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqshrun_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int32_t x, y, changed = 0
    for e in range(4):
        x = <int32_t>((<const int32_t*>n)[e] >> shift)
        x = <int32_t>((x >> 1))
        y = x if x < 0xffff else 0xffff
        y = y if y > 0x0 else 0x0
        changed |= x ^ y
        (<uint16_t*>result)[e] = <uint16_t>y
    return changed != 0

cdef void sqshrun_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshrun_elements32(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqshrun_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int64_t x, y, changed = 0
    for e in range(2):
        x = <int64_t>((<const int64_t*>n)[e] >> shift)
        x = <int64_t>((x >> 1))
        y = x if x < <int64_t>0xffffffff else <int64_t>0xffffffff
        y = y if y > <int64_t>0x0 else <int64_t>0x0
        changed |= x ^ y
        (<uint32_t*>result)[e] = <uint32_t>y
    return changed != 0

cdef void sqshrun_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqshrun_elements64(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqrshrn_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int16_t x, y, changed = 0
    for e in range(8):
        x = <int16_t>((<const int16_t*>n)[e] >> shift)
        x = <int16_t>((x >> 1) + (x & 1))
        y = x if x < 0x7f else 0x7f
        y = y if y > -0x80 else -0x80
        changed |= x ^ y
        (<int8_t*>result)[e] = <int8_t>y
    return changed != 0

cdef void sqrshrn_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqrshrn_elements16(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqrshrn_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int32_t x, y, changed = 0
    for e in range(4):
        x = <int32_t>((<const int32_t*>n)[e] >> shift)
        x = <int32_t>((x >> 1) + (x & 1))
        y = x if x < 0x7fff else 0x7fff
        y = y if y > -0x8000 else -0x8000
        changed |= x ^ y
        (<int16_t*>result)[e] = <int16_t>y
    return changed != 0

cdef void sqrshrn_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqrshrn_elements32(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqrshrn_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int64_t x, y, changed = 0
    for e in range(2):
        x = <int64_t>((<const int64_t*>n)[e] >> shift)
        x = <int64_t>((x >> 1) + (x & 1))
        y = x if x < <int64_t>0x7fffffff else <int64_t>0x7fffffff
        y = y if y > <int64_t>-0x80000000 else <int64_t>-0x80000000
        changed |= x ^ y
        (<int32_t*>result)[e] = <int32_t>y
    return changed != 0

cdef void sqrshrn_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqrshrn_elements64(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint uqrshrn_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint16_t x, y, over, changed = 0
    for e in range(8):
        x = <uint16_t>((<const uint16_t*>n)[e] >> shift)
        x = <uint16_t>((x >> 1) + (x & 1))
        over = x >> 8
        y = x | <uint16_t>(<uint16_t>0 - <uint16_t>(over != 0))
        changed |= over
        (<uint8_t*>result)[e] = <uint8_t>y
    return changed != 0

cdef void uqrshrn_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqrshrn_elements16(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint uqrshrn_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint32_t x, y, over, changed = 0
    for e in range(4):
        x = <uint32_t>((<const uint32_t*>n)[e] >> shift)
        x = <uint32_t>((x >> 1) + (x & 1))
        over = x >> 16
        y = x | <uint32_t>(<uint32_t>0 - <uint32_t>(over != 0))
        changed |= over
        (<uint16_t*>result)[e] = <uint16_t>y
    return changed != 0

cdef void uqrshrn_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqrshrn_elements32(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint uqrshrn_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint64_t x, y, over, changed = 0
    for e in range(2):
        x = <uint64_t>((<const uint64_t*>n)[e] >> shift)
        x = <uint64_t>((x >> 1) + (x & 1))
        over = x >> 32
        y = x | <uint64_t>(<uint64_t>0 - <uint64_t>(over != 0))
        changed |= over
        (<uint32_t*>result)[e] = <uint32_t>y
    return changed != 0

cdef void uqrshrn_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, uqrshrn_elements64(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqrshrun_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int16_t x, y, changed = 0
    for e in range(8):
        x = <int16_t>((<const int16_t*>n)[e] >> shift)
        x = <int16_t>((x >> 1) + (x & 1))
        y = x if x < 0xff else 0xff
        y = y if y > 0x0 else 0x0
        changed |= x ^ y
        (<uint8_t*>result)[e] = <uint8_t>y
    return changed != 0

cdef void sqrshrun_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqrshrun_elements16(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqrshrun_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int32_t x, y, changed = 0
    for e in range(4):
        x = <int32_t>((<const int32_t*>n)[e] >> shift)
        x = <int32_t>((x >> 1) + (x & 1))
        y = x if x < 0xffff else 0xffff
        y = y if y > 0x0 else 0x0
        changed |= x ^ y
        (<uint16_t*>result)[e] = <uint16_t>y
    return changed != 0

cdef void sqrshrun_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqrshrun_elements32(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline bint sqrshrun_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int64_t x, y, changed = 0
    for e in range(2):
        x = <int64_t>((<const int64_t*>n)[e] >> shift)
        x = <int64_t>((x >> 1) + (x & 1))
        y = x if x < <int64_t>0xffffffff else <int64_t>0xffffffff
        y = y if y > <int64_t>0x0 else <int64_t>0x0
        changed |= x ^ y
        (<uint32_t*>result)[e] = <uint32_t>y
    return changed != 0

cdef void sqrshrun_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result, n[2]
    if fp_is_trapped(c, i):
        return
    elements_of(c, i, n)
    set_qc(c, sqrshrun_elements64(&result, n, rm(i)))
    write_narrow(c, i, result)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int register() except -1:
    add(b"SQSHRN_B", b"0q0011110 0001iii 100101 nnnnn ddddd", fill_narrow, sqshrn_16)
    add(b"SQSHRN_H", b"0q0011110 001iiii 100101 nnnnn ddddd", fill_narrow, sqshrn_32)
    add(b"SQSHRN_S", b"0q0011110 01iiiii 100101 nnnnn ddddd", fill_narrow, sqshrn_64)
    add(b"SQSHRN_scalar_B", b"010111110 0001iii 100101 nnnnn ddddd", fill_narrow, sqshrn_16)
    add(b"SQSHRN_scalar_H", b"010111110 001iiii 100101 nnnnn ddddd", fill_narrow, sqshrn_32)
    add(b"SQSHRN_scalar_S", b"010111110 01iiiii 100101 nnnnn ddddd", fill_narrow, sqshrn_64)
    add(b"UQSHRN_B", b"0q1011110 0001iii 100101 nnnnn ddddd", fill_narrow, uqshrn_16)
    add(b"UQSHRN_H", b"0q1011110 001iiii 100101 nnnnn ddddd", fill_narrow, uqshrn_32)
    add(b"UQSHRN_S", b"0q1011110 01iiiii 100101 nnnnn ddddd", fill_narrow, uqshrn_64)
    add(b"UQSHRN_scalar_B", b"011111110 0001iii 100101 nnnnn ddddd", fill_narrow, uqshrn_16)
    add(b"UQSHRN_scalar_H", b"011111110 001iiii 100101 nnnnn ddddd", fill_narrow, uqshrn_32)
    add(b"UQSHRN_scalar_S", b"011111110 01iiiii 100101 nnnnn ddddd", fill_narrow, uqshrn_64)
    add(b"SQSHRUN_B", b"0q1011110 0001iii 100001 nnnnn ddddd", fill_narrow, sqshrun_16)
    add(b"SQSHRUN_H", b"0q1011110 001iiii 100001 nnnnn ddddd", fill_narrow, sqshrun_32)
    add(b"SQSHRUN_S", b"0q1011110 01iiiii 100001 nnnnn ddddd", fill_narrow, sqshrun_64)
    add(b"SQSHRUN_scalar_B", b"011111110 0001iii 100001 nnnnn ddddd", fill_narrow, sqshrun_16)
    add(b"SQSHRUN_scalar_H", b"011111110 001iiii 100001 nnnnn ddddd", fill_narrow, sqshrun_32)
    add(b"SQSHRUN_scalar_S", b"011111110 01iiiii 100001 nnnnn ddddd", fill_narrow, sqshrun_64)
    add(b"SQRSHRN_B", b"0q0011110 0001iii 100111 nnnnn ddddd", fill_narrow, sqrshrn_16)
    add(b"SQRSHRN_H", b"0q0011110 001iiii 100111 nnnnn ddddd", fill_narrow, sqrshrn_32)
    add(b"SQRSHRN_S", b"0q0011110 01iiiii 100111 nnnnn ddddd", fill_narrow, sqrshrn_64)
    add(b"SQRSHRN_scalar_B", b"010111110 0001iii 100111 nnnnn ddddd", fill_narrow, sqrshrn_16)
    add(b"SQRSHRN_scalar_H", b"010111110 001iiii 100111 nnnnn ddddd", fill_narrow, sqrshrn_32)
    add(b"SQRSHRN_scalar_S", b"010111110 01iiiii 100111 nnnnn ddddd", fill_narrow, sqrshrn_64)
    add(b"UQRSHRN_B", b"0q1011110 0001iii 100111 nnnnn ddddd", fill_narrow, uqrshrn_16)
    add(b"UQRSHRN_H", b"0q1011110 001iiii 100111 nnnnn ddddd", fill_narrow, uqrshrn_32)
    add(b"UQRSHRN_S", b"0q1011110 01iiiii 100111 nnnnn ddddd", fill_narrow, uqrshrn_64)
    add(b"UQRSHRN_scalar_B", b"011111110 0001iii 100111 nnnnn ddddd", fill_narrow, uqrshrn_16)
    add(b"UQRSHRN_scalar_H", b"011111110 001iiii 100111 nnnnn ddddd", fill_narrow, uqrshrn_32)
    add(b"UQRSHRN_scalar_S", b"011111110 01iiiii 100111 nnnnn ddddd", fill_narrow, uqrshrn_64)
    add(b"SQRSHRUN_B", b"0q1011110 0001iii 100011 nnnnn ddddd", fill_narrow, sqrshrun_16)
    add(b"SQRSHRUN_H", b"0q1011110 001iiii 100011 nnnnn ddddd", fill_narrow, sqrshrun_32)
    add(b"SQRSHRUN_S", b"0q1011110 01iiiii 100011 nnnnn ddddd", fill_narrow, sqrshrun_64)
    add(b"SQRSHRUN_scalar_B", b"011111110 0001iii 100011 nnnnn ddddd", fill_narrow, sqrshrun_16)
    add(b"SQRSHRUN_scalar_H", b"011111110 001iiii 100011 nnnnn ddddd", fill_narrow, sqrshrun_32)
    add(b"SQRSHRUN_scalar_S", b"011111110 01iiiii 100011 nnnnn ddddd", fill_narrow, sqrshrun_64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
