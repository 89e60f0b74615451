# cython: language_level=3
"""Loads and stores of one general-purpose register, and prefetch.

Each kind (k of mem_common.pxd: LDRB, STR X, LDRSW, ...) has one function a form of address:
imm (base + imm: unsigned offset, unscaled, literal), sp (the same, base SP), wb (pre- and
post-index), lsl/uxtw/sxtw (register offset) and unpriv (LDTR, STTR).

CONSTRAINED UNPREDICTABLE: write-back with Rt == Rn. As QEMU does (and Arm allows): a load's
result is lost to the write-back; a store stores the register's old value.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    Cpu, Fill, Insn, NEXT, OK, Op, Tlbe, ZR, add, bits, dst, line, line_miss_r, line_miss_w, miss_r,
    miss_w, sbits, src, tlbe, unlikely,
)
from guestdbg.cpu.mem_common cimport (
    LD, LDS32, LDS64, ST, extend, host_read, host_write, set_base, sext32,
)
from guestdbg.cpu.mem_slow cimport slow, slow_unpriv, slow_wb

cdef enum:
    STRB = 0 << 2 | ST
    LDRB = 0 << 2 | LD
    LDRSB64 = 0 << 2 | LDS64
    LDRSB32 = 0 << 2 | LDS32
    STRH = 1 << 2 | ST
    LDRH = 1 << 2 | LD
    LDRSH64 = 1 << 2 | LDS64
    LDRSH32 = 1 << 2 | LDS32
    STRW = 2 << 2 | ST
    LDRW = 2 << 2 | LD
    LDRSW = 2 << 2 | LDS64
    STRX = 3 << 2 | ST
    LDRX = 3 << 2 | LD

# ---- fast paths -------------------------------------------------------------------------------

cdef inline bint miss(const Tlbe* e, uint64_t va, uint32_t k) noexcept nogil:
    if (k & 3) == ST:
        return miss_w(e, va, 1 << (k >> 2))
    return miss_r(e, va, 1 << (k >> 2))

cdef inline bint line_miss(const Tlbe* e, uint64_t va, uint32_t k) noexcept nogil:
    if (k & 3) == ST:
        return line_miss_w(e, va, 1 << (k >> 2))
    return line_miss_r(e, va, 1 << (k >> 2))

cdef inline void access(Cpu* c, const Insn* i, const Tlbe* e, uint64_t va, uint32_t k) noexcept nogil:
    if (k & 3) == ST:
        host_write(va + e.add, c.x[i.rd], k >> 2)
    else:
        c.x[i.rd] = extend(host_read(va + e.add, k >> 2), k)

cdef inline void at(Cpu* c, const Insn* i, uint64_t va, uint32_t k, bint check) noexcept nogil:
    cdef const Tlbe* e = tlbe(c, va)
    if unlikely(miss(e, va, k)):
        e = line(c, va)
        if line_miss(e, va, k):
            slow(c, i, va, k)
            return
    if check:
        if unlikely((c.x[i.rn] & i.ra) != 0):
            slow(c, i, va, k)
            return
    access(c, i, e, va, k)
    NEXT(c, i)

cdef inline void imm(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    at(c, i, c.x[i.rn] + i.imm, k, False)

cdef inline void sp(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    at(c, i, c.x[i.rn] + i.imm, k, True)

cdef inline void lsl(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    at(c, i, c.x[i.rn] + (c.x[i.rm] << i.imm), k, True)

cdef inline void uxtw(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    at(c, i, c.x[i.rn] + (<uint64_t><uint32_t>c.x[i.rm] << i.imm), k, True)

cdef inline void sxtw(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    at(c, i, c.x[i.rn] + (sext32(<uint32_t>c.x[i.rm]) << i.imm), k, True)

cdef inline void wb(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    cdef uint64_t va = c.x[i.rn] + i.imm
    cdef uint64_t back = c.x[i.rn] + sext32(i.aux)
    cdef const Tlbe* e = tlbe(c, va)
    if unlikely(miss(e, va, k)):
        e = line(c, va)
        if line_miss(e, va, k):
            slow_wb(c, i, va, k)
            return
    if unlikely((c.x[i.rn] & i.ra) != 0):
        slow_wb(c, i, va, k)
        return
    access(c, i, e, va, k)
    c.x[i.rn] = back
    NEXT(c, i)

cdef inline void unpriv(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    # The EL0 TLB holds what EL0 may do, whichever EL asks.
    cdef uint64_t va = c.x[i.rn] + i.imm
    cdef const Tlbe* e = &c.tlbs[0][(va >> 12) & 511]
    if unlikely(miss(e, va, k) or (c.x[i.rn] & i.ra) != 0):
        slow_unpriv(c, i, va, k)
        return
    access(c, i, e, va, k)
    NEXT(c, i)

cdef void nop(Cpu* c, const Insn* i) noexcept nogil:
    NEXT(c, i)

cdef void strb_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, STRB)
cdef void ldrb_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRB)
cdef void ldrsb64_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRSB64)
cdef void ldrsb32_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRSB32)
cdef void strh_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, STRH)
cdef void ldrh_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRH)
cdef void ldrsh64_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRSH64)
cdef void ldrsh32_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRSH32)
cdef void strw_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, STRW)
cdef void ldrw_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRW)
cdef void ldrsw_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRSW)
cdef void strx_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, STRX)
cdef void ldrx_imm(Cpu* c, const Insn* i) noexcept nogil: imm(c, i, LDRX)

cdef void strb_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, STRB)
cdef void ldrb_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRB)
cdef void ldrsb64_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRSB64)
cdef void ldrsb32_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRSB32)
cdef void strh_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, STRH)
cdef void ldrh_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRH)
cdef void ldrsh64_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRSH64)
cdef void ldrsh32_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRSH32)
cdef void strw_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, STRW)
cdef void ldrw_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRW)
cdef void ldrsw_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRSW)
cdef void strx_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, STRX)
cdef void ldrx_sp(Cpu* c, const Insn* i) noexcept nogil: sp(c, i, LDRX)

cdef void strb_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, STRB)
cdef void ldrb_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRB)
cdef void ldrsb64_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRSB64)
cdef void ldrsb32_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRSB32)
cdef void strh_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, STRH)
cdef void ldrh_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRH)
cdef void ldrsh64_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRSH64)
cdef void ldrsh32_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRSH32)
cdef void strw_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, STRW)
cdef void ldrw_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRW)
cdef void ldrsw_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRSW)
cdef void strx_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, STRX)
cdef void ldrx_lsl(Cpu* c, const Insn* i) noexcept nogil: lsl(c, i, LDRX)

cdef void strb_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, STRB)
cdef void ldrb_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRB)
cdef void ldrsb64_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRSB64)
cdef void ldrsb32_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRSB32)
cdef void strh_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, STRH)
cdef void ldrh_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRH)
cdef void ldrsh64_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRSH64)
cdef void ldrsh32_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRSH32)
cdef void strw_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, STRW)
cdef void ldrw_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRW)
cdef void ldrsw_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRSW)
cdef void strx_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, STRX)
cdef void ldrx_uxtw(Cpu* c, const Insn* i) noexcept nogil: uxtw(c, i, LDRX)

cdef void strb_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, STRB)
cdef void ldrb_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRB)
cdef void ldrsb64_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRSB64)
cdef void ldrsb32_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRSB32)
cdef void strh_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, STRH)
cdef void ldrh_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRH)
cdef void ldrsh64_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRSH64)
cdef void ldrsh32_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRSH32)
cdef void strw_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, STRW)
cdef void ldrw_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRW)
cdef void ldrsw_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRSW)
cdef void strx_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, STRX)
cdef void ldrx_sxtw(Cpu* c, const Insn* i) noexcept nogil: sxtw(c, i, LDRX)

cdef void strb_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, STRB)
cdef void ldrb_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRB)
cdef void ldrsb64_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRSB64)
cdef void ldrsb32_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRSB32)
cdef void strh_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, STRH)
cdef void ldrh_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRH)
cdef void ldrsh64_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRSH64)
cdef void ldrsh32_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRSH32)
cdef void strw_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, STRW)
cdef void ldrw_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRW)
cdef void ldrsw_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRSW)
cdef void strx_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, STRX)
cdef void ldrx_wb(Cpu* c, const Insn* i) noexcept nogil: wb(c, i, LDRX)

cdef void strb_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, STRB)
cdef void ldrb_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRB)
cdef void ldrsb64_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRSB64)
cdef void ldrsb32_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRSB32)
cdef void strh_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, STRH)
cdef void ldrh_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRH)
cdef void ldrsh64_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRSH64)
cdef void ldrsh32_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRSH32)
cdef void strw_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, STRW)
cdef void ldrw_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRW)
cdef void ldrsw_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRSW)
cdef void strx_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, STRX)
cdef void ldrx_unpriv(Cpu* c, const Insn* i) noexcept nogil: unpriv(c, i, LDRX)

# ---- decode -----------------------------------------------------------------------------------

cdef Op WITH_SP[16]      # by kind: the functions for base SP, of those rows that have them apart

cdef inline uint32_t kind(uint32_t raw) noexcept nogil:
    return bits(raw, 31, 30) << 2 | bits(raw, 23, 22)

cdef inline void operands(Insn* o, uint32_t raw) noexcept nogil:
    set_base(o, raw)
    o.rd = src(raw) if (kind(raw) & 3) == ST else dst(raw)

cdef int fill_uimm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.imm = <uint64_t>bits(raw, 21, 10) << bits(raw, 31, 30)
    if o.ra:
        o.f = WITH_SP[kind(raw)]
    return OK

cdef int fill_unscaled(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.imm = <uint64_t>sbits(raw, 20, 12)
    if o.ra:
        o.f = WITH_SP[kind(raw)]
    return OK

cdef int fill_unpriv(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.imm = <uint64_t>sbits(raw, 20, 12)
    return OK

cdef int fill_pre(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.imm = <uint64_t>sbits(raw, 20, 12)
    o.aux = <uint32_t>sbits(raw, 20, 12)
    return OK

cdef int fill_post(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.imm = 0
    o.aux = <uint32_t>sbits(raw, 20, 12)
    return OK

cdef int fill_reg(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.rm = src(raw >> 16)
    o.imm = bits(raw, 31, 30) if raw & (1 << 12) else 0     # S: scaled by the access size
    return OK

cdef int fill_literal(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.rn = ZR                                               # the address is known here
    o.ra = 0
    o.imm = pc + <uint64_t>(sbits(raw, 23, 5) * 4)
    return OK

cdef int fill_nop(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return OK

# ---- the rows ---------------------------------------------------------------------------------

cdef int row(str name, str pattern, Fill fill, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)

cdef int rows(uint32_t k, str name, Op op_imm, Op op_sp, Op op_lsl, Op op_uxtw, Op op_sxtw,
              Op op_wb, Op op_unpriv) except -1:
    cdef str head = f"{k >> 2:02b}111000{k & 3:02b}"
    cdef str unscaled = name.replace("LDR", "LDUR").replace("STR", "STUR")
    WITH_SP[k] = op_sp
    row(f"{name}_uimm", f"{k >> 2:02b}111001{k & 3:02b} iiiiiiiiiiii nnnnnttttt", fill_uimm, op_imm)
    row(unscaled, head + "0 iiiiiiiii 00 nnnnnttttt", fill_unscaled, op_imm)
    row(f"{name}_post", head + "0 iiiiiiiii 01 nnnnnttttt", fill_post, op_wb)
    row(name.replace("R", "TR", 1), head + "0 iiiiiiiii 10 nnnnnttttt", fill_unpriv, op_unpriv)
    row(f"{name}_pre", head + "0 iiiiiiiii 11 nnnnnttttt", fill_pre, op_wb)
    row(f"{name}_lsl", head + "1 mmmmm x11 S 10 nnnnnttttt", fill_reg, op_lsl)
    row(f"{name}_uxtw", head + "1 mmmmm 010 S 10 nnnnnttttt", fill_reg, op_uxtw)
    row(f"{name}_sxtw", head + "1 mmmmm 110 S 10 nnnnnttttt", fill_reg, op_sxtw)
    return 0

cdef int register() except -1:
    rows(STRB, "STRB", strb_imm, strb_sp, strb_lsl,
         strb_uxtw, strb_sxtw, strb_wb, strb_unpriv)
    rows(LDRB, "LDRB", ldrb_imm, ldrb_sp, ldrb_lsl,
         ldrb_uxtw, ldrb_sxtw, ldrb_wb, ldrb_unpriv)
    rows(LDRSB64, "LDRSB_X", ldrsb64_imm, ldrsb64_sp, ldrsb64_lsl,
         ldrsb64_uxtw, ldrsb64_sxtw, ldrsb64_wb, ldrsb64_unpriv)
    rows(LDRSB32, "LDRSB_W", ldrsb32_imm, ldrsb32_sp, ldrsb32_lsl,
         ldrsb32_uxtw, ldrsb32_sxtw, ldrsb32_wb, ldrsb32_unpriv)
    rows(STRH, "STRH", strh_imm, strh_sp, strh_lsl,
         strh_uxtw, strh_sxtw, strh_wb, strh_unpriv)
    rows(LDRH, "LDRH", ldrh_imm, ldrh_sp, ldrh_lsl,
         ldrh_uxtw, ldrh_sxtw, ldrh_wb, ldrh_unpriv)
    rows(LDRSH64, "LDRSH_X", ldrsh64_imm, ldrsh64_sp, ldrsh64_lsl,
         ldrsh64_uxtw, ldrsh64_sxtw, ldrsh64_wb, ldrsh64_unpriv)
    rows(LDRSH32, "LDRSH_W", ldrsh32_imm, ldrsh32_sp, ldrsh32_lsl,
         ldrsh32_uxtw, ldrsh32_sxtw, ldrsh32_wb, ldrsh32_unpriv)
    rows(STRW, "STR_W", strw_imm, strw_sp, strw_lsl,
         strw_uxtw, strw_sxtw, strw_wb, strw_unpriv)
    rows(LDRW, "LDR_W", ldrw_imm, ldrw_sp, ldrw_lsl,
         ldrw_uxtw, ldrw_sxtw, ldrw_wb, ldrw_unpriv)
    rows(LDRSW, "LDRSW", ldrsw_imm, ldrsw_sp, ldrsw_lsl,
         ldrsw_uxtw, ldrsw_sxtw, ldrsw_wb, ldrsw_unpriv)
    rows(STRX, "STR_X", strx_imm, strx_sp, strx_lsl,
         strx_uxtw, strx_sxtw, strx_wb, strx_unpriv)
    rows(LDRX, "LDR_X", ldrx_imm, ldrx_sp, ldrx_lsl,
         ldrx_uxtw, ldrx_sxtw, ldrx_wb, ldrx_unpriv)
    row("LDR_W_literal", "00011000 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldrw_imm)
    row("LDR_X_literal", "01011000 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldrx_imm)
    row("LDRSW_literal", "10011000 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldrsw_imm)
    # Prefetches make no access, and check nothing (not even SP).
    row("PRFM_literal", "11011000 iiiiiiiiiiiiiiiiiii ttttt", fill_nop, nop)
    row("PRFM_uimm", "1111100110 iiiiiiiiiiii nnnnnttttt", fill_nop, nop)
    row("PRFUM", "11111000100 iiiiiiiii 00 nnnnnttttt", fill_nop, nop)
    row("PRFM_reg", "11111000101 mmmmm x1x S 10 nnnnnttttt", fill_nop, nop)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
