"""Which extension an A64 instruction belongs to (DDI 0487, C4): what a processor without it names.

The rows are of the general instructions, loads and stores, and system instructions; those of the
SIMD and floating-point registers are in `extension_encodings_simd`. Instructions of Armv8.0-A,
except the optional CRC32 and cryptographic ones, are not here, and neither are the hints of later
versions, which execute as NOP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64.cpu_models import DEFAULT_CPU
from guestdbg.arm64.extension_encodings_simd import SIMD_ROWS
from guestdbg.arm64.features import FEATURES

if TYPE_CHECKING:
    from guestdbg.arm64.cpu_models import CpuModel
    from guestdbg.arm64.extension_encodings_simd import Row

__all__ = ["EXTENSION_ROWS", "ExtensionInstruction", "extension_instruction"]


class ExtensionInstruction(NamedTuple):
    """An instruction of an extension.

    Attributes:
        feature: the extension, as the manual writes it: ``FEAT_MTE``.
        name: the instruction, or the class that it is in: ``LDG``.
    """

    feature: str
    name: str

    @property
    def is_group(self) -> bool:
        """The name is that of all instructions in a group of encodings, some unallocated."""
        return self.name.endswith("instructions")

    def __str__(self) -> str:
        return f"{self.feature.removeprefix('FEAT_')}: {self.name}"

    def on(self, cpu: CpuModel | None) -> str:
        """For people: what it is, and which processor has it if ``cpu`` does not."""
        hint = self.hint(cpu)
        return f"{self} ({hint})" if hint else str(self)

    def hint(self, cpu: CpuModel | None) -> str:
        """Which processor has it if ``cpu`` does not; empty: none, or ``cpu`` has it."""
        if cpu is None or self.feature not in FEATURES or self.feature in cpu.features:
            return ""
        return f"this processor, {cpu}, has no {self.feature}; cpu={DEFAULT_CPU!r} has it"


def _atomics() -> Iterator[Row]:
    names = ("LDADD", "LDCLR", "LDEOR", "LDSET", "LDSMAX", "LDSMIN", "LDUMAX", "LDUMIN", "SWP")
    for opcode, name in enumerate(names):
        yield "LSE", name, 0x3820_0000 | opcode << 12, 0x3F20_FC00
    yield "LSE", "CAS", 0x08A0_7C00, 0x3FA0_7C00
    yield "LSE", "CASP", 0x0820_7C00, 0xBFA0_7C00
    for name, value in (("LDCLRP", 0x1920_1000), ("LDSETP", 0x1920_3000), ("SWPP", 0x1920_8000)):
        yield "LSE128", name, value, 0xFF20_FC00
    yield "LOR", "LDLAR", 0x08C0_0000, 0x3FE0_8000
    yield "LOR", "STLLR", 0x0880_0000, 0x3FE0_8000
    yield "LRCPC", "LDAPR", 0x38A0_C000, 0x3FE0_FC00
    yield from _lrcpc2()
    yield "LRCPC3", "LDAPUR, STLUR (SIMD&FP)", 0x1D00_0800, 0x3F20_0C00
    yield "LRCPC3", "LDIAPP", 0x9940_0800, 0xBFE0_EC00
    yield "LRCPC3", "STILP", 0x9900_0800, 0xBFE0_EC00
    for name, value in (("LD64B", 0xF83F_D000), ("ST64B", 0xF83F_9000)):
        yield "LS64", name, value, 0xFFFF_FC00
    yield "LS64_V", "ST64BV", 0xF820_B000, 0xFFE0_FC00
    yield "LS64_ACCDATA", "ST64BV0", 0xF820_A000, 0xFFE0_FC00


def _lrcpc2() -> Iterator[Row]:
    """LDAPUR and STLUR: size [31:30], opc [23:22]."""
    for size, letter in enumerate("BH  "):
        for opc, name in enumerate(("STLUR", "LDAPUR", "LDAPURS", "LDAPURS")):
            if (size == 3 and opc > 1) or (size == 2 and opc == 3):
                continue
            full = name + letter.strip() if size < 2 else name + ("W" if opc > 1 else "")
            yield "LRCPC2", full, 0x1900_0000 | size << 30 | opc << 22, 0xFFE0_0C00


def _tagging() -> Iterator[Row]:
    for name, value in (
        ("IRG", 0x9AC0_1000),
        ("GMI", 0x9AC0_1400),
        ("SUBP", 0x9AC0_0000),
        ("SUBPS", 0xBAC0_0000),
    ):
        yield "MTE", name, value, 0xFFE0_FC00
    yield "MTE", "ADDG", 0x9180_0000, 0xFFC0_C000
    yield "MTE", "SUBG", 0xD180_0000, 0xFFC0_C000
    for name, value in (("STG", 0), ("STZG", 1), ("ST2G", 2), ("STZ2G", 3)):
        for mode in (1, 2, 3):  # post-index, offset, pre-index
            yield "MTE", name, 0xD920_0000 | value << 22 | mode << 10, 0xFFE0_0C00
    yield "MTE", "LDG", 0xD960_0000, 0xFFE0_0C00
    for name, value in (("STZGM", 0xD920_0000), ("STGM", 0xD9A0_0000), ("LDGM", 0xD9E0_0000)):
        yield "MTE2", name, value, 0xFFFF_FC00
    for value in (0x6880_0000, 0x6900_0000, 0x6980_0000):
        yield "MTE", "STGP", value, 0xFFC0_0000
    yield "MTE", "MSR TCO", 0xD503_409F, 0xFFFF_F0FF
    for name, *place in (
        ("GCR_EL1", 3, 0, 1, 0, 6),
        ("RGSR_EL1", 3, 0, 1, 0, 5),
        ("TFSR_EL1", 3, 0, 5, 6, 0),
        ("TFSRE0_EL1", 3, 0, 5, 6, 1),
        ("GMID_EL1", 3, 1, 0, 0, 4),
        ("TCO", 3, 3, 4, 2, 7),
    ):
        yield from _register("MTE", name, *place)
    for name, *place in (
        *(("DC IGVAC", 0, 6, 3), ("DC IGSW", 0, 6, 4), ("DC IGDVAC", 0, 6, 5)),
        *(("DC IGDSW", 0, 6, 6), ("DC CGSW", 0, 10, 4), ("DC CGDSW", 0, 10, 6)),
        *(("DC CIGSW", 0, 14, 4), ("DC CIGDSW", 0, 14, 6), ("DC GVA", 3, 4, 3)),
        *(("DC GZVA", 3, 4, 4), ("DC CGVAC", 3, 10, 3), ("DC CGDVAC", 3, 10, 5)),
        *(("DC CGVAP", 3, 12, 3), ("DC CGDVAP", 3, 12, 5), ("DC CGVADP", 3, 13, 3)),
        *(("DC CGDVADP", 3, 13, 5), ("DC CIGVAC", 3, 14, 3), ("DC CIGDVAC", 3, 14, 5)),
    ):
        op1, crm, op2 = place
        yield _sys("MTE", name, op1, 7, crm, op2)


def _pointer_authentication() -> Iterator[Row]:
    names = ("PACIA", "PACIB", "PACDA", "PACDB", "AUTIA", "AUTIB", "AUTDA", "AUTDB")
    for opcode, name in enumerate(names):
        yield "PAuth", name, 0xDAC1_0000 | opcode << 10, 0xFFFF_FC00
        yield "PAuth", f"{name[:4]}Z{name[4:]}", 0xDAC1_23E0 | opcode << 10, 0xFFFF_FFE0
    yield "PAuth", "XPACI", 0xDAC1_43E0, 0xFFFF_FFE0
    yield "PAuth", "XPACD", 0xDAC1_47E0, 0xFFFF_FFE0
    yield "PAuth", "PACGA", 0x9AC0_3000, 0xFFE0_FC00
    for key, letter in ((0, "A"), (0x400, "B")):
        yield "PAuth", f"BRA{letter}Z", 0xD61F_081F | key, 0xFFFF_FC1F
        yield "PAuth", f"BLRA{letter}Z", 0xD63F_081F | key, 0xFFFF_FC1F
        yield "PAuth", f"BRA{letter}", 0xD71F_0800 | key, 0xFFFF_FC00
        yield "PAuth", f"BLRA{letter}", 0xD73F_0800 | key, 0xFFFF_FC00
        yield "PAuth", f"RETA{letter}", 0xD65F_0BFF | key, 0xFFFF_FFFF
        yield "PAuth", f"ERETA{letter}", 0xD69F_0BFF | key, 0xFFFF_FFFF
    yield "PAuth", "LDRAA", 0xF820_0400, 0xFFA0_0400
    yield "PAuth", "LDRAB", 0xF8A0_0400, 0xFFA0_0400
    keys = ("APIA", "APIB", "APDA", "APDB", "APGA")
    for n, key_name in enumerate(keys):
        for half, end in enumerate(("Lo", "Hi")):
            at = 2 * n + half
            yield from _register("PAuth", f"{key_name}Key{end}_EL1", 3, 0, 2, 1 + (at >> 2), at & 3)


def _integer() -> Iterator[Row]:
    for c, name in ((0, "CRC32"), (1, "CRC32C")):
        for size, letter in enumerate("BHWX"):
            value = 0x1AC0_4000 | (size == 3) << 31 | c << 12 | size << 10
            yield "CRC32", name + letter, value, 0xFFE0_FC00
    yield "FlagM", "RMIF", 0xBA00_0400, 0xFFE0_7C10
    yield "FlagM", "SETF8", 0x3A00_080D, 0xFFFF_FC1F
    yield "FlagM", "SETF16", 0x3A00_480D, 0xFFFF_FC1F
    yield "FlagM", "CFINV", 0xD500_401F, 0xFFFF_F0FF
    yield "FlagM2", "XAFLAG", 0xD500_403F, 0xFFFF_F0FF
    yield "FlagM2", "AXFLAG", 0xD500_405F, 0xFFFF_F0FF
    for name, value in (("ABS", 0x2000), ("CNT", 0x1C00), ("CTZ", 0x1800)):
        yield "CSSC", name, 0x5AC0_0000 | value, 0x7FFF_FC00
    for n, name in enumerate(("SMAX", "UMAX", "SMIN", "UMIN")):
        yield "CSSC", name, 0x1AC0_6000 | n << 10, 0x7FE0_FC00
        yield "CSSC", name, 0x11C0_0000 | n << 18, 0x7FFC_0000
    for stage, letter in enumerate("PME"):
        yield "MOPS", f"CPYF{letter}", 0x1900_0400 | stage << 22, 0xFFE0_0C00
        yield "MOPS", f"CPY{letter}", 0x1D00_0400 | stage << 22, 0xFFE0_0C00
        for options in range(4):
            value = stage << 14 | options << 12 | 0x400
            yield "MOPS", f"SET{letter}", 0x19C0_0000 | value, 0xFFE0_FC00
            yield "MOPS", f"SETG{letter}", 0x1DC0_0000 | value, 0xFFE0_FC00
    yield "HBC", "BC.cond", 0x5400_0010, 0xFF00_0010


def _system() -> Iterator[Row]:
    for name, value in (("WFET", 0xD503_1000), ("WFIT", 0xD503_1020)):
        yield "WFxT", name, value, 0xFFFF_FFE0
    yield "SB", "SB", 0xD503_30FF, 0xFFFF_F0FF
    yield "TME", "TSTART", 0xD523_3060, 0xFFFF_FFE0
    yield "TME", "TTEST", 0xD523_3160, 0xFFFF_FFE0
    yield "TME", "TCOMMIT", 0xD503_307F, 0xFFFF_FFFF
    yield "TME", "TCANCEL", 0xD460_0000, 0xFFE0_001F
    yield "SME", "SMSTART, SMSTOP", 0xD503_407F, 0xFFFF_F8FF
    yield from _pstate("PAN", 0, 4, (3, 0, 4, 2, 3))
    yield from _pstate("UAO", 0, 3, (3, 0, 4, 2, 4))
    yield from _pstate("DIT", 3, 2, (3, 3, 4, 2, 5))
    yield from _pstate("SSBS", 3, 1, (3, 3, 4, 2, 6), feature="SSBS2")
    yield _sys("PAN2", "AT S1E1RP", 0, 7, 9, 0)
    yield _sys("PAN2", "AT S1E1WP", 0, 7, 9, 1)
    yield _sys("DPB", "DC CVAP", 3, 7, 12, 1)
    yield _sys("DPB2", "DC CVADP", 3, 7, 13, 1)
    for name, op2 in (("CFP RCTX", 4), ("DVP RCTX", 5), ("CPP RCTX", 7)):
        yield _sys("SPECRES", name, 3, 7, 3, op2)
    yield _sys("SPECRES2", "COSP RCTX", 3, 7, 3, 6)
    for feature, name, *place in (
        ("RNG", "RNDR", 3, 3, 2, 4, 0),
        ("RNG", "RNDRRS", 3, 3, 2, 4, 1),
        ("SVE", "ZCR_EL1", 3, 0, 1, 2, 0),
        ("SME", "SMPRI_EL1", 3, 0, 1, 2, 4),
        ("SME", "SMCR_EL1", 3, 0, 1, 2, 6),
        ("SME", "SVCR", 3, 3, 4, 2, 2),
        ("SME", "TPIDR2_EL0", 3, 3, 13, 0, 5),
        ("CSV2_2", "SCXTNUM_EL0", 3, 3, 13, 0, 7),
        ("CSV2_2", "SCXTNUM_EL1", 3, 0, 13, 0, 7),
        ("LOR", "LORSA_EL1", 3, 0, 10, 4, 0),
        ("LOR", "LOREA_EL1", 3, 0, 10, 4, 1),
        ("LOR", "LORN_EL1", 3, 0, 10, 4, 2),
        ("LOR", "LORC_EL1", 3, 0, 10, 4, 3),
        ("LOR", "LORID_EL1", 3, 0, 10, 4, 7),
        ("RAS", "ERRIDR_EL1", 3, 0, 5, 3, 0),
        ("RAS", "ERRSELR_EL1", 3, 0, 5, 3, 1),
        ("RAS", "ERXFR_EL1", 3, 0, 5, 4, 0),
        ("RAS", "ERXCTLR_EL1", 3, 0, 5, 4, 1),
        ("RAS", "ERXSTATUS_EL1", 3, 0, 5, 4, 2),
        ("RAS", "ERXADDR_EL1", 3, 0, 5, 4, 3),
        ("RAS", "ERXMISC0_EL1", 3, 0, 5, 5, 0),
        ("RAS", "ERXMISC1_EL1", 3, 0, 5, 5, 1),
        ("RAS", "DISR_EL1", 3, 0, 12, 1, 1),
        ("GCS", "GCSPR_EL0", 3, 3, 2, 5, 1),
        ("FPMR", "FPMR", 3, 3, 4, 4, 2),
        ("MPAM", "MPAM0_EL1", 3, 0, 10, 5, 1),
        ("MPAM", "MPAM1_EL1", 3, 0, 10, 5, 0),
    ):
        yield from _register(feature, name, *place)


def _register(feature: str, name: str, *place: int) -> Iterator[Row]:
    """MSR and MRS of a system register: op0, op1, CRn, CRm, op2."""
    op0, op1, crn, crm, op2 = place
    where = (op0 - 2) << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
    yield feature, f"MSR {name}", 0xD510_0000 | where, 0xFFFF_FFE0
    yield feature, f"MRS {name}", 0xD530_0000 | where, 0xFFFF_FFE0


def _pstate(
    name: str, op1: int, op2: int, place: tuple[int, ...], feature: str | None = None
) -> Iterator[Row]:
    """MSR (immediate) of a field of PSTATE, and MRS and MSR of the register of that name."""
    value = 0xD500_401F | op1 << 16 | op2 << 5
    yield feature or name, f"MSR {name}", value, 0xFFFF_F0FF
    yield from _register(feature or name, name, *place)


def _sys(feature: str, name: str, op1: int, crn: int, crm: int, op2: int) -> Row:
    value = 0xD508_0000 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
    return feature, name, value, 0xFFFF_FFE0


def _scalable() -> Iterator[Row]:
    """SVE and SME by the groups of their encodings (C4.1.31, C4.1.30)."""
    yield "SVE", "SDOT, UDOT", 0x4480_0000, 0xFFA0_F800
    yield "SVE", "SDOT, UDOT (indexed)", 0x44A0_0000, 0xFFA0_F800
    yield "SVE2", "SVE2 instructions", 0x4400_0000, 0xFE00_0000
    yield "SVE", "SVE instructions", 0x0400_0000, 0x1E00_0000
    yield "SME", "SME instructions", 0x8000_0000, 0x9E00_0000


def _all() -> Iterable[Row]:
    for part in (_atomics, _tagging, _pointer_authentication, _integer, _system):
        yield from part()
    yield from SIMD_ROWS
    yield from _scalable()


#: (extension, instruction or class, value, mask); the first row that fits is the right one.
EXTENSION_ROWS: tuple[Row, ...] = tuple(_all())


def extension_instruction(encoding: int) -> ExtensionInstruction | None:
    """The extension that an encoding belongs to; None: it is in no row."""
    for feature, name, value, mask in EXTENSION_ROWS:
        if encoding & mask == value:
            return ExtensionInstruction(f"FEAT_{feature}", name)
    return None
