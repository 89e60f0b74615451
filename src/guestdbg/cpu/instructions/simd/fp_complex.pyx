# cython: language_level=3
"""FCADD and FCMLA (FEAT_FCMA): pairs of elements are complex numbers, the real part first."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, Insn, NEXT, OK, UNDEF
from guestdbg.cpu.features cimport has_fcma
from guestdbg.cpu.fp.formats cimport HALF, SINGLE
from guestdbg.cpu.instructions.simd.fp_each cimport each_complex_add, each_complex_muladd
from guestdbg.cpu.instructions.simd.fp_shape cimport INDEX, ROUNDING, row, set_shape, set_shape_half
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped

cdef void fcadd(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_complex_add(c, i)
    NEXT(c, i)

cdef void fcmla(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_complex_muladd(c, i, False)
    NEXT(c, i)

cdef void fcmla_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_complex_muladd(c, i, True)
    NEXT(c, i)

# ---- decode: the rotation takes the place of the rounding ---------------------------------------

cdef inline int set_complex(Cpu* c, Insn* o, uint32_t raw) noexcept nogil:
    cdef uint32_t size = bits(raw, 23, 22)
    if not has_fcma(c) or size == 0:
        return UNDEF
    return set_shape_half(c, o, raw) if size == HALF else set_shape(o, raw, <int>size)

cdef int fill_fcadd(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int found = set_complex(c, o, raw)
    if found == OK:
        o.aux |= bits(raw, 12, 12) << ROUNDING
    return found

cdef int fill_fcmla(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int found = set_complex(c, o, raw)
    if found == OK:
        o.aux |= bits(raw, 12, 11) << ROUNDING
    return found

cdef int fill_fcmla_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """The index is of a pair: H:L of half precision, where a 64-bit vector has two, H of single, which
    needs a vector of 128 bits."""
    cdef uint32_t size = bits(raw, 23, 22), high = bits(raw, 11, 11), low = bits(raw, 21, 21)
    cdef uint32_t index = high << 1 | low if size == HALF else high
    cdef bint full = raw & (1 << 30)
    if (high if size == HALF else 1) and not full or size == SINGLE and low:
        return UNDEF
    if set_complex(c, o, raw) != OK:
        return UNDEF
    o.aux |= bits(raw, 14, 13) << ROUNDING | index << INDEX
    return OK

cdef int register() except -1:
    row("FCMLA_asimdsame2_C", "0 q 1 01110 ss 0 mmmmm 110 rr 1 nnnnn ddddd", fill_fcmla, fcmla)
    row("FCADD_asimdsame2_C", "0 q 1 01110 ss 0 mmmmm 111 r 01 nnnnn ddddd", fill_fcadd, fcadd)
    row("FCMLA_asimdelem_C_H", "0 q 1 01111 01 lm mmmm 0 rr 1 h 0 nnnnn ddddd", fill_fcmla_element,
        fcmla_element)
    row("FCMLA_asimdelem_C_S", "0 q 1 01111 10 lm mmmm 0 rr 1 h 0 nnnnn ddddd", fill_fcmla_element,
        fcmla_element)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
