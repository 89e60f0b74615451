# cython: language_level=3
"""Arithmetic of whole vectors by the host, on the conditions that fp_lanes_common.pxd describes."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, unlikely
from guestdbg.cpu.fp.formats cimport FPCR_FZ
from guestdbg.cpu.instructions.simd.fp_lanes_common cimport (
    any_d, any_s, denormal_d, denormal_s, even_2d, even_4s, fma_2d, fma_4s, has_fma, has_lanes,
    host_rounds, infinity_d, INFINITY_S, magnitude_d, MAGNITUDE_S, odd_2d, odd_4s, quotient_d,
    quotient_s, smallest_d, SMALLEST_S, sqrt_2d, sqrt_4s,
)
from guestdbg.cpu.instructions.simd.fp_shape cimport element_index
from guestdbg.cpu.instructions.simd.simd_common cimport vd, vm, vn, write_full, write_vector
from guestdbg.cpu.operands cimport imm

cdef enum:                 # kinds of arithmetic
    ADDITION
    SUBTRACTION
    MULTIPLICATION
    DIVISION
    DIFFERENCE             # its magnitude (FABD)

cdef enum:                 # operands of arithmetic
    VECTORS                # Vn and Vm
    INDEXED                # Vn and Vm's element
    PAIRS                  # neighbours of Vn, then of Vm

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

cdef inline bint arithmetic_s(Cpu* c, const Insn* i, int kind, int operands) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef const float* n = <const float*>vn(c, i)
    cdef const float* m = <const float*>vm(c, i)
    cdef float element = m[element_index(i)] if operands == INDEXED else 0
    cdef int e
    if unlikely(not host_rounds(c)):
        return False
    if operands == PAIRS:
        if unlikely(not has_lanes):
            return False
        even_4s(n, n, m, first)
        odd_4s(n, n, m, second)
        if imm(i) == 0:                          # elements 0 and 1 of each: move Vm's to where Vn's end
            first[0] = <uint32_t>first[0] | first[1] << 32
            second[0] = <uint32_t>second[0] | second[1] << 32
    else:
        for e in range(4):
            (<float*>first)[e] = n[e]
            (<float*>second)[e] = element if operands == INDEXED else m[e]
    for e in range(4):
        (<float*>r)[e] = compute_s(kind, (<float*>first)[e], (<float*>second)[e])
    for e in range(4):
        (<uint32_t*>wrong)[e] = wrong_s(kind, (<uint32_t*>r)[e], (<uint32_t*>first)[e],
                                        (<uint32_t*>second)[e])
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(4):
            (<uint32_t*>wrong)[e] |= (
                denormal_s((<uint32_t*>first)[e]) | denormal_s((<uint32_t*>second)[e])
                | denormal_s((<uint32_t*>r)[e]))
    if unlikely(any_s(i, wrong)):
        return False
    if kind == DIFFERENCE:
        for e in range(4):
            (<uint32_t*>r)[e] &= MAGNITUDE_S
    write_vector(c, i, r)
    return True

cdef inline bint arithmetic_d(Cpu* c, const Insn* i, int kind, int operands) noexcept nogil:
    cdef uint64_t r[2]
    cdef uint64_t wrong[2]
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef const double* n = <const double*>vn(c, i)
    cdef const double* m = <const double*>vm(c, i)
    cdef double element = m[element_index(i)] if operands == INDEXED else 0
    cdef int e
    if unlikely(not host_rounds(c)):
        return False
    if operands == PAIRS:
        if unlikely(not has_lanes):
            return False
        even_2d(n, n, m, first)
        odd_2d(n, n, m, second)
    else:
        for e in range(2):
            (<double*>first)[e] = n[e]
            (<double*>second)[e] = element if operands == INDEXED else m[e]
    for e in range(2):
        (<double*>r)[e] = compute_d(kind, (<double*>first)[e], (<double*>second)[e])
    for e in range(2):
        wrong[e] = wrong_d(kind, r[e], first[e], second[e])
    if unlikely(c.fpcr & FPCR_FZ):
        for e in range(2):
            wrong[e] |= denormal_d(first[e]) | denormal_d(second[e]) | denormal_d(r[e])
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
