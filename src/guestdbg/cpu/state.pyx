# cython: language_level=3
"""The whole state of a processor, saved and restored.

It is the whole of struct Cpu except the caches, so no field can be forgotten.
"""
from libc.string cimport memcmp, memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from guestdbg.cpu.core cimport *
from guestdbg.cpu.debug cimport dbg_changed
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


cdef struct Features:
    # What decoding depends on.
    uint64_t values[10]


cdef void features_of(const Cpu* c, Features* f) noexcept:
    f.values = [c.id_aa64pfr0, c.id_aa64pfr1, c.id_aa64dfr0, c.id_aa64isar0, c.id_aa64isar1, c.id_aa64mmfr0,
                c.id_aa64mmfr1, c.id_aa64mmfr2, c.gic.version, c.gic.list_registers]


cdef ProcessorState state_of(Cpu* c, object owner):
    cdef Held none
    cdef ProcessorState state = ProcessorState.__new__(ProcessorState)
    cdef uint64_t first = <uint64_t>(<char*>c.tlbs - <char*>c)         # up to the caches
    cdef uint64_t after = <uint64_t>(<char*>&c.context - <char*>c)    # and from after them
    tlb_flush(c)
    # Between runs only their difference matters. Normalized, so that where a run was interrupted does not
    # show.
    c.end_count -= <uint64_t>c.budget
    c.budget = 0
    state.owner = owner
    state.data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(first + sizeof(Cpu) - after))
    memcpy(PyBytes_AS_STRING(state.data), c, first)
    memcpy(PyBytes_AS_STRING(state.data) + first, <char*>c + after, sizeof(Cpu) - after)
    memset(&none, 0, sizeof(none))
    restore_held(<Cpu*>PyBytes_AS_STRING(state.data), &none)
    return state


cdef void put_state(Cpu* c, ProcessorState state, uint64_t ticks) noexcept:
    cdef Held held
    cdef Features was
    cdef Features now
    cdef uint64_t first = <uint64_t>(<char*>c.tlbs - <char*>c)
    cdef uint64_t after = <uint64_t>(<char*>&c.context - <char*>c)
    features_of(c, &was)
    save_held(c, &held)
    memcpy(c, PyBytes_AS_STRING(state.data), first)
    memcpy(<char*>c + after, PyBytes_AS_STRING(state.data) + first, sizeof(Cpu) - after)
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
