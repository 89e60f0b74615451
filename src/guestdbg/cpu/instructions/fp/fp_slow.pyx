# cython: language_level=3
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, set_nzcv
from guestdbg.cpu.fp.arithmetic cimport fp_add, fp_div, fp_mul, fp_muladd, fp_sqrt, fp_sub
from guestdbg.cpu.fp.compare cimport fp_compare, fp_max, fp_maxnm, fp_min, fp_minnm
from guestdbg.cpu.fp.convert cimport fixed_to_fp, fp_round_to_integral, fp_to_fixed, fp_to_fp
from guestdbg.cpu.fp.formats cimport ROUND_FPCR
from guestdbg.cpu.fp.unpacked cimport sign_bit
from guestdbg.cpu.instructions.fp.fp_common cimport fa, fm, fn, write_scalar
from guestdbg.cpu.instructions.simd.simd_common cimport vn
from guestdbg.cpu.operand_forwarding cimport write_xd
from guestdbg.cpu.operands cimport aux, imm, xn

# ---- arithmetic -------------------------------------------------------------------------------

cdef void slow_add(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_add(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_sub(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_sub(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_mul(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_mul(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_div(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_div(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_max(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_max(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_min(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_min(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_maxnm(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_maxnm(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_minnm(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_minnm(c, fmt, fn(c, i, fmt), fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_nmul(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_mul(c, fmt, fn(c, i, fmt), fm(c, i, fmt)) ^ sign_bit(fmt))
    NEXT(c, i)

cdef void slow_sqrt(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    write_scalar(c, i, fp_sqrt(c, fmt, fn(c, i, fmt)))
    NEXT(c, i)

cdef void slow_muladd(Cpu* c, const Insn* i, int fmt, bint negate_a, bint negate_n) noexcept nogil:
    cdef uint64_t addend = fa(c, i, fmt) ^ (sign_bit(fmt) if negate_a else 0)
    cdef uint64_t a = fn(c, i, fmt) ^ (sign_bit(fmt) if negate_n else 0)
    write_scalar(c, i, fp_muladd(c, fmt, addend, a, fm(c, i, fmt)))
    NEXT(c, i)

cdef void slow_compare(Cpu* c, const Insn* i, int fmt, bint with_zero, bint signal_all) noexcept nogil:
    set_nzcv(c, fp_compare(c, fmt, fn(c, i, fmt), 0 if with_zero else fm(c, i, fmt), signal_all))
    NEXT(c, i)

# ---- conversion -------------------------------------------------------------------------------

cdef void slow_convert(Cpu* c, const Insn* i, int source, int target) noexcept nogil:
    write_scalar(c, i, fp_to_fp(c, source, target, fn(c, i, source)))
    NEXT(c, i)

cdef void slow_round(Cpu* c, const Insn* i, int fmt, int rounding, bint exact) noexcept nogil:
    write_scalar(c, i, fp_round_to_integral(c, fmt, fn(c, i, fmt), rounding, exact))
    NEXT(c, i)

cdef inline int format_of(const Insn* i) noexcept nogil:
    return <int>(aux(i) >> 16) & 3

cdef inline int width_of(const Insn* i) noexcept nogil:
    return 64 if aux(i) & (1 << 20) else 32

cdef inline bint is_unsigned(const Insn* i) noexcept nogil:
    return (aux(i) >> 8) & 1

cdef void slow_to_integer(Cpu* c, const Insn* i) noexcept nogil:
    write_xd(c, i, fp_to_fixed(c, format_of(i), vn(c, i)[0] & imm(i), width_of(i), aux(i) & 0xFF,
                               is_unsigned(i), <int>(aux(i) >> 12) & 7))

cdef void slow_from_integer(Cpu* c, const Insn* i) noexcept nogil:
    write_scalar(c, i, fixed_to_fp(c, format_of(i), xn(c, i), width_of(i), aux(i) & 0xFF,
                                   is_unsigned(i), ROUND_FPCR))
    NEXT(c, i)
