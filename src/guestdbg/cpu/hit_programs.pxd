# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.conditions cimport *
from guestdbg.cpu.core cimport Cpu

cdef struct Programs:
    uint32_t count
    Program program[32]
    uint32_t plain_count   # watched ranges without a program: their hits go to EL2 as usual
    uint64_t plain_address[64]
    uint64_t plain_end[64]
    Hidden hidden
    # the hit that stopped the run
    uint32_t stopped       # programs whose hit it is
    uint32_t full          # recording programs whose buffer is full
    uint64_t pc
    uint64_t address
    uint64_t size
    uint32_t access

cdef bint run_hit_programs(Cpu* c) noexcept nogil
"""run() is about to return for an exception to EL2. If it is a hit of a program: make the access, decide,
and return True (the run continues, or c.exit is EXIT_HIT)."""
