# cython: language_level=3
"""Neighbouring lanes: ADDP, the pairwise maxima and minima, and the additions that widen (SADDLP).

ADDP of a scalar adds the two lanes of one register.
"""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport (
    extended, half_of, lane, lanes, lanes_of, wide, write_halves,
)
from guestdbg.cpu.instructions.simd.int_rows cimport fill_scalar, fill_vector, row, size_rows
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, write_vd
from guestdbg.cpu.operands cimport imm, rd, rm, rn

cdef enum:
    ADD
    MAX
    MIN

cdef inline lane operation(int op, lane n, lane m) noexcept nogil:
    if op == ADD:
        return <lane>(<uint64_t>n + <uint64_t>m)
    elif lane is int8_t:
        # As unsigned bytes, of which more hosts have a maximum.
        n = <lane>(n ^ 0x80)
        m = <lane>(m ^ 0x80)
        if op == MAX:
            return <lane>((<uint8_t>n if <uint8_t>n > <uint8_t>m else <uint8_t>m) ^ 0x80)
        return <lane>((<uint8_t>n if <uint8_t>n < <uint8_t>m else <uint8_t>m) ^ 0x80)
    elif op == MAX:
        return n if n > m else m
    else:
        return n if n < m else m

# ---- pairs of two registers -------------------------------------------------------------------

cdef inline void pairs(int op, lane* r, const lane* n, const lane* m, int count) noexcept nogil:
    """From count lanes of each."""
    cdef int k
    for k in range(count >> 1):
        r[k] = operation(op, n[2 * k], n[2 * k + 1])
        r[k + (count >> 1)] = operation(op, m[2 * k], m[2 * k + 1])

cdef inline void pairwise(Cpu* c, const Insn* i, int op, lane kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef const lane* n = lanes_of(c, rn(i), kind)
    cdef const lane* m = lanes_of(c, rm(i), kind)
    if fp_is_trapped(c, i):
        return
    if imm(i) != 0:
        pairs(op, <lane*>result, n, m, lanes(kind))
        write_vd(c, i, result[0], result[1])
    else:
        result[0] = 0
        pairs(op, <lane*>result, n, m, lanes(kind) >> 1)
        write_vd(c, i, result[0], 0)
    NEXT(c, i)

cdef void addp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, ADD, <uint8_t>0)
cdef void addp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, ADD, <uint16_t>0)
cdef void addp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, ADD, <uint32_t>0)
cdef void addp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, ADD, <uint64_t>0)
cdef void smaxp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MAX, <int8_t>0)
cdef void smaxp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MAX, <int16_t>0)
cdef void smaxp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MAX, <int32_t>0)
cdef void umaxp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MAX, <uint8_t>0)
cdef void umaxp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MAX, <uint16_t>0)
cdef void umaxp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MAX, <uint32_t>0)
cdef void sminp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MIN, <int8_t>0)
cdef void sminp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MIN, <int16_t>0)
cdef void sminp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MIN, <int32_t>0)
cdef void uminp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MIN, <uint8_t>0)
cdef void uminp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MIN, <uint16_t>0)
cdef void uminp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, MIN, <uint32_t>0)

cdef void addp_scalar(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef const uint64_t* n = lanes_of(c, rn(i), <uint64_t>0)
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, n[0] + n[1], 0)
    NEXT(c, i)

# ---- pairs of one register, with results of twice the size ------------------------------------

cdef inline void long_pairs(Cpu* c, const Insn* i, bint accumulate, wide kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef wide* r = <wide*>result
    cdef const uint8_t* n = half_of(c, rn(i), 0)
    cdef const wide* d = lanes_of(c, rd(i), kind)
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):
        r[k] = extended(n, 2 * k, kind) + extended(n, 2 * k + 1, kind)
        if accumulate:
            r[k] = <wide>(<uint64_t>r[k] + <uint64_t>d[k])
    write_halves(c, i, result)
    NEXT(c, i)

cdef void saddlp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, False, <int16_t>0)
cdef void saddlp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, False, <int32_t>0)
cdef void saddlp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, False, <int64_t>0)
cdef void uaddlp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, False, <uint16_t>0)
cdef void uaddlp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, False, <uint32_t>0)
cdef void uaddlp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, False, <uint64_t>0)
cdef void sadalp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, True, <int16_t>0)
cdef void sadalp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, True, <int32_t>0)
cdef void sadalp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, True, <int64_t>0)
cdef void uadalp_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, True, <uint16_t>0)
cdef void uadalp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, True, <uint32_t>0)
cdef void uadalp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_pairs(c, i, True, <uint64_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int rows(str name, str u, str opcode, Op b, Op h, Op s, Op d) except -1:
    return size_rows(f"{name}_vector", f"0 q {u} 01110 ss 1 mmmmm {opcode} 1 nnnnn ddddd", fill_vector,
                     b, h, s, d)

cdef int long_rows(str name, str u, str opcode, Op b, Op h, Op s) except -1:
    return size_rows(f"{name}_vector", f"0 q {u} 01110 ss 10000 {opcode} 10 nnnnn ddddd", fill_vector,
                     b, h, s, NULL)

cdef int register() except -1:
    rows("SMAXP", "0", "10100", smaxp_b, smaxp_h, smaxp_s, NULL)
    rows("UMAXP", "1", "10100", umaxp_b, umaxp_h, umaxp_s, NULL)
    rows("SMINP", "0", "10101", sminp_b, sminp_h, sminp_s, NULL)
    rows("UMINP", "1", "10101", uminp_b, uminp_h, uminp_s, NULL)
    rows("ADDP", "0", "10111", addp_b, addp_h, addp_s, addp_d)
    row("ADDP_scalar", "01 0 11110 11 11000 11011 10 nnnnn ddddd", fill_scalar, addp_scalar)
    long_rows("SADDLP", "0", "00010", saddlp_b, saddlp_h, saddlp_s)
    long_rows("UADDLP", "1", "00010", uaddlp_b, uaddlp_h, uaddlp_s)
    long_rows("SADALP", "0", "00110", sadalp_b, sadalp_h, sadalp_s)
    long_rows("UADALP", "1", "00110", uadalp_b, uadalp_h, uadalp_s)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
