# cython: language_level=3, cdivision=True
"""The pseudocode's FPRecipEstimate, FPRSqrtEstimate, FPRecpX, UnsignedRecipEstimate and
UnsignedRSqrtEstimate, with RecipEstimate and RecipSqrtEstimate as tables made at import."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, unlikely
from guestdbg.cpu.fp.formats cimport DOUBLE, FPSR_DZC, FPSR_UFC, HALF, ROUND_FPCR, SINGLE
from guestdbg.cpu.fp.rounding cimport overflowed, rounding_of
from guestdbg.cpu.fp.unpacked cimport (
    exponent_bias, exponent_ones, flushes, fraction_bits, invalid_operation, KIND_INFINITY, KIND_QUIET,
    KIND_ZERO, magnitude, process_nan, sign_bit, signed_infinity, signed_zero, unpack, Unpacked,
)

cdef uint32_t RECIP[512]     # from 256 on: RecipEstimate; 256 to 511, too
cdef uint32_t RSQRT[512]     # from 128 on: RecipSqrtEstimate

cdef void make_tables() noexcept:
    cdef uint32_t n, a, b
    for n in range(256, 512):
        RECIP[n] = ((1 << 19) // (2 * n + 1) + 1) // 2
    for n in range(128, 512):
        # a: twice the middle of what the estimate is for; steps are twice as wide from 256 on.
        a = 2 * n + 1 if n < 256 else 2 * (n | 1)
        b = 512
        while <uint64_t>a * (b + 1) * (b + 1) < 1 << 28:
            b += 1
        RSQRT[n] = (b + 1) // 2

make_tables()

# ---- fractions --------------------------------------------------------------------------------

cdef inline uint64_t pack_estimate(int fmt, uint64_t sign, int exponent, uint32_t estimate) noexcept nogil:
    """estimate: 256 to 511, of 2^(exponent - bias) / 256. exponent: -1 at least; below 1, it is denormal."""
    cdef uint64_t fraction = <uint64_t>estimate << (fraction_bits(fmt) - 8)
    if exponent < 1:
        return signed_zero(fmt, sign) | (fraction >> (1 - exponent))
    return signed_zero(fmt, sign) | ((<uint64_t>(exponent - 1) << fraction_bits(fmt)) + fraction)

cdef inline uint64_t recip_estimate_(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef int exponent
    if unlikely(x.kind >= KIND_QUIET):
        return process_nan(c, fmt, a)
    if x.kind == KIND_INFINITY:
        return signed_zero(fmt, x.sign)
    if x.kind == KIND_ZERO:
        c.fpsr |= FPSR_DZC
        return signed_infinity(fmt, x.sign)
    if x.exponent < -(exponent_bias(fmt) + 1):
        return overflowed(c, fmt, x.sign, rounding_of(c, ROUND_FPCR))
    if flushes(c, fmt) and x.exponent >= exponent_bias(fmt) - 1:
        c.fpsr |= FPSR_UFC
        return signed_zero(fmt, x.sign)
    # Of a significand of at least one, the reciprocal is one or below: hence the 1.
    exponent = exponent_bias(fmt) - 1 - x.exponent
    return pack_estimate(fmt, x.sign, exponent, RECIP[x.significand >> 55])

cdef inline uint64_t rsqrt_estimate_(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef uint32_t scaled
    if unlikely(x.kind >= KIND_QUIET):
        return process_nan(c, fmt, a)
    if x.kind == KIND_ZERO:
        c.fpsr |= FPSR_DZC
        return signed_infinity(fmt, x.sign)
    if x.sign:
        return invalid_operation(c, fmt)
    if x.kind == KIND_INFINITY:
        return 0
    # x is scaled by an even power of two to 0.25 to 1.0, in units of 1/512.
    scaled = <uint32_t>(x.significand >> (55 if x.exponent & 1 else 56))
    return pack_estimate(fmt, 0, exponent_bias(fmt) - 1 - (x.exponent >> 1), RSQRT[scaled])

cdef uint64_t fp_recip_estimate(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    if fmt == DOUBLE:
        return recip_estimate_(c, DOUBLE, a)
    if fmt == SINGLE:
        return recip_estimate_(c, SINGLE, a)
    return recip_estimate_(c, HALF, a)

cdef uint64_t fp_rsqrt_estimate(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    if fmt == DOUBLE:
        return rsqrt_estimate_(c, DOUBLE, a)
    if fmt == SINGLE:
        return rsqrt_estimate_(c, SINGLE, a)
    return rsqrt_estimate_(c, HALF, a)

# ---- FRECPX -----------------------------------------------------------------------------------

cdef inline uint64_t recip_exponent_(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    cdef Unpacked x = unpack(c, fmt, a)
    cdef uint64_t exponent = magnitude(fmt, a) >> fraction_bits(fmt)
    if unlikely(x.kind >= KIND_QUIET):
        return process_nan(c, fmt, a)
    exponent = exponent_ones(fmt) - 1 if exponent == 0 else exponent_ones(fmt) - exponent
    return (a & sign_bit(fmt)) | (exponent << fraction_bits(fmt))

cdef uint64_t fp_recip_exponent(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    if fmt == DOUBLE:
        return recip_exponent_(c, DOUBLE, a)
    if fmt == SINGLE:
        return recip_exponent_(c, SINGLE, a)
    return recip_exponent_(c, HALF, a)

# ---- unsigned integers ------------------------------------------------------------------------

cdef uint32_t unsigned_recip_estimate(uint32_t a) noexcept nogil:
    return RECIP[a >> 23] << 23 if a >> 31 else <uint32_t>0xFFFFFFFF

cdef uint32_t unsigned_rsqrt_estimate(uint32_t a) noexcept nogil:
    return RSQRT[a >> 23] << 23 if a >> 30 else <uint32_t>0xFFFFFFFF
