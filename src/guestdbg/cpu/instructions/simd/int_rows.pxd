# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Fill, Insn, Op

cdef int row(str name, str pattern, Fill fill, Op op) except -1

cdef int size_rows(str name, str pattern, Fill fill, Op b, Op h, Op s, Op d) except -1
"""A row for each size that there is (not NULL). pattern: `ss` is the size; `q` is Q, 1 with size 3."""

cdef int fill_vector(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil
"""Rd, Rn, Rm, and what the result has by Q."""

cdef int fill_scalar(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil
"""The same, by the size."""

cdef int fill_long(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil
"""imm: the half in which narrow lanes are, sources or result. The result has 128 bits."""

cdef int fill_long_scalar(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil
"""The same, with a result of twice the size."""

# By element: also aux, the element's index in Rm.

cdef int fill_vector_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil
cdef int fill_scalar_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil
cdef int fill_long_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil
cdef int fill_long_scalar_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil

cdef void set_element(Insn* o, uint32_t raw) noexcept nogil
"""Rm and aux."""
