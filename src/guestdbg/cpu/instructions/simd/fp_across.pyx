# cython: language_level=3
"""One value of a vector: FMAXV, FMINV, FMAXNMV, FMINNMV, and the scalar pairwise instructions."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.fp.arithmetic cimport fp_add
from guestdbg.cpu.fp.compare cimport fp_max, fp_maxnm, fp_min, fp_minnm
from guestdbg.cpu.fp.formats cimport DOUBLE, SINGLE
from guestdbg.cpu.fp.host cimport host_add, host_value, HostValue, is_sum, store_host_value
from guestdbg.cpu.instructions.simd.fp_each cimport Binary, pair_to_scalar, reduce_all
from guestdbg.cpu.instructions.simd.fp_shape cimport row, set_shape_half, set_shape_sd
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, vn
from guestdbg.cpu.operands cimport vd, vn

cdef inline void across(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    reduce_all(c, i, f)
    NEXT(c, i)

cdef inline void pair(Cpu* c, const Insn* i, Binary f) noexcept nogil:
    if fp_is_trapped(c, i): return
    pair_to_scalar(c, i, f)
    NEXT(c, i)

cdef void fmaxv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: across(c, i, fp_max)
cdef void fminv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: across(c, i, fp_min)
cdef void fmaxnmv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: across(c, i, fp_maxnm)
cdef void fminnmv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: across(c, i, fp_minnm)
cdef void faddp_pair(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pair(c, i, fp_add)
cdef void fmaxp_pair(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pair(c, i, fp_max)
cdef void fminp_pair(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pair(c, i, fp_min)
cdef void fmaxnmp_pair(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pair(c, i, fp_maxnm)
cdef void fminnmp_pair(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: pair(c, i, fp_minnm)

cdef inline const uint64_t* second_element(const uint64_t* v, int fmt) noexcept nogil:
    return <const uint64_t*>(<const uint8_t*>v + (1 << fmt))

cdef inline void add_pair(Cpu* c, const Insn* i, int fmt) noexcept nogil:
    cdef HostValue r
    if fp_is_trapped(c, i): return
    r = host_add(fmt, host_value(fmt, vn(c, i)), host_value(fmt, second_element(vn(c, i), fmt)))
    if is_sum(c, fmt, r):
        store_host_value(vd(c, i), fmt, r)
    else:
        pair_to_scalar(c, i, fp_add)
    NEXT(c, i)

cdef void faddp_pair_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_pair(c, i, SINGLE)
cdef void faddp_pair_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: add_pair(c, i, DOUBLE)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_sd(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return set_shape_sd(o, raw)

cdef int fill_half(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return set_shape_half(c, o, raw)

cdef int across_rows(str name, str a, str opcode, Op op) except -1:
    row(f"{name}_asimdall_S", f"0 1 1 01110 {a}0 11000 {opcode} 10 nnnnn ddddd", fill_sd, op)
    row(f"{name}_asimdall_H", f"0 q 0 01110 {a}0 11000 {opcode} 10 nnnnn ddddd", fill_half, op)
    return 0

cdef int pair_rows(str name, str a, str opcode, Op half, Op s, Op d) except -1:
    row(f"{name}_asisdpair_S", f"01 1 11110 {a}0 11000 {opcode} 10 nnnnn ddddd", fill_sd, s)
    row(f"{name}_asisdpair_D", f"01 1 11110 {a}1 11000 {opcode} 10 nnnnn ddddd", fill_sd, d)
    row(f"{name}_asisdpair_H", f"01 0 11110 {a}0 11000 {opcode} 10 nnnnn ddddd", fill_half, half)
    return 0

cdef int register() except -1:
    across_rows("FMAXNMV", "0", "01100", fmaxnmv)
    across_rows("FMAXV", "0", "01111", fmaxv)
    across_rows("FMINNMV", "1", "01100", fminnmv)
    across_rows("FMINV", "1", "01111", fminv)
    pair_rows("FMAXNMP", "0", "01100", fmaxnmp_pair, fmaxnmp_pair, fmaxnmp_pair)
    pair_rows("FADDP", "0", "01101", faddp_pair, faddp_pair_s, faddp_pair_d)
    pair_rows("FMAXP", "0", "01111", fmaxp_pair, fmaxp_pair, fmaxp_pair)
    pair_rows("FMINNMP", "1", "01100", fminnmp_pair, fminnmp_pair, fminnmp_pair)
    pair_rows("FMINP", "1", "01111", fminp_pair, fminp_pair, fminp_pair)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
