# cython: language_level=3
from libc.stdint cimport uint64_t, uint32_t
from guestdbg.cpu.core cimport Cpu, Insn

cdef bint sysreg_read(Cpu* c, uint32_t enc, uint64_t* value) noexcept
"""The register's value, past all traps, for the Python face. enc = op0<<14|op1<<11|CRn<<7|CRm<<3|op2.
False: no such register."""
cdef bint sysreg_write(Cpu* c, uint32_t enc, uint64_t value) noexcept
"""Set the register as EL2 would (ID registers too: that is how a VM is configured), with the side
effects on translation, timers and debug. False: no such register."""
