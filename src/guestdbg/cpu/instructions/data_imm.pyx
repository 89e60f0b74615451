# cython: language_level=3
"""Data processing with an immediate: addresses, arithmetic, logic, wide moves, bitfields, extract.

Everything that the encoding alone decides is folded at decoding: an address, a rotated bitmask, a
shifted immediate. Several instructions then become one function: ADR, MOVZ and MOVN are the same
constant; SUB is ADD of the negated immediate; UBFX and UBFIZ are two shifts.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport add, bits, Cpu, dst, FORWARD, Insn, NEXT, OK, sbits, spreg, src, UNDEF, ZR
from guestdbg.cpu.operand_forwarding cimport (
    forwards, FORWARDS_RESULT, FORWARDS_SAME, fwd_xm, fwd_xn, NONE, RM, RN, specialize, write_xd,
)
from guestdbg.cpu.instructions.data_common cimport (
    add_nzcv32, add_nzcv64, logic_nzcv32, logic_nzcv64, sub_nzcv32, sub_nzcv64,
)
from guestdbg.cpu.operands cimport aux, imm, plus_imm, sar32, sar64, shl32, shl64, shr32, shr64

# ---- shared by several classes ----------------------------------------------------------------

cdef void const64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, imm(i))

cdef inline void move64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded))
cdef void move64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: move64_(c, i, last, NONE)
cdef void move64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: move64_(c, i, last, RN)

cdef inline void move32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded))
cdef void move32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: move32_(c, i, last, NONE)
cdef void move32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: move32_(c, i, last, RN)

# ---- PC-relative addresses --------------------------------------------------------------------

cdef int fill_adr(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint64_t offset = (<uint64_t>sbits(raw, 23, 5) << 2) | bits(raw, 30, 29)
    o.rd = dst(raw)
    if raw >> 31:
        o.imm = (pc & ~<uint64_t>0xFFF) + (offset << 12)
    else:
        o.imm = pc + offset
    return OK

# ---- add and subtract -------------------------------------------------------------------------

cdef inline void add_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, plus_imm(fwd_xn(c, i, last, forwarded), i))
cdef void add_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_imm64_(c, i, last, NONE)
cdef void add_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_imm64_(c, i, last, RN)

cdef inline void add_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(plus_imm(fwd_xn(c, i, last, forwarded), i)))
cdef void add_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_imm32_(c, i, last, NONE)
cdef void add_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_imm32_(c, i, last, RN)

cdef inline void adds_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, add_nzcv64(c, fwd_xn(c, i, last, forwarded), imm(i)))
cdef void adds_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm64_(c, i, last, NONE)
cdef void adds_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm64_(c, i, last, RN)

cdef inline void adds_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, add_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>imm(i)))
cdef void adds_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm32_(c, i, last, NONE)
cdef void adds_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm32_(c, i, last, RN)

cdef inline void subs_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, sub_nzcv64(c, fwd_xn(c, i, last, forwarded), imm(i)))
cdef void subs_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm64_(c, i, last, NONE)
cdef void subs_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm64_(c, i, last, RN)

cdef inline void subs_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, sub_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>imm(i)))
cdef void subs_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm32_(c, i, last, NONE)
cdef void subs_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm32_(c, i, last, RN)

cdef inline void cmn_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    add_nzcv64(c, fwd_xn(c, i, last, forwarded), imm(i))
    FORWARD(c, i, last)
cdef void cmn_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn_imm64_(c, i, last, NONE)
cdef void cmn_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn_imm64_(c, i, last, RN)

cdef inline void cmn_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    add_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>imm(i))
    FORWARD(c, i, last)
cdef void cmn_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn_imm32_(c, i, last, NONE)
cdef void cmn_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmn_imm32_(c, i, last, RN)

cdef inline void cmp_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    sub_nzcv64(c, fwd_xn(c, i, last, forwarded), imm(i))
    FORWARD(c, i, last)
cdef void cmp_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_(c, i, last, NONE)
cdef void cmp_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_(c, i, last, RN)

cdef inline void cmp_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    sub_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>imm(i))
    FORWARD(c, i, last)
cdef void cmp_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_(c, i, last, NONE)
cdef void cmp_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_(c, i, last, RN)

cdef int fill_add(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """ADD and SUB: rd and rn may be SP."""
    cdef uint64_t imm = <uint64_t>bits(raw, 21, 10) << (12 if bits(raw, 22, 22) else 0)
    o.rd = spreg(raw)
    o.rn = spreg(raw >> 5)
    o.imm = <uint64_t>0 - imm if bits(raw, 30, 30) else imm
    if imm == 0:  # MOV to or from SP
        o.f = move64 if raw >> 31 else move32
    return OK

cdef int fill_adds(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """ADDS and SUBS: rd is never SP, and with XZR they are CMN and CMP."""
    o.rd = dst(raw)
    o.rn = spreg(raw >> 5)
    o.imm = <uint64_t>bits(raw, 21, 10) << (12 if bits(raw, 22, 22) else 0)
    if bits(raw, 4, 0) == 31:
        if bits(raw, 30, 30):
            o.f = cmp_imm64 if raw >> 31 else cmp_imm32
        else:
            o.f = cmn_imm64 if raw >> 31 else cmn_imm32
    return OK

# ---- logical ----------------------------------------------------------------------------------

cdef uint64_t bitmask(uint32_t n, uint32_t imms, uint32_t immr) noexcept nogil:
    """The value of a bitmask immediate; 0: reserved (no bitmask immediate is 0).

    N:NOT(imms) has its highest set bit at log2 of the element's size; the rest of imms counts the
    ones in it less one, immr is how far they are rotated right, and the element repeats.
    """
    cdef uint32_t sizes = (n << 6) | (~imms & 0x3F)
    cdef uint32_t size = 64
    cdef uint32_t ones
    cdef uint32_t turn
    cdef uint64_t value
    if sizes < 2:
        return 0
    while not sizes & size:
        size >>= 1
    ones = (imms & (size - 1)) + 1
    turn = immr & (size - 1)
    if ones == size:
        return 0
    value = (<uint64_t>1 << ones) - 1
    if turn:
        value = (value >> turn) | (value << (size - turn))
    if size < 64:
        value &= (<uint64_t>1 << size) - 1
    while size < 64:
        value |= value << size
        size <<= 1
    return value

cdef inline void and_imm_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    """Both sizes: the 32-bit immediate clears the upper half. UXTB and UXTH too."""
    write_xd(c, i, fwd_xn(c, i, last, forwarded) & imm(i))
cdef void and_imm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_imm_(c, i, last, NONE)
cdef void and_imm_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: and_imm_(c, i, last, RN)

cdef inline void orr_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) | imm(i))
cdef void orr_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_imm64_(c, i, last, NONE)
cdef void orr_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_imm64_(c, i, last, RN)

cdef inline void orr_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) | imm(i)))
cdef void orr_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_imm32_(c, i, last, NONE)
cdef void orr_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: orr_imm32_(c, i, last, RN)

cdef inline void eor_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) ^ imm(i))
cdef void eor_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_imm64_(c, i, last, NONE)
cdef void eor_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_imm64_(c, i, last, RN)

cdef inline void eor_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) ^ imm(i)))
cdef void eor_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_imm32_(c, i, last, NONE)
cdef void eor_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: eor_imm32_(c, i, last, RN)

cdef inline void ands_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, logic_nzcv64(c, fwd_xn(c, i, last, forwarded) & imm(i)))
cdef void ands_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands_imm64_(c, i, last, NONE)
cdef void ands_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands_imm64_(c, i, last, RN)

cdef inline void ands_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, logic_nzcv32(c, <uint32_t>(fwd_xn(c, i, last, forwarded) & imm(i))))
cdef void ands_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands_imm32_(c, i, last, NONE)
cdef void ands_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ands_imm32_(c, i, last, RN)

cdef inline void tst_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    logic_nzcv64(c, fwd_xn(c, i, last, forwarded) & imm(i))
    FORWARD(c, i, last)
cdef void tst_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst_imm64_(c, i, last, NONE)
cdef void tst_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst_imm64_(c, i, last, RN)

cdef inline void tst_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    logic_nzcv32(c, <uint32_t>(fwd_xn(c, i, last, forwarded) & imm(i)))
    FORWARD(c, i, last)
cdef void tst_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst_imm32_(c, i, last, NONE)
cdef void tst_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: tst_imm32_(c, i, last, RN)

cdef int fill_logical(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """AND, ORR, EOR: rd may be SP."""
    cdef uint64_t imm = bitmask(bits(raw, 22, 22), bits(raw, 15, 10), bits(raw, 21, 16))
    if imm == 0:
        return UNDEF
    o.imm = imm if raw >> 31 else <uint32_t>imm
    o.rd = spreg(raw)
    o.rn = src(raw >> 5)
    if bits(raw, 30, 29) == 1 and o.rn == ZR:  # MOV (bitmask immediate)
        o.f = const64
    return OK

cdef int fill_ands(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint64_t imm = bitmask(bits(raw, 22, 22), bits(raw, 15, 10), bits(raw, 21, 16))
    if imm == 0:
        return UNDEF
    o.imm = imm if raw >> 31 else <uint32_t>imm
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    if bits(raw, 4, 0) == 31:
        o.f = tst_imm64 if raw >> 31 else tst_imm32
    return OK

# ---- wide moves -------------------------------------------------------------------------------

cdef inline void movk64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, (fwd_xn(c, i, last, forwarded) & ~(<uint64_t>0xFFFF << aux(i))) | imm(i))
cdef void movk64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: movk64_(c, i, last, NONE)
cdef void movk64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: movk64_(c, i, last, RN)

cdef inline void movk32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, (<uint32_t>fwd_xn(c, i, last, forwarded) & ~(<uint32_t>0xFFFF << aux(i))) | imm(i))
cdef void movk32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: movk32_(c, i, last, NONE)
cdef void movk32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: movk32_(c, i, last, RN)

cdef int fill_movewide(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t shift = 16 * bits(raw, 22, 21)
    cdef uint32_t opc = bits(raw, 30, 29)
    o.imm = <uint64_t>bits(raw, 20, 5) << shift
    o.rd = dst(raw)
    if opc == 0:  # MOVN
        o.imm = ~o.imm if raw >> 31 else <uint32_t>~o.imm
    elif opc == 3:  # MOVK
        o.rn = src(raw)
        o.aux = shift
    return OK

# ---- bitfields --------------------------------------------------------------------------------
# A field of `width` bits goes from bit `lsb` of the source to bit `pos` of the destination, where
# one of lsb and pos is 0. Shifting left until the field is at the top, then right until it is in
# its place, works for the signed and the unsigned kind.

cdef inline void lsl_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, shl64(fwd_xn(c, i, last, forwarded), i))
cdef void lsl_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl_imm64_(c, i, last, NONE)
cdef void lsl_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl_imm64_(c, i, last, RN)

cdef inline void lsl_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, shl32(fwd_xn(c, i, last, forwarded), i))
cdef void lsl_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl_imm32_(c, i, last, NONE)
cdef void lsl_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl_imm32_(c, i, last, RN)

cdef inline void lsr_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, shr64(fwd_xn(c, i, last, forwarded), i))
cdef void lsr_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsr_imm64_(c, i, last, NONE)
cdef void lsr_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsr_imm64_(c, i, last, RN)

cdef inline void lsr_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, shr32(fwd_xn(c, i, last, forwarded), i))
cdef void lsr_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsr_imm32_(c, i, last, NONE)
cdef void lsr_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsr_imm32_(c, i, last, RN)

cdef inline void asr_imm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, sar64(fwd_xn(c, i, last, forwarded), i))
cdef void asr_imm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asr_imm64_(c, i, last, NONE)
cdef void asr_imm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asr_imm64_(c, i, last, RN)

cdef inline void asr_imm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, sar32(fwd_xn(c, i, last, forwarded), i))
cdef void asr_imm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asr_imm32_(c, i, last, NONE)
cdef void asr_imm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asr_imm32_(c, i, last, RN)

cdef inline void sxtb64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint64_t><int64_t><signed char>fwd_xn(c, i, last, forwarded))
cdef void sxtb64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtb64_(c, i, last, NONE)
cdef void sxtb64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtb64_(c, i, last, RN)

cdef inline void sxtb32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t><signed char>fwd_xn(c, i, last, forwarded))
cdef void sxtb32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtb32_(c, i, last, NONE)
cdef void sxtb32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtb32_(c, i, last, RN)

cdef inline void sxth64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint64_t><int64_t><short>fwd_xn(c, i, last, forwarded))
cdef void sxth64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxth64_(c, i, last, NONE)
cdef void sxth64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxth64_(c, i, last, RN)

cdef inline void sxth32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t><short>fwd_xn(c, i, last, forwarded))
cdef void sxth32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxth32_(c, i, last, NONE)
cdef void sxth32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxth32_(c, i, last, RN)

cdef inline void sxtw_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint64_t><int64_t><int32_t>fwd_xn(c, i, last, forwarded))
cdef void sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw_(c, i, last, NONE)
cdef void sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw_(c, i, last, RN)

cdef inline void ubfx_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    """Both sizes. imm: the mask after the shift."""
    write_xd(c, i, shr64(fwd_xn(c, i, last, forwarded), i) & imm(i))
cdef void ubfx(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ubfx_(c, i, last, NONE)
cdef void ubfx_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ubfx_(c, i, last, RN)

cdef inline void ubfiz_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    """Both sizes. imm: the mask after the shift."""
    write_xd(c, i, shl64(fwd_xn(c, i, last, forwarded), i) & imm(i))
cdef void ubfiz(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ubfiz_(c, i, last, NONE)
cdef void ubfiz_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ubfiz_(c, i, last, RN)

cdef inline void sbfm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    """aux: shift left; imm: shift right."""
    write_xd(c, i, <uint64_t>(<int64_t>shl64(fwd_xn(c, i, last, forwarded), i) >> imm(i)))
cdef void sbfm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sbfm64_(c, i, last, NONE)
cdef void sbfm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sbfm64_(c, i, last, RN)

cdef inline void sbfm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(<int32_t>(<uint32_t>fwd_xn(c, i, last, forwarded) << aux(i)) >> imm(i)))
cdef void sbfm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sbfm32_(c, i, last, NONE)
cdef void sbfm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sbfm32_(c, i, last, RN)

cdef inline void bfm64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    """aux: rotation right of the source, rm: the destination as a source, imm: the bits inserted."""
    cdef uint64_t v = fwd_xn(c, i, last, forwarded)
    v = (v >> aux(i)) | (v << (-aux(i) & 63))
    write_xd(c, i, (fwd_xm(c, i, last, forwarded) & ~imm(i)) | (v & imm(i)))
cdef void bfm64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bfm64_(c, i, last, NONE)
cdef void bfm64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bfm64_(c, i, last, RN)
cdef void bfm64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bfm64_(c, i, last, RM)

cdef inline void bfm32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    """The field never wraps, so a rotation of 64 bits will do."""
    cdef uint64_t v = fwd_xn(c, i, last, forwarded)
    v = (v >> aux(i)) | (v << (-aux(i) & 63))
    write_xd(c, i, (<uint32_t>fwd_xm(c, i, last, forwarded) & ~imm(i)) | (v & imm(i)))
cdef void bfm32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bfm32_(c, i, last, NONE)
cdef void bfm32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bfm32_(c, i, last, RN)
cdef void bfm32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: bfm32_(c, i, last, RM)

cdef inline uint64_t ones(uint32_t width) noexcept nogil:
    """width is 1..64."""
    return ~<uint64_t>0 >> (64 - width)

cdef int fill_ubfm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t size = 64 if raw >> 31 else 32
    cdef uint32_t r = bits(raw, 21, 16)
    cdef uint32_t s = bits(raw, 15, 10)
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    if s >= r:
        o.aux = r
        if s == size - 1:  # LSR
            if r == 0:
                o.f = move64 if size == 64 else move32
            else:
                o.f = lsr_imm64 if size == 64 else lsr_imm32
        else:  # UBFX, UXTB, UXTH
            o.imm = ones(s - r + 1)
            o.f = and_imm if r == 0 else ubfx
    else:
        o.aux = size - r
        if s + 1 == r:  # LSL
            o.f = lsl_imm64 if size == 64 else lsl_imm32
        else:  # UBFIZ
            o.imm = ones(s + 1) << (size - r)
            o.f = ubfiz
    return OK

cdef int fill_sbfm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t size = 64 if raw >> 31 else 32
    cdef uint32_t r = bits(raw, 21, 16)
    cdef uint32_t s = bits(raw, 15, 10)
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    if s == size - 1:  # ASR
        o.aux = r
        if r == 0:
            o.f = move64 if size == 64 else move32
        else:
            o.f = asr_imm64 if size == 64 else asr_imm32
    elif r == 0 and s == 7:
        o.f = sxtb64 if size == 64 else sxtb32
    elif r == 0 and s == 15:
        o.f = sxth64 if size == 64 else sxth32
    elif r == 0 and s == 31:  # only the 64-bit one comes here
        o.f = sxtw
    else:
        o.aux = size - 1 - s
        if s >= r:  # SBFX
            o.imm = size - 1 - s + r
        else:  # SBFIZ
            o.imm = r - 1 - s
    return OK

cdef int fill_bfm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t size = 64 if raw >> 31 else 32
    cdef uint32_t r = bits(raw, 21, 16)
    cdef uint32_t s = bits(raw, 15, 10)
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = src(raw)
    if s >= r:  # BFXIL
        o.aux = r
        o.imm = ones(s - r + 1)
    else:  # BFI, BFC
        o.aux = 64 - (size - r)
        o.imm = ones(s + 1) << (size - r)
    return OK

# ---- extract ----------------------------------------------------------------------------------

cdef inline void extr64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    """aux is 1..63."""
    write_xd(c, i, (fwd_xm(c, i, last, forwarded) >> aux(i)) | (fwd_xn(c, i, last, forwarded) << (64 - aux(i))))
cdef void extr64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extr64_(c, i, last, NONE)
cdef void extr64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extr64_(c, i, last, RN)
cdef void extr64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extr64_(c, i, last, RM)

cdef inline void extr32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(((fwd_xn(c, i, last, forwarded) << 32) | <uint32_t>fwd_xm(c, i, last, forwarded)) >> aux(i)))
cdef void extr32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extr32_(c, i, last, NONE)
cdef void extr32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extr32_(c, i, last, RN)
cdef void extr32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: extr32_(c, i, last, RM)

cdef int fill_extr(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = src(raw >> 16)
    o.aux = bits(raw, 15, 10)
    if o.aux == 0:
        o.rn = o.rm
        o.f = move64 if raw >> 31 else move32
    return OK

# ---- the table --------------------------------------------------------------------------------

# ---- what is forwarded on ------------------------------------------------------------------------

cdef int register_forwarding() except -1:
    forwards(FORWARDS_RESULT, const64)
    specialize(FORWARDS_RESULT, move64, move64_n, NULL)
    specialize(FORWARDS_RESULT, move32, move32_n, NULL)
    specialize(FORWARDS_RESULT, add_imm64, add_imm64_n, NULL)
    specialize(FORWARDS_RESULT, add_imm32, add_imm32_n, NULL)
    specialize(FORWARDS_RESULT, adds_imm64, adds_imm64_n, NULL)
    specialize(FORWARDS_RESULT, adds_imm32, adds_imm32_n, NULL)
    specialize(FORWARDS_RESULT, subs_imm64, subs_imm64_n, NULL)
    specialize(FORWARDS_RESULT, subs_imm32, subs_imm32_n, NULL)
    specialize(FORWARDS_SAME, cmn_imm64, cmn_imm64_n, NULL)
    specialize(FORWARDS_SAME, cmn_imm32, cmn_imm32_n, NULL)
    specialize(FORWARDS_SAME, cmp_imm64, cmp_imm64_n, NULL)
    specialize(FORWARDS_SAME, cmp_imm32, cmp_imm32_n, NULL)
    specialize(FORWARDS_RESULT, and_imm, and_imm_n, NULL)
    specialize(FORWARDS_RESULT, orr_imm64, orr_imm64_n, NULL)
    specialize(FORWARDS_RESULT, orr_imm32, orr_imm32_n, NULL)
    specialize(FORWARDS_RESULT, eor_imm64, eor_imm64_n, NULL)
    specialize(FORWARDS_RESULT, eor_imm32, eor_imm32_n, NULL)
    specialize(FORWARDS_RESULT, ands_imm64, ands_imm64_n, NULL)
    specialize(FORWARDS_RESULT, ands_imm32, ands_imm32_n, NULL)
    specialize(FORWARDS_SAME, tst_imm64, tst_imm64_n, NULL)
    specialize(FORWARDS_SAME, tst_imm32, tst_imm32_n, NULL)
    specialize(FORWARDS_RESULT, movk64, movk64_n, NULL)
    specialize(FORWARDS_RESULT, movk32, movk32_n, NULL)
    specialize(FORWARDS_RESULT, lsl_imm64, lsl_imm64_n, NULL)
    specialize(FORWARDS_RESULT, lsl_imm32, lsl_imm32_n, NULL)
    specialize(FORWARDS_RESULT, lsr_imm64, lsr_imm64_n, NULL)
    specialize(FORWARDS_RESULT, lsr_imm32, lsr_imm32_n, NULL)
    specialize(FORWARDS_RESULT, asr_imm64, asr_imm64_n, NULL)
    specialize(FORWARDS_RESULT, asr_imm32, asr_imm32_n, NULL)
    specialize(FORWARDS_RESULT, sxtb64, sxtb64_n, NULL)
    specialize(FORWARDS_RESULT, sxtb32, sxtb32_n, NULL)
    specialize(FORWARDS_RESULT, sxth64, sxth64_n, NULL)
    specialize(FORWARDS_RESULT, sxth32, sxth32_n, NULL)
    specialize(FORWARDS_RESULT, sxtw, sxtw_n, NULL)
    specialize(FORWARDS_RESULT, ubfx, ubfx_n, NULL)
    specialize(FORWARDS_RESULT, ubfiz, ubfiz_n, NULL)
    specialize(FORWARDS_RESULT, sbfm64, sbfm64_n, NULL)
    specialize(FORWARDS_RESULT, sbfm32, sbfm32_n, NULL)
    specialize(FORWARDS_RESULT, bfm64, bfm64_n, bfm64_m)
    specialize(FORWARDS_RESULT, bfm32, bfm32_n, bfm32_m)
    specialize(FORWARDS_RESULT, extr64, extr64_n, extr64_m)
    specialize(FORWARDS_RESULT, extr32, extr32_n, extr32_m)
    return 0

cdef int register() except -1:
    register_forwarding()
    add(b"ADR_only_pcreladdr", b"0ii 10000 iiiiiiiiiiiiiiiiiii ddddd", fill_adr, const64)
    add(b"ADRP_only_pcreladdr", b"1ii 10000 iiiiiiiiiiiiiiiiiii ddddd", fill_adr, const64)

    add(b"ADD_32_addsub_imm", b"0 0 0 100010 s iiiiiiiiiiii nnnnn ddddd", fill_add, add_imm32)
    add(b"ADDS_32S_addsub_imm", b"0 0 1 100010 s iiiiiiiiiiii nnnnn ddddd", fill_adds, adds_imm32)
    add(b"SUB_32_addsub_imm", b"0 1 0 100010 s iiiiiiiiiiii nnnnn ddddd", fill_add, add_imm32)
    add(b"SUBS_32S_addsub_imm", b"0 1 1 100010 s iiiiiiiiiiii nnnnn ddddd", fill_adds, subs_imm32)
    add(b"ADD_64_addsub_imm", b"1 0 0 100010 s iiiiiiiiiiii nnnnn ddddd", fill_add, add_imm64)
    add(b"ADDS_64S_addsub_imm", b"1 0 1 100010 s iiiiiiiiiiii nnnnn ddddd", fill_adds, adds_imm64)
    add(b"SUB_64_addsub_imm", b"1 1 0 100010 s iiiiiiiiiiii nnnnn ddddd", fill_add, add_imm64)
    add(b"SUBS_64S_addsub_imm", b"1 1 1 100010 s iiiiiiiiiiii nnnnn ddddd", fill_adds, subs_imm64)

    add(b"AND_32_log_imm", b"0 00 100100 0 rrrrrr ssssss nnnnn ddddd", fill_logical, and_imm)
    add(b"ORR_32_log_imm", b"0 01 100100 0 rrrrrr ssssss nnnnn ddddd", fill_logical, orr_imm32)
    add(b"EOR_32_log_imm", b"0 10 100100 0 rrrrrr ssssss nnnnn ddddd", fill_logical, eor_imm32)
    add(b"ANDS_32S_log_imm", b"0 11 100100 0 rrrrrr ssssss nnnnn ddddd", fill_ands, ands_imm32)
    add(b"AND_64_log_imm", b"1 00 100100 N rrrrrr ssssss nnnnn ddddd", fill_logical, and_imm)
    add(b"ORR_64_log_imm", b"1 01 100100 N rrrrrr ssssss nnnnn ddddd", fill_logical, orr_imm64)
    add(b"EOR_64_log_imm", b"1 10 100100 N rrrrrr ssssss nnnnn ddddd", fill_logical, eor_imm64)
    add(b"ANDS_64S_log_imm", b"1 11 100100 N rrrrrr ssssss nnnnn ddddd", fill_ands, ands_imm64)

    add(b"MOVN_32_movewide", b"0 00 100101 0h iiiiiiiiiiiiiiii ddddd", fill_movewide, const64)
    add(b"MOVZ_32_movewide", b"0 10 100101 0h iiiiiiiiiiiiiiii ddddd", fill_movewide, const64)
    add(b"MOVK_32_movewide", b"0 11 100101 0h iiiiiiiiiiiiiiii ddddd", fill_movewide, movk32)
    add(b"MOVN_64_movewide", b"1 00 100101 hh iiiiiiiiiiiiiiii ddddd", fill_movewide, const64)
    add(b"MOVZ_64_movewide", b"1 10 100101 hh iiiiiiiiiiiiiiii ddddd", fill_movewide, const64)
    add(b"MOVK_64_movewide", b"1 11 100101 hh iiiiiiiiiiiiiiii ddddd", fill_movewide, movk64)

    add(b"SBFM_32M_bitfield", b"0 00 100110 0 0rrrrr 0sssss nnnnn ddddd", fill_sbfm, sbfm32)
    add(b"BFM_32M_bitfield", b"0 01 100110 0 0rrrrr 0sssss nnnnn ddddd", fill_bfm, bfm32)
    add(b"UBFM_32M_bitfield", b"0 10 100110 0 0rrrrr 0sssss nnnnn ddddd", fill_ubfm, ubfx)
    add(b"SBFM_64M_bitfield", b"1 00 100110 1 rrrrrr ssssss nnnnn ddddd", fill_sbfm, sbfm64)
    add(b"BFM_64M_bitfield", b"1 01 100110 1 rrrrrr ssssss nnnnn ddddd", fill_bfm, bfm64)
    add(b"UBFM_64M_bitfield", b"1 10 100110 1 rrrrrr ssssss nnnnn ddddd", fill_ubfm, ubfx)

    add(b"EXTR_32_extract", b"0 00 100111 0 0 mmmmm 0sssss nnnnn ddddd", fill_extr, extr32)
    add(b"EXTR_64_extract", b"1 00 100111 1 0 mmmmm ssssss nnnnn ddddd", fill_extr, extr64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
