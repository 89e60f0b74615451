# cython: language_level=3
"""Advanced SIMD shift left long by immediate (C4.1.96): SSHLL, USHLL (SXTL, UXTL) and the same of the upper
half (names that end in 2).

aux is the half of Vn that is read, 0 or 1. Functions are named by the size of the elements read.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Insn, NEXT, OK
from guestdbg.cpu.instructions.simd.shift_common cimport left_shift, size_of_shifted
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vn, write_vd
from guestdbg.cpu.operands cimport aux, rm

cdef inline const uint64_t* half(const Cpu* c, const Insn* i) noexcept nogil:
    return vn(c, i) + aux(i)

# Zero-extended elements can be shifted as one word: nothing leaves an element.

cdef void ushll_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef int e
    if fp_is_trapped(c, i):
        return
    for e in range(8):
        (<uint16_t*>result)[e] = (<const uint8_t*>half(c, i))[e]
    write_vd(c, i, result[0] << rm(i), result[1] << rm(i))
    NEXT(c, i)

cdef void ushll_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef int e
    if fp_is_trapped(c, i):
        return
    for e in range(4):
        (<uint32_t*>result)[e] = (<const uint16_t*>half(c, i))[e]
    write_vd(c, i, result[0] << rm(i), result[1] << rm(i))
    NEXT(c, i)

cdef void ushll_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t n
    if fp_is_trapped(c, i):
        return
    n = half(c, i)[0]
    write_vd(c, i, <uint64_t><uint32_t>n << rm(i), n >> 32 << rm(i))
    NEXT(c, i)

# Signed ones are put into the upper half of the result's element and shifted down from there: by rm, the
# element's size minus the shift.

cdef void sshll_8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef int16_t above
    cdef int e
    if fp_is_trapped(c, i):
        return
    for e in range(8):
        above = <int16_t>((<const uint8_t*>half(c, i))[e] << 8)
        (<int16_t*>result)[e] = <int16_t>(above >> rm(i))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef void sshll_16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    cdef int32_t above
    cdef int e
    if fp_is_trapped(c, i):
        return
    for e in range(4):
        above = <int32_t>((<const uint16_t*>half(c, i))[e] << 16)
        (<int32_t*>result)[e] = <int32_t>(above >> rm(i))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef void sshll_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t n
    if fp_is_trapped(c, i):
        return
    n = half(c, i)[0]
    write_vd(c, i, <uint64_t>(<int64_t>(n << 32) >> rm(i)),
             <uint64_t>(<int64_t>(n & ~<uint64_t>0xFFFFFFFF) >> rm(i)))
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_long(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.rm = <uint8_t>left_shift(raw)
    o.aux = bits(raw, 30, 30)
    return OK

cdef int fill_signed(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    fill_long(c, o, raw, pc)
    o.rm = <uint8_t>((8 << size_of_shifted(raw)) - o.rm)
    return OK

cdef int register() except -1:
    add(b"SSHLL_B", b"0q0011110 0001iii 101001 nnnnn ddddd", fill_signed, sshll_8)
    add(b"SSHLL_H", b"0q0011110 001iiii 101001 nnnnn ddddd", fill_signed, sshll_16)
    add(b"SSHLL_S", b"0q0011110 01iiiii 101001 nnnnn ddddd", fill_signed, sshll_32)
    add(b"USHLL_B", b"0q1011110 0001iii 101001 nnnnn ddddd", fill_long, ushll_8)
    add(b"USHLL_H", b"0q1011110 001iiii 101001 nnnnn ddddd", fill_long, ushll_16)
    add(b"USHLL_S", b"0q1011110 01iiiii 101001 nnnnn ddddd", fill_long, ushll_32)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
