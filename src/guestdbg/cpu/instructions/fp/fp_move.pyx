# cython: language_level=3
"""Floating-point moves, FABS, FNEG and FCSEL (C4.1.96): nothing is rounded and no flag is set."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, dst, Fill, Insn, NEXT, OK, Op, src, UNDEF
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.fp.formats cimport HALF
from guestdbg.cpu.fp.unpacked cimport exponent_bias, fraction_bits, sign_bit
from guestdbg.cpu.instructions.condition_codes cimport cs, eq, ge, gt, hi, mi, pick, vs
from guestdbg.cpu.instructions.fp.fp_common cimport element_mask, ptype, row, rows, write_scalar
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vm, vn
from guestdbg.cpu.operand_forwarding cimport forwards, FORWARDS_RESULT, write_xd
from guestdbg.cpu.operands cimport imm, vd, vm, vn, xn

# ---- between SIMD and FP registers ------------------------------------------------------------

cdef void fmov(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """imm: the bits that stay. Without the sign's, this is FABS."""
    if fp_is_trapped(c, i):
        return
    write_scalar(c, i, vn(c, i)[0] & imm(i))
    NEXT(c, i)

cdef void fneg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """imm: the element's bits, of which the highest is the sign."""
    if fp_is_trapped(c, i):
        return
    write_scalar(c, i, (vn(c, i)[0] ^ ((imm(i) >> 1) + 1)) & imm(i))
    NEXT(c, i)

cdef void fmov_immediate(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_scalar(c, i, imm(i))
    NEXT(c, i)

# ---- from and to general-purpose registers ----------------------------------------------------

cdef void fmov_from_general(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """imm: the bits that are moved."""
    if fp_is_trapped(c, i):
        return
    write_scalar(c, i, xn(c, i) & imm(i))
    NEXT(c, i)

cdef void fmov_from_general_high(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """FMOV Vd.D[1], Xn: the other half stays."""
    if fp_is_trapped(c, i):
        return
    vd(c, i)[1] = xn(c, i)
    NEXT(c, i)

cdef void fmov_to_general(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, vn(c, i)[0] & imm(i))

cdef void fmov_to_general_high(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, vn(c, i)[1])

# ---- FCSEL ------------------------------------------------------------------------------------

# One function for each pair of conditions; decoding swaps the operands for the inverse. imm: the bits
# of the element.

cdef inline void select(Cpu* c, const Insn* i, uint64_t first) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_scalar(c, i, pick(c, vn(c, i)[0], vm(c, i)[0], first) & imm(i))
    NEXT(c, i)

cdef void fcsel_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, eq(c))
cdef void fcsel_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, cs(c))
cdef void fcsel_mi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, mi(c))
cdef void fcsel_vs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, vs(c))
cdef void fcsel_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, hi(c))
cdef void fcsel_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, ge(c))
cdef void fcsel_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, gt(c))

cdef Op FCSEL[7]  # [condition >> 1]

cdef void build_tables() noexcept nogil:
    FCSEL[0] = fcsel_eq
    FCSEL[1] = fcsel_cs
    FCSEL[2] = fcsel_mi
    FCSEL[3] = fcsel_vs
    FCSEL[4] = fcsel_hi
    FCSEL[5] = fcsel_ge
    FCSEL[6] = fcsel_gt

# ---- decode -----------------------------------------------------------------------------------

cdef inline bint is_missing(const Cpu* c, uint32_t raw) noexcept nogil:
    return ptype(raw) == HALF and not has_fp16(c)

cdef int fill_register(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.imm = element_mask(ptype(raw))
    return UNDEF if is_missing(c, raw) else OK

cdef int fill_abs(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.imm = sign_bit(ptype(raw)) - 1
    return UNDEF if is_missing(c, raw) else OK

cdef int fill_immediate(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """VFPExpandImm: sign, three bits of the exponent, four of the fraction. The first one of the exponent
    is inverted, and repeated below."""
    cdef int fmt = ptype(raw)
    cdef uint64_t exponent = exponent_bias(fmt) - 3 if raw & (1 << 19) else exponent_bias(fmt) + 1
    set_registers(o, raw)
    o.imm = (((exponent + bits(raw, 18, 17)) << fraction_bits(fmt))
             | (<uint64_t>bits(raw, 16, 13) << (fraction_bits(fmt) - 4)))
    if raw & (1 << 20):
        o.imm |= sign_bit(fmt)
    return UNDEF if is_missing(c, raw) else OK

cdef int fill_from_general(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.rn = src(raw >> 5)
    o.imm = element_mask(ptype(raw))
    return UNDEF if is_missing(c, raw) else OK

cdef int fill_to_general(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.rd = dst(raw)
    o.imm = element_mask(ptype(raw))
    return UNDEF if is_missing(c, raw) else OK

cdef int fill_high_from_general(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.rn = src(raw >> 5)
    return OK

cdef int fill_high_to_general(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.rd = dst(raw)
    return OK

cdef int fill_select(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t cond = bits(raw, 15, 12)
    set_registers(o, raw)
    o.imm = element_mask(ptype(raw))
    if cond >= 14:
        o.f = fmov                                        # always the first one
    else:
        o.f = FCSEL[cond >> 1]
        if cond & 1:
            o.rn, o.rm = o.rm, o.rn
    return UNDEF if is_missing(c, raw) else OK

cdef int same_rows(str name, str pattern, Fill fill, Op op) except -1:
    return rows(name, pattern, fill, fill, op, op, op)

cdef int register() except -1:
    forwards(FORWARDS_RESULT, fmov_to_general)
    forwards(FORWARDS_RESULT, fmov_to_general_high)
    build_tables()
    same_rows("FMOV_{}_floatdp1", "00011110 {} 1 000000 10000 nnnnn ddddd", fill_register, fmov)
    same_rows("FABS_{}_floatdp1", "00011110 {} 1 000001 10000 nnnnn ddddd", fill_abs, fmov)
    same_rows("FNEG_{}_floatdp1", "00011110 {} 1 000010 10000 nnnnn ddddd", fill_register, fneg)
    same_rows("FMOV_{}_floatimm", "00011110 {} 1 iiiiiiii 100 00000 ddddd", fill_immediate, fmov_immediate)
    same_rows("FCSEL_{}_floatsel", "00011110 {} 1 mmmmm cccc 11 nnnnn ddddd", fill_select, fcsel_eq)
    row("FMOV_32H_float2int", "0 0011110 11 1 00 110 000000 nnnnn ddddd", fill_to_general, fmov_to_general)
    row("FMOV_64H_float2int", "1 0011110 11 1 00 110 000000 nnnnn ddddd", fill_to_general, fmov_to_general)
    row("FMOV_32S_float2int", "0 0011110 00 1 00 110 000000 nnnnn ddddd", fill_to_general, fmov_to_general)
    row("FMOV_64D_float2int", "1 0011110 01 1 00 110 000000 nnnnn ddddd", fill_to_general, fmov_to_general)
    row("FMOV_64VX_float2int", "1 0011110 10 1 01 110 000000 nnnnn ddddd", fill_high_to_general,
        fmov_to_general_high)
    row("FMOV_H32_float2int", "0 0011110 11 1 00 111 000000 nnnnn ddddd", fill_from_general, fmov_from_general)
    row("FMOV_H64_float2int", "1 0011110 11 1 00 111 000000 nnnnn ddddd", fill_from_general, fmov_from_general)
    row("FMOV_S32_float2int", "0 0011110 00 1 00 111 000000 nnnnn ddddd", fill_from_general, fmov_from_general)
    row("FMOV_D64_float2int", "1 0011110 01 1 00 111 000000 nnnnn ddddd", fill_from_general, fmov_from_general)
    row("FMOV_V64I_float2int", "1 0011110 10 1 01 111 000000 nnnnn ddddd", fill_high_from_general,
        fmov_from_general_high)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
