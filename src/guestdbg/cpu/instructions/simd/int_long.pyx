# cython: language_level=3
"""Results twice as wide as the sources (AdvSIMD three different; by element), without saturation.

Narrow lanes are those of the lower half of a register, or of the upper half: of instructions with a 2 at
the end of the name. imm is the half. SADDW has a first source that is wide.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport (
    extended, half_of, lanes, lanes_of, wide, width,
)
from guestdbg.cpu.instructions.simd.int_rows cimport fill_long, fill_long_element, size_rows
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, write_vd
from guestdbg.cpu.operands cimport aux, imm, rd, rm, rn

cdef enum:
    ADDL
    SUBL
    ABDL
    ABAL
    MULL
    MLAL
    MLSL
    SHLL

cdef inline wide operation(int op, wide d, wide n, wide m) noexcept nogil:
    """n, m: extended, so that neither their sum nor their product overflows."""
    if op == ADDL:
        return <wide>(<uint64_t>n + <uint64_t>m)
    elif op == SUBL:
        return <wide>(<uint64_t>n - <uint64_t>m)
    elif op == ABDL:
        return <wide>(n - m) if n > m else <wide>(m - n)
    elif op == ABAL:
        return <wide>(<uint64_t>d + <uint64_t>operation(ABDL, d, n, m))
    elif op == MULL:
        return <wide>(n * m)
    elif op == MLAL:
        return <wide>(<uint64_t>d + <uint64_t>(n * m))
    elif op == MLSL:
        return <wide>(<uint64_t>d - <uint64_t>(n * m))
    elif wide is uint16_t:
        return <wide>(n << 8)
    elif wide is uint32_t:
        return <wide>(n << 16)
    else:
        return <wide>(<uint64_t>n << 32)

cdef inline uint64_t two_products(wide n, wide second_n, wide m, wide second_m) noexcept nogil:
    """Of halfwords, of which compilers make no vector. In one word, because they would write it in
    two steps."""
    return <uint32_t>(n * m) | <uint64_t><uint32_t>(second_n * second_m) << 32

cdef inline void long_lanes(Cpu* c, const Insn* i, int op, wide kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef wide* r = <wide*>result
    cdef const wide* d = lanes_of(c, rd(i), kind)
    cdef const uint8_t* n = half_of(c, rn(i), imm(i))
    cdef const uint8_t* m = half_of(c, rm(i), imm(i))
    cdef int k
    if fp_is_trapped(c, i):
        return
    if op == MULL and width(kind) == 32:
        for k in range(2):
            result[k] = two_products(extended(n, 2 * k, kind), extended(n, 2 * k + 1, kind),
                                     extended(m, 2 * k, kind), extended(m, 2 * k + 1, kind))
    else:
        for k in range(lanes(kind)):
            r[k] = operation(op, d[k], extended(n, k, kind), extended(m, k, kind))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline void wide_lanes(Cpu* c, const Insn* i, int op, wide kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef wide* r = <wide*>result
    cdef const wide* n = lanes_of(c, rn(i), kind)
    cdef const uint8_t* m = half_of(c, rm(i), imm(i))
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):
        r[k] = operation(op, <wide>0, n[k], extended(m, k, kind))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef inline void by_element(Cpu* c, const Insn* i, int op, wide kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef wide* r = <wide*>result
    cdef const wide* d = lanes_of(c, rd(i), kind)
    cdef const uint8_t* n = half_of(c, rn(i), imm(i))
    cdef wide element = extended(half_of(c, rm(i), 0), <int>aux(i), kind)
    cdef int k
    if fp_is_trapped(c, i):
        return
    if op == MULL and width(kind) == 32:
        for k in range(2):
            result[k] = two_products(extended(n, 2 * k, kind), extended(n, 2 * k + 1, kind), element, element)
    else:
        for k in range(lanes(kind)):
            r[k] = operation(op, d[k], extended(n, k, kind), element)
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef void saddl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ADDL, <int16_t>0)
cdef void saddl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ADDL, <int32_t>0)
cdef void saddl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ADDL, <int64_t>0)
cdef void uaddl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ADDL, <uint16_t>0)
cdef void uaddl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ADDL, <uint32_t>0)
cdef void uaddl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ADDL, <uint64_t>0)
cdef void ssubl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SUBL, <int16_t>0)
cdef void ssubl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SUBL, <int32_t>0)
cdef void ssubl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SUBL, <int64_t>0)
cdef void usubl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SUBL, <uint16_t>0)
cdef void usubl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SUBL, <uint32_t>0)
cdef void usubl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SUBL, <uint64_t>0)
cdef void sabdl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABDL, <int16_t>0)
cdef void sabdl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABDL, <int32_t>0)
cdef void sabdl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABDL, <int64_t>0)
cdef void uabdl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABDL, <uint16_t>0)
cdef void uabdl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABDL, <uint32_t>0)
cdef void uabdl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABDL, <uint64_t>0)
cdef void sabal_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABAL, <int16_t>0)
cdef void sabal_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABAL, <int32_t>0)
cdef void sabal_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABAL, <int64_t>0)
cdef void uabal_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABAL, <uint16_t>0)
cdef void uabal_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABAL, <uint32_t>0)
cdef void uabal_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, ABAL, <uint64_t>0)
cdef void smull_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MULL, <int16_t>0)
cdef void smull_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MULL, <int32_t>0)
cdef void smull_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MULL, <int64_t>0)
cdef void umull_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MULL, <uint16_t>0)
cdef void umull_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MULL, <uint32_t>0)
cdef void umull_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MULL, <uint64_t>0)
cdef void smlal_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLAL, <int16_t>0)
cdef void smlal_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLAL, <int32_t>0)
cdef void smlal_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLAL, <int64_t>0)
cdef void umlal_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLAL, <uint16_t>0)
cdef void umlal_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLAL, <uint32_t>0)
cdef void umlal_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLAL, <uint64_t>0)
cdef void smlsl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLSL, <int16_t>0)
cdef void smlsl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLSL, <int32_t>0)
cdef void smlsl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLSL, <int64_t>0)
cdef void umlsl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLSL, <uint16_t>0)
cdef void umlsl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLSL, <uint32_t>0)
cdef void umlsl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, MLSL, <uint64_t>0)
cdef void shll_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SHLL, <uint16_t>0)
cdef void shll_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SHLL, <uint32_t>0)
cdef void shll_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_lanes(c, i, SHLL, <uint64_t>0)

cdef void saddw_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, ADDL, <int16_t>0)
cdef void saddw_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, ADDL, <int32_t>0)
cdef void saddw_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, ADDL, <int64_t>0)
cdef void uaddw_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, ADDL, <uint16_t>0)
cdef void uaddw_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, ADDL, <uint32_t>0)
cdef void uaddw_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, ADDL, <uint64_t>0)
cdef void ssubw_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, SUBL, <int16_t>0)
cdef void ssubw_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, SUBL, <int32_t>0)
cdef void ssubw_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, SUBL, <int64_t>0)
cdef void usubw_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, SUBL, <uint16_t>0)
cdef void usubw_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, SUBL, <uint32_t>0)
cdef void usubw_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wide_lanes(c, i, SUBL, <uint64_t>0)

cdef void smull_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MULL, <int32_t>0)
cdef void smull_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MULL, <int64_t>0)
cdef void umull_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MULL, <uint32_t>0)
cdef void umull_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MULL, <uint64_t>0)
cdef void smlal_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MLAL, <int32_t>0)
cdef void smlal_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MLAL, <int64_t>0)
cdef void umlal_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MLAL, <uint32_t>0)
cdef void umlal_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MLAL, <uint64_t>0)
cdef void smlsl_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MLSL, <int32_t>0)
cdef void smlsl_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MLSL, <int64_t>0)
cdef void umlsl_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MLSL, <uint32_t>0)
cdef void umlsl_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    by_element(c, i, MLSL, <uint64_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int rows(str name, str u, str opcode, Op b, Op h, Op s) except -1:
    return size_rows(f"{name}_vector", f"0 q {u} 01110 ss 1 mmmmm {opcode} 00 nnnnn ddddd", fill_long,
                     b, h, s, NULL)

cdef int element_rows(str name, str u, str opcode, Op h, Op s) except -1:
    return size_rows(f"{name}_element", f"0 q {u} 01111 ss L mmmmm {opcode} H 0 nnnnn ddddd",
                     fill_long_element, NULL, h, s, NULL)

cdef int register() except -1:
    rows("SADDL", "0", "0000", saddl_b, saddl_h, saddl_s)
    rows("UADDL", "1", "0000", uaddl_b, uaddl_h, uaddl_s)
    rows("SADDW", "0", "0001", saddw_b, saddw_h, saddw_s)
    rows("UADDW", "1", "0001", uaddw_b, uaddw_h, uaddw_s)
    rows("SSUBL", "0", "0010", ssubl_b, ssubl_h, ssubl_s)
    rows("USUBL", "1", "0010", usubl_b, usubl_h, usubl_s)
    rows("SSUBW", "0", "0011", ssubw_b, ssubw_h, ssubw_s)
    rows("USUBW", "1", "0011", usubw_b, usubw_h, usubw_s)
    rows("SABAL", "0", "0101", sabal_b, sabal_h, sabal_s)
    rows("UABAL", "1", "0101", uabal_b, uabal_h, uabal_s)
    rows("SABDL", "0", "0111", sabdl_b, sabdl_h, sabdl_s)
    rows("UABDL", "1", "0111", uabdl_b, uabdl_h, uabdl_s)
    rows("SMLAL", "0", "1000", smlal_b, smlal_h, smlal_s)
    rows("UMLAL", "1", "1000", umlal_b, umlal_h, umlal_s)
    rows("SMLSL", "0", "1010", smlsl_b, smlsl_h, smlsl_s)
    rows("UMLSL", "1", "1010", umlsl_b, umlsl_h, umlsl_s)
    rows("SMULL", "0", "1100", smull_b, smull_h, smull_s)
    rows("UMULL", "1", "1100", umull_b, umull_h, umull_s)
    element_rows("SMLAL", "0", "0010", smlal_element_h, smlal_element_s)
    element_rows("UMLAL", "1", "0010", umlal_element_h, umlal_element_s)
    element_rows("SMLSL", "0", "0110", smlsl_element_h, smlsl_element_s)
    element_rows("UMLSL", "1", "0110", umlsl_element_h, umlsl_element_s)
    element_rows("SMULL", "0", "1010", smull_element_h, smull_element_s)
    element_rows("UMULL", "1", "1010", umull_element_h, umull_element_s)
    size_rows("SHLL_vector", "0 q 1 01110 ss 10000 10011 10 nnnnn ddddd", fill_long,
              shll_b, shll_h, shll_s, NULL)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
