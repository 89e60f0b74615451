# cython: language_level=3
"""What each instruction did: records with the registers that it changed and the accesses that it made.

While something is to be recorded, the run loop executes instructions one at a time, each in a block of its own; before
the trace's first instruction and after its last one it does what it always does (log_window). What is in registers afterwards is compared with what was there before. Every page counts as watched then (dbg_watched), so
all accesses take the slow path, which notes them.

The processors of a VM write to one buffer, in the order of time, because their owner runs one of them at a time.
When it is full the run loop is left (EXIT_TRACE), and the owner gives the records to their sink.

A record, little-endian and without padding:

  uint16   bytes of the record, these included
  uint8    what it is: a set of RECORD_*. RECORD_HOST has only registers: those that the owner has written
  uint8    number of the processor
  uint8    exception level before it
  uint8    how many registers follow
  uint8    how many accesses follow then
  uint8    of an exception its place in the vector table: 0 synchronous, 1 IRQ, 2 FIQ, 3 SError; else 0
  uint32   the encoding; of an exception, ESR_EL1, 0 for an interrupt
  uint64   instructions that all processors have retired, this one included where it retires
  uint64   address of the instruction; of an exception, the preferred return address
  registers: uint8 number, and uint64 value: 0 to 30 are X0 to X30, 31 is SP, 32 NZCV as in SPSR, 33 FPSR; or
           64 to 95: V0 to V31, whose value is two uint64, the low half first
  accesses: uint8 size | 128 for a write, uint64 address, and of up to 16 bytes the value, in as many bytes. A size
           of 0 means that a uint16 with the size follows the address: so many bytes have been zeroed (DC ZVA)
  of an exception: uint64 address of its vector
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy
from cpython.bytes cimport PyBytes_FromStringAndSize
from guestdbg.cpu.core cimport get_nzcv, retired, SP, unlikely, ZR
from guestdbg.cpu.operands cimport encoding
from guestdbg.cpu.tlb cimport tlb_forget_all_data

cdef enum:
    RECORD_RETIRED = 1
    RECORD_EMULATED = 2    # by the owner: it was trapped, or the access was to a device
    RECORD_EXCEPTION = 4   # no instruction: an exception to EL1 was taken
    RECORD_HOST = 8        # no instruction: the owner has changed registers, for a hypervisor call for example

    HEAD = 28
    NZCV = 32
    FPSR = 33
    V = 64
    # The longest record, and the exceptions that follow each other while no instruction retires.
    SLACK = 65536
    EC_DABT = 0x24


cdef inline uint8_t* put(uint8_t* p, const void* value, uint64_t size) noexcept nogil:
    memcpy(p, value, size)
    return p + size


cdef inline uint8_t* put_register(uint8_t* p, uint8_t number, uint64_t value) noexcept nogil:
    p[0] = number
    return put(p + 1, &value, 8)


cdef uint64_t time_of(Cpu* c, CpuLog* w, uint64_t count) noexcept nogil:
    return count + (<CacheHead*>c.cache).others


cdef uint8_t* begin_record(Cpu* c, CpuLog* w, uint64_t count) noexcept nogil:
    """Where a record of this time goes; NULL: it is not recorded."""
    cdef InsnLog* g = w.log
    cdef uint64_t time = time_of(c, w, count)
    if time < g.first:
        return NULL
    if unlikely(time > g.stop):
        g.reached = True
        return NULL
    if unlikely(g.used >= g.capacity + SLACK - 4096):
        g.lost += 1
        return NULL
    return g.bytes + g.used


cdef void end_record(Cpu* c, CpuLog* w, uint8_t* start, uint8_t* end, uint32_t what, uint32_t registers,
                     uint32_t accesses, uint32_t vector, uint32_t el, uint32_t raw, uint64_t count,
                     uint64_t pc) noexcept nogil:
    cdef uint16_t size = <uint16_t>(end - start)
    cdef uint64_t time = time_of(c, w, count)
    memcpy(start, &size, 2)
    start[2] = <uint8_t>what
    start[3] = <uint8_t>w.number
    start[4] = <uint8_t>el
    start[5] = <uint8_t>registers
    start[6] = <uint8_t>accesses
    start[7] = <uint8_t>vector
    memcpy(start + 8, &raw, 4)
    memcpy(start + 12, &time, 8)
    memcpy(start + 20, &pc, 8)
    w.log.used += size


cdef void log_settle(Cpu* c, CpuLog* w) noexcept nogil:
    memcpy(w.x, c.x, sizeof(w.x))
    memcpy(w.v, c.v, sizeof(w.v))
    w.nzcv = get_nzcv(c)
    w.fpsr = c.fpsr
    w.open = False


cdef uint64_t log_window(Cpu* c) noexcept nogil:
    cdef CacheHead* head = <CacheHead*>c.cache
    cdef CpuLog* w = <CpuLog*>(head.log if head.log != NULL else head.waiting)
    cdef uint64_t time
    cdef bint on
    if w == NULL:
        return ~<uint64_t>0
    time = time_of(c, w, retired(c))
    # An exception has the time of the instruction before it: so until the one after the last.
    on = time + 1 >= w.log.first and time <= w.log.stop
    if on != (head.log != NULL):
        if on:
            log_settle(c, w)
        head.log = w if on else NULL
        head.waiting = NULL if on else w
        # All accesses take the slow path, or need not any more.
        tlb_forget_all_data(c)
    return ~<uint64_t>0 if on or time > w.log.stop else w.log.first - 1 - time


cdef void log_begin(Cpu* c, CpuLog* w, const Insn* i) noexcept nogil:
    w.open = True
    w.pc = c.pc
    w.encoding = encoding(i)
    w.el = c.el
    w.count = 0
    w.taken = False


cdef void log_access(CpuLog* w, uint64_t va, uint64_t size, bint write, uint64_t lo, uint64_t hi) noexcept nogil:
    cdef Access* a
    if not w.open or w.count >= MOST_ACCESSES:
        return
    a = &w.accesses[w.count]
    w.count += 1
    a.va = va
    a.size = <uint32_t>size
    a.write = write
    a.value[0] = lo
    a.value[1] = hi


cdef uint8_t* put_accesses(CpuLog* w, uint8_t* p) noexcept nogil:
    cdef uint32_t n
    cdef uint16_t size
    cdef Access* a
    for n in range(w.count):
        a = &w.accesses[n]
        if a.size <= LARGEST:
            p[0] = <uint8_t>(a.size | (128 if a.write else 0))
            p = put(p + 1, &a.va, 8)
            p = put(p, a.value, a.size)
        else:
            size = <uint16_t>a.size
            p[0] = 128 if a.write else 0
            p = put(p + 1, &a.va, 8)
            p = put(p, &size, 2)
    return p


cdef uint8_t* put_registers(Cpu* c, CpuLog* w, uint8_t* p, uint32_t* count, bint vectors) noexcept nogil:
    """Those that have changed; those of SIMD and FP only if they can have."""
    cdef uint32_t n, k, nzcv
    for n in range(0, 32, 8):
        if memcmp(&c.x[n], &w.x[n], 64) != 0:
            for k in range(n, n + 8):
                if c.x[k] != w.x[k] and k != ZR:
                    w.x[k] = c.x[k]
                    p = put_register(p, <uint8_t>k, c.x[k])
                    count[0] += 1
    if c.x[SP] != w.x[SP]:
        w.x[SP] = c.x[SP]
        p = put_register(p, ZR, c.x[SP])
        count[0] += 1
    nzcv = get_nzcv(c)
    if nzcv != w.nzcv:
        w.nzcv = nzcv
        p = put_register(p, NZCV, nzcv)
        count[0] += 1
    if c.fpsr != w.fpsr:
        w.fpsr = c.fpsr
        p = put_register(p, FPSR, c.fpsr)
        count[0] += 1
    if vectors and memcmp(c.v, w.v, sizeof(w.v)) != 0:
        for n in range(32):
            if c.v[2 * n] != w.v[2 * n] or c.v[2 * n + 1] != w.v[2 * n + 1]:
                w.v[2 * n] = c.v[2 * n]
                w.v[2 * n + 1] = c.v[2 * n + 1]
                p[0] = <uint8_t>(V + n)
                p = put(p + 1, &c.v[2 * n], 16)
                count[0] += 1
    return p


cdef void log_end(Cpu* c, CpuLog* w, bint retired_now) noexcept nogil:
    cdef uint8_t* start
    cdef uint8_t* p
    cdef uint32_t registers = 0
    if not w.open:
        return
    w.open = False
    if retired_now or w.taken:
        start = begin_record(c, w, retired(c))
        if start == NULL:
            log_settle(c, w)
            return
        p = start + HEAD
        if retired_now:
            # Bit 26 is set in what works with SIMD and FP registers, and in some branches.
            p = put_registers(c, w, p, &registers, w.encoding >> 26 & 1)
            p = put_accesses(w, p)
        else:
            w.count = 0            # what was accessed has no effect: it will be executed again
        end_record(c, w, start, p, RECORD_RETIRED if retired_now else 0, registers, w.count, 0, w.el, w.encoding,
                   retired(c), w.pc)
    if w.taken:
        w.taken = False
        put_exception(c, w, w.ret, w.esr, w.vector)


cdef void log_exception(Cpu* c, CpuLog* w, uint64_t ret, uint32_t esr, uint32_t vector) noexcept nogil:
    if w.open:
        w.taken = True
        w.ret = ret
        w.esr = esr
        w.vector = vector
    else:
        w.el = c.el
        put_exception(c, w, ret, esr, vector)


cdef void put_exception(Cpu* c, CpuLog* w, uint64_t ret, uint32_t esr, uint32_t vector) noexcept nogil:
    cdef uint8_t* start = begin_record(c, w, retired(c))
    if start != NULL:
        # The vector says whether it came from EL0 (D1.3.1).
        end_record(c, w, start, put(start + HEAD, &c.pc, 8), RECORD_EXCEPTION, 0, 0, vector >> 7,
                   0 if c.pc & 0x400 else 1, esr if vector == 0 or vector == 0x180 else 0, retired(c), ret)
    w.x[SP] = c.x[SP]              # now the one of EL1


cdef void log_emulated(Cpu* c, CpuLog* w) noexcept nogil:
    """Of registers, only that which it names can have changed by it: the owner's other changes are not its own."""
    cdef uint32_t rt, iss, size = 0
    cdef uint64_t count = retired(c) + 1, value
    cdef uint32_t registers = 0
    cdef bint is_access = (c.esr_el2 >> 26) == EC_DABT and c.esr_el2 >> 24 & 1
    cdef uint8_t* start = begin_record(c, w, count)
    cdef uint8_t* p
    if start == NULL:
        log_settle(c, w)
        return
    p = start + HEAD
    # The instruction was begun, and left: its address and encoding are known.
    rt = w.encoding & 31
    w.count = 0
    if w.pc != c.pc:
        w.encoding = 0                  # it was left before this trace began
    elif rt != 31 and c.x[rt] != w.x[rt]:
        w.x[rt] = c.x[rt]
        p = put_register(p, <uint8_t>rt, c.x[rt])
        registers = 1
    if is_access and w.pc == c.pc:
        iss = <uint32_t>c.esr_el2
        size = 1 << (iss >> 22 & 3)
        rt = iss >> 16 & 31
        value = 0 if rt == 31 else c.x[rt]
        w.open = True
        log_access(w, c.far_el2, size, iss >> 6 & 1, value, 0)
        w.open = False
        p = put_accesses(w, p)
    end_record(c, w, start, p, RECORD_RETIRED | RECORD_EMULATED, registers, w.count, 0, c.el, w.encoding, count, c.pc)


cdef void log_owner(Cpu* c, CpuLog* w) noexcept nogil:
    cdef uint8_t* start = begin_record(c, w, retired(c))
    cdef uint8_t* p
    cdef uint32_t registers = 0
    if start == NULL:
        log_settle(c, w)
        return
    p = put_registers(c, w, start + HEAD, &registers, True)
    if registers:
        end_record(c, w, start, p, RECORD_HOST, registers, 0, 0, c.el, 0, retired(c), c.pc)


# ---- as a Python object -----------------------------------------------------------------------

cdef class InstructionBuffer:
    """The records of a trace, which the processors of one VM write, until they are given to the sink.

    sink: is called with bytes, whole records. If it raises an exception, that is `error`, and nothing is recorded
    any more. Only what has a time after `start` and not after `stop` is recorded.
    """

    def __cinit__(self, sink, *, uint64_t capacity=1 << 20, start=None, stop=None):
        if not 0 < capacity <= 1 << 28:
            raise ValueError(f"{capacity} bytes: a buffer has 1 to {1 << 28}")
        self.sink = sink
        self.error = None
        self.w.capacity = capacity
        self.w.stop = ~<uint64_t>0 if stop is None else stop
        self.w.first = 0 if start is None else start + 1
        self.w.bytes = <uint8_t*>malloc(capacity + SLACK)
        if self.w.bytes == NULL:
            raise MemoryError("the buffer of a trace")

    def __dealloc__(self):
        free(self.w.bytes)

    cdef int drain(self) except -1:
        cdef uint64_t used = self.w.used
        if not used:
            return 0
        data = PyBytes_FromStringAndSize(<char*>self.w.bytes, used)
        self.w.used = 0
        if self.error is not None:
            return 0
        try:
            self.sink(data)
        except Exception as error:
            self.error = error
            self.w.stop = 0       # no time is before it
        return 0

    def flush(self):
        """Give the records that there are to the sink. No processor may run."""
        self.drain()

    @property
    def lost(self):
        """How many records there was no room for."""
        return self.w.lost

    @property
    def reached(self):
        """Whether the guest has come past `stop`."""
        return bool(self.w.reached)
