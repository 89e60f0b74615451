# cython: language_level=3
"""Additions, subtractions, negations that saturate (SatQ), of vectors and scalars of all sizes.

A lane was saturated if its result is not what is left of the sum in as many bits: no sum outside of the
range leaves one of its limits. That sets FPSR.QC.
"""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport (
    any_lost, has_sign, lane, lanes, lanes_of, maximum, set_qc, width, write_halves, write_lanes,
)
from guestdbg.cpu.instructions.simd.int_rows cimport fill_scalar, fill_vector, size_rows
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport rd, rn, rm

cdef enum:
    QADD
    QSUB
    QACCUMULATE            # d + n, of which one is signed, the other unsigned: the result is as d
    QABS
    QNEG

cdef inline lane wrapped(int op, lane d, lane n, lane m) noexcept nogil:
    if op == QADD:
        return <lane>(<uint64_t>n + <uint64_t>m)
    elif op == QSUB:
        return <lane>(<uint64_t>n - <uint64_t>m)
    elif op == QACCUMULATE:
        return <lane>(<uint64_t>d + <uint64_t>n)
    elif op == QNEG or (op == QABS and n < 0):
        return <lane>(0 - <uint64_t>n)
    else:
        return n

cdef inline lane saturated(int op, lane d, lane n, lane m) noexcept nogil:
    cdef lane sum = wrapped(op, d, n, m)
    cdef lane overflow                         # its sign
    cdef lane limit
    if op == QACCUMULATE:
        # The unsigned term can only raise the sum, a negative one can only lower it.
        if not has_sign(n) and n > maximum(n) >> 1:
            return 0 if sum > d else sum
        return maximum(n) if sum < d else sum
    elif not has_sign(n):
        if op == QADD:
            return maximum(n) if sum < n else sum
        return 0 if n < m else sum
    elif op == QABS or op == QNEG:
        return maximum(n) if sum == <lane>(<uint64_t>maximum(n) + 1) else sum
    else:
        overflow = <lane>(~(n ^ m) & (n ^ sum)) if op == QADD else <lane>((n ^ m) & (n ^ sum))
        limit = <lane>(-<int>(n < 0) ^ maximum(n))
        return limit if overflow < 0 else sum

cdef inline void saturating(Cpu* c, const Insn* i, int op, lane kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t lost[2]
    cdef lane* r = <lane*>result
    cdef lane* q = <lane*>lost
    cdef const lane* d = lanes_of(c, rd(i), kind)
    cdef const lane* n = lanes_of(c, rn(i), kind)
    cdef const lane* m = lanes_of(c, rm(i), kind)
    cdef bint saturates
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):
        r[k] = saturated(op, d[k], n[k], m[k])
        q[k] = r[k] ^ wrapped(op, d[k], n[k], m[k])
    saturates = any_lost(i, lost)
    if width(kind) == 64:
        write_halves(c, i, result)
    else:
        write_lanes(c, i, result)
    set_qc(c, saturates)
    NEXT(c, i)

cdef void sqadd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QADD, <int8_t>0)
cdef void sqadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QADD, <int16_t>0)
cdef void sqadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QADD, <int32_t>0)
cdef void sqadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QADD, <int64_t>0)
cdef void uqadd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QADD, <uint8_t>0)
cdef void uqadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QADD, <uint16_t>0)
cdef void uqadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QADD, <uint32_t>0)
cdef void uqadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QADD, <uint64_t>0)
cdef void sqsub_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QSUB, <int8_t>0)
cdef void sqsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QSUB, <int16_t>0)
cdef void sqsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QSUB, <int32_t>0)
cdef void sqsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QSUB, <int64_t>0)
cdef void uqsub_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QSUB, <uint8_t>0)
cdef void uqsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QSUB, <uint16_t>0)
cdef void uqsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QSUB, <uint32_t>0)
cdef void uqsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QSUB, <uint64_t>0)

cdef void suqadd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QACCUMULATE, <int8_t>0)
cdef void suqadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QACCUMULATE, <int16_t>0)
cdef void suqadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QACCUMULATE, <int32_t>0)
cdef void suqadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QACCUMULATE, <int64_t>0)
cdef void usqadd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QACCUMULATE, <uint8_t>0)
cdef void usqadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QACCUMULATE, <uint16_t>0)
cdef void usqadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QACCUMULATE, <uint32_t>0)
cdef void usqadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QACCUMULATE, <uint64_t>0)
cdef void sqabs_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QABS, <int8_t>0)
cdef void sqabs_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QABS, <int16_t>0)
cdef void sqabs_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QABS, <int32_t>0)
cdef void sqabs_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QABS, <int64_t>0)
cdef void sqneg_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QNEG, <int8_t>0)
cdef void sqneg_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QNEG, <int16_t>0)
cdef void sqneg_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QNEG, <int32_t>0)
cdef void sqneg_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    saturating(c, i, QNEG, <int64_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int rows(str name, str u, str opcode, Op b, Op h, Op s, Op d) except -1:
    """opcode: bits 21 to 10."""
    size_rows(f"{name}_vector", f"0 q {u} 01110 ss {opcode} nnnnn ddddd", fill_vector, b, h, s, d)
    size_rows(f"{name}_scalar", f"01 {u} 11110 ss {opcode} nnnnn ddddd", fill_scalar, b, h, s, d)
    return 0

cdef int register() except -1:
    rows("SQADD", "0", "1 mmmmm 00001 1", sqadd_b, sqadd_h, sqadd_s, sqadd_d)
    rows("UQADD", "1", "1 mmmmm 00001 1", uqadd_b, uqadd_h, uqadd_s, uqadd_d)
    rows("SQSUB", "0", "1 mmmmm 00101 1", sqsub_b, sqsub_h, sqsub_s, sqsub_d)
    rows("UQSUB", "1", "1 mmmmm 00101 1", uqsub_b, uqsub_h, uqsub_s, uqsub_d)
    rows("SUQADD", "0", "10000 00011 10", suqadd_b, suqadd_h, suqadd_s, suqadd_d)
    rows("USQADD", "1", "10000 00011 10", usqadd_b, usqadd_h, usqadd_s, usqadd_d)
    rows("SQABS", "0", "10000 00111 10", sqabs_b, sqabs_h, sqabs_s, sqabs_d)
    rows("SQNEG", "1", "10000 00111 10", sqneg_b, sqneg_h, sqneg_s, sqneg_d)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
