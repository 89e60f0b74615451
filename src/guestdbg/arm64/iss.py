"""The instruction specific syndromes of ESR_ELx: one small class for every layout (D23.2.37).

Each class is typed and works both ways: X.decode(iss).encode() == iss for every iss that has no
reserved bits set. Field names are the manual's, in lower case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from guestdbg.arm64 import sysregs
from guestdbg.arm64.faults import status_words
from guestdbg.arm64.fields import Field, flag

_CONDITIONS = [
    "EQ",
    "NE",
    "CS",
    "CC",
    "MI",
    "PL",
    "VS",
    "VC",
    "HI",
    "LS",
    "GE",
    "LT",
    "GT",
    "LE",
    "AL",
    "NV",
]


def _condition(value: int) -> str:
    return f"condition {_CONDITIONS[value]}"


def _register(value: int) -> str:
    return "XZR" if value == 31 else f"X{value}"


def _is_valid(iss: int) -> bool:
    """ISV: whether the syndrome of the access (or of the step) is valid."""
    return bool(iss >> 24 & 1)


_CV = flag("CV", 24, "the condition code is valid", "the condition code is not valid")
_COND = Field("COND", 23, 20, _condition, when=lambda v: bool(v >> 24 & 1))
_DIRECTION = flag("Direction", 0, "read (MRS, MRC)", "write (MSR, MCR)")
_FNV = flag("FnV", 10, "FAR does not hold a valid address", "FAR holds the faulting address")
_EA = flag("EA", 9, "IMPLEMENTATION DEFINED external abort type", "")
_S1PTW = flag(
    "S1PTW", 7, "fault on a stage 2 translation of a stage 1 table walk", "not on a table walk"
)
_WNR = flag("WnR", 6, "caused by a write", "caused by a read")
_CM = flag("CM", 8, "caused by a cache maintenance or address translation instruction", "")
_VNCR = flag("VNCR", 13, "caused by an access through VNCR_EL2", "")
_SET = {
    0: "recoverable state (UER)",
    2: "uncontainable (UC)",
    3: "restartable state (UEO)",
}


@dataclass(frozen=True)
class Iss:
    """Base of all syndromes; also the ISS of exception classes without one (all RES0)."""

    LAYOUT: ClassVar[tuple[Field, ...]] = ()

    @classmethod
    def decode(cls, iss: int) -> Self:
        """Take the 25 bits of an ISS apart."""
        return cls(**{f.name.lower(): f.get(iss) for f in cls.LAYOUT})

    def encode(self) -> int:
        """The 25 bits. Raises BadField where a value does not fit."""
        value = 0
        for f in self.LAYOUT:
            value |= f.put(int(getattr(self, f.name.lower())))
        return value


@dataclass(frozen=True)
class WfxIss(Iss):
    """WFI, WFE and their timed forms."""

    LAYOUT = (
        _CV,
        _COND,
        Field("RN", 9, 5, _register, when=lambda v: bool(v & 4)),
        flag("RV", 2, "the register number is valid", ""),
        Field("TI", 1, 0, {0: "WFI", 1: "WFE", 2: "WFIT", 3: "WFET"}),
    )
    cv: int = 1
    cond: int = 14
    rn: int = 0
    rv: int = 0
    ti: int = 0


@dataclass(frozen=True)
class CoprocessorIss(Iss):
    """AArch32 MCR/MRC (and VMRS) to cp14, cp15 or cp10."""

    LAYOUT = (
        _CV,
        _COND,
        Field("Opc2", 19, 17),
        Field("Opc1", 16, 14),
        Field("CRn", 13, 10),
        Field("Rt", 9, 5, _register),
        Field("CRm", 4, 1),
        _DIRECTION,
    )
    cv: int = 1
    cond: int = 14
    opc2: int = 0
    opc1: int = 0
    crn: int = 0
    rt: int = 0
    crm: int = 0
    direction: int = 0


@dataclass(frozen=True)
class CoprocessorPairIss(Iss):
    """AArch32 MCRR/MRRC to cp14 or cp15."""

    LAYOUT = (
        _CV,
        _COND,
        Field("Opc1", 19, 16),
        Field("Rt2", 14, 10, _register),
        Field("Rt", 9, 5, _register),
        Field("CRm", 4, 1),
        _DIRECTION,
    )
    cv: int = 1
    cond: int = 14
    opc1: int = 0
    rt2: int = 0
    rt: int = 0
    crm: int = 0
    direction: int = 0


@dataclass(frozen=True)
class CoprocessorTransferIss(Iss):
    """AArch32 LDC/STC to DBGDTRRXint and DBGDTRTXint."""

    LAYOUT = (
        _CV,
        _COND,
        Field("imm8", 19, 12, "immediate of the instruction"),
        Field("Rn", 9, 5, _register),
        flag("Offset", 4, "the immediate is added", "the immediate is subtracted"),
        Field(
            "AM",
            3,
            1,
            {
                0: "immediate, unindexed",
                1: "immediate, post-indexed",
                2: "immediate, offset",
                3: "immediate, pre-indexed",
                4: "literal, unindexed",
                6: "literal, offset",
            },
        ),
        flag("Direction", 0, "read from memory (LDC)", "write to memory (STC)"),
    )
    cv: int = 1
    cond: int = 14
    imm8: int = 0
    rn: int = 0
    offset: int = 0
    am: int = 0
    direction: int = 0


@dataclass(frozen=True)
class FpTrapIss(Iss):
    """Access to SIMD or floating-point registers, trapped by CPACR_EL1 or CPTR_ELx."""

    LAYOUT = (_CV, _COND)
    cv: int = 1
    cond: int = 14


@dataclass(frozen=True)
class Ls64Iss(Iss):
    """Trapped 64-byte loads and stores."""

    LAYOUT = (Field("Form", 24, 0, {0: "ST64BV", 1: "ST64BV0", 2: "LD64B or ST64B"}),)
    form: int = 0


@dataclass(frozen=True)
class BtiIss(Iss):
    """Branch target exception."""

    LAYOUT = (Field("BTYPE", 1, 0, "PSTATE.BTYPE when the instruction was reached"),)
    btype: int = 0


@dataclass(frozen=True)
class CallIss(Iss):
    """SVC, HVC and SMC."""

    LAYOUT = (Field("imm16", 15, 0, "immediate of the instruction"),)
    imm16: int = 0


@dataclass(frozen=True)
class Smc32Iss(Iss):
    """SMC in AArch32, trapped by HCR_EL2.TSC."""

    LAYOUT = (
        _CV,
        _COND,
        flag("CCKNOWNPASS", 19, "the instruction may have failed its condition check", ""),
    )
    cv: int = 1
    cond: int = 14
    ccknownpass: int = 0


@dataclass(frozen=True)
class SystemAccessIss(Iss):
    """Trapped MSR, MRS or system instruction in AArch64."""

    LAYOUT = (
        Field("Op0", 21, 20, "op0 of the encoding"),
        Field("Op2", 19, 17, "op2 of the encoding"),
        Field("Op1", 16, 14, "op1 of the encoding"),
        Field("CRn", 13, 10, "CRn of the encoding"),
        Field("Rt", 9, 5, _register),
        Field("CRm", 4, 1, "CRm of the encoding"),
        flag("Direction", 0, "read (MRS)", "write (MSR or a system instruction)"),
    )
    op0: int = 0
    op2: int = 0
    op1: int = 0
    crn: int = 0
    rt: int = 0
    crm: int = 0
    direction: int = 0

    @property
    def is_read(self) -> bool:
        """An MRS, rather than an MSR."""
        return bool(self.direction)

    @property
    def encoding(self) -> int:
        """The register, as sysregs.encode16() packs it."""
        return sysregs.encode16(self.op0, self.op1, self.crn, self.crm, self.op2)

    @property
    def register(self) -> str:
        """The register's name, or its generic S<op0>_... name."""
        return sysregs.name_of(
            self.op0, self.op1, self.crn, self.crm, self.op2, write=not self.is_read
        )


@dataclass(frozen=True)
class SystemPairAccessIss(SystemAccessIss):
    """Trapped MSRR, MRRS or SYSP (FEAT_SYSREG128, FEAT_SYSINSTR128)."""

    LAYOUT = (
        *SystemAccessIss.LAYOUT[:4],
        Field("Rt", 9, 6, "number of the register pair"),
        *SystemAccessIss.LAYOUT[5:6],
        flag("Direction", 0, "read (MRRS)", "write (MSRR or SYSP)"),
    )


@dataclass(frozen=True)
class EretIss(Iss):
    """ERET, ERETAA or ERETAB trapped by HCR_EL2.NV or the fine-grained traps."""

    LAYOUT = (
        flag("ERET", 1, "ERETAA or ERETAB", "ERET"),
        flag("ERETA", 0, "ERETAB", "ERETAA"),
    )
    eret: int = 0
    ereta: int = 0


@dataclass(frozen=True)
class TstartIss(Iss):
    """TSTART at EL0 trapped (FEAT_TME)."""

    LAYOUT = (Field("Rd", 9, 5, _register),)
    rd: int = 0


@dataclass(frozen=True)
class PacFailIss(Iss):
    """Pointer authentication failure (FEAT_FPAC)."""

    LAYOUT = (flag("D", 1, "a data key", "an instruction key"), flag("B", 0, "key B", "key A"))
    d: int = 0
    b: int = 0


@dataclass(frozen=True)
class SmeIss(Iss):
    """Access to SME functionality trapped."""

    LAYOUT = (
        Field(
            "SMTC",
            2,
            0,
            {
                0: "trapped by CPACR_EL1.SMEN or CPTR_ELx",
                1: "an Advanced SIMD, SVE or SVE2 instruction while in Streaming mode",
                2: "an SME instruction while not in Streaming mode",
                3: "an SME instruction while ZA is off",
                4: "access to ZT0 trapped",
            },
        ),
    )
    smtc: int = 0


@dataclass(frozen=True)
class GpcIss(Iss):
    """Granule protection check exception (FEAT_RME)."""

    LAYOUT = (
        flag("S2PTW", 21, "on a stage 2 table walk", ""),
        flag("InD", 20, "instruction access", "data access"),
        Field("GPCSC", 19, 14, "granule protection check status code"),
        _VNCR,
        _CM,
        _S1PTW,
        _WNR,
        Field("xFSC", 5, 0, status_words),
    )
    s2ptw: int = 0
    ind: int = 0
    gpcsc: int = 0
    vncr: int = 0
    cm: int = 0
    s1ptw: int = 0
    wnr: int = 0
    xfsc: int = 0


@dataclass(frozen=True)
class ImplementationIss(Iss):
    """IMPLEMENTATION DEFINED exception to EL3."""

    LAYOUT = (Field("IMPDEF", 24, 0, "IMPLEMENTATION DEFINED"),)
    impdef: int = 0


@dataclass(frozen=True)
class InstructionAbortIss(Iss):
    """Instruction abort."""

    LAYOUT = (
        Field("SET", 12, 11, _SET, when=lambda v: v & 0x3F == 0x10),
        _FNV,
        _EA,
        _S1PTW,
        Field("IFSC", 5, 0, status_words),
    )
    set: int = 0
    fnv: int = 0
    ea: int = 0
    s1ptw: int = 0
    ifsc: int = 0


@dataclass(frozen=True)
class DataAbortIss(Iss):
    """Data abort. SAS, SSE, SRT, SF and AR mean something only with ISV."""

    LAYOUT = (
        flag(
            "ISV",
            24,
            "the syndrome of the access below is valid",
            "no syndrome of the access: decode the instruction",
        ),
        Field(
            "SAS",
            23,
            22,
            {0: "byte access", 1: "halfword access", 2: "word access", 3: "doubleword access"},
            when=_is_valid,
        ),
        Field("SSE", 21, 21, {0: "not sign-extended", 1: "sign-extended"}, when=_is_valid),
        Field("SRT", 20, 16, _register, when=_is_valid),
        Field("SF", 15, 15, {0: "32-bit register", 1: "64-bit register"}, when=_is_valid),
        Field(
            "AR",
            14,
            14,
            {0: "no acquire/release semantics", 1: "acquire/release semantics"},
            when=_is_valid,
        ),
        _VNCR,
        Field("SET", 12, 11, _SET, when=lambda v: v & 0x3F == 0x10),
        _FNV,
        _EA,
        _CM,
        _S1PTW,
        _WNR,
        Field("DFSC", 5, 0, status_words),
    )
    isv: int = 0
    sas: int = 0
    sse: int = 0
    srt: int = 0
    sf: int = 0
    ar: int = 0
    vncr: int = 0
    set: int = 0
    fnv: int = 0
    ea: int = 0
    cm: int = 0
    s1ptw: int = 0
    wnr: int = 0
    dfsc: int = 0

    @property
    def size(self) -> int | None:
        """Bytes accessed; meaningful only if ISV is set."""
        return 1 << self.sas if self.isv else None


@dataclass(frozen=True)
class MopsIss(Iss):
    """Memory copy and memory set exceptions (FEAT_MOPS)."""

    LAYOUT = (
        flag("MemInst", 24, "a memory set", "a memory copy"),
        flag("isSETG", 23, "SETG*", ""),
        Field("Options", 22, 19, "option bits of the instruction"),
        flag("FromEpilogue", 18, "an epilogue instruction", "a main instruction"),
        flag("WrongOption", 17, "the registers are formatted for the other option", ""),
        flag("OptionA", 16, "option A", "option B"),
        Field("destreg", 14, 10, _register),
        Field("srcreg", 9, 5, _register),
        Field("sizereg", 4, 0, _register),
    )
    meminst: int = 0
    issetg: int = 0
    options: int = 0
    fromepilogue: int = 0
    wrongoption: int = 0
    optiona: int = 0
    destreg: int = 0
    srcreg: int = 0
    sizereg: int = 0


@dataclass(frozen=True)
class FpExceptionIss(Iss):
    """Trapped floating-point exception."""

    LAYOUT = (
        flag("TFV", 23, "the exception bits below are valid", "the exception bits are not valid"),
        Field("VECITR", 10, 8, "AArch32 only, otherwise RES1"),
        flag("IDF", 7, "input denormal"),
        flag("IXF", 4, "inexact"),
        flag("UFF", 3, "underflow"),
        flag("OFF", 2, "overflow"),
        flag("DZF", 1, "divide by zero"),
        flag("IOF", 0, "invalid operation"),
    )
    tfv: int = 0
    vecitr: int = 7
    idf: int = 0
    ixf: int = 0
    uff: int = 0
    off: int = 0
    dzf: int = 0
    iof: int = 0


@dataclass(frozen=True)
class GcsIss(Iss):
    """Guarded Control Stack exceptions (FEAT_GCS)."""

    LAYOUT = (
        Field(
            "ExType",
            23,
            20,
            {
                0: "data check",
                1: "EXLOCK",
                2: "trapped GCSSTR or GCSSTTR",
            },
        ),
        Field("Raddr", 14, 10, _register),
        Field("Rn", 9, 5, _register),
        Field("IT", 4, 0, "kind of the instruction that failed"),
    )
    extype: int = 0
    raddr: int = 0
    rn: int = 0
    it: int = 0


@dataclass(frozen=True)
class SErrorIss(Iss):
    """SError exception. With IDS the rest is IMPLEMENTATION DEFINED."""

    LAYOUT = (
        flag("IDS", 24, "the rest of the syndrome is IMPLEMENTATION DEFINED", ""),
        flag("IESB", 13, "synchronised by an implicit error synchronisation barrier", ""),
        Field(
            "AET",
            12,
            10,
            {
                0: "uncontainable (UC)",
                1: "unrecoverable (UEU)",
                2: "restartable (UEO)",
                3: "recoverable (UER)",
                6: "corrected (CE)",
            },
        ),
        _EA,
        Field("DFSC", 5, 0, {0: "uncategorised error", 0x11: "asynchronous SError exception"}),
    )
    ids: int = 0
    iesb: int = 0
    aet: int = 0
    ea: int = 0
    dfsc: int = 0


@dataclass(frozen=True)
class BreakpointIss(Iss):
    """Breakpoint and AArch32 vector catch exceptions: the status code only."""

    LAYOUT = (Field("IFSC", 5, 0, status_words),)
    ifsc: int = 0x22


@dataclass(frozen=True)
class SoftwareStepIss(Iss):
    """Software step exception."""

    LAYOUT = (
        flag("ISV", 24, "EX is valid", "EX is not valid"),
        Field(
            "EX",
            6,
            6,
            {
                0: "the stepped instruction was no load-exclusive",
                1: "a load-exclusive was stepped",
            },
            when=_is_valid,
        ),
        Field("IFSC", 5, 0, status_words),
    )
    isv: int = 0
    ex: int = 0
    ifsc: int = 0x22


@dataclass(frozen=True)
class WatchpointIss(Iss):
    """Watchpoint exception. WPT, WPTV, WPF and FnP exist from FEAT_Debugv8p9/SME on."""

    LAYOUT = (
        Field("WPT", 23, 18, "number of the watchpoint", when=lambda v: bool(v >> 17 & 1)),
        flag("WPTV", 17, "the watchpoint number is valid", "no watchpoint number is given"),
        flag("WPF", 16, "the watchpoint may have matched falsely", ""),
        flag("FnP", 15, "FAR is not precise", ""),
        flag("VNCR", 13, "caused by an access through VNCR_EL2", ""),
        flag("FnV", 10, "FAR does not hold a valid address", "FAR holds the accessed address"),
        _CM,
        _WNR,
        Field("DFSC", 5, 0, status_words),
    )
    wpt: int = 0
    wptv: int = 0
    wpf: int = 0
    fnp: int = 0
    vncr: int = 0
    fnv: int = 0
    cm: int = 0
    wnr: int = 0
    dfsc: int = 0x22


@dataclass(frozen=True)
class BrkIss(Iss):
    """BRK in AArch64, BKPT in AArch32."""

    LAYOUT = (Field("Comment", 15, 0, "immediate of the instruction"),)
    comment: int = 0


@dataclass(frozen=True)
class ProfilingIss(Iss):
    """PMU, SPE or TRBE profiling exception (FEAT_EBEP and its kin)."""

    LAYOUT = (Field("SYNC", 0, 0, {0: "asynchronous", 1: "synchronous"}),)
    sync: int = 0
