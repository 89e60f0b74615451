# cython: language_level=3
from libc.stdint cimport uint64_t
from guestdbg.cpu.core cimport Phys, Region
from guestdbg.cpu.memory cimport PhysicalMemory

cdef void note_written(Phys* p, Region* r, uint64_t page) noexcept nogil
"""The guest stores to a page of a region that has readers (Region.written is not NULL)."""

cdef void note_touched(Phys* p, uint64_t gpa, uint64_t length) noexcept nogil
"""Userspace or a device has written to memory."""

cdef void free_notes(Region* r) noexcept nogil

cdef class DirtyPages:
    cdef readonly PhysicalMemory memory
    cdef readonly int slot
    cdef readonly bint guest_only
    cdef uint64_t since
    cdef uint64_t serial       # of the slot's mapping; 0: closed
    cdef void begin(self) noexcept
    """What follows belongs to an epoch in which nothing is noted yet."""
    cdef Region* region(self) noexcept
    """NULL: it is closed, or its slot was removed."""
