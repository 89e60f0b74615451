# cython: language_level=3
"""Where a guest's control goes: records of calls, returns, exceptions and contexts (flow_trace.pyx)."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Block, Cpu, Insn
from guestdbg.cpu.coverage cimport CacheHead

cdef enum:
    EXIT_TRACE = 9         # see core.pxd: a buffer is full
    TRACE_FULL = 64        # of Cpu.signals: it is

    # What is recorded: a set.
    FLOW_CALLS = 1         # and returns
    FLOW_EXCEPTIONS = 2    # taken to EL1, and returned from
    FLOW_CONTEXTS = 4      # writes of CONTEXTIDR_EL1, TTBR0_EL1, SP_EL0

    # Kinds of records.
    KIND_CALL = 0
    KIND_RETURN = 1
    KIND_EXCEPTION = 2
    KIND_EXCEPTION_RETURN = 3
    KIND_CONTEXT = 4

    # Registers of KIND_CONTEXT.
    CONTEXT_CONTEXTIDR_EL1 = 0
    CONTEXT_TTBR0_EL1 = 1
    CONTEXT_SP_EL0 = 2

    FLOW_WORDS = 6         # 64-bit words of a record: flow_trace.pyx
    FLOW_ARGUMENTS = 8     # more words of each record of a trace with arguments: X0 to X7
    # Records for which there is room when the buffer counts as full: the rest of a block, and the exceptions
    # that follow each other while no instruction retires (run_loop() ends after 1000 of them).
    FLOW_SLACK = 2048

cdef struct Flow:          # of one trace; the processors of a VM share it
    uint64_t* records
    uint64_t words         # of a record
    uint64_t capacity      # records, without the slack
    uint64_t count
    uint64_t lost          # for which there was no room
    uint32_t what          # FLOW_*
    uint64_t first         # a record's time is not less than this,
    uint64_t stop          # and not more than this
    bint reached           # something would have been recorded after `stop`
    uint64_t nanoseconds   # of the last record


cdef inline Flow* flow_of(const Cpu* c) noexcept nogil:
    """NULL: nothing is recorded."""
    return <Flow*>(<CacheHead*>c.cache).flow

cdef void flow_hook(Cpu* c, Block* b, bint ends) noexcept nogil
"""Put hooks into a block that has been decoded, with all else that replaces functions of its instructions except
coverage's. ends: its last instruction may branch."""

cdef void flow_exception(Cpu* c, uint64_t ret, uint32_t esr, uint32_t vector) noexcept nogil
"""An exception to EL1 has been taken."""

cdef void flow_exception_return(Cpu* c, uint64_t source) noexcept nogil

cdef void flow_emulated(Cpu* c, uint64_t detail, uint64_t value) noexcept nogil
"""The owner is about to write a context register for the instruction at c.pc, which was trapped."""

cdef void flow_start(Cpu* c, Flow* w, uint32_t number) noexcept nogil
"""Record from here on; NULL: no more, for now or for ever."""

cdef void flow_begin(Cpu* c) noexcept nogil
"""This processor runs next, or its owner changes it. How long have the others run, and is the buffer full?"""

cdef class FlowBuffer:
    cdef Flow f
    cdef readonly object error
    cdef object sink

    cdef int drain(self) except -1
