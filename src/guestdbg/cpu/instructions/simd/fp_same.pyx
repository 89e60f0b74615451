# cython: language_level=3
"""Three registers of the same kind: vectors (FADD to FMINNMP) and scalars (FABD to FRSQRTS).

Each instruction has one function for all formats; what is frequent has others for single and double
precision that try the host's arithmetic first.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.fp.arithmetic cimport (
    fp_add, fp_div, fp_muladd, fp_mul, fp_mulx, fp_recip_step, fp_rsqrt_step, fp_sub,
)
from guestdbg.cpu.fp.compare cimport fp_max, fp_maxnm, fp_min, fp_minnm
from guestdbg.cpu.instructions.simd.fp_each cimport (
    Binary, each_binary, each_pair, each_ternary, Ternary,
)
from guestdbg.cpu.instructions.simd.fp_functions cimport (
    element_abd, element_acge, element_acgt, element_cmeq, element_cmge, element_cmgt, element_mulsub,
)
from guestdbg.cpu.instructions.simd.fp_lanes cimport (
    ADDITION, arithmetic_d, arithmetic_s, DIFFERENCE, DIVISION, muladd_d, muladd_s, MULTIPLICATION, PAIRS,
    SUBTRACTION, VECTORS,
)
from guestdbg.cpu.instructions.simd.fp_lanes_compare cimport (
    ABSOLUTE_GREATER, ABSOLUTE_GREATER_EQUAL, compare_d, compare_s, EQUAL, GREATER, GREATER_EQUAL, select_d,
    select_s,
)
from guestdbg.cpu.instructions.simd.fp_shape cimport row, set_shape_half, set_shape_sd
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped

# ---- all formats, element by element ----------------------------------------------------------

cdef inline void binary(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_binary(c, i, f)
    NEXT(c, i)

cdef inline void ternary(Cpu* c, const Insn* i, Ternary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_ternary(c, i, f)
    NEXT(c, i)

cdef inline void pairwise(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_pair(c, i, f)
    NEXT(c, i)

cdef void fadd(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_add)
cdef void fsub(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_sub)
cdef void fmul(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_mul)
cdef void fdiv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_div)
cdef void fmulx(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_mulx)
cdef void fabd(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, element_abd)
cdef void fmax(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_max)
cdef void fmin(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_min)
cdef void fmaxnm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_maxnm)
cdef void fminnm(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_minnm)
cdef void fcmeq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, element_cmeq)
cdef void fcmge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, element_cmge)
cdef void fcmgt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, element_cmgt)
cdef void facge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, element_acge)
cdef void facgt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, element_acgt)
cdef void frecps(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_recip_step)
cdef void frsqrts(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: binary(c, i, fp_rsqrt_step)
cdef void fmla(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ternary(c, i, fp_muladd)
cdef void fmls(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: ternary(c, i, element_mulsub)
cdef void faddp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, fp_add)
cdef void fmaxp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, fp_max)
cdef void fminp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, fp_min)
cdef void fmaxnmp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, fp_maxnm)
cdef void fminnmp(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pairwise(c, i, fp_minnm)

# ---- vectors of single and double precision ---------------------------------------------------

cdef inline void arithmetic(Cpu* c, const Insn* i, int kind, bint is_double, Binary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (arithmetic_d(c, i, kind, VECTORS) if is_double else arithmetic_s(c, i, kind, VECTORS)):
        each_binary(c, i, f)
    NEXT(c, i)

cdef inline void multiply_add(Cpu* c, const Insn* i, bint subtract, bint is_double, Ternary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (muladd_d(c, i, subtract, False) if is_double else muladd_s(c, i, subtract, False)):
        each_ternary(c, i, f)
    NEXT(c, i)

cdef inline void select(Cpu* c, const Insn* i, bint greater, bint is_double, Binary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (select_d(c, i, greater) if is_double else select_s(c, i, greater)):
        each_binary(c, i, f)
    NEXT(c, i)

cdef inline void compare(Cpu* c, const Insn* i, int kind, bint is_double, Binary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (compare_d(c, i, kind, False) if is_double else compare_s(c, i, kind, False)):
        each_binary(c, i, f)
    NEXT(c, i)

cdef void fadd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: arithmetic(c, i, ADDITION, False, fp_add)
cdef void fadd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: arithmetic(c, i, ADDITION, True, fp_add)
cdef void fsub_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    arithmetic(c, i, SUBTRACTION, False, fp_sub)
cdef void fsub_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    arithmetic(c, i, SUBTRACTION, True, fp_sub)
cdef void fmul_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    arithmetic(c, i, MULTIPLICATION, False, fp_mul)
cdef void fmul_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    arithmetic(c, i, MULTIPLICATION, True, fp_mul)
cdef void fdiv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: arithmetic(c, i, DIVISION, False, fp_div)
cdef void fdiv_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: arithmetic(c, i, DIVISION, True, fp_div)
cdef inline void add_pairs(Cpu* c, const Insn* i, bint is_double) noexcept nogil:
    if fp_is_trapped(c, i): return
    if not (arithmetic_d(c, i, ADDITION, PAIRS) if is_double else arithmetic_s(c, i, ADDITION, PAIRS)):
        each_pair(c, i, fp_add)
    NEXT(c, i)

cdef void faddp_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_pairs(c, i, False)
cdef void faddp_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_pairs(c, i, True)
cdef void fabd_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    arithmetic(c, i, DIFFERENCE, False, element_abd)
cdef void fabd_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    arithmetic(c, i, DIFFERENCE, True, element_abd)
cdef void fmla_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    multiply_add(c, i, False, False, fp_muladd)
cdef void fmla_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    multiply_add(c, i, False, True, fp_muladd)
cdef void fmls_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    multiply_add(c, i, True, False, element_mulsub)
cdef void fmls_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    multiply_add(c, i, True, True, element_mulsub)
cdef void fmax_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, True, False, fp_max)
cdef void fmax_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, True, True, fp_max)
cdef void fmin_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, False, False, fp_min)
cdef void fmin_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, False, True, fp_min)
cdef void fmaxnm_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, True, False, fp_maxnm)
cdef void fmaxnm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, True, True, fp_maxnm)
cdef void fminnm_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, False, False, fp_minnm)
cdef void fminnm_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: select(c, i, False, True, fp_minnm)
cdef void fcmeq_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, EQUAL, False, element_cmeq)
cdef void fcmeq_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: compare(c, i, EQUAL, True, element_cmeq)
cdef void fcmge_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, GREATER_EQUAL, False, element_cmge)
cdef void fcmge_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, GREATER_EQUAL, True, element_cmge)
cdef void fcmgt_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, GREATER, False, element_cmgt)
cdef void fcmgt_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, GREATER, True, element_cmgt)
cdef void facge_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, ABSOLUTE_GREATER_EQUAL, False, element_acge)
cdef void facge_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, ABSOLUTE_GREATER_EQUAL, True, element_acge)
cdef void facgt_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, ABSOLUTE_GREATER, False, element_acgt)
cdef void facgt_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    compare(c, i, ABSOLUTE_GREATER, True, element_acgt)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_sd(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return set_shape_sd(o, raw)

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return set_shape_half(c, o, raw)

cdef int vector_rows(str name, str u, str a, str opcode, Op half, Op s, Op d) except -1:
    """Of double precision there is no 64-bit vector."""
    row(f"{name}_asimdsame_S", f"0 q {u} 01110 {a}0 1 mmmmm {opcode} 1 nnnnn ddddd", fill_sd, s)
    row(f"{name}_asimdsame_D", f"0 1 {u} 01110 {a}1 1 mmmmm {opcode} 1 nnnnn ddddd", fill_sd, d)
    row(f"{name}_asimdsamefp16", f"0 q {u} 01110 {a}1 0 mmmmm 00 {opcode[2:]} 1 nnnnn ddddd", fill_half, half)
    return 0

cdef int scalar_rows(str name, str u, str a, str opcode, Op op) except -1:
    row(f"{name}_asisdsame", f"01 {u} 11110 {a}z 1 mmmmm {opcode} 1 nnnnn ddddd", fill_sd, op)
    row(f"{name}_asisdsamefp16", f"01 {u} 11110 {a}1 0 mmmmm 00 {opcode[2:]} 1 nnnnn ddddd", fill_half, op)
    return 0

cdef int register() except -1:
    vector_rows("FMAXNM", "0", "0", "11000", fmaxnm, fmaxnm_s, fmaxnm_d)
    vector_rows("FMLA", "0", "0", "11001", fmla, fmla_s, fmla_d)
    vector_rows("FADD", "0", "0", "11010", fadd, fadd_s, fadd_d)
    vector_rows("FMULX", "0", "0", "11011", fmulx, fmulx, fmulx)
    vector_rows("FCMEQ", "0", "0", "11100", fcmeq, fcmeq_s, fcmeq_d)
    vector_rows("FMAX", "0", "0", "11110", fmax, fmax_s, fmax_d)
    vector_rows("FRECPS", "0", "0", "11111", frecps, frecps, frecps)
    vector_rows("FMINNM", "0", "1", "11000", fminnm, fminnm_s, fminnm_d)
    vector_rows("FMLS", "0", "1", "11001", fmls, fmls_s, fmls_d)
    vector_rows("FSUB", "0", "1", "11010", fsub, fsub_s, fsub_d)
    vector_rows("FMIN", "0", "1", "11110", fmin, fmin_s, fmin_d)
    vector_rows("FRSQRTS", "0", "1", "11111", frsqrts, frsqrts, frsqrts)
    vector_rows("FMAXNMP", "1", "0", "11000", fmaxnmp, fmaxnmp, fmaxnmp)
    vector_rows("FADDP", "1", "0", "11010", faddp, faddp_s, faddp_d)
    vector_rows("FMUL", "1", "0", "11011", fmul, fmul_s, fmul_d)
    vector_rows("FCMGE", "1", "0", "11100", fcmge, fcmge_s, fcmge_d)
    vector_rows("FACGE", "1", "0", "11101", facge, facge_s, facge_d)
    vector_rows("FMAXP", "1", "0", "11110", fmaxp, fmaxp, fmaxp)
    vector_rows("FDIV", "1", "0", "11111", fdiv, fdiv_s, fdiv_d)
    vector_rows("FMINNMP", "1", "1", "11000", fminnmp, fminnmp, fminnmp)
    vector_rows("FABD", "1", "1", "11010", fabd, fabd_s, fabd_d)
    vector_rows("FCMGT", "1", "1", "11100", fcmgt, fcmgt_s, fcmgt_d)
    vector_rows("FACGT", "1", "1", "11101", facgt, facgt_s, facgt_d)
    vector_rows("FMINP", "1", "1", "11110", fminp, fminp, fminp)

    scalar_rows("FMULX", "0", "0", "11011", fmulx)
    scalar_rows("FCMEQ", "0", "0", "11100", fcmeq)
    scalar_rows("FRECPS", "0", "0", "11111", frecps)
    scalar_rows("FRSQRTS", "0", "1", "11111", frsqrts)
    scalar_rows("FCMGE", "1", "0", "11100", fcmge)
    scalar_rows("FACGE", "1", "0", "11101", facge)
    scalar_rows("FABD", "1", "1", "11010", fabd)
    scalar_rows("FCMGT", "1", "1", "11100", fcmgt)
    scalar_rows("FACGT", "1", "1", "11101", facgt)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
