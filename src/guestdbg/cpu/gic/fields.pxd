# cython: language_level=3
"""Bits of the GIC's registers, named as in Arm IHI 0069, chapter 12.

Only constants: there is no module of this name at run time.
"""

cdef enum:
    PRIORITY_BITS = 5
    PRIORITY_MASK = 0xF8       # of a priority: the bits implemented
    IDLE_PRIORITY = 0xFF
    MIN_BPR0 = 2               # 7 - preemption bits
    MIN_BPR1 = 3

    INTID_GROUP1 = 1022        # GICv2: acknowledge it through the aliased registers
    INTID_SPURIOUS = 1023
    INTID_FIRST_SPECIAL = 1020
    INTID_FIRST_LPI = 8192

    # ICH_HCR_EL2
    ICH_HCR_EN = 1 << 0
    ICH_HCR_UIE = 1 << 1
    ICH_HCR_LRENPIE = 1 << 2
    ICH_HCR_NPIE = 1 << 3
    ICH_HCR_VGRP0EIE = 1 << 4
    ICH_HCR_VGRP0DIE = 1 << 5
    ICH_HCR_VGRP1EIE = 1 << 6
    ICH_HCR_VGRP1DIE = 1 << 7
    ICH_HCR_TC = 1 << 10
    ICH_HCR_TALL0 = 1 << 11
    ICH_HCR_TALL1 = 1 << 12
    ICH_HCR_TSEI = 1 << 13
    ICH_HCR_TDIR = 1 << 14
    ICH_HCR_EOICOUNT_SHIFT = 27

    # ICH_MISR_EL2
    ICH_MISR_EOI = 1 << 0
    ICH_MISR_U = 1 << 1
    ICH_MISR_LRENP = 1 << 2
    ICH_MISR_NP = 1 << 3
    ICH_MISR_VGRP0E = 1 << 4
    ICH_MISR_VGRP0D = 1 << 5
    ICH_MISR_VGRP1E = 1 << 6
    ICH_MISR_VGRP1D = 1 << 7

    # ICH_VMCR_EL2; bits 9 to 0 are laid out as GICV_CTLR
    ICH_VMCR_VENG0 = 1 << 0
    ICH_VMCR_VENG1 = 1 << 1
    ICH_VMCR_VACKCTL = 1 << 2
    ICH_VMCR_VFIQEN = 1 << 3
    ICH_VMCR_VCBPR = 1 << 4
    ICH_VMCR_VEOIM = 1 << 9
    ICH_VMCR_VBPR1_SHIFT = 18
    ICH_VMCR_VBPR0_SHIFT = 21
    ICH_VMCR_VPMR_SHIFT = 24

    # ICC_CTLR_EL1
    ICC_CTLR_CBPR = 1 << 0
    ICC_CTLR_EOIMODE = 1 << 1
    ICC_CTLR_PRIBITS_SHIFT = 8
    ICC_CTLR_A3V = 1 << 15

    # ICC_SRE_EL1
    ICC_SRE_SRE = 1 << 0
    ICC_SRE_DFB = 1 << 1
    ICC_SRE_DIB = 1 << 2

    # ICH_LRn_EL2
    ICH_LR_PRIORITY_SHIFT = 48

# Bits above 31, and values of that size.
cdef extern from *:
    """
    #define GUESTDBG_ICH_LR_PENDING (1ULL << 62)
    #define GUESTDBG_ICH_LR_ACTIVE (1ULL << 63)
    #define GUESTDBG_ICH_LR_STATE (3ULL << 62)
    #define GUESTDBG_ICH_LR_HW (1ULL << 61)
    #define GUESTDBG_ICH_LR_GROUP (1ULL << 60)
    #define GUESTDBG_ICH_LR_EOI (1ULL << 41)
    /* State, HW, Group, Priority, pINTID, 16 bits of vINTID */
    #define GUESTDBG_ICH_LR_MASK (0xFULL << 60 | 0xF8ULL << 48 | 0x1FFFULL << 32 | 0xFFFF)
    /* PRIbits and PREbits 5, IDbits 16, A3V, nV4, TDS; ListRegs is added */
    #define GUESTDBG_ICH_VTR (4ULL << 29 | 4ULL << 26 | 1 << 21 | 1 << 20 | 1 << 19)
    /* EOIcount, TDIR, TSEI, TALL1, TALL0, TC, the enables */
    #define GUESTDBG_ICH_HCR_MASK (0x1FULL << 27 | 0x1F << 10 | 0xFF)
    #define GUESTDBG_ICH_VMCR_MASK (0xFFFC021FULL)
    """
    const unsigned long long ICH_LR_PENDING "GUESTDBG_ICH_LR_PENDING"
    const unsigned long long ICH_LR_ACTIVE "GUESTDBG_ICH_LR_ACTIVE"
    const unsigned long long ICH_LR_STATE "GUESTDBG_ICH_LR_STATE"
    const unsigned long long ICH_LR_HW "GUESTDBG_ICH_LR_HW"
    const unsigned long long ICH_LR_GROUP "GUESTDBG_ICH_LR_GROUP"
    const unsigned long long ICH_LR_EOI "GUESTDBG_ICH_LR_EOI"
    const unsigned long long ICH_LR_MASK "GUESTDBG_ICH_LR_MASK"
    const unsigned long long ICH_VTR "GUESTDBG_ICH_VTR"
    const unsigned long long ICH_HCR_MASK "GUESTDBG_ICH_HCR_MASK"
    const unsigned long long ICH_VMCR_MASK "GUESTDBG_ICH_VMCR_MASK"
