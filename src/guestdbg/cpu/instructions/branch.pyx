# cython: language_level=3
"""Branches. A direct branch continues through one of the two links after it (see core.pxd)."""
from guestdbg.cpu.core cimport *
from guestdbg.cpu.features cimport has_bti
from guestdbg.cpu.instructions.branch_common cimport br_btype_of, BTYPE_CALL, choose, taken
from guestdbg.cpu.operand_forwarding cimport FORWARDS_NOTHING, fwd_xd, NONE, RD, specialize, specialize_all
from guestdbg.cpu.operands cimport aux, imm, xn

# ---- conditional: one function a condition ----------------------------------------------------

cdef void b_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, c.zf == 0)

cdef void b_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, c.zf != 0)

cdef void b_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, c.cf != 0)

cdef void b_cc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, c.cf == 0)

cdef void b_mi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, <int64_t>c.nf < 0)

cdef void b_pl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, <int64_t>c.nf >= 0)

cdef void b_vs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, <int64_t>c.vf < 0)

cdef void b_vc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, <int64_t>c.vf >= 0)

cdef void b_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, c.cf != 0 and c.zf != 0)

cdef void b_ls(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, c.cf == 0 or c.zf == 0)

cdef void b_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, <int64_t>(c.nf ^ c.vf) >= 0)

cdef void b_lt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, <int64_t>(c.nf ^ c.vf) < 0)

cdef void b_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, <int64_t>(c.nf ^ c.vf) >= 0 and c.zf != 0)

cdef void b_le(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    choose(c, i, <int64_t>(c.nf ^ c.vf) < 0 or c.zf == 0)

cdef void b_always(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    taken(c, i)

cdef void bl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    c.x[30] = imm(i)
    taken(c, i)

cdef inline void cbz64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    choose(c, i, fwd_xd(c, i, last, forwarded) == 0)
cdef void cbz64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cbz64_(c, i, last, NONE)
cdef void cbz64_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cbz64_(c, i, last, RD)

cdef inline void cbnz64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    choose(c, i, fwd_xd(c, i, last, forwarded) != 0)
cdef void cbnz64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cbnz64_(c, i, last, NONE)
cdef void cbnz64_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cbnz64_(c, i, last, RD)

cdef inline void cbz32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    choose(c, i, <uint32_t>fwd_xd(c, i, last, forwarded) == 0)
cdef void cbz32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cbz32_(c, i, last, NONE)
cdef void cbz32_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cbz32_(c, i, last, RD)

cdef inline void cbnz32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    choose(c, i, <uint32_t>fwd_xd(c, i, last, forwarded) != 0)
cdef void cbnz32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cbnz32_(c, i, last, NONE)
cdef void cbnz32_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cbnz32_(c, i, last, RD)

cdef inline void tbz_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    choose(c, i, fwd_xd(c, i, last, forwarded) & imm(i) == 0)
cdef void tbz(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tbz_(c, i, last, NONE)
cdef void tbz_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tbz_(c, i, last, RD)

cdef inline void tbnz_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    choose(c, i, fwd_xd(c, i, last, forwarded) & imm(i) != 0)
cdef void tbnz(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tbnz_(c, i, last, NONE)
cdef void tbnz_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tbnz_(c, i, last, RD)


# ---- indirect ---------------------------------------------------------------------------------

cdef void br(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    goto_pc(c, branch_address(c, xn(c, i)))

cdef void br_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    goto_pc(c, branch_address(c, last))

cdef void blr(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t to = branch_address(c, xn(c, i))
    c.x[30] = imm(i)
    goto_pc(c, to)


# With FEAT_BTI: aux is PSTATE.BTYPE afterwards.

cdef void br_btype(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    goto_pc_btype(c, branch_address(c, xn(c, i)), aux(i))

cdef void br_btype_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    goto_pc_btype(c, branch_address(c, last), aux(i))

cdef void blr_btype(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t to = branch_address(c, xn(c, i))
    c.x[30] = imm(i)
    goto_pc_btype(c, to, aux(i))


# ---- decoding ---------------------------------------------------------------------------------

cdef Op[16] conditional
conditional[0] = b_eq
conditional[1] = b_ne
conditional[2] = b_cs
conditional[3] = b_cc
conditional[4] = b_mi
conditional[5] = b_pl
conditional[6] = b_vs
conditional[7] = b_vc
conditional[8] = b_hi
conditional[9] = b_ls
conditional[10] = b_ge
conditional[11] = b_lt
conditional[12] = b_gt
conditional[13] = b_le
conditional[14] = b_always
conditional[15] = b_always

cdef int fill_b(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.aux = <uint32_t>(sbits(raw, 25, 0) * 4)
    o.imm = pc + 4
    return ENDS

cdef int fill_bcond(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.aux = <uint32_t>(sbits(raw, 23, 5) * 4)
    o.f = conditional[raw & 15]
    return ENDS

cdef int fill_cb(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.aux = <uint32_t>(sbits(raw, 23, 5) * 4)
    o.rd = src(raw)
    return ENDS

cdef int fill_tb(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.aux = <uint32_t>(sbits(raw, 18, 5) * 4)
    o.imm = <uint64_t>1 << (((raw >> 31) << 5) | bits(raw, 23, 19))
    o.rd = src(raw)
    return ENDS

cdef int fill_ret(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rn = src(raw >> 5)
    return ENDS

cdef int fill_br(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rn = src(raw >> 5)
    if has_bti(c):
        o.f = br_btype
        o.aux = br_btype_of(c, raw)
    return ENDS

cdef int fill_blr(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rn = src(raw >> 5)
    o.imm = pc + 4
    if has_bti(c):
        o.f = blr_btype
        o.aux = BTYPE_CALL
    return ENDS


def install():
    specialize_all(FORWARDS_NOTHING, cbz64, NULL, NULL, NULL, cbz64_d)
    specialize_all(FORWARDS_NOTHING, cbnz64, NULL, NULL, NULL, cbnz64_d)
    specialize_all(FORWARDS_NOTHING, cbz32, NULL, NULL, NULL, cbz32_d)
    specialize_all(FORWARDS_NOTHING, cbnz32, NULL, NULL, NULL, cbnz32_d)
    specialize_all(FORWARDS_NOTHING, tbz, NULL, NULL, NULL, tbz_d)
    specialize_all(FORWARDS_NOTHING, tbnz, NULL, NULL, NULL, tbnz_d)
    specialize(FORWARDS_NOTHING, br, br_n, NULL)
    specialize(FORWARDS_NOTHING, br_btype, br_btype_n, NULL)
    add("b", "0 00101 iiiiiiiiiiiiiiiiiiiiiiiiii", fill_b, b_always)
    add("bl", "1 00101 iiiiiiiiiiiiiiiiiiiiiiiiii", fill_b, bl)
    add("b.cond", "0101010 0 iiiiiiiiiiiiiiiiiii 0 cccc", fill_bcond, b_always)
    add("cbz w", "0 011010 0 iiiiiiiiiiiiiiiiiii ttttt", fill_cb, cbz32)
    add("cbnz w", "0 011010 1 iiiiiiiiiiiiiiiiiii ttttt", fill_cb, cbnz32)
    add("cbz x", "1 011010 0 iiiiiiiiiiiiiiiiiii ttttt", fill_cb, cbz64)
    add("cbnz x", "1 011010 1 iiiiiiiiiiiiiiiiiii ttttt", fill_cb, cbnz64)
    add("tbz", "b 011011 0 bbbbb iiiiiiiiiiiiii ttttt", fill_tb, tbz)
    add("tbnz", "b 011011 1 bbbbb iiiiiiiiiiiiii ttttt", fill_tb, tbnz)
    add("br", "1101011 0000 11111 000000 nnnnn 00000", fill_br, br)
    add("blr", "1101011 0001 11111 000000 nnnnn 00000", fill_blr, blr)
    add("ret", "1101011 0010 11111 000000 nnnnn 00000", fill_ret, br)
