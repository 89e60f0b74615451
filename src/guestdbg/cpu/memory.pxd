# cython: language_level=3
from guestdbg.cpu.core cimport Phys

cdef class PhysicalMemory:
    cdef Phys p
    cdef Py_buffer views[64]
    cdef void forget(self) noexcept
    """Drop what its processors derived from it: translations, decoded code, open exclusives."""
