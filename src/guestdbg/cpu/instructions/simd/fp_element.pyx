# cython: language_level=3
"""By element: each element of Vn with one element of Vm. Vectors and scalars.

The index of the element is H:L:M for half precision, whose Vm is one of V0 to V15, H:L for single and
H for double precision.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, Insn, NEXT, OK, Op, UNDEF
from guestdbg.cpu.fp.arithmetic cimport fp_mul, fp_muladd, fp_mulx
from guestdbg.cpu.instructions.simd.fp_each cimport (
    Binary, each_binary_indexed, each_ternary_indexed, Ternary,
)
from guestdbg.cpu.instructions.simd.fp_functions cimport element_mulsub
from guestdbg.cpu.instructions.simd.fp_lanes cimport (
    arithmetic_d, arithmetic_s, INDEXED, muladd_d, muladd_s, MULTIPLICATION,
)
from guestdbg.cpu.instructions.simd.fp_shape cimport INDEX, row, set_shape_half, set_shape_sd
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped

cdef inline void binary_indexed(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_binary_indexed(c, i, f)
    NEXT(c, i)

cdef inline void ternary_indexed(Cpu* c, const Insn* i, Ternary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_ternary_indexed(c, i, f)
    NEXT(c, i)

cdef void fmul_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary_indexed(c, i, fp_mul)
cdef void fmulx_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary_indexed(c, i, fp_mulx)
cdef void fmla_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ternary_indexed(c, i, fp_muladd)
cdef void fmls_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    ternary_indexed(c, i, element_mulsub)

# ---- vectors of single and double precision ---------------------------------------------------

cdef inline void multiply(Cpu* c, const Insn* i, bint is_double) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (arithmetic_d(c, i, MULTIPLICATION, INDEXED) if is_double
            else arithmetic_s(c, i, MULTIPLICATION, INDEXED)):
        each_binary_indexed(c, i, fp_mul)
    NEXT(c, i)

cdef inline void multiply_add(Cpu* c, const Insn* i, bint subtract, bint is_double, Ternary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (muladd_d(c, i, subtract, True) if is_double else muladd_s(c, i, subtract, True)):
        each_ternary_indexed(c, i, f)
    NEXT(c, i)

cdef void fmul_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: multiply(c, i, False)
cdef void fmul_element_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: multiply(c, i, True)
cdef void fmla_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    multiply_add(c, i, False, False, fp_muladd)
cdef void fmla_element_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    multiply_add(c, i, False, True, fp_muladd)
cdef void fmls_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    multiply_add(c, i, True, False, element_mulsub)
cdef void fmls_element_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    multiply_add(c, i, True, True, element_mulsub)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_sd(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """Double precision has L = 0 (the rows)."""
    cdef int found = set_shape_sd(o, raw)
    if found == OK:
        o.aux |= (bits(raw, 11, 11) if raw & (1 << 22)
                  else bits(raw, 11, 11) << 1 | bits(raw, 21, 21)) << INDEX
    return found

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int found = set_shape_half(c, o, raw)
    if found == OK:
        o.aux |= (bits(raw, 11, 11) << 2 | bits(raw, 21, 20)) << INDEX
        o.rm &= 15
    return found

cdef int element_rows(str name, str u, str opcode, Op op, Op s, Op d) except -1:
    row(f"{name}_asimdelem_H", f"0 q {u} 01111 00 lm mmmm {opcode} h 0 nnnnn ddddd", fill_half, op)
    row(f"{name}_asimdelem_S", f"0 q {u} 01111 10 lm mmmm {opcode} h 0 nnnnn ddddd", fill_sd, s)
    row(f"{name}_asimdelem_D", f"0 1 {u} 01111 11 0m mmmm {opcode} h 0 nnnnn ddddd", fill_sd, d)
    row(f"{name}_asisdelem_H", f"01 {u} 11111 00 lm mmmm {opcode} h 0 nnnnn ddddd", fill_half, op)
    row(f"{name}_asisdelem_S", f"01 {u} 11111 10 lm mmmm {opcode} h 0 nnnnn ddddd", fill_sd, op)
    row(f"{name}_asisdelem_D", f"01 {u} 11111 11 0m mmmm {opcode} h 0 nnnnn ddddd", fill_sd, op)
    return 0

cdef int register() except -1:
    element_rows("FMLA", "0", "0001", fmla_element, fmla_element_s, fmla_element_d)
    element_rows("FMLS", "0", "0101", fmls_element, fmls_element_s, fmls_element_d)
    element_rows("FMUL", "0", "1001", fmul_element, fmul_element_s, fmul_element_d)
    element_rows("FMULX", "1", "1001", fmulx_element, fmulx_element, fmulx_element)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
