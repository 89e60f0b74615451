# cython: language_level=3
"""Advanced SIMD shift by immediate with rounding (C4.1.96): URSHR, SRSHR, URSRA, SRSRA, vector and scalar.

Elements are shifted in two steps: by rm, which is one less than the shift, and by one. Rounding adds the
bit that is lowest between the steps. A shift by the size of the element needs no special case.

Scalars are 64-bit vectors of one element.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT
from guestdbg.cpu.instructions.simd.shift_common cimport fill_right
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, vd, vn, write_vector
from guestdbg.cpu.operands cimport rm

cdef inline void urshr_elements8(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint8_t first
    for e in range(16):
        first = <uint8_t>((<const uint8_t*>n)[e] >> shift)
        (<uint8_t*>result)[e] = <uint8_t>((first >> 1) + (first & 1))

cdef void urshr_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    urshr_elements8(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void urshr_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint16_t first
    for e in range(8):
        first = <uint16_t>((<const uint16_t*>n)[e] >> shift)
        (<uint16_t*>result)[e] = <uint16_t>((first >> 1) + (first & 1))

cdef void urshr_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    urshr_elements16(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void urshr_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint32_t first
    for e in range(4):
        first = <uint32_t>((<const uint32_t*>n)[e] >> shift)
        (<uint32_t*>result)[e] = <uint32_t>((first >> 1) + (first & 1))

cdef void urshr_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    urshr_elements32(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void urshr_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint64_t first
    for e in range(2):
        first = <uint64_t>((<const uint64_t*>n)[e] >> shift)
        (<uint64_t*>result)[e] = <uint64_t>((first >> 1) + (first & 1))

cdef void urshr_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    urshr_elements64(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void srshr_elements8(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int8_t first
    for e in range(16):
        first = <int8_t>((<const int8_t*>n)[e] >> shift)
        (<int8_t*>result)[e] = <int8_t>((first >> 1) + (first & 1))

cdef void srshr_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    srshr_elements8(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void srshr_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int16_t first
    for e in range(8):
        first = <int16_t>((<const int16_t*>n)[e] >> shift)
        (<int16_t*>result)[e] = <int16_t>((first >> 1) + (first & 1))

cdef void srshr_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    srshr_elements16(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void srshr_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int32_t first
    for e in range(4):
        first = <int32_t>((<const int32_t*>n)[e] >> shift)
        (<int32_t*>result)[e] = <int32_t>((first >> 1) + (first & 1))

cdef void srshr_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    srshr_elements32(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void srshr_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int64_t first
    for e in range(2):
        first = <int64_t>((<const int64_t*>n)[e] >> shift)
        (<int64_t*>result)[e] = <int64_t>((first >> 1) + (first & 1))

cdef void srshr_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    srshr_elements64(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void ursra_elements8(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint8_t first
    for e in range(16):
        first = <uint8_t>((<const uint8_t*>n)[e] >> shift)
        (<uint8_t*>result)[e] = <uint8_t>((<const uint8_t*>d)[e] + (first >> 1) + (first & 1))

cdef void ursra_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    ursra_elements8(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void ursra_elements16(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint16_t first
    for e in range(8):
        first = <uint16_t>((<const uint16_t*>n)[e] >> shift)
        (<uint16_t*>result)[e] = <uint16_t>((<const uint16_t*>d)[e] + (first >> 1) + (first & 1))

cdef void ursra_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    ursra_elements16(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void ursra_elements32(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint32_t first
    for e in range(4):
        first = <uint32_t>((<const uint32_t*>n)[e] >> shift)
        (<uint32_t*>result)[e] = <uint32_t>((<const uint32_t*>d)[e] + (first >> 1) + (first & 1))

cdef void ursra_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    ursra_elements32(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void ursra_elements64(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint64_t first
    for e in range(2):
        first = <uint64_t>((<const uint64_t*>n)[e] >> shift)
        (<uint64_t*>result)[e] = <uint64_t>((<const uint64_t*>d)[e] + (first >> 1) + (first & 1))

cdef void ursra_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    ursra_elements64(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void srsra_elements8(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int8_t first
    for e in range(16):
        first = <int8_t>((<const int8_t*>n)[e] >> shift)
        (<int8_t*>result)[e] = <int8_t>((<const int8_t*>d)[e] + (first >> 1) + (first & 1))

cdef void srsra_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    srsra_elements8(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void srsra_elements16(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int16_t first
    for e in range(8):
        first = <int16_t>((<const int16_t*>n)[e] >> shift)
        (<int16_t*>result)[e] = <int16_t>((<const int16_t*>d)[e] + (first >> 1) + (first & 1))

cdef void srsra_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    srsra_elements16(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void srsra_elements32(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int32_t first
    for e in range(4):
        first = <int32_t>((<const int32_t*>n)[e] >> shift)
        (<int32_t*>result)[e] = <int32_t>((<const int32_t*>d)[e] + (first >> 1) + (first & 1))

cdef void srsra_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    srsra_elements32(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void srsra_elements64(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef int64_t first
    for e in range(2):
        first = <int64_t>((<const int64_t*>n)[e] >> shift)
        (<int64_t*>result)[e] = <int64_t>((<const int64_t*>d)[e] + (first >> 1) + (first & 1))

cdef void srsra_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    srsra_elements64(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int register() except -1:
    add(b"SRSHR_B", b"0q0011110 0001iii 001001 nnnnn ddddd", fill_right, srshr_8)
    add(b"SRSHR_H", b"0q0011110 001iiii 001001 nnnnn ddddd", fill_right, srshr_16)
    add(b"SRSHR_S", b"0q0011110 01iiiii 001001 nnnnn ddddd", fill_right, srshr_32)
    add(b"SRSHR_D", b"010011110 1iiiiii 001001 nnnnn ddddd", fill_right, srshr_64)
    add(b"SRSHR_scalar_D", b"010111110 1iiiiii 001001 nnnnn ddddd", fill_right, srshr_64)
    add(b"URSHR_B", b"0q1011110 0001iii 001001 nnnnn ddddd", fill_right, urshr_8)
    add(b"URSHR_H", b"0q1011110 001iiii 001001 nnnnn ddddd", fill_right, urshr_16)
    add(b"URSHR_S", b"0q1011110 01iiiii 001001 nnnnn ddddd", fill_right, urshr_32)
    add(b"URSHR_D", b"011011110 1iiiiii 001001 nnnnn ddddd", fill_right, urshr_64)
    add(b"URSHR_scalar_D", b"011111110 1iiiiii 001001 nnnnn ddddd", fill_right, urshr_64)
    add(b"SRSRA_B", b"0q0011110 0001iii 001101 nnnnn ddddd", fill_right, srsra_8)
    add(b"SRSRA_H", b"0q0011110 001iiii 001101 nnnnn ddddd", fill_right, srsra_16)
    add(b"SRSRA_S", b"0q0011110 01iiiii 001101 nnnnn ddddd", fill_right, srsra_32)
    add(b"SRSRA_D", b"010011110 1iiiiii 001101 nnnnn ddddd", fill_right, srsra_64)
    add(b"SRSRA_scalar_D", b"010111110 1iiiiii 001101 nnnnn ddddd", fill_right, srsra_64)
    add(b"URSRA_B", b"0q1011110 0001iii 001101 nnnnn ddddd", fill_right, ursra_8)
    add(b"URSRA_H", b"0q1011110 001iiii 001101 nnnnn ddddd", fill_right, ursra_16)
    add(b"URSRA_S", b"0q1011110 01iiiii 001101 nnnnn ddddd", fill_right, ursra_32)
    add(b"URSRA_D", b"011011110 1iiiiii 001101 nnnnn ddddd", fill_right, ursra_64)
    add(b"URSRA_scalar_D", b"011111110 1iiiiii 001101 nnnnn ddddd", fill_right, ursra_64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
