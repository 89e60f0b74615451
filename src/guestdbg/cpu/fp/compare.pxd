# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu

cdef uint32_t fp_compare(Cpu* c, int fmt, uint64_t a, uint64_t b, bint signal_all) noexcept nogil
"""FPCompare: NZCV in bits 31..28. signal_all: a quiet NaN raises Invalid Operation, too (FCMPE)."""

cdef bint fp_eq(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef bint fp_ge(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef bint fp_gt(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil

cdef uint64_t fp_max(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t fp_min(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t fp_maxnm(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t fp_minnm(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
