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
    DOUBLE, FPCR_FZ, FPCR_RMODE, FPSR_IXC, ROUND_FPCR, ROUND_ZERO, SINGLE,
)
from guestdbg.cpu.fp.unpacked cimport exponent_bias, exponent_ones, fraction_bits, magnitude

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
        __asm__("vfmadd231sd %2, %1, %0" : "+x"(addend) : "x"(x), "x"(y));
        return addend;
    }
    static inline float guestdbg_fmaf(float addend, float x, float y)
    {
        __asm__("vfmadd231ss %2, %1, %0" : "+x"(addend) : "x"(x), "x"(y));
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
    return (c.fpcr & (3 << FPCR_RMODE)) | (~c.fpsr & FPSR_IXC) == 0

cdef inline bint computes_like_host(const Cpu* c) noexcept nogil:
    """The same, and denormal operands are used as they are."""
    return (c.fpcr & (3 << FPCR_RMODE | FPCR_FZ)) | (~c.fpsr & FPSR_IXC) == 0

cdef inline bint is_ordinary(int fmt, uint64_t r) noexcept nogil:
    """A finite number whose biased exponent is at least 3, in one test."""
    return ((r >> fraction_bits(fmt)) + 1) & (exponent_ones(fmt) & ~3) != 0

# ---- arithmetic -------------------------------------------------------------------------------

cdef inline uint64_t host_add(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r
    if fmt == DOUBLE:
        r = double_bits(as_double(a) + as_double(b))
    else:
        r = float_bits(as_float(a) + as_float(b))
    if likely(computes_like_host(c)):
        if likely(is_ordinary(fmt, r)):
            return r
        if magnitude(fmt, r) == 0:               # a sum that is zero is exact
            return r
    return fp_add(c, fmt, a, b)

cdef inline uint64_t host_sub(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r
    if fmt == DOUBLE:
        r = double_bits(as_double(a) - as_double(b))
    else:
        r = float_bits(as_float(a) - as_float(b))
    if likely(computes_like_host(c)):
        if likely(is_ordinary(fmt, r)):
            return r
        if magnitude(fmt, r) == 0:
            return r
    return fp_sub(c, fmt, a, b)

cdef inline uint64_t host_mul(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r
    if fmt == DOUBLE:
        r = double_bits(as_double(a) * as_double(b))
    else:
        r = float_bits(as_float(a) * as_float(b))
    if likely(computes_like_host(c)):
        if likely(is_ordinary(fmt, r)):
            return r
        if magnitude(fmt, r) == 0 and (magnitude(fmt, a) == 0 or magnitude(fmt, b) == 0):
            return r
    return fp_mul(c, fmt, a, b)

cdef inline uint64_t host_div(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r
    if fmt == DOUBLE:
        r = double_bits(quotient_double(as_double(a), as_double(b)))
    else:
        r = float_bits(quotient_float(as_float(a), as_float(b)))
    if likely(is_ordinary(fmt, r) and computes_like_host(c)):
        return r
    return fp_div(c, fmt, a, b)

cdef inline uint64_t host_sqrt(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    cdef uint64_t r
    if fmt == DOUBLE:
        r = double_bits(host_sqrt_double(as_double(a)))
    else:
        r = float_bits(host_sqrt_float(as_float(a)))
    if likely(is_ordinary(fmt, r) and computes_like_host(c)):
        return r
    return fp_sqrt(c, fmt, a)

cdef inline uint64_t host_muladd(Cpu* c, int fmt, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r
    if likely(has_fma):
        if fmt == DOUBLE:
            r = double_bits(fma_double(as_double(addend), as_double(a), as_double(b)))
        else:
            r = float_bits(fma_float(as_float(addend), as_float(a), as_float(b)))
        if likely(is_ordinary(fmt, r) and computes_like_host(c)):
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

cdef inline uint64_t host_single_to_double(Cpu* c, uint64_t a) noexcept nogil:
    if likely(((a >> fraction_bits(SINGLE)) + 1) & (exponent_ones(SINGLE) & ~1) != 0):   # it is normal
        return double_bits(<double>as_float(a))
    return fp_to_fp(c, SINGLE, DOUBLE, a)

cdef inline uint64_t host_double_to_single(Cpu* c, uint64_t a) noexcept nogil:
    cdef uint64_t r = float_bits(<float>as_double(a))
    if likely(is_ordinary(SINGLE, r) and computes_like_host(c)):
        return r
    return fp_to_fp(c, DOUBLE, SINGLE, a)

cdef inline uint64_t host_from_int(Cpu* c, int fmt, int width, uint64_t value) noexcept nogil:
    """SCVTF of an integer of 32 or 64 bits."""
    cdef int64_t n = <int32_t>value if width == 32 else <int64_t>value
    cdef uint64_t limit = <uint64_t>1 << (fraction_bits(fmt) + 1)
    # Up to 2^53, or 2^24, there is nothing to round.
    if (fmt == DOUBLE and width == 32) or likely(<uint64_t>n + limit <= 2 * limit or rounds_like_host(c)):
        return double_bits(<double>n) if fmt == DOUBLE else float_bits(<float>n)
    return fixed_to_fp(c, fmt, value, width, 0, False, ROUND_FPCR)

cdef inline uint64_t host_from_uint(Cpu* c, int fmt, int width, uint64_t value) noexcept nogil:
    """UCVTF."""
    cdef uint64_t n = <uint32_t>value if width == 32 else value
    cdef uint64_t limit = <uint64_t>1 << (fraction_bits(fmt) + 1)
    if (fmt == DOUBLE and width == 32) or likely(n <= limit or (n >> 63 == 0 and rounds_like_host(c))):
        return double_bits(<double><int64_t>n) if fmt == DOUBLE else float_bits(<float><int64_t>n)
    return fixed_to_fp(c, fmt, value, width, 0, True, ROUND_FPCR)

cdef inline int64_t truncated(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    """Of a magnitude below 2^63, which is not flushed; FPSR.IXC where it has a fraction."""
    cdef int64_t n
    if fmt == DOUBLE:
        n = <int64_t>as_double(a)
        if c.fpsr & FPSR_IXC == 0 and <double>n != as_double(a):
            c.fpsr |= FPSR_IXC
    else:
        n = <int64_t>as_float(a)
        if c.fpsr & FPSR_IXC == 0 and <float>n != as_float(a):
            c.fpsr |= FPSR_IXC
    return n

cdef inline uint64_t host_to_int(Cpu* c, int fmt, int width, uint64_t a) noexcept nogil:
    """FCVTZS to 32 or 64 bits."""
    cdef int64_t n
    if likely(magnitude(fmt, a) < power_of_two(fmt, width - 1) and c.fpcr & FPCR_FZ == 0):
        n = truncated(c, fmt, a)
        return <uint32_t>n if width == 32 else <uint64_t>n
    return fp_to_fixed(c, fmt, a, width, 0, False, ROUND_ZERO)

cdef inline uint64_t host_to_uint(Cpu* c, int fmt, int width, uint64_t a) noexcept nogil:
    """FCVTZU: of a value that is positive and below 2^63, by the signed conversion."""
    if likely(a < power_of_two(fmt, 32 if width == 32 else 63) and c.fpcr & FPCR_FZ == 0):
        return <uint64_t>truncated(c, fmt, a)
    return fp_to_fixed(c, fmt, a, width, 0, True, ROUND_ZERO)
