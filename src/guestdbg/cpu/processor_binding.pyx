# cython: language_level=3
"""The processor as a Python object. The caller acts as its EL2."""
cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.buffer cimport PyObject_GetBuffer, PyBuffer_Release, PyBUF_SIMPLE
from cpython.memoryview cimport PyMemoryView_GET_BUFFER

from guestdbg.cpu import tier
from guestdbg.cpu.address_space cimport MAX_TABLES, space_of, TableFilter, TableFilters
from guestdbg.cpu.core cimport *
from guestdbg.cpu.coverage cimport (
    CacheHead, coverage_activate, coverage_blocks, coverage_edges, coverage_emulated, coverage_of, coverage_start,
    coverage_stop, FORM_EDGES, FORM_FIRST, FORM_MAP,
)
from guestdbg.cpu.instruction_trace cimport CpuLog, InstructionBuffer, log_emulated, log_of, log_owner, log_window
from guestdbg.cpu.flow_trace cimport EXIT_TRACE, flow_begin, flow_emulated, flow_of, flow_start, FlowBuffer, TRACE_FULL
from guestdbg.cpu.mmu cimport translate
from guestdbg.cpu.translation cimport tier_machine_code, tier_statistics, tier_was_refused
from guestdbg.cpu.debug cimport dbg_changed, dbg_tables_changed
from guestdbg.cpu.exception cimport get_spsr, set_pstate, take_el1
from guestdbg.cpu.gic.frame cimport GICV_SIZE
from guestdbg.cpu.gic.interface cimport gic_reset, gic_set_list_register, gic_update
from guestdbg.cpu.fp.host_control cimport begin_host_arithmetic, end_host_arithmetic
from guestdbg.cpu.memory cimport PhysicalMemory
from guestdbg.cpu.hit_program_objects cimport HitPrograms
from guestdbg.cpu.state cimport ProcessorState, difference, parsed_state, put_state, state_of
from guestdbg.cpu.tlb cimport (
    regime_changed, tables_filtered, tlb_flush, tlb_forget_all_data, tlb_free, tlb_new,
)
from guestdbg.cpu.timer cimport counter, timer_output, timer_ticks
from guestdbg.cpu.sysreg cimport (
    features_changed, sysreg_identify, sysreg_list, sysreg_read, sysreg_reset, sysreg_write,
)


cdef int set_tables(TableFilter* f, object tables) except -1:
    """Have a filter of these tables, or none. Returns whether that changes it."""
    cdef TableFilter new
    cdef uint32_t n
    if len(tables) > MAX_TABLES:
        raise ValueError(f"{len(tables)} tables for one debug register: there can be {MAX_TABLES}")
    memset(&new, 0, sizeof(new))
    for n, table in enumerate(tables):
        new.table[n] = table
    new.count = len(tables)
    if memcmp(&new, f, sizeof(new)) == 0:
        return 0
    f[0] = new
    return 1


cdef inline bint stopped_by_debug(const Cpu* c) noexcept:
    """The last run ended with a hit, or with a debug exception (ESR_EL2.EC 0x30 to 0x3C)."""
    return c.exit == EXIT_HIT or (c.exit == EXIT_EL2 and 0x30 <= (c.esr_el2 >> 26 & 0x3F) <= 0x3C)


# no_gc_clear: when a cycle is collected, __dealloc__ still needs the memory, to leave its list.
@cython.no_gc_clear
cdef class Processor:
    """One Armv8-A processing element at EL0 and EL1. The caller acts as EL2."""
    cdef Cpu* c
    cdef readonly PhysicalMemory memory
    cdef readonly HitPrograms programs
    cdef public bint keeps_monitor    # over debug exceptions that EL2 takes
    cdef readonly FlowBuffer flow     # the trace that it writes to; None: there is none
    cdef uint32_t number              # in that
    cdef readonly InstructionBuffer instructions_log
    cdef CpuLog* log                  # in that; NULL: there is none
    cdef object map                   # a memoryview of what coverage counts in; None: there is none

    def __cinit__(self, PhysicalMemory memory not None, *, uint64_t mpidr=0x80000000, int breakpoints=6,
                  int watchpoints=4, int context_aware=2, dict identification=None, str clock="virtual"):
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
        if c.cache == NULL or not tlb_new(c):
            cache_free(c.cache)
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
        if memory.follows_tables:
            space_of(c).walked = &memory.tables
        sysreg_identify(c)
        features_changed(c)
        self.reset()
        if identification:
            for encoding, value in identification.items():
                self.set_sysreg(encoding, value)
            self.reset()    # some reset values depend on the features

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
        tlb_free(self.c)
        free(self.c)
        free(self.log)

    def reset(self):
        """As after a Warm reset into EL1: registers zero, EL1h, everything masked, MMU off.

        Neither EL2's registers nor the virtual CPU interface change: they are the owner's.
        """
        cdef Cpu* c = self.c
        memset(c.x, 0, sizeof(c.x))
        memset(c.v, 0, sizeof(c.v))
        memset(c.sp_el, 0, sizeof(c.sp_el))
        c.el = 1
        c.spsel = 1
        c.pstate = 0
        c.ex_open = 0
        c.pc = 0
        c.fpcr = 0
        c.fpsr = 0
        c.nested = 0
        sysreg_reset(c)
        set_pstate(c, 0x3C5)
        tlb_flush(c)
        regime_changed(c)
        dbg_changed(c)

    # ---- all of it at once --------------------------------------------------------------------

    def save_state(self):
        """Everything that the guest, its hypervisor or time can observe, as a ProcessorState.

        The TLBs are empty afterwards, as they are after restore_state(). So a run from here and a run
        after restoring are equal, even if the guest changes its tables without a TLBI.
        """
        return state_of(self.c)

    def restore_state(self, ProcessorState state not None, uint64_t ticks=0):
        """Restore the state of save_state(). ticks: how far the host's clock has advanced since, with
        clock="host".

        It may be the state of another processor, which is like this one. Raises ValueError otherwise.
        """
        other = difference(self.c, state)
        if other is not None:
            raise ValueError(f"the state is of another kind of processor: {other}")
        put_state(self.c, state, ticks)

    def parse_state(self, bytes data not None):
        """The state that ProcessorState.serialize() gave, for restore_state().

        Raises ValueError: it is damaged, of another version, or of a processor unlike this one.
        """
        return parsed_state(self.c, data)

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
        return get_sp_el(self.c, 0)

    @sp_el0.setter
    def sp_el0(self, uint64_t value):
        set_sp_el(self.c, 0, value)

    @property
    def sp_el1(self):
        return get_sp_el(self.c, 1)

    @sp_el1.setter
    def sp_el1(self, uint64_t value):
        set_sp_el(self.c, 1, value)

    @property
    def pstate(self):
        return get_spsr(self.c)

    @pstate.setter
    def pstate(self, uint64_t value):
        if not set_pstate(self.c, value):
            raise ValueError(f"PSTATE {value:#x}: mode {value & 0x1F:#x} is not EL0t (0), EL1t (4), EL1h (5)")

    @property
    def pstate_ss(self):
        """PSTATE.SS alone, 0 or 1: which a hypervisor that steps the guest reads after every step."""
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
        if (value ^ self.c.hcr_el2) & (1 << 12):      # DC changes translation
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
        fp_access_changed(self.c)

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

    def load_debug(self, bcr, bvr, wcr, wvr, *, break_tables=(), watch_tables=()):
        """Set all implemented breakpoint and watchpoint registers; further values are ignored.

        break_tables and watch_tables have for each register, or for the first ones, a sequence of the
        tables (TTBR0_EL1 without ASID and CnP) that it matches with; None: any.

        Raises ValueError for fewer values than registers, and changes nothing; for too many tables.
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
        if break_tables or watch_tables or space_of(c).filters != NULL:
            self.load_tables(break_tables, watch_tables)
        dbg_changed(c)

    cdef int load_tables(self, break_tables, watch_tables) except -1:
        """The tables that each debug register matches with; those of a disabled one do not matter."""
        cdef Cpu* c = self.c
        cdef TableFilters* f
        cdef uint32_t n, bit, changed = 0
        if not tables_filtered(c):
            raise MemoryError("the tables of debug registers")
        f = space_of(c).filters
        for n in range(c.nbrp):
            bit = <uint32_t>1 << n
            tables = break_tables[n] if n < len(break_tables) else None
            if tables is not None:
                f.bp |= bit
                set_tables(&f.breaks[n], tables)
            elif c.dbgbcr[n] & 1:
                f.bp &= ~bit
        for n in range(c.nwrp):
            bit = <uint32_t>1 << n
            tables = watch_tables[n] if n < len(watch_tables) else None
            if tables is not None:
                if set_tables(&f.watch[n], tables) or not f.wp & bit:
                    changed |= bit
                f.wp |= bit
            elif c.dbgwcr[n] & 1 and f.wp & bit:
                f.wp &= ~bit
                changed |= bit
        dbg_tables_changed(c, changed)
        return 0

    def save_debug(self):
        """(bcr, bvr, wcr, wvr): tuples with one value for each implemented register."""
        cdef Cpu* c = self.c
        cdef uint32_t n
        return (tuple([c.dbgbcr[n] for n in range(c.nbrp)]), tuple([c.dbgbvr[n] for n in range(c.nbrp)]),
                tuple([c.dbgwcr[n] for n in range(c.nwrp)]), tuple([c.dbgwvr[n] for n in range(c.nwrp)]))

    # ---- the virtual CPU interface of a GIC ---------------------------------------------------

    def set_gic(self, int version, int list_registers=4):
        """The processor gets a virtual CPU interface, in its reset state.

        version: 0, none; 3, ICC_* registers at EL1; 2, the GICV frame (set_gicv). list_registers: how many
        ICH_LRn_EL2 it has, 1 to 16. EL2 accesses ICH_* by get_sysreg() and set_sysreg(). Raises ValueError
        for anything else. ID_AA64PFR0_EL1.GIC does not change.
        """
        if version not in (0, 2, 3):
            raise ValueError(f"GIC version {version}: must be 0 (none), 2 or 3")
        if not 1 <= list_registers <= 16:
            raise ValueError(f"{list_registers} list registers: a GIC has 1 to 16")
        gic_reset(self.c, version, list_registers if version else 0)
        features_changed(self.c)

    def set_gicv(self, base):
        """Put the GICV frame of a GICv2, 8 KiB, at this IPA; None: there is none.

        It has priority over memory there. Raises ValueError for an address that is not a multiple of 4 KiB
        below 2**48 - 8 KiB, or without a GICv2.
        """
        cdef Cpu* c = self.c
        if base is not None:
            if c.gic.version != 2:
                raise ValueError("the GICV frame is a GICv2's: set_gic(2) comes first")
            if base % 4096 or not 0 <= base <= (1 << 48) - GICV_SIZE:
                raise ValueError(f"GICV frame at {base:#x}: must be a multiple of 4 KiB below 2**48 - 8 KiB")
        c.gic.frame = 0 if base is None else base
        c.gic.frame_size = 0 if base is None else GICV_SIZE
        tlb_flush(c)

    @property
    def gic_version(self):
        return self.c.gic.version

    @property
    def list_registers(self):
        return self.c.gic.list_registers

    def load_list_registers(self, lrs):
        """Set the list registers ICH_LRn_EL2; those for which there is no value become 0.

        Raises ValueError for more values than there are list registers, OverflowError for one that does not
        fit into 64 bits; nothing changes.
        """
        cdef Cpu* c = self.c
        cdef uint64_t values[16]
        cdef uint32_t n, count = <uint32_t>len(lrs)
        if len(lrs) > c.gic.list_registers:
            raise ValueError(f"{len(lrs)} values for {c.gic.list_registers} list registers")
        for n in range(count):
            values[n] = lrs[n]
        for n in range(c.gic.list_registers):
            gic_set_list_register(c, n, values[n] if n < count else 0)
        gic_update(c)

    def save_list_registers(self):
        """The values of all list registers."""
        return tuple([self.c.gic.lr[n] for n in range(self.c.gic.list_registers)])

    @property
    def virtual_irq(self):
        """Does the virtual CPU interface signal an IRQ? (Masked or not; without HCR_EL2.VI.)"""
        return bool(self.c.signals & GIC_VIRQ)

    @property
    def virtual_fiq(self):
        """Does the virtual CPU interface signal an FIQ?"""
        return bool(self.c.signals & GIC_VFIQ)

    # ---- lines and time -----------------------------------------------------------------------

    @property
    def irq(self):
        return bool(self.c.signals & LINE_IRQ)

    @irq.setter
    def irq(self, bint level):
        self.c.signals = (self.c.signals & ~<uint32_t>LINE_IRQ) | (LINE_IRQ if level else 0)

    @property
    def fiq(self):
        return bool(self.c.signals & LINE_FIQ)

    @fiq.setter
    def fiq(self, bint level):
        self.c.signals = (self.c.signals & ~<uint32_t>LINE_FIQ) | (LINE_FIQ if level else 0)

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
        """Virtual time jumps forward. No effect with clock='host'."""
        if not self.c.clock_host:
            self.c.time_offset += ticks

    def next_timer(self):
        """Ticks until an enabled and unmasked timer is met; 0: one is met; None: none is enabled."""
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

        limit: the value of `instructions` at which to stop. Returns EXIT_*. Like the exception return
        into the guest, it clears the exclusive monitor, and the tag of the PC where translation ignores
        tags. After EXIT_LIMIT and EXIT_KICK it continues as if it had not stopped: no exception was
        taken to EL2, and the guest must not see where its execution was interrupted; so it does after EXIT_TRACE,
        when the buffer of a trace is full: the caller flushes that. With keeps_monitor
        it is the same after EXIT_HIT, and after a debug exception that EL2 has taken.
        """
        cdef Cpu* c = self.c
        cdef uint64_t host
        if tier_was_refused():
            tier.report()
        c.pc = branch_address(c, c.pc)
        c.limit = ~<uint64_t>0 if limit is None else limit
        if c.exit != EXIT_LIMIT and c.exit != EXIT_KICK and c.exit != EXIT_TRACE:
            if not (self.keeps_monitor and stopped_by_debug(c)):
                c.ex_open = 0      # as the exception return into the guest does
            c.did_step = False
        c.exit = EXIT_NONE
        if flow_of(c) != NULL or self.recording_instructions:
            flow_begin(c)
            log_window(c)
        if log_of(c) != NULL:
            log_owner(c, log_of(c))
        with nogil:
            host = begin_host_arithmetic()
            run_loop(c)
            end_host_arithmetic(host)
        c.signals &= ~<uint32_t>TRACE_FULL     # flow_begin() looks again
        return c.exit

    def set_programs(self, HitPrograms programs):
        """Let these programs decide breakpoint and watchpoint hits that go to EL2; None: no programs.

        A run then ends with EXIT_HIT for a hit that a program reports (after a watchpoint's access, but
        before a breakpoint's instruction) or for a full buffer, and with EXIT_EL2 for every hit that has
        no program or that a program cannot decide exactly.
        """
        self.programs = programs
        self.c.programs = NULL if programs is None else &programs.k

    def set_hlt_exit(self, immediate):
        """Let HLT with this immediate at EL1 end a run with EXIT_HLT; None: it is UNDEFINED."""
        self.c.hlt_exit = 0 if immediate is None else <uint32_t>immediate + 1

    def kick(self):
        """From any thread: the current run, or the next one, returns EXIT_KICK."""
        self.c.kick = 1

    def skip_instruction(self):
        """The instruction at the PC was emulated: it has retired, and an active step is complete."""
        coverage_emulated(self.c)
        if self.recording_instructions:
            flow_begin(self.c)
            log_window(self.c)
        if log_of(self.c) != NULL:
            log_emulated(self.c, log_of(self.c))
        self.c.pc += 4
        self.c.ss = 0
        self.c.end_count += 1

    def take_exception(self, uint32_t esr, far=None):
        """Take a synchronous exception to EL1 at the current PC. esr: the value of ESR_EL1, with the class."""
        flow_begin(self.c)
        log_window(self.c)
        take_el1(self.c, self.c.pc, esr, 0, far is not None, 0 if far is None else far)
        self.c.signals &= ~<uint32_t>TRACE_FULL

    def take_serror(self, uint32_t esr):
        flow_begin(self.c)
        log_window(self.c)
        take_el1(self.c, self.c.pc, esr, 0x180, False, 0)
        self.c.signals &= ~<uint32_t>TRACE_FULL

    def first_exception(self):
        """The first of the synchronous exceptions to EL1 since the last exception return; None: none.

        (ELR_EL1, SPSR_EL1, ESR_EL1, FAR_EL1 or None, the address of its vector, how many there were)
        """
        cdef Cpu* c = self.c
        if not c.nested:
            return None
        far = c.first_far if c.first_has_far else None
        return (c.first_elr, c.first_spsr, c.first_esr, far, c.first_vector, c.nested)

    def forget_exceptions(self):
        """The vCPU has left the handlers of its exceptions without an exception return."""
        self.c.nested = 0

    # ---- coverage -----------------------------------------------------------------------------

    def start_coverage(self, int form):
        """Note from here on what is executed, and forget what was noted. form: 1 whether instructions were
        executed, 2 how often, 3 also how often each branch went where."""
        if not FORM_FIRST <= form <= FORM_EDGES:
            raise ValueError(f"form {form}: must be 1 (first execution), 2 (counts) or 3 (counts and edges)")
        if not coverage_start(self.c, form, NULL, 0):
            raise MemoryError("coverage")
        self.set_map(None)

    cdef set_map(self, new):
        old, self.map = self.map, new
        if old is not None:
            old.release()

    def start_coverage_map(self, counters):
        """Count from here on where branches go, in a writable buffer; see processor_binding.pyi."""
        # A view of its own, of which nothing is exported: the garbage collector cannot clear others.
        view = memoryview(counters)
        if view.readonly or not view.c_contiguous:
            raise BufferError("the map must be writable and contiguous")
        if not 0 < view.nbytes <= 1 << 32:
            raise ValueError(f"{view.nbytes} counters: a map has 1 to {1 << 32}")
        if not coverage_start(self.c, FORM_MAP, <uint8_t*>PyMemoryView_GET_BUFFER(view).buf, view.nbytes):
            raise MemoryError("coverage")
        self.set_map(view)

    def stop_coverage(self):
        """Note nothing any more, and forget what was noted."""
        coverage_stop(self.c)
        self.set_map(None)

    @property
    def covering(self):
        """Whether it is noted now. It can be set to False, and to True again, after start_coverage()."""
        return coverage_of(self.c) != NULL and bool(coverage_of(self.c).active)

    @covering.setter
    def covering(self, bint value):
        if coverage_of(self.c) == NULL:
            raise ValueError("coverage was never started")
        coverage_activate(self.c, value)

    def coverage(self):
        """(blocks, edges, complete): what was noted; see processor_binding.pyi."""
        if coverage_of(self.c) == NULL:
            raise ValueError("coverage was never started")
        if self.map is not None:
            raise ValueError("coverage is counted in a map, which the caller has")
        return (coverage_blocks(coverage_of(self.c)), coverage_edges(coverage_of(self.c)),
                not coverage_of(self.c).lost)

    # ---- traces -------------------------------------------------------------------------------

    def start_flow(self, FlowBuffer buffer not None, uint32_t number):
        """Record from here on where control goes. number: of this processor in the records."""
        self.stop_flow()
        self.flow = buffer
        self.number = number
        flow_start(self.c, &buffer.f, number)

    def stop_flow(self):
        """Record nothing any more."""
        if self.flow is not None:
            flow_start(self.c, NULL, 0)
            # Blocks have hooks for what this trace records.
            drop_all_code(self.c)
            self.flow = None

    @property
    def recording_flow(self):
        """Whether it is recorded now. It can be set to False, and to True again, after start_flow()."""
        return flow_of(self.c) != NULL

    @recording_flow.setter
    def recording_flow(self, bint value):
        if self.flow is None:
            raise ValueError("start_flow() was not called")
        flow_start(self.c, &self.flow.f if value else NULL, self.number)

    def context_written(self, uint32_t detail, uint64_t value):
        """EL2 is about to write a context register (CONTEXT_* of flow_trace.pxd) for the instruction at the PC."""
        flow_emulated(self.c, detail, value)
        self.c.signals &= ~<uint32_t>TRACE_FULL

    def start_instruction_log(self, InstructionBuffer buffer not None, uint32_t number):
        """Record from here on what each instruction does. number: of this processor in the records."""
        self.stop_instruction_log()
        self.log = <CpuLog*>calloc(1, sizeof(CpuLog))
        if self.log == NULL:
            raise MemoryError("the registers of a trace")
        self.instructions_log = buffer
        self.log.log = &buffer.w
        self.log.number = number
        self.recording_instructions = True

    def stop_instruction_log(self):
        """Record nothing any more."""
        if self.log != NULL:
            self.recording_instructions = False
            free(self.log)
            self.log = NULL
            self.instructions_log = None

    @property
    def recording_instructions(self):
        """Whether it is recorded, in the time that the buffer is for. It can be set to False, and to True again, after
        start_instruction_log()."""
        cdef CacheHead* head = <CacheHead*>self.c.cache
        return head.log != NULL or head.waiting != NULL

    @recording_instructions.setter
    def recording_instructions(self, bint value):
        cdef CacheHead* head = <CacheHead*>self.c.cache
        if self.log == NULL:
            raise ValueError("start_instruction_log() was not called")
        if value == self.recording_instructions:
            return
        flow_begin(self.c)
        if value:
            head.waiting = self.log
            log_window(self.c)
            return
        if head.log != NULL:
            log_owner(self.c, self.log)
            tlb_forget_all_data(self.c)
        head.log = head.waiting = NULL

    # ---- to look at ---------------------------------------------------------------------------

    def translate(self, uint64_t va, bint write=False, int el=1):
        """Physical address of va in the current stage 1 regime, for EL0 or EL1; None: a fault."""
        # As AT S1E1R: PSTATE.PAN does not matter.
        cdef uint32_t flags = ACC_AT | (ACC_WRITE if write else ACC_READ)
        if el not in (0, 1):
            raise ValueError(f"el={el}: must be 0 or 1")
        cdef uint32_t was = self.c.el
        self.c.el = el
        ok = translate(self.c, va, flags)
        self.c.el = was
        return self.c.tr_pa if ok else None

    def statistics(self):
        """Of the block cache: blocks decoded and dropped, flushes, bytes in use. Of the TLBs: translations,
        changes of the address space, and those to one without tables; flushes, TLBI, searches of the tables."""
        cdef uint64_t out[4]
        cdef const uint64_t* tlb = self.c.tlb_counts
        cache_statistics(self.c, out)
        return {"decoded": out[0], "dropped": out[1], "flushed": out[2], "bytes": out[3],
                "walks": tlb[0], "switches": tlb[1], "new_spaces": tlb[2], "tlb_flushes": tlb[3],
                "invalidations": tlb[4], "scans": tlb[5]}

    def tier_statistics(self):
        """Of the blocks that were translated: how many, instructions in them and those of these without a stencil,
        blocks dropped since, how often the memory was emptied, bytes in use. All 0 with the interpreter alone."""
        cdef uint64_t out[6]
        tier_statistics((<CacheHead*>self.c.cache).tier, out)
        return {"translated": out[0], "instructions": out[1], "bridges": out[2], "dropped": out[3],
                "emptied": out[4], "bytes": out[5]}

    def machine_code(self):
        """(address, bytes) of the machine code of blocks that were translated."""
        cdef uint64_t address = 0
        code = tier_machine_code((<CacheHead*>self.c.cache).tier, &address)
        return address, code

    def decodes(self, encodings):
        """For a buffer of 32-bit encodings, one byte each: 0 unallocated (UNDEFINED), 1 the following
        instruction is executed next, 2 perhaps another one. Nothing is executed, and nothing changes.

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

    @property
    def has_undefined(self):
        """Whether undefined() has something to return."""
        return self.c.undef_count != 0

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
EXIT_TRACE_ = EXIT_TRACE
EXIT_HLT_ = EXIT_HLT
EXIT_MAINTENANCE_ = EXIT_MAINTENANCE
