# cython: language_level=3
"""The slow paths of exclusives and LSE atomics, and the exclusive monitor.

The monitor remembers where the last load-exclusive read (Cpu.ex_pa), how much, and what. A
store-exclusive succeeds if it is to the same place and of the same size, and memory still holds
those bytes. So one comparison serves as local and global monitor, and stores of other processors need
no extra work. (A store of the same bytes by another processor goes unnoticed, as in QEMU. The
architecture's monitor would notice, but a program that this breaks would break with LSE's CAS, too.)
ex_pa holds the host address of the physical location: the TLB knows it without a translation.

Alignment (and the SP's) is checked first, always. Then, where the monitor is closed or was opened
for another size, the store fails at once, without a look at the page: the architecture permits faults
before or after the local monitor's check, and QEMU's helper, too, compares before it accesses memory.
With the monitor open, translation faults and watchpoints come first, then the comparison of place and
bytes. (QEMU fails without a fault if the virtual address
differs.)
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    ACC_ALIGNED, ACC_ATOMIC, ACC_EXCLUSIVE, ACC_NOISV, ACC_ORDERED, ACC_READ, ACC_WRITE, Cpu, dst, Insn,
    NEXT,
)
from guestdbg.cpu.instructions.mem_common cimport check_sp, host_read
from guestdbg.cpu.mmu cimport mem_load, mem_probe, mem_store
from guestdbg.cpu.operands cimport aux, encoding, rd, rm, set_xd, set_xm, xd, xm

cdef inline uint32_t flags_of(const Insn* i) noexcept nogil:
    # Bit 15: LDAXR, STLXR and their pairs.
    return ACC_ALIGNED | ACC_EXCLUSIVE | ACC_NOISV | (ACC_ORDERED if encoding(i) & (1 << 15) else 0)

cdef void slow_load_exclusive(Cpu* c, const Insn* i, uint64_t va, uint32_t log2, bint pair) noexcept nogil:
    if not check_sp(c, i):
        return
    if not mem_load(c, i, va, 1 << log2, flags_of(i) | ACC_READ):
        return
    c.ex_open = 1
    c.ex_pa = <uint64_t>c.acc                      # aligned, so all of it is there
    c.ex_size = 1 << log2
    c.ex_lo = c.lo
    c.ex_hi = c.hi if log2 == 4 else 0
    if not pair:
        set_xd(c, i, c.lo)
    elif log2 == 4:
        set_xd(c, i, c.lo)
        c.x[aux(i)] = c.hi
    else:
        set_xd(c, i, <uint32_t>c.lo)
        c.x[aux(i)] = c.lo >> 32
    NEXT(c, i)

cdef inline bint still_there(Cpu* c, uint64_t p, uint32_t log2) noexcept nogil:
    """The monitor's place is p, and memory is as the load-exclusive saw it."""
    if c.ex_pa != p:
        return False
    if log2 == 4:
        return host_read(p, 3) == c.ex_lo and host_read(p + 8, 3) == c.ex_hi
    return host_read(p, log2) == c.ex_lo

cdef void slow_store_exclusive(Cpu* c, const Insn* i, uint64_t va, uint32_t log2, bint pair) noexcept nogil:
    cdef uint32_t flags = flags_of(i) | ACC_WRITE
    cdef bint done = False
    if not check_sp(c, i):
        return
    if va & ((1 << log2) - 1):
        mem_probe(c, i, va, 1 << log2, flags)      # raises the alignment fault
        return
    if c.ex_open and c.ex_size == <uint64_t>1 << log2:
        if not mem_probe(c, i, va, 1 << log2, flags):
            return
        done = still_there(c, <uint64_t>c.acc, log2)
    if done:
        if not pair:
            c.lo = xd(c, i)
        elif log2 == 4:
            c.lo = xd(c, i)
            c.hi = c.x[aux(i)]
        else:
            c.lo = <uint64_t><uint32_t>xd(c, i) | (c.x[aux(i)] << 32)
        if not mem_store(c, i, va, 1 << log2, flags):
            return
    c.ex_open = 0
    set_xm(c, i, 0 if done else 1)
    NEXT(c, i)

# ---- LSE atomics ------------------------------------------------------------------------------

cdef enum:
    ATOMIC = ACC_ATOMIC | ACC_ALIGNED | ACC_NOISV

cdef inline bint checked(Cpu* c, const Insn* i, uint64_t va, uint64_t size) noexcept nogil:
    return check_sp(c, i) and mem_probe(
        c, i, va, size,
        ATOMIC | ACC_READ | ACC_WRITE | ACC_ORDERED)

cdef void slow_modify(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    cdef uint64_t old
    if not checked(c, i, va, 1 << log2):
        return
    if not mem_load(c, i, va, 1 << log2, ATOMIC | ACC_READ):
        return
    old = c.lo
    c.lo = result(c, i, old, log2)
    if not mem_store(c, i, va, 1 << log2, ATOMIC | ACC_WRITE):
        return
    set_xd(c, i, old)
    NEXT(c, i)

cdef void slow_swap_if(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    cdef uint64_t old
    if not checked(c, i, va, 1 << log2):
        return
    if not mem_load(c, i, va, 1 << log2, ATOMIC | ACC_READ):
        return
    old = c.lo
    if old == truncate(xm(c, i), log2):
        c.lo = xd(c, i)
        if not mem_store(c, i, va, 1 << log2, ATOMIC | ACC_WRITE):
            return
    c.x[aux(i)] = old
    NEXT(c, i)

cdef void slow_swap_pair_if(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil:
    """CASP: x[rm], x[rm + 1] compared, x[rd], x[rd + 1] stored (even numbers: 30 goes with XZR)."""
    cdef uint64_t low, high
    if not checked(c, i, va, 2 << log2):
        return
    if not mem_load(c, i, va, 2 << log2, ATOMIC | ACC_READ):
        return
    low = truncate(c.lo, log2)
    high = c.hi if log2 == 3 else c.lo >> 32
    if low == truncate(xm(c, i), log2) and high == truncate(c.x[rm(i) + 1], log2):
        if log2 == 3:
            c.lo = xd(c, i)
            c.hi = c.x[rd(i) + 1]
        else:
            c.lo = <uint64_t><uint32_t>xd(c, i) | (c.x[rd(i) + 1] << 32)
        if not mem_store(c, i, va, 2 << log2, ATOMIC | ACC_WRITE):
            return
    c.x[dst(rm(i))] = low
    c.x[dst(rm(i) + 1)] = high
    NEXT(c, i)
