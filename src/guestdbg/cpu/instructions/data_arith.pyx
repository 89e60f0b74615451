# cython: language_level=3
"""Addition and subtraction of registers: plain, shifted, extended, with carry.

The shift or extension is selected at decoding: each has its own function.
"""
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport add, bits, Cpu, dst, FORWARD, Insn, NEXT, OK, Op, spreg, src, UNDEF
from guestdbg.cpu.operand_forwarding cimport (
    forwards, FORWARDS_RESULT, FORWARDS_SAME, fwd_xm, fwd_xn, NONE, RM, RN, specialize, write_xd,
)
from guestdbg.cpu.instructions.data_common cimport (
    adc_nzcv32, adc_nzcv64, add_nzcv32, add_nzcv64, asr32, asr32_of, asr64, asr64_of, lsl32, lsl32_of, lsl64,
    lsl64_of, lsr32, lsr32_of, lsr64, lsr64_of, sext, sext_of, sub_nzcv32, sub_nzcv64, zext, zext_of,
)
from guestdbg.cpu.operands cimport xm, xn

# ---- add and subtract -------------------------------------------------------------------------

cdef inline void add64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) + fwd_xm(c, i, last, forwarded))
cdef void add64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add64_(c, i, last, NONE)
cdef void add64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add64_(c, i, last, RN)
cdef void add64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add64_(c, i, last, RM)

cdef inline void add32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) + <uint32_t>fwd_xm(c, i, last, forwarded))
cdef void add32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add32_(c, i, last, NONE)
cdef void add32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add32_(c, i, last, RN)
cdef void add32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add32_(c, i, last, RM)

cdef inline void sub64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) - fwd_xm(c, i, last, forwarded))
cdef void sub64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub64_(c, i, last, NONE)
cdef void sub64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub64_(c, i, last, RN)
cdef void sub64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub64_(c, i, last, RM)

cdef inline void sub32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) - <uint32_t>fwd_xm(c, i, last, forwarded))
cdef void sub32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub32_(c, i, last, NONE)
cdef void sub32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub32_(c, i, last, RN)
cdef void sub32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub32_(c, i, last, RM)

cdef inline void adds64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, add_nzcv64(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded)))
cdef void adds64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds64_(c, i, last, NONE)
cdef void adds64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds64_(c, i, last, RN)
cdef void adds64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds64_(c, i, last, RM)

cdef inline void adds32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, add_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>fwd_xm(c, i, last, forwarded)))
cdef void adds32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds32_(c, i, last, NONE)
cdef void adds32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds32_(c, i, last, RN)
cdef void adds32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds32_(c, i, last, RM)

cdef inline void subs64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, sub_nzcv64(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded)))
cdef void subs64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs64_(c, i, last, NONE)
cdef void subs64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs64_(c, i, last, RN)
cdef void subs64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs64_(c, i, last, RM)

cdef inline void subs32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, sub_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>fwd_xm(c, i, last, forwarded)))
cdef void subs32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs32_(c, i, last, NONE)
cdef void subs32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs32_(c, i, last, RN)
cdef void subs32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs32_(c, i, last, RM)

cdef inline void add_lsl64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) + lsl64_of(fwd_xm(c, i, last, forwarded), i))
cdef void add_lsl64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsl64_(c, i, last, NONE)
cdef void add_lsl64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsl64_(c, i, last, RN)
cdef void add_lsl64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsl64_(c, i, last, RM)

cdef inline void add_lsl32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) + lsl32_of(fwd_xm(c, i, last, forwarded), i))
cdef void add_lsl32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsl32_(c, i, last, NONE)
cdef void add_lsl32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsl32_(c, i, last, RN)
cdef void add_lsl32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsl32_(c, i, last, RM)

cdef inline void sub_lsl64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) - lsl64_of(fwd_xm(c, i, last, forwarded), i))
cdef void sub_lsl64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub_lsl64_(c, i, last, NONE)
cdef void sub_lsl64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub_lsl64_(c, i, last, RN)
cdef void sub_lsl64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub_lsl64_(c, i, last, RM)

cdef inline void sub_lsl32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) - lsl32_of(fwd_xm(c, i, last, forwarded), i))
cdef void sub_lsl32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub_lsl32_(c, i, last, NONE)
cdef void sub_lsl32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub_lsl32_(c, i, last, RN)
cdef void sub_lsl32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sub_lsl32_(c, i, last, RM)

cdef void adds_lsl64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv64(c, xn(c, i), lsl64(c, i)))

cdef void adds_lsl32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv32(c, <uint32_t>xn(c, i), lsl32(c, i)))

cdef void subs_lsl64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv64(c, xn(c, i), lsl64(c, i)))

cdef void subs_lsl32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv32(c, <uint32_t>xn(c, i), lsl32(c, i)))

cdef inline void add_lsr64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) + lsr64_of(fwd_xm(c, i, last, forwarded), i))
cdef void add_lsr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsr64_(c, i, last, NONE)
cdef void add_lsr64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsr64_(c, i, last, RN)
cdef void add_lsr64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsr64_(c, i, last, RM)

cdef inline void add_lsr32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) + lsr32_of(fwd_xm(c, i, last, forwarded), i))
cdef void add_lsr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsr32_(c, i, last, NONE)
cdef void add_lsr32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsr32_(c, i, last, RN)
cdef void add_lsr32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_lsr32_(c, i, last, RM)

cdef void sub_lsr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) - lsr64(c, i))

cdef void sub_lsr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>xn(c, i) - lsr32(c, i))

cdef void adds_lsr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv64(c, xn(c, i), lsr64(c, i)))

cdef void adds_lsr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv32(c, <uint32_t>xn(c, i), lsr32(c, i)))

cdef void subs_lsr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv64(c, xn(c, i), lsr64(c, i)))

cdef void subs_lsr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv32(c, <uint32_t>xn(c, i), lsr32(c, i)))

cdef inline void add_asr64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) + asr64_of(fwd_xm(c, i, last, forwarded), i))
cdef void add_asr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_asr64_(c, i, last, NONE)
cdef void add_asr64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_asr64_(c, i, last, RN)
cdef void add_asr64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_asr64_(c, i, last, RM)

cdef inline void add_asr32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) + asr32_of(fwd_xm(c, i, last, forwarded), i))
cdef void add_asr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_asr32_(c, i, last, NONE)
cdef void add_asr32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_asr32_(c, i, last, RN)
cdef void add_asr32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_asr32_(c, i, last, RM)

cdef void sub_asr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) - asr64(c, i))

cdef void sub_asr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>xn(c, i) - asr32(c, i))

cdef void adds_asr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv64(c, xn(c, i), asr64(c, i)))

cdef void adds_asr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv32(c, <uint32_t>xn(c, i), asr32(c, i)))

cdef void subs_asr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv64(c, xn(c, i), asr64(c, i)))

cdef void subs_asr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv32(c, <uint32_t>xn(c, i), asr32(c, i)))

cdef inline void add_zext64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) + zext_of(fwd_xm(c, i, last, forwarded), i))
cdef void add_zext64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_zext64_(c, i, last, NONE)
cdef void add_zext64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_zext64_(c, i, last, RN)
cdef void add_zext64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_zext64_(c, i, last, RM)

cdef void add_zext32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>xn(c, i) + <uint32_t>zext(c, i))

cdef void sub_zext64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) - zext(c, i))

cdef void sub_zext32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>xn(c, i) - <uint32_t>zext(c, i))

cdef void adds_zext64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv64(c, xn(c, i), zext(c, i)))

cdef void adds_zext32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv32(c, <uint32_t>xn(c, i), <uint32_t>zext(c, i)))

cdef void subs_zext64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv64(c, xn(c, i), zext(c, i)))

cdef void subs_zext32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv32(c, <uint32_t>xn(c, i), <uint32_t>zext(c, i)))

cdef inline void add_sext64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) + sext_of(fwd_xm(c, i, last, forwarded), i))
cdef void add_sext64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_sext64_(c, i, last, NONE)
cdef void add_sext64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_sext64_(c, i, last, RN)
cdef void add_sext64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_sext64_(c, i, last, RM)

cdef void add_sext32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>xn(c, i) + <uint32_t>sext(c, i))

cdef void sub_sext64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) - sext(c, i))

cdef void sub_sext32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>xn(c, i) - <uint32_t>sext(c, i))

cdef void adds_sext64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv64(c, xn(c, i), sext(c, i)))

cdef void adds_sext32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, add_nzcv32(c, <uint32_t>xn(c, i), <uint32_t>sext(c, i)))

cdef void subs_sext64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv64(c, xn(c, i), sext(c, i)))

cdef void subs_sext32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, sub_nzcv32(c, <uint32_t>xn(c, i), <uint32_t>sext(c, i)))

cdef inline void cmn64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    add_nzcv64(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded))
    FORWARD(c, i, last)
cdef void cmn64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn64_(c, i, last, NONE)
cdef void cmn64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn64_(c, i, last, RN)
cdef void cmn64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn64_(c, i, last, RM)

cdef inline void cmn32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    add_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>fwd_xm(c, i, last, forwarded))
    FORWARD(c, i, last)
cdef void cmn32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn32_(c, i, last, NONE)
cdef void cmn32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn32_(c, i, last, RN)
cdef void cmn32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn32_(c, i, last, RM)

cdef inline void cmp64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    sub_nzcv64(c, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded))
    FORWARD(c, i, last)
cdef void cmp64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_(c, i, last, NONE)
cdef void cmp64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_(c, i, last, RN)
cdef void cmp64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_(c, i, last, RM)

cdef inline void cmp32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    sub_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>fwd_xm(c, i, last, forwarded))
    FORWARD(c, i, last)
cdef void cmp32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_(c, i, last, NONE)
cdef void cmp32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_(c, i, last, RN)
cdef void cmp32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_(c, i, last, RM)

cdef Op ARITH[4][3][2]     # [ADD ADDS SUB SUBS][LSL LSR ASR][sf]
cdef Op EXTENDED[4][2][2]  # [ADD ADDS SUB SUBS][unsigned, signed][sf]

cdef void discard_result(Insn* o, uint32_t sf, uint32_t op) noexcept nogil:
    """ADDS or SUBS to XZR, of plain registers: CMN, CMP."""
    if op == 3:
        o.f = cmp64 if sf else cmp32
    elif op == 1:
        o.f = cmn64 if sf else cmn32

cdef int fill_shifted(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t sf = raw >> 31
    cdef uint32_t op = bits(raw, 30, 29)
    cdef uint32_t shift = bits(raw, 23, 22)
    if shift == 3:
        return UNDEF
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = src(raw >> 16)
    o.aux = bits(raw, 15, 10)
    if o.aux:
        o.f = ARITH[op][shift][sf]
    elif bits(raw, 4, 0) == 31:
        discard_result(o, sf, op)
    return OK

cdef int fill_extended(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """rn may be SP; rd of ADD and SUB, too."""
    cdef uint32_t sf = raw >> 31
    cdef uint32_t op = bits(raw, 30, 29)
    cdef uint32_t option = bits(raw, 15, 13)
    cdef uint32_t shift = bits(raw, 12, 10)
    cdef uint32_t width = 8 << (option & 3)
    if shift > 4:
        return UNDEF
    o.rd = dst(raw) if op & 1 else spreg(raw)
    o.rn = spreg(raw >> 5)
    o.rm = src(raw >> 16)
    if shift == 0 and (width == 64 or (width == 32 and not sf)):
        if bits(raw, 4, 0) == 31:
            discard_result(o, sf, op)
        return OK  # the row's function: the plain register
    o.f = EXTENDED[op][option >> 2][sf]
    if width == 64:
        o.aux = shift
        o.imm = 0
    else:
        o.aux = 64 - width
        o.imm = 64 - width - shift
    return OK

# ---- with carry -------------------------------------------------------------------------------

cdef void adc64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) + xm(c, i) + c.cf)

cdef void adc32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>(xn(c, i) + xm(c, i) + c.cf))

cdef void adcs64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, adc_nzcv64(c, xn(c, i), xm(c, i)))

cdef void adcs32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, adc_nzcv32(c, <uint32_t>xn(c, i), <uint32_t>xm(c, i)))

cdef void sbc64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) + ~xm(c, i) + c.cf)

cdef void sbc32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>(xn(c, i) + ~xm(c, i) + c.cf))

cdef void sbcs64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, adc_nzcv64(c, xn(c, i), ~xm(c, i)))

cdef void sbcs32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, adc_nzcv32(c, <uint32_t>xn(c, i), <uint32_t>~xm(c, i)))

cdef int fill_carry(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = src(raw >> 16)
    return OK

# ---- the table --------------------------------------------------------------------------------

cdef void build_tables() noexcept nogil:
    ARITH[0][0][0] = add_lsl32
    ARITH[0][0][1] = add_lsl64
    ARITH[0][1][0] = add_lsr32
    ARITH[0][1][1] = add_lsr64
    ARITH[0][2][0] = add_asr32
    ARITH[0][2][1] = add_asr64
    ARITH[1][0][0] = adds_lsl32
    ARITH[1][0][1] = adds_lsl64
    ARITH[1][1][0] = adds_lsr32
    ARITH[1][1][1] = adds_lsr64
    ARITH[1][2][0] = adds_asr32
    ARITH[1][2][1] = adds_asr64
    ARITH[2][0][0] = sub_lsl32
    ARITH[2][0][1] = sub_lsl64
    ARITH[2][1][0] = sub_lsr32
    ARITH[2][1][1] = sub_lsr64
    ARITH[2][2][0] = sub_asr32
    ARITH[2][2][1] = sub_asr64
    ARITH[3][0][0] = subs_lsl32
    ARITH[3][0][1] = subs_lsl64
    ARITH[3][1][0] = subs_lsr32
    ARITH[3][1][1] = subs_lsr64
    ARITH[3][2][0] = subs_asr32
    ARITH[3][2][1] = subs_asr64
    EXTENDED[0][0][0] = add_zext32
    EXTENDED[0][0][1] = add_zext64
    EXTENDED[0][1][0] = add_sext32
    EXTENDED[0][1][1] = add_sext64
    EXTENDED[1][0][0] = adds_zext32
    EXTENDED[1][0][1] = adds_zext64
    EXTENDED[1][1][0] = adds_sext32
    EXTENDED[1][1][1] = adds_sext64
    EXTENDED[2][0][0] = sub_zext32
    EXTENDED[2][0][1] = sub_zext64
    EXTENDED[2][1][0] = sub_sext32
    EXTENDED[2][1][1] = sub_sext64
    EXTENDED[3][0][0] = subs_zext32
    EXTENDED[3][0][1] = subs_zext64
    EXTENDED[3][1][0] = subs_sext32
    EXTENDED[3][1][1] = subs_sext64

# ---- what is forwarded on ------------------------------------------------------------------------

cdef int register_forwarding() except -1:
    specialize(FORWARDS_RESULT, add64, add64_n, add64_m)
    specialize(FORWARDS_RESULT, add32, add32_n, add32_m)
    specialize(FORWARDS_RESULT, sub64, sub64_n, sub64_m)
    specialize(FORWARDS_RESULT, sub32, sub32_n, sub32_m)
    specialize(FORWARDS_RESULT, adds64, adds64_n, adds64_m)
    specialize(FORWARDS_RESULT, adds32, adds32_n, adds32_m)
    specialize(FORWARDS_RESULT, subs64, subs64_n, subs64_m)
    specialize(FORWARDS_RESULT, subs32, subs32_n, subs32_m)
    specialize(FORWARDS_RESULT, add_lsl64, add_lsl64_n, add_lsl64_m)
    specialize(FORWARDS_RESULT, add_lsl32, add_lsl32_n, add_lsl32_m)
    specialize(FORWARDS_RESULT, sub_lsl64, sub_lsl64_n, sub_lsl64_m)
    specialize(FORWARDS_RESULT, sub_lsl32, sub_lsl32_n, sub_lsl32_m)
    forwards(FORWARDS_RESULT, adds_lsl64)
    forwards(FORWARDS_RESULT, adds_lsl32)
    forwards(FORWARDS_RESULT, subs_lsl64)
    forwards(FORWARDS_RESULT, subs_lsl32)
    specialize(FORWARDS_RESULT, add_lsr64, add_lsr64_n, add_lsr64_m)
    specialize(FORWARDS_RESULT, add_lsr32, add_lsr32_n, add_lsr32_m)
    forwards(FORWARDS_RESULT, sub_lsr64)
    forwards(FORWARDS_RESULT, sub_lsr32)
    forwards(FORWARDS_RESULT, adds_lsr64)
    forwards(FORWARDS_RESULT, adds_lsr32)
    forwards(FORWARDS_RESULT, subs_lsr64)
    forwards(FORWARDS_RESULT, subs_lsr32)
    specialize(FORWARDS_RESULT, add_asr64, add_asr64_n, add_asr64_m)
    specialize(FORWARDS_RESULT, add_asr32, add_asr32_n, add_asr32_m)
    forwards(FORWARDS_RESULT, sub_asr64)
    forwards(FORWARDS_RESULT, sub_asr32)
    forwards(FORWARDS_RESULT, adds_asr64)
    forwards(FORWARDS_RESULT, adds_asr32)
    forwards(FORWARDS_RESULT, subs_asr64)
    forwards(FORWARDS_RESULT, subs_asr32)
    specialize(FORWARDS_RESULT, add_zext64, add_zext64_n, add_zext64_m)
    forwards(FORWARDS_RESULT, add_zext32)
    forwards(FORWARDS_RESULT, sub_zext64)
    forwards(FORWARDS_RESULT, sub_zext32)
    forwards(FORWARDS_RESULT, adds_zext64)
    forwards(FORWARDS_RESULT, adds_zext32)
    forwards(FORWARDS_RESULT, subs_zext64)
    forwards(FORWARDS_RESULT, subs_zext32)
    specialize(FORWARDS_RESULT, add_sext64, add_sext64_n, add_sext64_m)
    forwards(FORWARDS_RESULT, add_sext32)
    forwards(FORWARDS_RESULT, sub_sext64)
    forwards(FORWARDS_RESULT, sub_sext32)
    forwards(FORWARDS_RESULT, adds_sext64)
    forwards(FORWARDS_RESULT, adds_sext32)
    forwards(FORWARDS_RESULT, subs_sext64)
    forwards(FORWARDS_RESULT, subs_sext32)
    specialize(FORWARDS_SAME, cmn64, cmn64_n, cmn64_m)
    specialize(FORWARDS_SAME, cmn32, cmn32_n, cmn32_m)
    specialize(FORWARDS_SAME, cmp64, cmp64_n, cmp64_m)
    specialize(FORWARDS_SAME, cmp32, cmp32_n, cmp32_m)
    forwards(FORWARDS_RESULT, adc64)
    forwards(FORWARDS_RESULT, adc32)
    forwards(FORWARDS_RESULT, adcs64)
    forwards(FORWARDS_RESULT, adcs32)
    forwards(FORWARDS_RESULT, sbc64)
    forwards(FORWARDS_RESULT, sbc32)
    forwards(FORWARDS_RESULT, sbcs64)
    forwards(FORWARDS_RESULT, sbcs32)
    return 0

cdef int register() except -1:
    register_forwarding()
    build_tables()

    add(b"ADD_32_addsub_shift", b"0 0 0 01011 ss 0 mmmmm 0aaaaa nnnnn ddddd", fill_shifted, add32)
    add(b"ADDS_32_addsub_shift", b"0 0 1 01011 ss 0 mmmmm 0aaaaa nnnnn ddddd", fill_shifted, adds32)
    add(b"SUB_32_addsub_shift", b"0 1 0 01011 ss 0 mmmmm 0aaaaa nnnnn ddddd", fill_shifted, sub32)
    add(b"SUBS_32_addsub_shift", b"0 1 1 01011 ss 0 mmmmm 0aaaaa nnnnn ddddd", fill_shifted, subs32)
    add(b"ADD_32_addsub_ext", b"0 0 0 01011 00 1 mmmmm ooo sss nnnnn ddddd", fill_extended, add32)
    add(b"ADDS_32S_addsub_ext", b"0 0 1 01011 00 1 mmmmm ooo sss nnnnn ddddd",
        fill_extended, adds32)
    add(b"SUB_32_addsub_ext", b"0 1 0 01011 00 1 mmmmm ooo sss nnnnn ddddd", fill_extended, sub32)
    add(b"SUBS_32S_addsub_ext", b"0 1 1 01011 00 1 mmmmm ooo sss nnnnn ddddd",
        fill_extended, subs32)
    add(b"ADC_32_addsub_carry", b"0 0 0 11010000 mmmmm 000000 nnnnn ddddd", fill_carry, adc32)
    add(b"ADCS_32_addsub_carry", b"0 0 1 11010000 mmmmm 000000 nnnnn ddddd", fill_carry, adcs32)
    add(b"SBC_32_addsub_carry", b"0 1 0 11010000 mmmmm 000000 nnnnn ddddd", fill_carry, sbc32)
    add(b"SBCS_32_addsub_carry", b"0 1 1 11010000 mmmmm 000000 nnnnn ddddd", fill_carry, sbcs32)

    add(b"ADD_64_addsub_shift", b"1 0 0 01011 ss 0 mmmmm aaaaaa nnnnn ddddd", fill_shifted, add64)
    add(b"ADDS_64_addsub_shift", b"1 0 1 01011 ss 0 mmmmm aaaaaa nnnnn ddddd", fill_shifted, adds64)
    add(b"SUB_64_addsub_shift", b"1 1 0 01011 ss 0 mmmmm aaaaaa nnnnn ddddd", fill_shifted, sub64)
    add(b"SUBS_64_addsub_shift", b"1 1 1 01011 ss 0 mmmmm aaaaaa nnnnn ddddd", fill_shifted, subs64)
    add(b"ADD_64_addsub_ext", b"1 0 0 01011 00 1 mmmmm ooo sss nnnnn ddddd", fill_extended, add64)
    add(b"ADDS_64S_addsub_ext", b"1 0 1 01011 00 1 mmmmm ooo sss nnnnn ddddd",
        fill_extended, adds64)
    add(b"SUB_64_addsub_ext", b"1 1 0 01011 00 1 mmmmm ooo sss nnnnn ddddd", fill_extended, sub64)
    add(b"SUBS_64S_addsub_ext", b"1 1 1 01011 00 1 mmmmm ooo sss nnnnn ddddd",
        fill_extended, subs64)
    add(b"ADC_64_addsub_carry", b"1 0 0 11010000 mmmmm 000000 nnnnn ddddd", fill_carry, adc64)
    add(b"ADCS_64_addsub_carry", b"1 0 1 11010000 mmmmm 000000 nnnnn ddddd", fill_carry, adcs64)
    add(b"SBC_64_addsub_carry", b"1 1 0 11010000 mmmmm 000000 nnnnn ddddd", fill_carry, sbc64)
    add(b"SBCS_64_addsub_carry", b"1 1 1 11010000 mmmmm 000000 nnnnn ddddd", fill_carry, sbcs64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
