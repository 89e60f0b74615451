# cython: language_level=3
from libc.stdint cimport uint64_t
from guestdbg.cpu.core cimport Cpu

cdef class ProcessorState:
    cdef bytes data

cdef ProcessorState state_of(Cpu* c)
"""All of it; see Processor.save_state()."""
cdef void put_state(Cpu* c, ProcessorState state, uint64_t ticks) noexcept
"""Make it what it was; see Processor.restore_state(). difference() is None."""
cdef ProcessorState parsed_state(const Cpu* own, bytes data)
"""A state from serialize(), for this processor. ValueError: see parse_into()."""
cdef str difference(const Cpu* own, ProcessorState state)
"""Why it is no state for this processor; None: it is one."""
