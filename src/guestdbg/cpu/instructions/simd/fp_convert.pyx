# cython: language_level=3
"""Conversions in vectors and scalars: integers and fixed point, FCVTN, FCVTXN, FCVTL.

Fixed point is encoded among the shifts by an immediate, where immh says the format and
immh:immb how many fraction bits there are.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, Insn, NEXT, OK, Op
from guestdbg.cpu.fp.formats cimport (
    DOUBLE, HALF, ROUND_NEGINF, ROUND_POSINF, ROUND_TIEAWAY, ROUND_TIEEVEN, ROUND_ZERO, SINGLE,
)
from guestdbg.cpu.fp.host cimport (
    fits_int, fits_uint, host_from_int, host_from_uint, host_truncate, host_value, is_from_int,
    is_from_uint, store_host_value,
)
from guestdbg.cpu.instructions.simd.fp_each cimport (
    each_from_fixed, each_lengthened, each_narrowed, each_to_fixed,
)
from guestdbg.cpu.instructions.simd.fp_lanes_convert cimport (
    from_integers_d, from_integers_s, lengthen_s, narrow_d, to_integers_d, to_integers_s,
)
from guestdbg.cpu.instructions.simd.fp_shape cimport (
    FBITS, FLAG, flag_of, get_element, ROUNDING, row, set_shape, set_shape_half, set_shape_sd,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vd, vn, write_vd
from guestdbg.cpu.operands cimport vd, vn

cdef void to_fixed(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_to_fixed(c, i)
    NEXT(c, i)

cdef void from_fixed(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_from_fixed(c, i)
    NEXT(c, i)

cdef inline void fcvtz(Cpu* c, const Insn* i, bint is_unsigned, bint is_double) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (to_integers_d(c, i, is_unsigned) if is_double else to_integers_s(c, i, is_unsigned)):
        each_to_fixed(c, i)
    NEXT(c, i)

cdef inline void cvtf(Cpu* c, const Insn* i, bint is_unsigned, bint is_double) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (from_integers_d(c, i, is_unsigned) if is_double else from_integers_s(c, i, is_unsigned)):
        each_from_fixed(c, i)
    NEXT(c, i)

cdef void fcvtzs_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtz(c, i, False, False)
cdef void fcvtzs_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtz(c, i, False, True)
cdef void fcvtzu_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtz(c, i, True, False)
cdef void fcvtzu_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtz(c, i, True, True)
cdef void scvtf_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cvtf(c, i, False, False)
cdef void scvtf_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cvtf(c, i, False, True)
cdef void ucvtf_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cvtf(c, i, True, False)
cdef void ucvtf_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cvtf(c, i, True, True)

# ---- scalars ----------------------------------------------------------------------------------

cdef inline void fcvtz_scalar(Cpu* c, const Insn* i, bint is_unsigned, int fmt) noexcept nogil:
    cdef int width = 8 << fmt
    cdef uint64_t a, r
    if fp_is_trapped(c, i): return
    a = get_element(vn(c, i), 0, fmt)
    if fits_uint(c, fmt, width, a) if is_unsigned else fits_int(c, fmt, width, a):
        r = host_truncate(c, fmt, host_value(fmt, vn(c, i)))
        write_vd(c, i, <uint32_t>r if fmt == SINGLE else r, 0)
    else:
        each_to_fixed(c, i)
    NEXT(c, i)

cdef inline void cvtf_scalar(Cpu* c, const Insn* i, bint is_unsigned, int fmt) noexcept nogil:
    cdef int width = 8 << fmt
    cdef uint64_t a
    if fp_is_trapped(c, i): return
    a = get_element(vn(c, i), 0, fmt)
    if is_from_uint(c, fmt, width, a) if is_unsigned else is_from_int(c, fmt, width, a):
        store_host_value(vd(c, i), fmt,
                         host_from_uint(fmt, width, a) if is_unsigned else host_from_int(fmt, width, a))
    else:
        each_from_fixed(c, i)
    NEXT(c, i)

cdef void fcvtzs_scalar_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    fcvtz_scalar(c, i, False, SINGLE)
cdef void fcvtzs_scalar_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    fcvtz_scalar(c, i, False, DOUBLE)
cdef void fcvtzu_scalar_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtz_scalar(c, i, True, SINGLE)
cdef void fcvtzu_scalar_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: fcvtz_scalar(c, i, True, DOUBLE)
cdef void scvtf_scalar_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cvtf_scalar(c, i, False, SINGLE)
cdef void scvtf_scalar_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cvtf_scalar(c, i, False, DOUBLE)
cdef void ucvtf_scalar_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cvtf_scalar(c, i, True, SINGLE)
cdef void ucvtf_scalar_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cvtf_scalar(c, i, True, DOUBLE)

# ---- between formats --------------------------------------------------------------------------

cdef void fcvtl_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not lengthen_s(c, i, flag_of(i)):
        each_lengthened(c, i)
    NEXT(c, i)

cdef void fcvtn_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t r = 0
    if fp_is_trapped(c, i): return
    if not narrow_d(c, i, &r):
        each_narrowed(c, i, False)
    elif flag_of(i):
        write_vd(c, i, vd(c, i)[0], r)
    else:
        write_vd(c, i, r, 0)
    NEXT(c, i)

cdef void fcvtl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_lengthened(c, i)
    NEXT(c, i)

cdef void fcvtn(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_narrowed(c, i, False)
    NEXT(c, i)

cdef void fcvtxn(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_narrowed(c, i, True)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef inline void set_conversion(Insn* o, uint32_t raw) noexcept nogil:
    """FCVT{N,P,M,Z,A}{S,U}: bit 14 with bits 23 and 12 says how they round; U: unsigned."""
    cdef int rounding
    if bits(raw, 16, 12) == 0b11100:
        rounding = ROUND_TIEAWAY
    elif raw & (1 << 23):
        rounding = ROUND_ZERO if raw & (1 << 12) else ROUND_POSINF
    else:
        rounding = ROUND_NEGINF if raw & (1 << 12) else ROUND_TIEEVEN
    o.aux |= rounding << ROUNDING | bits(raw, 29, 29) << FLAG

cdef int fill_sd(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int found = set_shape_sd(o, raw)
    if found == OK:
        set_conversion(o, raw)
    return found

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int found = set_shape_half(c, o, raw)
    if found == OK:
        set_conversion(o, raw)
    return found

cdef int fill_fixed(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """immh is not below 2. The conversion to an integer rounds towards zero."""
    cdef int fmt = DOUBLE if raw & (1 << 22) else SINGLE if raw & (1 << 21) else HALF
    cdef int found = set_shape_half(c, o, raw) if fmt == HALF else set_shape(o, raw, fmt)
    if found == OK:
        o.aux |= ((16 << fmt) - bits(raw, 22, 16)) << FBITS
        o.aux |= ROUND_ZERO << ROUNDING | bits(raw, 29, 29) << FLAG
    return found

cdef int fill_length(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """The shorter elements: 64 bits of them, a vector's lower half or, with Q, its upper half."""
    cdef int fmt = SINGLE if raw & (1 << 22) else HALF
    set_registers(o, raw)
    o.imm = ~<uint64_t>0
    o.aux = fmt | (8 >> fmt) << 4 | bits(raw, 30, 30) << FLAG
    if raw & (1 << 28):
        o.aux = fmt | 1 << 4
    return OK

cdef int integer_rows(str name, str u, str a, str opcode, Op op, Op s, Op d, Op scalar_s,
                      Op scalar_d) except -1:
    row(f"{name}_asimdmisc_S", f"0 q {u} 01110 {a}0 10000 {opcode} 10 nnnnn ddddd", fill_sd, s)
    row(f"{name}_asimdmisc_D", f"0 1 {u} 01110 {a}1 10000 {opcode} 10 nnnnn ddddd", fill_sd, d)
    row(f"{name}_asimdmiscfp16", f"0 q {u} 01110 {a} 111100 {opcode} 10 nnnnn ddddd", fill_half, op)
    row(f"{name}_asisdmisc_S", f"01 {u} 11110 {a}0 10000 {opcode} 10 nnnnn ddddd", fill_sd, scalar_s)
    row(f"{name}_asisdmisc_D", f"01 {u} 11110 {a}1 10000 {opcode} 10 nnnnn ddddd", fill_sd, scalar_d)
    row(f"{name}_asisdmiscfp16", f"01 {u} 11110 {a} 111100 {opcode} 10 nnnnn ddddd", fill_half, op)
    return 0

cdef int fixed_rows(str name, str u, str opcode, Op op) except -1:
    row(f"{name}_asimdshf_H", f"0 q {u} 011110 001i iii {opcode} 1 nnnnn ddddd", fill_fixed, op)
    row(f"{name}_asimdshf_S", f"0 q {u} 011110 01ii iii {opcode} 1 nnnnn ddddd", fill_fixed, op)
    row(f"{name}_asimdshf_D", f"0 1 {u} 011110 1iii iii {opcode} 1 nnnnn ddddd", fill_fixed, op)
    row(f"{name}_asisdshf_H", f"01 {u} 111110 001i iii {opcode} 1 nnnnn ddddd", fill_fixed, op)
    row(f"{name}_asisdshf_S", f"01 {u} 111110 01ii iii {opcode} 1 nnnnn ddddd", fill_fixed, op)
    row(f"{name}_asisdshf_D", f"01 {u} 111110 1iii iii {opcode} 1 nnnnn ddddd", fill_fixed, op)
    return 0

cdef int register() except -1:
    integer_rows("FCVTNS", "0", "0", "11010", to_fixed, to_fixed, to_fixed, to_fixed, to_fixed)
    integer_rows("FCVTMS", "0", "0", "11011", to_fixed, to_fixed, to_fixed, to_fixed, to_fixed)
    integer_rows("FCVTAS", "0", "0", "11100", to_fixed, to_fixed, to_fixed, to_fixed, to_fixed)
    integer_rows("SCVTF", "0", "0", "11101", from_fixed, scvtf_s, scvtf_d,
                 scvtf_scalar_s, scvtf_scalar_d)
    integer_rows("FCVTPS", "0", "1", "11010", to_fixed, to_fixed, to_fixed, to_fixed, to_fixed)
    integer_rows("FCVTZS", "0", "1", "11011", to_fixed, fcvtzs_s, fcvtzs_d,
                 fcvtzs_scalar_s, fcvtzs_scalar_d)
    integer_rows("FCVTNU", "1", "0", "11010", to_fixed, to_fixed, to_fixed, to_fixed, to_fixed)
    integer_rows("FCVTMU", "1", "0", "11011", to_fixed, to_fixed, to_fixed, to_fixed, to_fixed)
    integer_rows("FCVTAU", "1", "0", "11100", to_fixed, to_fixed, to_fixed, to_fixed, to_fixed)
    integer_rows("UCVTF", "1", "0", "11101", from_fixed, ucvtf_s, ucvtf_d,
                 ucvtf_scalar_s, ucvtf_scalar_d)
    integer_rows("FCVTPU", "1", "1", "11010", to_fixed, to_fixed, to_fixed, to_fixed, to_fixed)
    integer_rows("FCVTZU", "1", "1", "11011", to_fixed, fcvtzu_s, fcvtzu_d,
                 fcvtzu_scalar_s, fcvtzu_scalar_d)

    fixed_rows("SCVTF", "0", "11100", from_fixed)
    fixed_rows("UCVTF", "1", "11100", from_fixed)
    fixed_rows("FCVTZS", "0", "11111", to_fixed)
    fixed_rows("FCVTZU", "1", "11111", to_fixed)

    row("FCVTN_asimdmisc_N_H", "0 q 0 01110 00 10000 10110 10 nnnnn ddddd", fill_length, fcvtn)
    row("FCVTN_asimdmisc_N_S", "0 q 0 01110 01 10000 10110 10 nnnnn ddddd", fill_length, fcvtn_d)
    row("FCVTL_asimdmisc_L_H", "0 q 0 01110 00 10000 10111 10 nnnnn ddddd", fill_length, fcvtl)
    row("FCVTL_asimdmisc_L_S", "0 q 0 01110 01 10000 10111 10 nnnnn ddddd", fill_length, fcvtl_s)
    row("FCVTXN_asimdmisc_N", "0 q 1 01110 01 10000 10110 10 nnnnn ddddd", fill_length, fcvtxn)
    row("FCVTXN_asisdmisc_N", "01 1 11110 01 10000 10110 10 nnnnn ddddd", fill_length, fcvtxn)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
