# cython: language_level=3
"""Advanced SIMD shift right by immediate and narrow (C4.1.96): SHRN, RSHRN (operands: shift_common.pxd).

Functions are named by the size of the elements that they read.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT
from guestdbg.cpu.instructions.simd.shift_common cimport fill_narrow, write_narrow
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, vn
from guestdbg.cpu.operands cimport rm

cdef inline void shrn_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint16_t x
    for e in range(8):
        x = <uint16_t>((<const uint16_t*>n)[e] >> shift)
        (<uint8_t*>result)[e] = <uint8_t>((x >> 1))

cdef void shrn_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result
    if fp_is_trapped(c, i):
        return
    shrn_elements16(&result, vn(c, i), rm(i))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline void shrn_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint32_t x
    for e in range(4):
        x = <uint32_t>((<const uint32_t*>n)[e] >> shift)
        (<uint16_t*>result)[e] = <uint16_t>((x >> 1))

cdef void shrn_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result
    if fp_is_trapped(c, i):
        return
    shrn_elements32(&result, vn(c, i), rm(i))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline void shrn_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint64_t x
    for e in range(2):
        x = <uint64_t>((<const uint64_t*>n)[e] >> shift)
        (<uint32_t*>result)[e] = <uint32_t>((x >> 1))

cdef void shrn_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result
    if fp_is_trapped(c, i):
        return
    shrn_elements64(&result, vn(c, i), rm(i))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline void rshrn_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint16_t x
    for e in range(8):
        x = <uint16_t>((<const uint16_t*>n)[e] >> shift)
        (<uint8_t*>result)[e] = <uint8_t>((x >> 1) + (x & 1))

cdef void rshrn_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result
    if fp_is_trapped(c, i):
        return
    rshrn_elements16(&result, vn(c, i), rm(i))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline void rshrn_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint32_t x
    for e in range(4):
        x = <uint32_t>((<const uint32_t*>n)[e] >> shift)
        (<uint16_t*>result)[e] = <uint16_t>((x >> 1) + (x & 1))

cdef void rshrn_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result
    if fp_is_trapped(c, i):
        return
    rshrn_elements32(&result, vn(c, i), rm(i))
    write_narrow(c, i, result)
    NEXT(c, i)

cdef inline void rshrn_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    cdef uint64_t x
    for e in range(2):
        x = <uint64_t>((<const uint64_t*>n)[e] >> shift)
        (<uint32_t*>result)[e] = <uint32_t>((x >> 1) + (x & 1))

cdef void rshrn_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result
    if fp_is_trapped(c, i):
        return
    rshrn_elements64(&result, vn(c, i), rm(i))
    write_narrow(c, i, result)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int register() except -1:
    add(b"SHRN_B", b"0q0011110 0001iii 100001 nnnnn ddddd", fill_narrow, shrn_16)
    add(b"SHRN_H", b"0q0011110 001iiii 100001 nnnnn ddddd", fill_narrow, shrn_32)
    add(b"SHRN_S", b"0q0011110 01iiiii 100001 nnnnn ddddd", fill_narrow, shrn_64)
    add(b"RSHRN_B", b"0q0011110 0001iii 100011 nnnnn ddddd", fill_narrow, rshrn_16)
    add(b"RSHRN_H", b"0q0011110 001iiii 100011 nnnnn ddddd", fill_narrow, rshrn_32)
    add(b"RSHRN_S", b"0q0011110 01iiiii 100011 nnnnn ddddd", fill_narrow, rshrn_64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
