# cython: language_level=3
"""The slow paths of loads and stores: each is a complete instruction (checks, access, registers,
write-back), to which the fast function jumps. They are in a separate module so that no compiler
inlines them there. va is the first byte accessed."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn

# One general-purpose register; k: the kind (mem_common.pxd). k is the third argument, where instruction
# functions have `last`, so that va need not be moved to another host register.
cdef void slow(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil
cdef void slow_wb(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil
cdef void slow_unpriv(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil
cdef void slow_authenticated(Cpu* c, const Insn* i, uint64_t va, bint write_back) noexcept nogil
cdef void slow_ordered(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil

# Two general-purpose registers x[rd], x[rm]; k: the kind of each.
cdef void slow_pair(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil
cdef void slow_pair_wb(Cpu* c, const Insn* i, uint32_t k, uint64_t va) noexcept nogil

# One or two SIMD and FP registers v[rd], v[rm] of 1 << log2 bytes.
cdef void slow_fp_load(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
cdef void slow_fp_store(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
cdef void slow_fp_ldp(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
cdef void slow_fp_stp(Cpu* c, const Insn* i, uint64_t va, uint32_t log2) noexcept nogil
