# cython: language_level=3
"""MUL, MLA and MLS with one element of the last register."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport lane, lanes, lanes_of, write_lanes
from guestdbg.cpu.instructions.simd.int_rows cimport fill_vector_element, size_rows
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport aux, rd, rm, rn

cdef enum:
    MUL
    MLA
    MLS

cdef inline lane operation(int op, lane d, lane n, lane m) noexcept nogil:
    if op == MUL:
        return <lane>(<uint64_t>n * <uint64_t>m)
    elif op == MLA:
        return <lane>(<uint64_t>d + <uint64_t>n * <uint64_t>m)
    else:
        return <lane>(<uint64_t>d - <uint64_t>n * <uint64_t>m)

cdef inline void by_element(Cpu* c, const Insn* i, int op, lane kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef lane* r = <lane*>result
    cdef const lane* d = lanes_of(c, rd(i), kind)
    cdef const lane* n = lanes_of(c, rn(i), kind)
    cdef lane m = lanes_of(c, rm(i), kind)[aux(i)]
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):
        r[k] = operation(op, d[k], n[k], m)
    write_lanes(c, i, result)
    NEXT(c, i)

cdef void mul_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: by_element(c, i, MUL, <uint16_t>0)
cdef void mul_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: by_element(c, i, MUL, <uint32_t>0)
cdef void mla_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: by_element(c, i, MLA, <uint16_t>0)
cdef void mla_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: by_element(c, i, MLA, <uint32_t>0)
cdef void mls_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: by_element(c, i, MLS, <uint16_t>0)
cdef void mls_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: by_element(c, i, MLS, <uint32_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int rows(str name, str u, str opcode, Op h, Op s) except -1:
    return size_rows(f"{name}_element", f"0 q {u} 01111 ss L mmmmm {opcode} H 0 nnnnn ddddd",
                     fill_vector_element, NULL, h, s, NULL)

cdef int register() except -1:
    rows("MUL", "0", "1000", mul_h, mul_s)
    rows("MLA", "1", "0000", mla_h, mla_s)
    rows("MLS", "1", "0100", mls_h, mls_s)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
