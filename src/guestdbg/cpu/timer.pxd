# cython: language_level=3
from libc.stdint cimport uint64_t, uint32_t
from guestdbg.cpu.core cimport Cpu, Insn

cdef uint64_t counter(Cpu* c, uint64_t count) noexcept nogil
"""CNTPCT_EL0 when `count` instructions have retired (or from the host's clock)."""
cdef bint timer_output(Cpu* c, bint virtual, uint64_t count) noexcept nogil
"""ENABLE and not IMASK and the condition is met."""
cdef bint timer_met(Cpu* c, bint virtual, uint64_t count) noexcept nogil
"""ENABLE and the condition is met: CNTx_CTL_EL0.ISTATUS."""
cdef uint64_t timer_ticks(Cpu* c, uint64_t count) noexcept nogil
"""Counter ticks until an enabled, unmasked timer that is not met will be; ~0: never."""
cdef uint64_t timer_deadline(Cpu* c, uint64_t count) noexcept nogil
"""Instruction count at which an enabled, unmasked timer will be met; ~0: never (or met already).
With the host's clock it is the count at which to check again."""
cdef bint timer_warp(Cpu* c, uint64_t count) noexcept nogil
"""Virtual time jumps to where the next enabled, unmasked timer is met. False: there is none to
wait for, one is met already, or time follows the host's clock."""
