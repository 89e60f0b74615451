# cython: language_level=3
"""What stencils of instructions are joined with: see link_stencils.pyx."""
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu, Insn

cdef void link_by_memory(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
cdef void link_known(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
cdef void link_direct(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
cdef void link_far(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
cdef void bridge(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
