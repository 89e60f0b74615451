# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn

# Slow halves of mem_excl.pyx, in a module of their own (see mem_slow.pxd). log2 is of all the bytes
# accessed; pair: they are two registers, x[rd] and x[aux].
cdef void slow_load_exclusive(Cpu* c, const Insn* i, uint64_t va, uint32_t log2, bint pair) noexcept nogil
cdef void slow_store_exclusive(Cpu* c, const Insn* i, uint64_t va, uint32_t log2, bint pair) noexcept nogil
