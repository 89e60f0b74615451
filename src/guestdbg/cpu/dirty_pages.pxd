# cython: language_level=3
from libc.stdint cimport uint64_t
from guestdbg.cpu.core cimport Phys, Region

cdef void note_written(Phys* p, Region* r, uint64_t page) noexcept nogil
"""The guest stores to a page of a region that has readers (Region.written is not NULL)."""

cdef void note_touched(Phys* p, uint64_t gpa, uint64_t length) noexcept nogil
"""Userspace or a device has written to memory."""

cdef void free_notes(Region* r) noexcept nogil
