"""The AArch32 identification registers, which AArch64 can read too (DDI 0487, D23.2).

They read as zero (or UNKNOWN) where EL1 and EL0 have no AArch32 state, as in guestdbg.cpu.
Rows of four-bit fields, lowest first; None is a reserved field.
"""

from __future__ import annotations

from collections.abc import Mapping

from guestdbg.arm64.fields import Field, Register

Cell = tuple[str, str | Mapping[int, str]] | None


def _level(what: str) -> Mapping[int, str]:
    """0 absent, 1 present, more: extended in ways that the manual lists by number."""
    words = {0: f"no {what}", 1: what}
    words.update({n: f"{what}, extended (level {n})" for n in range(2, 15)})
    words[15] = f"no {what}"
    return words


def _row(name: str, title: str, *cells: Cell) -> Register:
    fields = [
        Field(cell[0], 4 * i + 3, 4 * i, _level(cell[1]) if isinstance(cell[1], str) else cell[1])
        for i, cell in enumerate(cells)
        if cell is not None
    ]
    return Register(name, f"AArch32 {title}", tuple(reversed(fields)))


_DEBUG = {
    0: "not by cp14",
    2: "Armv6 debug",
    3: "Armv6 debug with Security Extensions",
    4: "Armv7 debug",
    5: "Armv7.1 debug",
    6: "Armv8 debug",
    7: "Armv8 debug with VHE",
    8: "Armv8.2 debug",
    9: "Armv8.4 debug",
    10: "Armv8.8 debug",
    11: "Armv8.9 debug",
}
_PERFORMANCE = {
    0: "no performance monitors",
    1: "PMUv1",
    2: "PMUv2",
    3: "PMUv3",
    4: "PMUv3 for Armv8.1",
    5: "PMUv3 for Armv8.4",
    6: "PMUv3 for Armv8.5",
    7: "PMUv3 for Armv8.7",
    8: "PMUv3 for Armv8.8",
    9: "PMUv3 for Armv8.9",
    15: "IMPLEMENTATION DEFINED performance monitors",
}
_VMSA = {
    0: "no virtual memory",
    1: "IMPLEMENTATION DEFINED virtual memory",
    2: "VMSAv6",
    3: "VMSAv7",
    4: "VMSAv7 with PXN",
    5: "VMSAv7 with PXN and long descriptors",
}
_SHAREABLE = {0: "Non-cacheable", 1: "coherent in hardware", 15: "shareability ignored"}
_FLOAT = {0: "not in hardware", 1: "VFPv2", 2: "VFPv3 and later"}

AARCH32_REGISTERS: tuple[Register, ...] = (
    _row(
        "ID_PFR0_EL1",
        "Processor Feature Register 0",
        ("State0", "A32 instruction set"),
        ("State1", {0: "no T32 instruction set", 1: "Thumb before Thumb-2", 3: "T32"}),
        ("State2", "Jazelle"),
        ("State3", "T32EE"),
        ("CSV2", "statement about speculation and branch targets"),
        ("AMU", "activity monitors"),
        ("DIT", "data independent timing"),
        ("RAS", "RAS extension"),
    ),
    _row(
        "ID_PFR1_EL1",
        "Processor Feature Register 1",
        ("ProgMod", "programmers' model of Armv4 and later"),
        ("Security", "Security Extensions"),
        ("MProgMod", "M-profile programmers' model"),
        ("Virtualization", "Virtualization Extensions"),
        ("GenTimer", "Generic Timer"),
        ("Sec_frac", "parts of the Security Extensions"),
        ("Virt_frac", "parts of the Virtualization Extensions"),
        ("GIC", "GIC system registers"),
    ),
    _row(
        "ID_PFR2_EL1",
        "Processor Feature Register 2",
        ("CSV3", "statement about speculation and faulting loads"),
        ("SSBS", "PSTATE.SSBS"),
        ("RAS_frac", "RAS extension version 1.1"),
    ),
    _row(
        "ID_DFR0_EL1",
        "Debug Feature Register 0",
        ("CopDbg", _DEBUG),
        ("CopSDbg", _DEBUG),
        ("MMapDbg", {0: "no memory-mapped debug", 4: "Armv7 debug", 5: "Armv7.1 debug"}),
        ("CopTrc", "trace unit in cp14"),
        ("MMapTrc", "memory-mapped trace unit"),
        ("MProfDbg", "M-profile debug"),
        ("PerfMon", _PERFORMANCE),
        ("TraceFilt", "self-hosted trace"),
    ),
    _row(
        "ID_DFR1_EL1",
        "Debug Feature Register 1",
        ("MTPMU", "multi-threaded PMU"),
        ("HPMN0", "a guest with no event counters"),
    ),
    _row(
        "ID_MMFR0_EL1",
        "Memory Model Feature Register 0",
        ("VMSA", _VMSA),
        ("PMSA", "protected memory system"),
        ("OuterShr", _SHAREABLE),
        ("ShareLvl", {0: "one level of shareability", 1: "two levels of shareability"}),
        ("TCM", "tightly coupled memory"),
        ("AuxReg", "auxiliary control registers"),
        ("FCSE", "fast context switch extension"),
        ("InnerShr", _SHAREABLE),
    ),
    _row(
        "ID_MMFR1_EL1",
        "Memory Model Feature Register 1",
        ("L1HvdVA", "level 1 Harvard cache maintenance by address"),
        ("L1UniVA", "level 1 unified cache maintenance by address"),
        ("L1HvdSW", "level 1 Harvard cache maintenance by set and way"),
        ("L1UniSW", "level 1 unified cache maintenance by set and way"),
        ("L1Hvd", "level 1 Harvard cache maintenance as a whole"),
        ("L1Uni", "level 1 unified cache maintenance as a whole"),
        ("L1TstCln", "level 1 data cache test and clean"),
        (
            "BPred",
            {
                0: "no branch predictor",
                1: "branch predictor flushed for new code and translations",
                2: "branch predictor flushed for new code, not for an ASID",
                3: "branch predictor flushed for new code only",
                4: "branch predictor never flushed",
            },
        ),
    ),
    _row(
        "ID_MMFR2_EL1",
        "Memory Model Feature Register 2",
        ("L1HvdFG", "level 1 Harvard foreground prefetch"),
        ("L1HvdBG", "level 1 Harvard background prefetch"),
        ("L1HvdRng", "level 1 Harvard cache maintenance by range"),
        ("HvdTLB", "Harvard TLB maintenance"),
        ("UniTLB", "unified TLB maintenance"),
        ("MemBarr", "memory barriers in cp15"),
        ("WFIStall", "stall on WFI"),
        ("HWAccFlg", "hardware access flag"),
    ),
    _row(
        "ID_MMFR3_EL1",
        "Memory Model Feature Register 3",
        ("CMaintVA", "cache maintenance by address"),
        ("CMaintSW", "cache maintenance by set and way"),
        ("BPMaint", "branch predictor maintenance"),
        (
            "MaintBcst",
            {
                0: "maintenance is local",
                1: "cache and branch predictor maintenance is broadcast",
                2: "cache, TLB and branch predictor maintenance is broadcast",
            },
        ),
        ("PAN", "PAN"),
        ("CohWalk", "table walks coherent with the data cache"),
        ("CMemSz", {0: "4 GiB cacheable", 1: "64 GiB cacheable", 2: "1 TiB cacheable or more"}),
        ("Supersec", {0: "supersections", 15: "no supersections"}),
    ),
    _row(
        "ID_MMFR4_EL1",
        "Memory Model Feature Register 4",
        ("SpecSEI", "SErrors from speculative reads"),
        ("AC2", "ACTLR2 and HACTLR2"),
        ("XNX", "stage 2 execute-never by EL"),
        ("CnP", "common not private translations"),
        ("HPDS", "disabling hierarchical permissions"),
        ("LSM", "load/store multiple controls"),
        ("CCIDX", "64-bit cache size registers"),
        ("EVT", "enhanced virtualisation traps"),
    ),
    _row(
        "ID_MMFR5_EL1",
        "Memory Model Feature Register 5",
        ("ETS", "enhanced translation synchronisation"),
        ("nTLBPA", "no caching of intermediate physical addresses"),
    ),
    _row(
        "ID_ISAR0_EL1",
        "Instruction Set Attribute Register 0",
        ("Swap", "SWP and SWPB"),
        ("BitCount", "CLZ"),
        ("BitField", "BFC, BFI, SBFX and UBFX"),
        ("CmpBranch", "CBZ and CBNZ in T32"),
        ("Coproc", "generic coprocessor instructions"),
        ("Debug", "BKPT"),
        (
            "Divide",
            {0: "no divide", 1: "SDIV and UDIV in T32", 2: "SDIV and UDIV in T32 and A32"},
        ),
    ),
    _row(
        "ID_ISAR1_EL1",
        "Instruction Set Attribute Register 1",
        ("Endian", "SETEND"),
        ("Except", "LDM and STM of exception and user registers in A32"),
        ("Except_AR", "SRS, RFE and CPS"),
        ("Extend", "SXTB, UXTB and their kin"),
        ("IfThen", "IT in T32"),
        ("Immediate", "MOVW, MOVT and wide immediates"),
        ("Interwork", "BX, BLX and interworking loads"),
        ("Jazelle", "BXJ"),
    ),
    _row(
        "ID_ISAR2_EL1",
        "Instruction Set Attribute Register 2",
        ("LoadStore", "LDRD and STRD"),
        ("MemHint", "PLD and other memory hints"),
        ("MultiAccessInt", "interruptible load/store multiple"),
        ("Mult", "MLA and MLS"),
        ("MultS", "SMULL and other signed multiplies"),
        ("MultU", "UMULL and other unsigned multiplies"),
        ("PSR_AR", "MRS and MSR of the program status registers"),
        ("Reversal", "REV and RBIT"),
    ),
    _row(
        "ID_ISAR3_EL1",
        "Instruction Set Attribute Register 3",
        ("Saturate", "QADD, QSUB and their kin"),
        ("SIMD", "SSAT, PADD and other integer SIMD"),
        ("SVC", "SVC"),
        ("SynchPrim", "LDREX and STREX"),
        ("TabBranch", "TBB and TBH in T32"),
        ("T32Copy", "MOV of low registers without flags in T32"),
        ("TrueNOP", "true NOP"),
        ("T32EE", "T32EE"),
    ),
    _row(
        "ID_ISAR4_EL1",
        "Instruction Set Attribute Register 4",
        ("Unpriv", "unprivileged loads and stores"),
        ("WithShifts", "shifts in loads, stores and data processing"),
        ("Writeback", "all writeback addressing modes"),
        ("SMC", "SMC"),
        ("Barrier", "DMB, DSB and ISB"),
        ("SynchPrim_frac", "parts of LDREX and STREX"),
        ("PSR_M", "M-profile status register accesses"),
        ("SWP_frac", "SWP and SWPB without locking the bus"),
    ),
    _row(
        "ID_ISAR5_EL1",
        "Instruction Set Attribute Register 5",
        ("SEVL", "SEVL"),
        ("AES", "AES"),
        ("SHA1", "SHA1"),
        ("SHA2", "SHA256"),
        ("CRC32", "CRC32"),
        None,
        ("RDM", "VQRDMLAH and VQRDMLSH"),
        ("VCMA", "complex number instructions"),
    ),
    _row(
        "ID_ISAR6_EL1",
        "Instruction Set Attribute Register 6",
        ("JSCVT", "JavaScript conversion"),
        ("DP", "dot product"),
        ("FHM", "VFMAL and VFMSL"),
        ("SB", "speculation barrier"),
        ("SPECRES", "prediction restriction"),
        ("BF16", "BFloat16"),
        ("I8MM", "8-bit integer matrix multiply"),
        ("CLRBHB", "CLRBHB"),
    ),
    _row(
        "MVFR0_EL1",
        "Media and VFP Feature Register 0",
        (
            "SIMDReg",
            {0: "no SIMD registers", 1: "16 x 64-bit registers", 2: "32 x 64-bit registers"},
        ),
        ("FPSP", _FLOAT),
        ("FPDP", _FLOAT),
        ("FPTrap", "trapping of floating-point exceptions"),
        ("FPDivide", "VDIV"),
        ("FPSqrt", "VSQRT"),
        ("FPShVec", "short vectors"),
        ("FPRound", "all rounding modes"),
    ),
    _row(
        "MVFR1_EL1",
        "Media and VFP Feature Register 1",
        ("FPFtZ", "full denormal arithmetic"),
        ("FPDNaN", "propagation of NaNs"),
        ("SIMDLS", "SIMD loads and stores"),
        ("SIMDInt", "SIMD integer instructions"),
        ("SIMDSP", "SIMD single-precision instructions"),
        ("SIMDHP", "SIMD half-precision"),
        ("FPHP", "floating-point half-precision"),
        ("SIMDFMAC", "fused multiply-accumulate"),
    ),
    _row(
        "MVFR2_EL1",
        "Media and VFP Feature Register 2",
        ("SIMDMisc", "SIMD conversions with rounding, and maximum and minimum"),
        ("FPMisc", "floating-point selection, conversions with rounding, maximum and minimum"),
    ),
    Register(
        "ID_AFR0_EL1",
        "AArch32 Auxiliary Feature Register 0",
        (Field("IMPDEF", 15, 0, "IMPLEMENTATION DEFINED"),),
    ),
)
