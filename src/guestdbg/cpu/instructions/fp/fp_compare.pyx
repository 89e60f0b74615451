# cython: language_level=3
"""Floating-point compare and conditional compare (C4.1.96)."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, Insn, NEXT, OK, set_nzcv, UNDEF, unlikely
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.fp.formats cimport DOUBLE, HALF, SINGLE
from guestdbg.cpu.fp.host cimport compares_like_host, host_value, HostValue, is_less
from guestdbg.cpu.instructions.condition_codes cimport failed, truth
from guestdbg.cpu.instructions.fp.fp_common cimport hm, hn, rows
from guestdbg.cpu.instructions.fp.fp_slow cimport slow_compare
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers
from guestdbg.cpu.operands cimport aux

cdef inline void write_ordered(Cpu* c, int fmt, HostValue a, HostValue b) noexcept nogil:
    """NZCV of a comparison of numbers: 1000 less, 0110 equal, 0010 greater."""
    cdef uint64_t less = is_less(fmt, a, b)
    cdef uint64_t greater = is_less(fmt, b, a)
    c.nf = less << 63
    c.zf = less | greater
    c.cf = less ^ 1
    c.vf = 0

# ---- FCMP, FCMPE ------------------------------------------------------------------------------

cdef inline void compare(Cpu* c, const Insn* i, int fmt, bint with_zero, bint signal_all) noexcept nogil:
    cdef uint64_t zero = 0
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue b = host_value(fmt, &zero) if with_zero else hm(c, i, fmt)
    if fp_is_trapped(c, i):
        return
    if fmt == HALF or unlikely(not compares_like_host(c, fmt, a, b)):
        slow_compare(c, i, fmt, with_zero, signal_all)
        return
    write_ordered(c, fmt, a, b)
    NEXT(c, i)

cdef void fcmp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, HALF, False, False)
cdef void fcmp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, SINGLE, False, False)
cdef void fcmp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, DOUBLE, False, False)

cdef void fcmp_zero_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, HALF, True, False)
cdef void fcmp_zero_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, SINGLE, True, False)
cdef void fcmp_zero_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, DOUBLE, True, False)

cdef void fcmpe_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, HALF, False, True)
cdef void fcmpe_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, SINGLE, False, True)
cdef void fcmpe_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, DOUBLE, False, True)

cdef void fcmpe_zero_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, HALF, True, True)
cdef void fcmpe_zero_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, SINGLE, True, True)
cdef void fcmpe_zero_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, DOUBLE, True, True)

# ---- FCCMP, FCCMPE ----------------------------------------------------------------------------

# aux: the condition's truth table, and above it the NZCV for when it fails. Then nothing is compared,
# and no exception is raised.

cdef inline void conditional(Cpu* c, const Insn* i, int fmt, bint signal_all) noexcept nogil:
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue b = hm(c, i, fmt)
    if fp_is_trapped(c, i):
        return
    if failed(c, i):
        set_nzcv(c, (aux(i) >> 16) << 28)
    elif fmt == HALF or unlikely(not compares_like_host(c, fmt, a, b)):
        slow_compare(c, i, fmt, False, signal_all)
        return
    else:
        write_ordered(c, fmt, a, b)
    NEXT(c, i)

cdef void fccmp_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: conditional(c, i, HALF, False)
cdef void fccmp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: conditional(c, i, SINGLE, False)
cdef void fccmp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: conditional(c, i, DOUBLE, False)
cdef void fccmpe_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: conditional(c, i, HALF, True)
cdef void fccmpe_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: conditional(c, i, SINGLE, True)
cdef void fccmpe_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: conditional(c, i, DOUBLE, True)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK if has_fp16(c) else UNDEF

cdef int fill_conditional(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.aux = truth(bits(raw, 15, 12)) | (bits(raw, 3, 0) << 16)
    return OK

cdef int fill_conditional_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    fill_conditional(c, o, raw, pc)
    return OK if has_fp16(c) else UNDEF

cdef int register() except -1:
    rows("FCMP_{}_floatcmp", "00011110 {} 1 mmmmm 001000 nnnnn 00000", fill, fill_half,
         fcmp_h, fcmp_s, fcmp_d)
    rows("FCMP_{}Z_floatcmp", "00011110 {} 1 mmmmm 001000 nnnnn 01000", fill, fill_half,
         fcmp_zero_h, fcmp_zero_s, fcmp_zero_d)
    rows("FCMPE_{}_floatcmp", "00011110 {} 1 mmmmm 001000 nnnnn 10000", fill, fill_half,
         fcmpe_h, fcmpe_s, fcmpe_d)
    rows("FCMPE_{}Z_floatcmp", "00011110 {} 1 mmmmm 001000 nnnnn 11000", fill, fill_half,
         fcmpe_zero_h, fcmpe_zero_s, fcmpe_zero_d)
    rows("FCCMP_{}_floatccmp", "00011110 {} 1 mmmmm cccc 01 nnnnn 0 ffff", fill_conditional,
         fill_conditional_half, fccmp_h, fccmp_s, fccmp_d)
    rows("FCCMPE_{}_floatccmp", "00011110 {} 1 mmmmm cccc 01 nnnnn 1 ffff", fill_conditional,
         fill_conditional_half, fccmpe_h, fccmpe_s, fccmpe_d)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
