"""ESR_ELx: exception classes and typed syndromes (D23.2.37 to D23.2.39)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from guestdbg.arm64.exception_class import DEBUG_CLASSES, EC, exception_class
from guestdbg.arm64.faults import status_words
from guestdbg.arm64.fields import Field, Register, flag
from guestdbg.arm64.iss import (
    BreakpointIss,
    BrkIss,
    BtiIss,
    CallIss,
    CoprocessorIss,
    CoprocessorPairIss,
    CoprocessorTransferIss,
    DataAbortIss,
    EretIss,
    FpExceptionIss,
    FpTrapIss,
    GcsIss,
    GpcIss,
    ImplementationIss,
    InstructionAbortIss,
    Iss,
    Ls64Iss,
    MopsIss,
    PacFailIss,
    ProfilingIss,
    SErrorIss,
    Smc32Iss,
    SmeIss,
    SoftwareStepIss,
    SystemAccessIss,
    SystemPairAccessIss,
    TstartIss,
    WatchpointIss,
    WfxIss,
)

__all__ = [
    "DEBUG_CLASSES",
    "EC",
    "ESR",
    "ESR_EL1",
    "ESR_EL2",
    "ESR_EL3",
    "Syndrome",
    "class_words",
    "iss_type",
]

_LOWER = "from a lower Exception level"
_SAME = "taken without a change of Exception level"

#: What each class is, in words, and which syndrome it carries.
_CLASSES: dict[EC, tuple[str, type[Iss]]] = {
    EC.UNKNOWN: ("Unknown reason (an undefined instruction, as a rule)", Iss),
    EC.WFX: ("Trapped WFI or WFE", WfxIss),
    EC.CP15_32: ("Trapped AArch32 MCR or MRC access to cp15", CoprocessorIss),
    EC.CP15_64: ("Trapped AArch32 MCRR or MRRC access to cp15", CoprocessorPairIss),
    EC.CP14_MR: ("Trapped AArch32 MCR or MRC access to cp14", CoprocessorIss),
    EC.CP14_LS: ("Trapped AArch32 LDC or STC access to cp14", CoprocessorTransferIss),
    EC.FP_ASIMD: ("Trapped access to SIMD or floating-point registers (or SVE)", FpTrapIss),
    EC.CP10_ID: ("Trapped AArch32 VMRS access to an ID register", CoprocessorIss),
    EC.PAC: ("Trapped pointer authentication instruction", Iss),
    EC.OTHER: ("Trapped 64-byte load or store (LD64B, ST64B and their kin)", Ls64Iss),
    EC.CP14_64: ("Trapped AArch32 MRRC access to cp14", CoprocessorPairIss),
    EC.BTI: ("Branch target exception", BtiIss),
    EC.ILL: ("Illegal Execution state (PSTATE.IL was set)", Iss),
    EC.SVC32: ("SVC instruction in AArch32 state", CallIss),
    EC.HVC32: ("HVC instruction in AArch32 state", CallIss),
    EC.SMC32: ("SMC instruction in AArch32 state", Smc32Iss),
    EC.SYS128: ("Trapped 128-bit system register access (MSRR, MRRS, SYSP)", SystemPairAccessIss),
    EC.SVC64: ("SVC instruction in AArch64 state", CallIss),
    EC.HVC64: ("HVC instruction in AArch64 state", CallIss),
    EC.SMC64: ("SMC instruction in AArch64 state", CallIss),
    EC.SYS64: ("Trapped MSR, MRS or system instruction in AArch64 state", SystemAccessIss),
    EC.SVE: ("Trapped access to SVE functionality", Iss),
    EC.ERET: ("Trapped ERET, ERETAA or ERETAB", EretIss),
    EC.TSTART: ("Trapped TSTART", TstartIss),
    EC.FPAC: ("Pointer authentication failure", PacFailIss),
    EC.SME: ("Trapped access to SME functionality", SmeIss),
    EC.GPC: ("Granule protection check exception", GpcIss),
    EC.IMP_DEF: ("IMPLEMENTATION DEFINED exception to EL3", ImplementationIss),
    EC.IABT_LOW: (f"Instruction Abort {_LOWER}", InstructionAbortIss),
    EC.IABT_CUR: (f"Instruction Abort {_SAME}", InstructionAbortIss),
    EC.PC_ALIGN: ("PC alignment fault", Iss),
    EC.DABT_LOW: (f"Data Abort {_LOWER}", DataAbortIss),
    EC.DABT_CUR: (f"Data Abort {_SAME}", DataAbortIss),
    EC.SP_ALIGN: ("SP alignment fault", Iss),
    EC.MOPS: ("Memory copy or memory set exception", MopsIss),
    EC.FP_EXC32: ("Trapped floating-point exception in AArch32 state", FpExceptionIss),
    EC.FP_EXC64: ("Trapped floating-point exception in AArch64 state", FpExceptionIss),
    EC.GCS: ("Guarded Control Stack exception", GcsIss),
    EC.SERROR: ("SError exception", SErrorIss),
    EC.BREAKPT_LOW: (f"Breakpoint exception {_LOWER}", BreakpointIss),
    EC.BREAKPT_CUR: (f"Breakpoint exception {_SAME}", BreakpointIss),
    EC.SOFTSTP_LOW: (f"Software Step exception {_LOWER}", SoftwareStepIss),
    EC.SOFTSTP_CUR: (f"Software Step exception {_SAME}", SoftwareStepIss),
    EC.WATCHPT_LOW: (f"Watchpoint exception {_LOWER}", WatchpointIss),
    EC.WATCHPT_CUR: (f"Watchpoint exception {_SAME}", WatchpointIss),
    EC.BKPT32: ("BKPT instruction in AArch32 state", BrkIss),
    EC.VECTOR32: ("Vector Catch exception from AArch32 state", BreakpointIss),
    EC.BRK64: ("BRK instruction in AArch64 state", BrkIss),
    EC.PROFILING: ("Profiling exception", ProfilingIss),
}


def class_words(ec: int) -> str:
    """An exception class in words; says so where the architecture has none with that number."""
    try:
        return _CLASSES[EC(ec)][0]
    except ValueError:
        return "reserved exception class"


def iss_type(ec: int) -> type[Iss]:
    """The syndrome class that goes with an exception class (Iss itself where there is none)."""
    try:
        return _CLASSES[EC(ec)][1]
    except ValueError:
        return Iss


@dataclass(frozen=True)
class Syndrome:
    """A whole ESR_ELx value, taken apart. `iss` holds the raw 25 bits, `details` the typed ones.

    `iss2` is ESR_ELx[55:32]; what KVM calls hsr_high is ESR_ELx[63:32].
    """

    ec: int
    il: int
    iss: int
    iss2: int = 0

    @classmethod
    def decode(cls, value: int) -> Self:
        """Take ESR_ELx apart. Raises BadField for a value wider than 64 bits."""
        ESR.check(value)
        return cls(
            exception_class(value), value >> 25 & 1, value & 0x1FFFFFF, value >> 32 & 0xFFFFFF
        )

    @classmethod
    def of(cls, ec: int, details: Iss | int = 0, *, il: int = 1, iss2: int = 0) -> Self:
        """Put one together from a class and its syndrome. Raises BadField for misfits."""
        bits = details if isinstance(details, int) else details.encode()
        made = cls(ec, il, bits, iss2)
        made.encode()
        return made

    def encode(self) -> int:
        """The 64-bit value. Raises BadField for parts that do not fit."""
        return ESR.encode(EC=self.ec, IL=self.il, ISS=self.iss, ISS2=self.iss2)

    @property
    def details(self) -> Iss:
        """The ISS as its class's own type."""
        return iss_type(self.ec).decode(self.iss)

    @property
    def name(self) -> str:
        """The exception class's name as in EC, or "EC_0x.." where it has none."""
        try:
            return EC(self.ec).name
        except ValueError:
            return f"EC_{self.ec:#x}"

    @property
    def is_debug(self) -> bool:
        """Is this one of the classes that KVM reports as KVM_EXIT_DEBUG?"""
        return self.ec in DEBUG_CLASSES

    @property
    def is_watchpoint(self) -> bool:
        """Is this a watchpoint, the only debug exception for which FAR_ELx means anything?"""
        return self.ec in (EC.WATCHPT_LOW, EC.WATCHPT_CUR)

    def __str__(self) -> str:
        return class_words(self.ec)


def _select(value: int) -> tuple[Field, ...]:
    return iss_type(exception_class(value)).LAYOUT


def _iss_text(value: int) -> str:
    return "instruction specific syndrome" if value else "instruction specific syndrome, empty"


def _summary(value: int) -> str:
    """One sentence for a whole ESR value."""
    syndrome = Syndrome.decode(value)
    words = class_words(syndrome.ec)
    match syndrome.details:
        case SystemAccessIss() as access:
            direction = "read of" if access.is_read else "write to"
            if access.op0 == 1:
                return f"{words}: system instruction {access.register}"
            return f"{words}: {direction} {access.register}, register X{access.rt}"
        case WatchpointIss() as watch:
            return f"{words}, on a {'write' if watch.wnr else 'read'}"
        case BrkIss() as brk:
            return f"{words}, BRK #{brk.comment:#x}" if syndrome.ec == EC.BRK64 else words
        case CallIss() as call:
            return f"{words}, immediate {call.imm16:#x}"
        case DataAbortIss() as abort:
            return f"{words}, on a {'write' if abort.wnr else 'read'}: {status_words(abort.dfsc)}"
        case InstructionAbortIss() as fetch:
            return f"{words}: {status_words(fetch.ifsc)}"
        case _:
            return words


def _make(name: str) -> Register:
    el = name[-3:]
    return Register(
        name,
        f"Exception Syndrome Register ({el})",
        (
            Field(
                "ISS2",
                55,
                32,
                "further syndrome bits (FEAT_LS64, FEAT_S1POE and later)",
                when=lambda v: bool(v >> 32),
            ),
            Field("EC", 31, 26, class_words),
            flag("IL", 25, "32-bit instruction", "16-bit instruction"),
            Field("ISS", 24, 0, _iss_text),
        ),
        select=_select,
        summary=_summary,
    )


ESR_EL1 = _make("ESR_EL1")
ESR_EL2 = _make("ESR_EL2")
ESR_EL3 = _make("ESR_EL3")
#: The layout they share.
ESR = ESR_EL2
