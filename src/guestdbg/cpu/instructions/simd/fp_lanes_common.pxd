# cython: language_level=3
"""Whole vectors by the host's arithmetic, where it gives the same bits and the same FPSR.

This is what the three fp_lanes modules share. There, each function computes all 128 bits of Vd and
returns True, or False if the exact functions (fp_each) have to do it: nothing is written then.

Conditions for arithmetic: rounding is to nearest even, as the host's; FPSR.IXC is set, because the
host does not tell cheaply whether a result was inexact; and no other flag of FPSR would be set. The
last one is tested by the results. A finite result says that no operand was an infinity or a NaN. A
result above the smallest normal number did not underflow (the smallest one itself may have been
rounded up to it: Arm detects underflow before rounding). A sum below it is exact. So is a product
with a factor of zero. With FPCR.FZ denormal operands and results count as zero, so there must be none.

The tests are made by signs of differences of integers, for all elements at once: bit 31 or 63 of
`wrong` says that the element is not computed right. What a 64-bit vector does not have is ignored.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn
from guestdbg.cpu.fp.formats cimport FPSR_IXC
from guestdbg.cpu.operands cimport imm

cdef extern from *:
    """
    /* Cython's own division looks for zero. */
    #define GUESTDBG_QUOTIENT(a, b) ((a) / (b))

    /* The host's instructions of 128 bits, where C has none or the compiler does not find them: sqrt()
       would set errno, and fma() is a call unless the compiler may assume that the host has it. */
    #if defined(__GNUC__)
    #if defined(__x86_64__)
    #include <emmintrin.h>
    #endif
    typedef float guestdbg_floats __attribute__((vector_size(16), aligned(8), may_alias));
    typedef double guestdbg_doubles __attribute__((vector_size(16), aligned(8), may_alias));
    typedef long long guestdbg_longs __attribute__((vector_size(16)));
    #define GUESTDBG_BY_LANES(type, code) \
        static inline __attribute__((always_inline)) \
        void code(const void *d, const void *n, const void *m, void *r) \
        { \
            type x = *(const type *)n, y = *(const type *)m, z = *(const type *)d; \
            GUESTDBG_##code; \
            *(type *)r = z; \
        }
    #if defined(__clang__)
    #define GUESTDBG_even_4s z = __builtin_shufflevector(x, y, 0, 2, 4, 6)
    #define GUESTDBG_odd_4s z = __builtin_shufflevector(x, y, 1, 3, 5, 7)
    #define GUESTDBG_even_2d z = __builtin_shufflevector(x, y, 0, 2)
    #define GUESTDBG_odd_2d z = __builtin_shufflevector(x, y, 1, 3)
    #else
    typedef int guestdbg_ints __attribute__((vector_size(16)));
    #define GUESTDBG_even_4s z = __builtin_shuffle(x, y, (guestdbg_ints){0, 2, 4, 6})
    #define GUESTDBG_odd_4s z = __builtin_shuffle(x, y, (guestdbg_ints){1, 3, 5, 7})
    #define GUESTDBG_even_2d z = __builtin_shuffle(x, y, (guestdbg_longs){0, 2})
    #define GUESTDBG_odd_2d z = __builtin_shuffle(x, y, (guestdbg_longs){1, 3})
    #endif
    #define GUESTDBG_eq_2d z = (guestdbg_doubles)(x == y)
    #define GUESTDBG_ge_2d z = (guestdbg_doubles)(x >= y)
    #define GUESTDBG_gt_2d z = (guestdbg_doubles)(x > y)
    #if defined(__x86_64__)
    static int guestdbg_lanes_fma;
    __attribute__((constructor)) static void guestdbg_find_lanes_fma(void)
    {
        __builtin_cpu_init();
        guestdbg_lanes_fma = __builtin_cpu_supports("fma") != 0;
    }
    #define GUESTDBG_fma_4s __asm__("vfmadd231ps %2, %1, %0" : "+x"(z) : "x"(x), "x"(y))
    #define GUESTDBG_fma_2d __asm__("vfmadd231pd %2, %1, %0" : "+x"(z) : "x"(x), "x"(y))
    #define GUESTDBG_sqrt_4s ((void)y, z = (guestdbg_floats)_mm_sqrt_ps((__m128)x))
    #define GUESTDBG_sqrt_2d ((void)y, z = (guestdbg_doubles)_mm_sqrt_pd((__m128d)x))
    #elif defined(__aarch64__)
    #define guestdbg_lanes_fma 1
    #define GUESTDBG_fma_4s __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(z) : "w"(x), "w"(y))
    #define GUESTDBG_fma_2d __asm__("fmla %0.2d, %1.2d, %2.2d" : "+w"(z) : "w"(x), "w"(y))
    #define GUESTDBG_sqrt_4s __asm__("fsqrt %0.4s, %1.4s" : "=w"(z) : "w"(x), "w"(y))
    #define GUESTDBG_sqrt_2d __asm__("fsqrt %0.2d, %1.2d" : "=w"(z) : "w"(x), "w"(y))
    #endif
    #endif
    #ifdef GUESTDBG_fma_4s
    #define GUESTDBG_HAS_LANES 1
    GUESTDBG_BY_LANES(guestdbg_floats, fma_4s)
    GUESTDBG_BY_LANES(guestdbg_doubles, fma_2d)
    GUESTDBG_BY_LANES(guestdbg_floats, sqrt_4s)
    GUESTDBG_BY_LANES(guestdbg_doubles, sqrt_2d)
    GUESTDBG_BY_LANES(guestdbg_floats, even_4s)
    GUESTDBG_BY_LANES(guestdbg_floats, odd_4s)
    GUESTDBG_BY_LANES(guestdbg_doubles, even_2d)
    GUESTDBG_BY_LANES(guestdbg_doubles, odd_2d)
    GUESTDBG_BY_LANES(guestdbg_doubles, eq_2d)
    GUESTDBG_BY_LANES(guestdbg_doubles, ge_2d)
    GUESTDBG_BY_LANES(guestdbg_doubles, gt_2d)
    #else
    #define GUESTDBG_HAS_LANES 0
    #define guestdbg_lanes_fma 0
    #define fma_4s(d, n, m, r) ((void)(r))
    #define fma_2d(d, n, m, r) ((void)(r))
    #define sqrt_4s(d, n, m, r) ((void)(r))
    #define sqrt_2d(d, n, m, r) ((void)(r))
    #define even_4s(d, n, m, r) ((void)(r))
    #define odd_4s(d, n, m, r) ((void)(r))
    #define even_2d(d, n, m, r) ((void)(r))
    #define odd_2d(d, n, m, r) ((void)(r))
    #define eq_2d(d, n, m, r) ((void)(r))
    #define ge_2d(d, n, m, r) ((void)(r))
    #define gt_2d(d, n, m, r) ((void)(r))
    #endif
    """
    float quotient_s "GUESTDBG_QUOTIENT"(float, float) nogil
    double quotient_d "GUESTDBG_QUOTIENT"(double, double) nogil
    const bint has_lanes "GUESTDBG_HAS_LANES"
    const bint has_fma "guestdbg_lanes_fma"
    void fma_4s(const void* d, const void* n, const void* m, void* r) nogil   # d + n * m
    void fma_2d(const void* d, const void* n, const void* m, void* r) nogil
    void sqrt_4s(const void* d, const void* n, const void* m, void* r) nogil  # of n
    void sqrt_2d(const void* d, const void* n, const void* m, void* r) nogil
    void even_4s(const void* d, const void* n, const void* m, void* r) nogil  # elements of n, then of m
    void odd_4s(const void* d, const void* n, const void* m, void* r) nogil
    void even_2d(const void* d, const void* n, const void* m, void* r) nogil
    void odd_2d(const void* d, const void* n, const void* m, void* r) nogil
    void eq_2d(const void* d, const void* n, const void* m, void* r) nogil    # masks: n == m
    void ge_2d(const void* d, const void* n, const void* m, void* r) nogil
    void gt_2d(const void* d, const void* n, const void* m, void* r) nogil

cdef enum:
    MAGNITUDE_S = 0x7FFFFFFF
    INFINITY_S = 0x7F800000
    SMALLEST_S = 0x00800000        # normal number

cdef inline uint64_t magnitude_d() noexcept nogil: return 0x7FFFFFFFFFFFFFFF
cdef inline uint64_t infinity_d() noexcept nogil: return 0x7FF0000000000000
cdef inline uint64_t smallest_d() noexcept nogil: return 0x0010000000000000

cdef inline bint host_rounds(const Cpu* c) noexcept nogil:
    """Rounding is to nearest even, and an inexact result changes nothing."""
    return not c.fpcr & (3 << 22) and c.fpsr & FPSR_IXC

cdef inline bint any_s(const Insn* i, const uint64_t* wrong) noexcept nogil:
    """A sign of the elements that exist."""
    return ((wrong[0] | (wrong[1] & imm(i))) & 0x8000000080000000ULL) != 0

cdef inline bint any_d(const uint64_t* wrong) noexcept nogil:
    return ((wrong[0] | wrong[1]) >> 63) != 0

cdef inline uint32_t denormal_s(uint32_t a) noexcept nogil:
    """Bit 31: neither zero nor a normal number."""
    cdef uint32_t u = a & MAGNITUDE_S
    return (u - SMALLEST_S) & ~(u - 1)

cdef inline uint64_t denormal_d(uint64_t a) noexcept nogil:
    cdef uint64_t u = a & magnitude_d()
    return (u - smallest_d()) & ~(u - 1)
