# cython: language_level=3
"""One source register (AdvSIMD two-register miscellaneous): comparisons with zero, ABS, NEG, counts of
bits, reversals.
"""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport (
    lane, lanes, lanes_of, width, write_halves, write_lanes,
)
from guestdbg.cpu.instructions.simd.int_rows cimport fill_scalar, fill_vector, row, size_rows
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport rn

cdef enum:
    GT
    GE
    EQ
    LE
    LT
    ABS
    NEG
    CLS
    CLZ
    CNT
    NOT

# ---- operations on a lane ---------------------------------------------------------------------

cdef inline lane ones(lane n) noexcept nogil:
    """BitCount, as sums of ever more neighbouring bits."""
    n = <lane>(n - ((n >> 1) & <lane>0x5555555555555555))
    n = <lane>((n & <lane>0x3333333333333333) + ((n >> 2) & <lane>0x3333333333333333))
    n = <lane>((n + (n >> 4)) & <lane>0x0F0F0F0F0F0F0F0F)
    if width(n) >= 16:
        n = <lane>(n + (n >> 8))
    if width(n) >= 32:
        n = <lane>(n + (n >> 16))
    return <lane>(n & 0x3F)

cdef inline lane leading_zeros(lane n) noexcept nogil:
    """CountLeadingZeroBits: the zeros that are left when all bits below the highest one are set."""
    n = n | (n >> 1)
    n = n | (n >> 2)
    n = n | (n >> 4)
    if width(n) >= 16:
        n = n | (n >> 8)
    if width(n) >= 32:
        n = n | (n >> 16)
    return ones(<lane>~n)

cdef inline lane is_negative(lane n) noexcept nogil:
    """All ones if a lane of 64 bits, taken as signed, is negative: without a comparison."""
    return <lane>(0 - (<uint64_t>n >> 63))

cdef inline lane compared_64(int op, lane n) noexcept nogil:
    cdef lane negative = is_negative(n)
    cdef lane positive = <lane>(is_negative(<lane>(0 - <uint64_t>n)) & ~negative)
    if op == GT:
        return positive
    elif op == GE:
        return ~negative
    elif op == EQ:
        return ~is_negative(<lane>(n | <lane>(0 - <uint64_t>n)))
    elif op == LE:
        return ~positive
    else:
        return negative

cdef inline lane operation(int op, lane n) noexcept nogil:
    if width(n) == 64 and op <= LT:
        return compared_64(op, n)
    elif op == GT:
        return <lane>-<int>(n > 0)
    elif op == GE:
        return <lane>-<int>(n >= 0)
    elif op == EQ:
        return <lane>-<int>(n == 0)
    elif op == LE:
        return <lane>-<int>(n <= 0)
    elif op == LT:
        return <lane>-<int>(n < 0)
    elif width(n) == 64 and op == ABS:
        return <lane>((<uint64_t>n ^ <uint64_t>is_negative(n)) - <uint64_t>is_negative(n))
    elif op == NEG:
        return <lane>(0 - <uint64_t>n)
    elif op == ABS:
        return <lane>(0 - <uint64_t>n) if n < 0 else n
    elif op == CLZ:
        return leading_zeros(n)
    elif op == CNT:
        return ones(n)
    else:
        return ~n

cdef inline void each(Cpu* c, const Insn* i, int op, lane kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef lane* r = <lane*>result
    cdef const lane* n = lanes_of(c, rn(i), kind)
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):
        r[k] = operation(op, n[k])
    write_lanes(c, i, result)
    NEXT(c, i)

cdef inline void leading_signs(Cpu* c, const Insn* i, lane kind) noexcept nogil:
    """CLS. The type is unsigned."""
    cdef uint64_t result[2]
    cdef lane* r = <lane*>result
    cdef const lane* n = lanes_of(c, rn(i), kind)
    cdef lane changes
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):
        # Where a bit differs from the one above it. Below the first such bit nothing matters, and the
        # highest bit has none above it.
        changes = <lane>(n[k] ^ (n[k] << 1)) | 1
        r[k] = leading_zeros(changes)
    write_lanes(c, i, result)
    NEXT(c, i)

cdef void cmgt_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, GT, <int8_t>0)
cdef void cmgt_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, GT, <int16_t>0)
cdef void cmgt_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, GT, <int32_t>0)
cdef void cmgt_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, GT, <int64_t>0)
cdef void cmge_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, GE, <int8_t>0)
cdef void cmge_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, GE, <int16_t>0)
cdef void cmge_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, GE, <int32_t>0)
cdef void cmge_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, GE, <int64_t>0)
cdef void cmeq_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, EQ, <int8_t>0)
cdef void cmeq_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, EQ, <int16_t>0)
cdef void cmeq_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, EQ, <int32_t>0)
cdef void cmeq_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, EQ, <int64_t>0)
cdef void cmle_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, LE, <int8_t>0)
cdef void cmle_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, LE, <int16_t>0)
cdef void cmle_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, LE, <int32_t>0)
cdef void cmle_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, LE, <int64_t>0)
cdef void cmlt_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, LT, <int8_t>0)
cdef void cmlt_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, LT, <int16_t>0)
cdef void cmlt_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, LT, <int32_t>0)
cdef void cmlt_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, LT, <int64_t>0)
cdef void abs_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, ABS, <int8_t>0)
cdef void abs_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, ABS, <int16_t>0)
cdef void abs_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, ABS, <int32_t>0)
cdef void abs_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, ABS, <int64_t>0)
cdef void neg_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, NEG, <uint8_t>0)
cdef void neg_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, NEG, <uint16_t>0)
cdef void neg_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, NEG, <uint32_t>0)
cdef void neg_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, NEG, <uint64_t>0)

cdef void clz_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, CLZ, <uint8_t>0)
cdef void clz_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, CLZ, <uint16_t>0)
cdef void clz_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, CLZ, <uint32_t>0)
cdef void cnt_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, CNT, <uint8_t>0)
cdef void not_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: each(c, i, NOT, <uint8_t>0)
cdef void cls_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: leading_signs(c, i, <uint8_t>0)
cdef void cls_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: leading_signs(c, i, <uint16_t>0)
cdef void cls_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: leading_signs(c, i, <uint32_t>0)

# ---- reversals --------------------------------------------------------------------------------
# Of bits, bytes or halfwords within bytes to doublewords: neighbours change places, then pairs of them.

cdef inline uint64_t exchanged(uint64_t n, int by, uint64_t low) noexcept nogil:
    """low: the lower of each two groups of bits."""
    return ((n & low) << by) | ((n >> by) & low)

cdef inline uint64_t reversal(uint64_t n, int smallest, int largest) noexcept nogil:
    if smallest <= 1 < largest:
        n = exchanged(n, 1, 0x5555555555555555)
    if smallest <= 2 < largest:
        n = exchanged(n, 2, 0x3333333333333333)
    if smallest <= 4 < largest:
        n = exchanged(n, 4, 0x0F0F0F0F0F0F0F0F)
    if smallest <= 8 < largest:
        n = exchanged(n, 8, 0x00FF00FF00FF00FF)
    if smallest <= 16 < largest:
        n = exchanged(n, 16, 0x0000FFFF0000FFFF)
    if smallest <= 32 < largest:
        n = (n << 32) | (n >> 32)
    return n

cdef inline void reverse(Cpu* c, const Insn* i, int smallest, int largest) noexcept nogil:
    """Groups of `smallest` bits in containers of `largest`."""
    cdef uint64_t result[2]
    cdef const uint64_t* n = lanes_of(c, rn(i), <uint64_t>0)
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(2):
        result[k] = reversal(n[k], smallest, largest)
    if smallest == 8 and largest == 64:
        write_halves(c, i, result)             # an instruction of its own on most hosts
    else:
        write_lanes(c, i, result)
    NEXT(c, i)

cdef void rbit(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: reverse(c, i, 1, 8)
cdef void rev16_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: reverse(c, i, 8, 16)
cdef void rev32_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: reverse(c, i, 8, 32)
cdef void rev32_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: reverse(c, i, 16, 32)
cdef void rev64_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: reverse(c, i, 8, 64)
cdef void rev64_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: reverse(c, i, 16, 64)
cdef void rev64_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: reverse(c, i, 32, 64)

# ---- decode -----------------------------------------------------------------------------------

cdef int rows(str name, str u, str opcode, Op b, Op h, Op s, Op d) except -1:
    size_rows(f"{name}_vector", f"0 q {u} 01110 ss 10000 {opcode} 10 nnnnn ddddd", fill_vector, b, h, s, d)
    if d != NULL:
        size_rows(f"{name}_scalar", f"01 {u} 11110 ss 10000 {opcode} 10 nnnnn ddddd", fill_scalar,
                  NULL, NULL, NULL, d)
    return 0

cdef int register() except -1:
    rows("REV64", "0", "00000", rev64_b, rev64_h, rev64_s, NULL)
    rows("REV32", "1", "00000", rev32_b, rev32_h, NULL, NULL)
    rows("REV16", "0", "00001", rev16_b, NULL, NULL, NULL)
    rows("CLS", "0", "00100", cls_b, cls_h, cls_s, NULL)
    rows("CLZ", "1", "00100", clz_b, clz_h, clz_s, NULL)
    rows("CNT", "0", "00101", cnt_b, NULL, NULL, NULL)
    row("NOT_vector", "0 q 1 01110 00 10000 00101 10 nnnnn ddddd", fill_vector, not_b)
    row("RBIT_vector", "0 q 1 01110 01 10000 00101 10 nnnnn ddddd", fill_vector, rbit)
    rows("CMGT_zero", "0", "01000", cmgt_b, cmgt_h, cmgt_s, cmgt_d)
    rows("CMGE_zero", "1", "01000", cmge_b, cmge_h, cmge_s, cmge_d)
    rows("CMEQ_zero", "0", "01001", cmeq_b, cmeq_h, cmeq_s, cmeq_d)
    rows("CMLE_zero", "1", "01001", cmle_b, cmle_h, cmle_s, cmle_d)
    rows("CMLT_zero", "0", "01010", cmlt_b, cmlt_h, cmlt_s, cmlt_d)
    rows("ABS", "0", "01011", abs_b, abs_h, abs_s, abs_d)
    rows("NEG", "1", "01011", neg_b, neg_h, neg_s, neg_d)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
