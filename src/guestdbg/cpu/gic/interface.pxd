# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu

cdef void gic_reset(Cpu* c, uint32_t version, uint32_t list_registers) noexcept nogil
"""A new interface: disabled, nothing pending, binary points at their minima."""

cdef void gic_update(Cpu* c) noexcept nogil
"""After any change of the interface's state: what it signals now (Cpu.signals)."""

# Below, group is 0 or 1. What changes state ends with gic_update().

cdef int gic_pending_group(Cpu* c) noexcept nogil
"""The group of the highest priority pending interrupt; -1: there is none."""

cdef uint32_t gic_pending(Cpu* c, uint32_t group) noexcept nogil
"""INTID of the highest priority pending interrupt, if it is of this group: ICV_HPPIRn_EL1."""
cdef uint32_t gic_acknowledge(Cpu* c, uint32_t group) noexcept nogil
"""ICV_IARn_EL1."""
cdef int gic_signalled_group(Cpu* c) noexcept nogil
"""Group of the interrupt that is signalled; -1: none is."""
cdef uint32_t gic_peek(Cpu* c, uint32_t group) noexcept nogil
"""What gic_acknowledge() would return; nothing changes."""
cdef void gic_end(Cpu* c, uint32_t intid, bint group0, bint group1) noexcept nogil
"""End of interrupt, of one that is in these groups: ICV_EOIRn_EL1."""
cdef void gic_deactivate(Cpu* c, uint32_t intid) noexcept nogil
"""ICV_DIR_EL1"""
cdef uint32_t gic_running_priority(Cpu* c) noexcept nogil
"""ICV_RPR_EL1"""
cdef uint32_t gic_get_bpr(Cpu* c, uint32_t group) noexcept nogil
"""ICV_BPRn_EL1"""
cdef void gic_set_bpr(Cpu* c, uint32_t group, uint32_t value) noexcept nogil
cdef void gic_set_vmcr(Cpu* c, uint64_t value) noexcept nogil
"""ICH_VMCR_EL2. Its fields are those of PMR, BPR, CTLR, IGRPEN: there is no other copy of them."""
cdef void gic_set_list_register(Cpu* c, uint32_t n, uint64_t value) noexcept nogil
"""ICH_LRn_EL2, without gic_update()."""
cdef uint64_t gic_eisr(const Cpu* c) noexcept nogil
"""ICH_EISR_EL2"""
cdef uint64_t gic_elrsr(const Cpu* c) noexcept nogil
"""ICH_ELRSR_EL2"""
cdef uint64_t gic_misr(const Cpu* c) noexcept nogil
"""ICH_MISR_EL2"""
