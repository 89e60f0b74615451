# cython: language_level=3
from libc.stdint cimport uint32_t
from guestdbg.cpu.core cimport s128

cdef s128 float_unary(uint32_t op, s128 a, uint32_t size) noexcept nogil
cdef s128 float_binary(uint32_t op, s128 a, s128 b, bint* ok) noexcept nogil
