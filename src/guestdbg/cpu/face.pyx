# cython: language_level=3
"""The processor's Python face: who holds a Processor is its EL2."""
cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from guestdbg.cpu.hits cimport *
from cpython.buffer cimport PyObject_GetBuffer, PyBuffer_Release, PyBUF_WRITABLE, PyBUF_SIMPLE
from guestdbg.cpu.core cimport *
from guestdbg.cpu.mmu cimport tlb_flush, translate
from guestdbg.cpu.debug cimport dbg_changed
from guestdbg.cpu.exception cimport take_el1, get_spsr, set_pstate
from guestdbg.cpu.timer cimport counter, timer_output, timer_ticks
from guestdbg.cpu.sysreg cimport sysreg_read, sysreg_write, sysreg_reset, sysreg_identify, sysreg_list


cdef class PhysicalMemory:
    """The physical address space of a VM: at most 64 regions, shared by its processors."""
    cdef Phys p
    cdef Py_buffer views[64]

    def __dealloc__(self):
        cdef int k
        for k in range(self.p.count):
            free(self.p.regions[k].code)
            PyBuffer_Release(&self.views[k])

    def map(self, int slot, uint64_t gpa, buffer, bint readonly=False):
        """Put a buffer (page-aligned length) at gpa, in place of what the slot held before.

        Raises ValueError for an address or a length that is not a multiple of 4096, an empty buffer,
        a range beyond 48 bits, an overlap with another slot, or a 65th region.
        """
        cdef Py_buffer view
        cdef int k
        cdef Region* r
        if gpa & 0xFFF:
            raise ValueError(f"guest address {gpa:#x} is not a multiple of 4096")
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        try:
            if view.len == 0 or view.len & 0xFFF:
                raise ValueError(f"{view.len} bytes of memory: must be a multiple of 4096 and not 0")
            if gpa >> 48 or (gpa + <uint64_t>view.len - 1) >> 48:
                raise ValueError(f"memory at {gpa:#x} reaches beyond 48 bits")
            for k in range(self.p.count):
                r = &self.p.regions[k]
                if r.slot != slot and gpa < r.gpa + r.size and r.gpa < gpa + <uint64_t>view.len:
                    raise ValueError(f"{gpa:#x} + {view.len:#x} overlaps slot {r.slot} at {r.gpa:#x} + {r.size:#x}")
            self.unmap(slot)
            if self.p.count == 64:
                raise ValueError("there are 64 regions already")
            r = &self.p.regions[self.p.count]
            r.code = <uint64_t*>calloc(<size_t>(view.len >> 12), 8)
            if r.code == NULL:
                raise MemoryError
        except BaseException:
            PyBuffer_Release(&view)
            raise
        r.gpa = gpa
        r.size = <uint64_t>view.len
        r.host = <uint8_t*>view.buf
        r.readonly = readonly
        r.slot = slot
        self.views[self.p.count] = view
        self.p.count += 1
        self.forget()

    def unmap(self, int slot):
        """Take a slot away; nothing happens if it holds nothing."""
        cdef int k
        for k in range(self.p.count):
            if self.p.regions[k].slot == slot:
                free(self.p.regions[k].code)
                PyBuffer_Release(&self.views[k])
                self.p.count -= 1
                self.p.regions[k] = self.p.regions[self.p.count]
                self.views[k] = self.views[self.p.count]
                self.forget()
                return

    cdef void forget(self) noexcept:
        cdef int k, n
        cdef Region* a
        cdef Region* b
        self.p.shared = False
        for k in range(self.p.count):
            a = &self.p.regions[k]
            for n in range(k):
                b = &self.p.regions[n]
                if <uint64_t>a.host < <uint64_t>b.host + b.size and <uint64_t>b.host < <uint64_t>a.host + a.size:
                    self.p.shared = True
        for k in range(self.p.ncpus):
            tlb_flush(self.p.cpus[k])
            drop_all_code(self.p.cpus[k])
            self.p.cpus[k].ex_open = 0

    def code_changed(self, uint64_t gpa, uint64_t length):
        """The caller wrote code into the memory: decoded instructions there are dropped."""
        cdef Cpu* c
        cdef int k
        cdef Region* r
        cdef uint64_t low, high, end
        if self.p.ncpus == 0:
            return
        end = ~<uint64_t>0 if length > ~<uint64_t>0 - gpa else gpa + length
        for k in range(self.p.count):
            r = &self.p.regions[k]
            low = max(gpa, r.gpa)
            high = min(end, r.gpa + r.size)
            if low < high:
                code_written(self.p.cpus[0], r, low - r.gpa, high - low)


cdef class HitPrograms:
    """Programs for hits, checked and made ready; see Processor.set_programs()."""
    cdef Programs k
    cdef Py_buffer buffers[32]

    def __cinit__(self, programs, plain=(), hidden=()):
        cdef Program* p
        cdef Step* s
        cdef uint32_t n, depth
        if len(programs) > MOST:
            raise ValueError(f"{len(programs)} hit programs: there can be {MOST}")
        if len(plain) > PLAIN:
            raise ValueError(f"{len(plain)} ranges without a program: there can be {PLAIN}")
        if len(hidden) > HIDDEN:
            raise ValueError(f"{len(hidden)} hidden words: there can be {HIDDEN}")
        for n, address in enumerate(hidden):
            self.k.hidden.address[n] = address
        self.k.hidden.count = len(hidden)
        for n, (address, end) in enumerate(plain):
            self.k.plain_address[n] = address
            self.k.plain_end[n] = end & 0xFFFFFFFFFFFFFFFF     # 0: where addresses end
        self.k.plain_count = len(plain)
        for kind, address, length, access, code, buffer, registers in programs:
            p = &self.k.program[self.k.count]
            if kind not in (KIND_WATCH, KIND_BREAK) or length < (1 if kind == KIND_WATCH else 0):
                raise ValueError(f"a hit program of kind {kind} for {length} bytes")
            p.kind = kind
            p.hidden = &self.k.hidden
            p.address = address
            p.length = length
            p.access = access
            p.scalar = kind == KIND_WATCH and length in (1, 2, 4, 8)
            if len(registers) > 16 or not all(0 <= r <= 30 for r in registers):
                raise ValueError("a record holds at most 16 of x0 to x30")
            p.nregisters = len(registers)
            for n, r in enumerate(registers):
                p.registers[n] = r
            if code is not None:
                load_condition(p, code)
            self.k.count += 1
            if buffer is not None:
                p.action = ACTION_RECORD
                PyObject_GetBuffer(buffer, &self.buffers[self.k.count - 1], PyBUF_SIMPLE | PyBUF_WRITABLE)
                p.buffer = <uint8_t*>self.buffers[self.k.count - 1].buf
                p.capacity = <uint64_t>self.buffers[self.k.count - 1].len // ((RECORD_WORDS + p.nregisters) * 8)
                if p.capacity == 0:
                    raise ValueError("the buffer is too small for one record")

    def __dealloc__(self):
        cdef uint32_t n
        for n in range(MOST):
            free(self.k.program[n].code)
            if self.k.program[n].buffer != NULL:
                PyBuffer_Release(&self.buffers[n])

    def __len__(self):
        return self.k.count

    def counts(self, uint32_t n):
        """(hits, hits whose condition held) of program n so far."""
        if n >= self.k.count:
            raise IndexError(f"program {n} of {self.k.count}")
        return self.k.program[n].seen, self.k.program[n].passed

    def set_counts(self, uint32_t n, uint64_t seen, uint64_t passed):
        if n >= self.k.count:
            raise IndexError(f"program {n} of {self.k.count}")
        self.k.program[n].seen = seen
        self.k.program[n].passed = passed

    def recorded(self, uint32_t n):
        """How many records of program n are in its buffer."""
        if n >= self.k.count:
            raise IndexError(f"program {n} of {self.k.count}")
        return self.k.program[n].used

    def clear(self, uint32_t n):
        """The records of program n were taken: its buffer is empty."""
        if n >= self.k.count:
            raise IndexError(f"program {n} of {self.k.count}")
        self.k.program[n].used = 0

    def full(self):
        """Programs, as a mask, whose buffer has no place left: at EXIT_HIT."""
        return self.k.full

    def hit(self):
        """What stopped the run with EXIT_HIT: (pc, address, size, access, hits); a hit is (program,
        decided, old bytes, new bytes or None). A hit without an entry in hits: a buffer is full."""
        cdef uint32_t n
        cdef Program* p
        found = []
        for n in range(self.k.count):
            if (self.k.stopped >> n) & 1:
                p = &self.k.program[n]
                found.append((n, bool(p.decided), PyBytes_FromStringAndSize(<char*>p.old, p.size),
                              PyBytes_FromStringAndSize(<char*>p.new, p.size) if p.written else None))
        return self.k.pc, self.k.address, self.k.size, self.k.access, found


cdef struct Held:
    # What belongs to the processor as it is and not to the guest: a snapshot leaves it alone.
    int kick
    void* programs
    uint64_t planted[64]
    uint32_t nplanted
    uint64_t was_wvr[16]
    uint64_t was_wcr[16]
    uint32_t was_wp_live


cdef void hold(const Cpu* c, Held* h) noexcept:
    h.kick = c.kick
    h.programs = c.programs
    memcpy(h.planted, c.planted, sizeof(h.planted))
    h.nplanted = c.nplanted
    memcpy(h.was_wvr, c.was_wvr, sizeof(h.was_wvr))
    memcpy(h.was_wcr, c.was_wcr, sizeof(h.was_wcr))
    h.was_wp_live = c.was_wp_live


cdef void give(Cpu* c, const Held* h) noexcept:
    c.kick = h.kick
    c.programs = h.programs
    memcpy(c.planted, h.planted, sizeof(h.planted))
    c.nplanted = h.nplanted
    memcpy(c.was_wvr, h.was_wvr, sizeof(h.was_wvr))
    memcpy(c.was_wcr, h.was_wcr, sizeof(h.was_wcr))
    c.was_wp_live = h.was_wp_live
    # Pointers: into the processor, or nobody's between runs.
    c.ip = NULL
    c.tlb = NULL
    c.line_tlb = NULL
    c.acc = NULL
    c.acc2 = NULL
    c.tr_host = 0


cdef class ProcessorState:
    """The whole state of a processor: see Processor.save_state()."""
    cdef bytes data
    cdef Processor owner

    def __init__(self):
        raise TypeError("a state comes from Processor.save_state()")

    def __bytes__(self):
        """Its bytes, to compare states: what both ran and what it left behind must be the same."""
        return self.data


# no_gc_clear: when a cycle is collected, __dealloc__ still needs the memory to leave its list.
@cython.no_gc_clear
cdef class Processor:
    """One Armv8-A processing element at EL0 and EL1; whoever holds it is EL2."""
    cdef Cpu* c
    cdef readonly PhysicalMemory memory
    cdef readonly HitPrograms programs

    def __cinit__(self, PhysicalMemory memory not None, *, uint64_t mpidr=0x80000000, int breakpoints=6,
                  int watchpoints=4, int context_aware=2, bint lse=False, str clock="virtual"):
        cdef Cpu* c
        if not 2 <= breakpoints <= 16:
            raise ValueError(f"{breakpoints} breakpoints: the architecture has 2 to 16")
        if not 2 <= watchpoints <= 16:
            raise ValueError(f"{watchpoints} watchpoints: the architecture has 2 to 16")
        if not 1 <= context_aware <= breakpoints:
            raise ValueError(f"{context_aware} context-aware breakpoints: must be 1 to {breakpoints}")
        if clock not in ("virtual", "host"):
            raise ValueError(f"clock={clock!r}: must be 'virtual' or 'host'")
        if memory.p.ncpus == 64:
            raise ValueError("a memory has 64 processors at most")
        c = <Cpu*>calloc(1, sizeof(Cpu))
        if c == NULL:
            raise MemoryError
        c.cache = cache_new()
        if c.cache == NULL:
            free(c)
            raise MemoryError
        self.c = c
        self.memory = memory
        c.phys = &memory.p
        c.nbrp = breakpoints
        c.nwrp = watchpoints
        c.nctx = context_aware
        c.clock_host = clock == "host"
        c.mpidr_el1 = mpidr
        memory.p.cpus[memory.p.ncpus] = c
        memory.p.ncpus += 1
        sysreg_identify(c)
        if lse:
            c.id_aa64isar0 |= 2 << 20
        self.reset()

    def __dealloc__(self):
        cdef int k
        if self.c == NULL:
            return
        for k in range(self.memory.p.ncpus):
            if self.memory.p.cpus[k] == self.c:
                self.memory.p.ncpus -= 1
                self.memory.p.cpus[k] = self.memory.p.cpus[self.memory.p.ncpus]
                break
        cache_free(self.c.cache)
        free(self.c)

    def reset(self):
        """As after a Warm reset into EL1: registers zero, EL1h, everything masked, MMU off."""
        cdef Cpu* c = self.c
        memset(c.x, 0, sizeof(c.x))
        memset(c.v, 0, sizeof(c.v))
        memset(c.sp_el, 0, sizeof(c.sp_el))
        c.el = 1
        c.spsel = 1
        c.tlb = c.tlbs[1]
        c.line_tlb = c.lines[1]
        c.ex_open = 0
        c.pc = 0
        c.fpcr = 0
        c.fpsr = 0
        sysreg_reset(c)
        set_pstate(c, 0x3C5)
        tlb_flush(c)
        dbg_changed(c)

    # ---- all of it at once --------------------------------------------------------------------

    def save_state(self):
        """All that a guest, its hypervisor or time can tell, as a ProcessorState.

        It is the whole of struct Cpu but the caches, so that no field can be forgotten. The TLBs are
        empty afterwards, as they are after restore_state(): the run from here is the run from there,
        even of a guest that changes its tables and leaves the TLBI out.
        """
        cdef Cpu* c = self.c
        cdef Held none
        cdef ProcessorState state = ProcessorState.__new__(ProcessorState)
        cdef uint64_t first = <uint64_t>(<char*>c.tlbs - <char*>c)         # up to the caches
        cdef uint64_t behind = <uint64_t>(<char*>&c.context - <char*>c)    # and from behind them
        tlb_flush(c)
        # Only their difference counts between runs, and where a run was cut must not show.
        c.end_count -= <uint64_t>c.budget
        c.budget = 0
        state.owner = self
        state.data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(first + sizeof(Cpu) - behind))
        memcpy(PyBytes_AS_STRING(state.data), c, first)
        memcpy(PyBytes_AS_STRING(state.data) + first, <char*>c + behind, sizeof(Cpu) - behind)
        memset(&none, 0, sizeof(none))
        give(<Cpu*>PyBytes_AS_STRING(state.data), &none)
        return state

    def restore_state(self, ProcessorState state not None, uint64_t ticks=0):
        """Be as at save_state(). ticks: how far the host's clock has gone since, where it is used.

        ValueError for the state of another processor.
        """
        cdef Cpu* c = self.c
        cdef Held held
        cdef uint64_t first = <uint64_t>(<char*>c.tlbs - <char*>c)
        cdef uint64_t behind = <uint64_t>(<char*>&c.context - <char*>c)
        if state.owner is not self:
            raise ValueError("the state is another processor's")
        hold(c, &held)
        memcpy(c, PyBytes_AS_STRING(state.data), first)
        memcpy(<char*>c + behind, PyBytes_AS_STRING(state.data) + first, sizeof(Cpu) - behind)
        give(c, &held)
        c.tlb = c.tlbs[c.el]
        c.line_tlb = c.lines[c.el]
        if c.clock_host:
            c.time_offset -= ticks
        tlb_flush(c)
        dbg_changed(c)

    # ---- registers ----------------------------------------------------------------------------

    def get_x(self, int n):
        if not 0 <= n <= 30:
            raise IndexError(f"x{n}: general registers are x0 to x30")
        return self.c.x[n]

    def set_x(self, int n, uint64_t value):
        if not 0 <= n <= 30:
            raise IndexError(f"x{n}: general registers are x0 to x30")
        self.c.x[n] = value

    def get_v(self, int n):
        if not 0 <= n <= 31:
            raise IndexError(f"v{n}: vector registers are v0 to v31")
        return int(self.c.v[2 * n]) | (int(self.c.v[2 * n + 1]) << 64)

    def set_v(self, int n, value):
        if not 0 <= n <= 31:
            raise IndexError(f"v{n}: vector registers are v0 to v31")
        if not 0 <= value < 1 << 128:
            raise OverflowError(f"v{n}: {value:#x} does not fit into 128 bits")
        self.c.v[2 * n] = value & 0xFFFFFFFFFFFFFFFF
        self.c.v[2 * n + 1] = value >> 64

    @property
    def pc(self):
        return self.c.pc

    @pc.setter
    def pc(self, uint64_t value):
        self.c.pc = value

    @property
    def sp_el0(self):
        return self.c.sp_el[0] if self.c.el & self.c.spsel else self.c.x[SP]

    @sp_el0.setter
    def sp_el0(self, uint64_t value):
        self.c.sp_el[0] = value
        if not self.c.el & self.c.spsel:
            self.c.x[SP] = value

    @property
    def sp_el1(self):
        return self.c.x[SP] if self.c.el & self.c.spsel else self.c.sp_el[1]

    @sp_el1.setter
    def sp_el1(self, uint64_t value):
        self.c.sp_el[1] = value
        if self.c.el & self.c.spsel:
            self.c.x[SP] = value

    @property
    def pstate(self):
        return get_spsr(self.c)

    @pstate.setter
    def pstate(self, uint64_t value):
        if not set_pstate(self.c, value):
            raise ValueError(f"PSTATE {value:#x}: mode {value & 0x1F:#x} is none of EL0t (0), EL1t (4), EL1h (5)")

    @property
    def pstate_ss(self):
        """PSTATE.SS alone, 0 or 1: what a hypervisor that steps the guest looks at all the time."""
        return self.c.ss

    @pstate_ss.setter
    def pstate_ss(self, bint value):
        self.c.ss = value

    @property
    def fpcr(self):
        return self.c.fpcr

    @fpcr.setter
    def fpcr(self, uint32_t value):
        self.c.fpcr = value

    @property
    def fpsr(self):
        return self.c.fpsr

    @fpsr.setter
    def fpsr(self, uint32_t value):
        self.c.fpsr = value

    def get_sysreg(self, uint32_t enc):
        cdef uint64_t value = 0
        if not sysreg_read(self.c, enc, &value):
            raise KeyError(f"no system register {enc:#06x}")
        return value

    def set_sysreg(self, uint32_t enc, uint64_t value):
        if not sysreg_write(self.c, enc, value):
            raise KeyError(f"no system register {enc:#06x}")

    def sysregs(self):
        """Every encoding that get_sysreg() knows."""
        return sysreg_list(self.c)

    # ---- EL2's registers ----------------------------------------------------------------------

    @property
    def hcr_el2(self):
        return self.c.hcr_el2

    @hcr_el2.setter
    def hcr_el2(self, uint64_t value):
        if (value ^ self.c.hcr_el2) & (1 << 12):      # DC changes what translation gives
            tlb_flush(self.c)
        self.c.hcr_el2 = value

    @property
    def mdcr_el2(self):
        return self.c.mdcr_el2

    @mdcr_el2.setter
    def mdcr_el2(self, uint64_t value):
        self.c.mdcr_el2 = value

    @property
    def cptr_el2(self):
        return self.c.cptr_el2

    @cptr_el2.setter
    def cptr_el2(self, uint64_t value):
        self.c.cptr_el2 = value

    @property
    def cnthctl_el2(self):
        return self.c.cnthctl_el2

    @cnthctl_el2.setter
    def cnthctl_el2(self, uint64_t value):
        self.c.cnthctl_el2 = value

    @property
    def cntvoff_el2(self):
        return self.c.cntvoff_el2

    @cntvoff_el2.setter
    def cntvoff_el2(self, uint64_t value):
        self.c.cntvoff_el2 = value

    @property
    def esr_el2(self):
        return self.c.esr_el2

    @esr_el2.setter
    def esr_el2(self, uint64_t value):
        self.c.esr_el2 = value

    @property
    def far_el2(self):
        return self.c.far_el2

    @far_el2.setter
    def far_el2(self, uint64_t value):
        self.c.far_el2 = value

    @property
    def hpfar_el2(self):
        return self.c.hpfar_el2

    @hpfar_el2.setter
    def hpfar_el2(self, uint64_t value):
        self.c.hpfar_el2 = value

    # ---- the hardware's debug registers -------------------------------------------------------

    @property
    def mdscr_el1(self):
        return self.c.mdscr_el1

    @mdscr_el1.setter
    def mdscr_el1(self, uint64_t value):
        if self.c.mdscr_el1 != value:
            self.c.mdscr_el1 = value
            dbg_changed(self.c)

    @property
    def breakpoints(self):
        return self.c.nbrp

    @property
    def watchpoints(self):
        return self.c.nwrp

    def load_debug(self, bcr, bvr, wcr, wvr):
        """Set all implemented breakpoint and watchpoint registers; longer sequences are cut.

        ValueError where there are more registers than values: nothing has changed then.
        """
        cdef Cpu* c = self.c
        cdef uint32_t n
        if len(bcr) < c.nbrp or len(bvr) < c.nbrp or len(wcr) < c.nwrp or len(wvr) < c.nwrp:
            raise ValueError(f"{len(bcr)} DBGBCR, {len(bvr)} DBGBVR, {len(wcr)} DBGWCR, {len(wvr)} DBGWVR values: "
                             f"this processor has {c.nbrp} breakpoints and {c.nwrp} watchpoints, and all are set")
        for n in range(c.nbrp):
            c.dbgbcr[n] = bcr[n] & 0x00FFE1E7
            c.dbgbvr[n] = bvr[n]
        for n in range(c.nwrp):
            c.dbgwcr[n] = wcr[n] & 0x1F1FFFFF
            c.dbgwvr[n] = wvr[n] & ~<uint64_t>3
        dbg_changed(c)

    def save_debug(self):
        """(bcr, bvr, wcr, wvr): tuples as long as there are registers."""
        cdef Cpu* c = self.c
        cdef uint32_t n
        return (tuple([c.dbgbcr[n] for n in range(c.nbrp)]), tuple([c.dbgbvr[n] for n in range(c.nbrp)]),
                tuple([c.dbgwcr[n] for n in range(c.nwrp)]), tuple([c.dbgwvr[n] for n in range(c.nwrp)]))

    # ---- lines and time -----------------------------------------------------------------------

    @property
    def irq(self):
        return bool(self.c.irq_level)

    @irq.setter
    def irq(self, bint level):
        self.c.irq_level = level

    @property
    def fiq(self):
        return bool(self.c.fiq_level)

    @fiq.setter
    def fiq(self, bint level):
        self.c.fiq_level = level

    cdef uint64_t now(self) noexcept:
        return self.c.end_count - <uint64_t>self.c.budget

    @property
    def vtimer_output(self):
        return bool(timer_output(self.c, True, self.now()))

    @property
    def ptimer_output(self):
        return bool(timer_output(self.c, False, self.now()))

    @property
    def counter(self):
        return counter(self.c, self.now())

    def advance_counter(self, uint64_t ticks):
        """Virtual time jumps forward (with clock='host' it cannot: nothing happens)."""
        if not self.c.clock_host:
            self.c.time_offset += ticks

    def next_timer(self):
        """Ticks until an enabled and unmasked timer is met; 0: one is; None: none is enabled."""
        cdef uint64_t ticks = timer_ticks(self.c, self.now())
        if timer_output(self.c, True, self.now()) or timer_output(self.c, False, self.now()):
            return 0
        return None if ticks == ~<uint64_t>0 else ticks

    @property
    def instructions(self):
        return self.now()

    # ---- running ------------------------------------------------------------------------------

    def run(self, limit=None):
        """Run until something ends it.

        limit: the value of `instructions` at which to stop. Returns EXIT_*. As the exception return
        into the guest does, it clears the exclusive monitor, and the tag of the PC where translation
        ignores tags. After EXIT_LIMIT and EXIT_KICK it goes on as if it had not stopped: no exception
        was taken to EL2, and where a run is cut into pieces must not show.
        """
        cdef Cpu* c = self.c
        c.pc = branch_address(c, c.pc)
        c.limit = ~<uint64_t>0 if limit is None else limit
        if c.exit != EXIT_LIMIT and c.exit != EXIT_KICK:
            c.ex_open = 0          # as the exception return into the guest does
            c.did_step = False
        c.exit = EXIT_NONE
        with nogil:
            run_loop(c)
        return c.exit

    def set_programs(self, HitPrograms programs):
        """Have breakpoint and watchpoint hits that go to EL2 decided here; None: nothing is.

        A run then ends with EXIT_HIT for a hit that a program wants seen (a watchpoint's access has
        been made; at a breakpoint the instruction has not) or for a buffer that is full, and with
        EXIT_EL2 for all that no program is for, or that must be looked at step by step.
        """
        self.programs = programs
        self.c.programs = NULL if programs is None else &programs.k

    def kick(self):
        """From any thread: the run that goes on, or the next one, returns EXIT_KICK."""
        self.c.kick = 1

    def skip_instruction(self):
        """The instruction at the PC was emulated: it has retired, and a step that was active is done."""
        self.c.pc += 4
        self.c.ss = 0
        self.c.end_count += 1

    def take_exception(self, uint32_t esr, far=None):
        """Take a synchronous exception to EL1 here and now; esr is ESR_EL1 as it will be, its class included."""
        take_el1(self.c, self.c.pc, esr, 0, far is not None, 0 if far is None else far)

    def take_serror(self, uint32_t esr):
        take_el1(self.c, self.c.pc, esr, 0x180, False, 0)

    # ---- to look at ---------------------------------------------------------------------------

    def translate(self, uint64_t va, bint write=False, int el=1):
        """Physical address of va in the current stage 1 regime, for EL0 or EL1; None: it faults."""
        cdef uint32_t flags = ACC_WRITE if write else ACC_READ
        if el not in (0, 1):
            raise ValueError(f"el={el}: must be 0 or 1")
        cdef uint32_t was = self.c.el
        self.c.el = el
        ok = translate(self.c, va, flags)
        self.c.el = was
        return self.c.tr_pa if ok else None

    def statistics(self):
        """Blocks decoded and dropped, flushes of the block cache, bytes of it in use, regions."""
        cdef uint64_t out[4]
        cache_statistics(self.c, out)
        return {"decoded": out[0], "dropped": out[1], "flushed": out[2], "bytes": out[3]}

    def decodes(self, encodings):
        """For a buffer of 32-bit encodings a byte each: 0 unallocated (UNDEFINED), 1 it goes on to the
        instruction behind it, 2 it may go elsewhere. Nothing is executed, and nothing changes.

        Raises ValueError for a length that is not a multiple of 4.
        """
        cdef Py_buffer view
        cdef Insn o
        cdef Py_ssize_t n, count
        cdef const uint32_t* raw
        cdef char* out
        PyObject_GetBuffer(encodings, &view, PyBUF_SIMPLE)
        try:
            if view.len & 3:
                raise ValueError(f"{view.len} bytes of encodings: must be a multiple of 4")
            count = view.len >> 2
            raw = <const uint32_t*>view.buf
            found = PyBytes_FromStringAndSize(NULL, count)
            out = <char*>PyBytes_AS_STRING(found)
            with nogil:
                for n in range(count):
                    memset(&o, 0, sizeof(Insn))
                    o.raw = raw[n]
                    out[n] = <char>decode(self.c, &o, raw[n], 0)
        finally:
            PyBuffer_Release(&view)
        return found

    def undefined(self):
        """Encodings that the decode table did not know since the last call: {encoding: first PC}."""
        cdef uint32_t k
        found = {self.c.undef_raw[k]: self.c.undef_pc[k] for k in range(self.c.undef_count)}
        self.c.undef_count = 0
        return found


EXIT_EL2_ = EXIT_EL2
EXIT_LIMIT_ = EXIT_LIMIT
EXIT_KICK_ = EXIT_KICK
EXIT_TIMER_ = EXIT_TIMER
EXIT_HIT_ = EXIT_HIT
EXIT_STUCK_ = EXIT_STUCK
