# cython: language_level=3
from libc.stdint cimport uint64_t, uint32_t
from guestdbg.cpu.core cimport Cpu, Insn

cdef uint64_t counter(Cpu* c, uint64_t count) noexcept nogil
"""CNTPCT_EL0 when `count` instructions have retired (or by the host's clock)."""
cdef bint timer_output(Cpu* c, bint virtual, uint64_t count) noexcept nogil
"""ENABLE and not IMASK and the condition is met."""
cdef uint64_t timer_deadline(Cpu* c, uint64_t count) noexcept nogil
"""Instruction count at which an enabled, unmasked timer will be met; ~0: never (or met already)."""
