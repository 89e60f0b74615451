# cython: language_level=3
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu

cdef uint64_t element_abd(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t element_mulsub(Cpu* c, int fmt, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil

cdef uint64_t element_cmeq(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t element_cmge(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t element_cmgt(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t element_acge(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil
cdef uint64_t element_acgt(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil

cdef uint64_t element_cmeq0(Cpu* c, int fmt, uint64_t a) noexcept nogil
cdef uint64_t element_cmge0(Cpu* c, int fmt, uint64_t a) noexcept nogil
cdef uint64_t element_cmgt0(Cpu* c, int fmt, uint64_t a) noexcept nogil
cdef uint64_t element_cmle0(Cpu* c, int fmt, uint64_t a) noexcept nogil
cdef uint64_t element_cmlt0(Cpu* c, int fmt, uint64_t a) noexcept nogil

cdef uint64_t element_recpe(Cpu* c, int fmt, uint64_t a) noexcept nogil
cdef uint64_t element_rsqrte(Cpu* c, int fmt, uint64_t a) noexcept nogil
