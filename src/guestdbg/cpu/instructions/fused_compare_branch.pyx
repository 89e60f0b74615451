# cython: language_level=3
"""CMP and the B.cond after it, executed by one function: the last two instructions of a block.

Likewise ADDS and SUBS with an immediate, which count the turns of loops, and B.EQ or B.NE.

Both are decoded in the block, each in its place. The function of the first does the work of both: it
branches by the operands instead of the flags (which it also sets), and continues through the links
after the B.cond. Neither can raise an exception, and a block is entered only at its first instruction.
In a block in which a breakpoint may match, they are not fused (core.pyx).
"""
from guestdbg.cpu.core cimport *
from guestdbg.cpu.instructions.branch_common cimport choose
from guestdbg.cpu.instructions.data_common cimport add_nzcv32, add_nzcv64, sub_nzcv32, sub_nzcv64
from guestdbg.cpu.operand_forwarding cimport FORWARDS_NOTHING, fwd_xm, fwd_xn, NONE, RM, RN, specialize
from guestdbg.cpu.operands cimport imm, set_xd

# The first operand (n) or the second (m) may be forwarded by the instruction before.

# ---- CMP of registers, 64 bits ----------------------------------------------------------------

cdef inline void cmp64_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a == b)
cdef void cmp64_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_eq_(c, i, last, NONE)
cdef void cmp64_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_eq_(c, i, last, RN)
cdef void cmp64_eq_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_eq_(c, i, last, RM)

cdef inline void cmp64_ne_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a != b)
cdef void cmp64_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ne_(c, i, last, NONE)
cdef void cmp64_ne_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ne_(c, i, last, RN)
cdef void cmp64_ne_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ne_(c, i, last, RM)

cdef inline void cmp64_cs_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a >= b)
cdef void cmp64_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_cs_(c, i, last, NONE)
cdef void cmp64_cs_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_cs_(c, i, last, RN)
cdef void cmp64_cs_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_cs_(c, i, last, RM)

cdef inline void cmp64_cc_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a < b)
cdef void cmp64_cc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_cc_(c, i, last, NONE)
cdef void cmp64_cc_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_cc_(c, i, last, RN)
cdef void cmp64_cc_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_cc_(c, i, last, RM)

cdef inline void cmp64_hi_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a > b)
cdef void cmp64_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_hi_(c, i, last, NONE)
cdef void cmp64_hi_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_hi_(c, i, last, RN)
cdef void cmp64_hi_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_hi_(c, i, last, RM)

cdef inline void cmp64_ls_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a <= b)
cdef void cmp64_ls(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ls_(c, i, last, NONE)
cdef void cmp64_ls_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ls_(c, i, last, RN)
cdef void cmp64_ls_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ls_(c, i, last, RM)

cdef inline void cmp64_ge_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, <int64_t>a >= <int64_t>b)
cdef void cmp64_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ge_(c, i, last, NONE)
cdef void cmp64_ge_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ge_(c, i, last, RN)
cdef void cmp64_ge_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_ge_(c, i, last, RM)

cdef inline void cmp64_lt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, <int64_t>a < <int64_t>b)
cdef void cmp64_lt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_lt_(c, i, last, NONE)
cdef void cmp64_lt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_lt_(c, i, last, RN)
cdef void cmp64_lt_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_lt_(c, i, last, RM)

cdef inline void cmp64_gt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, <int64_t>a > <int64_t>b)
cdef void cmp64_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_gt_(c, i, last, NONE)
cdef void cmp64_gt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_gt_(c, i, last, RN)
cdef void cmp64_gt_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_gt_(c, i, last, RM)

cdef inline void cmp64_le_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = fwd_xm(c, i, last, forwarded)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, <int64_t>a <= <int64_t>b)
cdef void cmp64_le(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_le_(c, i, last, NONE)
cdef void cmp64_le_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_le_(c, i, last, RN)
cdef void cmp64_le_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp64_le_(c, i, last, RM)

# ---- CMP with an immediate, 64 bits -----------------------------------------------------------

cdef inline void cmp_imm64_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a == b)
cdef void cmp_imm64_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_eq_(c, i, last, NONE)
cdef void cmp_imm64_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_eq_(c, i, last, RN)

cdef inline void cmp_imm64_ne_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a != b)
cdef void cmp_imm64_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_ne_(c, i, last, NONE)
cdef void cmp_imm64_ne_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_ne_(c, i, last, RN)

cdef inline void cmp_imm64_cs_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a >= b)
cdef void cmp_imm64_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_cs_(c, i, last, NONE)
cdef void cmp_imm64_cs_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_cs_(c, i, last, RN)

cdef inline void cmp_imm64_cc_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a < b)
cdef void cmp_imm64_cc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_cc_(c, i, last, NONE)
cdef void cmp_imm64_cc_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_cc_(c, i, last, RN)

cdef inline void cmp_imm64_hi_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a > b)
cdef void cmp_imm64_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_hi_(c, i, last, NONE)
cdef void cmp_imm64_hi_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_hi_(c, i, last, RN)

cdef inline void cmp_imm64_ls_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, a <= b)
cdef void cmp_imm64_ls(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_ls_(c, i, last, NONE)
cdef void cmp_imm64_ls_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_ls_(c, i, last, RN)

cdef inline void cmp_imm64_ge_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, <int64_t>a >= <int64_t>b)
cdef void cmp_imm64_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_ge_(c, i, last, NONE)
cdef void cmp_imm64_ge_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_ge_(c, i, last, RN)

cdef inline void cmp_imm64_lt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, <int64_t>a < <int64_t>b)
cdef void cmp_imm64_lt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_lt_(c, i, last, NONE)
cdef void cmp_imm64_lt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_lt_(c, i, last, RN)

cdef inline void cmp_imm64_gt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, <int64_t>a > <int64_t>b)
cdef void cmp_imm64_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_gt_(c, i, last, NONE)
cdef void cmp_imm64_gt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_gt_(c, i, last, RN)

cdef inline void cmp_imm64_le_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t a = fwd_xn(c, i, last, forwarded), b = imm(i)
    sub_nzcv64(c, a, b)
    choose(c, i + 1, <int64_t>a <= <int64_t>b)
cdef void cmp_imm64_le(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_le_(c, i, last, NONE)
cdef void cmp_imm64_le_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm64_le_(c, i, last, RN)

# ---- CMP of registers, 32 bits ----------------------------------------------------------------

cdef inline void cmp32_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a == b)
cdef void cmp32_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_eq_(c, i, last, NONE)
cdef void cmp32_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_eq_(c, i, last, RN)
cdef void cmp32_eq_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_eq_(c, i, last, RM)

cdef inline void cmp32_ne_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a != b)
cdef void cmp32_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ne_(c, i, last, NONE)
cdef void cmp32_ne_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ne_(c, i, last, RN)
cdef void cmp32_ne_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ne_(c, i, last, RM)

cdef inline void cmp32_cs_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a >= b)
cdef void cmp32_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_cs_(c, i, last, NONE)
cdef void cmp32_cs_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_cs_(c, i, last, RN)
cdef void cmp32_cs_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_cs_(c, i, last, RM)

cdef inline void cmp32_cc_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a < b)
cdef void cmp32_cc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_cc_(c, i, last, NONE)
cdef void cmp32_cc_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_cc_(c, i, last, RN)
cdef void cmp32_cc_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_cc_(c, i, last, RM)

cdef inline void cmp32_hi_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a > b)
cdef void cmp32_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_hi_(c, i, last, NONE)
cdef void cmp32_hi_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_hi_(c, i, last, RN)
cdef void cmp32_hi_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_hi_(c, i, last, RM)

cdef inline void cmp32_ls_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a <= b)
cdef void cmp32_ls(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ls_(c, i, last, NONE)
cdef void cmp32_ls_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ls_(c, i, last, RN)
cdef void cmp32_ls_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ls_(c, i, last, RM)

cdef inline void cmp32_ge_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, <int32_t>a >= <int32_t>b)
cdef void cmp32_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ge_(c, i, last, NONE)
cdef void cmp32_ge_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ge_(c, i, last, RN)
cdef void cmp32_ge_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_ge_(c, i, last, RM)

cdef inline void cmp32_lt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, <int32_t>a < <int32_t>b)
cdef void cmp32_lt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_lt_(c, i, last, NONE)
cdef void cmp32_lt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_lt_(c, i, last, RN)
cdef void cmp32_lt_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_lt_(c, i, last, RM)

cdef inline void cmp32_gt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, <int32_t>a > <int32_t>b)
cdef void cmp32_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_gt_(c, i, last, NONE)
cdef void cmp32_gt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_gt_(c, i, last, RN)
cdef void cmp32_gt_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_gt_(c, i, last, RM)

cdef inline void cmp32_le_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>fwd_xm(c, i, last, forwarded)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, <int32_t>a <= <int32_t>b)
cdef void cmp32_le(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_le_(c, i, last, NONE)
cdef void cmp32_le_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_le_(c, i, last, RN)
cdef void cmp32_le_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp32_le_(c, i, last, RM)

# ---- CMP with an immediate, 32 bits -----------------------------------------------------------

cdef inline void cmp_imm32_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a == b)
cdef void cmp_imm32_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_eq_(c, i, last, NONE)
cdef void cmp_imm32_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_eq_(c, i, last, RN)

cdef inline void cmp_imm32_ne_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a != b)
cdef void cmp_imm32_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_ne_(c, i, last, NONE)
cdef void cmp_imm32_ne_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_ne_(c, i, last, RN)

cdef inline void cmp_imm32_cs_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a >= b)
cdef void cmp_imm32_cs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_cs_(c, i, last, NONE)
cdef void cmp_imm32_cs_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_cs_(c, i, last, RN)

cdef inline void cmp_imm32_cc_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a < b)
cdef void cmp_imm32_cc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_cc_(c, i, last, NONE)
cdef void cmp_imm32_cc_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_cc_(c, i, last, RN)

cdef inline void cmp_imm32_hi_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a > b)
cdef void cmp_imm32_hi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_hi_(c, i, last, NONE)
cdef void cmp_imm32_hi_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_hi_(c, i, last, RN)

cdef inline void cmp_imm32_ls_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, a <= b)
cdef void cmp_imm32_ls(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_ls_(c, i, last, NONE)
cdef void cmp_imm32_ls_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_ls_(c, i, last, RN)

cdef inline void cmp_imm32_ge_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, <int32_t>a >= <int32_t>b)
cdef void cmp_imm32_ge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_ge_(c, i, last, NONE)
cdef void cmp_imm32_ge_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_ge_(c, i, last, RN)

cdef inline void cmp_imm32_lt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, <int32_t>a < <int32_t>b)
cdef void cmp_imm32_lt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_lt_(c, i, last, NONE)
cdef void cmp_imm32_lt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_lt_(c, i, last, RN)

cdef inline void cmp_imm32_gt_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, <int32_t>a > <int32_t>b)
cdef void cmp_imm32_gt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_gt_(c, i, last, NONE)
cdef void cmp_imm32_gt_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_gt_(c, i, last, RN)

cdef inline void cmp_imm32_le_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t a = <uint32_t>fwd_xn(c, i, last, forwarded), b = <uint32_t>imm(i)
    sub_nzcv32(c, a, b)
    choose(c, i + 1, <int32_t>a <= <int32_t>b)
cdef void cmp_imm32_le(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_le_(c, i, last, NONE)
cdef void cmp_imm32_le_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: cmp_imm32_le_(c, i, last, RN)

# ---- ADDS and SUBS with an immediate ----------------------------------------------------------

cdef inline void adds_imm32_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t value = add_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>imm(i))
    set_xd(c, i, value)
    choose(c, i + 1, value == 0)
cdef void adds_imm32_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm32_eq_(c, i, last, NONE)
cdef void adds_imm32_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm32_eq_(c, i, last, RN)

cdef inline void adds_imm32_ne_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t value = add_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>imm(i))
    set_xd(c, i, value)
    choose(c, i + 1, value != 0)
cdef void adds_imm32_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm32_ne_(c, i, last, NONE)
cdef void adds_imm32_ne_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm32_ne_(c, i, last, RN)

cdef inline void adds_imm64_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t value = add_nzcv64(c, fwd_xn(c, i, last, forwarded), imm(i))
    set_xd(c, i, value)
    choose(c, i + 1, value == 0)
cdef void adds_imm64_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm64_eq_(c, i, last, NONE)
cdef void adds_imm64_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm64_eq_(c, i, last, RN)

cdef inline void adds_imm64_ne_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t value = add_nzcv64(c, fwd_xn(c, i, last, forwarded), imm(i))
    set_xd(c, i, value)
    choose(c, i + 1, value != 0)
cdef void adds_imm64_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm64_ne_(c, i, last, NONE)
cdef void adds_imm64_ne_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: adds_imm64_ne_(c, i, last, RN)

cdef inline void subs_imm32_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t value = sub_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>imm(i))
    set_xd(c, i, value)
    choose(c, i + 1, value == 0)
cdef void subs_imm32_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm32_eq_(c, i, last, NONE)
cdef void subs_imm32_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm32_eq_(c, i, last, RN)

cdef inline void subs_imm32_ne_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t value = sub_nzcv32(c, <uint32_t>fwd_xn(c, i, last, forwarded), <uint32_t>imm(i))
    set_xd(c, i, value)
    choose(c, i + 1, value != 0)
cdef void subs_imm32_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm32_ne_(c, i, last, NONE)
cdef void subs_imm32_ne_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm32_ne_(c, i, last, RN)

cdef inline void subs_imm64_eq_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t value = sub_nzcv64(c, fwd_xn(c, i, last, forwarded), imm(i))
    set_xd(c, i, value)
    choose(c, i + 1, value == 0)
cdef void subs_imm64_eq(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm64_eq_(c, i, last, NONE)
cdef void subs_imm64_eq_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm64_eq_(c, i, last, RN)

cdef inline void subs_imm64_ne_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t value = sub_nzcv64(c, fwd_xn(c, i, last, forwarded), imm(i))
    set_xd(c, i, value)
    choose(c, i + 1, value != 0)
cdef void subs_imm64_ne(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm64_ne_(c, i, last, NONE)
cdef void subs_imm64_ne_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: subs_imm64_ne_(c, i, last, RN)

# ---- which are fused_op -----------------------------------------------------------------------

cdef Op FUSED[4][16]      # [register 32, 64, immediate 32, 64][condition]; NULL: not fused
FUSED[0][0] = cmp32_eq
FUSED[0][1] = cmp32_ne
FUSED[0][2] = cmp32_cs
FUSED[0][3] = cmp32_cc
FUSED[0][8] = cmp32_hi
FUSED[0][9] = cmp32_ls
FUSED[0][10] = cmp32_ge
FUSED[0][11] = cmp32_lt
FUSED[0][12] = cmp32_gt
FUSED[0][13] = cmp32_le
FUSED[1][0] = cmp64_eq
FUSED[1][1] = cmp64_ne
FUSED[1][2] = cmp64_cs
FUSED[1][3] = cmp64_cc
FUSED[1][8] = cmp64_hi
FUSED[1][9] = cmp64_ls
FUSED[1][10] = cmp64_ge
FUSED[1][11] = cmp64_lt
FUSED[1][12] = cmp64_gt
FUSED[1][13] = cmp64_le
FUSED[2][0] = cmp_imm32_eq
FUSED[2][1] = cmp_imm32_ne
FUSED[2][2] = cmp_imm32_cs
FUSED[2][3] = cmp_imm32_cc
FUSED[2][8] = cmp_imm32_hi
FUSED[2][9] = cmp_imm32_ls
FUSED[2][10] = cmp_imm32_ge
FUSED[2][11] = cmp_imm32_lt
FUSED[2][12] = cmp_imm32_gt
FUSED[2][13] = cmp_imm32_le
FUSED[3][0] = cmp_imm64_eq
FUSED[3][1] = cmp_imm64_ne
FUSED[3][2] = cmp_imm64_cs
FUSED[3][3] = cmp_imm64_cc
FUSED[3][8] = cmp_imm64_hi
FUSED[3][9] = cmp_imm64_ls
FUSED[3][10] = cmp_imm64_ge
FUSED[3][11] = cmp_imm64_lt
FUSED[3][12] = cmp_imm64_gt
FUSED[3][13] = cmp_imm64_le

cdef Op COUNTING[4][2]    # [ADDS 32, 64, SUBS 32, 64][EQ, NE]
COUNTING[0][0] = adds_imm32_eq
COUNTING[0][1] = adds_imm32_ne
COUNTING[1][0] = adds_imm64_eq
COUNTING[1][1] = adds_imm64_ne
COUNTING[2][0] = subs_imm32_eq
COUNTING[2][1] = subs_imm32_ne
COUNTING[3][0] = subs_imm64_eq
COUNTING[3][1] = subs_imm64_ne


cdef Op fused_op(uint32_t first, uint32_t second) noexcept nogil:
    """The function for two consecutive encodings; NULL: they are not fused."""
    cdef uint32_t sf = first >> 31
    if second >> 24 != 0x54 or second & 16:            # B.cond
        return NULL
    if (first & 0x7FE0FC1F) == 0x6B00001F:              # SUBS (shifted register) to XZR, not shifted
        return FUSED[sf][second & 15]
    if (first & 0x7F80001F) == 0x7100001F:              # SUBS (immediate) to XZR
        return FUSED[2 + sf][second & 15]
    if (first & 0x3F800000) == 0x31000000 and first & 31 != 31 and second & 15 < 2:    # ADDS, SUBS (immediate)
        return COUNTING[(first >> 29 & 2) + sf][second & 15]
    return NULL

cdef int register() except -1:
    specialize(FORWARDS_NOTHING, cmp64_eq, cmp64_eq_n, cmp64_eq_m)
    specialize(FORWARDS_NOTHING, cmp64_ne, cmp64_ne_n, cmp64_ne_m)
    specialize(FORWARDS_NOTHING, cmp64_cs, cmp64_cs_n, cmp64_cs_m)
    specialize(FORWARDS_NOTHING, cmp64_cc, cmp64_cc_n, cmp64_cc_m)
    specialize(FORWARDS_NOTHING, cmp64_hi, cmp64_hi_n, cmp64_hi_m)
    specialize(FORWARDS_NOTHING, cmp64_ls, cmp64_ls_n, cmp64_ls_m)
    specialize(FORWARDS_NOTHING, cmp64_ge, cmp64_ge_n, cmp64_ge_m)
    specialize(FORWARDS_NOTHING, cmp64_lt, cmp64_lt_n, cmp64_lt_m)
    specialize(FORWARDS_NOTHING, cmp64_gt, cmp64_gt_n, cmp64_gt_m)
    specialize(FORWARDS_NOTHING, cmp64_le, cmp64_le_n, cmp64_le_m)
    specialize(FORWARDS_NOTHING, cmp_imm64_eq, cmp_imm64_eq_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_ne, cmp_imm64_ne_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_cs, cmp_imm64_cs_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_cc, cmp_imm64_cc_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_hi, cmp_imm64_hi_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_ls, cmp_imm64_ls_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_ge, cmp_imm64_ge_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_lt, cmp_imm64_lt_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_gt, cmp_imm64_gt_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm64_le, cmp_imm64_le_n, NULL)
    specialize(FORWARDS_NOTHING, cmp32_eq, cmp32_eq_n, cmp32_eq_m)
    specialize(FORWARDS_NOTHING, cmp32_ne, cmp32_ne_n, cmp32_ne_m)
    specialize(FORWARDS_NOTHING, cmp32_cs, cmp32_cs_n, cmp32_cs_m)
    specialize(FORWARDS_NOTHING, cmp32_cc, cmp32_cc_n, cmp32_cc_m)
    specialize(FORWARDS_NOTHING, cmp32_hi, cmp32_hi_n, cmp32_hi_m)
    specialize(FORWARDS_NOTHING, cmp32_ls, cmp32_ls_n, cmp32_ls_m)
    specialize(FORWARDS_NOTHING, cmp32_ge, cmp32_ge_n, cmp32_ge_m)
    specialize(FORWARDS_NOTHING, cmp32_lt, cmp32_lt_n, cmp32_lt_m)
    specialize(FORWARDS_NOTHING, cmp32_gt, cmp32_gt_n, cmp32_gt_m)
    specialize(FORWARDS_NOTHING, cmp32_le, cmp32_le_n, cmp32_le_m)
    specialize(FORWARDS_NOTHING, cmp_imm32_eq, cmp_imm32_eq_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_ne, cmp_imm32_ne_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_cs, cmp_imm32_cs_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_cc, cmp_imm32_cc_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_hi, cmp_imm32_hi_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_ls, cmp_imm32_ls_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_ge, cmp_imm32_ge_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_lt, cmp_imm32_lt_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_gt, cmp_imm32_gt_n, NULL)
    specialize(FORWARDS_NOTHING, cmp_imm32_le, cmp_imm32_le_n, NULL)
    specialize(FORWARDS_NOTHING, adds_imm32_eq, adds_imm32_eq_n, NULL)
    specialize(FORWARDS_NOTHING, adds_imm32_ne, adds_imm32_ne_n, NULL)
    specialize(FORWARDS_NOTHING, adds_imm64_eq, adds_imm64_eq_n, NULL)
    specialize(FORWARDS_NOTHING, adds_imm64_ne, adds_imm64_ne_n, NULL)
    specialize(FORWARDS_NOTHING, subs_imm32_eq, subs_imm32_eq_n, NULL)
    specialize(FORWARDS_NOTHING, subs_imm32_ne, subs_imm32_ne_n, NULL)
    specialize(FORWARDS_NOTHING, subs_imm64_eq, subs_imm64_eq_n, NULL)
    specialize(FORWARDS_NOTHING, subs_imm64_ne, subs_imm64_ne_n, NULL)
    return 0

def install() -> None:
    """Declare which operands may be forwarded."""
    register()
