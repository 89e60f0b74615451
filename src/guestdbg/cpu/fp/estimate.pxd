# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu

cdef uint64_t fp_recip_estimate(Cpu* c, int fmt, uint64_t a) noexcept nogil
"""FRECPE."""

cdef uint64_t fp_rsqrt_estimate(Cpu* c, int fmt, uint64_t a) noexcept nogil
"""FRSQRTE."""

cdef uint64_t fp_recip_exponent(Cpu* c, int fmt, uint64_t a) noexcept nogil
"""FRECPX."""

cdef uint32_t unsigned_recip_estimate(uint32_t a) noexcept nogil
"""URECPE."""

cdef uint32_t unsigned_rsqrt_estimate(uint32_t a) noexcept nogil
"""URSQRTE."""
