# cython: language_level=3
"""The TLBs and jump tables of address spaces, and their maintenance (D5.9, D5.10).

Each ASID that was in use recently has TLBs of its own, so that a change of TTBR0_EL1 and ASID selects
tables and empties none. Entries of global pages are in the tables of every ASID that used them.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, Insn, Phys

# Cpu.tlb_counts
cdef enum:
    COUNT_WALKS = 0        # translations
    COUNT_SWITCHES = 1     # changes of the address space
    COUNT_NEW_SPACES = 2   # of these, to an ASID without tables
    COUNT_FLUSHES = 3      # everything was dropped
    COUNT_INVALIDATIONS = 4   # TLBI executed, also for another processor
    COUNT_SCANS = 5        # of the tables, for a block or for code that was written

cdef uint32_t origin_of(uint32_t low, bint not_global) noexcept nogil
"""ORIGIN_* of a descriptor that translates all address bits from `low` on."""

cdef void note_origin(Cpu* c, uint64_t va, uint32_t origin) noexcept nogil
"""An entry for va is put into one of the tables in use."""

cdef void note_jump(Cpu* c, uint64_t pc, const Insn* target) noexcept nogil
"""The code at pc, which fetch_page() has found, is there."""

cdef bint tlb_new(Cpu* c) noexcept nogil
"""The first address space of a new processor. False: no memory."""
cdef void tlb_free(Cpu* c) noexcept nogil

cdef void tlb_flush(Cpu* c) noexcept nogil
"""Drop everything."""

cdef void regime_changed(Cpu* c) noexcept nogil
"""TTBRn_EL1 or TCR_EL1 has changed: use the tables of the ASID that they give. (A change of TCR_EL1 that
matters to entries needs tlb_flush() first.)"""

cdef void tlb_invalidate(Cpu* c, uint32_t op2, uint64_t operand) noexcept nogil
"""TLBI with this op2 (0 VMALLE1, 1 VAE1, 2 ASIDE1, 3 VAAE1, 5 VALE1, 7 VAALE1) and operand, for one processor."""

cdef void tlb_forget_data(Cpu* c, uint64_t va) noexcept nogil
"""Look this page up again at the next load or store: its watch state changed."""
cdef void tlb_forget_all_data(Cpu* c) noexcept nogil

cdef bint tables_filtered(Cpu* c) noexcept nogil
"""Have Cpu.space.filters; False: no memory."""
cdef void tables_changed(Cpu* c) noexcept nogil
"""TTBR0_EL1 or the filters have changed: which debug registers match in this address space. If one
does that did not, pages that it covers are looked up again."""

cdef void flush_jumps(Cpu* c) noexcept nogil
"""Forget where code is: blocks become invalid, or the kind of block that is executed changes."""

cdef void write_slowly(Phys* p, uint8_t* host_page) noexcept nogil
"""From now on, writes to this page take the slow path, on every processor."""
cdef void write_lines_slowly(Phys* p, uint8_t* host_page) noexcept nogil
"""Likewise, those that a line entry made fast."""
cdef void write_everything_slowly(Phys* p) noexcept nogil
