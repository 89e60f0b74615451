"""Layouts of the control and state registers of EL1 and of the hypervisor's debug controls.

Source: DDI 0487, D23.2 (general system registers), D24.3 (debug registers), D19 (the syndromes'
neighbours PAR_EL1 and HPFAR_EL2).
"""

from __future__ import annotations

from guestdbg.arm64.faults import status_words
from guestdbg.arm64.fields import Field, Register, flag

_TRAPPED = "trapped to EL2"


def _trap(name: str, bit: int, what: str) -> Field:
    return flag(name, bit, f"{what} {_TRAPPED}", f"{what} not trapped")


def _enable(name: str, bit: int, what: str) -> Field:
    return flag(name, bit, f"{what} enabled", f"{what} disabled")


# ---------------------------------------------------------------- debug

MDSCR_EL1 = Register(
    "MDSCR_EL1",
    "Monitor Debug System Control Register",
    (
        flag("EnSTEPOP", 50, "stepping by MDSTEPOP_EL1 enabled"),
        flag("EHBWE", 35, "extended halting breakpoint and watchpoint enable"),
        flag("EnSPM", 34, "access to System PMU registers enabled"),
        flag("TTA", 33, "trap trace register accesses"),
        flag("EMBWE", 32, "extended breakpoints and watchpoints (number 16 and up) enabled"),
        flag("TFO", 31, "trace filter override"),
        flag("RXfull", 30, "DTRRX is full", "DTRRX is empty"),
        flag("TXfull", 29, "DTRTX is full", "DTRTX is empty"),
        flag("RXO", 27, "DTRRX overrun"),
        flag("TXU", 26, "DTRTX underrun"),
        Field("INTdis", 23, 22, lambda v: "an external debugger masks interrupts" if v else ""),
        flag("TDA", 21, "accesses to debug registers are trapped to the external debugger"),
        flag("SC2", 19, "sample control 2"),
        flag(
            "MDE",
            15,
            "breakpoint, watchpoint and vector catch exceptions enabled",
            "breakpoint, watchpoint and vector catch exceptions disabled",
        ),
        flag("HDE", 14, "halting debug enabled", "halting debug disabled"),
        flag(
            "KDE",
            13,
            "debug exceptions may be taken from the EL they are routed to (if PSTATE.D is 0)",
            "no debug exceptions from within the EL they are routed to (BRK excepted)",
        ),
        flag("TDCC", 12, "EL0 accesses to the debug communications channel trapped to EL1"),
        flag("ERR", 6, "the cumulative error flag is set"),
        flag("SS", 0, "software step enabled", "software step disabled"),
    ),
)

MDCR_EL2 = Register(
    "MDCR_EL2",
    "Monitor Debug Configuration Register (EL2)",
    (
        flag("EnSTEPOP", 50, "MDSTEPOP_EL1 accessible"),
        flag("EBWE", 43, "extended breakpoints and watchpoints enabled"),
        Field(
            "PMEE",
            41,
            40,
            {
                0: "",
                1: "PMU exceptions as EL1 says",
                2: "no PMU exceptions",
                3: "PMU exceptions enabled",
            },
        ),
        flag("HPMFZS", 36, "hypervisor counters freeze on an SPE event"),
        Field("PMSSE", 31, 30, {0: "", 1: "PMU snapshots as EL1 says", 2: "", 3: ""}),
        flag("HPMFZO", 29, "hypervisor counters freeze on overflow"),
        flag("MTPME", 28, "multi-threaded PMU extension enabled"),
        flag("TDCC", 27, "accesses to the debug communications channel trapped to EL2"),
        flag("HLP", 26, "hypervisor counters are 64 bits wide"),
        Field(
            "E2TB",
            25,
            24,
            {
                0: "",
                1: "trace buffer owned by EL2, trapped",
                2: "trace buffer owned by EL1, trapped",
                3: "trace buffer owned by EL1",
            },
        ),
        flag("HCCD", 23, "the cycle counter does not count at EL2"),
        flag("TTRF", 19, "accesses to trace filter controls trapped to EL2"),
        flag("HPMD", 17, "guest counters do not count at EL2"),
        flag("EnSPM", 15, "access to System PMU registers enabled"),
        flag("TPMS", 14, "accesses to statistical profiling registers trapped to EL2"),
        Field(
            "E2PB",
            13,
            12,
            {
                0: "",
                1: "reserved value",
                2: "profiling buffer owned by EL1, trapped",
                3: "profiling buffer owned by EL1",
            },
        ),
        _trap("TDRA", 11, "accesses to the Debug ROM address registers are"),
        _trap("TDOSA", 10, "accesses to the OS Lock and power-down debug registers are"),
        _trap("TDA", 9, "accesses to the other debug registers are"),
        flag(
            "TDE",
            8,
            "debug exceptions from EL1 and EL0 go to EL2 (and TDRA, TDOSA, TDA act as set)",
            "debug exceptions from EL1 and EL0 go to EL1",
        ),
        flag("HPME", 7, "hypervisor counters enabled", "hypervisor counters disabled"),
        _trap("TPM", 6, "accesses to the performance monitors are"),
        _trap("TPMCR", 5, "accesses to PMCR_EL0 are"),
        Field("HPMN", 4, 0, lambda v: f"{v} event counters for the guest"),
    ),
)

OSLSR_EL1 = Register(
    "OSLSR_EL1",
    "OS Lock Status Register",
    (
        flag("OSLM1", 3, "OS Lock implemented", "OS Lock not implemented"),
        flag("nTT", 2, "", "not 32-bit access"),
        flag("OSLK", 1, "the OS Lock is locked", "the OS Lock is unlocked"),
        flag("OSLM0", 0),
    ),
)
OSLAR_EL1 = Register(
    "OSLAR_EL1",
    "OS Lock Access Register",
    (flag("OSLK", 0, "lock the OS Lock", "unlock the OS Lock"),),
)
OSDLR_EL1 = Register(
    "OSDLR_EL1",
    "OS Double Lock Register",
    (flag("DLK", 0, "the OS Double Lock is locked", "the OS Double Lock is unlocked"),),
)
DBGPRCR_EL1 = Register(
    "DBGPRCR_EL1",
    "Debug Power Control Register",
    (flag("CORENPDRQ", 0, "no power-down is emulated instead", "power down on request"),),
)
_CLAIM = (Field("CLAIM", 7, 0, "claim tag bits"),)
DBGCLAIMSET_EL1 = Register("DBGCLAIMSET_EL1", "Debug Claim Tag Set Register", _CLAIM)
DBGCLAIMCLR_EL1 = Register("DBGCLAIMCLR_EL1", "Debug Claim Tag Clear Register", _CLAIM)
_AUTHENTICATION = {
    0: "not implemented",
    2: "implemented and disabled",
    3: "implemented and enabled",
}
DBGAUTHSTATUS_EL1 = Register(
    "DBGAUTHSTATUS_EL1",
    "Debug Authentication Status Register",
    (
        Field("SNID", 7, 6, _AUTHENTICATION),
        Field("SID", 5, 4, _AUTHENTICATION),
        Field("NSNID", 3, 2, _AUTHENTICATION),
        Field("NSID", 1, 0, _AUTHENTICATION),
    ),
)
MDRAR_EL1 = Register(
    "MDRAR_EL1",
    "Monitor Debug ROM Address Register",
    (
        Field("ROMADDR", 47, 12, lambda v: f"ROM table at {v << 12:#x}"),
        Field("Valid", 1, 0, {0: "no ROM table address", 3: "the ROM table address is valid"}),
    ),
)
MDCCSR_EL0 = Register(
    "MDCCSR_EL0",
    "Monitor Debug Communications Channel Status Register",
    (
        flag("RXfull", 30, "DTRRX is full", "DTRRX is empty"),
        flag("TXfull", 29, "DTRTX is full", "DTRTX is empty"),
    ),
)
MDCCINT_EL1 = Register(
    "MDCCINT_EL1",
    "Monitor Debug Communications Channel Interrupt Enable Register",
    (
        _enable("RX", 30, "interrupt when DTRRX is full"),
        _enable("TX", 29, "interrupt when DTRTX is empty"),
    ),
)

# ---------------------------------------------------------------- hypervisor

HCR_EL2 = Register(
    "HCR_EL2",
    "Hypervisor Configuration Register",
    (
        Field("TWEDEL", 63, 60, "WFE trap delay", when=lambda v: bool(v >> 59 & 1)),
        flag("TWEDEn", 59, "the WFE trap delay is TWEDEL"),
        flag("TID5", 58, f"accesses to GMID_EL1 {_TRAPPED}"),
        flag("DCT", 57, "default cacheability is tagged"),
        flag("ATA", 56, "access to allocation tags"),
        flag("TTLBOS", 55, f"outer shareable TLB maintenance {_TRAPPED}"),
        flag("TTLBIS", 54, f"inner shareable TLB maintenance {_TRAPPED}"),
        flag("EnSCXT", 53, "SCXTNUM registers accessible"),
        flag("TOCU", 52, f"cache maintenance to the point of unification {_TRAPPED}"),
        flag("AMVOFFEN", 51, "activity monitor virtual offsets enabled"),
        flag("TICAB", 50, f"IC IALLUIS {_TRAPPED}"),
        flag("TID4", 49, f"cache ID register accesses {_TRAPPED}"),
        flag("GPF", 48, "granule protection faults go to EL2"),
        flag("FIEN", 47, "fault injection enabled"),
        flag("FWB", 46, "stage 2 memory attributes override stage 1"),
        flag("NV2", 45, "nested virtualisation by memory"),
        flag("AT", 44, f"address translation instructions {_TRAPPED}"),
        flag("NV1", 43, "nested virtualisation, EL1 registers"),
        flag("NV", 42, "nested virtualisation"),
        flag("API", 41, "pointer authentication instructions not trapped"),
        flag("APK", 40, "pointer authentication keys not trapped"),
        flag("TME", 39, "transactional memory enabled"),
        flag("MIOCNCE", 38, "mismatched cacheability may lose coherency"),
        flag("TEA", 37, "synchronous external aborts go to EL2"),
        flag("TERR", 36, f"error record accesses {_TRAPPED}"),
        flag("TLOR", 35, f"LOR register accesses {_TRAPPED}"),
        flag("E2H", 34, "a host operating system runs at EL2 (VHE)"),
        flag("ID", 33, "stage 2 instruction cacheability disabled"),
        flag("CD", 32, "stage 2 data cacheability disabled"),
        flag("RW", 31, "EL1 is AArch64", "EL1 is AArch32"),
        flag("TRVM", 30, f"reads of virtual memory controls {_TRAPPED}"),
        flag("HCD", 29, "HVC is undefined"),
        flag("TDZ", 28, f"DC ZVA {_TRAPPED}"),
        flag("TGE", 27, "all exceptions of EL0 go to EL2"),
        flag("TVM", 26, f"writes of virtual memory controls {_TRAPPED}"),
        flag("TTLB", 25, f"TLB maintenance {_TRAPPED}"),
        flag("TPU", 24, f"cache maintenance to the point of unification {_TRAPPED}"),
        flag("TPCP", 23, f"cache maintenance to the point of coherency {_TRAPPED}"),
        flag("TSW", 22, f"cache maintenance by set and way {_TRAPPED}"),
        flag("TACR", 21, f"ACTLR_EL1 accesses {_TRAPPED}"),
        flag("TIDCP", 20, f"IMPLEMENTATION DEFINED accesses {_TRAPPED}"),
        flag("TSC", 19, f"SMC {_TRAPPED}"),
        flag("TID3", 18, f"ID group 3 (feature registers) reads {_TRAPPED}"),
        flag("TID2", 17, f"ID group 2 (cache registers) accesses {_TRAPPED}"),
        flag("TID1", 16, f"ID group 1 (REVIDR, AIDR) reads {_TRAPPED}"),
        flag("TID0", 15, f"ID group 0 (AArch32 FPSID, JIDR) reads {_TRAPPED}"),
        flag("TWE", 14, f"WFE {_TRAPPED}"),
        flag("TWI", 13, f"WFI {_TRAPPED}"),
        flag("DC", 12, "default cacheability: stage 1 is off and memory is Normal Write-Back"),
        Field(
            "BSU",
            11,
            10,
            {
                0: "",
                1: "barriers at least inner shareable",
                2: "barriers at least outer shareable",
                3: "barriers full system",
            },
        ),
        flag("FB", 9, "TLB and instruction cache maintenance is broadcast"),
        flag("VSE", 8, "a virtual SError is pending"),
        flag("VI", 7, "a virtual IRQ is pending"),
        flag("VF", 6, "a virtual FIQ is pending"),
        flag("AMO", 5, "physical SErrors go to EL2, virtual ones are enabled"),
        flag("IMO", 4, "physical IRQs go to EL2, virtual ones are enabled"),
        flag("FMO", 3, "physical FIQs go to EL2, virtual ones are enabled"),
        flag("PTW", 2, "table walks that touch Device memory fault"),
        flag("SWIO", 1, "invalidation by set and way cleans as well"),
        flag("VM", 0, "stage 2 translation enabled", "stage 2 translation disabled"),
    ),
)

HPFAR_EL2 = Register(
    "HPFAR_EL2",
    "Hypervisor IPA Fault Address Register",
    (
        flag("NS", 63, "Non-secure IPA space"),
        Field("FIPA", 47, 4, lambda v: f"the faulting page's IPA is {v << 12:#x}"),
    ),
)

# ---------------------------------------------------------------- system control

_TCF = {
    0: "",
    1: "tag check faults are synchronous",
    2: "tag check faults accumulate asynchronously",
    3: "tag check faults of reads synchronous, of writes asynchronous",
}

SCTLR_EL1 = Register(
    "SCTLR_EL1",
    "System Control Register (EL1)",
    (
        flag("TIDCP", 63, "IMPLEMENTATION DEFINED accesses at EL0 trapped to EL1"),
        flag("SPINTMASK", 62, "interrupts masked while SP_EL1 is selected"),
        flag("NMI", 61, "non-maskable interrupts enabled"),
        flag("EnTP2", 60, "EL0 may use TPIDR2_EL0"),
        flag("TCSO", 59, "only stores of EL1 are tag checked"),
        flag("TCSO0", 58, "only stores of EL0 are tag checked"),
        flag("EPAN", 57, "PAN covers execute-only memory as well"),
        flag("EnALS", 56, "EL0 may use LD64B and ST64B"),
        flag("EnAS0", 55, "EL0 may use ST64BV0"),
        flag("EnASR", 54, "EL0 may use ST64BV"),
        flag("TME", 53, "transactional memory at EL1"),
        flag("TME0", 52, "transactional memory at EL0"),
        flag("TMT", 51, "transactions at EL1 fail trivially"),
        flag("TMT0", 50, "transactions at EL0 fail trivially"),
        Field("TWEDEL", 49, 46, "WFE trap delay", when=lambda v: bool(v >> 45 & 1)),
        flag("TWEDEn", 45, "the WFE trap delay is TWEDEL"),
        flag("DSSBS", 44, "PSTATE.SSBS is 1 on an exception to EL1"),
        flag("ATA", 43, "EL1 may access allocation tags"),
        flag("ATA0", 42, "EL0 may access allocation tags"),
        Field("TCF", 41, 40, _TCF),
        Field("TCF0", 39, 38, _TCF),
        flag("ITFSB", 37, "tag check faults are synchronised on entry to EL1"),
        flag("BT1", 36, "PACIASP is no target for every branch at EL1"),
        flag("BT0", 35, "PACIASP is no target for every branch at EL0"),
        flag("EnFPM", 34, "FPMR accessible"),
        flag("MSCEn", 33, "EL0 may use the memory copy and set instructions"),
        flag("CMOW", 32, "EL0 cache maintenance needs write permission"),
        flag("EnIA", 31, "pointer authentication of instruction addresses, key A"),
        flag("EnIB", 30, "pointer authentication of instruction addresses, key B"),
        flag("LSMAOE", 29, "AArch32 load/store multiple order as Armv8.0", ""),
        flag("nTLSMD", 28, "AArch32 load/store multiple to Device memory not trapped", ""),
        flag("EnDA", 27, "pointer authentication of data addresses, key A"),
        flag(
            "UCI",
            26,
            "EL0 may use cache maintenance instructions",
            "EL0 cache maintenance trapped to EL1",
        ),
        flag(
            "EE",
            25,
            "EL1 data and table walks are big-endian",
            "EL1 data and table walks are little-endian",
        ),
        flag("E0E", 24, "EL0 data is big-endian", "EL0 data is little-endian"),
        flag(
            "SPAN",
            23,
            "PSTATE.PAN is unchanged on an exception to EL1",
            "PSTATE.PAN is set on an exception to EL1",
        ),
        flag("EIS", 22, "exception entry is context synchronising", ""),
        flag("IESB", 21, "implicit error synchronisation at exception entry and return"),
        flag("TSCXT", 20, "EL0 access to SCXTNUM_EL0 trapped (RES1 without FEAT_CSV2_2)", ""),
        flag("WXN", 19, "writable memory is never executable", "writable memory may be executable"),
        flag("nTWE", 18, "WFE at EL0 not trapped", "WFE at EL0 trapped to EL1"),
        flag("nTWI", 16, "WFI at EL0 not trapped", "WFI at EL0 trapped to EL1"),
        flag("UCT", 15, "EL0 may read CTR_EL0", "EL0 reads of CTR_EL0 trapped to EL1"),
        flag("DZE", 14, "EL0 may use DC ZVA", "DC ZVA at EL0 trapped to EL1"),
        flag("EnDB", 13, "pointer authentication of data addresses, key B"),
        flag("I", 12, "instruction cache enabled", "instruction cache disabled"),
        flag("EOS", 11, "exception return is context synchronising", ""),
        flag("EnRCTX", 10, "EL0 may use the prediction restriction instructions"),
        flag("UMA", 9, "EL0 may access DAIF", "EL0 accesses to DAIF trapped to EL1"),
        flag("SED", 8, "AArch32 SETEND is undefined"),
        flag("ITD", 7, "some AArch32 IT forms are undefined"),
        flag("nAA", 6, "unaligned LDAPR and STLR forms do not fault"),
        flag("CP15BEN", 5, "AArch32 barriers by cp15 enabled"),
        flag("SA0", 4, "SP alignment checked at EL0", "SP alignment not checked at EL0"),
        flag("SA", 3, "SP alignment checked at EL1", "SP alignment not checked at EL1"),
        flag("C", 2, "data cache enabled", "data cache disabled"),
        flag("A", 1, "data alignment checked", "data alignment not checked"),
        flag("M", 0, "MMU enabled: stage 1 translation is on", "MMU disabled: addresses are flat"),
    ),
    res1=0x30D0_0800,
)

_FPEN = {
    0: "SIMD and floating-point trapped at EL0 and EL1",
    1: "SIMD and floating-point trapped at EL0",
    2: "SIMD and floating-point trapped at EL0 and EL1",
    3: "SIMD and floating-point not trapped",
}
CPACR_EL1 = Register(
    "CPACR_EL1",
    "Architectural Feature Access Control Register",
    (
        flag("TTA", 28, "trace register accesses trapped to EL1"),
        Field(
            "SMEN",
            25,
            24,
            {0: "SME trapped", 1: "SME trapped at EL0", 2: "SME trapped", 3: "SME not trapped"},
        ),
        Field("FPEN", 21, 20, _FPEN),
        Field(
            "ZEN",
            17,
            16,
            {0: "SVE trapped", 1: "SVE trapped at EL0", 2: "SVE trapped", 3: "SVE not trapped"},
        ),
    ),
)

# ---------------------------------------------------------------- translation

_SHARE = {0: "Non-shareable", 2: "Outer Shareable", 3: "Inner Shareable"}
_CACHE = {
    0: "Non-cacheable",
    1: "Write-Back, Read- and Write-Allocate",
    2: "Write-Through, Read-Allocate",
    3: "Write-Back, Read-Allocate",
}
_SIZES = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48, 6: 52, 7: 56}
_TG0 = {0: "4 KiB granule", 1: "64 KiB granule", 2: "16 KiB granule"}
_TG1 = {1: "16 KiB granule", 2: "4 KiB granule", 3: "64 KiB granule"}


def _size_words(value: int) -> str:
    bits = _SIZES.get(value)
    return f"{bits}-bit physical addresses" if bits else "reserved value"


TCR_EL1 = Register(
    "TCR_EL1",
    "Translation Control Register (EL1)",
    (
        flag("MTX1", 61, "memory tag extension bits checked in the upper half"),
        flag("MTX0", 60, "memory tag extension bits checked in the lower half"),
        flag("DS", 59, "52-bit addresses with 4 KiB and 16 KiB granules"),
        flag("TCMA1", 58, "upper half accesses with tag 0b1111 unchecked"),
        flag("TCMA0", 57, "lower half accesses with tag 0b0000 unchecked"),
        flag("E0PD1", 56, "EL0 accesses to the upper half fault"),
        flag("E0PD0", 55, "EL0 accesses to the lower half fault"),
        flag("NFD1", 54, "non-fault translation disabled in the upper half"),
        flag("NFD0", 53, "non-fault translation disabled in the lower half"),
        flag("TBID1", 52, "top byte ignored for data only, upper half"),
        flag("TBID0", 51, "top byte ignored for data only, lower half"),
        *(
            flag(f"HWU{n}{bit}", 43 + 4 * n + bit - 59, f"descriptor bit {bit} is for hardware")
            for n in (1, 0)
            for bit in (62, 61, 60, 59)
        ),
        flag("HPD1", 42, "hierarchical permissions disabled, upper half"),
        flag("HPD0", 41, "hierarchical permissions disabled, lower half"),
        flag("HD", 40, "hardware manages the dirty state"),
        flag("HA", 39, "hardware sets the access flag"),
        flag("TBI1", 38, "top byte ignored, upper half", "top byte used, upper half"),
        flag("TBI0", 37, "top byte ignored, lower half", "top byte used, lower half"),
        flag("AS", 36, "16-bit ASIDs", "8-bit ASIDs"),
        Field("IPS", 34, 32, _size_words),
        Field("TG1", 31, 30, _TG1),
        Field("SH1", 29, 28, _SHARE),
        Field("ORGN1", 27, 26, lambda v: f"table walks outer {_CACHE[v]}"),
        Field("IRGN1", 25, 24, lambda v: f"table walks inner {_CACHE[v]}"),
        flag("EPD1", 23, "no walks with TTBR1_EL1: a TLB miss faults", "walks with TTBR1_EL1"),
        flag("A1", 22, "TTBR1_EL1 holds the ASID", "TTBR0_EL1 holds the ASID"),
        Field(
            "T1SZ",
            21,
            16,
            lambda v: f"{64 - v}-bit upper half, from {(1 << 64) - (1 << (64 - v)):#x}",
        ),
        Field("TG0", 15, 14, _TG0),
        Field("SH0", 13, 12, _SHARE),
        Field("ORGN0", 11, 10, lambda v: f"table walks outer {_CACHE[v]}"),
        Field("IRGN0", 9, 8, lambda v: f"table walks inner {_CACHE[v]}"),
        flag("EPD0", 7, "no walks with TTBR0_EL1: a TLB miss faults", "walks with TTBR0_EL1"),
        Field("T0SZ", 5, 0, lambda v: f"{64 - v}-bit lower half, up to {(1 << (64 - v)) - 1:#x}"),
    ),
)


def _ttbr(name: str, half: str) -> Register:
    return Register(
        name,
        f"Translation Table Base Register ({half} half)",
        (
            Field("ASID", 63, 48, "address space identifier"),
            Field("BADDR", 47, 1, lambda v: f"table at {v << 1:#x}"),
            flag(
                "CnP", 0, "shared by the processing elements", "private to the processing element"
            ),
        ),
    )


TTBR0_EL1 = _ttbr("TTBR0_EL1", "lower")
TTBR1_EL1 = _ttbr("TTBR1_EL1", "upper")

_DEVICE = {0: "Device-nGnRnE", 4: "Device-nGnRE", 8: "Device-nGRE", 12: "Device-GRE"}


def _policy(nibble: int) -> str:
    if nibble == 4:
        return "Non-cacheable"
    write = "Write-Back" if nibble & 4 else "Write-Through"
    kind = "" if nibble & 8 else " transient"
    allocate = {
        0: "no allocate",
        1: "Write-Allocate",
        2: "Read-Allocate",
        3: "Read- and Write-Allocate",
    }[nibble & 3]
    return f"{write}{kind}, {allocate}"


def memory_type(attr: int) -> str:
    """One byte of MAIR_EL1 in words."""
    if attr & 0xF0 == 0:
        if attr & 3:
            return "Device memory with FEAT_XS attributes" if attr & 1 else "unpredictable"
        return _DEVICE[attr & 0xF]
    if attr == 0xF0:
        return "Normal memory, tagged, Write-Back"
    if attr == 0x40:
        return "Normal memory, Non-cacheable, XS 0"
    if attr == 0xA0:
        return "Normal memory, Write-Through, XS 0"
    if attr & 0xF == 0:
        return "unpredictable"
    outer, inner = _policy(attr >> 4), _policy(attr & 0xF)
    if outer == inner:
        return f"Normal memory, {outer}"
    return f"Normal memory, outer {outer}, inner {inner}"


MAIR_EL1 = Register(
    "MAIR_EL1",
    "Memory Attribute Indirection Register",
    tuple(Field(f"Attr{n}", 8 * n + 7, 8 * n, memory_type) for n in range(7, -1, -1)),
)

_PAR_FAULT = (
    flag("S", 9, "the fault was in stage 2", "the fault was in stage 1"),
    flag("PTW", 8, "on a stage 2 translation of a stage 1 table walk"),
    Field("FST", 6, 1, status_words),
)
_PAR_GOOD = (
    Field("ATTR", 63, 56, memory_type),
    Field("PA", 51, 12, lambda v: f"physical page {v << 12:#x}"),
    flag("NS", 9, "Non-secure physical address"),
    Field("SH", 8, 7, _SHARE),
)
PAR_EL1 = Register(
    "PAR_EL1",
    "Physical Address Register",
    (flag("F", 0, "the translation failed", "the translation succeeded"),),
    res1=1 << 11,
    select=lambda v: _PAR_FAULT if v & 1 else _PAR_GOOD,
)

# ---------------------------------------------------------------- processor state

_MODES = {
    0x00: "EL0t: EL0",
    0x04: "EL1t: EL1 with SP_EL0",
    0x05: "EL1h: EL1 with SP_EL1",
    0x08: "EL2t: EL2 with SP_EL0",
    0x09: "EL2h: EL2 with SP_EL2",
    0x0C: "EL3t: EL3 with SP_EL0",
    0x0D: "EL3h: EL3 with SP_EL3",
    0x10: "AArch32 User mode",
    0x11: "AArch32 FIQ mode",
    0x12: "AArch32 IRQ mode",
    0x13: "AArch32 Supervisor mode",
    0x16: "AArch32 Monitor mode",
    0x17: "AArch32 Abort mode",
    0x1A: "AArch32 Hyp mode",
    0x1B: "AArch32 Undefined mode",
    0x1F: "AArch32 System mode",
}


def _masked(name: str, bit: int, what: str) -> Field:
    return flag(name, bit, f"{what} masked", f"{what} not masked")


_FLAGS = (
    flag("N", 31, "negative"),
    flag("Z", 30, "zero"),
    flag("C", 29, "carry"),
    flag("V", 28, "overflow"),
)
_SPSR64 = (
    flag("UINJ", 36, "an injected undefined exception is pending"),
    flag("PACM", 35, "pointer authentication includes the PC"),
    flag("EXLOCK", 34, "exception return state is locked"),
    flag("PPEND", 33, "a PMU exception is pending"),
    flag("PM", 32, "PMU exceptions masked"),
    flag("TCO", 25, "tag checks off"),
    flag("DIT", 24, "data independent timing"),
    flag("UAO", 23, "unprivileged accesses act as privileged"),
    flag("PAN", 22, "privileged accesses to EL0 memory fault"),
    flag("SS", 21, "software step: the next instruction is executed", ""),
    flag("IL", 20, "Illegal Execution state"),
    flag("ALLINT", 13, "all interrupts masked"),
    flag("SSBS", 12, "speculative store bypass permitted"),
    Field(
        "BTYPE",
        11,
        10,
        {
            0: "",
            1: "after an indirect branch by X16 or X17",
            2: "after an indirect call",
            3: "after another indirect branch",
        },
    ),
    _masked("D", 9, "watchpoint, breakpoint and software step exceptions"),
    _masked("A", 8, "SErrors"),
    _masked("I", 7, "IRQs"),
    _masked("F", 6, "FIQs"),
)
_SPSR32 = (
    flag("Q", 27, "saturation"),
    Field("IT1_0", 26, 25),
    flag("DIT", 24, "data independent timing"),
    flag("SSBS", 23, "speculative store bypass permitted"),
    flag("PAN", 22, "privileged accesses to EL0 memory fault"),
    flag("SS", 21, "software step: the next instruction is executed"),
    flag("IL", 20, "Illegal Execution state"),
    Field("GE", 19, 16),
    Field("IT7_2", 15, 10),
    flag("E", 9, "big-endian", "little-endian"),
    _masked("A", 8, "SErrors"),
    _masked("I", 7, "IRQs"),
    _masked("F", 6, "FIQs"),
    flag("T", 5, "T32 instructions", "A32 instructions"),
)


def _pstate_summary(value: int) -> str:
    """One sentence: where it runs and what is masked."""
    mode = _MODES.get(value & 31, "an illegal mode")
    names = (("D", 9), ("A", 8), ("I", 7), ("F", 6))[1 if value & 16 else 0 :]
    masked = "".join(name for name, bit in names if value >> bit & 1)
    return f"{mode}; {masked or 'nothing'} masked"


def _pstate(name: str, title: str) -> Register:
    return Register(
        name,
        title,
        (*_FLAGS, Field("M", 4, 0, _MODES)),
        select=lambda v: _SPSR32 if v & 16 else _SPSR64,
        summary=_pstate_summary,
    )


SPSR_EL1 = _pstate("SPSR_EL1", "Saved Program Status Register (EL1)")
SPSR_EL2 = _pstate("SPSR_EL2", "Saved Program Status Register (EL2)")
PSTATE = _pstate("PSTATE", "Process state, as KVM keeps it (the layout of SPSR_ELx)")

DAIF = Register("DAIF", "Interrupt Mask Bits", _SPSR64[14:18])
NZCV = Register("NZCV", "Condition Flags", _FLAGS)
CURRENTEL = Register(
    "CURRENTEL", "Current Exception Level", (Field("EL", 3, 2, lambda v: f"EL{v}"),)
)
SPSEL = Register("SPSEL", "Stack Pointer Select", (flag("SP", 0, "SP_ELx", "SP_EL0"),))

# ---------------------------------------------------------------- timers


def _timer(name: str, what: str) -> Register:
    return Register(
        name,
        f"{what} Timer Control Register",
        (
            flag("ISTATUS", 2, "the timer condition is met", "the timer condition is not met"),
            flag("IMASK", 1, "the interrupt is masked", "the interrupt is not masked"),
            flag("ENABLE", 0, "the timer is enabled", "the timer is disabled"),
        ),
    )


CNTP_CTL_EL0 = _timer("CNTP_CTL_EL0", "Physical")
CNTV_CTL_EL0 = _timer("CNTV_CTL_EL0", "Virtual")
CNTKCTL_EL1 = Register(
    "CNTKCTL_EL1",
    "Counter-timer Kernel Control Register",
    (
        flag("EVNTIS", 17, "EVNTI counts from bit 8"),
        flag("EL0PTEN", 9, "EL0 may use the physical timer", "EL0 physical timer trapped"),
        flag("EL0VTEN", 8, "EL0 may use the virtual timer", "EL0 virtual timer trapped"),
        Field("EVNTI", 7, 4, lambda v: f"events from counter bit {v}"),
        flag("EVNTDIR", 3, "events on a 1 to 0 transition", "events on a 0 to 1 transition"),
        flag("EVNTEN", 2, "event stream enabled", "event stream disabled"),
        flag("EL0VCTEN", 1, "EL0 may read the virtual counter", "EL0 virtual counter trapped"),
        flag("EL0PCTEN", 0, "EL0 may read the physical counter", "EL0 physical counter trapped"),
    ),
)

#: All of them, for lookup by name.
CONTROL_REGISTERS: tuple[Register, ...] = (
    MDSCR_EL1,
    MDCR_EL2,
    OSLSR_EL1,
    OSLAR_EL1,
    OSDLR_EL1,
    DBGPRCR_EL1,
    DBGCLAIMSET_EL1,
    DBGCLAIMCLR_EL1,
    DBGAUTHSTATUS_EL1,
    MDRAR_EL1,
    MDCCSR_EL0,
    MDCCINT_EL1,
    HCR_EL2,
    HPFAR_EL2,
    SCTLR_EL1,
    CPACR_EL1,
    TCR_EL1,
    TTBR0_EL1,
    TTBR1_EL1,
    MAIR_EL1,
    PAR_EL1,
    SPSR_EL1,
    SPSR_EL2,
    PSTATE,
    DAIF,
    NZCV,
    CURRENTEL,
    SPSEL,
    CNTP_CTL_EL0,
    CNTV_CTL_EL0,
    CNTKCTL_EL1,
)
