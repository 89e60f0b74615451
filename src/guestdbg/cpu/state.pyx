# cython: language_level=3
"""The whole state of a processor, saved and restored.

It is the whole of struct Cpu except the caches, so no field can be forgotten.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from guestdbg.cpu.core cimport *
from guestdbg.cpu.debug cimport dbg_changed
from guestdbg.cpu.state_fields cimport parse_into, serialized
from guestdbg.cpu.tlb cimport regime_changed, tlb_flush


cdef struct Held:
    # What belongs to this processor and not to the guest: a snapshot does not change it.
    int kick
    void* programs
    uint64_t bp_checks[64]
    uint32_t n_bp_checks
    uint64_t was_wvr[16]
    uint64_t was_wcr[16]
    uint32_t was_wp_live
    uint32_t hlt_exit


cdef void save_held(const Cpu* c, Held* h) noexcept:
    h.kick = c.kick
    h.programs = c.programs
    memcpy(h.bp_checks, c.bp_checks, sizeof(h.bp_checks))
    h.n_bp_checks = c.n_bp_checks
    memcpy(h.was_wvr, c.was_wvr, sizeof(h.was_wvr))
    memcpy(h.was_wcr, c.was_wcr, sizeof(h.was_wcr))
    h.was_wp_live = c.was_wp_live
    h.hlt_exit = c.hlt_exit


cdef void restore_held(Cpu* c, const Held* h) noexcept:
    c.kick = h.kick
    c.programs = h.programs
    memcpy(c.bp_checks, h.bp_checks, sizeof(h.bp_checks))
    c.n_bp_checks = h.n_bp_checks
    memcpy(c.was_wvr, h.was_wvr, sizeof(h.was_wvr))
    memcpy(c.was_wcr, h.was_wcr, sizeof(h.was_wcr))
    c.was_wp_live = h.was_wp_live
    c.hlt_exit = h.hlt_exit
    # Pointers: into the processor, or unused between runs. And in builds with GUESTDBG_LOOP, the value that
    # the last instruction received, which may be whatever a register of the host held: UNSPECIFIED().
    c.ip = NULL
    c.forwarded = 0
    c.tlb = NULL
    c.line_tlb = NULL
    c.unpriv_tlb = NULL
    c.jumps = NULL
    c.acc = NULL
    c.acc2 = NULL
    c.tr_host = 0


cdef class ProcessorState:
    """The whole state of a processor: see Processor.save_state()."""

    def __init__(self):
        raise TypeError("a state comes from Processor.save_state()")

    def __bytes__(self):
        """The bytes, to compare states: equal if both executed the same and left the same state."""
        return self.data

    def serialize(self):
        """The state in a form for files: by the names of its fields, with a version (state_fields.pyx)."""
        cdef Cpu* whole = <Cpu*>calloc(1, sizeof(Cpu))
        if whole == NULL:
            raise MemoryError
        try:
            unpack(whole, self.data)
            return serialized(whole)
        finally:
            free(whole)


cdef ProcessorState parsed_state(const Cpu* own, bytes data):
    cdef ProcessorState state = ProcessorState.__new__(ProcessorState)
    cdef Cpu* whole = <Cpu*>calloc(1, sizeof(Cpu))
    if whole == NULL:
        raise MemoryError
    try:
        parse_into(whole, own, data)
        whole.clock_host = own.clock_host
        state.data = pack(whole)
    finally:
        free(whole)
    return state


cdef bytes pack(const Cpu* c):
    """The struct without its caches."""
    cdef Py_ssize_t first = <const char*>c.tlbs - <const char*>c            # up to the caches
    cdef Py_ssize_t after = <const char*>&c.context - <const char*>c        # and from after them
    cdef bytes data = PyBytes_FromStringAndSize(NULL, first + <Py_ssize_t>sizeof(Cpu) - after)
    memcpy(PyBytes_AS_STRING(data), c, first)
    memcpy(PyBytes_AS_STRING(data) + first, <const char*>c + after, sizeof(Cpu) - after)
    return data


cdef void unpack(Cpu* c, bytes data) noexcept:
    """What pack() left out is not changed."""
    cdef Py_ssize_t first = <char*>c.tlbs - <char*>c
    cdef Py_ssize_t after = <char*>&c.context - <char*>c
    memcpy(c, PyBytes_AS_STRING(data), first)
    memcpy(<char*>c + after, PyBytes_AS_STRING(data) + first, sizeof(Cpu) - after)


cdef str difference(const Cpu* own, ProcessorState state):
    """How the processor that a state is of differs from this one in what does not change; None: not at all."""
    cdef const Cpu* was = <const Cpu*>PyBytes_AS_STRING(state.data)     # these lie before the caches
    cdef Py_ssize_t clock = <const char*>&own.clock_host - <const char*>&own.context
    clock += <const char*>own.tlbs - <const char*>own
    if (was.nbrp, was.nwrp, was.nctx) != (own.nbrp, own.nwrp, own.nctx):
        return (f"it has {was.nbrp} breakpoints ({was.nctx} context-aware) and {was.nwrp} watchpoints, and this "
                f"one has {own.nbrp} ({own.nctx}) and {own.nwrp}")
    if memcmp(PyBytes_AS_STRING(state.data) + clock, &own.clock_host, sizeof(own.clock_host)):
        return "its time follows another clock"
    return None


cdef struct Features:
    # What decoding depends on.
    uint64_t values[10]


cdef void features_of(const Cpu* c, Features* f) noexcept:
    f.values = [c.id_aa64pfr0, c.id_aa64pfr1, c.id_aa64dfr0, c.id_aa64isar0, c.id_aa64isar1, c.id_aa64mmfr0,
                c.id_aa64mmfr1, c.id_aa64mmfr2, c.gic.version, c.gic.list_registers]


cdef ProcessorState state_of(Cpu* c):
    cdef Held none
    cdef ProcessorState state = ProcessorState.__new__(ProcessorState)
    tlb_flush(c)
    # Between runs only their difference matters. Normalized, so that where a run was interrupted does not
    # show.
    c.end_count -= <uint64_t>c.budget
    c.budget = 0
    state.data = pack(c)
    memset(&none, 0, sizeof(none))
    restore_held(<Cpu*>PyBytes_AS_STRING(state.data), &none)
    # The fields of the exclusive monitor lie before the caches.
    monitor_to_guest(c.phys, <Cpu*>PyBytes_AS_STRING(state.data))
    return state


# The exclusive monitor has a host address (mem_sync_slow.pyx). A state has the guest-physical address
# instead: the memory of another machine is elsewhere.

cdef void monitor_to_guest(const Phys* memory, Cpu* c) noexcept:
    cdef const Region* r
    cdef int k
    if c.ex_open:
        for k in range(memory.count):
            r = &memory.regions[k]
            if <uint64_t>r.host <= c.ex_pa < <uint64_t>r.host + r.size:
                c.ex_pa = r.gpa + (c.ex_pa - <uint64_t>r.host)
                return
    c.ex_open = 0
    c.ex_pa = 0


cdef void monitor_to_host(const Phys* memory, Cpu* c) noexcept:
    cdef const Region* r
    cdef int k
    if c.ex_open:
        for k in range(memory.count):
            r = &memory.regions[k]
            if r.gpa <= c.ex_pa < r.gpa + r.size:
                c.ex_pa = <uint64_t>r.host + (c.ex_pa - r.gpa)
                return
    c.ex_open = 0


cdef void put_state(Cpu* c, ProcessorState state, uint64_t ticks) noexcept:
    cdef Held held
    cdef Features was
    cdef Features now
    features_of(c, &was)
    save_held(c, &held)
    unpack(c, state.data)
    monitor_to_host(c.phys, c)
    restore_held(c, &held)
    features_of(c, &now)
    if memcmp(&was, &now, sizeof(was)):
        drop_all_code(c)
    select_tlb(c)
    if c.clock_host:
        c.time_offset -= ticks
    tlb_flush(c)
    regime_changed(c)
    dbg_changed(c)
