# cython: language_level=3
"""Which accesses to system registers are trapped, and where to (Arm manual, D17: "Accessibility")."""
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu
from guestdbg.cpu.gic.fields cimport ICH_HCR_TALL0, ICH_HCR_TALL1, ICH_HCR_TC, ICH_HCR_TDIR
from guestdbg.cpu.register_bits cimport *
from guestdbg.cpu.sysreg cimport R0, R1, Reg, W0, W1


cdef uint64_t CPTR_TCPAC = <uint64_t>1 << 31
cdef uint64_t HCR_TLOR = <uint64_t>1 << 35


cdef inline uint32_t mdcr_traps(Cpu* c, uint64_t which) noexcept nogil:
    """TDE makes TDA, TDOSA and TDRA behave as set."""
    return TO_EL2 if c.mdcr_el2 & (which | MDCR_TDE) else ALLOWED


cdef uint32_t fp_denied(Cpu* c) noexcept nogil:
    """FP/SIMD at the current EL: FP_TO_EL1, FP_TO_EL2 or ALLOWED."""
    cdef uint64_t fpen = (c.cpacr_el1 >> 20) & 3
    if fpen != 3 and (fpen != 1 or c.el == 0):
        return FP_TO_EL1
    return FP_TO_EL2 if c.cptr_el2 & CPTR_TFP else ALLOWED


cdef uint32_t denied(Cpu* c, const Reg* r, bint read) noexcept nogil:
    # At EL0 EL1's controls come first, then EL2's: what is UNDEFINED anyway is never trapped.
    cdef bint el0 = c.el == 0
    cdef uint32_t t = r.trap
    cdef uint32_t need
    if el0:
        need = R0 if read else W0
    else:
        need = R1 if read else W1
    if not r.access & need:
        return UNDEFINED
    if t == T_NONE:
        return ALLOWED
    if t == T_VM:
        return TO_EL2 if c.hcr_el2 & (HCR_TRVM if read else HCR_TVM) else ALLOWED
    if t == T_DAIF:
        return TO_EL1 if el0 and not c.sctlr_el1 & SCTLR_UMA else ALLOWED
    if t == T_FP:
        return fp_denied(c)
    if t == T_VCT:
        return TO_EL1 if el0 and not c.cntkctl_el1 & 2 else ALLOWED
    if t == T_VTIMER:
        return TO_EL1 if el0 and not c.cntkctl_el1 & 1 << 8 else ALLOWED
    if t == T_PCT:
        if el0 and not c.cntkctl_el1 & 1:
            return TO_EL1
        return ALLOWED if c.cnthctl_el2 & 1 else TO_EL2
    if t == T_PTIMER:
        if el0 and not c.cntkctl_el1 & 1 << 9:
            return TO_EL1
        return ALLOWED if c.cnthctl_el2 & 2 else TO_EL2
    if t == T_FRQ:
        return TO_EL1 if el0 and not c.cntkctl_el1 & 3 else ALLOWED
    if t == T_ACTLR:
        return TO_EL2 if c.hcr_el2 & HCR_TACR else ALLOWED
    if t == T_ID1:
        return TO_EL2 if c.hcr_el2 & HCR_TID1 else ALLOWED
    if t == T_CTR:
        if el0 and not c.sctlr_el1 & SCTLR_UCT:
            return TO_EL1
        return TO_EL2 if c.hcr_el2 & HCR_TID2 else ALLOWED
    if t == T_ID2:
        return TO_EL2 if c.hcr_el2 & HCR_TID2 else ALLOWED
    if t == T_ID3:
        return TO_EL2 if c.hcr_el2 & HCR_TID3 else ALLOWED
    if t == T_CPACR:
        return TO_EL2 if c.cptr_el2 & CPTR_TCPAC else ALLOWED
    if t == T_SP_EL0:
        return ALLOWED if c.spsel else UNDEFINED
    if t == T_BRP:
        return UNDEFINED if r.number >= c.nbrp else mdcr_traps(c, MDCR_TDA)
    if t == T_WRP:
        return UNDEFINED if r.number >= c.nwrp else mdcr_traps(c, MDCR_TDA)
    if t == T_DBG:
        return mdcr_traps(c, MDCR_TDA)
    if t == T_DCC:
        if el0 and c.mdscr_el1 & MDSCR_TDCC:
            return TO_EL1
        return mdcr_traps(c, MDCR_TDA)
    if t == T_DBGOS:
        return mdcr_traps(c, MDCR_TDOSA)
    if t == T_DBGRA:
        return mdcr_traps(c, MDCR_TDRA)
    if t == T_PMU:
        return TO_EL2 if c.mdcr_el2 & MDCR_TPM else UNDEFINED
    if t == T_PMCR:
        return TO_EL2 if c.mdcr_el2 & (MDCR_TPM | MDCR_TPMCR) else UNDEFINED
    if t == T_APK:
        return ALLOWED if c.hcr_el2 & HCR_APK else TO_EL2
    if t == T_LOR:
        return TO_EL2 if c.hcr_el2 & HCR_TLOR else ALLOWED
    if t == T_GROUP1:
        return TO_EL2 if c.gic.hcr & ICH_HCR_TALL1 else ALLOWED
    if t == T_GICC:
        return TO_EL2 if c.gic.hcr & ICH_HCR_TC else ALLOWED
    if t == T_GROUP0:
        return TO_EL2 if c.gic.hcr & ICH_HCR_TALL0 else ALLOWED
    if t == T_DIR:
        return TO_EL2 if c.gic.hcr & (ICH_HCR_TC | ICH_HCR_TDIR) else ALLOWED
    if t == T_SGI:
        return TO_EL2
    if t == T_ERR:
        return TO_EL2 if c.hcr_el2 & HCR_TERR else ALLOWED
    # T_IMPDEF
    return TO_EL2 if c.hcr_el2 & HCR_TIDCP else UNDEFINED
