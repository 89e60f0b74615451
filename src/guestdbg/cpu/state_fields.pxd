# cython: language_level=3
from guestdbg.cpu.core cimport Cpu

cdef bytes serialized(const Cpu* c)
"""The fields of a state, by name; see ProcessorState.serialize()."""
cdef int parse_into(Cpu* c, const Cpu* own, bytes data) except -1
"""Set the fields of `c` from serialize(). `own` is the processor that the state is for. ValueError: the
data is damaged, of another version, or of another processor."""
