# cython: language_level=3
"""Shifts by register: SSHL and its relatives that round, saturate, or both.

Each lane is shifted to the left by the signed byte at the bottom of the other operand's lane, if that is
negative to the right. In most programs all of these are the same: then the shift is one of the whole
vector, which is what hosts have.
"""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport (
    any_lost, at_lane, has_sign, lane, lanes, lanes_of, maximum, result_mask, set_qc, width,
    write_halves, write_lanes,
)
from guestdbg.cpu.instructions.simd.int_rows cimport fill_scalar, fill_vector, size_rows
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport rm, rn

cdef enum:                 # bits of the operation
    PLAIN = 0
    ROUND = 1
    SATURATE = 2

cdef inline lane shifted_left(lane n, int by) noexcept nogil:
    if width(n) < 64:
        return <lane>(<uint32_t>n << by)
    return <lane>(<uint64_t>n << by)

cdef inline lane limit(lane n) noexcept nogil:
    """The one that n, which is not 0, passes when it is shifted too far to the left."""
    if has_sign(n):
        return <lane>(-<int>(n < 0) ^ maximum(n))
    return maximum(n)

cdef inline lane rounded_right(lane n, int by) noexcept nogil:
    """by: from 1 to the width."""
    n = n >> (by - 1)
    return <lane>((n >> 1) + (n & 1))

# lost is not zero where a lane was saturated.

cdef inline lane one_shift(int op, lane n, int by, lane* lost) noexcept nogil:
    """A lane of which nothing is known."""
    cdef lane result
    lost[0] = 0
    if by >= width(n):
        if op & SATURATE:
            lost[0] = n
            return limit(n) if n != 0 else 0
        return 0
    elif by >= 0:
        result = shifted_left(n, by)
        if op & SATURATE and result >> by != n:
            lost[0] = 1
            return limit(n)
        return result
    elif op & ROUND:
        return rounded_right(n, -by) if -by <= width(n) else 0
    elif -by >= width(n):
        return n >> (width(n) - 1) if has_sign(n) else 0
    else:
        return n >> -by

cdef inline void all_shifts(int op, const lane* n, int by, lane* r, lane* lost) noexcept nogil:
    """Lanes that all are shifted by as much, less than their width."""
    cdef lane back
    cdef int k
    if by >= 0:
        for k in range(lanes(n[0])):
            r[k] = shifted_left(n[k], by)
            if op & SATURATE:
                back = r[k] >> by
                lost[k] = back ^ n[k]
                r[k] = r[k] if back == n[k] else limit(n[k])
    elif op & ROUND:
        for k in range(lanes(n[0])):
            r[k] = rounded_right(n[k], -by)
    else:
        for k in range(lanes(n[0])):
            r[k] = n[k] >> -by

cdef inline uint64_t repeated(lane value) noexcept nogil:
    """64 bits of such lanes."""
    if lane is uint8_t or lane is int8_t:
        return <uint8_t>value * <uint64_t>0x0101010101010101
    elif lane is uint16_t or lane is int16_t:
        return <uint16_t>value * <uint64_t>0x0001000100010001
    elif lane is uint32_t or lane is int32_t:
        return <uint32_t>value * <uint64_t>0x0000000100000001
    else:
        return <uint64_t>value

cdef inline bint is_repeated(const Insn* i, const lane* m) noexcept nogil:
    """All lanes are the same, as far as the result has them."""
    cdef const uint64_t* mask = result_mask(i)
    cdef const uint64_t* halves = <const uint64_t*>m
    cdef uint64_t first = repeated(m[0])
    return ((halves[0] ^ first) & mask[0] | (halves[1] ^ first) & mask[1]) == 0

cdef inline void shift(Cpu* c, const Insn* i, int op, lane kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t lost[2]
    cdef const lane* n = lanes_of(c, rn(i), kind)
    cdef const lane* m = lanes_of(c, rm(i), kind)
    cdef int by = <int8_t>m[0]
    cdef bint saturated
    cdef lane one_lost = 0
    cdef int half, k, at
    if fp_is_trapped(c, i):
        return
    lost[0] = 0
    lost[1] = 0
    if -width(kind) < by < width(kind) and is_repeated(i, m):
        all_shifts(op, n, by, <lane*>result, <lane*>lost)
        saturated = op & SATURATE and any_lost(i, lost)
        if width(kind) == 64:
            write_halves(c, i, result)
        else:
            write_lanes(c, i, result)
    else:
        for half in range(2):
            result[half] = 0
            lost[half] = 0
            for k in range(lanes(kind) >> 1):
                at = half * (lanes(kind) >> 1) + k
                result[half] |= at_lane(k, one_shift(op, n[at], <int8_t>m[at], &one_lost))
                lost[half] |= at_lane(k, one_lost)
        saturated = op & SATURATE and any_lost(i, lost)
        write_halves(c, i, result)
    set_qc(c, saturated)
    NEXT(c, i)

cdef void sshl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, PLAIN, <int8_t>0)
cdef void sshl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, PLAIN, <int16_t>0)
cdef void sshl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, PLAIN, <int32_t>0)
cdef void sshl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, PLAIN, <int64_t>0)
cdef void ushl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, PLAIN, <uint8_t>0)
cdef void ushl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, PLAIN, <uint16_t>0)
cdef void ushl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, PLAIN, <uint32_t>0)
cdef void ushl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, PLAIN, <uint64_t>0)
cdef void srshl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND, <int8_t>0)
cdef void srshl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND, <int16_t>0)
cdef void srshl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND, <int32_t>0)
cdef void srshl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND, <int64_t>0)
cdef void urshl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND, <uint8_t>0)
cdef void urshl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND, <uint16_t>0)
cdef void urshl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND, <uint32_t>0)
cdef void urshl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND, <uint64_t>0)
cdef void sqshl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, SATURATE, <int8_t>0)
cdef void sqshl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, SATURATE, <int16_t>0)
cdef void sqshl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, SATURATE, <int32_t>0)
cdef void sqshl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, SATURATE, <int64_t>0)
cdef void uqshl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, SATURATE, <uint8_t>0)
cdef void uqshl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, SATURATE, <uint16_t>0)
cdef void uqshl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, SATURATE, <uint32_t>0)
cdef void uqshl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, SATURATE, <uint64_t>0)
cdef void sqrshl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND | SATURATE, <int8_t>0)
cdef void sqrshl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND | SATURATE, <int16_t>0)
cdef void sqrshl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND | SATURATE, <int32_t>0)
cdef void sqrshl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND | SATURATE, <int64_t>0)
cdef void uqrshl_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND | SATURATE, <uint8_t>0)
cdef void uqrshl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND | SATURATE, <uint16_t>0)
cdef void uqrshl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND | SATURATE, <uint32_t>0)
cdef void uqrshl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    shift(c, i, ROUND | SATURATE, <uint64_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int rows(str name, str u, str opcode, bint scalars, Op b, Op h, Op s, Op d) except -1:
    """scalars: of all sizes, not only of 64 bits."""
    size_rows(f"{name}_vector", f"0 q {u} 01110 ss 1 mmmmm {opcode} 1 nnnnn ddddd", fill_vector, b, h, s, d)
    if not scalars:
        b = h = s = NULL
    size_rows(f"{name}_scalar", f"01 {u} 11110 ss 1 mmmmm {opcode} 1 nnnnn ddddd", fill_scalar, b, h, s, d)
    return 0

cdef int register() except -1:
    rows("SSHL", "0", "01000", False, sshl_b, sshl_h, sshl_s, sshl_d)
    rows("USHL", "1", "01000", False, ushl_b, ushl_h, ushl_s, ushl_d)
    rows("SQSHL", "0", "01001", True, sqshl_b, sqshl_h, sqshl_s, sqshl_d)
    rows("UQSHL", "1", "01001", True, uqshl_b, uqshl_h, uqshl_s, uqshl_d)
    rows("SRSHL", "0", "01010", False, srshl_b, srshl_h, srshl_s, srshl_d)
    rows("URSHL", "1", "01010", False, urshl_b, urshl_h, urshl_s, urshl_d)
    rows("SQRSHL", "0", "01011", True, sqrshl_b, sqrshl_h, sqrshl_s, sqrshl_d)
    rows("UQRSHL", "1", "01011", True, uqrshl_b, uqrshl_h, uqrshl_s, uqrshl_d)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
