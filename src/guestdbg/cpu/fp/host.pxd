# cython: language_level=3
"""Arithmetic in single and double precision by the host, and where it gives the same bits and flags.

The host rounds to nearest, ties to even, does not flush denormals, and its flags are not looked at.
So its result is taken where FPCR asks for just that, FPSR.IXC is already set (most results are inexact,
so it soon is), and the result is a normal number well above the smallest one, or a zero that is known
to be exact. From such a result it follows that there were neither NaNs nor infinities, which the host
treats in another way; denormal operands are like others. In all other cases an instruction goes on with
arithmetic, compare or convert (fp_slow).

Only inline functions: there is no module of this name at run time. fmt is a constant, SINGLE or DOUBLE.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, likely, unlikely
from guestdbg.cpu.fp.formats cimport (
    DOUBLE, FPCR_FZ, FPCR_RMODE, FPSR_IXC, ROUND_NEGINF, ROUND_TIEAWAY, ROUND_TIEEVEN, ROUND_ZERO, SINGLE,
)
from guestdbg.cpu.fp.unpacked cimport (
    exponent_bias, exponent_ones, fraction_bits, magnitude, sign_shift, signed_zero,
)

cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define GUESTDBG_LOW_WORD 4
    #else
    #define GUESTDBG_LOW_WORD 0
    #endif
    #if defined(__GNUC__)
    /* Loads to a floating-point register: memcpy() goes through an integer register. */
    typedef double guestdbg_one_double __attribute__((may_alias));
    typedef float guestdbg_one_float __attribute__((may_alias));
    #define guestdbg_double(from) (*(const guestdbg_one_double *)(from))
    #define guestdbg_float(from) (*(const guestdbg_one_float *)((const char *)(from) + GUESTDBG_LOW_WORD))
    #else
    static inline double guestdbg_double(const uint64_t *from)
    {
        double value;
        memcpy(&value, from, sizeof value);
        return value;
    }
    static inline float guestdbg_float(const uint64_t *from)
    {
        float value;
        memcpy(&value, (const char *)from + GUESTDBG_LOW_WORD, sizeof value);
        return value;
    }
    #endif
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
    /* A V register, of which the rest becomes zero, from a value in a register of the same kind. */
    #if defined(__GNUC__) && GUESTDBG_LOW_WORD == 0
    typedef double guestdbg_doubles __attribute__((vector_size(16), aligned(1), may_alias));
    typedef float guestdbg_floats __attribute__((vector_size(16), aligned(1), may_alias));
    #define guestdbg_store_double(to, value) (*(guestdbg_doubles *)(to) = (guestdbg_doubles){(value), 0})
    #define guestdbg_store_float(to, value) (*(guestdbg_floats *)(to) = (guestdbg_floats){(value), 0, 0, 0})
    #else
    #define guestdbg_store_double(to, value) ((to)[0] = guestdbg_double_bits(value), (to)[1] = 0)
    #define guestdbg_store_float(to, value) ((to)[0] = guestdbg_float_bits(value), (to)[1] = 0)
    #endif

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
    double load_double "guestdbg_double"(const uint64_t*) nogil
    float load_float "guestdbg_float"(const uint64_t*) nogil
    void store_double "guestdbg_store_double"(uint64_t* to, double) nogil
    void store_float "guestdbg_store_float"(uint64_t* to, float) nogil
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

# ---- values -----------------------------------------------------------------------------------

cdef struct HostValue:     # in a floating-point register of the host
    double d               # DOUBLE
    float s                # SINGLE

cdef inline HostValue host_value(int fmt, const uint64_t* v) noexcept nogil:
    """The low element of a V register, or the bits of a value."""
    cdef HostValue r
    r.d = load_double(v) if fmt == DOUBLE else 0
    r.s = load_float(v) if fmt == SINGLE else 0
    return r

cdef inline HostValue host_double(double d) noexcept nogil:
    cdef HostValue r
    r.d = d
    r.s = 0
    return r

cdef inline HostValue host_single(float s) noexcept nogil:
    cdef HostValue r
    r.d = 0
    r.s = s
    return r

cdef inline void store_host_value(uint64_t* v, int fmt, HostValue r) noexcept nogil:
    """To a V register, the rest of which becomes zero."""
    if fmt == DOUBLE:
        store_double(v, r.d)
    else:
        store_float(v, r.s)

cdef inline uint64_t bits_of(int fmt, HostValue r) noexcept nogil:
    return double_bits(r.d) if fmt == DOUBLE else float_bits(r.s)

# ---- arithmetic -------------------------------------------------------------------------------

cdef inline HostValue host_add(int fmt, HostValue a, HostValue b) noexcept nogil:
    return host_double(a.d + b.d) if fmt == DOUBLE else host_single(a.s + b.s)

cdef inline HostValue host_sub(int fmt, HostValue a, HostValue b) noexcept nogil:
    return host_double(a.d - b.d) if fmt == DOUBLE else host_single(a.s - b.s)

cdef inline HostValue host_mul(int fmt, HostValue a, HostValue b) noexcept nogil:
    return host_double(a.d * b.d) if fmt == DOUBLE else host_single(a.s * b.s)

cdef inline HostValue host_div(int fmt, HostValue a, HostValue b) noexcept nogil:
    return host_double(quotient_double(a.d, b.d)) if fmt == DOUBLE else host_single(quotient_float(a.s, b.s))

cdef inline HostValue host_sqrt(int fmt, HostValue a) noexcept nogil:
    return host_double(host_sqrt_double(a.d)) if fmt == DOUBLE else host_single(host_sqrt_float(a.s))

cdef inline HostValue host_neg(int fmt, HostValue a) noexcept nogil:
    return host_double(-a.d) if fmt == DOUBLE else host_single(-a.s)

cdef inline HostValue host_muladd(int fmt, HostValue addend, HostValue a, HostValue b) noexcept nogil:
    """Only where the host has it (has_fma)."""
    if fmt == DOUBLE:
        return host_double(fma_double(addend.d, a.d, b.d))
    return host_single(fma_float(addend.s, a.s, b.s))

# ---- when the host's result is the right one ---------------------------------------------------

cdef inline bint rounds_like_host(const Cpu* c) noexcept nogil:
    """Ties to even, and an inexact result changes no flag."""
    return likely(c.fpcr & (3 << FPCR_RMODE) == 0) and likely(c.fpsr & FPSR_IXC != 0)

cdef inline bint computes_like_host(const Cpu* c) noexcept nogil:
    """The same, and denormal operands are used as they are."""
    return likely(c.fpcr & (3 << FPCR_RMODE | FPCR_FZ) == 0) and likely(c.fpsr & FPSR_IXC != 0)

cdef inline bint is_ordinary(int fmt, HostValue r) noexcept nogil:
    """A finite number whose biased exponent is at least 3, in one test."""
    return ((bits_of(fmt, r) >> fraction_bits(fmt)) + 1) & (exponent_ones(fmt) & ~3) != 0

cdef inline bint is_zero(int fmt, HostValue r) noexcept nogil:
    return magnitude(fmt, bits_of(fmt, r)) == 0

# r: the host's result. In an operation on zeros, a zero is exact; a sum that is zero always is.

cdef inline bint is_sum(const Cpu* c, int fmt, HostValue r) noexcept nogil:
    return computes_like_host(c) and (likely(is_ordinary(fmt, r)) or is_zero(fmt, r))

cdef inline bint is_product(const Cpu* c, int fmt, HostValue r, HostValue a, HostValue b) noexcept nogil:
    return computes_like_host(c) and (likely(is_ordinary(fmt, r)) or (
        is_zero(fmt, r) and (is_zero(fmt, a) or is_zero(fmt, b))))

cdef inline bint is_quotient(const Cpu* c, int fmt, HostValue r, HostValue a) noexcept nogil:
    """Of a by something. Or the square root of a."""
    return computes_like_host(c) and (likely(is_ordinary(fmt, r)) or (is_zero(fmt, r) and is_zero(fmt, a)))

cdef inline bint is_muladd(const Cpu* c, int fmt, HostValue r, HostValue addend, HostValue a,
                           HostValue b) noexcept nogil:
    return computes_like_host(c) and (likely(is_ordinary(fmt, r)) or (
        is_zero(fmt, r) and is_zero(fmt, addend) and (is_zero(fmt, a) or is_zero(fmt, b))))

# ---- comparison -------------------------------------------------------------------------------

cdef inline bint is_unordered(int fmt, HostValue a, HostValue b) noexcept nogil:
    return isunordered(a.d, b.d) if fmt == DOUBLE else isunordered(a.s, b.s)

cdef inline bint is_less(int fmt, HostValue a, HostValue b) noexcept nogil:
    return a.d < b.d if fmt == DOUBLE else a.s < b.s

cdef inline bint is_equal(int fmt, HostValue a, HostValue b) noexcept nogil:
    return a.d == b.d if fmt == DOUBLE else a.s == b.s

cdef inline bint compares_like_host(const Cpu* c, int fmt, HostValue a, HostValue b) noexcept nogil:
    """Neither is a NaN, and denormal operands are used as they are."""
    return likely(not is_unordered(fmt, a, b)) and likely(c.fpcr & FPCR_FZ == 0)

cdef inline bint differs_like_host(const Cpu* c, int fmt, HostValue a, HostValue b) noexcept nogil:
    """The same, and they are not equal: of two zeros, the sign matters."""
    return compares_like_host(c, fmt, a, b) and likely(not is_equal(fmt, a, b))

# ---- conversion -------------------------------------------------------------------------------

cdef inline uint64_t power_of_two(int fmt, int n) noexcept nogil:
    return <uint64_t>(exponent_bias(fmt) + n) << fraction_bits(fmt)

cdef inline HostValue host_widen(HostValue a) noexcept nogil:
    """From single to double precision."""
    return host_double(<double>a.s)

cdef inline HostValue host_narrow(HostValue a) noexcept nogil:
    return host_single(<float>a.d)

cdef inline bint is_widened(HostValue a) noexcept nogil:
    """host_widen gives the right result: a is normal or zero, so that it is exact."""
    return likely(((bits_of(SINGLE, a) >> fraction_bits(SINGLE)) + 1) & (exponent_ones(SINGLE) & ~1) != 0) or (
        is_zero(SINGLE, a))

cdef inline bint is_narrowed(const Cpu* c, HostValue r, HostValue a) noexcept nogil:
    """r = host_narrow(a) is the right result."""
    return computes_like_host(c) and (likely(is_ordinary(SINGLE, r)) or is_zero(DOUBLE, a))

# From integers of `width` bits, 32 or 64. Up to 2^53, or 2^24, there is nothing to round.

cdef inline bint is_from_int(const Cpu* c, int fmt, int width, uint64_t value) noexcept nogil:
    """host_from_int gives the right result."""
    cdef uint64_t limit = <uint64_t>1 << (fraction_bits(fmt) + 1)
    if width == 32:
        return fmt == DOUBLE or likely(<uint32_t>value + <uint32_t>limit <= 2 * <uint32_t>limit) or (
            rounds_like_host(c))
    return likely(value + limit <= 2 * limit) or rounds_like_host(c)

cdef inline bint is_from_uint(const Cpu* c, int fmt, int width, uint64_t value) noexcept nogil:
    cdef uint64_t limit = <uint64_t>1 << (fraction_bits(fmt) + 1)
    if width == 32:
        return fmt == DOUBLE or likely(<uint32_t>value <= limit) or rounds_like_host(c)
    return likely(value <= limit) or (value >> 63 == 0 and rounds_like_host(c))

cdef inline HostValue host_from_int(int fmt, int width, uint64_t value) noexcept nogil:
    cdef int64_t n = <int32_t>value if width == 32 else <int64_t>value
    return host_double(<double>n) if fmt == DOUBLE else host_single(<float>n)

cdef inline HostValue host_from_uint(int fmt, int width, uint64_t value) noexcept nogil:
    """Below 2^63: the signed conversion."""
    return host_from_int(fmt, 64, <uint32_t>value if width == 32 else value)

# To integers, towards zero. A denormal operand that is flushed is not inexact.

cdef inline bint fits_int(const Cpu* c, int fmt, int width, uint64_t a) noexcept nogil:
    """a: the bits of the value."""
    return likely(magnitude(fmt, a) < power_of_two(fmt, width - 1)) and likely(c.fpcr & FPCR_FZ == 0)

cdef inline bint fits_uint(const Cpu* c, int fmt, int width, uint64_t a) noexcept nogil:
    """It is positive and below 2^63, so that the signed conversion can be used."""
    return likely(a < power_of_two(fmt, 32 if width == 32 else 63)) and likely(c.fpcr & FPCR_FZ == 0)

cdef inline uint64_t host_truncate(Cpu* c, int fmt, HostValue a) noexcept nogil:
    """Of a magnitude below 2^63. Sets FPSR.IXC where there is a fraction."""
    cdef int64_t n
    if fmt == DOUBLE:
        n = <int64_t>a.d
        if unlikely(c.fpsr & FPSR_IXC == 0) and <double>n != a.d:
            c.fpsr |= FPSR_IXC
    else:
        n = <int64_t>a.s
        if unlikely(c.fpsr & FPSR_IXC == 0) and <float>n != a.s:
            c.fpsr |= FPSR_IXC
    return <uint64_t>n

# To an integral value. The magnitude is below 2^52, or 2^23: above, every value is integral.

cdef inline bint has_fraction_bits(const Cpu* c, int fmt, uint64_t a) noexcept nogil:
    """host_integral can be used: a is of that size, and not flushed. a: the bits of the value."""
    return likely(magnitude(fmt, a) < power_of_two(fmt, fraction_bits(fmt))) and likely(c.fpcr & FPCR_FZ == 0)

cdef inline uint64_t host_integral(int fmt, uint64_t a, int rounding) noexcept nogil:
    """Bits to bits. rounding: a constant, neither ROUND_FPCR nor ROUND_ODD."""
    cdef uint64_t sign = a >> sign_shift(fmt)
    cdef uint64_t most = power_of_two(fmt, fraction_bits(fmt))
    cdef HostValue m, large
    cdef double x, t
    cdef bint up
    a = magnitude(fmt, a)
    m = host_value(fmt, &a)
    if rounding == ROUND_TIEEVEN:
        # A sum of this size has no bits for a fraction.
        large = host_value(fmt, &most)
        return bits_of(fmt, host_sub(fmt, host_add(fmt, m, large), large)) | signed_zero(fmt, sign)
    # In double precision for both: it is exact.
    x = m.d if fmt == DOUBLE else <double>m.s
    t = <double><int64_t>x
    if rounding == ROUND_TIEAWAY:
        up = x - t >= 0.5
    elif rounding == ROUND_ZERO:
        up = False
    else:
        up = (t < x) & (sign == (rounding == ROUND_NEGINF))
    t = t + <double>up
    return bits_of(fmt, host_double(t) if fmt == DOUBLE else host_single(<float>t)) | signed_zero(fmt, sign)
