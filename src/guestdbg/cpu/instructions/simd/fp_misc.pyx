# cython: language_level=3
"""Two registers: absolute value, negation, square root, comparison with zero, rounding to an integral
value, estimates. Vectors and scalars. Conversions are in fp_convert.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, OK, Op
from guestdbg.cpu.fp.arithmetic cimport fp_sqrt
from guestdbg.cpu.fp.estimate cimport fp_recip_estimate, fp_recip_exponent, fp_rsqrt_estimate
from guestdbg.cpu.fp.formats cimport (
    ROUND_FPCR, ROUND_NEGINF, ROUND_POSINF, ROUND_TIEAWAY, ROUND_TIEEVEN, ROUND_ZERO, SINGLE,
)
from guestdbg.cpu.instructions.simd.fp_each cimport each_round, each_unary, Unary
from guestdbg.cpu.instructions.simd.fp_functions cimport (
    element_cmeq0, element_cmge0, element_cmgt0, element_cmle0, element_cmlt0, element_recpe,
    element_rsqrte,
)
from guestdbg.cpu.instructions.simd.fp_lanes cimport square_root_d, square_root_s
from guestdbg.cpu.instructions.simd.fp_lanes_compare cimport (
    compare_d, compare_s, EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL,
)
from guestdbg.cpu.instructions.simd.fp_lanes_convert cimport to_integral_d, to_integral_s
from guestdbg.cpu.instructions.simd.fp_shape cimport (
    FLAG, ROUNDING, row, set_shape, set_shape_half, set_shape_sd,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, vn, write_vd
from guestdbg.cpu.operands cimport imm

cdef inline void unary(Cpu* c, const Insn* i, Unary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_unary(c, i, f)
    NEXT(c, i)

cdef inline void compare_zero(Cpu* c, const Insn* i, int kind, bint is_double, Unary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (compare_d(c, i, kind, True) if is_double else compare_s(c, i, kind, True)):
        each_unary(c, i, f)
    NEXT(c, i)

# ---- signs: no flags, NaNs are not looked at ----------------------------------------------------

cdef inline void sign(Cpu* c, const Insn* i, uint64_t kept, uint64_t changed) noexcept nogil:
    if fp_is_trapped(c, i): return
    write_vd(c, i, (vn(c, i)[0] & kept) ^ changed, ((vn(c, i)[1] & kept) ^ changed) & imm(i))
    NEXT(c, i)

cdef void fabs_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sign(c, i, 0x7FFF7FFF7FFF7FFF, 0)
cdef void fabs_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sign(c, i, 0x7FFFFFFF7FFFFFFF, 0)
cdef void fabs_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sign(c, i, 0x7FFFFFFFFFFFFFFF, 0)
cdef void fneg_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    sign(c, i, ~<uint64_t>0, 0x8000800080008000ULL)
cdef void fneg_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    sign(c, i, ~<uint64_t>0, 0x8000000080000000ULL)
cdef void fneg_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    sign(c, i, ~<uint64_t>0, <uint64_t>1 << 63)

# ---- comparison with zero ---------------------------------------------------------------------

cdef void fcmeq0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, element_cmeq0)
cdef void fcmge0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, element_cmge0)
cdef void fcmgt0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, element_cmgt0)
cdef void fcmle0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, element_cmle0)
cdef void fcmlt0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, element_cmlt0)

cdef void fcmeq0_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, EQUAL, False, element_cmeq0)
cdef void fcmeq0_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, EQUAL, True, element_cmeq0)
cdef void fcmge0_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, GREATER_EQUAL, False, element_cmge0)
cdef void fcmge0_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, GREATER_EQUAL, True, element_cmge0)
cdef void fcmgt0_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, GREATER, False, element_cmgt0)
cdef void fcmgt0_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, GREATER, True, element_cmgt0)
cdef void fcmle0_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, LESS_EQUAL, False, element_cmle0)
cdef void fcmle0_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, LESS_EQUAL, True, element_cmle0)
cdef void fcmlt0_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, LESS, False, element_cmlt0)
cdef void fcmlt0_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare_zero(c, i, LESS, True, element_cmlt0)

# ---- the others -------------------------------------------------------------------------------

cdef void frint(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_round(c, i)
    NEXT(c, i)

cdef inline void round_vector(Cpu* c, const Insn* i, int rounding, bint is_double) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (to_integral_d(c, i, rounding) if is_double else to_integral_s(c, i, rounding)):
        each_round(c, i)
    NEXT(c, i)

cdef void frintn_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    round_vector(c, i, ROUND_TIEEVEN, False)
cdef void frintn_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: round_vector(c, i, ROUND_TIEEVEN, True)
cdef void frintm_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: round_vector(c, i, ROUND_NEGINF, False)
cdef void frintm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: round_vector(c, i, ROUND_NEGINF, True)
cdef void frintp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: round_vector(c, i, ROUND_POSINF, False)
cdef void frintp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: round_vector(c, i, ROUND_POSINF, True)
cdef void frintz_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: round_vector(c, i, ROUND_ZERO, False)
cdef void frintz_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: round_vector(c, i, ROUND_ZERO, True)
cdef void frinta_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    round_vector(c, i, ROUND_TIEAWAY, False)
cdef void frinta_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: round_vector(c, i, ROUND_TIEAWAY, True)

cdef void fsqrt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, fp_sqrt)

cdef inline void square_root(Cpu* c, const Insn* i, bint is_double) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (square_root_d(c, i) if is_double else square_root_s(c, i)):
        each_unary(c, i, fp_sqrt)
    NEXT(c, i)

cdef void fsqrt_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: square_root(c, i, False)
cdef void fsqrt_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: square_root(c, i, True)

cdef void frecpe(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, fp_recip_estimate)
cdef void frsqrte(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, fp_rsqrt_estimate)
cdef void frecpx(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, fp_recip_exponent)
cdef void urecpe(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, element_recpe)
cdef void ursqrte(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: unary(c, i, element_rsqrte)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_sd(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return set_shape_sd(o, raw)

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return set_shape_half(c, o, raw)

cdef int fill_word(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return set_shape(o, raw, SINGLE)

cdef inline void set_frint(Insn* o, uint32_t raw) noexcept nogil:
    """U, bit 23 and bit 12 say how FRINT rounds."""
    cdef uint32_t which = (raw >> 29 & 1) << 2 | (raw >> 23 & 1) << 1 | (raw >> 12 & 1)
    cdef int rounding = ROUND_FPCR                                  # FRINTX, FRINTI
    if which == 0:
        rounding = ROUND_TIEEVEN                                    # FRINTN
    elif which == 1:
        rounding = ROUND_NEGINF                                     # FRINTM
    elif which == 2:
        rounding = ROUND_POSINF                                     # FRINTP
    elif which == 3:
        rounding = ROUND_ZERO                                       # FRINTZ
    elif which == 4:
        rounding = ROUND_TIEAWAY                                    # FRINTA
    o.aux |= rounding << ROUNDING | (which == 5) << FLAG            # FRINTX is exact

cdef int fill_frint_sd(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int found = set_shape_sd(o, raw)
    if found == OK:
        set_frint(o, raw)
    return found

cdef int fill_frint_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef int found = set_shape_half(c, o, raw)
    if found == OK:
        set_frint(o, raw)
    return found

cdef int vector_rows(str name, str u, str a, str opcode, Op half, Op s, Op d) except -1:
    row(f"{name}_asimdmisc_S", f"0 q {u} 01110 {a}0 10000 {opcode} 10 nnnnn ddddd", fill_sd, s)
    row(f"{name}_asimdmisc_D", f"0 1 {u} 01110 {a}1 10000 {opcode} 10 nnnnn ddddd", fill_sd, d)
    row(f"{name}_asimdmiscfp16", f"0 q {u} 01110 {a} 111100 {opcode} 10 nnnnn ddddd", fill_half, half)
    return 0

cdef int scalar_rows(str name, str u, str a, str opcode, Op op) except -1:
    row(f"{name}_asisdmisc", f"01 {u} 11110 {a}z 10000 {opcode} 10 nnnnn ddddd", fill_sd, op)
    row(f"{name}_asisdmiscfp16", f"01 {u} 11110 {a} 111100 {opcode} 10 nnnnn ddddd", fill_half, op)
    return 0

cdef int frint_rows(str name, str u, str a, str opcode, Op s, Op d) except -1:
    row(f"{name}_asimdmisc_S", f"0 q {u} 01110 {a}0 10000 {opcode} 10 nnnnn ddddd", fill_frint_sd, s)
    row(f"{name}_asimdmisc_D", f"0 1 {u} 01110 {a}1 10000 {opcode} 10 nnnnn ddddd", fill_frint_sd, d)
    row(f"{name}_asimdmiscfp16", f"0 q {u} 01110 {a} 111100 {opcode} 10 nnnnn ddddd", fill_frint_half, frint)
    return 0

cdef int register() except -1:
    frint_rows("FRINTN", "0", "0", "11000", frintn_s, frintn_d)
    frint_rows("FRINTM", "0", "0", "11001", frintm_s, frintm_d)
    frint_rows("FRINTP", "0", "1", "11000", frintp_s, frintp_d)
    frint_rows("FRINTZ", "0", "1", "11001", frintz_s, frintz_d)
    frint_rows("FRINTA", "1", "0", "11000", frinta_s, frinta_d)
    frint_rows("FRINTX", "1", "0", "11001", frint, frint)
    frint_rows("FRINTI", "1", "1", "11001", frint, frint)
    vector_rows("FCMGT_zero", "0", "1", "01100", fcmgt0, fcmgt0_s, fcmgt0_d)
    vector_rows("FCMEQ_zero", "0", "1", "01101", fcmeq0, fcmeq0_s, fcmeq0_d)
    vector_rows("FCMLT_zero", "0", "1", "01110", fcmlt0, fcmlt0_s, fcmlt0_d)
    vector_rows("FCMGE_zero", "1", "1", "01100", fcmge0, fcmge0_s, fcmge0_d)
    vector_rows("FCMLE_zero", "1", "1", "01101", fcmle0, fcmle0_s, fcmle0_d)
    vector_rows("FABS", "0", "1", "01111", fabs_h, fabs_s, fabs_d)
    vector_rows("FNEG", "1", "1", "01111", fneg_h, fneg_s, fneg_d)
    vector_rows("FRECPE", "0", "1", "11101", frecpe, frecpe, frecpe)
    vector_rows("FRSQRTE", "1", "1", "11101", frsqrte, frsqrte, frsqrte)
    vector_rows("FSQRT", "1", "1", "11111", fsqrt, fsqrt_s, fsqrt_d)
    row("URECPE_asimdmisc_R", "0 q 0 01110 10 10000 11100 10 nnnnn ddddd", fill_word, urecpe)
    row("URSQRTE_asimdmisc_R", "0 q 1 01110 10 10000 11100 10 nnnnn ddddd", fill_word, ursqrte)

    scalar_rows("FCMGT_zero", "0", "1", "01100", fcmgt0)
    scalar_rows("FCMEQ_zero", "0", "1", "01101", fcmeq0)
    scalar_rows("FCMLT_zero", "0", "1", "01110", fcmlt0)
    scalar_rows("FCMGE_zero", "1", "1", "01100", fcmge0)
    scalar_rows("FCMLE_zero", "1", "1", "01101", fcmle0)
    scalar_rows("FRECPE", "0", "1", "11101", frecpe)
    scalar_rows("FRECPX", "0", "1", "11111", frecpx)
    scalar_rows("FRSQRTE", "1", "1", "11101", frsqrte)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
