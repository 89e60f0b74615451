# cython: language_level=3
from libc.stdint cimport uint64_t
from guestdbg.cpu.core cimport Phys, Region
from guestdbg.cpu.page_tables cimport WalkedTables

cdef class PhysicalMemory:
    cdef Phys p
    cdef Py_buffer views[64]       # of p.regions, as the two below
    cdef uint64_t serials[64]      # 1 for the first slot that was ever mapped, and so on
    cdef int readers[64]           # DirtyPages
    cdef uint64_t maps
    cdef WalkedTables tables       # if its processors' TLBs follow them
    cdef readonly bint follows_tables
    cdef Region* region(self, int slot) noexcept
    """NULL: the slot is not in use."""
    cdef void release(self, int k) noexcept
    cdef void forget_tables(self) noexcept
    cdef void forget(self) noexcept
    """Drop what its processors derived from it: translations, decoded code, open exclusives."""
