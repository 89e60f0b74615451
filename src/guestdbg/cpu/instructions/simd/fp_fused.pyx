# cython: language_level=3
"""Fused multiply-add of whole vectors by the host, on the conditions that fp_lanes.pxd describes.

A module of its own, because the arrays are passed on: on x86-64 the instruction that does it is not
in the baseline that this is compiled for, so a function of its own uses it where the host has it.
Elsewhere it is the C library's fma(), or the compiler's.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, unlikely
from guestdbg.cpu.fp.formats cimport FPCR_FZ
from guestdbg.cpu.instructions.simd.fp_lanes cimport (
    any_d, any_s, denormal_d, denormal_s, host_rounds, MULTIPLICATION, wrong_d, wrong_s,
)
from guestdbg.cpu.instructions.simd.fp_shape cimport element_index
from guestdbg.cpu.instructions.simd.simd_common cimport vd, vm, vn, write_vd, write_vector

cdef extern from *:
    """
    #include <math.h>

    static void guestdbg_fma_s_any(float *r, const float *d, const float *n, const float *m)
    {
        for (int e = 0; e < 4; e++)
            r[e] = fmaf(n[e], m[e], d[e]);
    }

    static void guestdbg_fma_d_any(double *r, const double *d, const double *n, const double *m)
    {
        for (int e = 0; e < 2; e++)
            r[e] = fma(n[e], m[e], d[e]);
    }

    #if defined(__x86_64__) && defined(__GNUC__) && !defined(__FMA__)
    __attribute__((target("fma")))
    static void guestdbg_fma_s_fma(float *r, const float *d, const float *n, const float *m)
    {
        for (int e = 0; e < 4; e++)
            r[e] = __builtin_fmaf(n[e], m[e], d[e]);
    }

    __attribute__((target("fma")))
    static void guestdbg_fma_d_fma(double *r, const double *d, const double *n, const double *m)
    {
        for (int e = 0; e < 2; e++)
            r[e] = __builtin_fma(n[e], m[e], d[e]);
    }

    #define guestdbg_has_fma() (__builtin_cpu_init(), __builtin_cpu_supports("fma"))
    #else
    #define guestdbg_has_fma() 0
    #define guestdbg_fma_s_fma guestdbg_fma_s_any
    #define guestdbg_fma_d_fma guestdbg_fma_d_any
    #endif
    """
    bint guestdbg_has_fma() nogil
    void guestdbg_fma_s_any(float* r, const float* d, const float* n, const float* m) nogil
    void guestdbg_fma_d_any(double* r, const double* d, const double* n, const double* m) nogil
    void guestdbg_fma_s_fma(float* r, const float* d, const float* n, const float* m) nogil
    void guestdbg_fma_d_fma(double* r, const double* d, const double* n, const double* m) nogil

cdef bint HAS_FMA = guestdbg_has_fma()


cdef bint muladd_s(Cpu* c, const Insn* i, bint subtract, bint indexed) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef const uint32_t* d = <const uint32_t*>vd(c, i)
    cdef const uint32_t* n = <const uint32_t*>vn(c, i)
    cdef const uint32_t* m = <const uint32_t*>vm(c, i)
    cdef uint32_t sign = <uint32_t>subtract << 31
    cdef uint32_t element
    cdef int e
    if unlikely(not host_rounds(c)):
        return False
    for e in range(4):
        (<uint32_t*>first)[e] = n[e] ^ sign
    if indexed:
        element = m[element_index(i)]
        for e in range(4):
            (<uint32_t*>second)[e] = element
    else:
        for e in range(4):
            (<uint32_t*>second)[e] = m[e]
    if HAS_FMA:
        guestdbg_fma_s_fma(<float*>r, <const float*>d, <float*>first, <float*>second)
    else:
        guestdbg_fma_s_any(<float*>r, <const float*>d, <float*>first, <float*>second)
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

cdef bint muladd_d(Cpu* c, const Insn* i, bint subtract, bint indexed) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef const uint64_t* d = vd(c, i)
    cdef const uint64_t* n = vn(c, i)
    cdef const uint64_t* m = vm(c, i)
    cdef uint64_t sign = <uint64_t>subtract << 63
    cdef int e
    if unlikely(not host_rounds(c)):
        return False
    for e in range(2):
        first[e] = n[e] ^ sign
        second[e] = m[element_index(i)] if indexed else m[e]
    if HAS_FMA:
        guestdbg_fma_d_fma(<double*>r, <const double*>d, <double*>first, <double*>second)
    else:
        guestdbg_fma_d_any(<double*>r, <const double*>d, <double*>first, <double*>second)
    for e in range(2):
        wrong[e] = wrong_d(MULTIPLICATION, r[e], n[e], second[e])
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d(d[e]) | denormal_d(n[e]) | denormal_d(second[e]) | denormal_d(r[e])
    if unlikely(any_d(wrong)):
        return False
    write_vd(c, i, r[0], r[1])
    return True
