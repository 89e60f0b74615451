# cython: language_level=3
"""Rounding to a format (FPRound), the end of every operation."""
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu, u128, unlikely
from guestdbg.cpu.fp.formats cimport (
    FPCR_RMODE, FPSR_IOC, FPSR_IXC, FPSR_OFC, FPSR_UFC, ROUND_FPCR, ROUND_NEGINF, ROUND_ODD, ROUND_POSINF,
    ROUND_TIEAWAY, ROUND_TIEEVEN,
)
from guestdbg.cpu.fp.unpacked cimport (
    clz64, exponent_bias, exponent_ones, flushes, fraction_bits, infinity, sign_bit, signed_zero,
)


cdef inline int rounding_of(const Cpu* c, int rounding) noexcept nogil:
    """ROUND_FPCR replaced by what FPCR.RMode says."""
    return <int>((c.fpcr >> FPCR_RMODE) & 3) if rounding == ROUND_FPCR else rounding

cdef inline bint rounds_up(int rounding, uint64_t sign, uint64_t kept, uint64_t error,
                           uint64_t half) noexcept nogil:
    """Whether a magnitude is incremented. kept: it without its fraction; error: the fraction; half: where
    the fraction is one half."""
    if rounding == ROUND_TIEEVEN:
        return error > half or (error == half and kept & 1)
    if rounding == ROUND_POSINF:
        return error != 0 and sign == 0
    if rounding == ROUND_NEGINF:
        return error != 0 and sign != 0
    if rounding == ROUND_TIEAWAY:
        return error >= half
    return False

cdef inline uint64_t shift_right_sticky(uint64_t value, int distance) noexcept nogil:
    """value >> distance; bit 0 is also set if any bit that is lost was. distance: not negative."""
    if distance > 63:
        return value != 0
    return (value >> distance) | (value & ((<uint64_t>1 << distance) - 1) != 0)

cdef inline u128 shift_right_sticky128(u128 value, int distance) noexcept nogil:
    cdef u128 one = 1
    cdef u128 lost
    if distance > 127:
        one = value != 0
        return one
    lost = value & ((one << distance) - 1)
    value = value >> distance
    if lost != 0:
        value |= 1
    return value

cdef inline uint64_t overflowed(Cpu* c, int fmt, uint64_t sign, int rounding) noexcept nogil:
    """Infinity, or the largest number where the rounding is towards zero from there."""
    c.fpsr |= FPSR_OFC | FPSR_IXC
    if (rounding == ROUND_TIEEVEN or rounding == ROUND_TIEAWAY
            or rounding == (ROUND_NEGINF if sign else ROUND_POSINF)):
        return signed_zero(fmt, sign) | infinity(fmt)
    return signed_zero(fmt, sign) | (infinity(fmt) - 1)

cdef inline uint64_t round_and_pack(Cpu* c, int fmt, uint64_t sign, int exponent, uint64_t significand,
                                    int rounding, bint flush, bint alternative) noexcept nogil:
    """FPRound of significand * 2^(exponent - 63).

    significand: bit 63 is set, and bit 0 is also set if any lower bit was lost. rounding: not ROUND_FPCR.
    flush: a result that is tiny before rounding becomes zero. alternative: to the alternative half
    precision, which has neither infinities nor NaNs.
    """
    cdef int dropped = 63 - fraction_bits(fmt)
    cdef int biased = exponent + exponent_bias(fmt)
    cdef bint tiny = biased <= 0
    cdef uint64_t error, kept
    if unlikely(tiny):
        if flush:
            c.fpsr |= FPSR_UFC
            return signed_zero(fmt, sign)
        significand = shift_right_sticky(significand, 1 - biased)
        biased = 1
    error = significand & ((<uint64_t>1 << dropped) - 1)
    kept = significand >> dropped
    if error != 0:
        if rounding == ROUND_ODD:
            kept |= 1
        kept += rounds_up(rounding, sign, kept, error, <uint64_t>1 << (dropped - 1))
    # The highest bit of kept adds 1 to the exponent; so does a carry out of it.
    if unlikely(biased > exponent_ones(fmt)):
        biased = exponent_ones(fmt) + 1
    kept += <uint64_t>(biased - 1) << fraction_bits(fmt)
    if alternative:
        if unlikely(kept >= sign_bit(fmt)):
            c.fpsr |= FPSR_IOC
            return signed_zero(fmt, sign) | (sign_bit(fmt) - 1)
    elif unlikely(kept >= infinity(fmt)):
        return overflowed(c, fmt, sign, rounding)
    if error != 0:
        c.fpsr |= FPSR_IXC | (FPSR_UFC if tiny else 0)
    return signed_zero(fmt, sign) | kept

cdef inline uint64_t fp_round(Cpu* c, int fmt, uint64_t sign, int exponent, uint64_t significand,
                              int rounding) noexcept nogil:
    """The same, flushed as FPCR says."""
    return round_and_pack(c, fmt, sign, exponent, significand, rounding, flushes(c, fmt), False)

cdef inline uint64_t fp_round128(Cpu* c, int fmt, uint64_t sign, int exponent, u128 value,
                                 int rounding) noexcept nogil:
    """FPRound of value * 2^(exponent - 127). value: not 0."""
    cdef uint64_t high = <uint64_t>(value >> 64)
    cdef int zeros = clz64(high) if high else 64 + clz64(<uint64_t>value)
    value <<= zeros
    return fp_round(c, fmt, sign, exponent - zeros, <uint64_t>(value >> 64) | (<uint64_t>value != 0), rounding)
