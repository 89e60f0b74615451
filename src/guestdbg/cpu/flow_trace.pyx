# cython: language_level=3
"""Where a guest's control goes: records of calls, returns, exceptions and contexts.

While a trace is on, blocks that are decoded are a variant of their own, in which a hook replaces the function of
a branch with link or of a return at the end of the block, and of an MSR to a context register. It writes a
record and goes on to that function. Exceptions and their returns are recorded where they are taken. A
processor without a trace executes nothing of this but a test at each exception and exception return.

The processors of a VM write to one buffer, which is in the order of time then: their owner runs one of them at a
time. A record of a full buffer has the run loop left after this block (TRACE_FULL in Cpu.signals, EXIT_TRACE). The
owner gives the records to their sink and goes on. There is room for what comes until then (FLOW_SLACK).

A record has FLOW_WORDS native 64-bit words, and X0 to X7 at a call follow with arguments:

  time          instructions that all processors have retired, this one included where it retires
  nanoseconds   of the virtual counter
  source        address of the instruction; of an interrupt, the preferred return address
  target        where execution goes on; 0 for a context
  value         SP after a call or before a return; ESR_EL1, 0 for an interrupt; what is written to the register
  what it is    kind | EL afterwards << 8 | detail << 16 | number of the processor << 32. The detail of an
                exception is its place in the vector table: 0 synchronous, 1 IRQ, 2 FIQ, 3 SError; that of a
                context is a CONTEXT_*
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from cpython.bytes cimport PyBytes_FromStringAndSize
from guestdbg.cpu.core cimport (
    block_of, branch_address, count_at, decode, likely, Op, pc_of, retired, SP, sp_bank, unlikely,
)
from guestdbg.cpu.coverage cimport Hook
from guestdbg.cpu.exception cimport EC_SVC64
from guestdbg.cpu.operands cimport aux, encoding, imm, xm, xn
from guestdbg.cpu.pointer_auth cimport auth, KEY_IA, KEY_IB, key_enabled
from guestdbg.cpu.register_bits cimport HCR_API
from guestdbg.cpu.sysreg cimport Reg
from guestdbg.cpu.sysreg_traps cimport ALLOWED, denied
from guestdbg.cpu.timer cimport counter
from guestdbg.cpu.tlb cimport flush_jumps

cdef extern from *:
    """
    /* The last statement of a function: the instruction's own function, with the same arguments. */
    #define GO_ON(c, i, function, value) do { GUESTDBG_TAIL (function)((c), (i), (value)); } while (0)
    """
    void GO_ON(Cpu* c, const Insn* i, Op function, uint64_t value) nogil

# Functions of the decode table, the same for all processors.
cdef void* msr_of_ttbr0 = NULL
cdef void* msr_of_contextidr = NULL
cdef void* msr_of_sp_el0 = NULL


# ---- records ----------------------------------------------------------------------------------

cdef uint64_t nanoseconds_of(Cpu* c, Flow* w, uint64_t count) noexcept nogil:
    """The virtual counter has ticks of 16 ns; without the host's clock the instructions say where in a tick."""
    cdef uint64_t now = (counter(c, count) - c.cntvoff_el2) << 4
    if not c.clock_host:
        now |= count & 15
    # The counters of several processors are one to within a tick.
    if now < w.nanoseconds:
        return w.nanoseconds
    w.nanoseconds = now
    return now


cdef uint64_t* new_record(Cpu* c, Flow* w, uint64_t count) noexcept nogil:
    """A record of something after which this processor has retired so many instructions; NULL: it does not count."""
    cdef uint64_t time = count + (<CacheHead*>c.cache).others
    cdef uint64_t* r
    if time < w.first:
        return NULL
    if unlikely(time > w.stop):
        w.reached = True
        return NULL
    if unlikely(w.count >= w.capacity):
        c.signals |= TRACE_FULL
        if w.count >= w.capacity + FLOW_SLACK:
            w.lost += 1
            return NULL
    r = w.records + w.count * w.words
    memset(r, 0, w.words * sizeof(uint64_t))   # what is not a call has no arguments
    w.count += 1
    r[0] = time
    r[1] = nanoseconds_of(c, w, count)
    return r


cdef inline void last_block(Cpu* c) noexcept nogil:
    """If the buffer is full, no other block is entered after this one."""
    if unlikely(c.signals & TRACE_FULL):
        c.end_count -= <uint64_t>c.budget
        c.budget = 0


cdef inline uint64_t what_it_is(const Cpu* c, uint64_t kind, uint64_t detail) noexcept nogil:
    return kind | <uint64_t>c.el << 8 | detail << 16 | <uint64_t>(<CacheHead*>c.cache).number << 32


cdef void transfer(Cpu* c, Flow* w, uint64_t kind, uint64_t source, uint64_t target) noexcept nogil:
    """A call or return, at the end of its block."""
    cdef uint64_t* r = new_record(c, w, retired(c))
    cdef int n
    last_block(c)
    if r == NULL:
        return
    r[2] = source
    r[3] = target
    r[4] = c.x[SP]
    r[5] = what_it_is(c, kind, 0)
    if w.words > FLOW_WORDS:
        for n in range(FLOW_ARGUMENTS):
            r[FLOW_WORDS + n] = c.x[n]


cdef void context_written(Cpu* c, uint64_t source, uint64_t detail, uint64_t value, uint64_t count) noexcept nogil:
    cdef Flow* w = flow_of(c)
    cdef uint64_t* r = new_record(c, w, count)
    last_block(c)
    if r == NULL:
        return
    r[2] = source
    r[3] = 0
    r[4] = value
    r[5] = what_it_is(c, KIND_CONTEXT, detail)


cdef void flow_exception(Cpu* c, uint64_t ret, uint32_t esr, uint32_t vector) noexcept nogil:
    cdef Flow* w = flow_of(c)
    cdef uint64_t* r
    if not w.what & FLOW_EXCEPTIONS:
        return
    r = new_record(c, w, retired(c))
    if r == NULL:
        return
    # The preferred return address of an SVC is the instruction after it.
    r[2] = ret - 4 if vector == 0 and esr >> 26 == EC_SVC64 else ret
    r[3] = c.pc
    r[4] = esr if vector == 0 or vector == 0x180 else 0
    r[5] = what_it_is(c, KIND_EXCEPTION, vector >> 7)


cdef void flow_exception_return(Cpu* c, uint64_t source) noexcept nogil:
    cdef Flow* w = flow_of(c)
    cdef uint64_t* r
    if not w.what & FLOW_EXCEPTIONS:
        return
    r = new_record(c, w, retired(c))
    if r == NULL:
        return
    r[2] = source
    r[3] = c.pc
    r[4] = 0
    r[5] = what_it_is(c, KIND_EXCEPTION_RETURN, 0)


# ---- the hooks --------------------------------------------------------------------------------

cdef inline Op original(const Insn* i) noexcept nogil:
    """The function of the branch that ends the block."""
    return <Op>((<Hook*>block_of(i)) - 1).branch


cdef void trace_bl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef Flow* w = flow_of(c)
    cdef uint64_t pc = pc_of(i)
    if likely(w != NULL):
        transfer(c, w, KIND_CALL, pc, pc + <int64_t><int32_t>aux(i))
    GO_ON(c, i, original(i), last)


cdef void trace_call(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef Flow* w = flow_of(c)
    if likely(w != NULL):
        transfer(c, w, KIND_CALL, pc_of(i), branch_address(c, xn(c, i)))
    GO_ON(c, i, original(i), last)


cdef void trace_return(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef Flow* w = flow_of(c)
    if likely(w != NULL):
        transfer(c, w, KIND_RETURN, pc_of(i), branch_address(c, xn(c, i)))
    GO_ON(c, i, original(i), last)


cdef void authenticated(Cpu* c, const Insn* i, uint64_t kind) noexcept nogil:
    """BLRAA, RETAA and their variants; with HCR_EL2.API clear they are trapped, and do not retire."""
    cdef uint32_t key = KEY_IB if encoding(i) >> 10 & 1 else KEY_IA
    cdef uint64_t to = xn(c, i)
    cdef Flow* w = flow_of(c)
    if w == NULL:
        return
    if key_enabled(c, key):
        if not c.hcr_el2 & HCR_API:
            return
        to = auth(c, to, xm(c, i), key)
    transfer(c, w, kind, pc_of(i), branch_address(c, to))


cdef void trace_authenticated_call(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    authenticated(c, i, KIND_CALL)
    GO_ON(c, i, original(i), last)


cdef void trace_authenticated_return(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    authenticated(c, i, KIND_RETURN)
    GO_ON(c, i, original(i), last)


cdef inline bint written(Cpu* c, const Insn* i) noexcept nogil:
    """Neither trapped nor UNDEFINED."""
    return flow_of(c) != NULL and denied(c, <const Reg*>imm(i), False) == ALLOWED


cdef void trace_ttbr0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if written(c, i):
        context_written(c, pc_of(i), CONTEXT_TTBR0_EL1, xn(c, i), count_at(c, i) + 1)
    GO_ON(c, i, <Op>msr_of_ttbr0, last)


cdef void trace_contextidr(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if written(c, i):
        context_written(c, pc_of(i), CONTEXT_CONTEXTIDR_EL1, xn(c, i) & <uint64_t>0xFFFFFFFF, count_at(c, i) + 1)
    GO_ON(c, i, <Op>msr_of_contextidr, last)


cdef void trace_sp_el0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if sp_bank(c.el, c.spsel) and flow_of(c) != NULL:
        context_written(c, pc_of(i), CONTEXT_SP_EL0, xn(c, i), count_at(c, i) + 1)
    GO_ON(c, i, <Op>msr_of_sp_el0, last)


cdef Op hook_of_msr(uint32_t raw) noexcept nogil:
    cdef uint32_t register = raw & <uint32_t>0x0FFFFFE0
    if raw >> 28 != 0xD:
        return NULL
    if register == 0x05182000:
        return trace_ttbr0
    if register == 0x0518D020:
        return trace_contextidr
    if register == 0x05184100:
        return trace_sp_el0
    return NULL


cdef Op hook_of_branch(uint32_t raw) noexcept nogil:
    """BL, BLR, RET, BLRAA, BLRAB, BLRAAZ, BLRABZ, RETAA, RETAB (C4.1.65)"""
    if raw >> 26 == 0x25:
        return trace_bl
    if raw & <uint32_t>0xFFFFFC1F == <uint32_t>0xD63F0000:
        return trace_call
    if raw & <uint32_t>0xFFFFFC1F == <uint32_t>0xD65F0000:
        return trace_return
    if raw & <uint32_t>0xFEFFF800 == <uint32_t>0xD63F0800:
        return trace_authenticated_call
    if raw & <uint32_t>0xFFFFFBFF == <uint32_t>0xD65F0BFF:
        return trace_authenticated_return
    return NULL


cdef void flow_hook(Cpu* c, Block* b, bint ends) noexcept nogil:
    cdef Hook* h = (<Hook*>b) - 1
    cdef Insn* insns = <Insn*>(b + 1)
    cdef uint32_t n
    cdef uint32_t what = flow_of(c).what
    cdef Op hook
    if what & FLOW_CONTEXTS:
        for n in range(b.length):
            hook = hook_of_msr(encoding(&insns[n]))
            if hook != NULL:
                put_hook(b, insns, n, hook)
    n = b.length - 1
    hook = hook_of_branch(encoding(&insns[n])) if ends and what & FLOW_CALLS else NULL
    if hook != NULL:
        h.branch = <void*>b.originals[n] if b.originals != NULL else <void*>insns[n].f
        put_hook(b, insns, n, hook)


cdef inline void put_hook(Block* b, Insn* insns, uint32_t n, Op hook) noexcept nogil:
    if b.originals != NULL and b.originals[n] != insns[n].f:
        b.originals[n] = hook         # after the check for a breakpoint
    else:
        insns[n].f = hook


cdef void flow_begin(Cpu* c) noexcept nogil:
    cdef uint64_t others = 0
    cdef int n
    for n in range(c.phys.ncpus):
        if c.phys.cpus[n] != c:
            others += retired(c.phys.cpus[n])
    (<CacheHead*>c.cache).others = others
    if flow_of(c) != NULL and flow_of(c).count >= flow_of(c).capacity:
        c.signals |= TRACE_FULL


cdef void flow_emulated(Cpu* c, uint64_t detail, uint64_t value) noexcept nogil:
    if flow_of(c) != NULL and flow_of(c).what & FLOW_CONTEXTS:
        flow_begin(c)
        context_written(c, c.pc, detail, value, retired(c) + 1)


cdef void flow_start(Cpu* c, Flow* w, uint32_t number) noexcept nogil:
    cdef CacheHead* head = <CacheHead*>c.cache
    if w != NULL and msr_of_ttbr0 == NULL:
        look_up(c)
    if head.flow != w:
        head.flow = w
        head.number = number
        flush_jumps(c)


cdef void* function_of(Cpu* c, uint32_t raw) noexcept nogil:
    cdef Insn o
    memset(&o, 0, sizeof(o))
    o.raw = raw
    decode(c, &o, raw, 0)
    return <void*>o.f


cdef void look_up(Cpu* c) noexcept nogil:
    """The functions that hooks of MSR go on to."""
    global msr_of_ttbr0, msr_of_contextidr, msr_of_sp_el0
    msr_of_ttbr0 = function_of(c, <uint32_t>0xD5182000)
    msr_of_contextidr = function_of(c, <uint32_t>0xD518D020)
    msr_of_sp_el0 = function_of(c, <uint32_t>0xD5184100)


# ---- as a Python object -----------------------------------------------------------------------

cdef class FlowBuffer:
    """The records of a trace, which the processors of one VM write, until they are given to the sink.

    sink: is called with bytes, whole records. If it raises an exception, that is `error`, and nothing is recorded
    any more. what: a set of FLOW_*. Of what has a time, only that after `start` and not after `stop` is recorded.
    """

    def __cinit__(self, sink, *, uint32_t what, bint arguments=False, uint64_t capacity=16384,
                  start=None, stop=None):
        if not 0 < what <= (FLOW_CALLS | FLOW_EXCEPTIONS | FLOW_CONTEXTS):
            raise ValueError(f"what={what}: a set of 1 (calls), 2 (exceptions) and 4 (contexts)")
        if not 0 < capacity <= 1 << 24:
            raise ValueError(f"{capacity} records: a buffer has 1 to {1 << 24}")
        self.sink = sink
        self.error = None
        self.f.what = what
        self.f.words = FLOW_WORDS + (FLOW_ARGUMENTS if arguments else 0)
        self.f.capacity = capacity
        self.f.stop = ~<uint64_t>0 if stop is None else stop
        self.f.first = 0 if start is None else start + 1
        self.f.records = <uint64_t*>malloc((capacity + FLOW_SLACK) * self.f.words * 8)
        if self.f.records == NULL:
            raise MemoryError("the buffer of a trace")

    def __dealloc__(self):
        free(self.f.records)

    cdef int drain(self) except -1:
        cdef uint64_t count = self.f.count
        if not count:
            return 0
        data = PyBytes_FromStringAndSize(<char*>self.f.records, count * self.f.words * 8)
        self.f.count = 0
        if self.error is not None:
            return 0
        try:
            self.sink(data)
        except Exception as error:
            self.error = error
            self.f.stop = 0       # no time is before it
        return 0

    def flush(self):
        """Give the records that there are to the sink. No processor may run."""
        self.drain()

    @property
    def record_size(self):
        """Bytes of a record."""
        return self.f.words * 8

    @property
    def lost(self):
        """How many records there was no room for."""
        return self.f.lost

    @property
    def reached(self):
        """Whether the guest has come past `stop`."""
        return bool(self.f.reached)
