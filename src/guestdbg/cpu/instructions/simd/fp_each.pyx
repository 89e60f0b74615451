# cython: language_level=3
"""Floating-point instructions element by element: what fits all formats, operands and modes.

Only elements that exist are computed: others would set flags of FPSR. A result is written when all of
it is known, because Vd may be an operand as well. What a vector does not have is zero.

A module of its own: here arrays may be local, as these functions return before NEXT.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn
from guestdbg.cpu.fp.arithmetic cimport fp_add, fp_muladd, fp_muladd_long
from guestdbg.cpu.fp.convert cimport (
    fixed_to_fp, fp_round_to_integral, fp_to_fixed, fp_to_fp, fp_to_fp_odd,
)
from guestdbg.cpu.fp.formats cimport HALF, ROUND_FPCR, SINGLE
from guestdbg.cpu.instructions.simd.fp_shape cimport (
    element_count, element_format, element_index, flag_of, fraction_bits, get_element, rounding_of,
    set_element, sign_bit,
)
from guestdbg.cpu.instructions.simd.simd_common cimport vd, vm, vn, write_vd


cdef void each_unary(Cpu* c, const Insn* i, Unary f) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(element_count(i)):
        set_element(r, e, fmt, f(c, fmt, get_element(vn(c, i), e, fmt)))
    write_vd(c, i, r[0], r[1])

cdef void each_binary(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(element_count(i)):
        set_element(r, e, fmt, f(c, fmt, get_element(vn(c, i), e, fmt), get_element(vm(c, i), e, fmt)))
    write_vd(c, i, r[0], r[1])

cdef void each_ternary(Cpu* c, const Insn* i, Ternary f) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(element_count(i)):
        set_element(r, e, fmt, f(c, fmt, get_element(vd(c, i), e, fmt), get_element(vn(c, i), e, fmt),
                                 get_element(vm(c, i), e, fmt)))
    write_vd(c, i, r[0], r[1])

# ---- by element -------------------------------------------------------------------------------

cdef void each_binary_indexed(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint64_t m = get_element(vm(c, i), element_index(i), fmt)
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(element_count(i)):
        set_element(r, e, fmt, f(c, fmt, get_element(vn(c, i), e, fmt), m))
    write_vd(c, i, r[0], r[1])

cdef void each_ternary_indexed(Cpu* c, const Insn* i, Ternary f) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint64_t m = get_element(vm(c, i), element_index(i), fmt)
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(element_count(i)):
        set_element(r, e, fmt, f(c, fmt, get_element(vd(c, i), e, fmt), get_element(vn(c, i), e, fmt), m))
    write_vd(c, i, r[0], r[1])

# ---- across elements --------------------------------------------------------------------------

cdef void each_pair(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t half = element_count(i) >> 1
    cdef const uint64_t* v
    cdef uint32_t e, from_n
    r[0] = r[1] = 0
    for e in range(2 * half):
        from_n = e < half
        v = vn(c, i) if from_n else vm(c, i)
        from_n = 2 * (e if from_n else e - half)
        set_element(r, e, fmt, f(c, fmt, get_element(v, from_n, fmt), get_element(v, from_n + 1, fmt)))
    write_vd(c, i, r[0], r[1])

cdef void pair_to_scalar(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    cdef int fmt = element_format(i)
    write_vd(c, i, f(c, fmt, get_element(vn(c, i), 0, fmt), get_element(vn(c, i), 1, fmt)), 0)

cdef void reduce_all(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t count = element_count(i)
    cdef uint32_t e
    r[0] = vn(c, i)[0]
    r[1] = vn(c, i)[1]
    while count > 1:
        count >>= 1
        for e in range(count):
            set_element(r, e, fmt, f(c, fmt, get_element(r, 2 * e, fmt), get_element(r, 2 * e + 1, fmt)))
    write_vd(c, i, get_element(r, 0, fmt), 0)

# ---- conversions ------------------------------------------------------------------------------

cdef void each_round(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(element_count(i)):
        set_element(r, e, fmt, fp_round_to_integral(c, fmt, get_element(vn(c, i), e, fmt), rounding_of(i),
                                                    flag_of(i)))
    write_vd(c, i, r[0], r[1])

cdef void each_to_fixed(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(element_count(i)):
        set_element(r, e, fmt, fp_to_fixed(c, fmt, get_element(vn(c, i), e, fmt), 8 << fmt,
                                           fraction_bits(i), flag_of(i), rounding_of(i)))
    write_vd(c, i, r[0], r[1])

cdef void each_from_fixed(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(element_count(i)):
        set_element(r, e, fmt, fixed_to_fp(c, fmt, get_element(vn(c, i), e, fmt), 8 << fmt,
                                           fraction_bits(i), flag_of(i), ROUND_FPCR))
    write_vd(c, i, r[0], r[1])

cdef void each_lengthened(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t e
    cdef uint64_t source = vn(c, i)[flag_of(i)]
    for e in range(element_count(i)):
        set_element(r, e, fmt + 1, fp_to_fp(c, fmt, fmt + 1, get_element(&source, e, fmt)))
    write_vd(c, i, r[0], r[1])

cdef void each_narrowed(Cpu* c, const Insn* i, bint odd) noexcept nogil:
    cdef int fmt = element_format(i)
    cdef uint64_t r = 0, a
    cdef uint32_t e
    for e in range(element_count(i)):
        a = get_element(vn(c, i), e, fmt + 1)
        a = fp_to_fp_odd(c, fmt + 1, fmt, a) if odd else fp_to_fp(c, fmt + 1, fmt, a)
        set_element(&r, e, fmt, a)
    if flag_of(i):
        write_vd(c, i, vd(c, i)[0], r)
    else:
        write_vd(c, i, r, 0)

# ---- widening products of half precision ------------------------------------------------------

cdef void each_muladd_long(Cpu* c, const Insn* i, bint subtract, bint upper, bint indexed) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint32_t count = element_count(i)
    cdef uint32_t first = count if upper else 0
    cdef uint32_t e
    cdef uint64_t a, b
    r[0] = r[1] = 0
    for e in range(count):
        a = get_element(vn(c, i), first + e, HALF)
        b = get_element(vm(c, i), element_index(i) if indexed else first + e, HALF)
        if subtract:
            a ^= sign_bit(HALF)
        set_element(r, e, SINGLE, fp_muladd_long(c, get_element(vd(c, i), e, SINGLE), a, b))
    write_vd(c, i, r[0], r[1])

# ---- complex numbers: the real part is the even element ---------------------------------------

cdef void each_complex_add(Cpu* c, const Insn* i) noexcept nogil:
    """rounding_of: 0 rotates Vm by 90 degrees, 1 by 270."""
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint64_t sign = sign_bit(fmt)
    cdef uint64_t real_sign = 0 if rounding_of(i) else sign
    cdef uint64_t imaginary_sign = sign ^ real_sign
    cdef uint64_t real, imaginary
    cdef uint32_t e
    r[0] = r[1] = 0
    for e in range(0, element_count(i), 2):
        real = get_element(vm(c, i), e + 1, fmt) ^ real_sign
        imaginary = get_element(vm(c, i), e, fmt) ^ imaginary_sign
        set_element(r, e, fmt, fp_add(c, fmt, get_element(vn(c, i), e, fmt), real))
        set_element(r, e + 1, fmt, fp_add(c, fmt, get_element(vn(c, i), e + 1, fmt), imaginary))
    write_vd(c, i, r[0], r[1])

cdef void each_complex_muladd(Cpu* c, const Insn* i, bint indexed) noexcept nogil:
    """rounding_of: the rotation in quarters of a turn."""
    cdef uint64_t r[2]
    cdef int fmt = element_format(i)
    cdef uint32_t quarters = rounding_of(i)
    cdef uint32_t odd = quarters & 1
    cdef uint64_t real_sign = sign_bit(fmt) if quarters in (1, 2) else 0
    cdef uint64_t imaginary_sign = sign_bit(fmt) if quarters >= 2 else 0
    cdef uint64_t n, real, imaginary
    cdef uint32_t e, m
    r[0] = r[1] = 0
    for e in range(0, element_count(i), 2):
        m = 2 * element_index(i) if indexed else e
        n = get_element(vn(c, i), e + odd, fmt)
        real = get_element(vm(c, i), m + odd, fmt) ^ real_sign
        imaginary = get_element(vm(c, i), m + (odd ^ 1), fmt) ^ imaginary_sign
        set_element(r, e, fmt, fp_muladd(c, fmt, get_element(vd(c, i), e, fmt), n, real))
        set_element(r, e + 1, fmt, fp_muladd(c, fmt, get_element(vd(c, i), e + 1, fmt), n, imaginary))
    write_vd(c, i, r[0], r[1])
