# cython: language_level=3
"""Whole vectors by the host's arithmetic, where it gives the same bits and the same FPSR.

Each function computes all 128 bits of Vd and returns True, or False if the exact functions (fp_each)
have to do it: nothing is written then.

Conditions for arithmetic: rounding is to nearest even, as the host's; FPSR.IXC is set, because the
host does not tell cheaply whether a result was inexact; and no other flag of FPSR would be set. The
last one is tested by the results. A finite result says that no operand was an infinity or a NaN. A
result above the smallest normal number did not underflow (the smallest one itself may have been
rounded up to it: Arm detects underflow before rounding). A sum below it is exact. So is a product
with a factor of zero. With FPCR.FZ denormal operands and results count as zero, so there must be none.

The tests are made by signs of differences of integers, for all elements at once: bit 31 or 63 of
`wrong` says that the element is not computed right. What a 64-bit vector does not have is ignored.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, unlikely
from guestdbg.cpu.fp.formats cimport FPCR_FZ, FPSR_IXC
from guestdbg.cpu.instructions.simd.fp_shape cimport element_index
from guestdbg.cpu.instructions.simd.simd_common cimport vd, vm, vn, write_full, write_vd, write_vector
from guestdbg.cpu.operands cimport imm

cdef extern from *:
    """
    /* Cython's own division looks for zero. */
    #define GUESTDBG_QUOTIENT(a, b) ((a) / (b))

    /* The host's instructions of 128 bits, where C has none or the compiler does not find them: sqrt()
       would set errno, and fma() is a call unless the compiler may assume that the host has it. */
    #if defined(__GNUC__)
    typedef float guestdbg_floats __attribute__((vector_size(16), aligned(8), may_alias));
    typedef double guestdbg_doubles __attribute__((vector_size(16), aligned(8), may_alias));
    typedef long long guestdbg_longs __attribute__((vector_size(16)));
    #define GUESTDBG_BY_LANES(type, code) \
        static inline __attribute__((always_inline)) void code(const void *d, const void *n, const void *m, void *r) \
        { \
            type x = *(const type *)n, y = *(const type *)m, z = *(const type *)d; \
            GUESTDBG_##code; \
            *(type *)r = z; \
        }
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
    #define GUESTDBG_sqrt_4s ((void)y, z = __builtin_ia32_sqrtps(x))
    #define GUESTDBG_sqrt_2d ((void)y, z = __builtin_ia32_sqrtpd(x))
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
    void eq_2d(const void* d, const void* n, const void* m, void* r) nogil    # masks: n == m
    void ge_2d(const void* d, const void* n, const void* m, void* r) nogil
    void gt_2d(const void* d, const void* n, const void* m, void* r) nogil

cdef enum:                 # kinds of arithmetic
    ADDITION
    SUBTRACTION
    MULTIPLICATION
    DIVISION
    DIFFERENCE             # its magnitude (FABD)

cdef enum:                 # kinds of comparison
    EQUAL
    GREATER_EQUAL
    GREATER
    ABSOLUTE_GREATER_EQUAL
    ABSOLUTE_GREATER
    LESS_EQUAL
    LESS

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

# ---- add, subtract, multiply, divide ----------------------------------------------------------

cdef inline float compute_s(int kind, float a, float b) noexcept nogil:
    if kind == ADDITION:
        return a + b
    if kind == SUBTRACTION or kind == DIFFERENCE:
        return a - b
    if kind == MULTIPLICATION:
        return a * b
    return quotient_s(a, b)

cdef inline double compute_d(int kind, double a, double b) noexcept nogil:
    if kind == ADDITION:
        return a + b
    if kind == SUBTRACTION or kind == DIFFERENCE:
        return a - b
    if kind == MULTIPLICATION:
        return a * b
    return quotient_d(a, b)

cdef inline uint32_t wrong_s(int kind, uint32_t r, uint32_t a, uint32_t b) noexcept nogil:
    """Bit 31: FPSR may change, or the result is not what Arm defines."""
    cdef uint32_t u = r & MAGNITUDE_S
    cdef uint32_t over = (INFINITY_S - 1) - u
    cdef uint32_t under = u - (SMALLEST_S + 1)
    if kind == MULTIPLICATION:
        return over | (under & ~((a & MAGNITUDE_S) - 1) & ~((b & MAGNITUDE_S) - 1))
    if kind == DIVISION:
        return over | (under & ~((a & MAGNITUDE_S) - 1))
    return over

cdef inline uint64_t wrong_d(int kind, uint64_t r, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t u = r & magnitude_d()
    cdef uint64_t over = (infinity_d() - 1) - u
    cdef uint64_t under = u - (smallest_d() + 1)
    if kind == MULTIPLICATION:
        return over | (under & ~((a & magnitude_d()) - 1) & ~((b & magnitude_d()) - 1))
    if kind == DIVISION:
        return over | (under & ~((a & magnitude_d()) - 1))
    return over

cdef inline bint arithmetic_s(Cpu* c, const Insn* i, int kind, bint indexed) noexcept nogil:
    """Vn and Vm, or Vm's element."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t second[2]
    cdef const float* n = <const float*>vn(c, i)
    cdef const float* m = <const float*>vm(c, i)
    cdef float element = m[element_index(i)] if indexed else 0
    cdef int e
    if unlikely(not host_rounds(c)):
        return False
    for e in range(4):
        (<float*>second)[e] = element if indexed else m[e]
    for e in range(4):
        (<float*>r)[e] = compute_s(kind, n[e], (<float*>second)[e])
    for e in range(4):
        (<uint32_t*>wrong)[e] = wrong_s(kind, (<uint32_t*>r)[e], (<const uint32_t*>n)[e],
                                        (<uint32_t*>second)[e])
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(4):
            (<uint32_t*>wrong)[e] |= (
                denormal_s((<const uint32_t*>n)[e]) | denormal_s((<uint32_t*>second)[e])
                | denormal_s((<uint32_t*>r)[e]))
    if unlikely(any_s(i, wrong)):
        return False
    if kind == DIFFERENCE:
        for e in range(4):
            (<uint32_t*>r)[e] &= MAGNITUDE_S
    write_vector(c, i, r)
    return True

cdef inline bint arithmetic_d(Cpu* c, const Insn* i, int kind, bint indexed) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t second[2]
    cdef const double* n = <const double*>vn(c, i)
    cdef const double* m = <const double*>vm(c, i)
    cdef double element = m[element_index(i)] if indexed else 0
    cdef int e
    if unlikely(not host_rounds(c)):
        return False
    for e in range(2):
        (<double*>second)[e] = element if indexed else m[e]
    for e in range(2):
        (<double*>r)[e] = compute_d(kind, n[e], (<double*>second)[e])
    for e in range(2):
        wrong[e] = wrong_d(kind, r[e], (<const uint64_t*>n)[e], second[e])
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d((<const uint64_t*>n)[e]) | denormal_d(second[e]) | denormal_d(r[e])
    if unlikely(any_d(wrong)):
        return False
    if kind == DIFFERENCE:
        for e in range(2):
            r[e] &= magnitude_d()
    write_full(c, i, r)
    return True

# ---- multiply-add, square root ------------------------------------------------------------------

cdef inline bint muladd_s(Cpu* c, const Insn* i, bint subtract, bint indexed) noexcept nogil:
    """Vd + Vn * Vm, or Vm's element; subtract changes the sign of Vn."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef const uint32_t* d = <const uint32_t*>vd(c, i)
    cdef const uint32_t* n = <const uint32_t*>vn(c, i)
    cdef const uint32_t* m = <const uint32_t*>vm(c, i)
    cdef uint32_t element = m[element_index(i)] if indexed else 0
    cdef uint32_t sign = <uint32_t>1 << 31 if subtract else 0
    cdef int e
    if unlikely(not host_rounds(c) or not has_fma):
        return False
    for e in range(4):
        (<uint32_t*>first)[e] = n[e] ^ sign
        (<uint32_t*>second)[e] = element if indexed else m[e]
    fma_4s(d, first, second, r)
    for e in range(4):
        (<uint32_t*>wrong)[e] = wrong_s(MULTIPLICATION, (<uint32_t*>r)[e], n[e], (<uint32_t*>second)[e])
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(4):
            (<uint32_t*>wrong)[e] |= (
                denormal_s(d[e]) | denormal_s(n[e]) | denormal_s((<uint32_t*>second)[e])
                | denormal_s((<uint32_t*>r)[e]))
    if unlikely(any_s(i, wrong)):
        return False
    write_vector(c, i, r)
    return True

cdef inline bint muladd_d(Cpu* c, const Insn* i, bint subtract, bint indexed) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef const uint64_t* d = vd(c, i)
    cdef const uint64_t* n = vn(c, i)
    cdef const uint64_t* m = vm(c, i)
    cdef uint64_t element = m[element_index(i)] if indexed else 0
    cdef uint64_t sign = <uint64_t>1 << 63 if subtract else 0
    cdef int e
    if unlikely(not host_rounds(c) or not has_fma):
        return False
    for e in range(2):
        first[e] = n[e] ^ sign
        second[e] = element if indexed else m[e]
    fma_2d(d, first, second, r)
    for e in range(2):
        wrong[e] = wrong_d(MULTIPLICATION, r[e], n[e], second[e])
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d(d[e]) | denormal_d(n[e]) | denormal_d(second[e]) | denormal_d(r[e])
    if unlikely(any_d(wrong)):
        return False
    write_full(c, i, r)
    return True

cdef inline bint square_root_s(Cpu* c, const Insn* i) noexcept nogil:
    """It does not underflow."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef const uint32_t* n = <const uint32_t*>vn(c, i)
    cdef int e
    if unlikely(not host_rounds(c) or not has_lanes):
        return False
    sqrt_4s(n, n, n, r)
    for e in range(4):
        (<uint32_t*>wrong)[e] = wrong_s(ADDITION, (<uint32_t*>r)[e], 0, 0)
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(4):
            (<uint32_t*>wrong)[e] |= denormal_s(n[e])
    if unlikely(any_s(i, wrong)):
        return False
    write_vector(c, i, r)
    return True

cdef inline bint square_root_d(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef const uint64_t* n = vn(c, i)
    cdef int e
    if unlikely(not host_rounds(c) or not has_lanes):
        return False
    sqrt_2d(n, n, n, r)
    for e in range(2):
        wrong[e] = wrong_d(ADDITION, r[e], 0, 0)
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d(n[e])
    if unlikely(any_d(wrong)):
        return False
    write_full(c, i, r)
    return True

# ---- compare, maximum, minimum: exact, so that only NaNs and FZ's denormals matter -------------

cdef inline bint compared_s(int kind, float a, float b) noexcept nogil:
    if kind == EQUAL:
        return a == b
    if kind == GREATER_EQUAL or kind == ABSOLUTE_GREATER_EQUAL:
        return a >= b
    if kind == GREATER or kind == ABSOLUTE_GREATER:
        return a > b
    return a <= b if kind == LESS_EQUAL else a < b

cdef inline void compared_d(int kind, const void* a, const void* b, void* r) noexcept nogil:
    if kind == EQUAL:
        eq_2d(a, a, b, r)
    elif kind == GREATER_EQUAL or kind == ABSOLUTE_GREATER_EQUAL:
        ge_2d(a, a, b, r)
    elif kind == GREATER or kind == ABSOLUTE_GREATER:
        gt_2d(a, a, b, r)
    elif kind == LESS_EQUAL:
        ge_2d(a, b, a, r)
    else:
        gt_2d(a, b, a, r)

cdef inline bint compare_s(Cpu* c, const Insn* i, int kind, bint zero) noexcept nogil:
    """Vn with Vm, or with zero."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef const uint32_t* n = <const uint32_t*>vn(c, i)
    cdef const uint32_t* m = <const uint32_t*>vm(c, i)
    cdef uint32_t kept = 0xFFFFFFFF
    cdef int e
    if kind == ABSOLUTE_GREATER_EQUAL or kind == ABSOLUTE_GREATER:
        kept = MAGNITUDE_S
    for e in range(4):
        (<uint32_t*>first)[e] = n[e] & kept
        (<uint32_t*>second)[e] = 0 if zero else m[e] & kept
    for e in range(4):
        (<uint32_t*>r)[e] = (
            0xFFFFFFFF if compared_s(kind, (<float*>first)[e], (<float*>second)[e]) else 0)
        (<uint32_t*>wrong)[e] = INFINITY_S - ((<uint32_t*>first)[e] & MAGNITUDE_S)
        if not zero:
            (<uint32_t*>wrong)[e] |= INFINITY_S - ((<uint32_t*>second)[e] & MAGNITUDE_S)
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(4):
            (<uint32_t*>wrong)[e] |= (
                denormal_s((<uint32_t*>first)[e]) | denormal_s((<uint32_t*>second)[e]))
    if unlikely(any_s(i, wrong)):
        return False
    write_vector(c, i, r)
    return True

cdef inline bint compare_d(Cpu* c, const Insn* i, int kind, bint zero) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef const uint64_t* n = vn(c, i)
    cdef const uint64_t* m = vm(c, i)
    cdef uint64_t kept = ~<uint64_t>0
    cdef int e
    if kind == ABSOLUTE_GREATER_EQUAL or kind == ABSOLUTE_GREATER:
        kept = magnitude_d()
    for e in range(2):
        first[e] = n[e] & kept
        second[e] = 0 if zero else m[e] & kept
    if unlikely(not has_lanes):
        return False
    compared_d(kind, first, second, r)
    for e in range(2):
        wrong[e] = infinity_d() - (first[e] & magnitude_d())
        if not zero:
            wrong[e] |= infinity_d() - (second[e] & magnitude_d())
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d(first[e]) | denormal_d(second[e])
    if unlikely(any_d(wrong)):
        return False
    write_full(c, i, r)
    return True

cdef inline bint select_s(Cpu* c, const Insn* i, bint greater) noexcept nogil:
    """The greater or the smaller of each. Of two zeros, +0 is greater: for equal operands the result
    is their AND or OR."""
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef const uint32_t* n = <const uint32_t*>vn(c, i)
    cdef const uint32_t* m = <const uint32_t*>vm(c, i)
    cdef uint32_t first, equal
    cdef int e
    for e in range(4):
        if greater:
            first = 0xFFFFFFFF if (<const float*>n)[e] > (<const float*>m)[e] else 0
        else:
            first = 0xFFFFFFFF if (<const float*>n)[e] < (<const float*>m)[e] else 0
        equal = 0xFFFFFFFF if (<const float*>n)[e] == (<const float*>m)[e] else 0
        (<uint32_t*>r)[e] = (
            (n[e] & first) | (m[e] & ~(first | equal))
            | ((n[e] & m[e] if greater else n[e] | m[e]) & equal))
        (<uint32_t*>wrong)[e] = (
            (INFINITY_S - (n[e] & MAGNITUDE_S)) | (INFINITY_S - (m[e] & MAGNITUDE_S)))
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(4):
            (<uint32_t*>wrong)[e] |= denormal_s(n[e]) | denormal_s(m[e])
    if unlikely(any_s(i, wrong)):
        return False
    write_vector(c, i, r)
    return True

cdef inline bint select_d(Cpu* c, const Insn* i, bint greater) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t equal[2]
    cdef const uint64_t* n = vn(c, i)
    cdef const uint64_t* m = vm(c, i)
    cdef int e
    if unlikely(not has_lanes):
        return False
    if greater:
        gt_2d(n, n, m, first)
    else:
        gt_2d(n, m, n, first)
    eq_2d(n, n, m, equal)
    for e in range(2):
        r[e] = ((n[e] & first[e]) | (m[e] & ~(first[e] | equal[e]))
                | ((n[e] & m[e] if greater else n[e] | m[e]) & equal[e]))
        wrong[e] = (infinity_d() - (n[e] & magnitude_d())) | (infinity_d() - (m[e] & magnitude_d()))
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d(n[e]) | denormal_d(m[e])
    if unlikely(any_d(wrong)):
        return False
    write_full(c, i, r)
    return True

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
