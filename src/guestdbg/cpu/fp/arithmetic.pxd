# cython: language_level=3
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu

cdef uint64_t fp_add(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t fp_sub(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t fp_mul(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil

cdef uint64_t fp_mulx(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
"""FMULX: zero times infinity is two, with the product's sign."""

cdef uint64_t fp_div(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t fp_sqrt(Cpu* c, int fmt, uint64_t a) noexcept nogil

cdef uint64_t fp_muladd(Cpu* c, int fmt, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil
"""FPMulAdd: addend + a * b, rounded once."""

cdef uint64_t fp_muladd_long(Cpu* c, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil
"""FPMulAddH: a and b in half precision, addend and result in single (FMLAL)."""

cdef uint64_t fp_recip_step(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
"""FRECPS: 2 - a * b, rounded once."""

cdef uint64_t fp_rsqrt_step(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
"""FRSQRTS: (3 - a * b) / 2, rounded once."""
