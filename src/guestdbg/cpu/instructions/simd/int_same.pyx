# cython: language_level=3
"""Three registers of the same type (C4.1.96.20), without saturation: arithmetic, comparisons, maximum.

A function's type of lane says whether the instruction is signed: SMAX and UMAX are one operation.
"""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from guestdbg.cpu.core cimport Cpu, Fill, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport (
    has_sign, lane, lanes, lanes_of, width, write_lanes,
)
from guestdbg.cpu.instructions.simd.int_rows cimport fill_scalar, fill_vector, size_rows
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport rd, rm, rn

cdef enum:
    ADD
    SUB
    MUL
    MLA
    MLS
    HADD
    RHADD
    HSUB
    GT
    GE
    EQ
    TST
    MAX
    MIN
    ABD
    ABA
    PMUL

cdef inline lane polynomial_product(lane n, lane m) noexcept nogil:
    """The lower half of PolynomialMult, of 8 bits."""
    cdef lane product = n if m & 1 else 0
    product ^= <lane>(n << 1) if m & 2 else 0
    product ^= <lane>(n << 2) if m & 4 else 0
    product ^= <lane>(n << 3) if m & 8 else 0
    product ^= <lane>(n << 4) if m & 16 else 0
    product ^= <lane>(n << 5) if m & 32 else 0
    product ^= <lane>(n << 6) if m & 64 else 0
    product ^= <lane>(n << 7) if m & 128 else 0
    return product

# Comparisons of 64-bit lanes are arithmetic: the host may have none of its own.

cdef inline uint64_t greater(uint64_t n, uint64_t m) noexcept nogil:
    """1 or 0: the borrow of m - n."""
    return ((n & ~m) | (~(n ^ m) & (m - n))) >> 63

cdef inline uint64_t different(uint64_t n, uint64_t m) noexcept nogil:
    return ((n ^ m) | (0 - (n ^ m))) >> 63

cdef inline uint64_t ordered(lane value) noexcept nogil:
    """A 64-bit lane as an unsigned value that compares in the same way."""
    return <uint64_t>value ^ (<uint64_t>has_sign(value) << 63)

cdef inline lane compare_64(int op, lane n, lane m) noexcept nogil:
    if op == GT:
        return <lane>(0 - greater(ordered(n), ordered(m)))
    elif op == GE:
        return <lane>(greater(ordered(m), ordered(n)) - 1)
    elif op == EQ:
        return <lane>(different(<uint64_t>n, <uint64_t>m) - 1)
    elif op == TST:
        return <lane>(0 - different(<uint64_t>(n & m), 0))

cdef inline lane operation(int op, lane d, lane n, lane m) noexcept nogil:
    if op == ADD:
        return <lane>(<uint64_t>n + <uint64_t>m)
    elif op == SUB:
        return <lane>(<uint64_t>n - <uint64_t>m)
    elif op == MUL:
        return <lane>(<uint64_t>n * <uint64_t>m)
    elif op == MLA:
        return <lane>(<uint64_t>d + <uint64_t>n * <uint64_t>m)
    elif op == MLS:
        return <lane>(<uint64_t>d - <uint64_t>n * <uint64_t>m)
    # The halves are rounded down or up without a bit more than the lane has.
    elif op == HADD:
        return <lane>((n & m) + ((n ^ m) >> 1))
    elif op == RHADD:
        return <lane>((n | m) - ((n ^ m) >> 1))
    elif op == HSUB:
        return <lane>(((n ^ m) >> 1) - (~n & m))
    elif width(n) == 64 and (op == GT or op == GE or op == EQ or op == TST):
        return compare_64(op, n, m)
    elif op == GT:
        return <lane>-<int>(n > m)
    elif op == GE:
        return <lane>-<int>(n >= m)
    elif op == EQ:
        return <lane>-<int>(n == m)
    elif op == TST:
        return <lane>-<int>((n & m) != 0)
    elif op == MAX:
        return n if n > m else m
    elif op == MIN:
        return n if n < m else m
    elif op == ABD:
        return <lane>(<uint64_t>n - <uint64_t>m) if n > m else <lane>(<uint64_t>m - <uint64_t>n)
    elif op == ABA:
        return <lane>(<uint64_t>d + <uint64_t>operation(ABD, d, n, m))
    elif op == PMUL:
        return polynomial_product(n, m)

cdef inline void same(Cpu* c, const Insn* i, int op, lane kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef lane* r = <lane*>result
    cdef const lane* d = lanes_of(c, rd(i), kind)
    cdef const lane* n = lanes_of(c, rn(i), kind)
    cdef const lane* m = lanes_of(c, rm(i), kind)
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):
        r[k] = operation(op, d[k], n[k], m[k])
    write_lanes(c, i, result)
    NEXT(c, i)

cdef void add_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ADD, <uint8_t>0)
cdef void add_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ADD, <uint16_t>0)
cdef void add_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ADD, <uint32_t>0)
cdef void add_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ADD, <uint64_t>0)
cdef void sub_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, SUB, <uint8_t>0)
cdef void sub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, SUB, <uint16_t>0)
cdef void sub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, SUB, <uint32_t>0)
cdef void sub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, SUB, <uint64_t>0)
cdef void mul_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MUL, <uint8_t>0)
cdef void mul_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MUL, <uint16_t>0)
cdef void mul_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MUL, <uint32_t>0)
cdef void mla_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MLA, <uint8_t>0)
cdef void mla_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MLA, <uint16_t>0)
cdef void mla_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MLA, <uint32_t>0)
cdef void mls_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MLS, <uint8_t>0)
cdef void mls_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MLS, <uint16_t>0)
cdef void mls_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MLS, <uint32_t>0)

cdef void shadd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HADD, <int8_t>0)
cdef void shadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HADD, <int16_t>0)
cdef void shadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HADD, <int32_t>0)
cdef void uhadd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HADD, <uint8_t>0)
cdef void uhadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HADD, <uint16_t>0)
cdef void uhadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HADD, <uint32_t>0)
cdef void srhadd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, RHADD, <int8_t>0)
cdef void srhadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, RHADD, <int16_t>0)
cdef void srhadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, RHADD, <int32_t>0)
cdef void urhadd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, RHADD, <uint8_t>0)
cdef void urhadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, RHADD, <uint16_t>0)
cdef void urhadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, RHADD, <uint32_t>0)
cdef void shsub_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HSUB, <int8_t>0)
cdef void shsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HSUB, <int16_t>0)
cdef void shsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HSUB, <int32_t>0)
cdef void uhsub_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HSUB, <uint8_t>0)
cdef void uhsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HSUB, <uint16_t>0)
cdef void uhsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, HSUB, <uint32_t>0)

cdef void cmgt_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GT, <int8_t>0)
cdef void cmgt_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GT, <int16_t>0)
cdef void cmgt_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GT, <int32_t>0)
cdef void cmgt_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GT, <int64_t>0)
cdef void cmhi_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GT, <uint8_t>0)
cdef void cmhi_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GT, <uint16_t>0)
cdef void cmhi_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GT, <uint32_t>0)
cdef void cmhi_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GT, <uint64_t>0)
cdef void cmge_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GE, <int8_t>0)
cdef void cmge_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GE, <int16_t>0)
cdef void cmge_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GE, <int32_t>0)
cdef void cmge_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GE, <int64_t>0)
cdef void cmhs_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GE, <uint8_t>0)
cdef void cmhs_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GE, <uint16_t>0)
cdef void cmhs_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GE, <uint32_t>0)
cdef void cmhs_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, GE, <uint64_t>0)
cdef void cmeq_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, EQ, <uint8_t>0)
cdef void cmeq_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, EQ, <uint16_t>0)
cdef void cmeq_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, EQ, <uint32_t>0)
cdef void cmeq_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, EQ, <uint64_t>0)
cdef void cmtst_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, TST, <uint8_t>0)
cdef void cmtst_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, TST, <uint16_t>0)
cdef void cmtst_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, TST, <uint32_t>0)
cdef void cmtst_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, TST, <uint64_t>0)

cdef void smax_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MAX, <int8_t>0)
cdef void smax_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MAX, <int16_t>0)
cdef void smax_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MAX, <int32_t>0)
cdef void umax_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MAX, <uint8_t>0)
cdef void umax_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MAX, <uint16_t>0)
cdef void umax_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MAX, <uint32_t>0)
cdef void smin_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MIN, <int8_t>0)
cdef void smin_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MIN, <int16_t>0)
cdef void smin_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MIN, <int32_t>0)
cdef void umin_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MIN, <uint8_t>0)
cdef void umin_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MIN, <uint16_t>0)
cdef void umin_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, MIN, <uint32_t>0)

cdef void sabd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABD, <int8_t>0)
cdef void sabd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABD, <int16_t>0)
cdef void sabd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABD, <int32_t>0)
cdef void uabd_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABD, <uint8_t>0)
cdef void uabd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABD, <uint16_t>0)
cdef void uabd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABD, <uint32_t>0)
cdef void saba_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABA, <int8_t>0)
cdef void saba_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABA, <int16_t>0)
cdef void saba_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABA, <int32_t>0)
cdef void uaba_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABA, <uint8_t>0)
cdef void uaba_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABA, <uint16_t>0)
cdef void uaba_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, ABA, <uint32_t>0)

cdef void pmul_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: same(c, i, PMUL, <uint8_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int rows(str name, str u, str opcode, Op b, Op h, Op s, Op d) except -1:
    size_rows(f"{name}_vector", f"0 q {u} 01110 ss 1 mmmmm {opcode} 1 nnnnn ddddd", fill_vector, b, h, s, d)
    if d != NULL:
        size_rows(f"{name}_scalar", f"01 {u} 11110 ss 1 mmmmm {opcode} 1 nnnnn ddddd", fill_scalar,
                  NULL, NULL, NULL, d)
    return 0

cdef int register() except -1:
    rows("SHADD", "0", "00000", shadd_b, shadd_h, shadd_s, NULL)
    rows("UHADD", "1", "00000", uhadd_b, uhadd_h, uhadd_s, NULL)
    rows("SRHADD", "0", "00010", srhadd_b, srhadd_h, srhadd_s, NULL)
    rows("URHADD", "1", "00010", urhadd_b, urhadd_h, urhadd_s, NULL)
    rows("SHSUB", "0", "00100", shsub_b, shsub_h, shsub_s, NULL)
    rows("UHSUB", "1", "00100", uhsub_b, uhsub_h, uhsub_s, NULL)
    rows("CMGT", "0", "00110", cmgt_b, cmgt_h, cmgt_s, cmgt_d)
    rows("CMHI", "1", "00110", cmhi_b, cmhi_h, cmhi_s, cmhi_d)
    rows("CMGE", "0", "00111", cmge_b, cmge_h, cmge_s, cmge_d)
    rows("CMHS", "1", "00111", cmhs_b, cmhs_h, cmhs_s, cmhs_d)
    rows("SMAX", "0", "01100", smax_b, smax_h, smax_s, NULL)
    rows("UMAX", "1", "01100", umax_b, umax_h, umax_s, NULL)
    rows("SMIN", "0", "01101", smin_b, smin_h, smin_s, NULL)
    rows("UMIN", "1", "01101", umin_b, umin_h, umin_s, NULL)
    rows("SABD", "0", "01110", sabd_b, sabd_h, sabd_s, NULL)
    rows("UABD", "1", "01110", uabd_b, uabd_h, uabd_s, NULL)
    rows("SABA", "0", "01111", saba_b, saba_h, saba_s, NULL)
    rows("UABA", "1", "01111", uaba_b, uaba_h, uaba_s, NULL)
    rows("ADD", "0", "10000", add_b, add_h, add_s, add_d)
    rows("SUB", "1", "10000", sub_b, sub_h, sub_s, sub_d)
    rows("CMTST", "0", "10001", cmtst_b, cmtst_h, cmtst_s, cmtst_d)
    rows("CMEQ", "1", "10001", cmeq_b, cmeq_h, cmeq_s, cmeq_d)
    rows("MLA", "0", "10010", mla_b, mla_h, mla_s, NULL)
    rows("MLS", "1", "10010", mls_b, mls_h, mls_s, NULL)
    rows("MUL", "0", "10011", mul_b, mul_h, mul_s, NULL)
    rows("PMUL", "1", "10011", pmul_b, NULL, NULL, NULL)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
