# cython: language_level=3
"""Advanced SIMD shift by immediate (C4.1.96): SHL, USHR, SSHR, USRA, SSRA, SLI, SRI, vector and scalar.

SHL, USHR, SLI and SRI go by 64-bit words, whatever the size of the elements: imm is the mask of what a
shifted element keeps, in each element of a word; rm is the shift, 63 at most; aux is the mask of the
upper half (lanes.pxd).

The other right shifts go by elements, in two steps: by rm, which is one less than the shift, and by one.
So a shift by the size of the element needs no special case. imm is the mask of the upper half.

Scalars are 64-bit vectors of one element.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT, OK
from guestdbg.cpu.instructions.simd.lanes cimport every, ones, write_upper_masked
from guestdbg.cpu.instructions.simd.shift_common cimport (
    fill_right, left_shift, right_shift, set_shifted, size_of_shifted,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, vd, vn, write_vector
from guestdbg.cpu.operands cimport imm, rm

# ---- by words ---------------------------------------------------------------------------------

cdef void shl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_upper_masked(c, i, vn(c, i)[0] << rm(i) & imm(i), vn(c, i)[1] << rm(i) & imm(i))
    NEXT(c, i)

cdef void ushr(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_upper_masked(c, i, vn(c, i)[0] >> rm(i) & imm(i), vn(c, i)[1] >> rm(i) & imm(i))
    NEXT(c, i)

cdef inline uint64_t inserted(const Insn* i, uint64_t d, uint64_t shifted) noexcept nogil:
    return (d & ~imm(i)) | (shifted & imm(i))

cdef void sli(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_upper_masked(c, i, inserted(i, vd(c, i)[0], vn(c, i)[0] << rm(i)),
                       inserted(i, vd(c, i)[1], vn(c, i)[1] << rm(i)))
    NEXT(c, i)

cdef void sri(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_upper_masked(c, i, inserted(i, vd(c, i)[0], vn(c, i)[0] >> rm(i)),
                       inserted(i, vd(c, i)[1], vn(c, i)[1] >> rm(i)))
    NEXT(c, i)

# ---- by elements ------------------------------------------------------------------------------

cdef inline void sshr_elements8(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(16):
        (<int8_t*>result)[e] = <int8_t>((((<const int8_t*>n)[e] >> shift) >> 1))

cdef void sshr_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    sshr_elements8(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void sshr_elements16(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(8):
        (<int16_t*>result)[e] = <int16_t>((((<const int16_t*>n)[e] >> shift) >> 1))

cdef void sshr_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    sshr_elements16(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void sshr_elements32(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(4):
        (<int32_t*>result)[e] = <int32_t>((((<const int32_t*>n)[e] >> shift) >> 1))

cdef void sshr_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    sshr_elements32(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void sshr_elements64(uint64_t* result, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(2):
        (<int64_t*>result)[e] = <int64_t>((((<const int64_t*>n)[e] >> shift) >> 1))

cdef void sshr_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    sshr_elements64(result, vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void usra_elements8(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(16):
        (<uint8_t*>result)[e] = <uint8_t>((<const uint8_t*>d)[e] + (((<const uint8_t*>n)[e] >> shift) >> 1))

cdef void usra_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    usra_elements8(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void usra_elements16(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(8):
        (<uint16_t*>result)[e] = <uint16_t>((<const uint16_t*>d)[e] + (((<const uint16_t*>n)[e] >> shift) >> 1))

cdef void usra_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    usra_elements16(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void usra_elements32(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(4):
        (<uint32_t*>result)[e] = <uint32_t>((<const uint32_t*>d)[e] + (((<const uint32_t*>n)[e] >> shift) >> 1))

cdef void usra_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    usra_elements32(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void usra_elements64(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(2):
        (<uint64_t*>result)[e] = <uint64_t>((<const uint64_t*>d)[e] + (((<const uint64_t*>n)[e] >> shift) >> 1))

cdef void usra_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    usra_elements64(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void ssra_elements8(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(16):
        (<int8_t*>result)[e] = <int8_t>((<const int8_t*>d)[e] + (((<const int8_t*>n)[e] >> shift) >> 1))

cdef void ssra_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    ssra_elements8(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void ssra_elements16(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(8):
        (<int16_t*>result)[e] = <int16_t>((<const int16_t*>d)[e] + (((<const int16_t*>n)[e] >> shift) >> 1))

cdef void ssra_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    ssra_elements16(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void ssra_elements32(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(4):
        (<int32_t*>result)[e] = <int32_t>((<const int32_t*>d)[e] + (((<const int32_t*>n)[e] >> shift) >> 1))

cdef void ssra_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    ssra_elements32(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

cdef inline void ssra_elements64(uint64_t* result, const uint64_t* d, const uint64_t* n, int shift) noexcept nogil:
    cdef int e
    for e in range(2):
        (<int64_t*>result)[e] = <int64_t>((<const int64_t*>d)[e] + (((<const int64_t*>n)[e] >> shift) >> 1))

cdef void ssra_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    ssra_elements64(result, vd(c, i), vn(c, i), rm(i))
    write_vector(c, i, result)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_left_words(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """SHL, SLI."""
    cdef uint32_t esize = size_of_shifted(raw)
    set_shifted(o, raw)
    o.aux = <uint32_t>o.imm
    o.rm = <uint8_t>left_shift(raw)
    o.imm = every(esize, ones(8 << esize) & ~<uint64_t>0 << o.rm)
    return OK

cdef int fill_right_words(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """USHR, SRI."""
    cdef uint32_t esize = size_of_shifted(raw)
    cdef uint32_t shift = right_shift(raw)
    set_shifted(o, raw)
    o.aux = <uint32_t>o.imm
    o.rm = <uint8_t>(shift if shift < 64 else 63)
    o.imm = every(esize, ones(8 << esize) >> (shift - 1) >> 1)
    return OK

cdef int register_words() except -1:
    add(b"SHL_B", b"0q0011110 0001iii 010101 nnnnn ddddd", fill_left_words, shl)
    add(b"SHL_H", b"0q0011110 001iiii 010101 nnnnn ddddd", fill_left_words, shl)
    add(b"SHL_S", b"0q0011110 01iiiii 010101 nnnnn ddddd", fill_left_words, shl)
    add(b"SHL_D", b"010011110 1iiiiii 010101 nnnnn ddddd", fill_left_words, shl)
    add(b"SHL_scalar_D", b"010111110 1iiiiii 010101 nnnnn ddddd", fill_left_words, shl)
    add(b"SLI_B", b"0q1011110 0001iii 010101 nnnnn ddddd", fill_left_words, sli)
    add(b"SLI_H", b"0q1011110 001iiii 010101 nnnnn ddddd", fill_left_words, sli)
    add(b"SLI_S", b"0q1011110 01iiiii 010101 nnnnn ddddd", fill_left_words, sli)
    add(b"SLI_D", b"011011110 1iiiiii 010101 nnnnn ddddd", fill_left_words, sli)
    add(b"SLI_scalar_D", b"011111110 1iiiiii 010101 nnnnn ddddd", fill_left_words, sli)
    add(b"USHR_B", b"0q1011110 0001iii 000001 nnnnn ddddd", fill_right_words, ushr)
    add(b"USHR_H", b"0q1011110 001iiii 000001 nnnnn ddddd", fill_right_words, ushr)
    add(b"USHR_S", b"0q1011110 01iiiii 000001 nnnnn ddddd", fill_right_words, ushr)
    add(b"USHR_D", b"011011110 1iiiiii 000001 nnnnn ddddd", fill_right_words, ushr)
    add(b"USHR_scalar_D", b"011111110 1iiiiii 000001 nnnnn ddddd", fill_right_words, ushr)
    add(b"SRI_B", b"0q1011110 0001iii 010001 nnnnn ddddd", fill_right_words, sri)
    add(b"SRI_H", b"0q1011110 001iiii 010001 nnnnn ddddd", fill_right_words, sri)
    add(b"SRI_S", b"0q1011110 01iiiii 010001 nnnnn ddddd", fill_right_words, sri)
    add(b"SRI_D", b"011011110 1iiiiii 010001 nnnnn ddddd", fill_right_words, sri)
    add(b"SRI_scalar_D", b"011111110 1iiiiii 010001 nnnnn ddddd", fill_right_words, sri)
    return 0

cdef int register_elements() except -1:
    add(b"SSHR_B", b"0q0011110 0001iii 000001 nnnnn ddddd", fill_right, sshr_8)
    add(b"SSHR_H", b"0q0011110 001iiii 000001 nnnnn ddddd", fill_right, sshr_16)
    add(b"SSHR_S", b"0q0011110 01iiiii 000001 nnnnn ddddd", fill_right, sshr_32)
    add(b"SSHR_D", b"010011110 1iiiiii 000001 nnnnn ddddd", fill_right, sshr_64)
    add(b"SSHR_scalar_D", b"010111110 1iiiiii 000001 nnnnn ddddd", fill_right, sshr_64)
    add(b"SSRA_B", b"0q0011110 0001iii 000101 nnnnn ddddd", fill_right, ssra_8)
    add(b"SSRA_H", b"0q0011110 001iiii 000101 nnnnn ddddd", fill_right, ssra_16)
    add(b"SSRA_S", b"0q0011110 01iiiii 000101 nnnnn ddddd", fill_right, ssra_32)
    add(b"SSRA_D", b"010011110 1iiiiii 000101 nnnnn ddddd", fill_right, ssra_64)
    add(b"SSRA_scalar_D", b"010111110 1iiiiii 000101 nnnnn ddddd", fill_right, ssra_64)
    add(b"USRA_B", b"0q1011110 0001iii 000101 nnnnn ddddd", fill_right, usra_8)
    add(b"USRA_H", b"0q1011110 001iiii 000101 nnnnn ddddd", fill_right, usra_16)
    add(b"USRA_S", b"0q1011110 01iiiii 000101 nnnnn ddddd", fill_right, usra_32)
    add(b"USRA_D", b"011011110 1iiiiii 000101 nnnnn ddddd", fill_right, usra_64)
    add(b"USRA_scalar_D", b"011111110 1iiiiii 000101 nnnnn ddddd", fill_right, usra_64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register_words()
    register_elements()
