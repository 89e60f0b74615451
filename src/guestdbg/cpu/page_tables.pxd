# cython: language_level=3
"""TLBs that never hold a stale translation: see page_tables.pyx."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, Insn, Phys, Region

cdef struct WalkedPage:    # a 4 KiB page of memory that walks have read descriptors of
    uint64_t lines         # bit n: valid descriptors in its 64-byte line n were read
    uint64_t base          # the VA that a descriptor at the start of the page translates
    uint8_t low            # log2 of the bytes that each translates; 0: not known yet
    uint8_t slow           # stores to it take the slow path: so many more, if no line is set

cdef struct WalkedTables:  # of a VM
    WalkedPage* pages[64]  # of each slot, as Phys.regions
    bint dropped           # entries were dropped since this was cleared

cdef void tables_follow(Phys* p, WalkedTables* t) noexcept nogil
"""From now on the TLBs of all processors follow the tables, or (NULL) need TLBI. t has pages for each slot."""

cdef void note_walk(Cpu* c, Region* r, uint64_t pa, uint64_t va, uint32_t low) noexcept nogil
"""A walk for va has read a valid descriptor at pa, in r, which translates all address bits from low on."""

cdef inline bint is_table(const WalkedTables* t, const Phys* p, const Region* r, uint64_t page) noexcept nogil:
    """Must stores to this page of r take the slow path?"""
    return t != NULL and t.pages[r - p.regions][page].slow != 0

cdef bint table_written(Cpu* c, const Insn* i, Region* r, uint64_t offset, uint64_t size) noexcept nogil
"""A store of i to r is about to be made. True: TLB entries were dropped for it."""

cdef void memory_written(Cpu* c, uint64_t gpa, uint64_t length) noexcept nogil
"""Userspace or a device has written memory."""

cdef void tables_unknown(Cpu* c) noexcept nogil
"""Drop everything: what was put into the TLBs during an instruction may be from before its store."""
