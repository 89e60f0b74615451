# cython: language_level=3
from libc.stdint cimport uint64_t, uint32_t
from guestdbg.cpu.core cimport Cpu, Insn

cdef void dbg_changed(Cpu* c) noexcept nogil
"""After any write of a debug register, MDSCR_EL1, the OS Locks, MDCR_EL2 or CONTEXTIDR_EL1:
recompute what is derived from them, drop the TLB pages and blocks that this concerns."""

cdef void dbg_tables_changed(Cpu* c, uint32_t watches) noexcept nogil
"""After the filters of these watchpoints, as a mask, or of breakpoints have changed, and before
dbg_changed()."""

cdef uint32_t dbg_watched(Cpu* c, uint64_t va, uint64_t size) noexcept nogil
"""ACC_READ | ACC_WRITE: which accesses to the naturally aligned block of size (a power of two, 8 at
least) bytes around va some live watchpoint might match."""

cdef bint dbg_watch(Cpu* c, uint64_t va, uint64_t size, uint32_t flags) noexcept nogil
"""Does the access (ACC_READ, ACC_WRITE, ACC_UNPRIV, ...) match a watchpoint, and is the exception enabled at
this EL and PSTATE? Then c.wp_far is the address to report."""

cdef void dbg_raise_watchpoint(Cpu* c, const Insn* i, uint32_t flags) noexcept nogil
"""Raise the watchpoint exception found by dbg_watch, to EL2 or EL1 as MDCR_EL2.TDE says."""

cdef bint dbg_block_has_breakpoint(Cpu* c, uint64_t pc) noexcept nogil
"""At decoding: may a live breakpoint match at this address (whatever the EL)? Then bp_check goes there."""

cdef bint dbg_breakpoint_matches(Cpu* c, uint64_t pc) noexcept nogil
"""Does a breakpoint match here and now, its exception enabled?"""

cdef void dbg_take_breakpoint(Cpu* c) noexcept nogil
"""Take the breakpoint exception at c.pc, to EL2 or EL1 as MDCR_EL2.TDE says."""

cdef bint dbg_step_pending(Cpu* c) noexcept nogil
"""Software step active-pending: the exception has been taken."""

cdef bint dbg_stepping(Cpu* c) noexcept nogil
"""Software step active-not-pending: execute one instruction."""

cdef uint32_t dbg_eret_ss(Cpu* c, uint64_t spsr) noexcept nogil
"""PSTATE.SS after an exception return from c's EL to spsr's: 0 or 1."""

cdef void dbg_brk(Cpu* c, const Insn* i, uint32_t imm16) noexcept nogil
"""BRK #imm16: to EL2 if MDCR_EL2.TDE, else EL1."""
