# cython: language_level=3
"""The slow halves of loads and stores: each is a whole instruction (checks, access, registers,
write-back) that the fast function goes on to as its last call. They stand in a module of their
own so that no compiler inlines them there. va is the first byte accessed."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn

# One general-purpose register; k: the kind (mem_common.pxd). It stands in the place of what is
# forwarded over (relay.pyx): va need not be moved out of that register.
cdef void slow(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil
cdef void slow_wb(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil
cdef void slow_unpriv(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil
cdef void slow_ordered(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil

# Two general-purpose registers x[rd], x[rm]; k: the kind of each.
cdef void slow_pair(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil
cdef void slow_pair_wb(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil

# One or two SIMD and FP registers v[rd], v[rm] of 1 << log2 bytes.
cdef void slow_fp_load(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
cdef void slow_fp_store(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
cdef void slow_fp_ldp(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
cdef void slow_fp_stp(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
