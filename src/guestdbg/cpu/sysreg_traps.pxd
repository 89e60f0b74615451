# cython: language_level=3
from libc.stdint cimport uint32_t
from guestdbg.cpu.core cimport Cpu
from guestdbg.cpu.sysreg cimport Reg

# Which controls trap an access: Reg.trap.
cdef enum:
    T_NONE = 0
    T_VM = 1           # HCR_EL2.TVM, TRVM
    T_ACTLR = 2        # HCR_EL2.TACR
    T_ID1 = 3          # HCR_EL2.TID1
    T_ID2 = 4          # HCR_EL2.TID2
    T_CTR = 5          # SCTLR_EL1.UCT at EL0; HCR_EL2.TID2
    T_ID3 = 6          # HCR_EL2.TID3
    T_CPACR = 7        # CPTR_EL2.TCPAC
    T_FP = 8           # CPACR_EL1.FPEN, CPTR_EL2.TFP
    T_DAIF = 9         # SCTLR_EL1.UMA at EL0
    T_SP_EL0 = 10      # not while it is the current SP
    T_FRQ = 11         # CNTKCTL_EL1.EL0PCTEN, EL0VCTEN (either will do)
    T_PCT = 12         # CNTKCTL_EL1.EL0PCTEN; CNTHCTL_EL2.EL1PCTEN
    T_VCT = 13         # CNTKCTL_EL1.EL0VCTEN
    T_PTIMER = 14      # CNTKCTL_EL1.EL0PTEN; CNTHCTL_EL2.EL1PCEN
    T_VTIMER = 15      # CNTKCTL_EL1.EL0VTEN
    T_DBG = 16         # MDCR_EL2.TDA
    T_DCC = 17         # MDSCR_EL1.TDCC at EL0; MDCR_EL2.TDA
    T_DBGOS = 18       # MDCR_EL2.TDOSA
    T_DBGRA = 19       # MDCR_EL2.TDRA
    T_BRP = 20         # as T_DBG, where that breakpoint is implemented
    T_WRP = 21
    T_PMU = 22         # MDCR_EL2.TPM; without a PMU what it does not trap is UNDEFINED
    T_PMCR = 23        # MDCR_EL2.TPM, TPMCR
    T_IMPDEF = 24      # HCR_EL2.TIDCP; what it does not trap is UNDEFINED
    T_APK = 25         # HCR_EL2.APK clear
    T_ERR = 26         # HCR_EL2.TERR
    T_LOR = 27         # HCR_EL2.TLOR
    T_GROUP0 = 28      # ICH_HCR_EL2.TALL0
    T_GROUP1 = 29      # ICH_HCR_EL2.TALL1
    T_GICC = 30        # ICH_HCR_EL2.TC
    T_DIR = 31         # ICH_HCR_EL2.TC, TDIR
    T_SGI = 32         # always, to EL2: only it can send to another processor

# Why an access is not made: denied().
cdef enum:
    ALLOWED = 0
    UNDEFINED = 1      # UNDEFINED exception to EL1
    TO_EL1 = 2         # trap to EL1, EC 0x18
    TO_EL2 = 3         # trap to EL2, EC 0x18
    FP_TO_EL1 = 4      # trap of FP/SIMD to EL1, EC 0x07
    FP_TO_EL2 = 5

cdef uint32_t denied(Cpu* c, const Reg* r, bint read) noexcept nogil
"""May the guest, at its EL, make this access? ALLOWED, or what happens instead."""
