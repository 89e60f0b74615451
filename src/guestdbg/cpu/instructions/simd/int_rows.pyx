# cython: language_level=3
"""How the integer instructions of Advanced SIMD are decoded: operands, rows of the table."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Fill, Insn, OK, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport HAS_128, HAS_16, HAS_32, HAS_64, HAS_8
from guestdbg.cpu.instructions.simd.simd_common cimport set_registers, set_vector

# ---- operands ---------------------------------------------------------------------------------

cdef inline uint8_t has(uint32_t size) noexcept nogil:
    if size == 0:
        return HAS_8
    if size == 1:
        return HAS_16
    if size == 2:
        return HAS_32
    return HAS_64

cdef int fill_vector(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_vector(o, raw)
    o.ra = HAS_128 if raw & (1 << 30) else HAS_64
    return OK

cdef int fill_scalar(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.imm = 0
    o.ra = has(bits(raw, 23, 22))
    return OK

cdef int fill_long(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.imm = bits(raw, 30, 30)
    o.ra = HAS_128
    return OK

cdef int fill_long_scalar(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.imm = 0
    o.ra = has(bits(raw, 23, 22) + 1)
    return OK

cdef void set_element(Insn* o, uint32_t raw) noexcept nogil:
    # H is bit 11, L bit 21, M bit 20: the index is H:L:M in halfwords, H:L in words.
    cdef uint32_t index = bits(raw, 11, 11) << 1 | bits(raw, 21, 21)
    if bits(raw, 23, 22) == 1:
        o.rm = <uint8_t>bits(raw, 19, 16)
        index = index << 1 | bits(raw, 20, 20)
    o.aux = index

cdef int fill_vector_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    fill_vector(c, o, raw, pc)
    set_element(o, raw)
    return OK

cdef int fill_scalar_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    fill_scalar(c, o, raw, pc)
    set_element(o, raw)
    return OK

cdef int fill_long_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    fill_long(c, o, raw, pc)
    set_element(o, raw)
    return OK

cdef int fill_long_scalar_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    fill_long_scalar(c, o, raw, pc)
    set_element(o, raw)
    return OK

# ---- rows -------------------------------------------------------------------------------------

cdef int row(str name, str pattern, Fill fill, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)

cdef int size_rows(str name, str pattern, Fill fill, Op b, Op h, Op s, Op d) except -1:
    if b != NULL:
        row(f"{name}_B", pattern.replace("ss", "00"), fill, b)
    if h != NULL:
        row(f"{name}_H", pattern.replace("ss", "01"), fill, h)
    if s != NULL:
        row(f"{name}_S", pattern.replace("ss", "10"), fill, s)
    if d != NULL:
        # One lane of 64 bits is not a vector.
        row(f"{name}_D", pattern.replace("ss", "11").replace("q", "1"), fill, d)
    return 0
