# cython: language_level=3
"""System registers: one table, for the guest and for its EL2, the Python side (Arm manual, D17).

A row has the encoding, where the value is (or the functions for it), which bits can be
written (the others are RES0), who may access it, which controls trap the access, and what must
be done after a write. Armv8.0-A without AArch32, EL3, PMU and trace registers; registers of later
extensions exist where the identification registers state the extension, those of the GIC where there is
one.
"""
from libc.string cimport memset
from libc.stdint cimport int32_t, int64_t
from guestdbg.cpu.core cimport (
    Cpu, drop_all_code, fp_access_changed, get_nzcv, get_sp_el, GIC_VFIQ, GIC_VIRQ, LINE_FIQ, LINE_IRQ,
    select_sp, select_tlb, set_nzcv, set_sp_el,
)
from guestdbg.cpu.debug cimport dbg_changed
from guestdbg.cpu.features cimport has_fp16
from guestdbg.cpu.fp.formats cimport FPCR_FZ16
from guestdbg.cpu.features cimport (
    has_bti, has_dit, has_hpds, has_pacga, has_pan, has_pauth, has_ras, has_ssbs, has_ssbs2, has_ttcnp, has_uao,
)
from guestdbg.cpu.gic.interface cimport gic_peek
from guestdbg.cpu.gic.system_registers cimport (
    read_apr, read_icc_bpr, read_icc_ctlr, read_icc_hppir, read_icc_iar, read_icc_igrpen, read_icc_pmr,
    read_icc_rpr, read_icc_sre, read_ich_eisr, read_ich_elrsr, read_ich_hcr, read_ich_lr, read_ich_misr,
    read_ich_vmcr, read_ich_vtr, write_apr, write_icc_bpr, write_icc_ctlr, write_icc_dir, write_icc_eoir,
    write_icc_igrpen, write_icc_pmr, write_ich_hcr, write_ich_lr, write_ich_vmcr,
)
from guestdbg.cpu.tlb cimport regime_changed, tlb_flush
from guestdbg.cpu.register_bits cimport *
from guestdbg.cpu.sysreg_traps cimport (
    T_ACTLR, T_APK, T_BRP, T_CPACR, T_CTR, T_DAIF, T_DBG, T_DBGOS, T_DBGRA, T_DCC, T_DIR, T_ERR, T_FP, T_FRQ,
    T_GICC, T_GROUP0, T_GROUP1, T_ID1, T_ID2, T_ID3, T_IMPDEF, T_LOR, T_NONE, T_PCT, T_PMCR, T_PMU, T_PTIMER,
    T_SGI, T_SP_EL0, T_VCT, T_VM, T_VTIMER, T_WRP,
)
from guestdbg.cpu.timer cimport counter, timer_met


cdef uint64_t ALL = ~<uint64_t>0
cdef uint64_t WORD = 0xFFFFFFFF

# SCTLR_EL1 of Armv8.0 without big-endian data.
cdef uint64_t SCTLR_MASK = WORD & ~<uint64_t>(
    1 << 13 | 1 << 17 | 1 << 21 | 1 << 24 | 1 << 25 | 1 << 27 | 1 << 30 | <uint64_t>1 << 31)
cdef uint64_t SCTLR_PAUTH = 1 << 13 | 1 << 27 | 1 << 30 | <uint64_t>1 << 31      # EnDB, EnDA, EnIB, EnIA
# TCR_EL1: TxSZ, EPDx, IRGNx, ORGNx, SHx, TGx, A1, IPS, AS, TBIx.
cdef uint64_t TCR_MASK = 0x77FFFFFFBF
# MDSCR_EL1: SS, TDCC, KDE, MDE always, and the upper 32 bits, of later extensions; what saves and restores EDSCR while the OS Lock is locked.
cdef uint64_t MDSCR_MASK = (1 << 0 | 1 << 12 | 1 << 13 | 1 << 15
                            | <uint64_t>0xFFFFFFFF << 32)
cdef uint64_t MDSCR_LOCKED = (1 << 6 | 1 << 14 | 1 << 21 | 3 << 22 | 1 << 26 | 1 << 27
                              | 1 << 29 | 1 << 30)
cdef uint64_t DISR_MASK = <uint64_t>1 << 31 | 0x1FFFFFF     # A, IDS, ISS
cdef uint64_t BCR_MASK = 0x00FFE1E7   # BT, LBN, SSC, HMC, BAS, PMC, E
cdef uint64_t WCR_MASK = 0x1F1FFFFF   # MASK, WT, LBN, SSC, HMC, BAS, LSC, PAC, E

cdef enum:
    MAX_REGS = 512

cdef Reg regs[MAX_REGS]
cdef int nregs = 1                    # regs[0] is the IMPLEMENTATION DEFINED space
cdef uint16_t index_of[0x8000]        # by encoding; op0 is 2 or 3
cdef Cpu layout                       # only for the offsets of its members


# ---- the registers that are more than a place in memory -----------------------------------------

cdef uint64_t read_midr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.vpidr_el2 if c.vpidr_el2 else c.midr_el1

cdef uint64_t read_mpidr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.vmpidr_el2 if c.vmpidr_el2 else c.mpidr_el1

cdef uint64_t read_zero(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return 0

cdef void ignore(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    pass

cdef uint64_t read_ccsidr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    # Cortex-A57: 32 KB data, 48 KB instruction, 2 MB unified; UNKNOWN (0) for what is not there.
    if c.csselr_el1 == 0:
        return 0x701FE00A
    if c.csselr_el1 == 1:
        return 0x201FE012
    if c.csselr_el1 == 2:
        return 0x70FFE07A
    return 0

cdef uint64_t read_dczid(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    # DZP: DC ZVA is prohibited at this EL.
    if c.hcr_el2 & HCR_TDZ or (c.el == 0 and not c.sctlr_el1 & SCTLR_DZE):
        return c.dczid_el0 | 1 << 4
    return c.dczid_el0

cdef uint64_t read_sp(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return get_sp_el(c, r.number)

cdef void write_sp(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    set_sp_el(c, r.number, value)

cdef uint64_t read_currentel(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.el << 2

cdef uint64_t read_spsel(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.spsel

cdef void write_spsel(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    if c.el == 1:
        select_sp(c, 1, <uint32_t>(value & 1))

cdef uint64_t read_nzcv(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return get_nzcv(c)

cdef void write_nzcv(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    set_nzcv(c, <uint32_t>value)

cdef uint64_t read_daif(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.daif

cdef void write_daif(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.daif = <uint32_t>value & 0x3C0

cdef uint64_t read_fpcr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.fpcr

cdef void write_fpcr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.fpcr = <uint32_t>(value & r.mask)
    if not has_fp16(c):
        c.fpcr &= ~<uint32_t>FPCR_FZ16

cdef uint64_t read_fpsr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.fpsr

cdef void write_fpsr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.fpsr = <uint32_t>(value & r.mask)

cdef inline bint virtual_irq(const Cpu* c) noexcept nogil:
    return (c.hcr_el2 & HCR_VI or c.signals & GIC_VIRQ) != 0

cdef inline bint virtual_fiq(const Cpu* c) noexcept nogil:
    return (c.hcr_el2 & HCR_VF or c.signals & GIC_VFIQ) != 0

cdef uint64_t read_isr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    cdef uint64_t value = 0
    if (c.hcr_el2 & HCR_IMO and virtual_irq(c)) or (not c.hcr_el2 & HCR_IMO and c.signals & LINE_IRQ):
        value |= 1 << 7
    if (c.hcr_el2 & HCR_FMO and virtual_fiq(c)) or (not c.hcr_el2 & HCR_FMO and c.signals & LINE_FIQ):
        value |= 1 << 6
    if c.hcr_el2 & HCR_AMO and c.hcr_el2 & HCR_VSE:
        value |= 1 << 8
    return value

# -- control registers with bits of extensions --

cdef uint64_t sctlr_mask(const Cpu* c) noexcept nogil:
    cdef uint64_t mask = SCTLR_MASK
    if has_pauth(c):
        mask |= SCTLR_PAUTH
    if has_bti(c):
        mask |= SCTLR_BT0 | SCTLR_BT1
    if has_ssbs(c):
        mask |= SCTLR_DSSBS
    return mask

cdef void write_sctlr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    cdef uint64_t now = value & sctlr_mask(c)
    if (now ^ c.sctlr_el1) & (SCTLR_M | SCTLR_WXN):
        tlb_flush(c)
    c.sctlr_el1 = now

cdef uint64_t tcr_mask(const Cpu* c) noexcept nogil:
    cdef uint64_t mask = TCR_MASK
    if has_hpds(c):
        mask |= TCR_HPD0 | TCR_HPD1
    if has_pauth(c):
        mask |= TCR_TBID0 | TCR_TBID1
    return mask

cdef void write_tcr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.tcr_el1 = value & tcr_mask(c)

cdef void write_ttbr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    # CnP: the TLBs are not shared, so it has no effect.
    (<uint64_t*>(<char*>c + r.offset))[0] = value if has_ttcnp(c) else value & ~<uint64_t>1

# -- PSTATE --

cdef uint64_t read_pstate(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.pstate & r.mask

cdef void write_pstate(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.pstate = <uint32_t>((c.pstate & ~r.mask) | (value & r.mask))
    select_tlb(c)

# -- RAS --
# With HCR_EL2.AMO it is the virtual one (D17.2.34).

cdef uint64_t read_disr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.vdisr_el2 if c.hcr_el2 & HCR_AMO else c.disr_el1

cdef void write_disr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    if c.hcr_el2 & HCR_AMO:
        c.vdisr_el2 = value & r.mask
    else:
        c.disr_el1 = value & r.mask

# -- timers --

cdef uint64_t read_cntpct(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return counter(c, count)

cdef void set_cntpct(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.time_offset += value - counter(c, count)

cdef uint64_t read_cntvct(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return counter(c, count) - c.cntvoff_el2

cdef void set_cntvct(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.cntvoff_el2 = counter(c, count) - value

cdef uint64_t read_cntp_tval(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return (c.ptimer.cval - counter(c, count)) & WORD

cdef void write_cntp_tval(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.ptimer.cval = counter(c, count) + <uint64_t><int64_t><int32_t><uint32_t>value

cdef uint64_t read_cntp_ctl(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.ptimer.ctl | <uint64_t>timer_met(c, False, count) << 2

cdef uint64_t read_cntv_tval(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return (c.vtimer.cval - (counter(c, count) - c.cntvoff_el2)) & WORD

cdef void write_cntv_tval(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.vtimer.cval = (counter(c, count) - c.cntvoff_el2
                     + <uint64_t><int64_t><int32_t><uint32_t>value)

cdef uint64_t read_cntv_ctl(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.vtimer.ctl | <uint64_t>timer_met(c, True, count) << 2

# -- debug --

cdef void write_mdscr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    cdef uint64_t mask = MDSCR_MASK | MDSCR_LOCKED if c.oslk else MDSCR_MASK
    c.mdscr_el1 = (c.mdscr_el1 & ~mask) | (value & mask)

cdef void write_oslar(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.oslk = value & 1

cdef uint64_t read_oslsr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return 1 << 3 | c.oslk << 1            # OSLM 0b10: the OS Lock is implemented

cdef void set_oslsr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.oslk = (value >> 1) & 1

cdef uint64_t read_oseccr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.oseccr_el1 if c.oslk else 0

cdef void write_oseccr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    if c.oslk:
        c.oseccr_el1 = value & WORD

cdef uint64_t read_claimset(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return 0xFF                            # eight claim tags

cdef void write_claimset(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.dbgclaim |= value & 0xFF

cdef uint64_t read_claimclr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.dbgclaim

cdef void write_claimclr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.dbgclaim &= ~value

cdef uint64_t read_authstatus(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return 0x0A                            # Non-secure debug, invasive or not: implemented, not enabled

cdef uint64_t read_mdccsr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.mdscr_el1 & (MDSCR_RXFULL | MDSCR_TXFULL)

cdef uint64_t read_dtrrx(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    c.mdscr_el1 &= ~<uint64_t>MDSCR_RXFULL
    return c.osdtrrx_el1

cdef void write_dtrtx(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.osdtrtx_el1 = value & WORD
    c.mdscr_el1 |= MDSCR_TXFULL

cdef uint64_t read_dtr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    c.mdscr_el1 &= ~<uint64_t>MDSCR_RXFULL
    return c.osdtrtx_el1 << 32 | c.osdtrrx_el1

cdef void write_dtr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.osdtrrx_el1 = value >> 32
    c.osdtrtx_el1 = value & WORD
    c.mdscr_el1 |= MDSCR_TXFULL


# ---- access -------------------------------------------------------------------------------------

cdef const Reg* sysreg_find(uint32_t enc) noexcept nogil:
    cdef uint32_t n
    if enc < 0x8000 or enc > 0xFFFF:
        return NULL
    n = index_of[enc - 0x8000]
    if n == 0 and enc >= 0xC000 and ((enc >> 7) & 0xB) == 0xB:
        return &regs[0]                   # S3_x_C11_y_z, S3_x_C15_y_z
    return &regs[n] if n else NULL


cdef uint64_t reg_get(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    if r.read != NULL:
        return r.read(c, r, count)
    return (<uint64_t*>(<char*>c + r.offset))[0]


cdef void effect(Cpu* c, const Reg* r) noexcept nogil:
    if r.effect == REGIME:
        regime_changed(c)
    elif r.effect == RETAGS:
        tlb_flush(c)
        regime_changed(c)
    elif r.effect == DEBUGS:
        dbg_changed(c)
    elif r.effect == FP_ACCESS:
        fp_access_changed(c)
    elif r.effect == FEATURES:
        features_changed(c)


cdef void reg_put(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    cdef uint64_t* place = <uint64_t*>(<char*>c + r.offset)
    cdef uint64_t was = place[0]
    if r.write != NULL:
        r.write(c, r, value, count)
        if r.offset and place[0] == was:
            return
    else:
        if was == (value & r.mask):
            return
        place[0] = value & r.mask
    effect(c, r)


cdef void features_changed(Cpu* c) noexcept nogil:
    cdef uint32_t mask = 0
    if has_pan(c):
        mask |= PSTATE_PAN
    if has_uao(c):
        mask |= PSTATE_UAO
    if has_dit(c):
        mask |= PSTATE_DIT
    if has_ssbs(c):
        mask |= PSTATE_SSBS
    if has_bti(c):
        mask |= PSTATE_BTYPE
    c.pstate_mask = mask
    c.pstate &= mask
    if not has_bti(c):
        c.btype = 0
    c.sctlr_el1 &= sctlr_mask(c)
    c.tcr_el1 &= tcr_mask(c)
    select_tlb(c)
    tlb_flush(c)
    drop_all_code(c)


cdef bint is_implemented(const Cpu* c, const Reg* r) noexcept nogil:
    if r.feature == F_BASE:
        return True
    if r.feature == F_PAN:
        return has_pan(c)
    if r.feature == F_UAO:
        return has_uao(c)
    if r.feature == F_DIT:
        return has_dit(c)
    if r.feature == F_SSBS2:
        return has_ssbs2(c)
    if r.feature == F_PAUTH:
        return has_pauth(c) or has_pacga(c)
    if r.feature == F_LOR:
        return ((c.id_aa64mmfr1 >> 16) & 15) != 0
    if r.feature == F_GICV3:
        return c.gic.version == 3
    if r.feature == F_ICH:
        return c.gic.version != 0
    if r.feature == F_LR:
        return r.number < c.gic.list_registers
    return has_ras(c)


cdef bint interrupt_waits(Cpu* c) noexcept nogil:
    return (c.signals & (LINE_IRQ | LINE_FIQ)
            or (c.hcr_el2 & HCR_IMO and virtual_irq(c))
            or (c.hcr_el2 & HCR_FMO and virtual_fiq(c))
            or (c.hcr_el2 & HCR_VSE and c.hcr_el2 & HCR_AMO))


cdef bint known(Cpu* c, const Reg* r) noexcept nogil:
    """Does it exist for EL2: neither trapped-only space nor a number above those implemented?"""
    if r == NULL or r.trap == T_PMU or r.trap == T_PMCR or r.trap == T_IMPDEF or not is_implemented(c, r):
        return False
    if r.trap == T_BRP:
        return r.number < c.nbrp
    if r.trap == T_WRP:
        return r.number < c.nwrp
    return True


cdef bint sysreg_read(Cpu* c, uint32_t enc, uint64_t* value) noexcept:
    cdef const Reg* r = sysreg_find(enc)
    if not known(c, r) or (r.read == NULL and r.offset == 0):
        return False
    if r.read == read_dtrrx or r.read == read_dtr:
        value[0] = (c.osdtrtx_el1 << 32 if r.read == read_dtr else 0) | c.osdtrrx_el1
    elif r.read == read_oseccr:
        value[0] = c.oseccr_el1
    elif r.read == read_dczid:
        value[0] = c.dczid_el0
    elif r.read == read_icc_iar:
        value[0] = gic_peek(c, r.number)
    else:
        value[0] = reg_get(c, r, c.end_count - <uint64_t>c.budget)
    return True


cdef bint sysreg_write(Cpu* c, uint32_t enc, uint64_t value) noexcept:
    cdef const Reg* r = sysreg_find(enc)
    cdef uint64_t count = c.end_count - <uint64_t>c.budget
    if not known(c, r):
        return False
    if r.set != NULL:
        r.set(c, r, value, count)
    elif r.write != NULL:
        r.write(c, r, value, count)
    elif r.offset != 0:
        (<uint64_t*>(<char*>c + r.offset))[0] = value & r.mask
    effect(c, r)
    return True


cdef void set_plain(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    (<uint64_t*>(<char*>c + r.offset))[0] = value & r.mask


cdef void sysreg_reset(Cpu* c) noexcept nogil:
    cdef uint64_t count = c.end_count - <uint64_t>c.budget
    cdef int n
    for n in range(1, nregs):
        # EL2's registers (op1 4) and identification are the owner's.
        if regs[n].offset and regs[n].access & (W0 | W1):
            (<uint64_t*>(<char*>c + regs[n].offset))[0] = 0
    c.sctlr_el1 = 0x00C50078              # what KVM starts a vCPU with: MMU and caches off
    c.oslk = 0                            # a cold reset locks it; firmware unlocks, so KVM does not
    c.dbgclaim = 0
    c.oseccr_el1 = 0
    c.mdscr_el1 = 0
    c.fpcr = 0
    c.fpsr = 0
    c.vtimer.ctl = 0
    c.vtimer.cval = 0
    c.ptimer.ctl = 0
    c.ptimer.cval = 0


cdef void sysreg_identify(Cpu* c) noexcept nogil:
    c.midr_el1 = 0x411FD070               # Arm Ltd, Cortex-A57 r1p0
    c.revidr_el1 = 0
    c.id_aa64pfr0 = 0x0111                # EL0, EL1, EL2: AArch64 only (see debug.pyx); FP and SIMD
    c.id_aa64pfr1 = 0
    c.id_aa64dfr0 = (0x6                  # Armv8 debug architecture; no trace, no PMU
                     | <uint64_t>(c.nbrp - 1) << 12
                     | <uint64_t>(c.nwrp - 1) << 20
                     | <uint64_t>(c.nctx - 1) << 28)
    c.id_aa64dfr1 = 0
    c.id_aa64isar0 = 1 << 16              # CRC32
    c.id_aa64isar1 = 0
    c.id_aa64mmfr0 = 0x4 | 2 << 4 | 1 << 20   # 44 bits of PA, 16 of ASID; 4, 16 and 64 KB granules
    c.id_aa64mmfr1 = 0
    c.id_aa64mmfr2 = 0
    c.ctr_el0 = 0x8444C004                # lines of 64 bytes, PIPT
    c.dczid_el0 = 4                       # DC ZVA: 64 bytes
    c.clidr_el1 = 0x0A200023              # two levels: separate, unified
    c.cntfrq_el0 = 62500000


# ---- the table ----------------------------------------------------------------------------------

cdef enum:
    RW = R1 | W1
    RO = R1
    WO = W1
    RW0 = R0 | W0 | R1 | W1
    RO0 = R0 | R1
    EL2 = 0            # EL2's own, which only Python accesses


cdef Reg* row(const char* name, int op0, int op1, int crn, int crm, int op2, uint32_t access,
              uint32_t trap, uint32_t effect) except NULL:
    global nregs
    cdef uint32_t enc = op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
    cdef Reg* r
    if nregs == MAX_REGS or index_of[enc - 0x8000]:
        raise AssertionError(f"system register {name.decode()} {enc:#x}: twice, or too many")
    r = &regs[nregs]
    memset(r, 0, sizeof(Reg))
    index_of[enc - 0x8000] = <uint16_t>nregs
    nregs += 1
    r.name = name
    r.enc = <uint16_t>enc
    r.access = <uint8_t>access
    r.trap = <uint8_t>trap
    r.effect = <uint8_t>effect
    return r


cdef int at(const char* name, int op0, int op1, int crn, int crm, int op2, uint32_t access,
            uint32_t trap, uint32_t effect, uint64_t* place, uint64_t mask) except -1:
    """A register that is a place in Cpu."""
    cdef Reg* r = row(name, op0, op1, crn, crm, op2, access, trap, effect)
    r.offset = <uint32_t>(<char*>place - <char*>&layout)
    r.mask = mask
    return 0


cdef int by(const char* name, int op0, int op1, int crn, int crm, int op2, uint32_t access,
            uint32_t trap, uint32_t effect, Read read, Write write, Write set,
            uint64_t mask = ~<uint64_t>0) except -1:
    """A register with functions to read and write it."""
    cdef Reg* r = row(name, op0, op1, crn, crm, op2, access, trap, effect)
    r.read = read
    r.write = write
    r.set = set
    r.mask = mask
    return 0


cdef int with_read(Read read) except -1:
    """The register added last is read by this function, though it has a place in Cpu."""
    regs[nregs - 1].read = read
    return 0


cdef int with_write(Write write, Write set) except -1:
    regs[nregs - 1].write = write
    regs[nregs - 1].set = set
    return 0


cdef int identification() except -1:
    cdef int crm, op2
    at("MIDR_EL1", 3, 0, 0, 0, 0, RO, T_NONE, GOES_ON, &layout.midr_el1, ALL)
    with_read(read_midr)
    at("MPIDR_EL1", 3, 0, 0, 0, 5, RO, T_NONE, GOES_ON, &layout.mpidr_el1, ALL)
    with_read(read_mpidr)
    at("REVIDR_EL1", 3, 0, 0, 0, 6, RO, T_ID1, GOES_ON, &layout.revidr_el1, ALL)
    at("ID_AA64PFR0_EL1", 3, 0, 0, 4, 0, RO, T_ID3, FEATURES, &layout.id_aa64pfr0, ALL)
    at("ID_AA64PFR1_EL1", 3, 0, 0, 4, 1, RO, T_ID3, FEATURES, &layout.id_aa64pfr1, ALL)
    at("ID_AA64DFR0_EL1", 3, 0, 0, 5, 0, RO, T_ID3, GOES_ON, &layout.id_aa64dfr0, ALL)
    at("ID_AA64DFR1_EL1", 3, 0, 0, 5, 1, RO, T_ID3, GOES_ON, &layout.id_aa64dfr1, ALL)
    at("ID_AA64ISAR0_EL1", 3, 0, 0, 6, 0, RO, T_ID3, FEATURES, &layout.id_aa64isar0, ALL)
    at("ID_AA64ISAR1_EL1", 3, 0, 0, 6, 1, RO, T_ID3, FEATURES, &layout.id_aa64isar1, ALL)
    at("ID_AA64MMFR0_EL1", 3, 0, 0, 7, 0, RO, T_ID3, FEATURES, &layout.id_aa64mmfr0, ALL)
    at("ID_AA64MMFR1_EL1", 3, 0, 0, 7, 1, RO, T_ID3, FEATURES, &layout.id_aa64mmfr1, ALL)
    at("ID_AA64MMFR2_EL1", 3, 0, 0, 7, 2, RO, T_ID3, FEATURES, &layout.id_aa64mmfr2, ALL)
    # AArch32's and all that is reserved for identification reads as zero.
    for crm in range(1, 8):
        for op2 in range(8):
            if not index_of[(3 << 14 | crm << 3 | op2) - 0x8000]:
                by(b"ID_RESERVED", 3, 0, 0, crm, op2, RO, T_ID3, GOES_ON, read_zero, NULL, NULL)
    by("CCSIDR_EL1", 3, 1, 0, 0, 0, RO, T_ID2, GOES_ON, read_ccsidr, NULL, NULL)
    at("CLIDR_EL1", 3, 1, 0, 0, 1, RO, T_ID2, GOES_ON, &layout.clidr_el1, ALL)
    by("AIDR_EL1", 3, 1, 0, 0, 7, RO, T_ID1, GOES_ON, read_zero, NULL, NULL)
    at("CSSELR_EL1", 3, 2, 0, 0, 0, RW, T_ID2, GOES_ON, &layout.csselr_el1, 0xF)
    at("CTR_EL0", 3, 3, 0, 0, 1, RO0, T_CTR, GOES_ON, &layout.ctr_el0, ALL)
    at("DCZID_EL0", 3, 3, 0, 0, 7, RO0, T_NONE, GOES_ON, &layout.dczid_el0, ALL)
    with_read(read_dczid)
    return 0


cdef int control() except -1:
    at("SCTLR_EL1", 3, 0, 1, 0, 0, RW, T_VM, LEAVES, &layout.sctlr_el1, ALL)
    with_write(write_sctlr, NULL)
    at("ACTLR_EL1", 3, 0, 1, 0, 1, RW, T_ACTLR, GOES_ON, &layout.actlr_el1, ALL)
    at("CPACR_EL1", 3, 0, 1, 0, 2, RW, T_CPACR, FP_ACCESS, &layout.cpacr_el1, 3 << 20)
    at("TTBR0_EL1", 3, 0, 2, 0, 0, RW, T_VM, REGIME, &layout.ttbr0_el1, ALL)
    with_write(write_ttbr, NULL)
    at("TTBR1_EL1", 3, 0, 2, 0, 1, RW, T_VM, REGIME, &layout.ttbr1_el1, ALL)
    with_write(write_ttbr, NULL)
    at("TCR_EL1", 3, 0, 2, 0, 2, RW, T_VM, RETAGS, &layout.tcr_el1, ALL)
    with_write(write_tcr, NULL)
    at("SPSR_EL1", 3, 0, 4, 0, 0, RW, T_NONE, GOES_ON, &layout.spsr_el1, WORD)
    at("ELR_EL1", 3, 0, 4, 0, 1, RW, T_NONE, GOES_ON, &layout.elr_el1, ALL)
    by("SP_EL0", 3, 0, 4, 1, 0, RW, T_SP_EL0, GOES_ON, read_sp, write_sp, NULL)
    by("SPSel", 3, 0, 4, 2, 0, RW, T_NONE, LEAVES, read_spsel, write_spsel, NULL, 1)
    by("CurrentEL", 3, 0, 4, 2, 2, RO, T_NONE, GOES_ON, read_currentel, NULL, NULL)
    at("AFSR0_EL1", 3, 0, 5, 1, 0, RW, T_VM, GOES_ON, &layout.afsr0_el1, WORD)
    at("AFSR1_EL1", 3, 0, 5, 1, 1, RW, T_VM, GOES_ON, &layout.afsr1_el1, WORD)
    at("ESR_EL1", 3, 0, 5, 2, 0, RW, T_VM, GOES_ON, &layout.esr_el1, WORD)
    at("FAR_EL1", 3, 0, 6, 0, 0, RW, T_VM, GOES_ON, &layout.far_el1, ALL)
    at("PAR_EL1", 3, 0, 7, 4, 0, RW, T_NONE, GOES_ON, &layout.par_el1, ALL)
    at("MAIR_EL1", 3, 0, 10, 2, 0, RW, T_VM, RETAGS, &layout.mair_el1, ALL)
    at("AMAIR_EL1", 3, 0, 10, 3, 0, RW, T_VM, GOES_ON, &layout.amair_el1, ALL)
    at("VBAR_EL1", 3, 0, 12, 0, 0, RW, T_NONE, GOES_ON, &layout.vbar_el1, ~<uint64_t>0x7FF)
    by("ISR_EL1", 3, 0, 12, 1, 0, RO, T_NONE, GOES_ON, read_isr, NULL, NULL)
    at("CONTEXTIDR_EL1", 3, 0, 13, 0, 1, RW, T_VM, LEAVES, &layout.contextidr_el1, WORD)
    at("TPIDR_EL1", 3, 0, 13, 0, 4, RW, T_NONE, GOES_ON, &layout.tpidr_el1, ALL)
    by("NZCV", 3, 3, 4, 2, 0, RW0, T_NONE, GOES_ON, read_nzcv, write_nzcv, NULL, 0xF0000000)
    by("DAIF", 3, 3, 4, 2, 1, RW0, T_DAIF, LEAVES, read_daif, write_daif, NULL, 0x3C0)
    # AHP, DN, FZ, RMode: no trapped exceptions, no FP16
    by("FPCR", 3, 3, 4, 4, 0, RW0, T_FP, GOES_ON, read_fpcr, write_fpcr, NULL, 0x07C80000)
    # QC and the cumulative exceptions
    by("FPSR", 3, 3, 4, 4, 1, RW0, T_FP, GOES_ON, read_fpsr, write_fpsr, NULL, 0x0800009F)
    at("TPIDR_EL0", 3, 3, 13, 0, 2, RW0, T_NONE, GOES_ON, &layout.tpidr_el0, ALL)
    at("TPIDRRO_EL0", 3, 3, 13, 0, 3, RW | R0, T_NONE, GOES_ON, &layout.tpidrro_el0, ALL)
    by("SP_EL1", 3, 4, 4, 1, 0, EL2, T_NONE, GOES_ON, read_sp, write_sp, NULL)
    regs[nregs - 1].number = 1
    return 0


cdef int of(uint8_t feature) except -1:
    """The register added last belongs to this extension."""
    regs[nregs - 1].feature = feature
    return 0


cdef int extensions() except -1:
    cdef int n
    by("PAN", 3, 0, 4, 2, 3, RW, T_NONE, GOES_ON, read_pstate, write_pstate, NULL, PSTATE_PAN)
    of(F_PAN)
    by("UAO", 3, 0, 4, 2, 4, RW, T_NONE, GOES_ON, read_pstate, write_pstate, NULL, PSTATE_UAO)
    of(F_UAO)
    by("DIT", 3, 3, 4, 2, 5, RW0, T_NONE, GOES_ON, read_pstate, write_pstate, NULL, PSTATE_DIT)
    of(F_DIT)
    by("SSBS", 3, 3, 4, 2, 6, RW0, T_NONE, GOES_ON, read_pstate, write_pstate, NULL, PSTATE_SSBS)
    of(F_SSBS2)
    names = (b"APIAKeyLo_EL1", b"APIAKeyHi_EL1", b"APIBKeyLo_EL1", b"APIBKeyHi_EL1", b"APDAKeyLo_EL1",
             b"APDAKeyHi_EL1", b"APDBKeyLo_EL1", b"APDBKeyHi_EL1", b"APGAKeyLo_EL1", b"APGAKeyHi_EL1")
    for n in range(10):
        at(names[n], 3, 0, 2, 1 + (n >> 2), n & 3, RW, T_APK, GOES_ON, &layout.keys[n], ALL)
        of(F_PAUTH)
    # LORID_EL1 says that there are no regions: the others are RES0.
    lor = (b"LORSA_EL1", b"LOREA_EL1", b"LORN_EL1", b"LORC_EL1")
    for n in range(4):
        by(lor[n], 3, 0, 10, 4, n, RW, T_LOR, GOES_ON, read_zero, ignore, NULL)
        of(F_LOR)
    by("LORID_EL1", 3, 0, 10, 4, 7, RO, T_LOR, GOES_ON, read_zero, NULL, NULL)
    of(F_LOR)
    # No error records: those of a selected one are RAZ/WI.
    by("ERRIDR_EL1", 3, 0, 5, 3, 0, RO, T_ERR, GOES_ON, read_zero, NULL, NULL)
    of(F_RAS)
    at("ERRSELR_EL1", 3, 0, 5, 3, 1, RW, T_ERR, GOES_ON, &layout.errselr_el1, 0)
    of(F_RAS)
    records = (b"ERXFR_EL1", b"ERXCTLR_EL1", b"ERXSTATUS_EL1", b"ERXADDR_EL1")
    for n in range(4):
        by(records[n], 3, 0, 5, 4, n, RO if n == 0 else RW, T_ERR, GOES_ON, read_zero, ignore, NULL)
        of(F_RAS)
    records = (b"ERXMISC0_EL1", b"ERXMISC1_EL1")
    for n in range(2):
        by(records[n], 3, 0, 5, 5, n, RW, T_ERR, GOES_ON, read_zero, ignore, NULL)
        of(F_RAS)
    by("DISR_EL1", 3, 0, 12, 1, 1, RW, T_NONE, GOES_ON, read_disr, write_disr, NULL, DISR_MASK)
    of(F_RAS)
    at("VSESR_EL2", 3, 4, 5, 2, 3, EL2, T_NONE, GOES_ON, &layout.vsesr_el2, 0x1FFFFFF)
    of(F_RAS)
    at("VDISR_EL2", 3, 4, 12, 1, 1, EL2, T_NONE, GOES_ON, &layout.vdisr_el2, DISR_MASK)
    of(F_RAS)
    return 0


cdef int timers() except -1:
    at("CNTKCTL_EL1", 3, 0, 14, 1, 0, RW, T_NONE, GOES_ON, &layout.cntkctl_el1, 0x3FF)
    # Written only at the highest exception level.
    at("CNTFRQ_EL0", 3, 3, 14, 0, 0, RO0, T_FRQ, GOES_ON, &layout.cntfrq_el0, WORD)
    by("CNTPCT_EL0", 3, 3, 14, 0, 1, RO0, T_PCT, LEAVES, read_cntpct, NULL, set_cntpct)
    by("CNTVCT_EL0", 3, 3, 14, 0, 2, RO0, T_VCT, LEAVES, read_cntvct, NULL, set_cntvct)
    by("CNTP_TVAL_EL0", 3, 3, 14, 2, 0, RW0, T_PTIMER, LEAVES, read_cntp_tval, write_cntp_tval,
       NULL, WORD)
    at("CNTP_CTL_EL0", 3, 3, 14, 2, 1, RW0, T_PTIMER, LEAVES, &layout.ptimer.ctl, 3)
    with_read(read_cntp_ctl)
    at("CNTP_CVAL_EL0", 3, 3, 14, 2, 2, RW0, T_PTIMER, LEAVES, &layout.ptimer.cval, ALL)
    by("CNTV_TVAL_EL0", 3, 3, 14, 3, 0, RW0, T_VTIMER, LEAVES, read_cntv_tval, write_cntv_tval,
       NULL, WORD)
    at("CNTV_CTL_EL0", 3, 3, 14, 3, 1, RW0, T_VTIMER, LEAVES, &layout.vtimer.ctl, 3)
    with_read(read_cntv_ctl)
    at("CNTV_CVAL_EL0", 3, 3, 14, 3, 2, RW0, T_VTIMER, LEAVES, &layout.vtimer.cval, ALL)
    return 0


cdef int debug() except -1:
    cdef int n
    at("OSDTRRX_EL1", 2, 0, 0, 0, 2, RW, T_DBG, GOES_ON, &layout.osdtrrx_el1, WORD)
    at("MDCCINT_EL1", 2, 0, 0, 2, 0, RW, T_DBG, GOES_ON, &layout.mdccint_el1, 3 << 29)
    at("MDSCR_EL1", 2, 0, 0, 2, 2, RW, T_DBG, DEBUGS, &layout.mdscr_el1,
       MDSCR_MASK | MDSCR_LOCKED)
    with_write(write_mdscr, set_plain)
    at("OSDTRTX_EL1", 2, 0, 0, 3, 2, RW, T_DBG, GOES_ON, &layout.osdtrtx_el1, WORD)
    at("OSECCR_EL1", 2, 0, 0, 6, 2, RW, T_DBG, GOES_ON, &layout.oseccr_el1, WORD)
    with_read(read_oseccr)
    with_write(write_oseccr, set_plain)
    for n in range(16):
        at("DBGBVRn_EL1", 2, 0, 0, n, 4, RW, T_BRP, DEBUGS, &layout.dbgbvr[n], ALL)
        regs[nregs - 1].number = <uint8_t>n
        at("DBGBCRn_EL1", 2, 0, 0, n, 5, RW, T_BRP, DEBUGS, &layout.dbgbcr[n], BCR_MASK)
        regs[nregs - 1].number = <uint8_t>n
        at("DBGWVRn_EL1", 2, 0, 0, n, 6, RW, T_WRP, DEBUGS, &layout.dbgwvr[n], ~<uint64_t>3)
        regs[nregs - 1].number = <uint8_t>n
        at("DBGWCRn_EL1", 2, 0, 0, n, 7, RW, T_WRP, DEBUGS, &layout.dbgwcr[n], WCR_MASK)
        regs[nregs - 1].number = <uint8_t>n
    by("MDRAR_EL1", 2, 0, 1, 0, 0, RO, T_DBGRA, GOES_ON, read_zero, NULL, NULL)
    by("OSLAR_EL1", 2, 0, 1, 0, 4, WO, T_DBGOS, DEBUGS, NULL, write_oslar, NULL, 1)
    by("OSLSR_EL1", 2, 0, 1, 1, 4, RO, T_DBGOS, DEBUGS, read_oslsr, NULL, set_oslsr)
    at("OSDLR_EL1", 2, 0, 1, 3, 4, RW, T_DBGOS, DEBUGS, &layout.osdlr_el1, 1)
    at("DBGPRCR_EL1", 2, 0, 1, 4, 4, RW, T_DBGOS, DEBUGS, &layout.dbgprcr_el1, 1)
    by("DBGCLAIMSET_EL1", 2, 0, 7, 8, 6, RW, T_DBG, GOES_ON, read_claimset, write_claimset,
       NULL, 0xFF)
    by("DBGCLAIMCLR_EL1", 2, 0, 7, 9, 6, RW, T_DBG, GOES_ON, read_claimclr, write_claimclr,
       NULL, 0xFF)
    by("DBGAUTHSTATUS_EL1", 2, 0, 7, 14, 6, RO, T_DBG, GOES_ON, read_authstatus, NULL, NULL)
    by("MDCCSR_EL0", 2, 3, 0, 1, 0, RO0, T_DCC, GOES_ON, read_mdccsr, NULL, NULL)
    by("DBGDTR_EL0", 2, 3, 0, 4, 0, RW0, T_DCC, GOES_ON, read_dtr, write_dtr, NULL)
    # One encoding: reading receives, writing transmits.
    by("DBGDTRRX_EL0", 2, 3, 0, 5, 0, RW0, T_DCC, GOES_ON, read_dtrrx, write_dtrtx, NULL, WORD)
    return 0


cdef int pmu() except -1:
    cdef int n
    cdef Reg* r
    row("PMINTENSET_EL1", 3, 0, 9, 14, 1, RW, T_PMU, GOES_ON)
    row("PMINTENCLR_EL1", 3, 0, 9, 14, 2, RW, T_PMU, GOES_ON)
    row("PMCR_EL0", 3, 3, 9, 12, 0, RW0, T_PMCR, GOES_ON)
    row("PMCNTENSET_EL0", 3, 3, 9, 12, 1, RW0, T_PMU, GOES_ON)
    row("PMCNTENCLR_EL0", 3, 3, 9, 12, 2, RW0, T_PMU, GOES_ON)
    row("PMOVSCLR_EL0", 3, 3, 9, 12, 3, RW0, T_PMU, GOES_ON)
    row("PMSWINC_EL0", 3, 3, 9, 12, 4, W0 | W1, T_PMU, GOES_ON)
    row("PMSELR_EL0", 3, 3, 9, 12, 5, RW0, T_PMU, GOES_ON)
    row("PMCEID0_EL0", 3, 3, 9, 12, 6, RO0, T_PMU, GOES_ON)
    row("PMCEID1_EL0", 3, 3, 9, 12, 7, RO0, T_PMU, GOES_ON)
    row("PMCCNTR_EL0", 3, 3, 9, 13, 0, RW0, T_PMU, GOES_ON)
    row("PMXEVTYPER_EL0", 3, 3, 9, 13, 1, RW0, T_PMU, GOES_ON)
    row("PMXEVCNTR_EL0", 3, 3, 9, 13, 2, RW0, T_PMU, GOES_ON)
    row("PMUSERENR_EL0", 3, 3, 9, 14, 0, RW | R0, T_PMU, GOES_ON)
    row("PMOVSSET_EL0", 3, 3, 9, 14, 3, RW0, T_PMU, GOES_ON)
    for n in range(31):
        r = row("PMEVCNTRn_EL0", 3, 3, 14, 8 + (n >> 3), n & 7, RW0, T_PMU, GOES_ON)
        r.number = <uint8_t>n
        r = row("PMEVTYPERn_EL0", 3, 3, 14, 12 + (n >> 3), n & 7, RW0, T_PMU, GOES_ON)
        r.number = <uint8_t>n
    row("PMCCFILTR_EL0", 3, 3, 14, 15, 7, RW0, T_PMU, GOES_ON)
    return 0


cdef int icc(const char* name, int crn, int crm, int op2, uint32_t access, uint32_t trap, uint32_t effect,
             Read read, Write write, uint8_t group=0) except -1:
    by(name, 3, 0, crn, crm, op2, access, trap, effect, read, write, NULL)
    regs[nregs - 1].number = group
    return of(F_GICV3)


cdef int gic() except -1:
    cdef int n
    icc("ICC_PMR_EL1", 4, 6, 0, RW, T_GICC, LEAVES, read_icc_pmr, write_icc_pmr)
    icc("ICC_IAR0_EL1", 12, 8, 0, RO, T_GROUP0, ACKNOWLEDGES, read_icc_iar, NULL, 0)
    icc("ICC_EOIR0_EL1", 12, 8, 1, WO, T_GROUP0, LEAVES, NULL, write_icc_eoir, 0)
    icc("ICC_HPPIR0_EL1", 12, 8, 2, RO, T_GROUP0, GOES_ON, read_icc_hppir, NULL, 0)
    icc("ICC_BPR0_EL1", 12, 8, 3, RW, T_GROUP0, LEAVES, read_icc_bpr, write_icc_bpr, 0)
    icc("ICC_AP0R0_EL1", 12, 8, 4, RW, T_GROUP0, LEAVES, read_apr, write_apr, 0)
    icc("ICC_AP1R0_EL1", 12, 9, 0, RW, T_GROUP1, LEAVES, read_apr, write_apr, 1)
    icc("ICC_DIR_EL1", 12, 11, 1, WO, T_DIR, LEAVES, NULL, write_icc_dir)
    icc("ICC_RPR_EL1", 12, 11, 3, RO, T_GICC, GOES_ON, read_icc_rpr, NULL)
    icc("ICC_SGI1R_EL1", 12, 11, 5, WO, T_SGI, GOES_ON, NULL, ignore)
    icc("ICC_ASGI1R_EL1", 12, 11, 6, WO, T_SGI, GOES_ON, NULL, ignore)
    icc("ICC_SGI0R_EL1", 12, 11, 7, WO, T_SGI, GOES_ON, NULL, ignore)
    icc("ICC_IAR1_EL1", 12, 12, 0, RO, T_GROUP1, ACKNOWLEDGES, read_icc_iar, NULL, 1)
    icc("ICC_EOIR1_EL1", 12, 12, 1, WO, T_GROUP1, LEAVES, NULL, write_icc_eoir, 1)
    icc("ICC_HPPIR1_EL1", 12, 12, 2, RO, T_GROUP1, GOES_ON, read_icc_hppir, NULL, 1)
    icc("ICC_BPR1_EL1", 12, 12, 3, RW, T_GROUP1, LEAVES, read_icc_bpr, write_icc_bpr, 1)
    icc("ICC_CTLR_EL1", 12, 12, 4, RW, T_GICC, LEAVES, read_icc_ctlr, write_icc_ctlr)
    icc("ICC_SRE_EL1", 12, 12, 5, RW, T_NONE, GOES_ON, read_icc_sre, ignore)
    icc("ICC_IGRPEN0_EL1", 12, 12, 6, RW, T_GROUP0, LEAVES, read_icc_igrpen, write_icc_igrpen, 0)
    icc("ICC_IGRPEN1_EL1", 12, 12, 7, RW, T_GROUP1, LEAVES, read_icc_igrpen, write_icc_igrpen, 1)
    ich("ICH_AP0R0_EL2", 8, 0, read_apr, write_apr)
    ich("ICH_AP1R0_EL2", 9, 0, read_apr, write_apr)
    regs[nregs - 1].number = 1
    ich("ICH_HCR_EL2", 11, 0, read_ich_hcr, write_ich_hcr)
    ich("ICH_VTR_EL2", 11, 1, read_ich_vtr, ignore)
    ich("ICH_MISR_EL2", 11, 2, read_ich_misr, ignore)
    ich("ICH_EISR_EL2", 11, 3, read_ich_eisr, ignore)
    ich("ICH_ELRSR_EL2", 11, 5, read_ich_elrsr, ignore)
    ich("ICH_VMCR_EL2", 11, 7, read_ich_vmcr, write_ich_vmcr)
    for n in range(16):
        ich("ICH_LRn_EL2", 12 + (n >> 3), n & 7, read_ich_lr, write_ich_lr)
        regs[nregs - 1].number = <uint8_t>n
        of(F_LR)
    return 0


cdef int ich(const char* name, int crm, int op2, Read read, Write write) except -1:
    by(name, 3, 4, 12, crm, op2, EL2, T_NONE, GOES_ON, read, write, NULL)
    return of(F_ICH)


cdef int el2() except -1:
    at("VPIDR_EL2", 3, 4, 0, 0, 0, EL2, T_NONE, GOES_ON, &layout.vpidr_el2, WORD)
    at("VMPIDR_EL2", 3, 4, 0, 0, 5, EL2, T_NONE, GOES_ON, &layout.vmpidr_el2, ALL)
    at("HCR_EL2", 3, 4, 1, 1, 0, EL2, T_NONE, RETAGS, &layout.hcr_el2, ALL)
    at("MDCR_EL2", 3, 4, 1, 1, 1, EL2, T_NONE, DEBUGS, &layout.mdcr_el2, WORD)
    at("CPTR_EL2", 3, 4, 1, 1, 2, EL2, T_NONE, FP_ACCESS, &layout.cptr_el2, WORD)
    at("HSTR_EL2", 3, 4, 1, 1, 3, EL2, T_NONE, GOES_ON, &layout.hstr_el2, WORD)
    at("VTTBR_EL2", 3, 4, 2, 1, 0, EL2, T_NONE, RETAGS, &layout.vttbr_el2, ALL)
    at("ESR_EL2", 3, 4, 5, 2, 0, EL2, T_NONE, GOES_ON, &layout.esr_el2, WORD)
    at("FAR_EL2", 3, 4, 6, 0, 0, EL2, T_NONE, GOES_ON, &layout.far_el2, ALL)
    at("HPFAR_EL2", 3, 4, 6, 0, 4, EL2, T_NONE, GOES_ON, &layout.hpfar_el2, ALL)
    at("CNTVOFF_EL2", 3, 4, 14, 0, 3, EL2, T_NONE, LEAVES, &layout.cntvoff_el2, ALL)
    at("CNTHCTL_EL2", 3, 4, 14, 1, 0, EL2, T_NONE, LEAVES, &layout.cnthctl_el2, 0xFF)
    return 0


regs[0].name = "IMPLEMENTATION DEFINED"
regs[0].access = RW
regs[0].trap = T_IMPDEF
identification()
control()
extensions()
timers()
debug()
pmu()
gic()
el2()


cdef list sysreg_list(Cpu* c):
    cdef int n
    cdef uint64_t value = 0
    cdef list found = []
    for n in range(1, nregs):
        if sysreg_read(c, regs[n].enc, &value):
            found.append(regs[n].enc)
    return sorted(found)


def table():
    """Every register: (name, encoding, access bits R0 1, W0 2, R1 4, W1 8)."""
    cdef int n
    return [(regs[n].name.decode().replace("n_", f"{regs[n].number}_"), regs[n].enc, regs[n].access)
            for n in range(1, nregs)]
