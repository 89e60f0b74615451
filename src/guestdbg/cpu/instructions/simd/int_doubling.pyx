# cython: language_level=3
"""Products that are doubled and saturated: SQDMULH, SQRDMULH, SQDMULL, SQDMLAL, SQDMLSL, and SQRDMLAH
and SQRDMLSH (FEAT_RDM); of vectors and scalars, by lane and by element.

Types are those of the product: int32_t of halfwords, int64_t of words.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Fill, Insn, NEXT, Op, UNDEF
from guestdbg.cpu.features cimport has_rdm
from guestdbg.cpu.instructions.simd.int_lanes cimport (
    any_lost, at_lane, extended, half_of, lanes, lanes_of, set_qc, write_halves, write_lanes,
)
from guestdbg.cpu.instructions.simd.int_rows cimport (
    fill_long, fill_long_element, fill_long_scalar, fill_long_scalar_element, fill_scalar,
    fill_scalar_element, fill_vector, fill_vector_element, size_rows,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport aux, imm, rd, rm, rn

ctypedef fused product:
    int32_t
    int64_t

cdef enum:
    MULH
    RMULH
    RMLAH
    RMLSH
    MULL
    MLAL
    MLSL

# ---- the upper half ---------------------------------------------------------------------------

cdef inline product upper_half(int op, product d, product n, product m) noexcept nogil:
    """Of twice the product, rounded or not, plus d; before it is saturated. The product is not doubled
    but shifted by one bit less. What is below the upper half of d is 0, so d can be added to the rest."""
    cdef int shift = 15 if product is int32_t else 31
    cdef product result = n * m
    if op == RMLSH:
        result = -result
    if op != MULH:
        result += <product>1 << (shift - 1)
    result >>= shift
    if op == RMLAH or op == RMLSH:
        result += d
    return result

cdef inline product clamped(product value) noexcept nogil:
    """To the range of a narrow lane."""
    cdef product limit = 0x7FFF if product is int32_t else 0x7FFFFFFF
    value = value if value < limit else limit
    return value if value > -limit - 1 else -limit - 1

cdef inline void high(Cpu* c, const Insn* i, int op, bint by_element, product kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t lost[2]
    cdef const uint8_t* d = half_of(c, rd(i), 0)
    cdef const uint8_t* n = half_of(c, rn(i), 0)
    cdef const uint8_t* m = half_of(c, rm(i), 0)
    cdef product factor = 0
    cdef product sum
    cdef int32_t word
    cdef bint saturates
    cdef int half, k, at
    if fp_is_trapped(c, i):
        return
    if by_element:
        factor = extended(m, <int>aux(i), kind)
    if product is int32_t:
        for k in range(8):
            sum = upper_half(op, extended(d, k, kind), extended(n, k, kind),
                             factor if by_element else extended(m, k, kind))
            (<int16_t*>result)[k] = <int16_t>clamped(sum)
            (<int16_t*>lost)[k] = <int16_t>(clamped(sum) ^ sum)
    else:
        for half in range(2):
            result[half] = 0
            lost[half] = 0
            for k in range(2):
                at = 2 * half + k
                sum = upper_half(op, extended(d, at, kind), extended(n, at, kind),
                                 factor if by_element else extended(m, at, kind))
                word = <int32_t>clamped(sum)
                result[half] |= at_lane(k, word)
                lost[half] |= at_lane(k, <int32_t>(word ^ sum))
    saturates = any_lost(i, lost)
    if product is int32_t:
        write_lanes(c, i, result)
    else:
        write_halves(c, i, result)
    set_qc(c, saturates)
    NEXT(c, i)

cdef void sqdmulh_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, MULH, False, <int32_t>0)
cdef void sqdmulh_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, MULH, False, <int64_t>0)
cdef void sqdmulh_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, MULH, True, <int32_t>0)
cdef void sqdmulh_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, MULH, True, <int64_t>0)
cdef void sqrdmulh_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMULH, False, <int32_t>0)
cdef void sqrdmulh_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMULH, False, <int64_t>0)
cdef void sqrdmulh_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMULH, True, <int32_t>0)
cdef void sqrdmulh_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMULH, True, <int64_t>0)
cdef void sqrdmlah_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMLAH, False, <int32_t>0)
cdef void sqrdmlah_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMLAH, False, <int64_t>0)
cdef void sqrdmlah_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMLAH, True, <int32_t>0)
cdef void sqrdmlah_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMLAH, True, <int64_t>0)
cdef void sqrdmlsh_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMLSH, False, <int32_t>0)
cdef void sqrdmlsh_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMLSH, False, <int64_t>0)
cdef void sqrdmlsh_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMLSH, True, <int32_t>0)
cdef void sqrdmlsh_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    high(c, i, RMLSH, True, <int64_t>0)

# ---- the whole product ------------------------------------------------------------------------

cdef inline product maximum(product kind) noexcept nogil:
    if product is int32_t:
        return 0x7FFFFFFF
    else:
        return 0x7FFFFFFFFFFFFFFF

cdef inline product wrapped_sum(int op, product d, product n) noexcept nogil:
    if op == MLAL:
        return <product>(<uint64_t>d + <uint64_t>n)
    return <product>(<uint64_t>d - <uint64_t>n)

cdef inline product accumulated(int op, product d, product half, product* lost) noexcept nogil:
    """half: the product, which is doubled. lost: not zero if something is saturated."""
    # Only the square of the least value is too large for a sign when it is doubled.
    cdef product doubled = <product>(2 * <uint64_t>half)
    cdef product sum, overflow, saturated
    lost[0] = -<product>(doubled == -maximum(half) - 1)
    doubled ^= lost[0]
    if op == MULL:
        return doubled
    # What is added or subtracted is saturated by itself, then the sum is.
    sum = wrapped_sum(op, d, doubled)
    overflow = (d ^ sum) & (~(d ^ doubled) if op == MLAL else d ^ doubled)
    saturated = (maximum(half) ^ -<product>(d < 0)) if overflow < 0 else sum
    lost[0] |= saturated ^ sum
    return saturated

cdef inline void whole(Cpu* c, const Insn* i, int op, bint by_element, product kind) noexcept nogil:
    cdef uint64_t result[2]
    cdef uint64_t lost[2]
    cdef const product* d = lanes_of(c, rd(i), kind)
    cdef const uint8_t* n = half_of(c, rn(i), imm(i))
    cdef const uint8_t* m = half_of(c, rm(i), 0 if by_element else imm(i))
    cdef product factor = 0
    cdef product one_lost = 0
    cdef bint saturates
    cdef int half, k, at
    if fp_is_trapped(c, i):
        return
    if by_element:
        factor = extended(m, <int>aux(i), kind)
    for half in range(2):
        result[half] = 0
        lost[half] = 0
        for k in range(lanes(kind) >> 1):
            at = half * (lanes(kind) >> 1) + k
            result[half] |= at_lane(k, accumulated(
                op, d[at], extended(n, at, kind) * (factor if by_element else extended(m, at, kind)),
                &one_lost))
            lost[half] |= at_lane(k, one_lost)
    saturates = any_lost(i, lost)
    write_halves(c, i, result)
    set_qc(c, saturates)
    NEXT(c, i)

cdef void sqdmull_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MULL, False, <int32_t>0)
cdef void sqdmull_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MULL, False, <int64_t>0)
cdef void sqdmull_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MULL, True, <int32_t>0)
cdef void sqdmull_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MULL, True, <int64_t>0)
cdef void sqdmlal_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MLAL, False, <int32_t>0)
cdef void sqdmlal_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MLAL, False, <int64_t>0)
cdef void sqdmlal_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MLAL, True, <int32_t>0)
cdef void sqdmlal_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MLAL, True, <int64_t>0)
cdef void sqdmlsl_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MLSL, False, <int32_t>0)
cdef void sqdmlsl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MLSL, False, <int64_t>0)
cdef void sqdmlsl_element_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MLSL, True, <int32_t>0)
cdef void sqdmlsl_element_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    whole(c, i, MLSL, True, <int64_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_rdm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill_vector(c, o, raw, pc) if has_rdm(c) else UNDEF

cdef int fill_rdm_scalar(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill_scalar(c, o, raw, pc) if has_rdm(c) else UNDEF

cdef int fill_rdm_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill_vector_element(c, o, raw, pc) if has_rdm(c) else UNDEF

cdef int fill_rdm_scalar_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return fill_scalar_element(c, o, raw, pc) if has_rdm(c) else UNDEF

cdef int rows(str name, str u, str opcode, Fill vector, Fill scalar, Op h, Op s) except -1:
    """opcode: bits 21 to 10."""
    size_rows(f"{name}_vector", f"0 q {u} 01110 ss {opcode} nnnnn ddddd", vector, NULL, h, s, NULL)
    size_rows(f"{name}_scalar", f"01 {u} 11110 ss {opcode} nnnnn ddddd", scalar, NULL, h, s, NULL)
    return 0

cdef int element_rows(str name, str u, str opcode, Fill vector, Fill scalar, Op h, Op s) except -1:
    cdef str tail = f"ss L mmmmm {opcode} H 0 nnnnn ddddd"
    size_rows(f"{name}_element", f"0 q {u} 01111 {tail}", vector, NULL, h, s, NULL)
    size_rows(f"{name}_element_scalar", f"01 {u} 11111 {tail}", scalar, NULL, h, s, NULL)
    return 0

cdef int register_high() except -1:
    rows("SQDMULH", "0", "1 mmmmm 10110 1", fill_vector, fill_scalar, sqdmulh_h, sqdmulh_s)
    rows("SQRDMULH", "1", "1 mmmmm 10110 1", fill_vector, fill_scalar, sqrdmulh_h, sqrdmulh_s)
    rows("SQRDMLAH", "1", "0 mmmmm 10000 1", fill_rdm, fill_rdm_scalar, sqrdmlah_h, sqrdmlah_s)
    rows("SQRDMLSH", "1", "0 mmmmm 10001 1", fill_rdm, fill_rdm_scalar, sqrdmlsh_h, sqrdmlsh_s)
    element_rows("SQDMULH", "0", "1100", fill_vector_element, fill_scalar_element,
                 sqdmulh_element_h, sqdmulh_element_s)
    element_rows("SQRDMULH", "0", "1101", fill_vector_element, fill_scalar_element,
                 sqrdmulh_element_h, sqrdmulh_element_s)
    element_rows("SQRDMLAH", "1", "1101", fill_rdm_element, fill_rdm_scalar_element,
                 sqrdmlah_element_h, sqrdmlah_element_s)
    element_rows("SQRDMLSH", "1", "1111", fill_rdm_element, fill_rdm_scalar_element,
                 sqrdmlsh_element_h, sqrdmlsh_element_s)
    return 0

cdef int register_whole() except -1:
    rows("SQDMLAL", "0", "1 mmmmm 1001 00", fill_long, fill_long_scalar, sqdmlal_h, sqdmlal_s)
    rows("SQDMLSL", "0", "1 mmmmm 1011 00", fill_long, fill_long_scalar, sqdmlsl_h, sqdmlsl_s)
    rows("SQDMULL", "0", "1 mmmmm 1101 00", fill_long, fill_long_scalar, sqdmull_h, sqdmull_s)
    element_rows("SQDMLAL", "0", "0011", fill_long_element, fill_long_scalar_element,
                 sqdmlal_element_h, sqdmlal_element_s)
    element_rows("SQDMLSL", "0", "0111", fill_long_element, fill_long_scalar_element,
                 sqdmlsl_element_h, sqdmlsl_element_s)
    element_rows("SQDMULL", "0", "1011", fill_long_element, fill_long_scalar_element,
                 sqdmull_element_h, sqdmull_element_s)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register_high()
    register_whole()
