# cython: language_level=3, cdivision=True
"""The pseudocode's FPAdd, FPSub, FPMul, FPMulX, FPDiv, FPSqrt, FPMulAdd, FPMulAddH, FPRecipStepFused
and FPRSqrtStepFused.

Each is written once, for a constant format; the function that is exported chooses among the three.
"""
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu, u128, unlikely
from guestdbg.cpu.fp.formats cimport DOUBLE, FPSR_DZC, HALF, ROUND_FPCR, ROUND_NEGINF, SINGLE
from guestdbg.cpu.fp.rounding cimport fp_round, fp_round128, rounding_of, shift_right_sticky128
from guestdbg.cpu.fp.unpacked cimport (
    clz64, default_nan, exponent_bias, fraction_bits, infinity, invalid_operation, KIND_INFINITY,
    KIND_NONZERO, KIND_QUIET, KIND_SIGNALLING, KIND_ZERO, process_nan, process_nans, process_nans3,
    quiet_bit, sign_bit, signed_infinity, signed_zero, unpack, Unpacked,
)

# ---- sums -------------------------------------------------------------------------------------

cdef inline uint64_t exact_zero(Cpu* c, int fmt) noexcept nogil:
    """The zero that is the sum of opposite values."""
    return signed_zero(fmt, rounding_of(c, ROUND_FPCR) == ROUND_NEGINF)

cdef inline uint64_t sum_of(Cpu* c, int fmt, uint64_t sign1, int exponent1, u128 value1,
                            uint64_t sign2, int exponent2, u128 value2, int scale) noexcept nogil:
    """The sum of two values * 2^(exponent - 127), multiplied by 2^scale and rounded.

    Each value has bit 127 set and bit 0 clear, or is zero; not both are. There is one bit of room for
    the carry, and what is shifted out matters only as the sticky bit: after a shift by two or more, the
    highest two bits of a difference are not both zero.
    """
    cdef int distance
    cdef uint64_t sign
    cdef int exponent
    cdef u128 value
    if value1 == 0 or (value2 != 0 and (exponent2 > exponent1 or (exponent2 == exponent1 and value2 > value1))):
        sign = sign1
        sign1 = sign2
        sign2 = sign
        exponent = exponent1
        exponent1 = exponent2
        exponent2 = exponent
        value = value1
        value1 = value2
        value2 = value
    value1 >>= 1
    if value2 != 0:
        value2 = shift_right_sticky128(value2, 1 + exponent1 - exponent2)
        if sign1 == sign2:
            value1 += value2
        else:
            value1 -= value2
            if value1 == 0:
                return exact_zero(c, fmt)
    return fp_round128(c, fmt, sign1, exponent1 + 1 + scale, value1, rounding_of(c, ROUND_FPCR))

cdef inline uint64_t add_(Cpu* c, int fmt, uint64_t a, uint64_t b, uint64_t subtract) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef Unpacked y = unpack(c, fmt, b)
    cdef uint64_t sign = y.sign ^ subtract
    if unlikely(x.kind >= KIND_INFINITY or y.kind >= KIND_INFINITY):
        if x.kind >= KIND_QUIET or y.kind >= KIND_QUIET:
            return process_nans(c, fmt, a, b)
        if x.kind == KIND_INFINITY and y.kind == KIND_INFINITY and x.sign != sign:
            return invalid_operation(c, fmt)
        return signed_infinity(fmt, x.sign if x.kind == KIND_INFINITY else sign)
    if unlikely(x.kind == KIND_ZERO and y.kind == KIND_ZERO):
        return signed_zero(fmt, sign) if x.sign == sign else exact_zero(c, fmt)
    return sum_of(c, fmt, x.sign, x.exponent, (<u128>x.significand) << 64,
                  sign, y.exponent, (<u128>y.significand) << 64, 0)

# ---- products ---------------------------------------------------------------------------------

cdef inline int product_exponent(Unpacked x, Unpacked y) noexcept nogil:
    """Of x.significand * y.significand, a value of 128 bits."""
    return x.exponent + y.exponent + 1

cdef inline bint is_zero_by_infinity(Unpacked x, Unpacked y) noexcept nogil:
    return ((x.kind == KIND_ZERO and y.kind == KIND_INFINITY)
            or (x.kind == KIND_INFINITY and y.kind == KIND_ZERO))

cdef inline uint64_t mul_(Cpu* c, int fmt, uint64_t a, uint64_t b, bint extended) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef Unpacked y = unpack(c, fmt, b)
    cdef uint64_t sign = x.sign ^ y.sign
    if unlikely(x.kind >= KIND_INFINITY or y.kind >= KIND_INFINITY):
        if x.kind >= KIND_QUIET or y.kind >= KIND_QUIET:
            return process_nans(c, fmt, a, b)
        if is_zero_by_infinity(x, y):
            if extended:
                return signed_zero(fmt, sign) | (<uint64_t>(exponent_bias(fmt) + 1) << fraction_bits(fmt))
            return invalid_operation(c, fmt)
        return signed_infinity(fmt, sign)
    if unlikely(x.kind == KIND_ZERO or y.kind == KIND_ZERO):
        return signed_zero(fmt, sign)
    return fp_round128(c, fmt, sign, product_exponent(x, y), <u128>x.significand * y.significand,
                       rounding_of(c, ROUND_FPCR))

cdef inline uint64_t muladd_of(Cpu* c, int fmt, Unpacked z, Unpacked x, Unpacked y, int scale) noexcept nogil:
    """z + x * y, none of which is a NaN, nor x * y zero by infinity."""
    cdef uint64_t sign = x.sign ^ y.sign
    cdef bint infinite = x.kind == KIND_INFINITY or y.kind == KIND_INFINITY
    cdef bint zero = x.kind == KIND_ZERO or y.kind == KIND_ZERO
    cdef u128 product
    cdef int exponent
    if unlikely(z.kind == KIND_INFINITY):
        if infinite and z.sign != sign:
            return invalid_operation(c, fmt)
        return signed_infinity(fmt, z.sign)
    if unlikely(infinite):
        return signed_infinity(fmt, sign)
    if unlikely(zero and z.kind == KIND_ZERO):
        return signed_zero(fmt, sign) if z.sign == sign else exact_zero(c, fmt)
    product = <u128>x.significand * y.significand
    exponent = product_exponent(x, y)
    if <uint64_t>(product >> 64) >> 63 == 0:
        product <<= 1
        exponent -= 1
    return sum_of(c, fmt, z.sign, z.exponent, (<u128>z.significand) << 64, sign, exponent, product, scale)

cdef inline uint64_t muladd_(Cpu* c, int fmt, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil:
    cdef Unpacked z = unpack(c, fmt, addend)
    cdef Unpacked x = unpack(c, fmt, a)
    cdef Unpacked y = unpack(c, fmt, b)
    cdef bint invalid
    if unlikely(x.kind != KIND_NONZERO or y.kind != KIND_NONZERO or z.kind >= KIND_QUIET):
        invalid = is_zero_by_infinity(x, y)
        if x.kind >= KIND_QUIET or y.kind >= KIND_QUIET or (z.kind >= KIND_QUIET and not
                                                            (invalid and z.kind == KIND_QUIET)):
            return process_nans3(c, fmt, addend, a, b)
        if invalid:
            return invalid_operation(c, fmt)
    return muladd_of(c, fmt, z, x, y, 0)

cdef inline Unpacked constant(uint64_t significand, int exponent) noexcept nogil:
    cdef Unpacked z
    z.significand = significand << 62
    z.exponent = exponent
    z.kind = KIND_NONZERO
    z.sign = 0
    return z

cdef inline uint64_t step_(Cpu* c, int fmt, uint64_t a, uint64_t b, uint64_t significand, int scale,
                           uint64_t product_undefined) noexcept nogil:
    """(significand - a * b) * 2^scale. The first operand is negated before anything else is done, so a NaN's
    sign changes."""
    cdef Unpacked x, y
    a ^= sign_bit(fmt)
    x = unpack(c, fmt, a)
    y = unpack(c, fmt, b)
    if x.kind >= KIND_QUIET or y.kind >= KIND_QUIET:
        return process_nans(c, fmt, a, b)
    if is_zero_by_infinity(x, y):
        return product_undefined
    return muladd_of(c, fmt, constant(significand, 1), x, y, scale)

cdef inline uint64_t recip_step_(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    return step_(c, fmt, a, b, 2, 0, <uint64_t>(exponent_bias(fmt) + 1) << fraction_bits(fmt))   # 2.0

cdef inline uint64_t rsqrt_step_(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    return step_(c, fmt, a, b, 3, -1,
                 <uint64_t>exponent_bias(fmt) << fraction_bits(fmt) | quiet_bit(fmt))              # 1.5

# ---- quotient and root ------------------------------------------------------------------------

cdef inline uint64_t div_(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef Unpacked y = unpack(c, fmt, b)
    cdef uint64_t sign = x.sign ^ y.sign
    cdef int exponent = x.exponent - y.exponent
    cdef uint64_t quotient, divisor, dividend
    cdef u128 long_dividend
    cdef int zeros
    if unlikely(x.kind != KIND_NONZERO or y.kind != KIND_NONZERO):
        if x.kind >= KIND_QUIET or y.kind >= KIND_QUIET:
            return process_nans(c, fmt, a, b)
        if x.kind == y.kind:                      # both are zero, or infinite
            return invalid_operation(c, fmt)
        if x.kind == KIND_INFINITY or y.kind == KIND_ZERO:
            if x.kind != KIND_INFINITY:
                c.fpsr |= FPSR_DZC
            return signed_infinity(fmt, sign)
        return signed_zero(fmt, sign)
    if fmt == DOUBLE:
        long_dividend = (<u128>x.significand) << 63
        if x.significand < y.significand:
            long_dividend <<= 1
            exponent -= 1
        quotient = <uint64_t>(long_dividend // y.significand)
        quotient |= <uint64_t>(quotient * y.significand != <uint64_t>long_dividend)
    else:
        # The significands have 24 bits at most: 64 bits are enough.
        dividend = x.significand >> 1
        divisor = y.significand >> 40
        quotient = dividend // divisor
        zeros = clz64(quotient)
        dividend -= quotient * divisor
        quotient = (quotient << zeros) | (dividend != 0)
        exponent += 24 - zeros
    return fp_round(c, fmt, sign, exponent, quotient, rounding_of(c, ROUND_FPCR))

cdef inline uint64_t sqrt_(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef uint64_t digits, root, remainder, trial
    cdef int n
    if unlikely(x.kind != KIND_NONZERO or x.sign):
        if x.kind >= KIND_QUIET:
            return process_nan(c, fmt, a)
        if x.kind == KIND_ZERO:
            return signed_zero(fmt, x.sign)
        if x.sign:
            return invalid_operation(c, fmt)
        return a
    # Two bits of the operand give one of the root. The first two are the integer part, 1 to 3.
    digits = x.significand if x.exponent & 1 else x.significand >> 1
    root = 0
    remainder = 0
    for n in range(fraction_bits(fmt) + 3):
        remainder = (remainder << 2) | (digits >> 62)
        digits <<= 2
        trial = (root << 2) | 1
        root <<= 1
        if remainder >= trial:
            remainder -= trial
            root |= 1
    root = (root << (61 - fraction_bits(fmt))) | (remainder != 0)
    return fp_round(c, fmt, 0, x.exponent >> 1, root, rounding_of(c, ROUND_FPCR))

# ---- the three formats ------------------------------------------------------------------------

cdef uint64_t fp_add(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return add_(c, DOUBLE, a, b, 0)
    if fmt == SINGLE:
        return add_(c, SINGLE, a, b, 0)
    return add_(c, HALF, a, b, 0)

cdef uint64_t fp_sub(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return add_(c, DOUBLE, a, b, 1)
    if fmt == SINGLE:
        return add_(c, SINGLE, a, b, 1)
    return add_(c, HALF, a, b, 1)

cdef uint64_t fp_mul(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return mul_(c, DOUBLE, a, b, False)
    if fmt == SINGLE:
        return mul_(c, SINGLE, a, b, False)
    return mul_(c, HALF, a, b, False)

cdef uint64_t fp_mulx(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return mul_(c, DOUBLE, a, b, True)
    if fmt == SINGLE:
        return mul_(c, SINGLE, a, b, True)
    return mul_(c, HALF, a, b, True)

cdef uint64_t fp_div(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return div_(c, DOUBLE, a, b)
    if fmt == SINGLE:
        return div_(c, SINGLE, a, b)
    return div_(c, HALF, a, b)

cdef uint64_t fp_sqrt(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    if fmt == DOUBLE:
        return sqrt_(c, DOUBLE, a)
    if fmt == SINGLE:
        return sqrt_(c, SINGLE, a)
    return sqrt_(c, HALF, a)

cdef uint64_t fp_muladd(Cpu* c, int fmt, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return muladd_(c, DOUBLE, addend, a, b)
    if fmt == SINGLE:
        return muladd_(c, SINGLE, addend, a, b)
    return muladd_(c, HALF, addend, a, b)

cdef uint64_t fp_recip_step(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return recip_step_(c, DOUBLE, a, b)
    if fmt == SINGLE:
        return recip_step_(c, SINGLE, a, b)
    return recip_step_(c, HALF, a, b)

cdef uint64_t fp_rsqrt_step(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return rsqrt_step_(c, DOUBLE, a, b)
    if fmt == SINGLE:
        return rsqrt_step_(c, SINGLE, a, b)
    return rsqrt_step_(c, HALF, a, b)

# ---- half precision into single ---------------------------------------------------------------

cdef inline uint64_t long_nan(Cpu* c, uint64_t a) noexcept nogil:
    """A NaN in half precision, processed, in single precision: the payload keeps its high bits."""
    a = process_nan(c, HALF, a)
    return ((a & sign_bit(HALF)) << 16) | default_nan(SINGLE) | ((a & 0x1FF) << 13)

cdef uint64_t fp_muladd_long(Cpu* c, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil:
    cdef Unpacked z = unpack(c, SINGLE, addend)
    cdef Unpacked x = unpack(c, HALF, a)
    cdef Unpacked y = unpack(c, HALF, b)
    cdef bint invalid
    if unlikely(x.kind != KIND_NONZERO or y.kind != KIND_NONZERO or z.kind >= KIND_QUIET):
        invalid = is_zero_by_infinity(x, y)
        if z.kind == KIND_SIGNALLING:
            return process_nan(c, SINGLE, addend)
        if x.kind == KIND_SIGNALLING:
            return long_nan(c, a)
        if y.kind == KIND_SIGNALLING:
            return long_nan(c, b)
        if invalid:
            return invalid_operation(c, SINGLE)
        if z.kind == KIND_QUIET:
            return process_nan(c, SINGLE, addend)
        if x.kind == KIND_QUIET:
            return long_nan(c, a)
        if y.kind == KIND_QUIET:
            return long_nan(c, b)
    return muladd_of(c, SINGLE, z, x, y, 0)
