# cython: language_level=3
"""Conversion between floating-point and integer or fixed-point values (C4.1.96).

The common ones have a function each. The others share two, with what differs in aux (fp_slow.pxd).
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, dst, Insn, NEXT, OK, Op, src, UNDEF, unlikely
from guestdbg.cpu.features cimport has_fp16, has_jscvt
from guestdbg.cpu.fp.convert cimport fp_to_js
from guestdbg.cpu.fp.formats cimport (
    DOUBLE, HALF, ROUND_FPCR, ROUND_TIEAWAY, ROUND_ZERO, SINGLE,
)
from guestdbg.cpu.fp.host cimport (
    fits_int, fits_uint, host_from_int, host_from_uint, host_truncate, HostValue, is_from_int, is_from_uint,
)
from guestdbg.cpu.instructions.fp.fp_common cimport element_mask, fn, hn, ptype, row, write_host
from guestdbg.cpu.instructions.fp.fp_slow cimport slow_from_integer, slow_to_integer
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vn
from guestdbg.cpu.operand_forwarding cimport forwards, FORWARDS_NOTHING, FORWARDS_RESULT, specialize, write_xd
from guestdbg.cpu.operands cimport xn

# ---- the common conversions -------------------------------------------------------------------

cdef inline void scvtf_(Cpu* c, const Insn* i, uint64_t x, int fmt, int width) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_from_int(c, fmt, width, x)):
        slow_from_integer(c, i)
        return
    write_host(c, i, fmt, host_from_int(fmt, width, x))
    NEXT(c, i)
cdef void scvtf_s32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: scvtf_(c, i, xn(c, i), SINGLE, 32)
cdef void scvtf_s32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: scvtf_(c, i, last, SINGLE, 32)
cdef void scvtf_s64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: scvtf_(c, i, xn(c, i), SINGLE, 64)
cdef void scvtf_s64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: scvtf_(c, i, last, SINGLE, 64)
cdef void scvtf_d32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: scvtf_(c, i, xn(c, i), DOUBLE, 32)
cdef void scvtf_d32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: scvtf_(c, i, last, DOUBLE, 32)
cdef void scvtf_d64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: scvtf_(c, i, xn(c, i), DOUBLE, 64)
cdef void scvtf_d64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: scvtf_(c, i, last, DOUBLE, 64)

cdef inline void ucvtf_(Cpu* c, const Insn* i, uint64_t x, int fmt, int width) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_from_uint(c, fmt, width, x)):
        slow_from_integer(c, i)
        return
    write_host(c, i, fmt, host_from_uint(fmt, width, x))
    NEXT(c, i)
cdef void ucvtf_s32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ucvtf_(c, i, xn(c, i), SINGLE, 32)
cdef void ucvtf_s32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ucvtf_(c, i, last, SINGLE, 32)
cdef void ucvtf_s64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ucvtf_(c, i, xn(c, i), SINGLE, 64)
cdef void ucvtf_s64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ucvtf_(c, i, last, SINGLE, 64)
cdef void ucvtf_d32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ucvtf_(c, i, xn(c, i), DOUBLE, 32)
cdef void ucvtf_d32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ucvtf_(c, i, last, DOUBLE, 32)
cdef void ucvtf_d64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ucvtf_(c, i, xn(c, i), DOUBLE, 64)
cdef void ucvtf_d64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ucvtf_(c, i, last, DOUBLE, 64)

cdef inline void fcvtzs_(Cpu* c, const Insn* i, int fmt, int width) noexcept nogil:
    cdef uint64_t a = fn(c, i, fmt)
    cdef HostValue x = hn(c, i, fmt)
    if fp_is_trapped(c, i):
        return
    if unlikely(not fits_int(c, fmt, width, a)):
        slow_to_integer(c, i)
        return
    write_xd(c, i, <uint32_t>host_truncate(c, fmt, x) if width == 32 else host_truncate(c, fmt, x))
cdef void fcvtzs_32s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtzs_(c, i, SINGLE, 32)
cdef void fcvtzs_64s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtzs_(c, i, SINGLE, 64)
cdef void fcvtzs_32d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtzs_(c, i, DOUBLE, 32)
cdef void fcvtzs_64d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtzs_(c, i, DOUBLE, 64)

cdef inline void fcvtzu_(Cpu* c, const Insn* i, int fmt, int width) noexcept nogil:
    cdef uint64_t a = fn(c, i, fmt)
    cdef HostValue x = hn(c, i, fmt)
    if fp_is_trapped(c, i):
        return
    if unlikely(not fits_uint(c, fmt, width, a)):
        slow_to_integer(c, i)
        return
    write_xd(c, i, host_truncate(c, fmt, x))
cdef void fcvtzu_32s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtzu_(c, i, SINGLE, 32)
cdef void fcvtzu_64s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtzu_(c, i, SINGLE, 64)
cdef void fcvtzu_32d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtzu_(c, i, DOUBLE, 32)
cdef void fcvtzu_64d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtzu_(c, i, DOUBLE, 64)

# ---- the others -------------------------------------------------------------------------------

cdef void fcvt_to_general(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_to_integer(c, i)

cdef void fcvt_from_general(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_from_integer(c, i)

cdef void fjcvtzs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """The flags say whether it was exact: NZCV is 0100 or 0000."""
    if fp_is_trapped(c, i):
        return
    c.hi = fp_to_js(c, vn(c, i)[0], <bint*>&c.lo)    # not the address of a local: see NEXT
    c.nf = 0
    c.zf = not (<bint*>&c.lo)[0]
    c.cf = 0
    c.vf = 0
    write_xd(c, i, c.hi)

# ---- decode -----------------------------------------------------------------------------------

cdef Op TO_GENERAL[2][2][2]     # [unsigned][sf][double], rounded towards zero
cdef Op FROM_GENERAL[2][2][2]

cdef void build_tables() noexcept nogil:
    TO_GENERAL[0][0][0] = fcvtzs_32s
    FROM_GENERAL[0][0][0] = scvtf_s32
    TO_GENERAL[0][0][1] = fcvtzs_32d
    FROM_GENERAL[0][0][1] = scvtf_d32
    TO_GENERAL[0][1][0] = fcvtzs_64s
    FROM_GENERAL[0][1][0] = scvtf_s64
    TO_GENERAL[0][1][1] = fcvtzs_64d
    FROM_GENERAL[0][1][1] = scvtf_d64
    TO_GENERAL[1][0][0] = fcvtzu_32s
    FROM_GENERAL[1][0][0] = ucvtf_s32
    TO_GENERAL[1][0][1] = fcvtzu_32d
    FROM_GENERAL[1][0][1] = ucvtf_d32
    TO_GENERAL[1][1][0] = fcvtzu_64s
    FROM_GENERAL[1][1][0] = ucvtf_s64
    TO_GENERAL[1][1][1] = fcvtzu_64d
    FROM_GENERAL[1][1][1] = ucvtf_d64

cdef inline int fill_common(Cpu* c, Insn* o, uint32_t raw, int rounding, uint32_t fbits) noexcept nogil:
    cdef int fmt = ptype(raw)
    set_registers(o, raw)
    o.imm = element_mask(fmt)
    o.aux = (fbits | (bits(raw, 16, 16) << 8) | (<uint32_t>rounding << 12) | (<uint32_t>fmt << 16)
             | (raw >> 31 << 20))
    return UNDEF if fmt == HALF and not has_fp16(c) else OK

cdef int fill_to_general(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """Bits 20..19 are the rounding, or bit 18 says to nearest, ties away from zero."""
    cdef int rounding = ROUND_TIEAWAY
    cdef int outcome
    if not raw & (1 << 18):
        rounding = <int>bits(raw, 20, 19)       # 0 to nearest, 1 to +inf, 2 to -inf, 3 to zero: as RMode
    outcome = fill_common(c, o, raw, rounding, 0)
    o.rd = dst(raw)
    if rounding == ROUND_ZERO and ptype(raw) != HALF:
        o.f = TO_GENERAL[bits(raw, 16, 16)][raw >> 31][bits(raw, 22, 22)]
    return outcome

cdef int fill_from_general(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int outcome = fill_common(c, o, raw, ROUND_FPCR, 0)
    o.rn = src(raw >> 5)
    if ptype(raw) != HALF:
        o.f = FROM_GENERAL[bits(raw, 16, 16)][raw >> 31][bits(raw, 22, 22)]
    return outcome

cdef int fill_to_fixed(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int outcome = fill_common(c, o, raw, ROUND_ZERO, 64 - bits(raw, 15, 10))
    o.rd = dst(raw)
    return outcome

cdef int fill_from_fixed(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int outcome = fill_common(c, o, raw, ROUND_FPCR, 64 - bits(raw, 15, 10))
    o.rn = src(raw >> 5)
    return outcome

cdef int fill_js(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.rd = dst(raw)
    return OK if has_jscvt(c) else UNDEF

cdef int register() except -1:
    cdef str letter, kind, sf, width, sign, name, rounding, mode, opcode, scale
    build_tables()
    forwards(FORWARDS_RESULT, fcvtzs_32s)
    forwards(FORWARDS_RESULT, fcvtzs_32d)
    forwards(FORWARDS_RESULT, fcvtzs_64s)
    forwards(FORWARDS_RESULT, fcvtzs_64d)
    forwards(FORWARDS_RESULT, fcvtzu_32s)
    forwards(FORWARDS_RESULT, fcvtzu_32d)
    forwards(FORWARDS_RESULT, fcvtzu_64s)
    forwards(FORWARDS_RESULT, fcvtzu_64d)
    specialize(FORWARDS_NOTHING, scvtf_s32, scvtf_s32_n, NULL)
    specialize(FORWARDS_NOTHING, scvtf_s64, scvtf_s64_n, NULL)
    specialize(FORWARDS_NOTHING, scvtf_d32, scvtf_d32_n, NULL)
    specialize(FORWARDS_NOTHING, scvtf_d64, scvtf_d64_n, NULL)
    specialize(FORWARDS_NOTHING, ucvtf_s32, ucvtf_s32_n, NULL)
    specialize(FORWARDS_NOTHING, ucvtf_s64, ucvtf_s64_n, NULL)
    specialize(FORWARDS_NOTHING, ucvtf_d32, ucvtf_d32_n, NULL)
    specialize(FORWARDS_NOTHING, ucvtf_d64, ucvtf_d64_n, NULL)
    forwards(FORWARDS_RESULT, fcvt_to_general)
    forwards(FORWARDS_RESULT, fjcvtzs)
    for letter, kind in (("H", "11"), ("S", "00"), ("D", "01")):
        for sf, width, scale in (("0", "32", "1ccccc"), ("1", "64", "cccccc")):
            for sign, name in (("0", "S"), ("1", "U")):
                for rounding, mode, opcode in (("N", "00", "00"), ("P", "01", "00"), ("M", "10", "00"),
                                               ("Z", "11", "00"), ("A", "00", "10")):
                    row(f"FCVT{rounding}{name}_{width}{letter}_float2int",
                        f"{sf} 0011110 {kind} 1 {mode} {opcode}{sign} 000000 nnnnn ddddd",
                        fill_to_general, fcvt_to_general)
                row(f"{name}CVTF_{letter}{width}_float2int",
                    f"{sf} 0011110 {kind} 1 00 01{sign} 000000 nnnnn ddddd",
                    fill_from_general, fcvt_from_general)
                row(f"FCVTZ{name}_{width}{letter}_float2fix",
                    f"{sf} 0011110 {kind} 0 11 00{sign} {scale} nnnnn ddddd", fill_to_fixed, fcvt_to_general)
                row(f"{name}CVTF_{letter}{width}_float2fix",
                    f"{sf} 0011110 {kind} 0 00 01{sign} {scale} nnnnn ddddd",
                    fill_from_fixed, fcvt_from_general)
    row("FJCVTZS_32D_float2int", "0 0011110 01 1 11 110 000000 nnnnn ddddd", fill_js, fjcvtzs)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
