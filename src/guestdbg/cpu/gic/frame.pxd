# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu

cdef enum:
    GICV_SIZE = 0x2000

cdef inline bint in_frame(const Cpu* c, uint64_t ipa) noexcept nogil:
    """Is this address in the GICV frame? Not without one: its size is 0 then."""
    return ipa - c.gic.frame < c.gic.frame_size

cdef uint32_t gicv_read(Cpu* c, uint64_t offset) noexcept nogil
"""A 32-bit read, with its effects. offset: a multiple of 4 below GICV_SIZE."""
cdef void gicv_write(Cpu* c, uint64_t offset, uint32_t value) noexcept nogil
