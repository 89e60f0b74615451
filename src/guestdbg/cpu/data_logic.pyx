# cython: language_level=3
"""Logic on registers, plain and shifted.

A shift by 0 is the plain register form. N variants (BIC, ORN, EON, BICS) with a shift are their
counterparts with the shifted operand inverted by Insn.imm.
"""
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, Insn, Op, NEXT, OK, ZR, add, bits, dst, src
from guestdbg.cpu.data_common cimport (
    asr32, asr64, logic_nzcv32, logic_nzcv64, lsl32, lsl64, lsr32, lsr64, ror32, ror64)

# ---- logic on registers -----------------------------------------------------------------------

cdef void mov64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rm]
    NEXT(c, i)

cdef void mov32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>c.x[i.rm]
    NEXT(c, i)

cdef void and64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] & c.x[i.rm]
    NEXT(c, i)

cdef void and32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] & c.x[i.rm])
    NEXT(c, i)

cdef void bic64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] & ~c.x[i.rm]
    NEXT(c, i)

cdef void bic32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] & ~c.x[i.rm])
    NEXT(c, i)

cdef void orr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] | c.x[i.rm]
    NEXT(c, i)

cdef void orr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] | c.x[i.rm])
    NEXT(c, i)

cdef void orn64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] | ~c.x[i.rm]
    NEXT(c, i)

cdef void orn32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] | ~c.x[i.rm])
    NEXT(c, i)

cdef void eor64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] ^ c.x[i.rm]
    NEXT(c, i)

cdef void eor32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] ^ c.x[i.rm])
    NEXT(c, i)

cdef void eon64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] ^ ~c.x[i.rm]
    NEXT(c, i)

cdef void eon32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] ^ ~c.x[i.rm])
    NEXT(c, i)

cdef void ands64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv64(c, c.x[i.rn] & c.x[i.rm])
    NEXT(c, i)

cdef void ands32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv32(c, <uint32_t>(c.x[i.rn] & c.x[i.rm]))
    NEXT(c, i)

cdef void bics64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv64(c, c.x[i.rn] & ~c.x[i.rm])
    NEXT(c, i)

cdef void bics32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv32(c, <uint32_t>(c.x[i.rn] & ~c.x[i.rm]))
    NEXT(c, i)

cdef void tst64(Cpu* c, const Insn* i) noexcept nogil:
    logic_nzcv64(c, c.x[i.rn] & c.x[i.rm])
    NEXT(c, i)

cdef void tst32(Cpu* c, const Insn* i) noexcept nogil:
    logic_nzcv32(c, <uint32_t>(c.x[i.rn] & c.x[i.rm]))
    NEXT(c, i)

# ---- logic on a shifted register --------------------------------------------------------------

cdef void and_lsl64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] & (lsl64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void and_lsl32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] & (lsl32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void orr_lsl64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] | (lsl64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void orr_lsl32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] | (lsl32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void eor_lsl64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] ^ (lsl64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void eor_lsl32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] ^ (lsl32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void ands_lsl64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv64(c, c.x[i.rn] & (lsl64(c, i) ^ i.imm))
    NEXT(c, i)

cdef void ands_lsl32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv32(c, <uint32_t>(c.x[i.rn] & (lsl32(c, i) ^ i.imm)))
    NEXT(c, i)

cdef void and_lsr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] & (lsr64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void and_lsr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] & (lsr32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void orr_lsr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] | (lsr64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void orr_lsr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] | (lsr32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void eor_lsr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] ^ (lsr64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void eor_lsr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] ^ (lsr32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void ands_lsr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv64(c, c.x[i.rn] & (lsr64(c, i) ^ i.imm))
    NEXT(c, i)

cdef void ands_lsr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv32(c, <uint32_t>(c.x[i.rn] & (lsr32(c, i) ^ i.imm)))
    NEXT(c, i)

cdef void and_asr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] & (asr64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void and_asr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] & (asr32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void orr_asr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] | (asr64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void orr_asr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] | (asr32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void eor_asr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] ^ (asr64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void eor_asr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] ^ (asr32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void ands_asr64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv64(c, c.x[i.rn] & (asr64(c, i) ^ i.imm))
    NEXT(c, i)

cdef void ands_asr32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv32(c, <uint32_t>(c.x[i.rn] & (asr32(c, i) ^ i.imm)))
    NEXT(c, i)

cdef void and_ror64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] & (ror64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void and_ror32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] & (ror32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void orr_ror64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] | (ror64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void orr_ror32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] | (ror32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void eor_ror64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = c.x[i.rn] ^ (ror64(c, i) ^ i.imm)
    NEXT(c, i)

cdef void eor_ror32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = <uint32_t>(c.x[i.rn] ^ (ror32(c, i) ^ i.imm))
    NEXT(c, i)

cdef void ands_ror64(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv64(c, c.x[i.rn] & (ror64(c, i) ^ i.imm))
    NEXT(c, i)

cdef void ands_ror32(Cpu* c, const Insn* i) noexcept nogil:
    c.x[i.rd] = logic_nzcv32(c, <uint32_t>(c.x[i.rn] & (ror32(c, i) ^ i.imm)))
    NEXT(c, i)

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

cdef int register() except -1:
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
