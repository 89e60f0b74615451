# cython: language_level=3
"""Floating-point conversion of precision, and rounding to an integral value: FCVT, FRINT* (C4.1.96)."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, Insn, NEXT, OK, UNDEF, unlikely
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.fp.convert cimport fp_round_to_integral
from guestdbg.cpu.fp.formats cimport DOUBLE, HALF, ROUND_FPCR, ROUND_TIEAWAY, SINGLE
from guestdbg.cpu.fp.host cimport (
    is_narrowed, is_normal_or_zero, raw_double_to_single, raw_single_to_double,
)
from guestdbg.cpu.instructions.fp.fp_common cimport fn, ptype, row, rows, write_scalar
from guestdbg.cpu.instructions.fp.fp_slow cimport slow_convert
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers
from guestdbg.cpu.operands cimport aux

# ---- FCVT -------------------------------------------------------------------------------------

cdef void fcvt_ds(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t a = fn(c, i, SINGLE)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_normal_or_zero(SINGLE, a)):
        slow_convert(c, i, SINGLE, DOUBLE)
        return
    write_scalar(c, i, raw_single_to_double(a))
    NEXT(c, i)

cdef void fcvt_sd(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t a = fn(c, i, DOUBLE)
    cdef uint64_t r = raw_double_to_single(a)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_narrowed(c, r, a)):
        slow_convert(c, i, DOUBLE, SINGLE)
        return
    write_scalar(c, i, r)
    NEXT(c, i)

cdef inline void fcvt_half(Cpu* c, const Insn* i, int source, int target) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_convert(c, i, source, target)

cdef void fcvt_hs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvt_half(c, i, SINGLE, HALF)
cdef void fcvt_hd(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvt_half(c, i, DOUBLE, HALF)
cdef void fcvt_sh(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvt_half(c, i, HALF, SINGLE)
cdef void fcvt_dh(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvt_half(c, i, HALF, DOUBLE)

# ---- FRINT* -----------------------------------------------------------------------------------

cdef inline void frint_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    """aux: the rounding, and bit 4 is set for FRINTX."""
    if fp_is_trapped(c, i):
        return
    write_scalar(c, i, fp_round_to_integral(c, fmt, fn(c, i, fmt), aux(i) & 7, (aux(i) >> 4) & 1))
    NEXT(c, i)
cdef void frint_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: frint_(c, i, HALF)
cdef void frint_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: frint_(c, i, SINGLE)
cdef void frint_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: frint_(c, i, DOUBLE)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK

cdef int fill_integral(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """Bits 17..15: 0 to 3 as FPCR.RMode, 4 ties away from zero, 6 exact, 7 what FPCR.RMode says."""
    cdef uint32_t kind = bits(raw, 17, 15)
    set_registers(o, raw)
    o.aux = kind if kind < 4 else ROUND_TIEAWAY if kind == 4 else ROUND_FPCR
    if kind == 6:
        o.aux |= 1 << 4
    return UNDEF if ptype(raw) == HALF and not has_fp16(c) else OK

cdef int register() except -1:
    cdef str letter, opcode
    row("FCVT_DS_floatdp1", "00011110 00 1 000101 10000 nnnnn ddddd", fill, fcvt_ds)
    row("FCVT_HS_floatdp1", "00011110 00 1 000111 10000 nnnnn ddddd", fill, fcvt_hs)
    row("FCVT_SD_floatdp1", "00011110 01 1 000100 10000 nnnnn ddddd", fill, fcvt_sd)
    row("FCVT_HD_floatdp1", "00011110 01 1 000111 10000 nnnnn ddddd", fill, fcvt_hd)
    row("FCVT_SH_floatdp1", "00011110 11 1 000100 10000 nnnnn ddddd", fill, fcvt_sh)
    row("FCVT_DH_floatdp1", "00011110 11 1 000101 10000 nnnnn ddddd", fill, fcvt_dh)
    for letter, opcode in (("N", "000"), ("P", "001"), ("M", "010"), ("Z", "011"), ("A", "100"),
                           ("X", "110"), ("I", "111")):
        rows(f"FRINT{letter}_{{}}_floatdp1", f"00011110 {{}} 1 001{opcode} 10000 nnnnn ddddd",
             fill_integral, fill_integral, frint_h, frint_s, frint_d)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
