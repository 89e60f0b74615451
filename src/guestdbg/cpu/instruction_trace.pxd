# cython: language_level=3
"""What each instruction did: records with registers and accesses (instruction_trace.pyx)."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn
from guestdbg.cpu.coverage cimport CacheHead

cdef enum:
    MOST_ACCESSES = 80     # of one instruction: LD4 of bytes makes 64, one for each element
    LARGEST = 16           # bytes of an access whose value is recorded

cdef struct Access:
    uint64_t va
    uint64_t value[2]
    uint32_t size
    bint write

cdef struct InsnLog:       # of one trace; the processors of a VM share it
    uint8_t* bytes
    uint64_t used
    uint64_t capacity      # without the slack
    uint64_t lost          # records for which there was no room
    uint64_t first         # a record's time is not less than this,
    uint64_t stop          # and not more than this
    bint reached           # something would have been recorded after `stop`

cdef struct CpuLog:        # of one processor
    InsnLog* log
    uint32_t number        # of the processor, in records
    # Registers as they were after the last instruction:
    uint64_t x[34]
    uint64_t v[64]
    uint32_t nzcv
    uint32_t fpsr
    # The instruction that is being executed:
    bint open
    uint64_t pc
    uint32_t encoding
    uint32_t el
    uint32_t count         # accesses
    Access accesses[MOST_ACCESSES]
    # and the exception that it took to EL1:
    bint taken
    uint64_t ret
    uint32_t esr
    uint32_t vector


cdef inline CpuLog* log_of(const Cpu* c) noexcept nogil:
    """NULL: nothing is recorded."""
    return <CpuLog*>(<CacheHead*>c.cache).log

cdef inline bint log_is_full(const CpuLog* w) noexcept nogil:
    return w.log.used >= w.log.capacity

cdef uint64_t log_window(Cpu* c) noexcept nogil
"""Begin to record if the next instruction is to be recorded, or cease. Returns after how many instructions this
must be called again; recording, it is called after each."""

cdef void log_begin(Cpu* c, CpuLog* w, const Insn* i) noexcept nogil
"""The instruction is about to be executed, alone."""

cdef void log_end(Cpu* c, CpuLog* w, bint retired) noexcept nogil
"""It has been executed, or has taken an exception."""

cdef void log_access(CpuLog* w, uint64_t va, uint64_t size, bint write, uint64_t lo, uint64_t hi) noexcept nogil
"""It has made an access. lo, hi: the value; of more than 16 bytes it is zero."""

cdef void log_exception(Cpu* c, CpuLog* w, uint64_t ret, uint32_t esr, uint32_t vector) noexcept nogil
"""An exception to EL1 has been taken."""

cdef void log_emulated(Cpu* c, CpuLog* w) noexcept nogil
"""The owner has executed the instruction at c.pc, whose registers have been written; c.pc has not."""

cdef void log_owner(Cpu* c, CpuLog* w) noexcept nogil
"""The owner may have changed registers since the last run."""

cdef void log_settle(Cpu* c, CpuLog* w) noexcept nogil
"""Begin with the registers as they are."""

cdef class InstructionBuffer:
    cdef InsnLog w
    cdef readonly object error
    cdef object sink

    cdef int drain(self) except -1
