# cython: language_level=3
"""The shape of a floating-point SIMD instruction: format and number of elements, in Insn.aux.

  bits 1..0     the format: HALF, SINGLE, DOUBLE
  bits 7..4     how many elements there are: 1 for a scalar
  bits 10..8    the index of the element that Vm gives (by element)
  bits 14..12   rounding (conversions, FRINT)
  bit 15        is_unsigned of a conversion, exact of FRINT
  bits 23..16   fraction bits of a fixed-point number

imm is the mask of the upper half, as simd_common.pxd defines it.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Fill, Insn, OK, Op, UNDEF
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.fp.formats cimport DOUBLE, HALF, SINGLE
from guestdbg.cpu.instructions.simd.simd_common cimport set_registers, set_vector
from guestdbg.cpu.operands cimport aux

cdef enum:
    INDEX = 8              # places in aux
    ROUNDING = 12
    FLAG = 15
    FBITS = 16

# ---- for executing functions ------------------------------------------------------------------

cdef inline int element_format(const Insn* i) noexcept nogil:
    return aux(i) & 3

cdef inline uint32_t element_count(const Insn* i) noexcept nogil:
    return (aux(i) >> 4) & 15

cdef inline uint32_t element_index(const Insn* i) noexcept nogil:
    return (aux(i) >> INDEX) & 7

cdef inline int rounding_of(const Insn* i) noexcept nogil:
    return (aux(i) >> ROUNDING) & 7

cdef inline bint flag_of(const Insn* i) noexcept nogil:
    return (aux(i) >> FLAG) & 1

cdef inline int fraction_bits(const Insn* i) noexcept nogil:
    return (aux(i) >> FBITS) & 0xFF

cdef inline uint64_t sign_bit(int fmt) noexcept nogil:
    return <uint64_t>1 << ((8 << fmt) - 1)

cdef inline uint64_t get_element(const uint64_t* v, uint32_t n, int fmt) noexcept nogil:
    """Elem[v, n]: elements are numbered in the order of a little-endian host's memory."""
    if fmt == SINGLE:
        return (<const uint32_t*>v)[n]
    if fmt == DOUBLE:
        return v[n]
    return (<const uint16_t*>v)[n]

cdef inline void set_element(uint64_t* v, uint32_t n, int fmt, uint64_t value) noexcept nogil:
    if fmt == SINGLE:
        (<uint32_t*>v)[n] = <uint32_t>value
    elif fmt == DOUBLE:
        v[n] = value
    else:
        (<uint16_t*>v)[n] = <uint16_t>value

# ---- decode -----------------------------------------------------------------------------------

cdef inline int set_shape(Insn* o, uint32_t raw, int fmt) noexcept nogil:
    """Bit 28 makes it a scalar, otherwise Q says how long the vector is."""
    if raw & (1 << 28):
        set_registers(o, raw)
        o.imm = 0
        o.aux = fmt | 1 << 4
        return OK
    if fmt == DOUBLE and not raw & (1 << 30):
        return UNDEF
    set_vector(o, raw)
    o.aux = fmt | ((16 if raw & (1 << 30) else 8) >> fmt) << 4
    return OK

cdef inline int set_shape_sd(Insn* o, uint32_t raw) noexcept nogil:
    """Single or double precision, by bit 22."""
    return set_shape(o, raw, DOUBLE if raw & (1 << 22) else SINGLE)

cdef inline int set_shape_half(Cpu* c, Insn* o, uint32_t raw) noexcept nogil:
    return set_shape(o, raw, HALF) if has_fp16(c) else UNDEF

cdef inline int row(str name, str pattern, Fill fill, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)
