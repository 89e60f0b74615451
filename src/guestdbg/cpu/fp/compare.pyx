# cython: language_level=3
"""The pseudocode's FPCompare, FPCompareEQ, FPCompareGE, FPCompareGT, FPMax, FPMin, FPMaxNum, FPMinNum."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu
from guestdbg.cpu.fp.formats cimport FPSR_IOC
from guestdbg.cpu.fp.unpacked cimport (
    flush_operand, is_nan, is_signalling, magnitude, process_nans, sign_bit, signed_infinity,
)

cdef enum:                 # NZCV of a comparison
    LESS = 8
    EQUAL = 6
    GREATER = 2
    UNORDERED = 3

cdef inline int64_t ordered(int fmt, uint64_t a) noexcept nogil:
    """An integer that compares as the value does; of a number."""
    cdef int64_t n = <int64_t>magnitude(fmt, a)
    return -n if a & sign_bit(fmt) else n

cdef inline bint unordered(Cpu* c, int fmt, uint64_t a, uint64_t b, bint signal_all) noexcept nogil:
    """One of them is a NaN."""
    if not (is_nan(fmt, a) or is_nan(fmt, b)):
        return False
    if signal_all or is_signalling(fmt, a) or is_signalling(fmt, b):
        c.fpsr |= FPSR_IOC
    return True

cdef uint32_t fp_compare(Cpu* c, int fmt, uint64_t a, uint64_t b, bint signal_all) noexcept nogil:
    a = flush_operand(c, fmt, a)
    b = flush_operand(c, fmt, b)
    if unordered(c, fmt, a, b, signal_all):
        return <uint32_t>UNORDERED << 28
    if ordered(fmt, a) == ordered(fmt, b):
        return <uint32_t>EQUAL << 28
    return <uint32_t>(LESS if ordered(fmt, a) < ordered(fmt, b) else GREATER) << 28

cdef bint fp_eq(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    a = flush_operand(c, fmt, a)
    b = flush_operand(c, fmt, b)
    return not unordered(c, fmt, a, b, False) and ordered(fmt, a) == ordered(fmt, b)

cdef bint fp_ge(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    a = flush_operand(c, fmt, a)
    b = flush_operand(c, fmt, b)
    return not unordered(c, fmt, a, b, True) and ordered(fmt, a) >= ordered(fmt, b)

cdef bint fp_gt(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    a = flush_operand(c, fmt, a)
    b = flush_operand(c, fmt, b)
    return not unordered(c, fmt, a, b, True) and ordered(fmt, a) > ordered(fmt, b)

cdef uint64_t fp_max(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    a = flush_operand(c, fmt, a)
    b = flush_operand(c, fmt, b)
    if is_nan(fmt, a) or is_nan(fmt, b):
        return process_nans(c, fmt, a, b)
    if ordered(fmt, a) == ordered(fmt, b):
        return a & b                                        # of zeros: +0 unless both are -0
    return a if ordered(fmt, a) > ordered(fmt, b) else b

cdef uint64_t fp_min(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    a = flush_operand(c, fmt, a)
    b = flush_operand(c, fmt, b)
    if is_nan(fmt, a) or is_nan(fmt, b):
        return process_nans(c, fmt, a, b)
    if ordered(fmt, a) == ordered(fmt, b):
        return a | b
    return a if ordered(fmt, a) < ordered(fmt, b) else b

cdef inline bint is_quiet(int fmt, uint64_t a) noexcept nogil:
    return is_nan(fmt, a) and not is_signalling(fmt, a)

cdef uint64_t fp_maxnm(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    # A quiet NaN against anything else gives way.
    if is_quiet(fmt, a):
        if not is_quiet(fmt, b):
            a = signed_infinity(fmt, 1)
    elif is_quiet(fmt, b):
        b = signed_infinity(fmt, 1)
    return fp_max(c, fmt, a, b)

cdef uint64_t fp_minnm(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if is_quiet(fmt, a):
        if not is_quiet(fmt, b):
            a = signed_infinity(fmt, 0)
    elif is_quiet(fmt, b):
        b = signed_infinity(fmt, 0)
    return fp_min(c, fmt, a, b)
