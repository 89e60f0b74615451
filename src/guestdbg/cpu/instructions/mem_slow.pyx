# cython: language_level=3
"""Loads and stores that are unaligned, cross a page, are watched, are not in the TLB, or fault."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    ACC_ALIGNED, ACC_NOISV, ACC_ORDERED, ACC_PAIR, ACC_READ, ACC_UNPRIV, ACC_WRITE, Cpu, FORWARD, Insn, NEXT,
)
from guestdbg.cpu.instructions.mem_common cimport (
    check_sp, extend, post_offset, pre_offset, sext32, ST,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.mmu cimport mem_load, mem_probe, mem_store
from guestdbg.cpu.operands cimport aux, imm, set_xd, set_xm, set_xn, vd, vm, xd, xm, xn
from guestdbg.cpu.register_bits cimport PSTATE_UAO

# ---- one general-purpose register -------------------------------------------------------------

cdef inline void single(Cpu* c, const Insn* i, uint64_t va, uint32_t k, uint32_t flags,
                        bint write_back) noexcept nogil:
    cdef uint64_t value = 0
    if not check_sp(c, i):
        return
    if (k & 3) == ST:
        c.lo = xd(c, i)
        if not mem_store(c, i, va, 1 << (k >> 2), flags | ACC_WRITE):
            return
    else:
        if not mem_load(c, i, va, 1 << (k >> 2), flags | ACC_READ):
            return
        value = extend(c.lo, k)
        set_xd(c, i, value)
    if write_back:
        if (k & 3) == ST:
            set_xn(c, i, va - imm(i) + sext32(aux(i)))
        else:
            set_xn(c, i, va - pre_offset(i) + post_offset(i))
    FORWARD(c, i, value)

cdef void slow(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil:
    single(c, i, va, k, 0, False)

cdef void slow_wb(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil:
    single(c, i, va, k, ACC_NOISV, True)

cdef void slow_unpriv(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil:
    # With PSTATE.UAO it is an ordinary access.
    single(c, i, va, k, 0 if c.pstate & PSTATE_UAO and c.el else ACC_UNPRIV, False)

cdef void slow_ordered(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil:
    single(c, i, va, k, ACC_ORDERED | ACC_ALIGNED, False)

cdef void slow_authenticated(Cpu* c, const Insn* i, uint64_t va, bint write_back) noexcept nogil:
    """LDRAA, LDRAB, whose base has been checked. It is the authenticated address that is written back."""
    if not mem_load(c, i, va, 8, ACC_READ | (ACC_NOISV if write_back else 0)):
        return
    set_xd(c, i, c.lo)
    if write_back:
        set_xn(c, i, va)
    NEXT(c, i)

# ---- two general-purpose registers ------------------------------------------------------------

cdef inline void pair(Cpu* c, const Insn* i, uint64_t va, uint32_t k, bint write_back) noexcept nogil:
    cdef uint64_t first = 0, second
    if not check_sp(c, i):
        return
    if (k & 3) == ST:
        if (k >> 2) == 3:
            c.lo = xd(c, i)
            c.hi = xm(c, i)
        else:
            c.lo = <uint64_t><uint32_t>xd(c, i) | (xm(c, i) << 32)
        if not mem_store(c, i, va, 2 << (k >> 2), ACC_WRITE | ACC_PAIR | ACC_NOISV):
            return
    else:
        if not mem_load(c, i, va, 2 << (k >> 2), ACC_READ | ACC_PAIR | ACC_NOISV):
            return
        second = c.hi if (k >> 2) == 3 else c.lo >> 32
        set_xm(c, i, extend(second, k))
        first = extend(c.lo if (k >> 2) == 3 else <uint32_t>c.lo, k)
        set_xd(c, i, first)
    if write_back:
        set_xn(c, i, va - imm(i) + sext32(aux(i)))
    FORWARD(c, i, first)

cdef void slow_pair(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil:
    pair(c, i, va, k, False)

cdef void slow_pair_wb(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil:
    pair(c, i, va, k, True)

# ---- SIMD and FP registers --------------------------------------------------------------------
# aux is 0 where there is no write-back.

cdef void slow_fp_load(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return
    if not mem_load(c, i, va, 1 << log2, ACC_READ | ACC_NOISV):
        return
    vd(c, i)[0] = c.lo
    vd(c, i)[1] = c.hi if log2 == 4 else 0
    set_xn(c, i, xn(c, i) + sext32(aux(i)))
    NEXT(c, i)

cdef void slow_fp_store(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return
    c.lo = vd(c, i)[0]
    c.hi = vd(c, i)[1]
    if not mem_store(c, i, va, 1 << log2, ACC_WRITE | ACC_NOISV):
        return
    set_xn(c, i, xn(c, i) + sext32(aux(i)))
    NEXT(c, i)

# A pair of Q registers is too large for one mem_load: all of it is checked, then moved in halves.

cdef void slow_fp_ldp(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    cdef uint32_t flags = ACC_READ | ACC_PAIR | ACC_NOISV
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return
    if log2 == 4:
        if not mem_probe(c, i, va, 32, flags):
            return
        if not mem_load(c, i, va, 16, ACC_READ | ACC_NOISV):
            return
        vd(c, i)[0] = c.lo
        vd(c, i)[1] = c.hi
        if not mem_load(c, i, va + 16, 16, ACC_READ | ACC_NOISV):
            return
        vm(c, i)[0] = c.lo
        vm(c, i)[1] = c.hi
    else:
        if not mem_load(c, i, va, 2 << log2, flags):
            return
        if log2 == 2:
            c.hi = c.lo >> 32
            c.lo = <uint32_t>c.lo
        vd(c, i)[0] = c.lo
        vd(c, i)[1] = 0
        vm(c, i)[0] = c.hi
        vm(c, i)[1] = 0
    set_xn(c, i, xn(c, i) + sext32(aux(i)))
    NEXT(c, i)

cdef void slow_fp_stp(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    cdef uint32_t flags = ACC_WRITE | ACC_PAIR | ACC_NOISV
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return
    if log2 == 4:
        if not mem_probe(c, i, va, 32, flags):
            return
        c.lo = vd(c, i)[0]
        c.hi = vd(c, i)[1]
        if not mem_store(c, i, va, 16, ACC_WRITE | ACC_NOISV):
            return
        c.lo = vm(c, i)[0]
        c.hi = vm(c, i)[1]
        if not mem_store(c, i, va + 16, 16, ACC_WRITE | ACC_NOISV):
            return
    else:
        if log2 == 2:
            c.lo = <uint64_t><uint32_t>vd(c, i)[0] | (vm(c, i)[0] << 32)
        else:
            c.lo = vd(c, i)[0]
            c.hi = vm(c, i)[0]
        if not mem_store(c, i, va, 2 << log2, flags):
            return
    set_xn(c, i, xn(c, i) + sext32(aux(i)))
    NEXT(c, i)
