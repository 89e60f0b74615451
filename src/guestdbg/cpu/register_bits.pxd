# cython: language_level=3
"""Bits of control registers, named as in the Arm manual (D17), for all modules.

Only constants: there is no module of this name at run time.
"""

cdef enum:
    # HCR_EL2
    HCR_FMO = 1 << 3
    HCR_IMO = 1 << 4
    HCR_AMO = 1 << 5
    HCR_VF = 1 << 6
    HCR_VI = 1 << 7
    HCR_VSE = 1 << 8
    HCR_FB = 1 << 9
    HCR_DC = 1 << 12
    HCR_TWI = 1 << 13
    HCR_TWE = 1 << 14
    HCR_TID1 = 1 << 16
    HCR_TID2 = 1 << 17
    HCR_TID3 = 1 << 18
    HCR_TSC = 1 << 19
    HCR_TIDCP = 1 << 20
    HCR_TACR = 1 << 21
    HCR_TSW = 1 << 22
    HCR_TPC = 1 << 23
    HCR_TPU = 1 << 24
    HCR_TTLB = 1 << 25
    HCR_TVM = 1 << 26
    HCR_TDZ = 1 << 28
    HCR_HCD = 1 << 29
    HCR_TRVM = 1 << 30

    # MDCR_EL2
    MDCR_TPMCR = 1 << 5
    MDCR_TPM = 1 << 6
    MDCR_TDE = 1 << 8
    MDCR_TDA = 1 << 9
    MDCR_TDOSA = 1 << 10
    MDCR_TDRA = 1 << 11

    # CPTR_EL2
    CPTR_TFP = 1 << 10

    # SCTLR_EL1
    SCTLR_M = 1 << 0
    SCTLR_A = 1 << 1
    SCTLR_UMA = 1 << 9
    SCTLR_DZE = 1 << 14
    SCTLR_UCT = 1 << 15
    SCTLR_NTWI = 1 << 16
    SCTLR_NTWE = 1 << 18
    SCTLR_WXN = 1 << 19
    SCTLR_SPAN = 1 << 23
    SCTLR_UCI = 1 << 26

    # MDSCR_EL1
    MDSCR_SS = 1 << 0
    MDSCR_TDCC = 1 << 12
    MDSCR_KDE = 1 << 13
    MDSCR_MDE = 1 << 15
    MDSCR_TXFULL = 1 << 29
    MDSCR_RXFULL = 1 << 30

    # PSTATE, as in SPSR_ELx
    PSTATE_A = 1 << 8
    PSTATE_D = 1 << 9
    PSTATE_BTYPE = 3 << 10
    PSTATE_SSBS = 1 << 12
    PSTATE_IL = 1 << 20
    PSTATE_SS = 1 << 21
    PSTATE_PAN = 1 << 22
    PSTATE_UAO = 1 << 23
    PSTATE_DIT = 1 << 24

    IL = 1 << 25               # ESR_ELx.IL: a 32-bit instruction

# Bits above 31. (A C enum is only as wide as an int.)
cdef extern from *:
    """
    #define GUESTDBG_HCR_TERR (1ULL << 36)
    #define GUESTDBG_HCR_APK (1ULL << 40)
    #define GUESTDBG_HCR_API (1ULL << 41)
    #define GUESTDBG_SCTLR_BT0 (1ULL << 35)
    #define GUESTDBG_SCTLR_BT1 (1ULL << 36)
    #define GUESTDBG_SCTLR_DSSBS (1ULL << 44)
    #define GUESTDBG_TCR_A1 (1ULL << 22)
    #define GUESTDBG_TCR_AS (1ULL << 36)
    #define GUESTDBG_TCR_HPD0 (1ULL << 41)
    #define GUESTDBG_TCR_HPD1 (1ULL << 42)
    #define GUESTDBG_TCR_TBID0 (1ULL << 51)
    #define GUESTDBG_TCR_TBID1 (1ULL << 52)
    """
    const unsigned long long HCR_TERR "GUESTDBG_HCR_TERR"
    const unsigned long long HCR_APK "GUESTDBG_HCR_APK"
    const unsigned long long HCR_API "GUESTDBG_HCR_API"
    const unsigned long long SCTLR_BT0 "GUESTDBG_SCTLR_BT0"
    const unsigned long long SCTLR_BT1 "GUESTDBG_SCTLR_BT1"
    const unsigned long long SCTLR_DSSBS "GUESTDBG_SCTLR_DSSBS"
    const unsigned long long TCR_A1 "GUESTDBG_TCR_A1"
    const unsigned long long TCR_AS "GUESTDBG_TCR_AS"
    const unsigned long long TCR_HPD0 "GUESTDBG_TCR_HPD0"
    const unsigned long long TCR_HPD1 "GUESTDBG_TCR_HPD1"
    const unsigned long long TCR_TBID0 "GUESTDBG_TCR_TBID0"
    const unsigned long long TCR_TBID1 "GUESTDBG_TCR_TBID1"
