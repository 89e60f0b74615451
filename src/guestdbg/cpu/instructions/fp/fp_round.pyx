# cython: language_level=3
"""Floating-point conversion of precision, and rounding to an integral value: FCVT, FRINT* (C4.1.96)."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, OK, UNDEF, unlikely
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.fp.formats cimport (
    DOUBLE, FPSR_IXC, HALF, ROUND_FPCR, ROUND_NEGINF, ROUND_POSINF, ROUND_TIEAWAY, ROUND_TIEEVEN, ROUND_ZERO,
    SINGLE,
)
from guestdbg.cpu.fp.host cimport (
    has_fraction_bits, host_integral, host_narrow, host_widen, HostValue, is_narrowed, is_widened,
)
from guestdbg.cpu.fp.rounding cimport rounding_of
from guestdbg.cpu.instructions.fp.fp_common cimport fn, hn, row, rows, write_host, write_scalar
from guestdbg.cpu.instructions.fp.fp_slow cimport slow_convert, slow_round
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers

# ---- FCVT -------------------------------------------------------------------------------------

cdef void fcvt_ds(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef HostValue a = hn(c, i, SINGLE)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_widened(a)):
        slow_convert(c, i, SINGLE, DOUBLE)
        return
    write_host(c, i, DOUBLE, host_widen(a))
    NEXT(c, i)

cdef void fcvt_sd(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef HostValue a = hn(c, i, DOUBLE)
    cdef HostValue r = host_narrow(a)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_narrowed(c, r, a)):
        slow_convert(c, i, DOUBLE, SINGLE)
        return
    write_host(c, i, SINGLE, r)
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

cdef inline void frint(Cpu* c, const Insn* i, int fmt, int rounding, bint exact) noexcept nogil:
    """exact: an inexact result sets FPSR.IXC. ROUND_FPCR is left to the host where it is to nearest."""
    cdef uint64_t a = fn(c, i, fmt)
    cdef uint64_t r
    if fp_is_trapped(c, i):
        return
    if fmt == HALF or not has_fraction_bits(c, fmt, a) or (
            rounding == ROUND_FPCR and rounding_of(c, rounding) != ROUND_TIEEVEN):
        slow_round(c, i, fmt, rounding, exact)
        return
    r = host_integral(fmt, a, ROUND_TIEEVEN if rounding == ROUND_FPCR else rounding)
    if exact and r != a:
        c.fpsr |= FPSR_IXC
    write_scalar(c, i, r)
    NEXT(c, i)

cdef void frintn_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, HALF, ROUND_TIEEVEN, False)

cdef void frintn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, SINGLE, ROUND_TIEEVEN, False)

cdef void frintn_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, DOUBLE, ROUND_TIEEVEN, False)

cdef void frintp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, HALF, ROUND_POSINF, False)

cdef void frintp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, SINGLE, ROUND_POSINF, False)

cdef void frintp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, DOUBLE, ROUND_POSINF, False)

cdef void frintm_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, HALF, ROUND_NEGINF, False)

cdef void frintm_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, SINGLE, ROUND_NEGINF, False)

cdef void frintm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, DOUBLE, ROUND_NEGINF, False)

cdef void frintz_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, HALF, ROUND_ZERO, False)

cdef void frintz_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, SINGLE, ROUND_ZERO, False)

cdef void frintz_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, DOUBLE, ROUND_ZERO, False)

cdef void frinta_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, HALF, ROUND_TIEAWAY, False)

cdef void frinta_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, SINGLE, ROUND_TIEAWAY, False)

cdef void frinta_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, DOUBLE, ROUND_TIEAWAY, False)

cdef void frintx_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, HALF, ROUND_FPCR, True)

cdef void frintx_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, SINGLE, ROUND_FPCR, True)

cdef void frintx_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, DOUBLE, ROUND_FPCR, True)

cdef void frinti_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, HALF, ROUND_FPCR, False)

cdef void frinti_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, SINGLE, ROUND_FPCR, False)

cdef void frinti_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    frint(c, i, DOUBLE, ROUND_FPCR, False)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK if has_fp16(c) else UNDEF

cdef int register() except -1:
    row("FCVT_DS_floatdp1", "00011110 00 1 000101 10000 nnnnn ddddd", fill, fcvt_ds)
    row("FCVT_HS_floatdp1", "00011110 00 1 000111 10000 nnnnn ddddd", fill, fcvt_hs)
    row("FCVT_SD_floatdp1", "00011110 01 1 000100 10000 nnnnn ddddd", fill, fcvt_sd)
    row("FCVT_HD_floatdp1", "00011110 01 1 000111 10000 nnnnn ddddd", fill, fcvt_hd)
    row("FCVT_SH_floatdp1", "00011110 11 1 000100 10000 nnnnn ddddd", fill, fcvt_sh)
    row("FCVT_DH_floatdp1", "00011110 11 1 000101 10000 nnnnn ddddd", fill, fcvt_dh)
    rows("FRINTN_{}_floatdp1", "00011110 {} 1 001000 10000 nnnnn ddddd", fill, fill_half,
         frintn_h, frintn_s, frintn_d)
    rows("FRINTP_{}_floatdp1", "00011110 {} 1 001001 10000 nnnnn ddddd", fill, fill_half,
         frintp_h, frintp_s, frintp_d)
    rows("FRINTM_{}_floatdp1", "00011110 {} 1 001010 10000 nnnnn ddddd", fill, fill_half,
         frintm_h, frintm_s, frintm_d)
    rows("FRINTZ_{}_floatdp1", "00011110 {} 1 001011 10000 nnnnn ddddd", fill, fill_half,
         frintz_h, frintz_s, frintz_d)
    rows("FRINTA_{}_floatdp1", "00011110 {} 1 001100 10000 nnnnn ddddd", fill, fill_half,
         frinta_h, frinta_s, frinta_d)
    rows("FRINTX_{}_floatdp1", "00011110 {} 1 001110 10000 nnnnn ddddd", fill, fill_half,
         frintx_h, frintx_s, frintx_d)
    rows("FRINTI_{}_floatdp1", "00011110 {} 1 001111 10000 nnnnn ddddd", fill, fill_half,
         frinti_h, frinti_s, frinti_d)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
