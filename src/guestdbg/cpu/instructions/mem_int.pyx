# cython: language_level=3
"""Loads and stores of one general-purpose register, and prefetch; mem_reg.pyx has base + register.

Each kind (k of mem_common.pxd: LDRB, STR X, LDRSW, ...) has one function for each addressing mode:
imm (base + immediate: unsigned offset, unscaled, literal), sp (the same, base SP), wb (pre- and
post-index) and unpriv (LDTR, STTR); and specializations that take the base (n) or the value stored
(d) from the instruction before (operand_forwarding.pyx).

CONSTRAINED UNPREDICTABLE: write-back with Rt == Rn. As QEMU does (and Arm allows): a load's
result is lost to the write-back; a store stores the register's old value.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    add, bits, Cpu, dst, Fill, FORWARD, Insn, line, line_miss_r, miss_r, miss_w, NEXT, OK, Op, sbits, Tlbe,
    tlbe, unlikely, ZR,
)
from guestdbg.cpu.instructions.mem_common cimport extend, host_read, host_write, ST
from guestdbg.cpu.instructions.mem_single cimport (
    at, kind, LDRB, LDRH, LDRSB32, LDRSB64, LDRSH32, LDRSH64, LDRSW, LDRW, LDRX, operands, plus_offset,
    set_offset, STRB, STRH, STRW, STRX,
)
from guestdbg.cpu.instructions.mem_slow cimport slow, slow_unpriv
from guestdbg.cpu.operand_forwarding cimport (
    forwards, FORWARDS_NOTHING, FORWARDS_RESULT, FORWARDS_SAME, fwd_xn, NONE, RD, RN, specialize,
    specialize_all, write_xd, WRITES_BACK,
)
from guestdbg.cpu.operands cimport imm, plus_aux, plus_aux_high, ra, xd, xn

cdef inline void xn_imm(Cpu* c, const Insn* i, uint32_t k, uint64_t last, int forwarded) noexcept nogil:
    at(c, i, plus_offset(fwd_xn(c, i, last, forwarded), i, k), k, 0, False, 0, last, forwarded)

cdef inline void sp_imm(Cpu* c, const Insn* i, uint32_t k, uint64_t last, int forwarded) noexcept nogil:
    at(c, i, plus_offset(xn(c, i), i, k), k, xn(c, i), False, 0, last, forwarded)

cdef inline void wb(Cpu* c, const Insn* i, uint32_t k, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t base = fwd_xn(c, i, last, forwarded)
    cdef uint64_t back = plus_aux(base, i) if (k & 3) == ST else plus_aux_high(base, i)
    at(c, i, plus_offset(base, i, k), k, base, True, back, last, forwarded)

cdef inline void unpriv(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    # The TLB with the permissions of EL0, whatever the current EL; with PSTATE.UAO, of this EL.
    cdef uint64_t va = plus_offset(xn(c, i), i, k)
    cdef const Tlbe* e = &c.unpriv_tlb[(va >> 12) & 511]
    if (k & 3) == ST:
        if unlikely(miss_w(e, va, 1 << (k >> 2)) or (xn(c, i) & ra(i)) != 0):
            slow_unpriv(c, i, k, va)
            return
        host_write(va + e.add, xd(c, i), k >> 2)
        NEXT(c, i)
    else:
        if unlikely(miss_r(e, va, 1 << (k >> 2)) or (xn(c, i) & ra(i)) != 0):
            slow_unpriv(c, i, k, va)
            return
        write_xd(c, i, extend(host_read(va + e.add, k >> 2), k))

cdef inline void literal(Cpu* c, const Insn* i, uint32_t k) noexcept nogil:
    cdef const Tlbe* e = tlbe(c, imm(i))                     # the address
    if unlikely(miss_r(e, imm(i), 1 << (k >> 2))):
        e = line(c, imm(i))
        if line_miss_r(e, imm(i), 1 << (k >> 2)):
            slow(c, i, k, imm(i))
            return
    write_xd(c, i, extend(host_read(imm(i) + e.add, k >> 2), k))

cdef void nop(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    FORWARD(c, i, last)

cdef void strb_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRB, last, NONE)
cdef void ldrb_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRB, last, NONE)
cdef void ldrsb64_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSB64, last, NONE)
cdef void ldrsb32_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSB32, last, NONE)
cdef void strh_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRH, last, NONE)
cdef void ldrh_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRH, last, NONE)
cdef void ldrsh64_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSH64, last, NONE)
cdef void ldrsh32_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSH32, last, NONE)
cdef void strw_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRW, last, NONE)
cdef void ldrw_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRW, last, NONE)
cdef void ldrsw_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSW, last, NONE)
cdef void strx_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRX, last, NONE)
cdef void ldrx_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRX, last, NONE)

cdef void strb_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRB, last, RN)
cdef void ldrb_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRB, last, RN)
cdef void ldrsb64_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSB64, last, RN)
cdef void ldrsb32_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSB32, last, RN)
cdef void strh_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRH, last, RN)
cdef void ldrh_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRH, last, RN)
cdef void ldrsh64_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSH64, last, RN)
cdef void ldrsh32_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSH32, last, RN)
cdef void strw_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRW, last, RN)
cdef void ldrw_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRW, last, RN)
cdef void ldrsw_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRSW, last, RN)
cdef void strx_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRX, last, RN)
cdef void ldrx_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, LDRX, last, RN)

cdef void strb_imm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRB, last, RD)
cdef void strh_imm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRH, last, RD)
cdef void strw_imm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRW, last, RD)
cdef void strx_imm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: xn_imm(c, i, STRX, last, RD)

cdef void strb_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, STRB, last, NONE)
cdef void ldrb_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRB, last, NONE)
cdef void ldrsb64_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRSB64, last, NONE)
cdef void ldrsb32_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRSB32, last, NONE)
cdef void strh_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, STRH, last, NONE)
cdef void ldrh_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRH, last, NONE)
cdef void ldrsh64_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRSH64, last, NONE)
cdef void ldrsh32_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRSH32, last, NONE)
cdef void strw_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, STRW, last, NONE)
cdef void ldrw_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRW, last, NONE)
cdef void ldrsw_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRSW, last, NONE)
cdef void strx_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, STRX, last, NONE)
cdef void ldrx_sp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, LDRX, last, NONE)

cdef void strb_sp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, STRB, last, RD)
cdef void strh_sp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, STRH, last, RD)
cdef void strw_sp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, STRW, last, RD)
cdef void strx_sp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sp_imm(c, i, STRX, last, RD)

cdef void strb_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRB, last, NONE)
cdef void ldrb_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRB, last, NONE)
cdef void ldrsb64_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSB64, last, NONE)
cdef void ldrsb32_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSB32, last, NONE)
cdef void strh_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRH, last, NONE)
cdef void ldrh_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRH, last, NONE)
cdef void ldrsh64_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSH64, last, NONE)
cdef void ldrsh32_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSH32, last, NONE)
cdef void strw_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRW, last, NONE)
cdef void ldrw_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRW, last, NONE)
cdef void ldrsw_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSW, last, NONE)
cdef void strx_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRX, last, NONE)
cdef void ldrx_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRX, last, NONE)

cdef void strb_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRB, last, RN)
cdef void ldrb_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRB, last, RN)
cdef void ldrsb64_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSB64, last, RN)
cdef void ldrsb32_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSB32, last, RN)
cdef void strh_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRH, last, RN)
cdef void ldrh_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRH, last, RN)
cdef void ldrsh64_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSH64, last, RN)
cdef void ldrsh32_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSH32, last, RN)
cdef void strw_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRW, last, RN)
cdef void ldrw_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRW, last, RN)
cdef void ldrsw_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRSW, last, RN)
cdef void strx_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRX, last, RN)
cdef void ldrx_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDRX, last, RN)

cdef void strb_wb_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRB, last, RD)
cdef void strh_wb_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRH, last, RD)
cdef void strw_wb_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRW, last, RD)
cdef void strx_wb_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STRX, last, RD)

cdef void strb_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, STRB)
cdef void ldrb_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRB)
cdef void ldrsb64_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRSB64)
cdef void ldrsb32_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRSB32)
cdef void strh_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, STRH)
cdef void ldrh_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRH)
cdef void ldrsh64_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRSH64)
cdef void ldrsh32_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRSH32)
cdef void strw_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, STRW)
cdef void ldrw_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRW)
cdef void ldrsw_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRSW)
cdef void strx_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, STRX)
cdef void ldrx_unpriv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unpriv(c, i, LDRX)

cdef void ldrw_literal(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: literal(c, i, LDRW)
cdef void ldrx_literal(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: literal(c, i, LDRX)
cdef void ldrsw_literal(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: literal(c, i, LDRSW)

# ---- decode -----------------------------------------------------------------------------------

cdef Op WITH_SP[16]      # by kind: the functions for base SP

cdef int fill_uimm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    set_offset(o, kind(raw), <int64_t>bits(raw, 21, 10) << bits(raw, 31, 30))
    if o.ra:
        o.f = WITH_SP[kind(raw)]
    return OK

cdef int fill_unscaled(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    set_offset(o, kind(raw), sbits(raw, 20, 12))
    if o.ra:
        o.f = WITH_SP[kind(raw)]
    return OK

cdef int fill_unpriv(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    set_offset(o, kind(raw), sbits(raw, 20, 12))
    return OK

cdef int fill_wb(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """Pre- and post-index."""
    cdef uint32_t n = <uint32_t>sbits(raw, 20, 12)
    operands(o, raw)
    set_offset(o, kind(raw), <int32_t>n if raw & (1 << 11) else 0)
    if (kind(raw) & 3) == ST:
        o.aux = n
    else:
        o.aux |= n << 16
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

cdef int rows(uint32_t k, str name, Op op_imm, Op op_sp, Op op_wb, Op op_unpriv) except -1:
    cdef str head = f"{k >> 2:02b}111000{k & 3:02b}"
    cdef str unscaled = name.replace("LDR", "LDUR").replace("STR", "STUR")
    WITH_SP[k] = op_sp
    row(f"{name}_uimm", f"{k >> 2:02b}111001{k & 3:02b} iiiiiiiiiiii nnnnnttttt", fill_uimm, op_imm)
    row(unscaled, head + "0 iiiiiiiii 00 nnnnnttttt", fill_unscaled, op_imm)
    row(f"{name}_post", head + "0 iiiiiiiii 01 nnnnnttttt", fill_wb, op_wb)
    row(name.replace("R", "TR", 1), head + "0 iiiiiiiii 10 nnnnnttttt", fill_unpriv, op_unpriv)
    row(f"{name}_pre", head + "0 iiiiiiiii 11 nnnnnttttt", fill_wb, op_wb)
    return 0

cdef int loads(uint32_t k, str name, Op op_imm, Op op_sp, Op op_wb, Op op_unpriv, Op imm_n,
               Op wb_n) except -1:
    specialize(FORWARDS_RESULT, op_imm, imm_n, NULL)
    forwards(FORWARDS_RESULT, op_sp)
    specialize(FORWARDS_RESULT | WRITES_BACK, op_wb, wb_n, NULL)
    forwards(FORWARDS_RESULT, op_unpriv)
    return rows(k, name, op_imm, op_sp, op_wb, op_unpriv)

cdef int stores(uint32_t k, str name, Op op_imm, Op op_sp, Op op_wb, Op op_unpriv, Op imm_n,
                Op wb_n, Op imm_d, Op sp_d, Op wb_d) except -1:
    specialize_all(FORWARDS_NOTHING, op_imm, imm_n, NULL, NULL, imm_d)
    specialize_all(FORWARDS_NOTHING, op_sp, NULL, NULL, NULL, sp_d)
    specialize_all(FORWARDS_NOTHING, op_wb, wb_n, NULL, NULL, wb_d)
    return rows(k, name, op_imm, op_sp, op_wb, op_unpriv)

cdef int register() except -1:
    stores(STRB, "STRB", strb_imm, strb_sp, strb_wb, strb_unpriv,
           strb_imm_n, strb_wb_n, strb_imm_d, strb_sp_d, strb_wb_d)
    loads(LDRB, "LDRB", ldrb_imm, ldrb_sp, ldrb_wb, ldrb_unpriv,
          ldrb_imm_n, ldrb_wb_n)
    loads(LDRSB64, "LDRSB_X", ldrsb64_imm, ldrsb64_sp, ldrsb64_wb, ldrsb64_unpriv,
          ldrsb64_imm_n, ldrsb64_wb_n)
    loads(LDRSB32, "LDRSB_W", ldrsb32_imm, ldrsb32_sp, ldrsb32_wb, ldrsb32_unpriv,
          ldrsb32_imm_n, ldrsb32_wb_n)
    stores(STRH, "STRH", strh_imm, strh_sp, strh_wb, strh_unpriv,
           strh_imm_n, strh_wb_n, strh_imm_d, strh_sp_d, strh_wb_d)
    loads(LDRH, "LDRH", ldrh_imm, ldrh_sp, ldrh_wb, ldrh_unpriv,
          ldrh_imm_n, ldrh_wb_n)
    loads(LDRSH64, "LDRSH_X", ldrsh64_imm, ldrsh64_sp, ldrsh64_wb, ldrsh64_unpriv,
          ldrsh64_imm_n, ldrsh64_wb_n)
    loads(LDRSH32, "LDRSH_W", ldrsh32_imm, ldrsh32_sp, ldrsh32_wb, ldrsh32_unpriv,
          ldrsh32_imm_n, ldrsh32_wb_n)
    stores(STRW, "STR_W", strw_imm, strw_sp, strw_wb, strw_unpriv,
           strw_imm_n, strw_wb_n, strw_imm_d, strw_sp_d, strw_wb_d)
    loads(LDRW, "LDR_W", ldrw_imm, ldrw_sp, ldrw_wb, ldrw_unpriv,
          ldrw_imm_n, ldrw_wb_n)
    loads(LDRSW, "LDRSW", ldrsw_imm, ldrsw_sp, ldrsw_wb, ldrsw_unpriv,
          ldrsw_imm_n, ldrsw_wb_n)
    stores(STRX, "STR_X", strx_imm, strx_sp, strx_wb, strx_unpriv,
           strx_imm_n, strx_wb_n, strx_imm_d, strx_sp_d, strx_wb_d)
    loads(LDRX, "LDR_X", ldrx_imm, ldrx_sp, ldrx_wb, ldrx_unpriv,
          ldrx_imm_n, ldrx_wb_n)
    forwards(FORWARDS_RESULT, ldrw_literal)
    forwards(FORWARDS_RESULT, ldrx_literal)
    forwards(FORWARDS_RESULT, ldrsw_literal)
    forwards(FORWARDS_SAME, nop)
    row("LDR_W_literal", "00011000 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldrw_literal)
    row("LDR_X_literal", "01011000 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldrx_literal)
    row("LDRSW_literal", "10011000 iiiiiiiiiiiiiiiiiii ttttt", fill_literal, ldrsw_literal)
    # Prefetches make no access and check nothing (not even SP).
    row("PRFM_literal", "11011000 iiiiiiiiiiiiiiiiiii ttttt", fill_nop, nop)
    row("PRFM_uimm", "1111100110 iiiiiiiiiiii nnnnnttttt", fill_nop, nop)
    row("PRFUM", "11111000100 iiiiiiiii 00 nnnnnttttt", fill_nop, nop)
    row("PRFM_reg", "11111000101 mmmmm x1x S 10 nnnnnttttt", fill_nop, nop)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
