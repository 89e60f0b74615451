# cython: language_level=3
"""Taking exceptions to EL1 and EL2, and returning from EL1 (D1.10, D1.11)."""
from guestdbg.cpu.core cimport *
from guestdbg.cpu.address_space cimport space_of
from guestdbg.cpu.debug cimport dbg_eret_ss
from guestdbg.cpu.instruction_trace cimport log_exception, log_of
from guestdbg.cpu.flow_trace cimport flow_exception, flow_exception_return, flow_of
from guestdbg.cpu.register_bits cimport *


cdef uint64_t get_spsr(Cpu* c) noexcept nogil:
    return (get_nzcv(c) | (c.ss << 21) | (c.il << 20) | c.daif | c.pstate | get_btype(c) << 10
            | ((4 | c.spsel) if c.el else 0))


cdef void set_el(Cpu* c, uint32_t el, uint32_t spsel) noexcept nogil:
    select_sp(c, el, spsel)
    select_tlb(c)


cdef bint set_pstate(Cpu* c, uint64_t spsr) noexcept nogil:
    cdef uint32_t mode = <uint32_t>(spsr & 0x1F)
    if mode != 0 and mode != 4 and mode != 5:
        return False
    set_nzcv(c, <uint32_t>spsr)
    c.ss = (spsr >> 21) & 1
    c.il = (spsr >> 20) & 1
    c.daif = spsr & 0x3C0
    c.pstate = <uint32_t>spsr & c.pstate_mask & ~<uint32_t>PSTATE_BTYPE
    set_btype(c, (<uint32_t>spsr & c.pstate_mask & PSTATE_BTYPE) >> 10)
    # EL0 always uses SP_EL0, whatever PSTATE.SP; an exception from there sets PSTATE.SP.
    set_el(c, 1 if mode else 0, mode & 1)
    return True


cdef enum:
    # A handler that has retired so many instructions without an exception is at work.
    HANDLER_WORKS = 100000
    # A handler of an exception from EL0 that has come so far has saved the registers: what it then takes
    # is its own, and not the program's.
    KERNEL_ENTERED = 32


cdef void note_first(Cpu* c, uint64_t ret, uint32_t esr, uint64_t vector, bint has_far, uint64_t far) noexcept nogil:
    """Remember the first of the exceptions that follow each other without an exception return.

    Each one overwrites ELR_EL1, ESR_EL1 and FAR_EL1, so a guest whose handlers raise exceptions themselves
    no longer has the registers that say how it began.
    """
    cdef uint64_t now = c.end_count - <uint64_t>c.budget
    cdef uint64_t since = now - c.nested_at
    c.nested_at = now
    if (c.nested and c.el and since <= HANDLER_WORKS
            and not (c.nested == 1 and not c.first_spsr & 0xF and since > KERNEL_ENTERED)):
        c.nested += 1
        return
    c.nested = 1
    c.first_elr = ret
    c.first_spsr = c.spsr_el1
    c.first_esr = esr
    c.first_vector = vector
    c.first_has_far = has_far
    c.first_far = far


cdef inline uint32_t pstate_at_entry(const Cpu* c) noexcept nogil:
    """PAN, UAO, DIT, SSBS after an exception to EL1 (AArch64.TakeException)."""
    cdef uint32_t value = c.pstate & (PSTATE_PAN | PSTATE_DIT)
    if not c.sctlr_el1 & SCTLR_SPAN:
        value |= PSTATE_PAN
    if c.sctlr_el1 & SCTLR_DSSBS:
        value |= PSTATE_SSBS
    return value & c.pstate_mask


cdef void take_el1(Cpu* c, uint64_t ret, uint32_t esr, uint32_t vector, bint has_far, uint64_t far) noexcept nogil:
    cdef uint64_t base = c.vbar_el1
    if c.el == 0:
        base += 0x400
    elif c.spsel:
        base += 0x200
    c.spsr_el1 = get_spsr(c)
    if unlikely(c.step_enabled) and c.mdcr_el2 & MDCR_TDE and space_of(c).walked != NULL:
        # PSTATE.SS is EL2's, which steps the guest. On hardware the guest can see that here; one whose run is
        # to be repeated must not: it will not be stepped at the same places.
        c.spsr_el1 &= ~(<uint64_t>1 << 21)
    c.elr_el1 = ret
    if vector == 0:
        note_first(c, ret, esr, base, has_far, far)
    if vector == 0 or vector == 0x180:
        c.esr_el1 = esr
    if has_far:
        c.far_el1 = far
    c.daif = 0x3C0
    c.ss = 0
    c.did_step = False
    c.il = 0
    c.pstate = pstate_at_entry(c)
    c.btype = 0
    set_el(c, 1, 1)
    c.pc = branch_address(c, base + vector)
    c.ip = NULL
    if unlikely(flow_of(c) != NULL):
        flow_exception(c, ret, esr, vector)
    if unlikely(log_of(c) != NULL):
        log_exception(c, log_of(c), ret, esr, vector)


cdef void take_el2(Cpu* c, uint32_t ec, uint32_t iss) noexcept nogil:
    c.esr_el2 = (<uint64_t>ec << 26) | IL | iss
    c.exit = EXIT_EL2


cdef void raise_undefined(Cpu* c, const Insn* i) noexcept nogil:
    raise_el1(c, i, EC_UNKNOWN, 0)


cdef uint32_t class_from(Cpu* c, uint32_t ec) noexcept nogil:
    """Of the exception classes that exist in pairs, the one for this EL: 1 more if taken from EL1."""
    if c.el and (ec == EC_IABT_LOW or ec == EC_DABT_LOW or ec == EC_BREAKPT_LOW or ec == EC_SOFTSTP_LOW
                 or ec == EC_WATCHPT_LOW):
        return ec + 1
    return ec


cdef void raise_el1(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss) noexcept nogil:
    abandon(c, i)
    take_el1(c, c.pc, (class_from(c, ec) << 26) | IL | iss, 0, False, 0)


cdef void raise_el1_far(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss, uint64_t far) noexcept nogil:
    abandon(c, i)
    take_el1(c, c.pc, (class_from(c, ec) << 26) | IL | iss, 0, True, far)


cdef void raise_fp_trap(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t fpen = (c.cpacr_el1 >> 20) & 3
    if not (fpen == 3 or (fpen == 1 and c.el == 1)):
        raise_el1(c, i, EC_FP_ASIMD, 0x1E00000)
        return
    raise_el2(c, i, EC_FP_ASIMD, 0x1E00000)


cdef void raise_el2(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss) noexcept nogil:
    abandon(c, i)
    take_el2(c, ec, iss)


cdef void raise_el2_far(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss, uint64_t far) noexcept nogil:
    c.far_el2 = far
    raise_el2(c, i, ec, iss)


cdef void complete(Cpu* c, const Insn* i) noexcept nogil:
    """An exception-generating instruction retires, but PSTATE.BTYPE is saved as it was before it."""
    cdef uint32_t btype = c.btype if c.btype_at == count_at(c, i) else 0
    leave(c, i, pc_of(i) + 4)
    set_btype(c, btype)


cdef void after_el1(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss) noexcept nogil:
    complete(c, i)
    # An exception-generating instruction completes: a step ends with it, before PSTATE is saved.
    if c.step_enabled:
        c.ss = 0
    take_el1(c, c.pc, (ec << 26) | IL | iss, 0, False, 0)


cdef void after_el2(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss) noexcept nogil:
    complete(c, i)
    if c.step_enabled:
        c.ss = 0
    take_el2(c, ec, iss)


cdef void do_eret(Cpu* c, const Insn* i, uint64_t to) noexcept nogil:
    cdef uint64_t spsr = c.spsr_el1
    cdef uint32_t ss = dbg_eret_ss(c, spsr)
    cdef uint64_t source = pc_of(i)
    leave(c, i, branch_address(c, to))
    c.ex_open = 0
    c.event = 1                # for WFE
    c.nested = 0
    if not set_pstate(c, spsr & ~<uint64_t>(PSTATE_SS)):
        # An illegal return stays at this EL and sets PSTATE.IL; flags, masks and PAN are restored even so.
        set_nzcv(c, <uint32_t>spsr)
        c.daif = spsr & 0x3C0
        c.pstate = (c.pstate & ~<uint32_t>PSTATE_PAN) | (<uint32_t>spsr & c.pstate_mask & PSTATE_PAN)
        select_tlb(c)
        c.il = 1
    c.ss = ss
    if unlikely(flow_of(c) != NULL):
        flow_exception_return(c, source)
