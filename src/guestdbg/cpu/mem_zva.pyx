# cython: language_level=3
"""DC ZVA: zero a naturally aligned block, whose size DCZID_EL0.BS gives (log2 of its words).

The address given is checked first, so that FAR is that address where the page faults; then all of
the block (within a page, as the largest is 2 KiB), for watchpoints. As in QEMU; Arm lets FAR be any
address of the block for a watchpoint. On Device memory it is an alignment fault.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memset

from guestdbg.cpu.core cimport (
    ACC_DCZVA, ACC_NOISV, ACC_WRITE, Cpu, Insn, NEXT, Tlbe, miss_w, tlbe,
)
from guestdbg.cpu.mmu cimport mem_probe, mem_store

cdef bint zero_slowly(Cpu* c, const Insn* i, uint64_t va, uint64_t block, uint64_t size) noexcept nogil:
    cdef uint64_t at, step = 64 if size > 64 else size
    if not mem_probe(c, i, va, 1, ACC_WRITE | ACC_DCZVA | ACC_NOISV):
        return False
    at = block
    while at < block + size:
        if not mem_probe(c, i, at, step, ACC_WRITE | ACC_DCZVA | ACC_NOISV):
            return False
        at += step
    at = block
    step = 16 if size > 16 else size
    while at < block + size:
        c.lo = 0
        c.hi = 0
        if not mem_store(c, i, at, step, ACC_WRITE | ACC_DCZVA | ACC_NOISV):
            return False
        at += step
    return True

cdef void dc_zva(Cpu* c, const Insn* i) noexcept nogil:
    if not zero(c, i):
        return
    NEXT(c, i)

cdef bint zero(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t size = <uint64_t>4 << (c.dczid_el0 & 15)
    cdef uint64_t va = c.x[i.rd]
    cdef uint64_t block = va & ~(size - 1)
    if size > 2048:                        # BS above 9 is reserved
        size = 2048
        block = va & ~(size - 1)
    return zero_slowly(c, i, va, block, size)
