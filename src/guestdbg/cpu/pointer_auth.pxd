# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu

# Which key: an index into Cpu.keys by twos.
cdef enum:
    KEY_IA = 0
    KEY_IB = 1
    KEY_DA = 2
    KEY_DB = 3
    KEY_GA = 4

cdef inline bint key_enabled(const Cpu* c, uint32_t key) noexcept nogil:
    """SCTLR_EL1.EnIA, EnIB, EnDA, EnDB: otherwise the instructions that use the key do nothing with it."""
    if key == KEY_IA:
        return (c.sctlr_el1 >> 31) & 1
    if key == KEY_IB:
        return (c.sctlr_el1 >> 30) & 1
    if key == KEY_DA:
        return (c.sctlr_el1 >> 27) & 1
    return (c.sctlr_el1 >> 13) & 1

cdef uint64_t add_pac(Cpu* c, uint64_t ptr, uint64_t modifier, uint32_t key) noexcept nogil
"""AddPAC(): the pointer with its authentication code in the bits that translation does not use."""

cdef uint64_t auth(Cpu* c, uint64_t ptr, uint64_t modifier, uint32_t key) noexcept nogil
"""Auth(): the pointer without its code; if that is wrong, with an error code that makes it no address."""

cdef uint64_t strip(Cpu* c, uint64_t ptr, bint data) noexcept nogil
"""Strip(): the pointer without its code, whatever that is. data: it points to data, not code."""

cdef uint64_t generic_code(Cpu* c, uint64_t value, uint64_t modifier) noexcept nogil
"""The result of PACGA."""
