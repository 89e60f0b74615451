# cython: language_level=3
"""Floating-point data-processing with two and three sources, and FSQRT (C4.1.96).

Single and double precision use the host's arithmetic where it gives the same result and flags.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, OK, UNDEF
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.fp.arithmetic cimport fp_add, fp_div, fp_mul, fp_muladd, fp_sqrt, fp_sub
from guestdbg.cpu.fp.compare cimport fp_max, fp_maxnm, fp_min, fp_minnm
from guestdbg.cpu.fp.formats cimport DOUBLE, HALF, SINGLE
from guestdbg.cpu.fp.host cimport (
    host_add, host_div, host_max, host_maxnm, host_min, host_minnm, host_mul, host_muladd, host_sqrt, host_sub,
)
from guestdbg.cpu.fp.unpacked cimport sign_bit
from guestdbg.cpu.instructions.fp.fp_common cimport fa, fm, fn, rows, write_scalar
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers

# ---- two sources ------------------------------------------------------------------------------

cdef inline void fmul_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_mul(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_mul(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)
cdef void fmul_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmul_(c, i, HALF)
cdef void fmul_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmul_(c, i, SINGLE)
cdef void fmul_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmul_(c, i, DOUBLE)

cdef inline void fdiv_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_div(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_div(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)
cdef void fdiv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fdiv_(c, i, HALF)
cdef void fdiv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fdiv_(c, i, SINGLE)
cdef void fdiv_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fdiv_(c, i, DOUBLE)

cdef inline void fadd_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_add(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_add(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)
cdef void fadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fadd_(c, i, HALF)
cdef void fadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fadd_(c, i, SINGLE)
cdef void fadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fadd_(c, i, DOUBLE)

cdef inline void fsub_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_sub(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_sub(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)
cdef void fsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsub_(c, i, HALF)
cdef void fsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsub_(c, i, SINGLE)
cdef void fsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsub_(c, i, DOUBLE)

cdef inline void fmax_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_max(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_max(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)
cdef void fmax_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmax_(c, i, HALF)
cdef void fmax_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmax_(c, i, SINGLE)
cdef void fmax_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmax_(c, i, DOUBLE)

cdef inline void fmin_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_min(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_min(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)
cdef void fmin_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmin_(c, i, HALF)
cdef void fmin_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmin_(c, i, SINGLE)
cdef void fmin_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmin_(c, i, DOUBLE)

# A quiet NaN is not the result if the other operand is a number; numbers compare as in FMAX and FMIN.

cdef inline void fmaxnm_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_maxnm(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_maxnm(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)
cdef void fmaxnm_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmaxnm_(c, i, HALF)
cdef void fmaxnm_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmaxnm_(c, i, SINGLE)
cdef void fmaxnm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fmaxnm_(c, i, DOUBLE)

cdef inline void fminnm_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_minnm(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_minnm(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)
cdef void fminnm_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fminnm_(c, i, HALF)
cdef void fminnm_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fminnm_(c, i, SINGLE)
cdef void fminnm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fminnm_(c, i, DOUBLE)

# The product's sign changes even if it is a NaN.

cdef inline void fnmul_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_mul(c, fmt, fn(c, i, fmt), fm(c, i, fmt)) ^ sign_bit(fmt))
    else:
        write_scalar(c, i, host_mul(c, fmt, fn(c, i, fmt), fm(c, i, fmt)) ^ sign_bit(fmt))
    NEXT(c, i)
cdef void fnmul_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fnmul_(c, i, HALF)
cdef void fnmul_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fnmul_(c, i, SINGLE)
cdef void fnmul_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fnmul_(c, i, DOUBLE)

# ---- FSQRT ------------------------------------------------------------------------------------

cdef inline void fsqrt_(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_sqrt(c, fmt, fn(c, i, fmt)))
    else:
        write_scalar(c, i, host_sqrt(c, fmt, fn(c, i, fmt)))
    NEXT(c, i)
cdef void fsqrt_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsqrt_(c, i, HALF)
cdef void fsqrt_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsqrt_(c, i, SINGLE)
cdef void fsqrt_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fsqrt_(c, i, DOUBLE)

# ---- three sources ----------------------------------------------------------------------------

# Operands are negated before anything else is done, so the sign of a NaN changes, too.

cdef inline void muladd(Cpu* c, const Insn* i, int fmt, uint64_t negate_a, uint64_t negate_n) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    if fmt == HALF:
        write_scalar(c, i, fp_muladd(c, fmt, fa(c, i, fmt) ^ negate_a, fn(c, i, fmt) ^ negate_n, fm(c, i, fmt)))
    else:
        write_scalar(c, i, host_muladd(c, fmt, fa(c, i, fmt) ^ negate_a, fn(c, i, fmt) ^ negate_n, fm(c, i, fmt)))
    NEXT(c, i)

cdef void fmadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, HALF, 0, 0)
cdef void fmadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, SINGLE, 0, 0)
cdef void fmadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, DOUBLE, 0, 0)

cdef void fmsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, HALF, 0, sign_bit(HALF))
cdef void fmsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, SINGLE, 0, sign_bit(SINGLE))
cdef void fmsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, DOUBLE, 0, sign_bit(DOUBLE))

cdef void fnmadd_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, HALF, sign_bit(HALF), sign_bit(HALF))
cdef void fnmadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, SINGLE, sign_bit(SINGLE), sign_bit(SINGLE))
cdef void fnmadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, DOUBLE, sign_bit(DOUBLE), sign_bit(DOUBLE))

cdef void fnmsub_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, HALF, sign_bit(HALF), 0)
cdef void fnmsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, SINGLE, sign_bit(SINGLE), 0)
cdef void fnmsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: muladd(c, i, DOUBLE, sign_bit(DOUBLE), 0)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    return OK if has_fp16(c) else UNDEF

cdef int register() except -1:
    rows("FMUL_{}_floatdp2", "00011110 {} 1 mmmmm 0000 10 nnnnn ddddd", fill, fill_half, fmul_h, fmul_s, fmul_d)
    rows("FDIV_{}_floatdp2", "00011110 {} 1 mmmmm 0001 10 nnnnn ddddd", fill, fill_half, fdiv_h, fdiv_s, fdiv_d)
    rows("FADD_{}_floatdp2", "00011110 {} 1 mmmmm 0010 10 nnnnn ddddd", fill, fill_half, fadd_h, fadd_s, fadd_d)
    rows("FSUB_{}_floatdp2", "00011110 {} 1 mmmmm 0011 10 nnnnn ddddd", fill, fill_half, fsub_h, fsub_s, fsub_d)
    rows("FMAX_{}_floatdp2", "00011110 {} 1 mmmmm 0100 10 nnnnn ddddd", fill, fill_half, fmax_h, fmax_s, fmax_d)
    rows("FMIN_{}_floatdp2", "00011110 {} 1 mmmmm 0101 10 nnnnn ddddd", fill, fill_half, fmin_h, fmin_s, fmin_d)
    rows("FMAXNM_{}_floatdp2", "00011110 {} 1 mmmmm 0110 10 nnnnn ddddd", fill, fill_half, fmaxnm_h, fmaxnm_s, fmaxnm_d)
    rows("FMINNM_{}_floatdp2", "00011110 {} 1 mmmmm 0111 10 nnnnn ddddd", fill, fill_half, fminnm_h, fminnm_s, fminnm_d)
    rows("FNMUL_{}_floatdp2", "00011110 {} 1 mmmmm 1000 10 nnnnn ddddd", fill, fill_half, fnmul_h, fnmul_s, fnmul_d)
    rows("FSQRT_{}_floatdp1", "00011110 {} 1 000011 10000 nnnnn ddddd", fill, fill_half, fsqrt_h, fsqrt_s, fsqrt_d)
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
