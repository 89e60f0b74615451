# cython: language_level=3
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu, Insn

# Whole instructions of any shape (mem_struct_common.pxd): several elements of each register, one element, one
# element for all.
cdef void ld_multiple(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
cdef void st_multiple(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
cdef void ld_single(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
cdef void st_single(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
cdef void ld_replicate(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
