# cython: language_level=3
"""Dot products of four bytes, accumulated in words (FEAT_DotProd): SDOT, UDOT, and by element."""
from libc.stdint cimport int32_t, int8_t, uint32_t, uint64_t, uint8_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op, UNDEF
from guestdbg.cpu.features cimport has_dotprod
from guestdbg.cpu.instructions.simd.int_lanes cimport lanes_of, write_lanes
from guestdbg.cpu.instructions.simd.int_rows cimport fill_vector, fill_vector_element, row
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport aux, rd, rm, rn

ctypedef fused byte:
    int8_t
    uint8_t

cdef inline void dot(Cpu* c, const Insn* i, bint by_element, byte kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint32_t* r = <uint32_t*>result
    cdef const uint32_t* d = lanes_of(c, rd(i), <uint32_t>0)
    cdef const byte* n = lanes_of(c, rn(i), kind)
    cdef const byte* m = lanes_of(c, rm(i), kind)
    cdef int k, at
    if fp_is_trapped(c, i):
        return
    for k in range(4):
        at = 4 * <int>aux(i) if by_element else 4 * k
        r[k] = d[k] + <uint32_t>(
            <int32_t>n[4 * k] * m[at] + <int32_t>n[4 * k + 1] * m[at + 1]
            + <int32_t>n[4 * k + 2] * m[at + 2] + <int32_t>n[4 * k + 3] * m[at + 3])
    write_lanes(c, i, result)
    NEXT(c, i)

cdef void sdot(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: dot(c, i, False, <int8_t>0)
cdef void udot(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: dot(c, i, False, <uint8_t>0)
cdef void sdot_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: dot(c, i, True, <int8_t>0)
cdef void udot_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: dot(c, i, True, <uint8_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_dot(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill_vector(c, o, raw, pc) if has_dotprod(c) else UNDEF

cdef int fill_dot_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill_vector_element(c, o, raw, pc) if has_dotprod(c) else UNDEF

cdef int rows(str name, str u, Op op, Op op_element) except -1:
    row(f"{name}_vector", f"0 q {u} 01110 10 0 mmmmm 10010 1 nnnnn ddddd", fill_dot, op)
    row(f"{name}_element", f"0 q {u} 01111 10 L mmmmm 1110 H 0 nnnnn ddddd", fill_dot_element, op_element)
    return 0

cdef int register() except -1:
    rows("SDOT", "0", sdot, sdot_element)
    rows("UDOT", "1", udot, udot_element)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
