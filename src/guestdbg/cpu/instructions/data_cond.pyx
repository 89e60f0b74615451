# cython: language_level=3
"""Conditional select and conditional compare.

A select has a function for each pair of conditions (a condition and its inverse differ in the
lowest bit): CSEL swaps its operands at decoding for the inverse, the others carry that bit in
Insn.ra. A compare looks its condition up in a truth table over NZCV made at decoding.
"""
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport add, bits, Cpu, dst, Insn, NEXT, OK, Op, src, ZR
from guestdbg.cpu.operand_forwarding cimport (
    forwards, FORWARDS_RESULT, fwd_xm, fwd_xn, NONE, RM, RN, specialize, write_xd,
)
from guestdbg.cpu.instructions.condition_codes cimport (
    cs, eq, failed, ge, gt, hi, mi, pick, truth, vs,
)
from guestdbg.cpu.instructions.data_common cimport add_nzcv32, add_nzcv64, sub_nzcv32, sub_nzcv64
from guestdbg.cpu.operands cimport aux, imm, ra, xm, xn

# ---- conditional select -----------------------------------------------------------------------

# CSINC, CSINV, CSNEG: the second operand becomes (value ^ imm) + aux, where imm is ones for CSINV and
# CSNEG, and aux is 1 for CSINC and CSNEG. Insn.ra: the condition is the inverse of the function's.

cdef inline uint64_t pick_changed(const Cpu* c, const Insn* i, uint64_t first) noexcept nogil:
    cdef uint64_t a = xn(c, i)
    cdef uint64_t b = (xm(c, i) ^ imm(i)) + aux(i)
    return b ^ ((a ^ b) & (<uint64_t>0 - (first ^ ra(i))))

cdef inline void csel64_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), eq(c)))
cdef void csel64_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_eq_(c, i, last, NONE)
cdef void csel64_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_eq_(c, i, last, RN)
cdef void csel64_eq_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_eq_(c, i, last, RM)

cdef inline void csel32_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), eq(c)))
cdef void csel32_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_eq_(c, i, last, NONE)
cdef void csel32_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_eq_(c, i, last, RN)
cdef void csel32_eq_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_eq_(c, i, last, RM)

cdef void csx64_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, pick_changed(c, i, eq(c)))

cdef void csx32_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>pick_changed(c, i, eq(c)))

cdef void cset_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, eq(c) ^ ra(i))

cdef inline void csel64_cs_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), cs(c)))
cdef void csel64_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_cs_(c, i, last, NONE)
cdef void csel64_cs_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_cs_(c, i, last, RN)
cdef void csel64_cs_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_cs_(c, i, last, RM)

cdef inline void csel32_cs_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), cs(c)))
cdef void csel32_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_cs_(c, i, last, NONE)
cdef void csel32_cs_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_cs_(c, i, last, RN)
cdef void csel32_cs_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_cs_(c, i, last, RM)

cdef void csx64_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, pick_changed(c, i, cs(c)))

cdef void csx32_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>pick_changed(c, i, cs(c)))

cdef void cset_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, cs(c) ^ ra(i))

cdef inline void csel64_mi_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), mi(c)))
cdef void csel64_mi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_mi_(c, i, last, NONE)
cdef void csel64_mi_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_mi_(c, i, last, RN)
cdef void csel64_mi_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_mi_(c, i, last, RM)

cdef inline void csel32_mi_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), mi(c)))
cdef void csel32_mi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_mi_(c, i, last, NONE)
cdef void csel32_mi_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_mi_(c, i, last, RN)
cdef void csel32_mi_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_mi_(c, i, last, RM)

cdef void csx64_mi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, pick_changed(c, i, mi(c)))

cdef void csx32_mi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>pick_changed(c, i, mi(c)))

cdef void cset_mi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, mi(c) ^ ra(i))

cdef inline void csel64_vs_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), vs(c)))
cdef void csel64_vs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_vs_(c, i, last, NONE)
cdef void csel64_vs_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_vs_(c, i, last, RN)
cdef void csel64_vs_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_vs_(c, i, last, RM)

cdef inline void csel32_vs_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), vs(c)))
cdef void csel32_vs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_vs_(c, i, last, NONE)
cdef void csel32_vs_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_vs_(c, i, last, RN)
cdef void csel32_vs_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_vs_(c, i, last, RM)

cdef void csx64_vs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, pick_changed(c, i, vs(c)))

cdef void csx32_vs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>pick_changed(c, i, vs(c)))

cdef void cset_vs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, vs(c) ^ ra(i))

cdef inline void csel64_hi_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), hi(c)))
cdef void csel64_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_hi_(c, i, last, NONE)
cdef void csel64_hi_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_hi_(c, i, last, RN)
cdef void csel64_hi_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_hi_(c, i, last, RM)

cdef inline void csel32_hi_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), hi(c)))
cdef void csel32_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_hi_(c, i, last, NONE)
cdef void csel32_hi_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_hi_(c, i, last, RN)
cdef void csel32_hi_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_hi_(c, i, last, RM)

cdef void csx64_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, pick_changed(c, i, hi(c)))

cdef void csx32_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>pick_changed(c, i, hi(c)))

cdef void cset_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, hi(c) ^ ra(i))

cdef inline void csel64_ge_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), ge(c)))
cdef void csel64_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_ge_(c, i, last, NONE)
cdef void csel64_ge_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_ge_(c, i, last, RN)
cdef void csel64_ge_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_ge_(c, i, last, RM)

cdef inline void csel32_ge_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), ge(c)))
cdef void csel32_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_ge_(c, i, last, NONE)
cdef void csel32_ge_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_ge_(c, i, last, RN)
cdef void csel32_ge_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_ge_(c, i, last, RM)

cdef void csx64_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, pick_changed(c, i, ge(c)))

cdef void csx32_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>pick_changed(c, i, ge(c)))

cdef void cset_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, ge(c) ^ ra(i))

cdef inline void csel64_gt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), gt(c)))
cdef void csel64_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_gt_(c, i, last, NONE)
cdef void csel64_gt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_gt_(c, i, last, RN)
cdef void csel64_gt_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel64_gt_(c, i, last, RM)

cdef inline void csel32_gt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>pick(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), gt(c)))
cdef void csel32_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_gt_(c, i, last, NONE)
cdef void csel32_gt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_gt_(c, i, last, RN)
cdef void csel32_gt_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: csel32_gt_(c, i, last, RM)

cdef void csx64_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, pick_changed(c, i, gt(c)))

cdef void csx32_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>pick_changed(c, i, gt(c)))

cdef void cset_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, gt(c) ^ ra(i))

cdef void first64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """The condition is AL or NV: always."""
    write_xd(c, i, xn(c, i))

cdef void first32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>xn(c, i))

cdef Op CSEL[7][2]  # [condition >> 1][sf]
cdef Op CSX[7][2]
cdef Op CSET[7]

cdef int fill_select(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t sf = raw >> 31
    cdef uint32_t cond = bits(raw, 15, 12)
    cdef uint32_t invert = bits(raw, 30, 30)
    cdef uint32_t increment = bits(raw, 10, 10)
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = src(raw >> 16)
    if cond >= 14:
        o.f = first64 if sf else first32
    elif not invert and not increment:
        o.f = CSEL[cond >> 1][sf]
        if cond & 1:
            o.rn, o.rm = o.rm, o.rn
    elif not invert and o.rn == ZR and o.rm == ZR:  # CSET: 1 where the condition fails
        o.ra = 1 ^ (cond & 1)
        o.f = CSET[cond >> 1]
    else:
        o.ra = cond & 1
        o.imm = <uint64_t>0 - invert
        o.aux = increment
        o.f = CSX[cond >> 1][sf]
    return OK

# ---- conditional compare ----------------------------------------------------------------------

# Both outcomes are computed and one is selected. aux: the truth table, and above it the NZCV for when
# the condition fails. The immediate form has XZR and imm, the register form imm 0.

cdef inline void settle(Cpu* c, const Insn* i, uint64_t fail) noexcept nogil:
    """The flags of the comparison are set: replace them where the condition failed."""
    cdef uint64_t nzcv = aux(i) >> 16
    c.nf = (c.nf & ~fail) | ((nzcv << 60) & fail)
    c.zf = (c.zf & ~fail) | ((~(nzcv >> 2) & 1) & fail)
    c.cf = (c.cf & ~fail) | (((nzcv >> 1) & 1) & fail)
    c.vf = (c.vf & ~fail) | ((nzcv << 63) & fail)

cdef void ccmn64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t fail = failed(c, i)
    add_nzcv64(c, xn(c, i), xm(c, i) + imm(i))
    settle(c, i, fail)
    NEXT(c, i)

cdef void ccmn32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t fail = failed(c, i)
    add_nzcv32(c, <uint32_t>xn(c, i), <uint32_t>(xm(c, i) + imm(i)))
    settle(c, i, fail)
    NEXT(c, i)

cdef void ccmp64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t fail = failed(c, i)
    sub_nzcv64(c, xn(c, i), xm(c, i) + imm(i))
    settle(c, i, fail)
    NEXT(c, i)

cdef void ccmp32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t fail = failed(c, i)
    sub_nzcv32(c, <uint32_t>xn(c, i), <uint32_t>(xm(c, i) + imm(i)))
    settle(c, i, fail)
    NEXT(c, i)

cdef int fill_compare(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.aux = truth(bits(raw, 15, 12)) | (bits(raw, 3, 0) << 16)
    o.rn = src(raw >> 5)
    if bits(raw, 11, 11):
        o.rm = ZR
        o.imm = bits(raw, 20, 16)
    else:
        o.rm = src(raw >> 16)
        o.imm = 0
    return OK

# ---- the table --------------------------------------------------------------------------------

cdef void build_tables() noexcept nogil:
    CSEL[0][0] = csel32_eq
    CSX[0][0] = csx32_eq
    CSEL[0][1] = csel64_eq
    CSX[0][1] = csx64_eq
    CSET[0] = cset_eq
    CSEL[1][0] = csel32_cs
    CSX[1][0] = csx32_cs
    CSEL[1][1] = csel64_cs
    CSX[1][1] = csx64_cs
    CSET[1] = cset_cs
    CSEL[2][0] = csel32_mi
    CSX[2][0] = csx32_mi
    CSEL[2][1] = csel64_mi
    CSX[2][1] = csx64_mi
    CSET[2] = cset_mi
    CSEL[3][0] = csel32_vs
    CSX[3][0] = csx32_vs
    CSEL[3][1] = csel64_vs
    CSX[3][1] = csx64_vs
    CSET[3] = cset_vs
    CSEL[4][0] = csel32_hi
    CSX[4][0] = csx32_hi
    CSEL[4][1] = csel64_hi
    CSX[4][1] = csx64_hi
    CSET[4] = cset_hi
    CSEL[5][0] = csel32_ge
    CSX[5][0] = csx32_ge
    CSEL[5][1] = csel64_ge
    CSX[5][1] = csx64_ge
    CSET[5] = cset_ge
    CSEL[6][0] = csel32_gt
    CSX[6][0] = csx32_gt
    CSEL[6][1] = csel64_gt
    CSX[6][1] = csx64_gt
    CSET[6] = cset_gt

# ---- what is forwarded on ------------------------------------------------------------------------

cdef int register_forwarding() except -1:
    specialize(FORWARDS_RESULT, csel64_eq, csel64_eq_n, csel64_eq_m)
    specialize(FORWARDS_RESULT, csel32_eq, csel32_eq_n, csel32_eq_m)
    forwards(FORWARDS_RESULT, csx64_eq)
    forwards(FORWARDS_RESULT, csx32_eq)
    forwards(FORWARDS_RESULT, cset_eq)
    specialize(FORWARDS_RESULT, csel64_cs, csel64_cs_n, csel64_cs_m)
    specialize(FORWARDS_RESULT, csel32_cs, csel32_cs_n, csel32_cs_m)
    forwards(FORWARDS_RESULT, csx64_cs)
    forwards(FORWARDS_RESULT, csx32_cs)
    forwards(FORWARDS_RESULT, cset_cs)
    specialize(FORWARDS_RESULT, csel64_mi, csel64_mi_n, csel64_mi_m)
    specialize(FORWARDS_RESULT, csel32_mi, csel32_mi_n, csel32_mi_m)
    forwards(FORWARDS_RESULT, csx64_mi)
    forwards(FORWARDS_RESULT, csx32_mi)
    forwards(FORWARDS_RESULT, cset_mi)
    specialize(FORWARDS_RESULT, csel64_vs, csel64_vs_n, csel64_vs_m)
    specialize(FORWARDS_RESULT, csel32_vs, csel32_vs_n, csel32_vs_m)
    forwards(FORWARDS_RESULT, csx64_vs)
    forwards(FORWARDS_RESULT, csx32_vs)
    forwards(FORWARDS_RESULT, cset_vs)
    specialize(FORWARDS_RESULT, csel64_hi, csel64_hi_n, csel64_hi_m)
    specialize(FORWARDS_RESULT, csel32_hi, csel32_hi_n, csel32_hi_m)
    forwards(FORWARDS_RESULT, csx64_hi)
    forwards(FORWARDS_RESULT, csx32_hi)
    forwards(FORWARDS_RESULT, cset_hi)
    specialize(FORWARDS_RESULT, csel64_ge, csel64_ge_n, csel64_ge_m)
    specialize(FORWARDS_RESULT, csel32_ge, csel32_ge_n, csel32_ge_m)
    forwards(FORWARDS_RESULT, csx64_ge)
    forwards(FORWARDS_RESULT, csx32_ge)
    forwards(FORWARDS_RESULT, cset_ge)
    specialize(FORWARDS_RESULT, csel64_gt, csel64_gt_n, csel64_gt_m)
    specialize(FORWARDS_RESULT, csel32_gt, csel32_gt_n, csel32_gt_m)
    forwards(FORWARDS_RESULT, csx64_gt)
    forwards(FORWARDS_RESULT, csx32_gt)
    forwards(FORWARDS_RESULT, cset_gt)
    forwards(FORWARDS_RESULT, first64)
    forwards(FORWARDS_RESULT, first32)
    return 0

cdef int register() except -1:
    register_forwarding()
    build_tables()

    add(b"CSEL_32_condsel", b"0 0 0 11010100 mmmmm cccc 00 nnnnn ddddd", fill_select, first32)
    add(b"CSINC_32_condsel", b"0 0 0 11010100 mmmmm cccc 01 nnnnn ddddd", fill_select, first32)
    add(b"CSINV_32_condsel", b"0 1 0 11010100 mmmmm cccc 00 nnnnn ddddd", fill_select, first32)
    add(b"CSNEG_32_condsel", b"0 1 0 11010100 mmmmm cccc 01 nnnnn ddddd", fill_select, first32)
    add(b"CCMN_32_condcmp_reg", b"0 0 1 11010010 mmmmm cccc 0 0 nnnnn 0 ffff", fill_compare, ccmn32)
    add(b"CCMN_32_condcmp_imm", b"0 0 1 11010010 iiiii cccc 1 0 nnnnn 0 ffff", fill_compare, ccmn32)
    add(b"CCMP_32_condcmp_reg", b"0 1 1 11010010 mmmmm cccc 0 0 nnnnn 0 ffff", fill_compare, ccmp32)
    add(b"CCMP_32_condcmp_imm", b"0 1 1 11010010 iiiii cccc 1 0 nnnnn 0 ffff", fill_compare, ccmp32)

    add(b"CSEL_64_condsel", b"1 0 0 11010100 mmmmm cccc 00 nnnnn ddddd", fill_select, first64)
    add(b"CSINC_64_condsel", b"1 0 0 11010100 mmmmm cccc 01 nnnnn ddddd", fill_select, first64)
    add(b"CSINV_64_condsel", b"1 1 0 11010100 mmmmm cccc 00 nnnnn ddddd", fill_select, first64)
    add(b"CSNEG_64_condsel", b"1 1 0 11010100 mmmmm cccc 01 nnnnn ddddd", fill_select, first64)
    add(b"CCMN_64_condcmp_reg", b"1 0 1 11010010 mmmmm cccc 0 0 nnnnn 0 ffff", fill_compare, ccmn64)
    add(b"CCMN_64_condcmp_imm", b"1 0 1 11010010 iiiii cccc 1 0 nnnnn 0 ffff", fill_compare, ccmn64)
    add(b"CCMP_64_condcmp_reg", b"1 1 1 11010010 mmmmm cccc 0 0 nnnnn 0 ffff", fill_compare, ccmp64)
    add(b"CCMP_64_condcmp_imm", b"1 1 1 11010010 iiiii cccc 1 0 nnnnn 0 ffff", fill_compare, ccmp64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
