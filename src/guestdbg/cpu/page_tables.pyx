# cython: language_level=3
"""TLBs that never hold a stale translation.

The architecture lets a TLB keep a translation until a TLBI, and lets it drop one at any time. A guest that
changes its tables without a TLBI can see which of the two happened. What a TLB holds depends on more than the
guest: on where it was stopped, on snapshots, on watchpoints. So a guest whose run is to be repeated exactly must
not see its TLB at all: an entry is dropped when a descriptor that it comes from is written, whoever writes it,
and an address space is chosen by all of TTBR0_EL1 and TTBR1_EL1. This is a TLB that the architecture permits, and
it is the same however often it was emptied. (D5.9.1: software may not rely on an entry being there.)

For this, each page that a walk has read valid descriptors of is noted. Stores to it take the slow path, as those
to a page that code was decoded from do. Invalid descriptors are in no TLB.
"""
from libc.string cimport memcpy
from guestdbg.cpu.address_space cimport AddressSpace, space_of
from guestdbg.cpu.core cimport (
    block_of, Block, code_written, Cpu, FAST_LINE, FAST_PAGE, Insn, PAGE_MASK, Phys, Region,
)
from guestdbg.cpu.mmu cimport find_region
from guestdbg.cpu.tlb cimport tlb_flush, tlb_invalidate, write_lines_slowly, write_slowly

cdef enum:
    SEVERAL = 255          # WalkedPage.low: descriptors of this page translate for several addresses or levels
    STORES = 64            # to a page that is no table any more, until they are fast again
    BLOCK_LEVEL = 21       # descriptors that translate fewer bits are of level 3

cdef uint64_t VA_BITS = (<uint64_t>1 << 56) - 1        # above them are tags


cdef void tables_follow(Phys* p, WalkedTables* t) noexcept nogil:
    cdef AddressSpace* s
    cdef Cpu* c
    cdef int m
    cdef uint32_t k
    for m in range(p.ncpus):
        c = p.cpus[m]
        tlb_flush(c)
        for k in range(c.nspaces):
            s = <AddressSpace*>c.spaces[k]
            s.walked = t
        s = space_of(c)
        s.ttbr0 = c.ttbr0_el1
        s.ttbr1 = c.ttbr1_el1


cdef void note_in(Phys* p, WalkedTables* t, Region* r, uint64_t offset, uint64_t base, uint32_t low) noexcept nogil:
    cdef uint64_t page = offset >> 12
    cdef WalkedPage* w = &t.pages[r - p.regions][page]
    w.lines |= <uint64_t>1 << ((offset & PAGE_MASK) >> 6)
    base = (base - (((offset & PAGE_MASK) >> 3) << low)) & VA_BITS
    if w.low == 0:
        w.low = <uint8_t>low
        w.base = base
    elif w.low != low or w.base != base:
        w.low = SEVERAL
    if not w.slow:
        if r.fast[page] & FAST_PAGE:
            write_slowly(p, r.host + (page << 12))
        if r.fast[page] & FAST_LINE:
            write_lines_slowly(p, r.host + (page << 12))
        r.fast[page] &= <uint8_t>~(FAST_PAGE | FAST_LINE)
    w.slow = STORES


cdef void note_walk(Cpu* c, Region* r, uint64_t pa, uint64_t va, uint32_t low) noexcept nogil:
    cdef WalkedTables* t = space_of(c).walked
    cdef uint64_t base = va & VA_BITS & ~((<uint64_t>1 << low) - 1)
    cdef uint64_t host = <uint64_t>r.host + (pa - r.gpa)
    cdef Region* o
    cdef int k
    if not c.phys.shared:
        note_in(c.phys, t, r, pa - r.gpa, base, low)
        return
    for k in range(c.phys.count):
        o = &c.phys.regions[k]
        if host - <uint64_t>o.host < o.size:
            note_in(c.phys, t, o, host - <uint64_t>o.host, base, low)


cdef void drop_all(Cpu* c) noexcept nogil:
    cdef int m
    space_of(c).walked.dropped = True
    for m in range(c.phys.ncpus):
        tlb_flush(c.phys.cpus[m])


cdef void leave_block(Cpu* c, const Insn* i) noexcept nogil:
    """The instructions after i may be elsewhere now: drop the code of its page, so that they are looked up."""
    cdef uint64_t pa = block_of(i).pa
    cdef Region* r = find_region(c.phys, pa)
    if r != NULL:
        code_written(c, r, pa - r.gpa, 4)


cdef bint table_written(Cpu* c, const Insn* i, Region* r, uint64_t offset, uint64_t size) noexcept nogil:
    cdef WalkedTables* t = space_of(c).walked
    cdef WalkedPage* w
    cdef uint64_t at, desc, va, n
    cdef bint dropped = False
    cdef int m
    w = &t.pages[r - c.phys.regions][offset >> 12]
    if not w.slow:
        return False
    if not w.lines:
        w.slow -= 1
        return False
    at = offset & ~<uint64_t>7
    while at < offset + size:
        n = (at & PAGE_MASK) >> 3
        if (w.lines >> (n >> 3)) & 1:
            memcpy(&desc, r.host + at, 8)
            if desc & 1:
                dropped = True
                t.dropped = True
                if w.low == SEVERAL or c.phys.shared or (w.low >= BLOCK_LEVEL and desc & 2):
                    # Or it leads to a table, of which nobody knows what was read.
                    drop_all(c)
                    w.lines = 0
                    w.low = 0
                    leave_block(c, i)
                    break
                va = (w.base + (n << w.low)) & VA_BITS
                for m in range(c.phys.ncpus):
                    tlb_invalidate(c.phys.cpus[m], 3, va >> 12)
                if not ((block_of(i).pc & VA_BITS) ^ va) >> w.low:
                    leave_block(c, i)
        at += 8
    return dropped


cdef void memory_written(Cpu* c, uint64_t gpa, uint64_t length) noexcept nogil:
    cdef WalkedTables* t = space_of(c).walked
    cdef WalkedPage* w
    cdef Region* r
    cdef uint64_t low, high, end, page
    cdef bint found = False
    cdef int k
    if t == NULL or not length:
        return
    end = ~<uint64_t>0 if length > ~<uint64_t>0 - gpa else gpa + length
    for k in range(c.phys.count):
        r = &c.phys.regions[k]
        low = gpa if gpa > r.gpa else r.gpa
        high = end if end < r.gpa + r.size else r.gpa + r.size
        if low >= high:
            continue
        for page in range((low - r.gpa) >> 12, ((high - 1 - r.gpa) >> 12) + 1):
            w = &t.pages[k][page]
            if w.lines:
                w.lines = 0
                w.low = 0
                found = True
    if found:
        drop_all(c)            # what the descriptors were is not known


cdef void tables_unknown(Cpu* c) noexcept nogil:
    if space_of(c).walked != NULL:
        drop_all(c)
