# cython: language_level=3
"""Loads and stores of one or two SIMD and FP registers (B, H, S, D, Q).

There is one function for each size and direction, for all addressing modes: the offsets are in the
operands (imm, aux: see mem_common.pxd; aux is 0 without write-back, which then writes the unchanged
base). Only the register offset has separate functions.

CONSTRAINED UNPREDICTABLE: LDP with Rt == Rt2 leaves the second register's value, as in QEMU.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Fill, Insn, NEXT, OK, Op, sbits, src, Tlbe, unlikely, ZR
from guestdbg.cpu.instructions.mem_common cimport (
    host_read, host_write, pair_readable, pair_writable, readable, set_base, sext32,
    writable,
)
from guestdbg.cpu.instructions.mem_slow cimport slow_fp_ldp, slow_fp_load, slow_fp_store, slow_fp_stp
from guestdbg.cpu.instructions.simd.simd_common cimport copy_vector, store_halves
from guestdbg.cpu.operands cimport encoding, imm, plus_aux, plus_imm, ra, set_xn, vd, vm, xm, xn

# ---- one register -----------------------------------------------------------------------------

cdef inline bint special(Cpu* c, const Insn* i) noexcept nogil:
    """A trap or a misaligned SP is possible."""
    return (xn(c, i) & ra(i)) != 0 or c.fp_trapped

cdef inline void load_at(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    cdef const Tlbe* e = readable(c, va, 1 << log2)
    cdef uint64_t p
    if unlikely(e == NULL or special(c, i)):
        slow_fp_load(c, i, va, log2)
        return
    p = va + e.add
    if log2 == 4:
        copy_vector(vd(c, i), <const uint64_t*>p)
    else:
        store_halves(vd(c, i), host_read(p, log2), 0)
    set_xn(c, i, plus_aux(xn(c, i), i))
    NEXT(c, i)

cdef inline void store_at(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    cdef const Tlbe* e = writable(c, va, 1 << log2)
    cdef uint64_t p
    if unlikely(e == NULL or special(c, i)):
        slow_fp_store(c, i, va, log2)
        return
    p = va + e.add
    if log2 == 4:
        copy_vector(<uint64_t*>p, vd(c, i))
    else:
        host_write(p, vd(c, i)[0], log2)
    set_xn(c, i, plus_aux(xn(c, i), i))
    NEXT(c, i)

cdef inline uint64_t register_offset(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t m = xm(c, i)
    cdef uint32_t option = bits(encoding(i), 15, 13)
    if option == 2:
        m = <uint32_t>m
    elif option == 6:
        m = sext32(<uint32_t>m)
    return xn(c, i) + (m << imm(i))

cdef void ldr_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, plus_imm(xn(c, i), i), 0)
cdef void ldr_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, plus_imm(xn(c, i), i), 1)
cdef void ldr_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, plus_imm(xn(c, i), i), 2)
cdef void ldr_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, plus_imm(xn(c, i), i), 3)
cdef void ldr_q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, plus_imm(xn(c, i), i), 4)
cdef void str_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, plus_imm(xn(c, i), i), 0)
cdef void str_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, plus_imm(xn(c, i), i), 1)
cdef void str_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, plus_imm(xn(c, i), i), 2)
cdef void str_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, plus_imm(xn(c, i), i), 3)
cdef void str_q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, plus_imm(xn(c, i), i), 4)

cdef void ldr_b_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, register_offset(c, i), 0)
cdef void ldr_h_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, register_offset(c, i), 1)
cdef void ldr_s_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, register_offset(c, i), 2)
cdef void ldr_d_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, register_offset(c, i), 3)
cdef void ldr_q_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_at(c, i, register_offset(c, i), 4)
cdef void str_b_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, register_offset(c, i), 0)
cdef void str_h_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, register_offset(c, i), 1)
cdef void str_s_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, register_offset(c, i), 2)
cdef void str_d_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, register_offset(c, i), 3)
cdef void str_q_reg(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_at(c, i, register_offset(c, i), 4)

# ---- two registers ----------------------------------------------------------------------------

cdef inline void ldp(Cpu* c, const Insn* i, uint32_t log2) noexcept nogil:
    cdef uint64_t va = plus_imm(xn(c, i), i)
    cdef const Tlbe* e = pair_readable(c, va, 1 << log2)
    cdef uint64_t p
    if unlikely(e == NULL or special(c, i)):
        slow_fp_ldp(c, i, va, log2)
        return
    p = va + e.add
    if log2 == 4:
        copy_vector(vd(c, i), <const uint64_t*>p)
        copy_vector(vm(c, i), <const uint64_t*>(p + 16))
    else:
        store_halves(vd(c, i), host_read(p, log2), 0)
        store_halves(vm(c, i), host_read(p + (1 << log2), log2), 0)
    set_xn(c, i, plus_aux(xn(c, i), i))
    NEXT(c, i)

cdef inline void stp(Cpu* c, const Insn* i, uint32_t log2) noexcept nogil:
    cdef uint64_t va = plus_imm(xn(c, i), i)
    cdef const Tlbe* e = pair_writable(c, va, 1 << log2)
    cdef uint64_t p
    if unlikely(e == NULL or special(c, i)):
        slow_fp_stp(c, i, va, log2)
        return
    p = va + e.add
    if log2 == 4:
        copy_vector(<uint64_t*>p, vd(c, i))
        copy_vector(<uint64_t*>(p + 16), vm(c, i))
    else:
        host_write(p, vd(c, i)[0], log2)
        host_write(p + (1 << log2), vm(c, i)[0], log2)
    set_xn(c, i, plus_aux(xn(c, i), i))
    NEXT(c, i)

cdef void ldp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ldp(c, i, 2)
cdef void ldp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ldp(c, i, 3)
cdef void ldp_q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ldp(c, i, 4)
cdef void stp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: stp(c, i, 2)
cdef void stp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: stp(c, i, 3)
cdef void stp_q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: stp(c, i, 4)

# ---- decode -----------------------------------------------------------------------------------

cdef inline uint32_t scale(uint32_t raw) noexcept nogil:
    """log2 of the bytes: size, and bit 23 for Q."""
    return 4 if raw & (1 << 23) else bits(raw, 31, 30)

cdef inline void operands(Insn* o, uint32_t raw) noexcept nogil:
    set_base(o, raw)
    o.rd = src(raw)
    o.imm = 0
    o.aux = 0

cdef int fill_uimm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.imm = <uint64_t>bits(raw, 21, 10) << scale(raw)
    return OK

cdef int fill_simm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    # Bits 11..10: 0 unscaled, 1 post-index, 3 pre-index.
    operands(o, raw)
    if bits(raw, 11, 10) != 1:
        o.imm = <uint64_t>sbits(raw, 20, 12)
    if bits(raw, 11, 10) != 0:
        o.aux = <uint32_t>sbits(raw, 20, 12)
    return OK

cdef int fill_reg(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.rm = src(raw >> 16)
    o.imm = scale(raw) if raw & (1 << 12) else 0            # S: scaled by the access size
    return OK

cdef int fill_literal(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.rn = ZR                                               # aux is 0: it is not written
    o.ra = 0
    o.imm = pc + <uint64_t>(sbits(raw, 23, 5) * 4)
    return OK

cdef int fill_pair(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    # Bits 24..23: 0 no-allocate (an offset, too), 1 post-index, 2 offset, 3 pre-index.
    cdef uint32_t mode = bits(raw, 24, 23)
    cdef int64_t scaled = sbits(raw, 21, 15) * (4 << bits(raw, 31, 30))
    operands(o, raw)
    o.rm = src(raw >> 10)
    if mode != 1:
        o.imm = <uint64_t>scaled
    if mode & 1:
        o.aux = <uint32_t>scaled
    return OK

cdef int row(str name, str pattern, Fill fill, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)

cdef int rows(str name, str size, str opc, Op op, Op op_reg) except -1:
    cdef str head = f"{size}111100{opc}"
    row(f"{name}_uimm", f"{size}111101{opc} iiiiiiiiiiii nnnnn ttttt", fill_uimm, op)
    row(name.replace("R", "UR", 1), head + "0 iiiiiiiii 00 nnnnn ttttt", fill_simm, op)
    row(f"{name}_post", head + "0 iiiiiiiii 01 nnnnn ttttt", fill_simm, op)
    row(f"{name}_pre", head + "0 iiiiiiiii 11 nnnnn ttttt", fill_simm, op)
    row(f"{name}_reg", head + "1 mmmmm x1x S 10 nnnnn ttttt", fill_reg, op_reg)
    return 0

cdef int pair_rows(str letter, str opc, Op op_stp, Op op_ldp) except -1:
    for mode, suffix in (("01", "_post"), ("10", "_off"), ("11", "_pre")):
        row(f"STP_{letter}{suffix}", f"{opc}10110{mode}0 iiiiiii uuuuu nnnnn ttttt", fill_pair, op_stp)
        row(f"LDP_{letter}{suffix}", f"{opc}10110{mode}1 iiiiiii uuuuu nnnnn ttttt", fill_pair, op_ldp)
    row(f"STNP_{letter}", f"{opc}10110000 iiiiiii uuuuu nnnnn ttttt", fill_pair, op_stp)
    row(f"LDNP_{letter}", f"{opc}10110001 iiiiiii uuuuu nnnnn ttttt", fill_pair, op_ldp)
    return 0

cdef int register() except -1:
    rows("STR_B", "00", "00", str_b, str_b_reg)
    rows("LDR_B", "00", "01", ldr_b, ldr_b_reg)
    rows("STR_Q", "00", "10", str_q, str_q_reg)
    rows("LDR_Q", "00", "11", ldr_q, ldr_q_reg)
    rows("STR_H", "01", "00", str_h, str_h_reg)
    rows("LDR_H", "01", "01", ldr_h, ldr_h_reg)
    rows("STR_S", "10", "00", str_s, str_s_reg)
    rows("LDR_S", "10", "01", ldr_s, ldr_s_reg)
    rows("STR_D", "11", "00", str_d, str_d_reg)
    rows("LDR_D", "11", "01", ldr_d, ldr_d_reg)
    row("LDR_S_literal", "00011100 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldr_s)
    row("LDR_D_literal", "01011100 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldr_d)
    row("LDR_Q_literal", "10011100 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldr_q)
    pair_rows("S", "00", stp_s, ldp_s)
    pair_rows("D", "01", stp_d, ldp_d)
    pair_rows("Q", "10", stp_q, ldp_q)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
