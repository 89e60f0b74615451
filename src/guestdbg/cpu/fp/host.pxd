# cython: language_level=3
"""Arithmetic in single and double precision by the host, where it gives the same bits and flags.

The host rounds to nearest, ties to even, does not flush denormals, and its flags are not looked at.
So its result is taken where FPCR asks for just that, FPSR.IXC is already set (most results are inexact,
so it soon is), and the result is a normal number well above the smallest one, or a zero that is known
to be exact. From such a result it follows that there were neither NaNs nor infinities, which the host
treats in another way; denormal operands are like others. In all other cases the function of the same
name in arithmetic, compare or convert is called.

Only inline functions: there is no module of this name at run time. fmt is a constant, SINGLE or DOUBLE.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, likely, unlikely
from guestdbg.cpu.fp.arithmetic cimport fp_add, fp_div, fp_mul, fp_muladd, fp_sqrt, fp_sub
from guestdbg.cpu.fp.compare cimport fp_max, fp_maxnm, fp_min, fp_minnm
from guestdbg.cpu.fp.convert cimport fixed_to_fp, fp_to_fixed, fp_to_fp
from guestdbg.cpu.fp.formats cimport (
    DOUBLE, FPCR_FZ, FPCR_RMODE, FPSR_IXC, ROUND_FPCR, ROUND_NEGINF, ROUND_TIEAWAY, ROUND_TIEEVEN, ROUND_ZERO,
    SINGLE,
)
from guestdbg.cpu.fp.unpacked cimport (
    exponent_bias, exponent_ones, fraction_bits, magnitude, sign_shift, signed_zero,
)

cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>
    static inline double guestdbg_double(uint64_t bits)
    {
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    static inline float guestdbg_float(uint64_t bits)
    {
        uint32_t low = (uint32_t)bits;
        float value;
        memcpy(&value, &low, sizeof value);
        return value;
    }
    static inline uint64_t guestdbg_double_bits(double value)
    {
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        return bits;
    }
    static inline uint64_t guestdbg_float_bits(float value)
    {
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        return bits;
    }
    /* Cython's division raises an exception if the divisor is zero. */
    #define guestdbg_quotient(a, b) ((a) / (b))

    /* The instructions themselves: sqrt() would set errno, and fma() is a call unless the compiler may
       assume that the host has it. */
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <emmintrin.h>
    static inline double guestdbg_sqrt(double x)
    {
        return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_set_sd(0), _mm_set_sd(x)));
    }
    static inline float guestdbg_sqrtf(float x)
    {
        return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
    }
    static int guestdbg_has_fma;
    __attribute__((constructor)) static void guestdbg_find_fma(void)
    {
        __builtin_cpu_init();
        guestdbg_has_fma = __builtin_cpu_supports("fma") != 0;
    }
    static inline double guestdbg_fma(double addend, double x, double y)
    {
        __asm__ volatile("vfmadd231sd %2, %1, %0" : "+x"(addend) : "x"(x), "x"(y));
        return addend;
    }
    static inline float guestdbg_fmaf(float addend, float x, float y)
    {
        __asm__ volatile("vfmadd231ss %2, %1, %0" : "+x"(addend) : "x"(x), "x"(y));
        return addend;
    }
    #elif defined(__aarch64__) && defined(__GNUC__)
    #define guestdbg_has_fma 1
    static inline double guestdbg_sqrt(double x)
    {
        __asm__("fsqrt %d0, %d1" : "=w"(x) : "w"(x));
        return x;
    }
    static inline float guestdbg_sqrtf(float x)
    {
        __asm__("fsqrt %s0, %s1" : "=w"(x) : "w"(x));
        return x;
    }
    static inline double guestdbg_fma(double addend, double x, double y) { return __builtin_fma(x, y, addend); }
    static inline float guestdbg_fmaf(float addend, float x, float y) { return __builtin_fmaf(x, y, addend); }
    #else
    #define guestdbg_has_fma 0
    #define guestdbg_sqrt sqrt
    #define guestdbg_sqrtf sqrtf
    static inline double guestdbg_fma(double addend, double x, double y) { return addend + x * y; }
    static inline float guestdbg_fmaf(float addend, float x, float y) { return addend + x * y; }
    #endif
    """
    double as_double "guestdbg_double"(uint64_t) nogil
    float as_float "guestdbg_float"(uint64_t) nogil
    uint64_t double_bits "guestdbg_double_bits"(double) nogil
    uint64_t float_bits "guestdbg_float_bits"(float) nogil
    double quotient_double "guestdbg_quotient"(double, double) nogil
    float quotient_float "guestdbg_quotient"(float, float) nogil
    double host_sqrt_double "guestdbg_sqrt"(double) nogil
    float host_sqrt_float "guestdbg_sqrtf"(float) nogil
    const bint has_fma "guestdbg_has_fma"
    double fma_double "guestdbg_fma"(double, double, double) nogil
    float fma_float "guestdbg_fmaf"(float, float, float) nogil
    bint isunordered(double, double) nogil

# ---- when the host's result is the right one ---------------------------------------------------

cdef inline bint rounds_like_host(const Cpu* c) noexcept nogil:
    """Ties to even, and an inexact result changes no flag."""
    return likely(c.fpcr & (3 << FPCR_RMODE) == 0) and likely(c.fpsr & FPSR_IXC != 0)

cdef inline bint computes_like_host(const Cpu* c) noexcept nogil:
    """The same, and denormal operands are used as they are."""
    return likely(c.fpcr & (3 << FPCR_RMODE | FPCR_FZ) == 0) and likely(c.fpsr & FPSR_IXC != 0)

cdef inline bint is_ordinary(int fmt, uint64_t r) noexcept nogil:
    """A finite number whose biased exponent is at least 3, in one test."""
    return ((r >> fraction_bits(fmt)) + 1) & (exponent_ones(fmt) & ~3) != 0

cdef inline bint is_zero(int fmt, uint64_t r) noexcept nogil:
    return magnitude(fmt, r) == 0

# r: the host's result. In an operation on zeros, a zero is exact; a sum that is zero always is.

cdef inline bint is_sum(const Cpu* c, int fmt, uint64_t r) noexcept nogil:
    return computes_like_host(c) and (likely(is_ordinary(fmt, r)) or is_zero(fmt, r))

cdef inline bint is_product(const Cpu* c, int fmt, uint64_t r, uint64_t a, uint64_t b) noexcept nogil:
    return computes_like_host(c) and (likely(is_ordinary(fmt, r)) or (
        is_zero(fmt, r) and (is_zero(fmt, a) or is_zero(fmt, b))))

cdef inline bint is_quotient(const Cpu* c, int fmt, uint64_t r, uint64_t a) noexcept nogil:
    """Or the square root of a."""
    return computes_like_host(c) and (likely(is_ordinary(fmt, r)) or (is_zero(fmt, r) and is_zero(fmt, a)))

cdef inline bint is_muladd(const Cpu* c, int fmt, uint64_t r, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil:
    return has_fma and computes_like_host(c) and (likely(is_ordinary(fmt, r)) or (
        is_zero(fmt, r) and is_zero(fmt, addend) and (is_zero(fmt, a) or is_zero(fmt, b))))

# ---- the host's results -----------------------------------------------------------------------

cdef inline uint64_t raw_add(int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return double_bits(as_double(a) + as_double(b))
    return float_bits(as_float(a) + as_float(b))

cdef inline uint64_t raw_sub(int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return double_bits(as_double(a) - as_double(b))
    return float_bits(as_float(a) - as_float(b))

cdef inline uint64_t raw_mul(int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return double_bits(as_double(a) * as_double(b))
    return float_bits(as_float(a) * as_float(b))

cdef inline uint64_t raw_div(int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return double_bits(quotient_double(as_double(a), as_double(b)))
    return float_bits(quotient_float(as_float(a), as_float(b)))

cdef inline uint64_t raw_sqrt(int fmt, uint64_t a) noexcept nogil:
    if fmt == DOUBLE:
        return double_bits(host_sqrt_double(as_double(a)))
    return float_bits(host_sqrt_float(as_float(a)))

cdef inline uint64_t raw_muladd(int fmt, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil:
    """Only where the host has it (has_fma)."""
    if fmt == DOUBLE:
        return double_bits(fma_double(as_double(addend), as_double(a), as_double(b)))
    return float_bits(fma_float(as_float(addend), as_float(a), as_float(b)))

# ---- arithmetic -------------------------------------------------------------------------------

cdef inline uint64_t host_add(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r = raw_add(fmt, a, b)
    return r if likely(is_sum(c, fmt, r)) else fp_add(c, fmt, a, b)

cdef inline uint64_t host_sub(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r = raw_sub(fmt, a, b)
    return r if likely(is_sum(c, fmt, r)) else fp_sub(c, fmt, a, b)

cdef inline uint64_t host_mul(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r = raw_mul(fmt, a, b)
    return r if likely(is_product(c, fmt, r, a, b)) else fp_mul(c, fmt, a, b)

cdef inline uint64_t host_div(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r = raw_div(fmt, a, b)
    return r if likely(is_quotient(c, fmt, r, a)) else fp_div(c, fmt, a, b)

cdef inline uint64_t host_sqrt(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    cdef uint64_t r = raw_sqrt(fmt, a)
    return r if likely(is_quotient(c, fmt, r, a)) else fp_sqrt(c, fmt, a)

cdef inline uint64_t host_muladd(Cpu* c, int fmt, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r
    if likely(has_fma):
        r = raw_muladd(fmt, addend, a, b)
        if likely(is_muladd(c, fmt, r, addend, a, b)):
            return r
    return fp_muladd(c, fmt, addend, a, b)

# ---- comparison -------------------------------------------------------------------------------

cdef inline bint is_unordered(int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return isunordered(as_double(a), as_double(b))
    return isunordered(as_float(a), as_float(b))

cdef inline bint is_less(int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return as_double(a) < as_double(b)
    return as_float(a) < as_float(b)

cdef inline bint is_equal(int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if fmt == DOUBLE:
        return as_double(a) == as_double(b)
    return as_float(a) == as_float(b)

cdef inline bint compares_like_host(const Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    """Neither is a NaN, and denormal operands are used as they are."""
    return not is_unordered(fmt, a, b) and c.fpcr & FPCR_FZ == 0

cdef inline bint differs_like_host(const Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    """The same, and they are not equal: of two zeros, the sign matters."""
    return compares_like_host(c, fmt, a, b) and not is_equal(fmt, a, b)

cdef inline uint64_t host_max(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if likely(differs_like_host(c, fmt, a, b)):
        return b if is_less(fmt, a, b) else a
    return fp_max(c, fmt, a, b)

cdef inline uint64_t host_min(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if likely(differs_like_host(c, fmt, a, b)):
        return a if is_less(fmt, a, b) else b
    return fp_min(c, fmt, a, b)

cdef inline uint64_t host_maxnm(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if likely(differs_like_host(c, fmt, a, b)):
        return b if is_less(fmt, a, b) else a
    return fp_maxnm(c, fmt, a, b)

cdef inline uint64_t host_minnm(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    if likely(differs_like_host(c, fmt, a, b)):
        return a if is_less(fmt, a, b) else b
    return fp_minnm(c, fmt, a, b)

# ---- conversion -------------------------------------------------------------------------------

cdef inline uint64_t power_of_two(int fmt, int n) noexcept nogil:
    return <uint64_t>(exponent_bias(fmt) + n) << fraction_bits(fmt)

cdef inline bint is_normal_or_zero(int fmt, uint64_t a) noexcept nogil:
    return likely(((a >> fraction_bits(fmt)) + 1) & (exponent_ones(fmt) & ~1) != 0) or is_zero(fmt, a)

cdef inline uint64_t raw_double_to_single(uint64_t a) noexcept nogil:
    return float_bits(<float>as_double(a))

cdef inline uint64_t raw_single_to_double(uint64_t a) noexcept nogil:
    """Right if a is normal, or zero: it is exact."""
    return double_bits(<double>as_float(a))

cdef inline uint64_t host_single_to_double(Cpu* c, uint64_t a) noexcept nogil:
    return raw_single_to_double(a) if likely(is_normal_or_zero(SINGLE, a)) else fp_to_fp(c, SINGLE, DOUBLE, a)

cdef inline bint is_narrowed(const Cpu* c, uint64_t r, uint64_t a) noexcept nogil:
    """r is the double-precision value a in single precision."""
    return computes_like_host(c) and (likely(is_ordinary(SINGLE, r)) or is_zero(DOUBLE, a))

cdef inline uint64_t host_double_to_single(Cpu* c, uint64_t a) noexcept nogil:
    cdef uint64_t r = raw_double_to_single(a)
    return r if likely(is_narrowed(c, r, a)) else fp_to_fp(c, DOUBLE, SINGLE, a)

# From integers of `width` bits, 32 or 64. Up to 2^53, or 2^24, there is nothing to round.

cdef inline bint is_from_int(const Cpu* c, int fmt, int width, uint64_t value) noexcept nogil:
    """raw_from_int is right."""
    cdef uint64_t limit = <uint64_t>1 << (fraction_bits(fmt) + 1)
    if width == 32:
        return fmt == DOUBLE or likely(<uint32_t>value + <uint32_t>limit <= 2 * <uint32_t>limit) or rounds_like_host(c)
    return likely(value + limit <= 2 * limit) or rounds_like_host(c)

cdef inline bint is_from_uint(const Cpu* c, int fmt, int width, uint64_t value) noexcept nogil:
    cdef uint64_t limit = <uint64_t>1 << (fraction_bits(fmt) + 1)
    if width == 32:
        return fmt == DOUBLE or likely(<uint32_t>value <= limit) or rounds_like_host(c)
    return likely(value <= limit) or (value >> 63 == 0 and rounds_like_host(c))

cdef inline uint64_t raw_from_int(int fmt, int width, uint64_t value) noexcept nogil:
    cdef int64_t n = <int32_t>value if width == 32 else <int64_t>value
    return double_bits(<double>n) if fmt == DOUBLE else float_bits(<float>n)

cdef inline uint64_t raw_from_uint(int fmt, int width, uint64_t value) noexcept nogil:
    """Below 2^63: the signed conversion."""
    return raw_from_int(fmt, 64, <uint32_t>value if width == 32 else value)

cdef inline uint64_t host_from_int(Cpu* c, int fmt, int width, uint64_t value) noexcept nogil:
    """SCVTF."""
    if likely(is_from_int(c, fmt, width, value)):
        return raw_from_int(fmt, width, value)
    return fixed_to_fp(c, fmt, value, width, 0, False, ROUND_FPCR)

cdef inline uint64_t host_from_uint(Cpu* c, int fmt, int width, uint64_t value) noexcept nogil:
    """UCVTF."""
    if likely(is_from_uint(c, fmt, width, value)):
        return raw_from_uint(fmt, width, value)
    return fixed_to_fp(c, fmt, value, width, 0, True, ROUND_FPCR)

# To integers, towards zero. A denormal operand that is flushed is not inexact.

cdef inline bint fits_int(const Cpu* c, int fmt, int width, uint64_t a) noexcept nogil:
    return likely(magnitude(fmt, a) < power_of_two(fmt, width - 1)) and likely(c.fpcr & FPCR_FZ == 0)

cdef inline bint fits_uint(const Cpu* c, int fmt, int width, uint64_t a) noexcept nogil:
    """It is positive and below 2^63, so that the signed conversion can be used."""
    return likely(a < power_of_two(fmt, 32 if width == 32 else 63)) and likely(c.fpcr & FPCR_FZ == 0)

cdef inline uint64_t truncate(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    """Of a magnitude below 2^63. Sets FPSR.IXC where there is a fraction."""
    cdef int64_t n
    if fmt == DOUBLE:
        n = <int64_t>as_double(a)
        if unlikely(c.fpsr & FPSR_IXC == 0) and <double>n != as_double(a):
            c.fpsr |= FPSR_IXC
    else:
        n = <int64_t>as_float(a)
        if unlikely(c.fpsr & FPSR_IXC == 0) and <float>n != as_float(a):
            c.fpsr |= FPSR_IXC
    return <uint64_t>n

cdef inline uint64_t host_to_int(Cpu* c, int fmt, int width, uint64_t a) noexcept nogil:
    """FCVTZS."""
    if likely(fits_int(c, fmt, width, a)):
        return <uint32_t>truncate(c, fmt, a) if width == 32 else truncate(c, fmt, a)
    return fp_to_fixed(c, fmt, a, width, 0, False, ROUND_ZERO)

cdef inline uint64_t host_to_uint(Cpu* c, int fmt, int width, uint64_t a) noexcept nogil:
    """FCVTZU."""
    if likely(fits_uint(c, fmt, width, a)):
        return truncate(c, fmt, a)
    return fp_to_fixed(c, fmt, a, width, 0, True, ROUND_ZERO)

# To an integral value. The magnitude is below 2^52, or 2^23: above, every value is integral.

cdef inline bint has_fraction_bits(const Cpu* c, int fmt, uint64_t a) noexcept nogil:
    """raw_integral can be used: a is of that size, and not flushed."""
    return likely(magnitude(fmt, a) < power_of_two(fmt, fraction_bits(fmt))) and likely(c.fpcr & FPCR_FZ == 0)

cdef inline uint64_t raw_integral(int fmt, uint64_t a, int rounding) noexcept nogil:
    """rounding: a constant, neither ROUND_FPCR nor ROUND_ODD."""
    cdef uint64_t sign = a >> sign_shift(fmt)
    cdef double m, t
    cdef float s
    cdef bint up
    a = magnitude(fmt, a)
    if rounding == ROUND_TIEEVEN:
        # In a sum of this size, the lowest bit of the fraction is 1.
        if fmt == DOUBLE:
            m = as_double(a) + as_double(power_of_two(DOUBLE, 52))
            return double_bits(m - as_double(power_of_two(DOUBLE, 52))) | signed_zero(fmt, sign)
        s = as_float(a) + as_float(power_of_two(SINGLE, 23))
        return float_bits(s - as_float(power_of_two(SINGLE, 23))) | signed_zero(fmt, sign)
    # In double precision for both: it is exact.
    m = as_double(a) if fmt == DOUBLE else as_float(a)
    t = <double><int64_t>m
    if rounding == ROUND_TIEAWAY:
        up = m - t >= 0.5
    elif rounding == ROUND_ZERO:
        up = False
    else:
        up = (t < m) & (sign == (rounding == ROUND_NEGINF))
    t = t + <double>up
    return (double_bits(t) if fmt == DOUBLE else float_bits(<float>t)) | signed_zero(fmt, sign)
