# cython: language_level=3
"""DC ZVA: zero a naturally aligned block, whose size DCZID_EL0.BS gives (log2 of its words).

The address given is checked first, so that FAR is that address where the page faults; then all of
the block (within a page, as the largest is 2 KiB), for watchpoints. As in QEMU; Arm lets FAR be any
address of the block for a watchpoint. On Device memory it is an alignment fault.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memset

from guestdbg.cpu.address_space cimport X_DEVICE
from guestdbg.cpu.core cimport ACC_DCZVA, ACC_NOISV, ACC_WRITE, Cpu, Insn, NEXT, PAGE_MASK, Tlbe, tlbe
from guestdbg.cpu.instruction_trace cimport log_access, log_of
from guestdbg.cpu.mmu cimport mem_probe
from guestdbg.cpu.operands cimport xd
from guestdbg.cpu.page_tables cimport tables_unknown

cdef enum:
    FLAGS = ACC_WRITE | ACC_DCZVA | ACC_NOISV
    MOST = 64                              # bytes that mem_probe checks at once

cdef void dc_zva(Cpu* c, const Insn* i) noexcept nogil:
    if not zero(c, i):
        return
    NEXT(c, i)

cdef bint zero(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t words = c.dczid_el0 & 15
    cdef uint64_t size = <uint64_t>4 << (words if words <= 9 else 9)      # above 9 is reserved
    cdef uint64_t va = xd(c, i)
    cdef uint64_t at = va & ~(size - 1)
    cdef uint64_t step = MOST if size > MOST else size
    cdef uint64_t end = at + size
    cdef const Tlbe* e = tlbe(c, at)
    if e.wtag == at & ~<uint64_t>PAGE_MASK and not e.xpn & X_DEVICE:
        memset(<void*>(at + e.add), 0, size)
        return True
    if not mem_probe(c, i, va, 1, FLAGS):
        return False
    while at != end:
        if not mem_probe(c, i, at, step, FLAGS):
            return False
        at += step
    if size > step:
        tables_unknown(c)                  # steps were looked up before what they depend on is written
    # c.acc is the host address of the last step. A block lies within a page.
    memset(c.acc + step - size, 0, size)
    if log_of(c) != NULL:
        log_access(log_of(c), va & ~(size - 1), size, True, 0, 0)
    return True
