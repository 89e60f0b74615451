# cython: language_level=3
from libc.stdint cimport uint64_t, uint32_t, uint8_t
from guestdbg.cpu.core cimport Cpu, Insn, Phys, Region
from guestdbg.cpu.features cimport has_ttst

cdef bint mem_load(Cpu* c, const Insn* i, uint64_t va, uint64_t size, uint32_t flags) noexcept nogil
"""Read size (1, 2, 4, 8, 16) bytes at va into c.lo (and c.hi), zero-extended: the slow path, which is
always correct (alignment, translation, watchpoints, page crossing, stage 2). False: an exception was
raised for i; the caller just returns."""

cdef bint mem_store(Cpu* c, const Insn* i, uint64_t va, uint64_t size, uint32_t flags) noexcept nogil
"""Write the low size bytes of c.lo, c.hi at va, as mem_load."""

cdef bint mem_probe(Cpu* c, const Insn* i, uint64_t va, uint64_t size, uint32_t flags) noexcept nogil
"""Everything that mem_load and mem_store do before the access itself (flags has ACC_READ and/or
ACC_WRITE; both for atomics, one syndrome): alignment, faults, watchpoints. False: exception raised. Afterwards the
access may be made any number of times, whole or in parts, with mem_load and mem_store, or directly:
c.acc is its host address (c.acc_len bytes of it, the rest at c.acc2 if it crosses a page), and
decoded code under a write has been dropped. With ACC_EXCLUSIVE c.tr_pa is its physical address.
size is at most 4096."""

cdef bint translate(Cpu* c, uint64_t va, uint32_t flags) noexcept nogil
"""Stage 1 and the slot lookup; no side effects but c.tr_*. False: c.tr_fsc (and tr_s1ptw, tr_ipa)
describe the stage 1 fault, or the stage 2 fault on the walk. True with tr_host == 0: no slot is there."""

cdef bint fetch_page(Cpu* c, uint64_t pc, uint64_t* pa, uint8_t** host_page) noexcept nogil
"""Where the code at pc is: its physical address, and the host address of its 4 KiB page. False: an
exception was taken instead (c.pc is where to continue, or c.exit is set)."""

cdef uint8_t* tlb_host(Cpu* c, uint64_t va) noexcept nogil
"""Where the memory at va is, whatever its permissions, and c.tr_pa, if the data TLB has its page; otherwise
NULL. No side effects but c.tr_pa."""

cdef inline uint64_t largest_tnsz(const Cpu* c, bint using64k) noexcept nogil:
    """The largest TCR_EL1.TnSZ for this granule: larger values count as this one."""
    if not has_ttst(c):
        return 39
    return 47 if using64k else 48

cdef Region* find_region(Phys* p, uint64_t pa) noexcept nogil
