"""Layouts of the identification registers that a guest can read (DDI 0487, D23.2).

Most are rows of four-bit fields: each line below names a field, its lowest bit and what its
values mean. A value that the table does not list was not allocated by the architecture.
"""

from __future__ import annotations

from collections.abc import Mapping

from guestdbg.arm64.fields import Field, Register, flag
from guestdbg.arm64.idregs32 import AARCH32_REGISTERS

Row = tuple[str, int, Mapping[int, str] | str]


def _has(what: str, *more: str) -> dict[int, str]:
    """Values 0, 1, 2, ... of a field: absent, present, and each extension of it."""
    words = {0: f"{what} not implemented", 1: f"{what} implemented"}
    for n, extra in enumerate(more, start=2):
        words[n] = extra
    return words


def _signed(what: str, *more: str) -> dict[int, str]:
    """Fields where 0b1111 says absent and 0 present."""
    words = {15: f"{what} not implemented", 0: f"{what} implemented"}
    for n, extra in enumerate(more, start=1):
        words[n] = extra
    return words


def _register(name: str, title: str, *rows: Row, extra: tuple[Field, ...] = ()) -> Register:
    fields = [Field(field, low + 3, low, meaning) for field, low, meaning in rows]
    both = sorted([*fields, *extra], key=lambda f: -f.high)
    return Register(name, title, tuple(both))


# ---------------------------------------------------------------- identification

_IMPLEMENTERS = {
    0x00: "reserved for software use",
    0x41: "Arm",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "Applied Micro",
    0x51: "Qualcomm",
    0x53: "Samsung",
    0x56: "Marvell",
    0x61: "Apple",
    0x66: "Faraday",
    0x69: "Intel",
    0x6D: "Microsoft",
    0xC0: "Ampere",
}
_ARM_PARTS = {
    0xD02: "Cortex-A34",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse N1",
    0xD0D: "Cortex-A77",
    0xD0F: "the architecture envelope model",
    0xD40: "Neoverse V1",
    0xD41: "Cortex-A78",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
    0xD49: "Neoverse N2",
    0xD4A: "Neoverse E1",
    0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3",
    0xD4F: "Neoverse V2",
}


def _midr_summary(value: int) -> str:
    part = value >> 4 & 0xFFF
    who = _IMPLEMENTERS.get(value >> 24 & 0xFF, "an unknown implementer")
    what = _ARM_PARTS.get(part) if value >> 24 & 0xFF == 0x41 else None
    return f"{who}, {what or f'part {part:#x}'}, r{value >> 20 & 15}p{value & 15}"


MIDR_EL1 = Register(
    "MIDR_EL1",
    "Main ID Register",
    (
        Field("Implementer", 31, 24, lambda v: _IMPLEMENTERS.get(v, "unknown")),
        Field("Variant", 23, 20, lambda v: f"major revision r{v}"),
        Field("Architecture", 19, 16, lambda v: "see the ID registers" if v == 15 else "old"),
        Field("PartNum", 15, 4, "part number"),
        Field("Revision", 3, 0, lambda v: f"minor revision p{v}"),
    ),
    summary=_midr_summary,
)
MPIDR_EL1 = Register(
    "MPIDR_EL1",
    "Multiprocessor Affinity Register",
    (
        Field("Aff3", 39, 32, "affinity level 3"),
        flag("U", 30, "a uniprocessor system", "part of a multiprocessor system"),
        flag("MT", 24, "the lowest level is threads", "the lowest level is processing elements"),
        Field("Aff2", 23, 16, "affinity level 2"),
        Field("Aff1", 15, 8, "affinity level 1"),
        Field("Aff0", 7, 0, "affinity level 0"),
    ),
    res1=1 << 31,
)

# ---------------------------------------------------------------- debug

_DEBUG_VERSIONS = {
    6: "Armv8 debug",
    7: "Armv8 debug with VHE",
    8: "Armv8.2 debug",
    9: "Armv8.4 debug",
    10: "Armv8.8 debug",
    11: "Armv8.9 debug",
}
_PMU_VERSIONS = {
    0: "no performance monitors",
    1: "PMUv3",
    4: "PMUv3 for Armv8.1",
    5: "PMUv3 for Armv8.4",
    6: "PMUv3 for Armv8.5",
    7: "PMUv3 for Armv8.7",
    8: "PMUv3 for Armv8.8",
    9: "PMUv3 for Armv8.9",
    15: "IMPLEMENTATION DEFINED performance monitors",
}


def _breakpoints(value: int) -> str:
    return f"{value + 1} breakpoints" if value else "reserved value: at least 2 are required"


def _watchpoints(value: int) -> str:
    return f"{value + 1} watchpoints" if value else "reserved value: at least 2 are required"


def _context(value: int) -> str:
    many = value + 1
    return f"{many} of the breakpoints {'is' if many == 1 else 'are'} context-aware"


ID_AA64DFR0_EL1 = Register(
    "ID_AA64DFR0_EL1",
    "AArch64 Debug Feature Register 0",
    (
        Field("HPMN0", 63, 60, _has("a guest with no event counters")),
        Field("ExtTrcBuff", 59, 56, _has("external trace buffer mode")),
        Field("BRBE", 55, 52, _has("branch record buffer", "with EL3 support")),
        Field(
            "MTPMU",
            51,
            48,
            {
                0: "no multi-threaded PMU controls",
                1: "multi-threaded PMU implemented",
                15: "multi-threaded PMU not implemented",
            },
        ),
        Field("TraceBuffer", 47, 44, _has("trace buffer")),
        Field("TraceFilt", 43, 40, _has("self-hosted trace")),
        Field("DoubleLock", 39, 36, _signed("OS Double Lock")),
        Field(
            "PMSVer",
            35,
            32,
            _has(
                "statistical profiling",
                "version 1.1",
                "version 1.2",
                "version 1.3",
                "version 1.4",
                "version 1.5",
            ),
        ),
        Field("CTX_CMPs", 31, 28, _context),
        Field("SEBEP", 27, 24, _has("synchronous PMU exceptions")),
        Field("WRPs", 23, 20, _watchpoints),
        Field("PMSS", 19, 16, _has("PMU snapshots")),
        Field("BRPs", 15, 12, _breakpoints),
        Field("PMUVer", 11, 8, _PMU_VERSIONS),
        Field("TraceVer", 7, 4, _has("trace unit system registers")),
        Field("DebugVer", 3, 0, _DEBUG_VERSIONS),
    ),
    summary=lambda v: (
        f"{_DEBUG_VERSIONS.get(v & 15, 'unknown debug architecture')}: "
        f"{(v >> 12 & 15) + 1} breakpoints ({(v >> 28 & 15) + 1} context-aware), "
        f"{(v >> 20 & 15) + 1} watchpoints"
    ),
)
ID_AA64DFR1_EL1 = Register(
    "ID_AA64DFR1_EL1",
    "AArch64 Debug Feature Register 1",
    (
        Field("ABL_CMPs", 63, 56, "breakpoints with address linking, minus one"),
        Field("DPFZS", 55, 52, _has("cycle counter freeze on an SPE event")),
        Field("EBEP", 51, 48, _has("PMU exceptions")),
        Field("ITE", 47, 44, _has("instrumentation trace")),
        Field("ABLE", 43, 40, _has("address breakpoint linking")),
        Field("PMICNTR", 39, 36, _has("fixed instruction counter")),
        Field("SPMU", 35, 32, _has("System PMU")),
        Field("CTX_CMPs", 31, 24, "context-aware breakpoints, minus one, where more than 16"),
        Field("WRPs", 23, 16, "watchpoints, minus one, where more than 16"),
        Field("BRPs", 15, 8, "breakpoints, minus one, where more than 16"),
        Field("SYSPMUID", 7, 0, "System PMU ID"),
    ),
)
ID_AA64DFR2_EL1 = _register(
    "ID_AA64DFR2_EL1",
    "AArch64 Debug Feature Register 2",
    ("BWE", 4, _has("breakpoint mismatch and range", "and watchpoint mismatch")),
    ("STEP", 0, _has("enhanced software step")),
)
_IMPDEF = (Field("IMPDEF", 63, 0, "IMPLEMENTATION DEFINED"),)
ID_AA64AFR0_EL1 = Register("ID_AA64AFR0_EL1", "AArch64 Auxiliary Feature Register 0", _IMPDEF)
ID_AA64AFR1_EL1 = Register("ID_AA64AFR1_EL1", "AArch64 Auxiliary Feature Register 1", _IMPDEF)

# ---------------------------------------------------------------- instruction sets

ID_AA64ISAR0_EL1 = _register(
    "ID_AA64ISAR0_EL1",
    "AArch64 Instruction Set Attribute Register 0",
    ("RNDR", 60, _has("random number registers")),
    ("TLB", 56, _has("outer shareable TLB maintenance", "with TLB range maintenance")),
    ("TS", 52, _has("flag manipulation (CFINV, RMIF)", "with AXFLAG and XAFLAG")),
    ("FHM", 48, _has("FMLAL and FMLSL")),
    ("DP", 44, _has("dot product")),
    ("SM4", 40, _has("SM4")),
    ("SM3", 36, _has("SM3")),
    ("SHA3", 32, _has("SHA3")),
    ("RDM", 28, _has("SQRDMLAH and SQRDMLSH")),
    ("TME", 24, _has("transactional memory")),
    (
        "Atomic",
        20,
        {
            0: "no LSE atomics",
            2: "LSE atomics implemented",
            3: "LSE and 128-bit atomics implemented",
        },
    ),
    ("CRC32", 16, _has("CRC32 instructions")),
    ("SHA2", 12, _has("SHA256", "SHA256 and SHA512 implemented")),
    ("SHA1", 8, _has("SHA1")),
    ("AES", 4, _has("AES", "AES and 64-bit polynomial multiply implemented")),
)
ID_AA64ISAR1_EL1 = _register(
    "ID_AA64ISAR1_EL1",
    "AArch64 Instruction Set Attribute Register 1",
    ("LS64", 60, _has("LD64B and ST64B", "with ST64BV", "with ST64BV0 and ACCDATA_EL1")),
    ("XS", 56, _has("the XS attribute")),
    ("I8MM", 52, _has("8-bit integer matrix multiply")),
    ("DGH", 48, _has("data gathering hint")),
    ("BF16", 44, _has("BFloat16", "with extended behaviour")),
    ("SPECRES", 40, _has("prediction restriction", "with COSP RCTX")),
    ("SB", 36, _has("speculation barrier")),
    ("FRINTTS", 32, _has("FRINT32 and FRINT64")),
    ("GPI", 28, _has("generic pointer authentication, IMPLEMENTATION DEFINED algorithm")),
    ("GPA", 24, _has("generic pointer authentication, QARMA5")),
    ("LRCPC", 20, _has("LDAPR", "LDAPR with offsets", "LDAPR of pairs and SIMD")),
    ("FCMA", 16, _has("complex number instructions")),
    ("JSCVT", 12, _has("JavaScript conversion")),
    (
        "API",
        8,
        _has(
            "pointer authentication, IMPLEMENTATION DEFINED algorithm",
            "EPAC",
            "PAuth2",
            "FPAC",
            "FPACCOMBINE",
        ),
    ),
    ("APA", 4, _has("pointer authentication, QARMA5", "EPAC", "PAuth2", "FPAC", "FPACCOMBINE")),
    ("DPB", 0, _has("DC CVAP", "DC CVAP and DC CVADP implemented")),
)
ID_AA64ISAR2_EL1 = _register(
    "ID_AA64ISAR2_EL1",
    "AArch64 Instruction Set Attribute Register 2",
    ("ATS1A", 60, _has("AT S1E*A")),
    ("LUT", 56, _has("lookup table instructions")),
    ("CSSC", 52, _has("common short sequence compression")),
    ("RPRFM", 48, _has("range prefetch")),
    ("PCDPHINT", 44, _has("producer-consumer data placement hints")),
    ("PRFMSLC", 40, _has("prefetch to the system level cache")),
    ("SYSINSTR_128", 36, _has("128-bit system instructions")),
    ("SYSREG_128", 32, _has("128-bit system registers")),
    ("CLRBHB", 28, _has("CLRBHB")),
    ("PAC_frac", 24, _has("constant PAC field")),
    ("BC", 20, _has("hinted conditional branch")),
    ("MOPS", 16, _has("memory copy and set")),
    ("APA3", 12, _has("pointer authentication, QARMA3", "EPAC", "PAuth2", "FPAC", "FPACCOMBINE")),
    ("GPA3", 8, _has("generic pointer authentication, QARMA3")),
    ("RPRES", 4, _has("increased reciprocal estimate precision")),
    ("WFxT", 0, {0: "WFET and WFIT not implemented", 2: "WFET and WFIT implemented"}),
)
ID_AA64ISAR3_EL1 = _register(
    "ID_AA64ISAR3_EL1",
    "AArch64 Instruction Set Attribute Register 3",
    ("FPRCVT", 28, _has("floating-point to integer conversion, register forms")),
    ("LSUI", 24, _has("unprivileged atomics")),
    ("OCCMO", 20, _has("outer cacheable maintenance")),
    ("LSFE", 16, _has("floating-point atomics")),
    ("PACM", 12, _has("pointer authentication with the PC", "PACM fully implemented")),
    ("TLBIW", 8, _has("TLBI VMALLWS2")),
    ("FAMINMAX", 4, _has("absolute minimum and maximum")),
    ("CPA", 0, _has("checked pointer arithmetic", "with fault checks")),
)

# ---------------------------------------------------------------- memory model

_PA_SIZES = {
    0: "32-bit physical addresses (4 GiB)",
    1: "36-bit physical addresses (64 GiB)",
    2: "40-bit physical addresses (1 TiB)",
    3: "42-bit physical addresses (4 TiB)",
    4: "44-bit physical addresses (16 TiB)",
    5: "48-bit physical addresses (256 TiB)",
    6: "52-bit physical addresses (4 PiB)",
    7: "56-bit physical addresses (64 PiB)",
}
_GRANULE_STAGE2 = {
    0: "at stage 2 as at stage 1",
    1: "not at stage 2",
    2: "at stage 2 too",
    3: "at stage 2 too, with 52-bit addresses",
}
ID_AA64MMFR0_EL1 = _register(
    "ID_AA64MMFR0_EL1",
    "AArch64 Memory Model Feature Register 0",
    ("ECV", 60, _has("enhanced counter virtualisation", "with CNTPOFF_EL2")),
    ("FGT", 56, _has("fine-grained traps", "FGT2 implemented")),
    ("ExS", 44, _has("non-context-synchronising exceptions")),
    ("TGran4_2", 40, _GRANULE_STAGE2),
    ("TGran64_2", 36, _GRANULE_STAGE2),
    ("TGran16_2", 32, _GRANULE_STAGE2),
    (
        "TGran4",
        28,
        {
            0: "4 KiB granule supported",
            1: "4 KiB granule supported, with 52-bit addresses",
            15: "4 KiB granule not supported",
        },
    ),
    ("TGran64", 24, {0: "64 KiB granule supported", 15: "64 KiB granule not supported"}),
    (
        "TGran16",
        20,
        {
            0: "16 KiB granule not supported",
            1: "16 KiB granule supported",
            2: "16 KiB granule supported, with 52-bit addresses",
        },
    ),
    ("BigEndEL0", 16, _has("mixed endianness at EL0 only")),
    ("SNSMem", 12, _has("distinction of Secure and Non-secure memory")),
    ("BigEnd", 8, _has("mixed endianness")),
    ("ASIDBits", 4, {0: "8-bit ASIDs", 2: "16-bit ASIDs"}),
    ("PARange", 0, _PA_SIZES),
)
ID_AA64MMFR1_EL1 = _register(
    "ID_AA64MMFR1_EL1",
    "AArch64 Memory Model Feature Register 1",
    ("ECBHB", 60, _has("exploitative control using branch history protection")),
    ("CMOW", 56, _has("cache maintenance needs write permission")),
    ("TIDCP1", 52, _has("SCTLR_EL1.TIDCP")),
    ("nTLBPA", 48, _has("no caching of intermediate physical addresses")),
    ("AFP", 44, _has("alternate floating-point")),
    ("HCX", 40, _has("HCRX_EL2")),
    (
        "ETS",
        36,
        {
            0: "",
            1: "",
            2: "enhanced translation synchronisation",
            3: "enhanced translation synchronisation, version 3",
        },
    ),
    ("TWED", 32, _has("delayed WFE traps")),
    ("XNX", 28, _has("stage 2 execute-never by EL")),
    ("SpecSEI", 24, _has("SErrors from speculative reads")),
    ("PAN", 20, _has("PAN", "PAN and AT S1E1*P implemented", "PAN with SCTLR_EL1.EPAN")),
    ("LO", 16, _has("limited ordering regions")),
    ("HPDS", 12, _has("disabling hierarchical permissions", "with hardware use of bits 62:59")),
    ("VH", 8, _has("virtualization host extensions")),
    ("VMIDBits", 4, {0: "8-bit VMIDs", 2: "16-bit VMIDs"}),
    (
        "HAFDBS",
        0,
        _has(
            "hardware access flag",
            "hardware access flag and dirty state implemented",
            "with table access flags",
            "with the dirty state structure",
        ),
    ),
)
ID_AA64MMFR2_EL1 = _register(
    "ID_AA64MMFR2_EL1",
    "AArch64 Memory Model Feature Register 2",
    ("E0PD", 60, _has("E0PD")),
    ("EVT", 56, _has("enhanced virtualisation traps", "with TLB maintenance traps")),
    (
        "BBM",
        52,
        {
            0: "changes of block size need break-before-make",
            1: "level 1 support for changes of block size",
            2: "level 2 support for changes of block size",
        },
    ),
    ("TTL", 48, _has("level hints in TLB maintenance")),
    ("FWB", 40, _has("HCR_EL2.FWB")),
    (
        "IDS",
        36,
        {
            0: "ID space accesses report EC 0x0",
            1: "ID space accesses report EC 0x18",
            2: "ID space accesses report EC 0x18, more registers",
        },
    ),
    ("AT", 32, _has("single-copy atomicity of unaligned accesses")),
    ("ST", 28, _has("small translation tables")),
    ("NV", 24, _has("nested virtualisation", "NV2 implemented")),
    ("CCIDX", 20, {0: "32-bit CCSIDR_EL1", 1: "64-bit CCSIDR_EL1"}),
    (
        "VARange",
        16,
        {
            0: "48-bit virtual addresses",
            1: "52-bit virtual addresses (64 KiB)",
            2: "56-bit virtual addresses",
        },
    ),
    ("IESB", 12, _has("implicit error synchronisation")),
    ("LSM", 8, _has("load/store multiple controls")),
    ("UAO", 4, _has("user access override")),
    ("CnP", 0, _has("common not private translations")),
)
ID_AA64MMFR3_EL1 = _register(
    "ID_AA64MMFR3_EL1",
    "AArch64 Memory Model Feature Register 3",
    ("Spec_FPACC", 60, _has("speculative FPAC behaviour statement")),
    (
        "ADERR",
        56,
        _has(
            "asynchronous external aborts on Device loads",
            "configurable by SCTLR2_ELx",
            "configurable and indicated",
        ),
    ),
    (
        "SDERR",
        52,
        _has(
            "synchronous external aborts on Device loads",
            "configurable by SCTLR2_ELx",
            "configurable and indicated",
        ),
    ),
    (
        "ANERR",
        44,
        _has(
            "asynchronous external aborts on Normal memory loads",
            "configurable by SCTLR2_ELx",
            "configurable and indicated",
        ),
    ),
    (
        "SNERR",
        40,
        _has(
            "synchronous external aborts on Normal memory loads",
            "configurable by SCTLR2_ELx",
            "configurable and indicated",
        ),
    ),
    ("D128_2", 36, _has("128-bit descriptors at stage 2")),
    ("D128", 32, _has("128-bit descriptors")),
    ("MEC", 28, _has("memory encryption contexts")),
    ("AIE", 24, _has("attribute index enhancement")),
    ("S2POE", 20, _has("permission overlay at stage 2")),
    ("S1POE", 16, _has("permission overlay at stage 1")),
    ("S2PIE", 12, _has("permission indirection at stage 2")),
    ("S1PIE", 8, _has("permission indirection at stage 1")),
    ("SCTLRX", 4, _has("SCTLR2 registers")),
    ("TCRX", 0, _has("TCR2 registers")),
)
ID_AA64MMFR4_EL1 = _register(
    "ID_AA64MMFR4_EL1",
    "AArch64 Memory Model Feature Register 4",
    ("E3DSE", 36, _has("delegated SErrors at EL3")),
    (
        "E2H0",
        24,
        {
            0: "HCR_EL2.E2H programmable",
            15: "HCR_EL2.E2H is RES1",
            14: "HCR_EL2.E2H is RES1, with NV1",
        },
    ),
    ("NV_frac", 20, _has("nested virtualisation by NV2 only")),
    ("FGWTE3", 16, _has("fine-grained write traps at EL3")),
    ("HACDBS", 12, _has("hardware dirty state cleaning")),
    ("ASID2", 8, _has("two concurrent ASIDs")),
    ("EIESB", 4, "implicit error synchronisation before exception entry"),
)

# ---------------------------------------------------------------- processor features

_EXCEPTION_LEVEL = {0: "not implemented", 1: "AArch64 only", 2: "AArch64 and AArch32"}
ID_AA64PFR0_EL1 = _register(
    "ID_AA64PFR0_EL1",
    "AArch64 Processor Feature Register 0",
    ("CSV3", 60, _has("statement about speculation and faulting loads")),
    (
        "CSV2",
        56,
        _has(
            "statement about speculation and branch targets",
            "CSV2_2 with SCXTNUM registers",
            "CSV2_3",
        ),
    ),
    ("RME", 52, _has("Realm Management Extension")),
    ("DIT", 48, _has("data independent timing")),
    ("AMU", 44, _has("activity monitors", "activity monitors with virtual offsets")),
    ("MPAM", 40, _has("memory partitioning and monitoring")),
    ("SEL2", 36, _has("Secure EL2")),
    ("SVE", 32, _has("SVE")),
    ("RAS", 28, _has("RAS extension", "RAS extension version 1.1", "RAS extension version 2")),
    (
        "GIC",
        24,
        {
            0: "no GIC system registers",
            1: "GICv3/v4.0 system registers",
            3: "GICv4.1 system registers",
        },
    ),
    ("AdvSIMD", 20, _signed("Advanced SIMD", "Advanced SIMD with half precision")),
    ("FP", 16, _signed("floating-point", "floating-point with half precision")),
    ("EL3", 12, _EXCEPTION_LEVEL),
    ("EL2", 8, _EXCEPTION_LEVEL),
    ("EL1", 4, _EXCEPTION_LEVEL),
    ("EL0", 0, _EXCEPTION_LEVEL),
)
ID_AA64PFR1_EL1 = _register(
    "ID_AA64PFR1_EL1",
    "AArch64 Processor Feature Register 1",
    ("PFAR", 60, _has("physical fault address registers")),
    ("DF2", 56, _has("double fault extension 2")),
    ("MTEX", 52, _has("memory tagging, further features")),
    ("THE", 48, _has("translation hardening")),
    ("GCS", 44, _has("Guarded Control Stack")),
    ("MTE_frac", 40, {0: "asynchronous tag check faults", 15: "no asynchronous tag check faults"}),
    ("NMI", 36, _has("non-maskable interrupts")),
    ("CSV2_frac", 32, _has("CSV2_1p1", "CSV2_1p2")),
    ("RNDR_trap", 28, _has("traps of RNDR to EL3")),
    ("SME", 24, _has("SME", "SME2 implemented")),
    ("MPAM_frac", 16, "minor version of MPAM"),
    ("RAS_frac", 12, "minor version of RAS"),
    (
        "MTE",
        8,
        _has(
            "memory tagging instructions",
            "memory tagging implemented",
            "memory tagging with asymmetric faults",
        ),
    ),
    ("SSBS", 4, _has("PSTATE.SSBS", "PSTATE.SSBS and its MRS/MSR implemented")),
    ("BT", 0, _has("branch target identification")),
)
ID_AA64PFR2_EL1 = _register(
    "ID_AA64PFR2_EL1",
    "AArch64 Processor Feature Register 2",
    ("FPMR", 32, _has("FPMR")),
    ("UINJ", 16, _has("injection of undefined exceptions")),
    ("MTEFAR", 8, _has("tag in FAR of tag check faults")),
    ("MTESTOREONLY", 4, _has("store-only tag checks")),
    ("MTEPERM", 0, _has("tag access permission attribute")),
)
ID_AA64ZFR0_EL1 = _register(
    "ID_AA64ZFR0_EL1",
    "SVE Feature ID Register 0",
    ("F64MM", 56, _has("double-precision matrix multiply")),
    ("F32MM", 52, _has("single-precision matrix multiply")),
    ("F16MM", 48, _has("half-precision matrix multiply")),
    ("I8MM", 44, _has("8-bit integer matrix multiply")),
    ("SM4", 40, _has("SM4 in SVE")),
    ("SHA3", 32, _has("SHA3 in SVE")),
    ("B16B16", 24, _has("BFloat16 arithmetic")),
    ("BF16", 20, _has("BFloat16 in SVE", "with extended behaviour")),
    ("BitPerm", 16, _has("bit permutes")),
    ("EltPerm", 12, _has("element permutes")),
    ("AES", 4, _has("AES in SVE", "AES and 128-bit polynomial multiply in SVE implemented")),
    ("SVEver", 0, {0: "SVE", 1: "SVE2", 2: "SVE2.1", 3: "SVE2.2"}),
)
ID_AA64SMFR0_EL1 = _register(
    "ID_AA64SMFR0_EL1",
    "SME Feature ID Register 0",
    ("SMEver", 56, {0: "SME", 1: "SME2", 2: "SME2.1", 3: "SME2.2"}),
    ("I16I64", 52, {0: "not implemented", 15: "16-bit to 64-bit integer outer products"}),
    ("I16I32", 44, {0: "not implemented", 5: "16-bit to 32-bit integer outer products"}),
    ("I8I32", 36, {0: "not implemented", 15: "8-bit to 32-bit integer outer products"}),
    extra=(
        flag("FA64", 63, "the full A64 instruction set in Streaming mode"),
        flag("LUTv2", 60, "lookup tables, version 2"),
        flag("F64F64", 48, "double-precision outer products"),
        flag("B16B16", 43, "BFloat16 outer products"),
        flag("F16F16", 42, "half-precision outer products"),
        flag("F8F16", 41, "8-bit to half-precision outer products"),
        flag("F8F32", 40, "8-bit to single-precision outer products"),
        flag("F16F32", 35, "half- to single-precision outer products"),
        flag("B16F32", 34, "BFloat16 to single-precision outer products"),
        flag("BI32I32", 33, "binary outer products"),
        flag("F32F32", 32, "single-precision outer products"),
        flag("SF8FMA", 30, "8-bit floating-point multiply-add in Streaming mode"),
        flag("SF8DP4", 29, "8-bit floating-point four-way dot product in Streaming mode"),
        flag("SF8DP2", 28, "8-bit floating-point two-way dot product in Streaming mode"),
    ),
)
ID_AA64FPFR0_EL1 = Register(
    "ID_AA64FPFR0_EL1",
    "Floating-point Feature ID Register 0",
    (
        flag("F8CVT", 31, "8-bit floating-point conversions"),
        flag("F8FMA", 30, "8-bit floating-point multiply-add"),
        flag("F8DP4", 29, "8-bit floating-point four-way dot product"),
        flag("F8DP2", 28, "8-bit floating-point two-way dot product"),
        flag("F8E4M3", 1, "OFP8 E4M3 format"),
        flag("F8E5M2", 0, "OFP8 E5M2 format"),
    ),
)

# ---------------------------------------------------------------- caches


def _words(value: int) -> str:
    """A log2 number of 32-bit words as bytes."""
    return f"{4 << value} bytes"


CTR_EL0 = Register(
    "CTR_EL0",
    "Cache Type Register",
    (
        Field("TminLine", 37, 32, lambda v: f"{4 << v} bytes of tagged memory" if v else ""),
        flag(
            "DIC",
            29,
            "no instruction cache invalidation needed",
            "instruction cache invalidation needed",
        ),
        flag("IDC", 28, "no data cache clean needed", "data cache clean needed"),
        Field("CWG", 27, 24, lambda v: f"write-back granule {_words(v)}" if v else "unknown"),
        Field("ERG", 23, 20, lambda v: f"exclusives granule {_words(v)}" if v else "unknown"),
        Field("DminLine", 19, 16, lambda v: f"smallest data cache line {_words(v)}"),
        Field("L1Ip", 15, 14, {0: "VPIPT", 1: "AIVIVT", 2: "VIPT", 3: "PIPT"}),
        Field("IminLine", 3, 0, lambda v: f"smallest instruction cache line {_words(v)}"),
    ),
    res1=1 << 31,
)
DCZID_EL0 = Register(
    "DCZID_EL0",
    "Data Cache Zero ID Register",
    (
        flag("DZP", 4, "DC ZVA is prohibited", "DC ZVA is permitted"),
        Field("BS", 3, 0, lambda v: f"DC ZVA clears {_words(v)}"),
    ),
)
_CACHE_TYPES = {
    0: "no cache",
    1: "instruction cache only",
    2: "data cache only",
    3: "separate instruction and data caches",
    4: "unified cache",
}
_TAG_CACHES = {
    0: "",
    1: "a separate cache for allocation tags",
    2: "allocation tags and data cached in separate lines",
    3: "allocation tags and data cached in the same lines",
}
CLIDR_EL1 = Register(
    "CLIDR_EL1",
    "Cache Level ID Register",
    (
        *(Field(f"Ttype{n}", 32 + 2 * n, 31 + 2 * n, _TAG_CACHES) for n in range(7, 0, -1)),
        Field("ICB", 32, 30, lambda v: f"inner cache boundary at level {v}" if v else ""),
        Field("LoUU", 29, 27, "level of unification, uniprocessor"),
        Field("LoC", 26, 24, "level of coherence"),
        Field("LoUIS", 23, 21, "level of unification, inner shareable"),
        *(Field(f"Ctype{n}", 3 * n - 1, 3 * n - 3, _CACHE_TYPES) for n in range(7, 0, -1)),
    ),
)
CCSIDR_EL1 = Register(
    "CCSIDR_EL1",
    "Current Cache Size ID Register (32-bit format)",
    (
        Field("NumSets", 27, 13, lambda v: f"{v + 1} sets"),
        Field("Associativity", 12, 3, lambda v: f"{v + 1} ways"),
        Field("LineSize", 2, 0, lambda v: f"lines of {16 << v} bytes"),
    ),
)
CSSELR_EL1 = Register(
    "CSSELR_EL1",
    "Cache Size Selection Register",
    (
        flag("TnD", 4, "allocation tags", ""),
        Field("Level", 3, 1, lambda v: f"level {v + 1}"),
        flag("InD", 0, "instruction cache", "data or unified cache"),
    ),
)

#: All of them, for lookup by name.
ID_REGISTERS: tuple[Register, ...] = (
    MIDR_EL1,
    MPIDR_EL1,
    ID_AA64PFR0_EL1,
    ID_AA64PFR1_EL1,
    ID_AA64PFR2_EL1,
    ID_AA64ZFR0_EL1,
    ID_AA64SMFR0_EL1,
    ID_AA64FPFR0_EL1,
    ID_AA64DFR0_EL1,
    ID_AA64DFR1_EL1,
    ID_AA64DFR2_EL1,
    ID_AA64AFR0_EL1,
    ID_AA64AFR1_EL1,
    ID_AA64ISAR0_EL1,
    ID_AA64ISAR1_EL1,
    ID_AA64ISAR2_EL1,
    ID_AA64ISAR3_EL1,
    ID_AA64MMFR0_EL1,
    ID_AA64MMFR1_EL1,
    ID_AA64MMFR2_EL1,
    ID_AA64MMFR3_EL1,
    ID_AA64MMFR4_EL1,
    *AARCH32_REGISTERS,
    CTR_EL0,
    DCZID_EL0,
    CLIDR_EL1,
    CCSIDR_EL1,
    CSSELR_EL1,
    Register("REVIDR_EL1", "Revision ID Register", _IMPDEF),
    Register("AIDR_EL1", "Auxiliary ID Register", _IMPDEF),
)
