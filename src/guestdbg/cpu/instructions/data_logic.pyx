# cython: language_level=3
"""Logic on registers, plain and shifted.

A shift by 0 is the plain register form. BIC, ORN, EON and BICS with a shift are AND, ORR, EOR and
ANDS with the shifted operand inverted by Insn.imm.
"""
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport add, bits, Cpu, dst, FORWARD, Insn, NEXT, OK, Op, src, ZR
from guestdbg.cpu.operand_forwarding cimport (
    forwards, FORWARDS_RESULT, FORWARDS_SAME, fwd_xm, fwd_xn, NONE, RM, RN, specialize, write_xd,
)
from guestdbg.cpu.instructions.data_common cimport (
    asr32, asr64, logic_nzcv32, logic_nzcv64, lsl32, lsl32_of, lsl64, lsl64_of, lsr32, lsr32_of, lsr64,
    lsr64_of, ror32, ror32_of, ror64, ror64_of,
)
from guestdbg.cpu.operands cimport imm, xm, xn

# ---- logic on registers -----------------------------------------------------------------------

cdef inline void mov64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xm(c, i, last, forwarded))
cdef void mov64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mov64_(c, i, last, NONE)
cdef void mov64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mov64_(c, i, last, RM)

cdef inline void mov32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xm(c, i, last, forwarded))
cdef void mov32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mov32_(c, i, last, NONE)
cdef void mov32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mov32_(c, i, last, RM)

cdef inline void and64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) & fwd_xm(c, i, last, forwarded))
cdef void and64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and64_(c, i, last, NONE)
cdef void and64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and64_(c, i, last, RN)
cdef void and64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and64_(c, i, last, RM)

cdef inline void and32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) & fwd_xm(c, i, last, forwarded)))
cdef void and32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and32_(c, i, last, NONE)
cdef void and32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and32_(c, i, last, RN)
cdef void and32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and32_(c, i, last, RM)

cdef inline void bic64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) & ~fwd_xm(c, i, last, forwarded))
cdef void bic64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bic64_(c, i, last, NONE)
cdef void bic64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bic64_(c, i, last, RN)
cdef void bic64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bic64_(c, i, last, RM)

cdef inline void bic32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) & ~fwd_xm(c, i, last, forwarded)))
cdef void bic32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bic32_(c, i, last, NONE)
cdef void bic32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bic32_(c, i, last, RN)
cdef void bic32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bic32_(c, i, last, RM)

cdef inline void orr64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) | fwd_xm(c, i, last, forwarded))
cdef void orr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr64_(c, i, last, NONE)
cdef void orr64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr64_(c, i, last, RN)
cdef void orr64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr64_(c, i, last, RM)

cdef inline void orr32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) | fwd_xm(c, i, last, forwarded)))
cdef void orr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr32_(c, i, last, NONE)
cdef void orr32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr32_(c, i, last, RN)
cdef void orr32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr32_(c, i, last, RM)

cdef void orn64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) | ~xm(c, i))

cdef void orn32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>(xn(c, i) | ~xm(c, i)))

cdef inline void eor64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) ^ fwd_xm(c, i, last, forwarded))
cdef void eor64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor64_(c, i, last, NONE)
cdef void eor64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor64_(c, i, last, RN)
cdef void eor64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor64_(c, i, last, RM)

cdef inline void eor32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) ^ fwd_xm(c, i, last, forwarded)))
cdef void eor32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor32_(c, i, last, NONE)
cdef void eor32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor32_(c, i, last, RN)
cdef void eor32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor32_(c, i, last, RM)

cdef void eon64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) ^ ~xm(c, i))

cdef void eon32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>(xn(c, i) ^ ~xm(c, i)))

cdef inline void ands64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, logic_nzcv64(c, fwd_xn(c, i, last, forwarded) & fwd_xm(c, i, last, forwarded)))
cdef void ands64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands64_(c, i, last, NONE)
cdef void ands64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands64_(c, i, last, RN)
cdef void ands64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands64_(c, i, last, RM)

cdef inline void ands32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, logic_nzcv32(c, <uint32_t>(fwd_xn(c, i, last, forwarded) & fwd_xm(c, i, last, forwarded))))
cdef void ands32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands32_(c, i, last, NONE)
cdef void ands32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands32_(c, i, last, RN)
cdef void ands32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands32_(c, i, last, RM)

cdef void bics64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv64(c, xn(c, i) & ~xm(c, i)))

cdef void bics32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv32(c, <uint32_t>(xn(c, i) & ~xm(c, i))))

cdef inline void tst64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    logic_nzcv64(c, fwd_xn(c, i, last, forwarded) & fwd_xm(c, i, last, forwarded))
    FORWARD(c, i, last)
cdef void tst64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst64_(c, i, last, NONE)
cdef void tst64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst64_(c, i, last, RN)
cdef void tst64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst64_(c, i, last, RM)

cdef inline void tst32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    logic_nzcv32(c, <uint32_t>(fwd_xn(c, i, last, forwarded) & fwd_xm(c, i, last, forwarded)))
    FORWARD(c, i, last)
cdef void tst32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst32_(c, i, last, NONE)
cdef void tst32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst32_(c, i, last, RN)
cdef void tst32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst32_(c, i, last, RM)

# ---- logic on a shifted register --------------------------------------------------------------

cdef inline void and_lsl64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) & (lsl64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void and_lsl64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsl64_(c, i, last, NONE)
cdef void and_lsl64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsl64_(c, i, last, RN)
cdef void and_lsl64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsl64_(c, i, last, RM)

cdef inline void and_lsl32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) & (lsl32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void and_lsl32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsl32_(c, i, last, NONE)
cdef void and_lsl32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsl32_(c, i, last, RN)
cdef void and_lsl32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsl32_(c, i, last, RM)

cdef inline void orr_lsl64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) | (lsl64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void orr_lsl64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsl64_(c, i, last, NONE)
cdef void orr_lsl64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsl64_(c, i, last, RN)
cdef void orr_lsl64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsl64_(c, i, last, RM)

cdef inline void orr_lsl32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) | (lsl32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void orr_lsl32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsl32_(c, i, last, NONE)
cdef void orr_lsl32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsl32_(c, i, last, RN)
cdef void orr_lsl32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsl32_(c, i, last, RM)

cdef inline void eor_lsl64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) ^ (lsl64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void eor_lsl64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsl64_(c, i, last, NONE)
cdef void eor_lsl64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsl64_(c, i, last, RN)
cdef void eor_lsl64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsl64_(c, i, last, RM)

cdef inline void eor_lsl32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) ^ (lsl32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void eor_lsl32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsl32_(c, i, last, NONE)
cdef void eor_lsl32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsl32_(c, i, last, RN)
cdef void eor_lsl32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsl32_(c, i, last, RM)

cdef void ands_lsl64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv64(c, xn(c, i) & (lsl64(c, i) ^ imm(i))))

cdef void ands_lsl32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv32(c, <uint32_t>(xn(c, i) & (lsl32(c, i) ^ imm(i)))))

cdef inline void and_lsr64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) & (lsr64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void and_lsr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsr64_(c, i, last, NONE)
cdef void and_lsr64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsr64_(c, i, last, RN)
cdef void and_lsr64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsr64_(c, i, last, RM)

cdef inline void and_lsr32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) & (lsr32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void and_lsr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsr32_(c, i, last, NONE)
cdef void and_lsr32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsr32_(c, i, last, RN)
cdef void and_lsr32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_lsr32_(c, i, last, RM)

cdef inline void orr_lsr64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) | (lsr64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void orr_lsr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsr64_(c, i, last, NONE)
cdef void orr_lsr64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsr64_(c, i, last, RN)
cdef void orr_lsr64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsr64_(c, i, last, RM)

cdef inline void orr_lsr32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) | (lsr32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void orr_lsr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsr32_(c, i, last, NONE)
cdef void orr_lsr32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsr32_(c, i, last, RN)
cdef void orr_lsr32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_lsr32_(c, i, last, RM)

cdef inline void eor_lsr64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) ^ (lsr64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void eor_lsr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsr64_(c, i, last, NONE)
cdef void eor_lsr64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsr64_(c, i, last, RN)
cdef void eor_lsr64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsr64_(c, i, last, RM)

cdef inline void eor_lsr32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) ^ (lsr32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void eor_lsr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsr32_(c, i, last, NONE)
cdef void eor_lsr32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsr32_(c, i, last, RN)
cdef void eor_lsr32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_lsr32_(c, i, last, RM)

cdef void ands_lsr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv64(c, xn(c, i) & (lsr64(c, i) ^ imm(i))))

cdef void ands_lsr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv32(c, <uint32_t>(xn(c, i) & (lsr32(c, i) ^ imm(i)))))

cdef void and_asr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) & (asr64(c, i) ^ imm(i)))

cdef void and_asr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>(xn(c, i) & (asr32(c, i) ^ imm(i))))

cdef void orr_asr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) | (asr64(c, i) ^ imm(i)))

cdef void orr_asr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>(xn(c, i) | (asr32(c, i) ^ imm(i))))

cdef void eor_asr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, xn(c, i) ^ (asr64(c, i) ^ imm(i)))

cdef void eor_asr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, <uint32_t>(xn(c, i) ^ (asr32(c, i) ^ imm(i))))

cdef void ands_asr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv64(c, xn(c, i) & (asr64(c, i) ^ imm(i))))

cdef void ands_asr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv32(c, <uint32_t>(xn(c, i) & (asr32(c, i) ^ imm(i)))))

cdef inline void and_ror64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) & (ror64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void and_ror64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_ror64_(c, i, last, NONE)
cdef void and_ror64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_ror64_(c, i, last, RN)
cdef void and_ror64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_ror64_(c, i, last, RM)

cdef inline void and_ror32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) & (ror32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void and_ror32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_ror32_(c, i, last, NONE)
cdef void and_ror32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_ror32_(c, i, last, RN)
cdef void and_ror32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_ror32_(c, i, last, RM)

cdef inline void orr_ror64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) | (ror64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void orr_ror64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_ror64_(c, i, last, NONE)
cdef void orr_ror64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_ror64_(c, i, last, RN)
cdef void orr_ror64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_ror64_(c, i, last, RM)

cdef inline void orr_ror32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) | (ror32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void orr_ror32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_ror32_(c, i, last, NONE)
cdef void orr_ror32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_ror32_(c, i, last, RN)
cdef void orr_ror32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_ror32_(c, i, last, RM)

cdef inline void eor_ror64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) ^ (ror64_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i)))
cdef void eor_ror64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_ror64_(c, i, last, NONE)
cdef void eor_ror64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_ror64_(c, i, last, RN)
cdef void eor_ror64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_ror64_(c, i, last, RM)

cdef inline void eor_ror32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) ^ (ror32_of(fwd_xm(c, i, last, forwarded), i) ^ imm(i))))
cdef void eor_ror32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_ror32_(c, i, last, NONE)
cdef void eor_ror32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_ror32_(c, i, last, RN)
cdef void eor_ror32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_ror32_(c, i, last, RM)

cdef void ands_ror64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv64(c, xn(c, i) & (ror64(c, i) ^ imm(i))))

cdef void ands_ror32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, logic_nzcv32(c, <uint32_t>(xn(c, i) & (ror32(c, i) ^ imm(i)))))

cdef Op SHIFTED[4][4][2]  # [AND ORR EOR ANDS][LSL LSR ASR ROR][sf]

cdef int fill_logical(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t sf = raw >> 31
    cdef uint32_t opc = bits(raw, 30, 29)
    cdef uint32_t invert = bits(raw, 21, 21)
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = src(raw >> 16)
    o.aux = bits(raw, 15, 10)
    if o.aux:
        o.f = SHIFTED[opc][bits(raw, 23, 22)][sf]
        o.imm = <uint64_t>0 - invert
    elif opc == 1 and not invert and o.rn == ZR:
        o.f = mov64 if sf else mov32
    elif opc == 3 and not invert and bits(raw, 4, 0) == 31:
        o.f = tst64 if sf else tst32
    return OK

# ---- the table --------------------------------------------------------------------------------

cdef void build_tables() noexcept nogil:
    SHIFTED[0][0][0] = and_lsl32
    SHIFTED[0][0][1] = and_lsl64
    SHIFTED[0][1][0] = and_lsr32
    SHIFTED[0][1][1] = and_lsr64
    SHIFTED[0][2][0] = and_asr32
    SHIFTED[0][2][1] = and_asr64
    SHIFTED[0][3][0] = and_ror32
    SHIFTED[0][3][1] = and_ror64
    SHIFTED[1][0][0] = orr_lsl32
    SHIFTED[1][0][1] = orr_lsl64
    SHIFTED[1][1][0] = orr_lsr32
    SHIFTED[1][1][1] = orr_lsr64
    SHIFTED[1][2][0] = orr_asr32
    SHIFTED[1][2][1] = orr_asr64
    SHIFTED[1][3][0] = orr_ror32
    SHIFTED[1][3][1] = orr_ror64
    SHIFTED[2][0][0] = eor_lsl32
    SHIFTED[2][0][1] = eor_lsl64
    SHIFTED[2][1][0] = eor_lsr32
    SHIFTED[2][1][1] = eor_lsr64
    SHIFTED[2][2][0] = eor_asr32
    SHIFTED[2][2][1] = eor_asr64
    SHIFTED[2][3][0] = eor_ror32
    SHIFTED[2][3][1] = eor_ror64
    SHIFTED[3][0][0] = ands_lsl32
    SHIFTED[3][0][1] = ands_lsl64
    SHIFTED[3][1][0] = ands_lsr32
    SHIFTED[3][1][1] = ands_lsr64
    SHIFTED[3][2][0] = ands_asr32
    SHIFTED[3][2][1] = ands_asr64
    SHIFTED[3][3][0] = ands_ror32
    SHIFTED[3][3][1] = ands_ror64

# ---- what is forwarded on ------------------------------------------------------------------------

cdef int register_forwarding() except -1:
    specialize(FORWARDS_RESULT, mov64, NULL, mov64_m)
    specialize(FORWARDS_RESULT, mov32, NULL, mov32_m)
    specialize(FORWARDS_RESULT, and64, and64_n, and64_m)
    specialize(FORWARDS_RESULT, and32, and32_n, and32_m)
    specialize(FORWARDS_RESULT, bic64, bic64_n, bic64_m)
    specialize(FORWARDS_RESULT, bic32, bic32_n, bic32_m)
    specialize(FORWARDS_RESULT, orr64, orr64_n, orr64_m)
    specialize(FORWARDS_RESULT, orr32, orr32_n, orr32_m)
    forwards(FORWARDS_RESULT, orn64)
    forwards(FORWARDS_RESULT, orn32)
    specialize(FORWARDS_RESULT, eor64, eor64_n, eor64_m)
    specialize(FORWARDS_RESULT, eor32, eor32_n, eor32_m)
    forwards(FORWARDS_RESULT, eon64)
    forwards(FORWARDS_RESULT, eon32)
    specialize(FORWARDS_RESULT, ands64, ands64_n, ands64_m)
    specialize(FORWARDS_RESULT, ands32, ands32_n, ands32_m)
    forwards(FORWARDS_RESULT, bics64)
    forwards(FORWARDS_RESULT, bics32)
    specialize(FORWARDS_SAME, tst64, tst64_n, tst64_m)
    specialize(FORWARDS_SAME, tst32, tst32_n, tst32_m)
    specialize(FORWARDS_RESULT, and_lsl64, and_lsl64_n, and_lsl64_m)
    specialize(FORWARDS_RESULT, and_lsl32, and_lsl32_n, and_lsl32_m)
    specialize(FORWARDS_RESULT, orr_lsl64, orr_lsl64_n, orr_lsl64_m)
    specialize(FORWARDS_RESULT, orr_lsl32, orr_lsl32_n, orr_lsl32_m)
    specialize(FORWARDS_RESULT, eor_lsl64, eor_lsl64_n, eor_lsl64_m)
    specialize(FORWARDS_RESULT, eor_lsl32, eor_lsl32_n, eor_lsl32_m)
    forwards(FORWARDS_RESULT, ands_lsl64)
    forwards(FORWARDS_RESULT, ands_lsl32)
    specialize(FORWARDS_RESULT, and_lsr64, and_lsr64_n, and_lsr64_m)
    specialize(FORWARDS_RESULT, and_lsr32, and_lsr32_n, and_lsr32_m)
    specialize(FORWARDS_RESULT, orr_lsr64, orr_lsr64_n, orr_lsr64_m)
    specialize(FORWARDS_RESULT, orr_lsr32, orr_lsr32_n, orr_lsr32_m)
    specialize(FORWARDS_RESULT, eor_lsr64, eor_lsr64_n, eor_lsr64_m)
    specialize(FORWARDS_RESULT, eor_lsr32, eor_lsr32_n, eor_lsr32_m)
    forwards(FORWARDS_RESULT, ands_lsr64)
    forwards(FORWARDS_RESULT, ands_lsr32)
    forwards(FORWARDS_RESULT, and_asr64)
    forwards(FORWARDS_RESULT, and_asr32)
    forwards(FORWARDS_RESULT, orr_asr64)
    forwards(FORWARDS_RESULT, orr_asr32)
    forwards(FORWARDS_RESULT, eor_asr64)
    forwards(FORWARDS_RESULT, eor_asr32)
    forwards(FORWARDS_RESULT, ands_asr64)
    forwards(FORWARDS_RESULT, ands_asr32)
    specialize(FORWARDS_RESULT, and_ror64, and_ror64_n, and_ror64_m)
    specialize(FORWARDS_RESULT, and_ror32, and_ror32_n, and_ror32_m)
    specialize(FORWARDS_RESULT, orr_ror64, orr_ror64_n, orr_ror64_m)
    specialize(FORWARDS_RESULT, orr_ror32, orr_ror32_n, orr_ror32_m)
    specialize(FORWARDS_RESULT, eor_ror64, eor_ror64_n, eor_ror64_m)
    specialize(FORWARDS_RESULT, eor_ror32, eor_ror32_n, eor_ror32_m)
    forwards(FORWARDS_RESULT, ands_ror64)
    forwards(FORWARDS_RESULT, ands_ror32)
    return 0

cdef int register() except -1:
    register_forwarding()
    build_tables()

    add(b"AND_32_log_shift", b"0 00 01010 ss 0 mmmmm 0aaaaa nnnnn ddddd", fill_logical, and32)
    add(b"BIC_32_log_shift", b"0 00 01010 ss 1 mmmmm 0aaaaa nnnnn ddddd", fill_logical, bic32)
    add(b"ORR_32_log_shift", b"0 01 01010 ss 0 mmmmm 0aaaaa nnnnn ddddd", fill_logical, orr32)
    add(b"ORN_32_log_shift", b"0 01 01010 ss 1 mmmmm 0aaaaa nnnnn ddddd", fill_logical, orn32)
    add(b"EOR_32_log_shift", b"0 10 01010 ss 0 mmmmm 0aaaaa nnnnn ddddd", fill_logical, eor32)
    add(b"EON_32_log_shift", b"0 10 01010 ss 1 mmmmm 0aaaaa nnnnn ddddd", fill_logical, eon32)
    add(b"ANDS_32_log_shift", b"0 11 01010 ss 0 mmmmm 0aaaaa nnnnn ddddd", fill_logical, ands32)
    add(b"BICS_32_log_shift", b"0 11 01010 ss 1 mmmmm 0aaaaa nnnnn ddddd", fill_logical, bics32)

    add(b"AND_64_log_shift", b"1 00 01010 ss 0 mmmmm aaaaaa nnnnn ddddd", fill_logical, and64)
    add(b"BIC_64_log_shift", b"1 00 01010 ss 1 mmmmm aaaaaa nnnnn ddddd", fill_logical, bic64)
    add(b"ORR_64_log_shift", b"1 01 01010 ss 0 mmmmm aaaaaa nnnnn ddddd", fill_logical, orr64)
    add(b"ORN_64_log_shift", b"1 01 01010 ss 1 mmmmm aaaaaa nnnnn ddddd", fill_logical, orn64)
    add(b"EOR_64_log_shift", b"1 10 01010 ss 0 mmmmm aaaaaa nnnnn ddddd", fill_logical, eor64)
    add(b"EON_64_log_shift", b"1 10 01010 ss 1 mmmmm aaaaaa nnnnn ddddd", fill_logical, eon64)
    add(b"ANDS_64_log_shift", b"1 11 01010 ss 0 mmmmm aaaaaa nnnnn ddddd", fill_logical, ands64)
    add(b"BICS_64_log_shift", b"1 11 01010 ss 1 mmmmm aaaaaa nnnnn ddddd", fill_logical, bics64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
