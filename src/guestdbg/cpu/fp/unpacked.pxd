# cython: language_level=3
"""A value taken apart (FPUnpack), and what becomes of NaNs (FPProcessNaN, FPProcessNaNs).

Everything here is inlined: where `fmt` is a constant, so are the widths of its fields.
"""
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu, unlikely
from guestdbg.cpu.fp.formats cimport DOUBLE, FPCR_DN, FPCR_FZ, FPCR_FZ16, FPSR_IDC, FPSR_IOC, HALF, SINGLE

cdef extern from *:
    int clz64 "__builtin_clzll"(unsigned long long) nogil  # not for 0

cdef enum:                 # Unpacked.kind; the NaNs come last
    KIND_ZERO = 0
    KIND_NONZERO = 1
    KIND_INFINITY = 2
    KIND_QUIET = 3
    KIND_SIGNALLING = 4

cdef struct Unpacked:      # a nonzero value is significand * 2^(exponent - 63)
    uint64_t significand   # bit 63 is set
    int exponent
    int kind
    uint64_t sign          # 0 or 1

# ---- the fields of a format -------------------------------------------------------------------

cdef inline int fraction_bits(int fmt) noexcept nogil:
    return 52 if fmt == DOUBLE else 23 if fmt == SINGLE else 10

cdef inline int exponent_bias(int fmt) noexcept nogil:
    return 1023 if fmt == DOUBLE else 127 if fmt == SINGLE else 15

cdef inline int exponent_ones(int fmt) noexcept nogil:
    return 2 * exponent_bias(fmt) + 1

cdef inline int sign_shift(int fmt) noexcept nogil:
    return (8 << fmt) - 1

cdef inline uint64_t sign_bit(int fmt) noexcept nogil:
    return <uint64_t>1 << sign_shift(fmt)

cdef inline uint64_t fraction_mask(int fmt) noexcept nogil:
    return (<uint64_t>1 << fraction_bits(fmt)) - 1

cdef inline uint64_t quiet_bit(int fmt) noexcept nogil:
    return <uint64_t>1 << (fraction_bits(fmt) - 1)

cdef inline uint64_t infinity(int fmt) noexcept nogil:
    return <uint64_t>exponent_ones(fmt) << fraction_bits(fmt)

cdef inline uint64_t default_nan(int fmt) noexcept nogil:
    return infinity(fmt) | quiet_bit(fmt)

cdef inline uint64_t signed_zero(int fmt, uint64_t sign) noexcept nogil:
    return sign << sign_shift(fmt)

cdef inline uint64_t signed_infinity(int fmt, uint64_t sign) noexcept nogil:
    return signed_zero(fmt, sign) | infinity(fmt)

cdef inline uint64_t magnitude(int fmt, uint64_t a) noexcept nogil:
    return a & (sign_bit(fmt) - 1)

cdef inline bint is_nan(int fmt, uint64_t a) noexcept nogil:
    return magnitude(fmt, a) > infinity(fmt)

cdef inline bint is_signalling(int fmt, uint64_t a) noexcept nogil:
    return is_nan(fmt, a) and not a & quiet_bit(fmt)

# ---- flushing and NaNs ------------------------------------------------------------------------

cdef inline bint flushes(const Cpu* c, int fmt) noexcept nogil:
    """Denormal operands and results of this format are flushed to zero."""
    return (c.fpcr & (FPCR_FZ16 if fmt == HALF else FPCR_FZ)) != 0

cdef inline uint64_t invalid_operation(Cpu* c, int fmt) noexcept nogil:
    """The result of an operation that has none."""
    c.fpsr |= FPSR_IOC
    return default_nan(fmt)

cdef inline uint64_t process_nan(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    """FPProcessNaN."""
    if not a & quiet_bit(fmt):
        c.fpsr |= FPSR_IOC
    if c.fpcr & FPCR_DN:
        return default_nan(fmt)
    return a | quiet_bit(fmt)

cdef inline uint64_t process_nans(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    """FPProcessNaNs, of which at least one is a NaN: a signalling one comes first, then the order."""
    if is_signalling(fmt, a) or (is_nan(fmt, a) and not is_signalling(fmt, b)):
        return process_nan(c, fmt, a)
    return process_nan(c, fmt, b)

cdef inline uint64_t process_nans3(Cpu* c, int fmt, uint64_t a, uint64_t b, uint64_t d) noexcept nogil:
    """FPProcessNaNs3."""
    if is_signalling(fmt, a):
        return process_nan(c, fmt, a)
    if is_signalling(fmt, b):
        return process_nan(c, fmt, b)
    if is_signalling(fmt, d):
        return process_nan(c, fmt, d)
    if is_nan(fmt, a):
        return process_nan(c, fmt, a)
    if is_nan(fmt, b):
        return process_nan(c, fmt, b)
    return process_nan(c, fmt, d)

cdef inline uint64_t flush_operand(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    """The operand as FPUnpack sees it: a denormal one is a zero where it is flushed. FZ16 sets no flag."""
    if unlikely(magnitude(fmt, a) - 1 < fraction_mask(fmt)) and flushes(c, fmt):
        if fmt != HALF:
            c.fpsr |= FPSR_IDC
        return a & sign_bit(fmt)
    return a

# ---- unpacking --------------------------------------------------------------------------------

cdef inline Unpacked unpack_finite(int fmt, uint64_t a) noexcept nogil:
    """Neither infinite nor a NaN, whatever its exponent."""
    cdef Unpacked x
    cdef int exponent = <int>(magnitude(fmt, a) >> fraction_bits(fmt))
    cdef uint64_t fraction = a & fraction_mask(fmt)
    cdef int zeros
    x.sign = a >> sign_shift(fmt)
    x.kind = KIND_NONZERO
    if exponent == 0:
        if fraction == 0:
            x.kind = KIND_ZERO
            x.significand = 0
            x.exponent = 0
            return x
        zeros = clz64(fraction)
        x.significand = fraction << zeros
        x.exponent = 1 - exponent_bias(fmt) + (63 - fraction_bits(fmt)) - zeros
        return x
    x.significand = (fraction << (63 - fraction_bits(fmt))) | (<uint64_t>1 << 63)
    x.exponent = exponent - exponent_bias(fmt)
    return x

cdef inline Unpacked unpack(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    """FPUnpack."""
    cdef Unpacked x
    if unlikely(magnitude(fmt, a) >= infinity(fmt)):
        x.significand = 0
        x.exponent = 0
        x.sign = a >> sign_shift(fmt)
        if magnitude(fmt, a) == infinity(fmt):
            x.kind = KIND_INFINITY
        elif a & quiet_bit(fmt):
            x.kind = KIND_QUIET
        else:
            x.kind = KIND_SIGNALLING
        return x
    return unpack_finite(fmt, flush_operand(c, fmt, a))
