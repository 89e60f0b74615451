# cython: language_level=3
from libc.stdint cimport uint32_t
from guestdbg.cpu.core cimport Op

cdef Op fused_op(uint32_t first, uint32_t second) noexcept nogil
