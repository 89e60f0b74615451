# cython: language_level=3
from libc.stdint cimport uint64_t
from guestdbg.cpu.core cimport Cpu

cdef class ProcessorState:
    cdef bytes data
    cdef object owner

cdef ProcessorState state_of(Cpu* c, object owner)
"""All of it; see Processor.save_state()."""
cdef void put_state(Cpu* c, ProcessorState state, uint64_t ticks) noexcept
"""Make it what it was; see Processor.restore_state(). The state is its own."""
