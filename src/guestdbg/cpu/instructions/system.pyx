# cython: language_level=3
"""System instructions (Arm manual, C5 and C6): MRS, MSR, hints, barriers, exception generation and
return, cache and TLB maintenance, address translation.

An instruction that changes the context (translation, masks, debug registers) leaves its block, so that
the run loop checks interrupts and steps and looks the code up again; others continue in the block.

Decoded code is always coherent with the guest's own writes. So caches need no emulation, and cache
maintenance only has its traps and faults. Instruction cache invalidation also drops decoded code,
because memory may have been written from outside the processor.

TLB maintenance acts on the other processors of the VM directly (Inner Shareable, or HCR_EL2.FB): their
owner runs one of them at a time.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from guestdbg.cpu.address_space cimport space_of
from guestdbg.cpu.core cimport (
    abandon, ACC_AT, ACC_CACHE, ACC_PAN, ACC_READ, ACC_UNPRIV, ACC_WRITE, add, bits, code_written, count_at, Cpu,
    drop_all_code, dst, ENDS, EXIT_HLT, get_nzcv, Insn, leave, likely, NEXT, OK, pc_of, Region, select_sp, set_nzcv, sp_bank,
    src, Tlbe, tlbe, UNDEF, unlikely,
)
from guestdbg.cpu.debug cimport dbg_brk, dbg_raise_watchpoint, dbg_watch
from guestdbg.cpu.exception cimport (
    after_el1, after_el2, do_eret, EC_DABT_LOW, EC_FP_ASIMD, EC_HVC64, EC_SMC64, EC_SVC64, EC_SYS64, EC_WFX,
    raise_el1, raise_el2, raise_el2_far, raise_undefined,
)
from guestdbg.cpu.features cimport has_dpb, has_dpb2, has_pan2, has_ras, has_sb
from guestdbg.cpu.instructions.mem_zva cimport dc_zva as zva
from guestdbg.cpu.mmu cimport find_region, mem_probe, translate
from guestdbg.cpu.sysreg cimport (
    ACKNOWLEDGES, GOES_ON, interrupt_waits, is_implemented, R0, Reg, reg_get, reg_put, REGIME, sysreg_find,
)
from guestdbg.cpu.sysreg_traps cimport ALLOWED, denied, FP_TO_EL1, FP_TO_EL2, TO_EL1, TO_EL2, UNDEFINED
from guestdbg.cpu.timer cimport counter, timer_warp
from guestdbg.cpu.tlb cimport tlb_invalidate
from guestdbg.cpu.operands cimport aux, encoding, imm, ra, rd, set_xd, xn
from guestdbg.cpu.register_bits cimport *

cdef enum:
    COND_AL = 0x1E << 20     # ISS.CV, COND: an A64 instruction has no condition
    WFX_WFE = 1              # ISS.TI

cdef enum:
    E_SP_EL0 = 0xC208        # op0<<14 | op1<<11 | CRn<<7 | CRm<<3 | op2
    E_NZCV = 0xDA10
    E_DAIF = 0xDA11
    E_CNTVCT_EL0 = 0xDF02


# ---- traps --------------------------------------------------------------------------------------

cdef void refuse(Cpu* c, const Insn* i, uint32_t why) noexcept nogil:
    """Raise what denied() found. The ISS of EC 0x18 names the register by its encoding."""
    cdef uint32_t raw = encoding(i)
    cdef uint32_t iss = (bits(raw, 20, 19) << 20 | bits(raw, 7, 5) << 17 | bits(raw, 18, 16) << 14
                         | bits(raw, 15, 12) << 10 | bits(raw, 4, 0) << 5 | bits(raw, 11, 8) << 1
                         | bits(raw, 21, 21))
    if why == TO_EL1:
        raise_el1(c, i, EC_SYS64, iss)
    elif why == TO_EL2:
        raise_el2(c, i, EC_SYS64, iss)
    elif why == FP_TO_EL1:
        raise_el1(c, i, EC_FP_ASIMD, COND_AL)
    elif why == FP_TO_EL2:
        raise_el2(c, i, EC_FP_ASIMD, COND_AL)
    else:
        raise_undefined(c, i)


# ---- MRS, MSR (register) ------------------------------------------------------------------------

cdef void mrs(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef const Reg* r = <const Reg*>imm(i)
    cdef uint32_t no = denied(c, r, True)
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    set_xd(c, i, reg_get(c, r, count_at(c, i)))
    NEXT(c, i)


cdef void mrs_leave(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """A register whose read changes which interrupts are pending."""
    cdef const Reg* r = <const Reg*>imm(i)
    cdef uint32_t no = denied(c, r, True)
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    set_xd(c, i, reg_get(c, r, count_at(c, i)))
    leave(c, i, pc_of(i) + 4)


cdef void mrs_plain(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """A field of Cpu whose register nothing traps, readable at EL0."""
    set_xd(c, i, (<uint64_t*>(<char*>c + aux(i)))[0])
    NEXT(c, i)


cdef void mrs_plain_el1(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if unlikely(c.el == 0):
        raise_undefined(c, i)
        return
    set_xd(c, i, (<uint64_t*>(<char*>c + aux(i)))[0])
    NEXT(c, i)


cdef void mrs_sp_el0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if unlikely(sp_bank(c.el, c.spsel) == 0):
        raise_undefined(c, i)
        return
    set_xd(c, i, c.sp_el[0])
    NEXT(c, i)


cdef void mrs_nzcv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    set_xd(c, i, get_nzcv(c))
    NEXT(c, i)


cdef void mrs_daif(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if unlikely(c.el == 0 and not c.sctlr_el1 & SCTLR_UMA):
        refuse(c, i, TO_EL1)
        return
    set_xd(c, i, c.daif)
    NEXT(c, i)


cdef void mrs_cntvct(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if unlikely(c.el == 0 and not c.cntkctl_el1 & 2):
        refuse(c, i, TO_EL1)
        return
    set_xd(c, i, counter(c, count_at(c, i)) - c.cntvoff_el2)
    NEXT(c, i)


cdef void msr(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef const Reg* r = <const Reg*>imm(i)
    cdef uint32_t no = denied(c, r, False)
    cdef uint64_t count
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    if r.effect == REGIME and space_of(c).walked != NULL:
        # The instructions that follow may be elsewhere. As if they had been fetched after this one, always.
        count = count_at(c, i)
        leave(c, i, pc_of(i) + 4)
        reg_put(c, r, xn(c, i), count)
        return
    reg_put(c, r, xn(c, i), count_at(c, i))
    NEXT(c, i)


cdef void msr_leave(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef const Reg* r = <const Reg*>imm(i)
    cdef uint32_t no = denied(c, r, False)
    cdef uint64_t count
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    count = count_at(c, i)
    leave(c, i, pc_of(i) + 4)       # first: the write may drop this block
    reg_put(c, r, xn(c, i), count)


cdef void msr_plain_el1(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """A field of Cpu whose register nothing traps, written at EL1 only, without side effects."""
    cdef const Reg* r = <const Reg*>imm(i)
    if unlikely(c.el == 0):
        raise_undefined(c, i)
        return
    (<uint64_t*>(<char*>c + r.offset))[0] = xn(c, i) & r.mask
    NEXT(c, i)


cdef void msr_sp_el0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if unlikely(sp_bank(c.el, c.spsel) == 0):
        raise_undefined(c, i)
        return
    c.sp_el[0] = xn(c, i)
    NEXT(c, i)


cdef void msr_nzcv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    set_nzcv(c, <uint32_t>xn(c, i))
    NEXT(c, i)


cdef inline bint leaves_for_masks(Cpu* c, uint32_t now) noexcept nogil:
    """Could something be unmasked by new masks (DAIF as in SPSR): an interrupt, or a software step?"""
    return (((now ^ c.daif) & PSTATE_D) or c.signals
            or c.hcr_el2 & (HCR_VF | HCR_VI | HCR_VSE))


cdef void msr_daif(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint32_t now = <uint32_t>xn(c, i) & 0x3C0
    if unlikely(c.el == 0 and not c.sctlr_el1 & SCTLR_UMA):
        refuse(c, i, TO_EL1)
        return
    if unlikely(leaves_for_masks(c, now)):
        c.daif = now
        leave(c, i, pc_of(i) + 4)
        return
    c.daif = now
    NEXT(c, i)


cdef int fill_mrs(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef const Reg* r = sysreg_find((raw >> 5) & 0xFFFF)
    if r == NULL or not is_implemented(c, r):
        return UNDEF
    o.rd = dst(raw)
    o.imm = <uint64_t>r
    o.aux = r.offset
    if r.enc == E_SP_EL0:
        o.f = mrs_sp_el0
    elif r.enc == E_NZCV:
        o.f = mrs_nzcv
    elif r.enc == E_DAIF:
        o.f = mrs_daif
    elif r.enc == E_CNTVCT_EL0:
        o.f = mrs_cntvct
    elif r.effect == ACKNOWLEDGES:
        o.f = mrs_leave
        return ENDS
    elif r.read == NULL and r.trap == 0 and r.access & 4:
        o.f = mrs_plain if r.access & R0 else mrs_plain_el1
    return OK


cdef int fill_msr(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef const Reg* r = sysreg_find((raw >> 5) & 0xFFFF)
    if r == NULL or not is_implemented(c, r):
        return UNDEF
    o.rn = src(raw)
    o.imm = <uint64_t>r
    if r.enc == E_SP_EL0:
        o.f = msr_sp_el0
    elif r.enc == E_NZCV:
        o.f = msr_nzcv
    elif r.enc == E_DAIF:
        o.f = msr_daif
    elif r.effect != GOES_ON and r.effect != REGIME:
        o.f = msr_leave
        return ENDS
    elif r.write == NULL and r.trap == 0 and (r.access & 0xA) == 8:
        o.f = msr_plain_el1
    return OK


# ---- MSR (immediate) ----------------------------------------------------------------------------

cdef void msr_spsel(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint32_t now = aux(i) & 1
    if unlikely(c.el == 0):
        raise_undefined(c, i)
        return
    select_sp(c, c.el, now)
    NEXT(c, i)


cdef void msr_daifset(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint32_t now = c.daif | aux(i) << 6
    if unlikely(c.el == 0 and not c.sctlr_el1 & SCTLR_UMA):
        refuse(c, i, TO_EL1)
        return
    if unlikely((now ^ c.daif) & PSTATE_D):
        c.daif = now
        leave(c, i, pc_of(i) + 4)
        return
    c.daif = now
    NEXT(c, i)


cdef void msr_daifclr(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint32_t now = c.daif & ~(aux(i) << 6)
    if unlikely(c.el == 0 and not c.sctlr_el1 & SCTLR_UMA):
        refuse(c, i, TO_EL1)
        return
    if unlikely(leaves_for_masks(c, now)):
        c.daif = now
        leave(c, i, pc_of(i) + 4)
        return
    c.daif = now
    NEXT(c, i)


cdef int fill_crm(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.aux = bits(raw, 11, 8)
    return OK


# ---- hints and barriers -------------------------------------------------------------------------

cdef void nop(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    NEXT(c, i)


cdef void wfi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    # Only a WFI that would wait is trapped.
    if not interrupt_waits(c):
        if c.el == 0 and not c.sctlr_el1 & SCTLR_NTWI:
            raise_el1(c, i, EC_WFX, COND_AL)
            return
        if c.hcr_el2 & HCR_TWI:
            raise_el2(c, i, EC_WFX, COND_AL)
            return
        # Virtual time jumps to the next timer. Without one, or with the host's clock, WFI ends at
        # once, as the architecture permits: a guest that waits in a loop returns to the run loop each
        # time, where limit and kick end the run. (A hypervisor that wants to sleep sets TWI.)
        timer_warp(c, count_at(c, i))
    leave(c, i, pc_of(i) + 4)


cdef void wfe(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if c.event:
        c.event = 0
    elif not interrupt_waits(c):
        if c.el == 0 and not c.sctlr_el1 & SCTLR_NTWE:
            raise_el1(c, i, EC_WFX, COND_AL | WFX_WFE)
            return
        if c.hcr_el2 & HCR_TWE:
            raise_el2(c, i, EC_WFX, COND_AL | WFX_WFE)
            return
        # Otherwise it ends at once: a guest that polls after it sees time advance.
    leave(c, i, pc_of(i) + 4)


cdef void sev(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef int k
    for k in range(c.phys.ncpus):
        c.phys.cpus[k].event = 1
    NEXT(c, i)


cdef void sevl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    c.event = 1
    NEXT(c, i)


cdef int fill_hint(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t hint = bits(raw, 11, 5)
    if hint == 2:
        o.f = wfe
        return ENDS
    if hint == 3:
        o.f = wfi
        return ENDS
    if hint == 16 and has_ras(c):
        o.f = esb
        return ENDS
    if hint == 4:
        o.f = sev
    elif hint == 5:
        o.f = sevl
    return OK                       # NOP, YIELD, and all that is not allocated yet


cdef int fill_sb(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return OK if has_sb(c) else UNDEF


cdef void esb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """ESB (vESBOperation): a masked virtual SError becomes a value of DISR_EL1; one that is not masked is taken
    by the run loop. No physical SError ever occurs."""
    if (c.hcr_el2 & (HCR_AMO | HCR_VSE)) == (HCR_AMO | HCR_VSE) and c.daif & PSTATE_A:
        c.vdisr_el2 = <uint64_t>1 << 31 | c.vsesr_el2
        c.hcr_el2 &= ~<uint64_t>HCR_VSE
    leave(c, i, pc_of(i) + 4)


cdef void clrex(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    c.ex_open = 0
    NEXT(c, i)


cdef void isb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    leave(c, i, pc_of(i) + 4)


cdef int fill_none(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return OK


cdef int fill_end(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return ENDS


# ---- exceptions ---------------------------------------------------------------------------------

cdef void svc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    after_el1(c, i, EC_SVC64, aux(i))


cdef void hvc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if c.el == 0 or c.hcr_el2 & HCR_HCD:
        raise_undefined(c, i)
        return
    after_el2(c, i, EC_HVC64, aux(i))


cdef void smc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if c.el == 0 or not c.hcr_el2 & HCR_TSC:        # there is no EL3 to call
        raise_undefined(c, i)
        return
    raise_el2(c, i, EC_SMC64, aux(i))


cdef void brk(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    dbg_brk(c, i, aux(i))


cdef void eret(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if c.el == 0:
        raise_undefined(c, i)
        return
    do_eret(c, i, c.elr_el1)


cdef void undefined(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """HLT with halting debug not allowed; DCPS and DRPS outside Debug state."""
    raise_undefined(c, i)


cdef void hlt(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """As above, unless the owner emulates HLT with this immediate."""
    if c.el == 1 and c.hlt_exit == aux(i) + 1:
        abandon(c, i)
        c.exit = EXIT_HLT
        return
    raise_undefined(c, i)


cdef int fill_imm16(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.aux = bits(raw, 20, 5)
    return ENDS


# ---- SYS, SYSL ----------------------------------------------------------------------------------
# aux: the bit of SCTLR_EL1 that allows it at EL0 (0: UNDEFINED there); imm: the bit of HCR_EL2 that
# traps it.

cdef inline uint32_t sys_denied(Cpu* c, const Insn* i) noexcept nogil:
    if c.el == 0:
        if aux(i) == 0:
            return UNDEFINED
        if not c.sctlr_el1 & aux(i):
            return TO_EL1
    return TO_EL2 if c.hcr_el2 & imm(i) else ALLOWED


cdef void sys_impdef(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """The IMPLEMENTATION DEFINED space: nothing is implemented, but HCR_EL2.TIDCP traps it at EL1."""
    refuse(c, i, TO_EL2 if c.el and c.hcr_el2 & imm(i) else UNDEFINED)


cdef void sys_nop(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """DC ISW, CSW, CISW."""
    cdef uint32_t no = sys_denied(c, i)
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    NEXT(c, i)


cdef void dc_clean(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """DC CVAC, CVAU, CVAP, CVADP, CIVAC: as a read, so a Permission fault is possible at EL0 only. No watchpoint
    matches them (ACC_AT)."""
    cdef uint64_t va = xn(c, i)
    cdef uint32_t no = sys_denied(c, i)
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    if unlikely(tlbe(c, va).rtag != va & ~<uint64_t>0xFFF):
        if not mem_probe(c, i, va, 1, ACC_READ | ACC_CACHE | ACC_AT):
            return
    NEXT(c, i)


cdef void dc_invalidate(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """DC IVAC: needs permission to write, and is a store of the line to watchpoints."""
    cdef uint64_t va = xn(c, i)
    cdef uint32_t no = sys_denied(c, i)
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    if unlikely(tlbe(c, va).wtag != va & ~<uint64_t>0xFFF):
        if not mem_probe(c, i, va, 1, ACC_WRITE | ACC_CACHE):
            return
        if c.wp_live and dbg_watch(c, va & ~<uint64_t>63, 64, ACC_WRITE | ACC_CACHE):
            dbg_raise_watchpoint(c, i, ACC_WRITE | ACC_CACHE)
            return
    NEXT(c, i)


cdef void dc_zva(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint32_t no = sys_denied(c, i)
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    zva(c, i)


cdef void ic_all(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """rd: Inner Shareable."""
    cdef uint32_t no = sys_denied(c, i)
    cdef int k
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    leave(c, i, pc_of(i) + 4)
    if rd(i) or c.hcr_el2 & HCR_FB:
        for k in range(c.phys.ncpus):
            drop_all_code(c.phys.cpus[k])
    else:
        drop_all_code(c)


cdef void ic_line(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef uint32_t no = sys_denied(c, i)
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    if not mem_probe(c, i, va, 1, ACC_READ | ACC_CACHE | ACC_AT):
        return
    leave(c, i, pc_of(i) + 4)
    drop_line(c, va)


cdef void drop_line(Cpu* c, uint64_t va) noexcept nogil:
    """Drop code that was decoded from the 64 bytes around va."""
    cdef Region* r
    cdef uint64_t offset
    if not translate(c, va, ACC_READ | ACC_CACHE):
        return
    r = find_region(c.phys, c.tr_pa)
    if r == NULL:
        return
    offset = (c.tr_pa - r.gpa) & ~<uint64_t>63
    if (r.code[offset >> 12] >> ((offset >> 6) & 63)) & 1:
        code_written(c, r, offset, 64)


cdef void tlbi(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """ra: op2; rd: Inner Shareable. The block goes on: the guest needs an ISB before what it changed counts for
    the instructions that follow."""
    cdef uint32_t no = sys_denied(c, i)
    cdef int k
    if unlikely(no != ALLOWED):
        refuse(c, i, no)
        return
    if rd(i) or c.hcr_el2 & HCR_FB:
        for k in range(c.phys.ncpus):
            tlb_invalidate(c.phys.cpus[k], ra(i), xn(c, i))
    else:
        tlb_invalidate(c, ra(i), xn(c, i))
    NEXT(c, i)


cdef void at_s1(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """AT S1E1R, S1E1W, S1E0R, S1E0W, S1E1RP, S1E1WP. ra: bit 0 write, bit 1 EL0, bit 2 PSTATE.PAN applies."""
    cdef uint64_t va = xn(c, i)
    cdef uint32_t flags
    cdef uint64_t attr, sh
    if c.el == 0:
        raise_undefined(c, i)
        return
    flags = ACC_AT | (ACC_WRITE if ra(i) & 1 else ACC_READ) | (ACC_UNPRIV if ra(i) & 2 else 0)
    if ra(i) & 4:
        flags |= ACC_PAN
    if translate(c, va, flags):
        # Device memory and Non-cacheable memory are reported as Outer Shareable.
        attr = c.tr_attr
        sh = 2 if attr >> 4 == 0 or attr == 0x44 else c.tr_sh
        c.par_el1 = attr << 56 | (c.tr_pa & PAR_PA) | <uint64_t>(1 << 11 | 1 << 9) | sh << 7
    elif c.tr_s1ptw:
        # Stage 2 of the walk belongs to EL2, as for an access.
        c.hpfar_el2 = (c.tr_ipa >> 12) << 4
        raise_el2_far(c, i, EC_DABT_LOW, 1 << 8 | 1 << 7 | 1 << 6 | c.tr_fsc, va)
        return
    else:
        c.par_el1 = <uint64_t>(1 << 11 | c.tr_fsc << 1 | 1)
    NEXT(c, i)


cdef uint64_t PAR_PA = 0x0000FFFFFFFFF000

cdef enum:
    IC_IALLUIS = 0 << 11 | 7 << 7 | 1 << 3 | 0      # op1<<11 | CRn<<7 | CRm<<3 | op2
    IC_IALLU = 0 << 11 | 7 << 7 | 5 << 3 | 0
    IC_IVAU = 3 << 11 | 7 << 7 | 5 << 3 | 1
    DC_IVAC = 0 << 11 | 7 << 7 | 6 << 3 | 1
    DC_ISW = 0 << 11 | 7 << 7 | 6 << 3 | 2
    DC_CSW = 0 << 11 | 7 << 7 | 10 << 3 | 2
    DC_CISW = 0 << 11 | 7 << 7 | 14 << 3 | 2
    DC_ZVA = 3 << 11 | 7 << 7 | 4 << 3 | 1
    DC_CVAC = 3 << 11 | 7 << 7 | 10 << 3 | 1
    DC_CVAP = 3 << 11 | 7 << 7 | 12 << 3 | 1
    DC_CVADP = 3 << 11 | 7 << 7 | 13 << 3 | 1
    DC_CVAU = 3 << 11 | 7 << 7 | 11 << 3 | 1
    DC_CIVAC = 3 << 11 | 7 << 7 | 14 << 3 | 1
    AT_S1E1R = 0 << 11 | 7 << 7 | 8 << 3 | 0        # op2: 0..3
    AT_S1E1RP = 0 << 11 | 7 << 7 | 9 << 3 | 0       # op2: 0, 1
    TLBI_IS = 0 << 11 | 8 << 7 | 3 << 3             # op2: 0..3, 5, 7
    TLBI = 0 << 11 | 8 << 7 | 7 << 3


cdef int fill_sys(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t key = bits(raw, 18, 5)
    cdef uint32_t op2 = key & 7
    o.rn = src(raw)
    if (key >> 7 & 0xB) == 0xB:                     # CRn 11, 15
        o.f = sys_impdef
        o.imm = 1 << 20
        return ENDS
    if key == DC_CVAC or key == DC_CIVAC or (key == DC_CVAP and has_dpb(c)) or (key == DC_CVADP and has_dpb2(c)):
        o.f = dc_clean
        o.aux = SCTLR_UCI
        o.imm = HCR_TPC
        return OK
    if key == DC_CVAU:
        o.f = dc_clean
        o.aux = SCTLR_UCI
        o.imm = HCR_TPU
        return OK
    if key == DC_IVAC:
        o.f = dc_invalidate
        o.imm = HCR_TPC
        return OK
    if key == DC_ISW or key == DC_CSW or key == DC_CISW:
        o.f = sys_nop
        o.imm = HCR_TSW
        return OK
    if key == DC_ZVA:
        o.f = dc_zva
        o.rd = o.rn                                 # where mem_zva reads the address
        o.aux = SCTLR_DZE
        o.imm = HCR_TDZ
        return OK
    if key == IC_IALLU or key == IC_IALLUIS:
        o.f = ic_all
        o.imm = HCR_TPU
        o.rd = key == IC_IALLUIS
        return ENDS
    if key == IC_IVAU:
        o.f = ic_line
        o.aux = SCTLR_UCI
        o.imm = HCR_TPU
        return ENDS
    if key & ~3 == AT_S1E1R:
        o.f = at_s1
        o.ra = <uint8_t>op2
        return OK
    if key & ~1 == AT_S1E1RP and has_pan2(c):
        o.f = at_s1
        o.ra = <uint8_t>(op2 | 4)
        return OK
    if (key & ~7 == TLBI or key & ~7 == TLBI_IS) and op2 != 4 and op2 != 6:
        o.f = tlbi
        o.imm = HCR_TTLB
        o.ra = <uint8_t>op2
        o.rd = key & ~7 == TLBI_IS
        return OK
    return UNDEF


cdef int fill_sysl(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """Only the IMPLEMENTATION DEFINED space is allocated."""
    if (bits(raw, 15, 12) & 0xB) != 0xB:
        return UNDEF
    o.imm = 1 << 20
    return ENDS


# ---- the rows -----------------------------------------------------------------------------------

cdef int register() except -1:
    add("MRS", "1101 0101 0011 oooo nnnn mmmm ppp ttttt", fill_mrs, mrs)
    add("MSR", "1101 0101 0001 oooo nnnn mmmm ppp ttttt", fill_msr, msr)
    add("MSR SPSel", "1101 0101 0000 0000 0100 mmmm 101 11111", fill_crm, msr_spsel)
    add("MSR DAIFSet", "1101 0101 0000 0011 0100 mmmm 110 11111", fill_crm, msr_daifset)
    add("MSR DAIFClr", "1101 0101 0000 0011 0100 mmmm 111 11111", fill_crm, msr_daifclr)
    add("HINT", "1101 0101 0000 0011 0010 mmmm ppp 11111", fill_hint, nop)
    add("CLREX", "1101 0101 0000 0011 0011 mmmm 010 11111", fill_none, clrex)
    add("DSB", "1101 0101 0000 0011 0011 mmmm 100 11111", fill_none, nop)
    add("DMB", "1101 0101 0000 0011 0011 mmmm 101 11111", fill_none, nop)
    add("ISB", "1101 0101 0000 0011 0011 mmmm 110 11111", fill_end, isb)
    add("SB", "1101 0101 0000 0011 0011 0000 111 11111", fill_sb, nop)
    add("SYS", "1101 0101 0000 1ooo nnnn mmmm ppp ttttt", fill_sys, undefined)
    add("SYSL", "1101 0101 0010 1ooo nnnn mmmm ppp ttttt", fill_sysl, sys_impdef)
    add("SVC", "1101 0100 000 iiiiiiiiiiiiiiii 00001", fill_imm16, svc)
    add("HVC", "1101 0100 000 iiiiiiiiiiiiiiii 00010", fill_imm16, hvc)
    add("SMC", "1101 0100 000 iiiiiiiiiiiiiiii 00011", fill_imm16, smc)
    add("BRK", "1101 0100 001 iiiiiiiiiiiiiiii 00000", fill_imm16, brk)
    add("HLT", "1101 0100 010 iiiiiiiiiiiiiiii 00000", fill_imm16, hlt)
    add("DCPS1", "1101 0100 101 iiiiiiiiiiiiiiii 00001", fill_imm16, undefined)
    add("DCPS2", "1101 0100 101 iiiiiiiiiiiiiiii 00010", fill_imm16, undefined)
    add("DCPS3", "1101 0100 101 iiiiiiiiiiiiiiii 00011", fill_imm16, undefined)
    add("ERET", "1101 0110 1001 1111 0000 0011 1110 0000", fill_end, eret)
    add("DRPS", "1101 0110 1011 1111 0000 0011 1110 0000", fill_end, undefined)
    return 0


def install():
    """Put this module's instructions into the decode table."""
    register()
