# cython: language_level=3
"""Comparison, maximum and minimum of whole vectors by the host (fp_lanes_common.pxd).

They are exact, so that only NaNs and FPCR.FZ's denormals matter: neither rounding nor FPSR.IXC does.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, unlikely
from guestdbg.cpu.fp.formats cimport FPCR_FZ
from guestdbg.cpu.instructions.simd.fp_lanes_common cimport (
    any_d, any_s, denormal_d, denormal_s, eq_2d, ge_2d, gt_2d, has_lanes, infinity_d, INFINITY_S,
    magnitude_d, MAGNITUDE_S,
)
from guestdbg.cpu.instructions.simd.simd_common cimport vm, vn, write_full, write_vector

cdef enum:                 # kinds of comparison
    EQUAL
    GREATER_EQUAL
    GREATER
    ABSOLUTE_GREATER_EQUAL
    ABSOLUTE_GREATER
    LESS_EQUAL
    LESS

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
