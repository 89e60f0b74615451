# cython: language_level=3
"""Results half as wide as the sources: ADDHN and its relatives, XTN, and extractions that saturate.

The result is the lower half of the register, with zeros above it, or the upper half, with what was below
it (imm: instructions with a 2 at the end of the name).
"""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport (
    lanes, lanes_of, result_mask, set_qc, wide, width,
)
from guestdbg.cpu.instructions.simd.int_rows cimport fill_long, fill_scalar, size_rows
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, vd, write_vd
from guestdbg.cpu.operands cimport imm, rm, rn

cdef inline void set_narrow(uint64_t* half, int k, wide value) noexcept nogil:
    """Lane k, of half the width: the lower bits of value."""
    if wide is uint16_t or wide is int16_t:
        (<uint8_t*>half)[k] = <uint8_t>value
    elif wide is uint32_t or wide is int32_t:
        (<uint16_t*>half)[k] = <uint16_t>value
    else:
        (<uint32_t*>half)[k] = <uint32_t>value

cdef inline void write_half(Cpu* c, const Insn* i, uint64_t half) noexcept nogil:
    if imm(i) != 0:
        write_vd(c, i, vd(c, i)[0], half)
    else:
        write_vd(c, i, half, 0)

# ---- sums -------------------------------------------------------------------------------------

cdef enum:
    ADDHN
    SUBHN
    RADDHN
    RSUBHN

cdef inline void high_half(Cpu* c, const Insn* i, int op, wide kind) noexcept nogil:
    """The upper half of each sum or difference, rounded or not."""
    cdef const wide* n = lanes_of(c, rn(i), kind)
    cdef const wide* m = lanes_of(c, rm(i), kind)
    cdef wide rounding = 0
    cdef wide sum
    cdef uint64_t half = 0
    cdef int k
    if fp_is_trapped(c, i):
        return
    if op == RADDHN or op == RSUBHN:
        rounding = <wide>1 << ((width(kind) >> 1) - 1)
    for k in range(lanes(kind)):
        sum = <wide>(n[k] + m[k] if op == ADDHN or op == RADDHN else n[k] - m[k])
        set_narrow(&half, k, <wide>(<wide>(sum + rounding) >> (width(kind) >> 1)))
    write_half(c, i, half)
    NEXT(c, i)

cdef void addhn_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, ADDHN, <uint16_t>0)
cdef void addhn_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, ADDHN, <uint32_t>0)
cdef void addhn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, ADDHN, <uint64_t>0)
cdef void subhn_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, SUBHN, <uint16_t>0)
cdef void subhn_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, SUBHN, <uint32_t>0)
cdef void subhn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, SUBHN, <uint64_t>0)
cdef void raddhn_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, RADDHN, <uint16_t>0)
cdef void raddhn_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, RADDHN, <uint32_t>0)
cdef void raddhn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, RADDHN, <uint64_t>0)
cdef void rsubhn_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, RSUBHN, <uint16_t>0)
cdef void rsubhn_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, RSUBHN, <uint32_t>0)
cdef void rsubhn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: high_half(c, i, RSUBHN, <uint64_t>0)

# ---- extractions ------------------------------------------------------------------------------

cdef inline void extract(Cpu* c, const Insn* i, wide kind) noexcept nogil:
    cdef const wide* n = lanes_of(c, rn(i), kind)
    cdef uint64_t half = 0
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):
        set_narrow(&half, k, n[k])
    write_half(c, i, half)
    NEXT(c, i)

cdef inline void extract_saturated(Cpu* c, const Insn* i, wide low, wide high) noexcept nogil:
    """low, high: the limits of the result's lanes; lost: not zero in those that were saturated."""
    cdef const wide* n = lanes_of(c, rn(i), low)
    cdef uint64_t half = 0
    cdef uint64_t lost = 0
    cdef wide result, above
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(low)):
        if wide is uint16_t or wide is uint32_t or wide is uint64_t:
            above = n[k] >> (width(low) >> 1)
            set_narrow(&half, k, <wide>(n[k] | <wide>-<int>(above != 0)))
            set_narrow(&lost, k, above)
        else:
            result = n[k] if n[k] < high else high
            result = result if result > low else low
            set_narrow(&half, k, result)
            set_narrow(&lost, k, <wide>-<int>(result != n[k]))
    lost &= result_mask(i)[0]
    write_half(c, i, half & result_mask(i)[0])
    set_qc(c, lost != 0)
    NEXT(c, i)

cdef void xtn_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extract(c, i, <uint16_t>0)
cdef void xtn_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extract(c, i, <uint32_t>0)
cdef void xtn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extract(c, i, <uint64_t>0)
cdef void sqxtn_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <int16_t>-0x80, <int16_t>0x7F)
cdef void sqxtn_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <int32_t>-0x8000, <int32_t>0x7FFF)
cdef void sqxtn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <int64_t>-0x80000000, <int64_t>0x7FFFFFFF)
cdef void uqxtn_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <uint16_t>0, <uint16_t>0xFF)
cdef void uqxtn_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <uint32_t>0, <uint32_t>0xFFFF)
cdef void uqxtn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <uint64_t>0, <uint64_t>0xFFFFFFFF)
cdef void sqxtun_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <int16_t>0, <int16_t>0xFF)
cdef void sqxtun_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <int32_t>0, <int32_t>0xFFFF)
cdef void sqxtun_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extract_saturated(c, i, <int64_t>0, <int64_t>0xFFFFFFFF)

# ---- decode -----------------------------------------------------------------------------------

cdef int sum_rows(str name, str u, str opcode, Op b, Op h, Op s) except -1:
    return size_rows(f"{name}_vector", f"0 q {u} 01110 ss 1 mmmmm {opcode} 00 nnnnn ddddd", fill_long,
                     b, h, s, NULL)

cdef int rows(str name, str u, str opcode, bint scalars, Op b, Op h, Op s) except -1:
    size_rows(f"{name}_vector", f"0 q {u} 01110 ss 10000 {opcode} 10 nnnnn ddddd", fill_long, b, h, s, NULL)
    if scalars:
        size_rows(f"{name}_scalar", f"01 {u} 11110 ss 10000 {opcode} 10 nnnnn ddddd", fill_scalar,
                  b, h, s, NULL)
    return 0

cdef int register() except -1:
    sum_rows("ADDHN", "0", "0100", addhn_b, addhn_h, addhn_s)
    sum_rows("RADDHN", "1", "0100", raddhn_b, raddhn_h, raddhn_s)
    sum_rows("SUBHN", "0", "0110", subhn_b, subhn_h, subhn_s)
    sum_rows("RSUBHN", "1", "0110", rsubhn_b, rsubhn_h, rsubhn_s)
    rows("XTN", "0", "10010", False, xtn_b, xtn_h, xtn_s)
    rows("SQXTUN", "1", "10010", True, sqxtun_b, sqxtun_h, sqxtun_s)
    rows("SQXTN", "0", "10100", True, sqxtn_b, sqxtn_h, sqxtn_s)
    rows("UQXTN", "1", "10100", True, uqxtn_b, uqxtn_h, uqxtn_s)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
