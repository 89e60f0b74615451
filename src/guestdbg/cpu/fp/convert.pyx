# cython: language_level=3
"""The pseudocode's FPConvert, FPToFixed, FixedToFP, FPRoundInt and FPToFixedJS."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, unlikely
from guestdbg.cpu.fp.formats cimport (
    DOUBLE, FPCR_AHP, FPCR_DN, FPSR_IOC, FPSR_IXC, HALF, ROUND_FPCR, ROUND_ODD, ROUND_ZERO, SINGLE,
)
from guestdbg.cpu.fp.rounding cimport fp_round, round_and_pack, rounding_of, rounds_up
from guestdbg.cpu.fp.unpacked cimport (
    clz64, default_nan, flush_operand, flushes, fraction_bits, infinity, is_nan, KIND_INFINITY,
    KIND_NONZERO, KIND_QUIET, KIND_ZERO, magnitude, process_nan, quiet_bit, sign_bit, sign_shift,
    signed_infinity, signed_zero, unpack, unpack_finite, Unpacked,
)

# ---- between formats --------------------------------------------------------------------------

cdef inline uint64_t convert_nan(Cpu* c, int source, int target, uint64_t a) noexcept nogil:
    """FPConvertNaN, and the exception of a signalling NaN: the payload keeps its high bits."""
    cdef uint64_t fraction = a << (63 - fraction_bits(source)) << 1
    if not a & quiet_bit(source):
        c.fpsr |= FPSR_IOC
    if c.fpcr & FPCR_DN:
        return default_nan(target)
    return (signed_zero(target, a >> sign_shift(source)) | default_nan(target)
            | (fraction >> (64 - fraction_bits(target))))

cdef inline uint64_t convert_(Cpu* c, int source, int target, uint64_t a, int rounding) noexcept nogil:
    """FPConvert. FPCR.FZ16 applies neither to a half-precision operand nor to such a result."""
    cdef Unpacked x
    cdef uint64_t sign = a >> sign_shift(source)
    cdef bint alternative = (source == HALF or target == HALF) and c.fpcr & FPCR_AHP != 0
    if source != HALF:
        a = flush_operand(c, source, a)
    if unlikely(magnitude(source, a) >= infinity(source)) and not (source == HALF and alternative):
        if is_nan(source, a):
            if target == HALF and alternative:
                c.fpsr |= FPSR_IOC
                return signed_zero(target, sign)
            return convert_nan(c, source, target, a)
        if target == HALF and alternative:
            c.fpsr |= FPSR_IOC
            return signed_zero(target, sign) | (sign_bit(target) - 1)
        return signed_infinity(target, sign)
    x = unpack_finite(source, a)
    if x.kind == KIND_ZERO:
        return signed_zero(target, sign)
    return round_and_pack(c, target, sign, x.exponent, x.significand, rounding,
                          target != HALF and flushes(c, target), target == HALF and alternative)

cdef uint64_t fp_to_fp(Cpu* c, int source, int target, uint64_t a) noexcept nogil:
    cdef int rounding = rounding_of(c, ROUND_FPCR)
    if source == SINGLE:
        if target == DOUBLE:
            return convert_(c, SINGLE, DOUBLE, a, rounding)
        return convert_(c, SINGLE, HALF, a, rounding)
    if source == DOUBLE:
        if target == SINGLE:
            return convert_(c, DOUBLE, SINGLE, a, rounding)
        return convert_(c, DOUBLE, HALF, a, rounding)
    if target == SINGLE:
        return convert_(c, HALF, SINGLE, a, rounding)
    return convert_(c, HALF, DOUBLE, a, rounding)

cdef uint64_t fp_to_fp_odd(Cpu* c, int source, int target, uint64_t a) noexcept nogil:
    if source == DOUBLE and target == SINGLE:
        return convert_(c, DOUBLE, SINGLE, a, ROUND_ODD)
    return convert_(c, source, target, a, ROUND_ODD)

# ---- to integers ------------------------------------------------------------------------------

cdef inline uint64_t integer_part(int exponent, uint64_t significand, uint64_t* error) noexcept nogil:
    """Of significand * 2^(exponent - 63). error: 2^64 times the fraction, exact or above zero and below
    one half. exponent: below 64."""
    cdef int dropped = 63 - exponent
    if dropped == 0:
        error[0] = 0
        return significand
    if dropped < 64:
        error[0] = significand << (64 - dropped)
        return significand >> dropped
    error[0] = significand if dropped == 64 else 1
    return 0

cdef inline uint64_t to_fixed_(Cpu* c, int fmt, uint64_t a, int width, int fbits, bint is_unsigned,
                               int rounding) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef uint64_t error = 0
    cdef uint64_t most = ~<uint64_t>0 >> (64 - width + (not is_unsigned))   # the largest result
    cdef uint64_t least = 0 if is_unsigned else most + 1                    # the magnitude of the smallest
    cdef uint64_t value
    if x.kind != KIND_NONZERO:
        if x.kind == KIND_ZERO:
            return 0
        c.fpsr |= FPSR_IOC
        if x.kind != KIND_INFINITY:
            return 0
        return least if x.sign else most
    x.exponent += fbits
    if x.exponent > 63:
        c.fpsr |= FPSR_IOC
        return least if x.sign else most
    value = integer_part(x.exponent, x.significand, &error)
    value += rounds_up(rounding, x.sign, value, error, <uint64_t>1 << 63)
    if value > (least if x.sign else most):
        c.fpsr |= FPSR_IOC
        return least if x.sign else most
    if error != 0:
        c.fpsr |= FPSR_IXC
    if x.sign:
        value = 0 - value
    return value & (~<uint64_t>0 >> (64 - width))

cdef uint64_t fp_to_fixed(Cpu* c, int fmt, uint64_t a, int width, int fbits, bint is_unsigned,
                          int rounding) noexcept nogil:
    rounding = rounding_of(c, rounding)
    if fmt == DOUBLE:
        return to_fixed_(c, DOUBLE, a, width, fbits, is_unsigned, rounding)
    if fmt == SINGLE:
        return to_fixed_(c, SINGLE, a, width, fbits, is_unsigned, rounding)
    return to_fixed_(c, HALF, a, width, fbits, is_unsigned, rounding)

cdef uint64_t fp_to_js(Cpu* c, uint64_t a, bint* exact) noexcept nogil:
    cdef Unpacked x
    cdef uint64_t error = 0
    cdef uint64_t value
    cdef uint64_t original = a
    exact[0] = False
    x = unpack(c, DOUBLE, a)
    if x.kind != KIND_NONZERO:
        if x.kind != KIND_ZERO:
            c.fpsr |= FPSR_IOC
            return 0
        exact[0] = original == 0                # neither -0 nor a flushed denormal
        return 0
    if x.exponent > 63:
        # The significand has 53 bits: from 2^84 on, the low 32 bits are zero.
        c.fpsr |= FPSR_IOC
        value = x.significand << (x.exponent - 63) if x.exponent < 127 else 0
        return <uint32_t>(0 - value if x.sign else value)
    value = integer_part(x.exponent, x.significand, &error)
    if value > <uint64_t>0x7FFFFFFF + x.sign:
        c.fpsr |= FPSR_IOC
    elif error != 0:
        c.fpsr |= FPSR_IXC
    else:
        exact[0] = True
    return <uint32_t>(0 - value if x.sign else value)

# ---- from integers ----------------------------------------------------------------------------

cdef inline uint64_t from_fixed_(Cpu* c, int fmt, uint64_t value, uint64_t sign, int fbits,
                                 int rounding) noexcept nogil:
    cdef int zeros = clz64(value)
    return fp_round(c, fmt, sign, 63 - zeros - fbits, value << zeros, rounding)

cdef uint64_t fixed_to_fp(Cpu* c, int fmt, uint64_t value, int width, int fbits, bint is_unsigned,
                          int rounding) noexcept nogil:
    cdef uint64_t sign = 0
    value &= ~<uint64_t>0 >> (64 - width)
    if not is_unsigned and value >> (width - 1):
        sign = 1
        value = (0 - value) & (~<uint64_t>0 >> (64 - width))
    if value == 0:
        return 0
    rounding = rounding_of(c, rounding)
    if fmt == DOUBLE:
        return from_fixed_(c, DOUBLE, value, sign, fbits, rounding)
    if fmt == SINGLE:
        return from_fixed_(c, SINGLE, value, sign, fbits, rounding)
    return from_fixed_(c, HALF, value, sign, fbits, rounding)

# ---- to an integral value ---------------------------------------------------------------------

cdef inline uint64_t round_to_integral_(Cpu* c, int fmt, uint64_t a, int rounding, bint exact) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef uint64_t error = 0
    cdef uint64_t value
    cdef int zeros
    if x.kind != KIND_NONZERO:
        if x.kind >= KIND_QUIET:
            return process_nan(c, fmt, a)
        return signed_infinity(fmt, x.sign) if x.kind == KIND_INFINITY else signed_zero(fmt, x.sign)
    if x.exponent >= fraction_bits(fmt):
        return a
    value = integer_part(x.exponent, x.significand, &error)
    value += rounds_up(rounding, x.sign, value, error, <uint64_t>1 << 63)
    if error != 0 and exact:
        c.fpsr |= FPSR_IXC
    if value == 0:
        return signed_zero(fmt, x.sign)
    zeros = clz64(value)
    return round_and_pack(c, fmt, x.sign, 63 - zeros, value << zeros, ROUND_ZERO, False, False)

cdef uint64_t fp_round_to_integral(Cpu* c, int fmt, uint64_t a, int rounding, bint exact) noexcept nogil:
    rounding = rounding_of(c, rounding)
    if fmt == DOUBLE:
        return round_to_integral_(c, DOUBLE, a, rounding, exact)
    if fmt == SINGLE:
        return round_to_integral_(c, SINGLE, a, rounding, exact)
    return round_to_integral_(c, HALF, a, rounding, exact)
