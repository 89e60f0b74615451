# cython: language_level=3
"""Conversions and rounding to integral values of whole vectors by the host (fp_lanes_common.pxd)."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, unlikely
from guestdbg.cpu.fp.formats cimport (
    FPCR_FZ, FPSR_IXC, ROUND_NEGINF, ROUND_POSINF, ROUND_TIEAWAY, ROUND_TIEEVEN,
)
from guestdbg.cpu.instructions.simd.fp_lanes_common cimport (
    any_d, any_s, denormal_d, denormal_s, host_rounds, infinity_d, INFINITY_S, magnitude_d, MAGNITUDE_S,
    smallest_d, SMALLEST_S,
)
from guestdbg.cpu.instructions.simd.simd_common cimport vn, write_full, write_vd, write_vector

# ---- integers ---------------------------------------------------------------------------------

cdef inline bint from_integers_s(Cpu* c, const Insn* i, bint is_unsigned) noexcept nogil:
    """Up to 2^24 there is nothing to round."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef const uint32_t* n = <const uint32_t*>vn(c, i)
    cdef uint32_t limit = 1 << 24
    cdef int e
    if unlikely(not host_rounds(c)):
        for e in range(4):
            (<uint32_t*>wrong)[e] = n[e] | (limit - n[e]) if is_unsigned else (n[e] + limit) | (limit - n[e])
        if any_s(i, wrong):
            return False
    for e in range(4):
        (<float*>r)[e] = <float>n[e] if is_unsigned else <float><int32_t>n[e]
    write_vector(c, i, r)
    return True

cdef inline bint from_integers_d(Cpu* c, const Insn* i, bint is_unsigned) noexcept nogil:
    """Up to 2^53 there is nothing to round."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef const uint64_t* n = vn(c, i)
    cdef uint64_t limit = <uint64_t>1 << 53
    cdef int e
    if unlikely(not host_rounds(c)):
        for e in range(2):
            wrong[e] = n[e] | (limit - n[e]) if is_unsigned else (n[e] + limit) | (limit - n[e])
        if any_d(wrong):
            return False
    for e in range(2):
        (<double*>r)[e] = <double>n[e] if is_unsigned else <double><int64_t>n[e]
    write_full(c, i, r)
    return True

cdef inline bint to_integers_s(Cpu* c, const Insn* i, bint is_unsigned) noexcept nogil:
    """Towards zero. Magnitudes must be below 2^31; unsigned, negative ones below 1."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef const uint32_t* n = <const uint32_t*>vn(c, i)
    cdef int e
    for e in range(4):
        (<int32_t*>r)[e] = <int32_t>(<const float*>n)[e]
        (<uint32_t*>wrong)[e] = <uint32_t>(0x4F000000 - 1) - (n[e] & MAGNITUDE_S)
        if is_unsigned:
            (<uint32_t*>wrong)[e] |= n[e] & (<uint32_t>(0x3F800000 - 1) - (n[e] & MAGNITUDE_S))
    if unlikely(not c.fpsr & FPSR_IXC):
        for e in range(4):
            if <float>(<int32_t*>r)[e] != (<const float*>n)[e]:
                (<uint32_t*>wrong)[e] = <uint32_t>1 << 31
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(4):
            (<uint32_t*>wrong)[e] |= denormal_s(n[e])
    if unlikely(any_s(i, wrong)):
        return False
    write_vector(c, i, r)
    return True

cdef inline bint to_integers_d(Cpu* c, const Insn* i, bint is_unsigned) noexcept nogil:
    """The same below 2^63."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef const uint64_t* n = vn(c, i)
    cdef uint64_t limit = 0x43E0000000000000
    cdef uint64_t one = 0x3FF0000000000000
    cdef int e
    for e in range(2):
        r[e] = <uint64_t><int64_t>(<const double*>n)[e]
        wrong[e] = (limit - 1) - (n[e] & magnitude_d())
        if is_unsigned:
            wrong[e] |= n[e] & ((one - 1) - (n[e] & magnitude_d()))
    if unlikely(not c.fpsr & FPSR_IXC):
        for e in range(2):
            if <double><int64_t>r[e] != (<const double*>n)[e]:
                wrong[e] = <uint64_t>1 << 63
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d(n[e])
    if unlikely(any_d(wrong)):
        return False
    write_vd(c, i, r[0], r[1])
    return True

# ---- integral values: no flag but IXC of FRINTX, whatever FPCR.RMode ----------------------------

cdef inline bint to_integral_s(Cpu* c, const Insn* i, int rounding) noexcept nogil:
    """A value of 2^23 or more is integral. The sign stays, even of a zero.

    Ties to even: the host rounds a sum of 2^23 and the magnitude. The others: the truncated value, and
    1 where that was not far enough.
    """
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t value[2]
    cdef uint64_t one[2]
    cdef const uint32_t* n = <const uint32_t*>vn(c, i)
    cdef uint32_t kept = 0xFFFFFFFF
    cdef uint32_t small
    cdef float large = 8388608.0, half = 0.5
    cdef int e
    if rounding == ROUND_TIEEVEN or rounding == ROUND_TIEAWAY:
        kept = MAGNITUDE_S
    for e in range(4):
        (<uint32_t*>value)[e] = n[e] & kept
    if rounding == ROUND_TIEEVEN:
        for e in range(4):
            (<float*>r)[e] = ((<float*>value)[e] + large) - large
    else:
        for e in range(4):
            (<float*>r)[e] = <float><int32_t>(<float*>value)[e]
    if rounding == ROUND_TIEAWAY:
        for e in range(4):
            (<uint32_t*>one)[e] = 0x3F800000 if (<float*>value)[e] - (<float*>r)[e] >= half else 0
    elif rounding == ROUND_NEGINF:
        for e in range(4):
            (<uint32_t*>one)[e] = 0xBF800000 if (<float*>r)[e] > (<float*>value)[e] else 0
    elif rounding == ROUND_POSINF:
        for e in range(4):
            (<uint32_t*>one)[e] = 0x3F800000 if (<float*>r)[e] < (<float*>value)[e] else 0
    if rounding == ROUND_TIEAWAY or rounding == ROUND_NEGINF or rounding == ROUND_POSINF:
        for e in range(4):
            (<float*>r)[e] += (<float*>one)[e]
    for e in range(4):
        small = 0xFFFFFFFF if (n[e] & MAGNITUDE_S) < 0x4B000000 else 0
        (<uint32_t*>r)[e] = ((<uint32_t*>r)[e] & MAGNITUDE_S & small) | (n[e] & ~(MAGNITUDE_S & small))
        (<uint32_t*>wrong)[e] = INFINITY_S - (n[e] & MAGNITUDE_S)
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(4):
            (<uint32_t*>wrong)[e] |= denormal_s(n[e])
    if unlikely(any_s(i, wrong)):
        return False
    write_vector(c, i, r)
    return True

cdef inline uint64_t integral_d(int rounding, uint64_t a) noexcept nogil:
    """The same of one value in double precision, 2^52 in place of 2^23."""
    cdef uint64_t magnitude = a & magnitude_d()
    cdef double x = (<double*>&a)[0], u = (<double*>&magnitude)[0], r = 4503599627370496.0
    if magnitude >= <uint64_t>0x4330000000000000:
        return a
    if rounding == ROUND_TIEEVEN:
        r = (u + r) - r
    elif rounding == ROUND_TIEAWAY:
        r = <double><int64_t>u
        r += <double><int>(u - r >= 0.5)
    else:
        r = <double><int64_t>x
        if rounding == ROUND_NEGINF:
            r -= <double><int>(r > x)
        elif rounding == ROUND_POSINF:
            r += <double><int>(r < x)
    return ((<uint64_t*>&r)[0] & magnitude_d()) | (a & ~magnitude_d())

cdef inline bint to_integral_d(Cpu* c, const Insn* i, int rounding) noexcept nogil:
    cdef const uint64_t* n = vn(c, i)
    cdef uint64_t wrong[2]
    cdef int e
    for e in range(2):
        wrong[e] = infinity_d() - (n[e] & magnitude_d())
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d(n[e])
    if unlikely(any_d(wrong)):
        return False
    write_vd(c, i, integral_d(rounding, n[0]), integral_d(rounding, n[1]))
    return True

# ---- between single and double precision --------------------------------------------------------

cdef inline bint lengthen_s(Cpu* c, const Insn* i, int half) noexcept nogil:
    """FCVTL of Vn's lower or upper half: exact."""
    cdef uint64_t r[2]
    cdef uint64_t source = vn(c, i)[half]
    cdef uint32_t low = <uint32_t>source, high = <uint32_t>(source >> 32)
    cdef uint32_t wrong = (INFINITY_S - (low & MAGNITUDE_S)) | (INFINITY_S - (high & MAGNITUDE_S))
    if unlikely(c.fpcr & FPCR_FZ):
        wrong |= denormal_s(low) | denormal_s(high)
    if unlikely(wrong >> 31):
        return False
    (<double*>r)[0] = <double>(<float*>&low)[0]
    (<double*>r)[1] = <double>(<float*>&high)[0]
    write_full(c, i, r)
    return True

cdef inline uint32_t narrowed_s(uint64_t a, uint32_t* wrong) noexcept nogil:
    cdef float r = <float>(<double*>&a)[0]
    cdef uint32_t u = (<uint32_t*>&r)[0] & MAGNITUDE_S
    wrong[0] |= (INFINITY_S - 1) - u
    if a & magnitude_d():
        wrong[0] |= u - (SMALLEST_S + 1)
    return (<uint32_t*>&r)[0]

cdef inline bint narrow_d(Cpu* c, const Insn* i, uint64_t* result) noexcept nogil:
    """FCVTN: the two elements in `result`."""
    cdef uint32_t wrong = 0
    cdef uint64_t low, high
    if unlikely(not host_rounds(c)):
        return False
    low = narrowed_s(vn(c, i)[0], &wrong)
    high = narrowed_s(vn(c, i)[1], &wrong)
    if unlikely(c.fpcr & FPCR_FZ):
        wrong |= <uint32_t>((denormal_d(vn(c, i)[0]) | denormal_d(vn(c, i)[1])) >> 32)
    if unlikely(wrong >> 31):
        return False
    result[0] = low | high << 32
    return True
