# cython: language_level=3
"""Floating-point data-processing with two and three sources, and FSQRT (C4.1.96).

Single and double precision use the host's arithmetic where it gives the same result and flags.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, OK, UNDEF, unlikely
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.fp.formats cimport DOUBLE, HALF, SINGLE
from guestdbg.cpu.fp.host cimport (
    differs_like_host, has_fma, host_add, host_div, host_mul, host_muladd, host_neg, host_sqrt, host_sub,
    HostValue, is_less, is_muladd, is_product, is_quotient, is_sum,
)
from guestdbg.cpu.instructions.fp.fp_common cimport fm, fn, ha, hm, hn, rows, write_host, write_scalar
from guestdbg.cpu.instructions.fp.fp_slow cimport (
    slow_add, slow_div, slow_max, slow_maxnm, slow_min, slow_minnm, slow_mul, slow_muladd, slow_nmul,
    slow_sqrt, slow_sub,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers

# ---- two sources ------------------------------------------------------------------------------

cdef inline void fmul_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue b = hm(c, i, fmt)
    cdef HostValue r = host_mul(fmt, a, b)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_product(c, fmt, r, a, b)):
        slow_mul(c, i, fmt)
        return
    write_host(c, i, fmt, r)
    NEXT(c, i)
cdef void fmul_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_mul(c, i, HALF)
cdef void fmul_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmul_(c, i, SINGLE)
cdef void fmul_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmul_(c, i, DOUBLE)

cdef inline void fdiv_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue b = hm(c, i, fmt)
    cdef HostValue r = host_div(fmt, a, b)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_quotient(c, fmt, r, a)):
        slow_div(c, i, fmt)
        return
    write_host(c, i, fmt, r)
    NEXT(c, i)
cdef void fdiv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_div(c, i, HALF)
cdef void fdiv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fdiv_(c, i, SINGLE)
cdef void fdiv_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fdiv_(c, i, DOUBLE)

cdef inline void fadd_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue b = hm(c, i, fmt)
    cdef HostValue r = host_add(fmt, a, b)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_sum(c, fmt, r)):
        slow_add(c, i, fmt)
        return
    write_host(c, i, fmt, r)
    NEXT(c, i)
cdef void fadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_add(c, i, HALF)
cdef void fadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fadd_(c, i, SINGLE)
cdef void fadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fadd_(c, i, DOUBLE)

cdef inline void fsub_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue b = hm(c, i, fmt)
    cdef HostValue r = host_sub(fmt, a, b)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_sum(c, fmt, r)):
        slow_sub(c, i, fmt)
        return
    write_host(c, i, fmt, r)
    NEXT(c, i)
cdef void fsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_sub(c, i, HALF)
cdef void fsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsub_(c, i, SINGLE)
cdef void fsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsub_(c, i, DOUBLE)

# The product's sign changes even if it is a NaN.
cdef inline void fnmul_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue b = hm(c, i, fmt)
    cdef HostValue r = host_mul(fmt, a, b)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_product(c, fmt, r, a, b)):
        slow_nmul(c, i, fmt)
        return
    write_host(c, i, fmt, host_neg(fmt, r))
    NEXT(c, i)
cdef void fnmul_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_nmul(c, i, HALF)
cdef void fnmul_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fnmul_(c, i, SINGLE)
cdef void fnmul_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fnmul_(c, i, DOUBLE)

# FMAXNM and FMINNM differ in what they do with NaNs.

cdef inline bint write_extreme(Cpu* c, const Insn* i, int fmt, bint greater) noexcept nogil:
    """Write the greater or the smaller operand. False: the host does not compare these as Arm does."""
    cdef uint64_t a = fn(c, i, fmt)
    cdef uint64_t b = fm(c, i, fmt)
    cdef HostValue x = hn(c, i, fmt)
    cdef HostValue y = hm(c, i, fmt)
    if unlikely(not differs_like_host(c, fmt, x, y)):
        return False
    write_scalar(c, i, b if is_less(fmt, x, y) == greater else a)
    return True

cdef inline void fmax_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if unlikely(not write_extreme(c, i, fmt, True)):
        slow_max(c, i, fmt)
        return
    NEXT(c, i)
cdef void fmax_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_max(c, i, HALF)
cdef void fmax_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmax_(c, i, SINGLE)
cdef void fmax_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmax_(c, i, DOUBLE)

cdef inline void fmin_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if unlikely(not write_extreme(c, i, fmt, False)):
        slow_min(c, i, fmt)
        return
    NEXT(c, i)
cdef void fmin_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_min(c, i, HALF)
cdef void fmin_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmin_(c, i, SINGLE)
cdef void fmin_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmin_(c, i, DOUBLE)

cdef inline void fmaxnm_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if unlikely(not write_extreme(c, i, fmt, True)):
        slow_maxnm(c, i, fmt)
        return
    NEXT(c, i)
cdef void fmaxnm_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_maxnm(c, i, HALF)
cdef void fmaxnm_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmaxnm_(c, i, SINGLE)
cdef void fmaxnm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmaxnm_(c, i, DOUBLE)

cdef inline void fminnm_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if unlikely(not write_extreme(c, i, fmt, False)):
        slow_minnm(c, i, fmt)
        return
    NEXT(c, i)
cdef void fminnm_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_minnm(c, i, HALF)
cdef void fminnm_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fminnm_(c, i, SINGLE)
cdef void fminnm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fminnm_(c, i, DOUBLE)

# ---- FSQRT ------------------------------------------------------------------------------------

cdef inline void fsqrt_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue r = host_sqrt(fmt, a)
    if fp_is_trapped(c, i):
        return
    if unlikely(not is_quotient(c, fmt, r, a)):
        slow_sqrt(c, i, fmt)
        return
    write_host(c, i, fmt, r)
    NEXT(c, i)
cdef void fsqrt_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    slow_sqrt(c, i, HALF)
cdef void fsqrt_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsqrt_(c, i, SINGLE)
cdef void fsqrt_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsqrt_(c, i, DOUBLE)

# ---- three sources ----------------------------------------------------------------------------

# Operands are negated before anything else is done, so the sign of a NaN changes, too.

cdef inline void muladd(Cpu* c, const Insn* i, int fmt, bint negate_a, bint negate_n) noexcept nogil:
    cdef HostValue addend = ha(c, i, fmt)
    cdef HostValue a = hn(c, i, fmt)
    cdef HostValue b = hm(c, i, fmt)
    cdef HostValue r
    if fp_is_trapped(c, i):
        return
    if fmt == HALF or unlikely(not has_fma):
        slow_muladd(c, i, fmt, negate_a, negate_n)
        return
    if negate_a:
        addend = host_neg(fmt, addend)
    if negate_n:
        a = host_neg(fmt, a)
    r = host_muladd(fmt, addend, a, b)
    if unlikely(not is_muladd(c, fmt, r, addend, a, b)):
        slow_muladd(c, i, fmt, negate_a, negate_n)
        return
    write_host(c, i, fmt, r)
    NEXT(c, i)

cdef void fmadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, HALF, False, False)
cdef void fmadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, SINGLE, False, False)
cdef void fmadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, DOUBLE, False, False)

cdef void fmsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, HALF, False, True)
cdef void fmsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, SINGLE, False, True)
cdef void fmsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, DOUBLE, False, True)

cdef void fnmadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, HALF, True, True)
cdef void fnmadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, SINGLE, True, True)
cdef void fnmadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, DOUBLE, True, True)

cdef void fnmsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, HALF, True, False)
cdef void fnmsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, SINGLE, True, False)
cdef void fnmsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, DOUBLE, True, False)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK if has_fp16(c) else UNDEF

cdef int register() except -1:
    rows("FMUL_{}_floatdp2", "00011110 {} 1 mmmmm 0000 10 nnnnn ddddd", fill, fill_half,
         fmul_h, fmul_s, fmul_d)
    rows("FDIV_{}_floatdp2", "00011110 {} 1 mmmmm 0001 10 nnnnn ddddd", fill, fill_half,
         fdiv_h, fdiv_s, fdiv_d)
    rows("FADD_{}_floatdp2", "00011110 {} 1 mmmmm 0010 10 nnnnn ddddd", fill, fill_half,
         fadd_h, fadd_s, fadd_d)
    rows("FSUB_{}_floatdp2", "00011110 {} 1 mmmmm 0011 10 nnnnn ddddd", fill, fill_half,
         fsub_h, fsub_s, fsub_d)
    rows("FMAX_{}_floatdp2", "00011110 {} 1 mmmmm 0100 10 nnnnn ddddd", fill, fill_half,
         fmax_h, fmax_s, fmax_d)
    rows("FMIN_{}_floatdp2", "00011110 {} 1 mmmmm 0101 10 nnnnn ddddd", fill, fill_half,
         fmin_h, fmin_s, fmin_d)
    rows("FMAXNM_{}_floatdp2", "00011110 {} 1 mmmmm 0110 10 nnnnn ddddd", fill, fill_half,
         fmaxnm_h, fmaxnm_s, fmaxnm_d)
    rows("FMINNM_{}_floatdp2", "00011110 {} 1 mmmmm 0111 10 nnnnn ddddd", fill, fill_half,
         fminnm_h, fminnm_s, fminnm_d)
    rows("FNMUL_{}_floatdp2", "00011110 {} 1 mmmmm 1000 10 nnnnn ddddd", fill, fill_half,
         fnmul_h, fnmul_s, fnmul_d)
    rows("FSQRT_{}_floatdp1", "00011110 {} 1 000011 10000 nnnnn ddddd", fill, fill_half,
         fsqrt_h, fsqrt_s, fsqrt_d)
    rows("FMADD_{}_floatdp3", "00011111 {} 0 mmmmm 0 aaaaa nnnnn ddddd", fill, fill_half,
         fmadd_h, fmadd_s, fmadd_d)
    rows("FMSUB_{}_floatdp3", "00011111 {} 0 mmmmm 1 aaaaa nnnnn ddddd", fill, fill_half,
         fmsub_h, fmsub_s, fmsub_d)
    rows("FNMADD_{}_floatdp3", "00011111 {} 1 mmmmm 0 aaaaa nnnnn ddddd", fill, fill_half,
         fnmadd_h, fnmadd_s, fnmadd_d)
    rows("FNMSUB_{}_floatdp3", "00011111 {} 1 mmmmm 1 aaaaa nnnnn ddddd", fill, fill_half,
         fnmsub_h, fnmsub_s, fnmsub_d)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
