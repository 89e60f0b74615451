"""Encodings of the SIMD and floating-point registers by extension: see `extension_encodings`.

A row is (extension, instruction or class, value, mask), in the order of DDI 0487, C4.1.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["SIMD_ROWS", "Row"]

#: (extension without FEAT_, instruction or class, value, mask)
Row = tuple[str, str, int, int]

#: Masks: all of the opcode; any Q; any element in L, M, Rm, H.
_TWO, _THREE = 0xFFFF_FC00, 0xFFE0_FC00
_Q_TWO, _Q_THREE = 0xBFFF_FC00, 0xBFE0_FC00
_Q_ELEMENT, _ELEMENT = 0xBFC0_F400, 0xFFC0_F400


def _cryptography() -> Iterator[Row]:
    for n, name in enumerate(("AESE", "AESD", "AESMC", "AESIMC"), 4):
        yield "AES", name, 0x4E28_0800 | n << 12, _TWO
    yield "PMULL", "PMULL, PMULL2 (1Q)", 0x0EE0_E000, _Q_THREE
    for n, name in enumerate(("SHA1C", "SHA1P", "SHA1M", "SHA1SU0")):
        yield "SHA1", name, 0x5E00_0000 | n << 12, _THREE
    for n, name in enumerate(("SHA256H", "SHA256H2", "SHA256SU1"), 4):
        yield "SHA256", name, 0x5E00_0000 | n << 12, _THREE
    yield "SHA1", "SHA1H", 0x5E28_0800, _TWO
    yield "SHA1", "SHA1SU1", 0x5E28_1800, _TWO
    yield "SHA256", "SHA256SU0", 0x5E28_2800, _TWO
    for n, name in enumerate(("SHA512H", "SHA512H2", "SHA512SU1")):
        yield "SHA512", name, 0xCE60_8000 | n << 10, _THREE
    yield "SHA512", "SHA512SU0", 0xCEC0_8000, _TWO
    yield "SHA3", "EOR3", 0xCE00_0000, 0xFFE0_8000
    yield "SHA3", "BCAX", 0xCE20_0000, 0xFFE0_8000
    yield "SHA3", "RAX1", 0xCE60_8C00, _THREE
    yield "SHA3", "XAR", 0xCE80_0000, 0xFFE0_0000
    yield "SM3", "SM3SS1", 0xCE40_0000, 0xFFE0_8000
    for n, name in enumerate(("SM3TT1A", "SM3TT1B", "SM3TT2A", "SM3TT2B")):
        yield "SM3", name, 0xCE40_8000 | n << 10, 0xFFE0_CC00
    yield "SM3", "SM3PARTW1", 0xCE60_C000, _THREE
    yield "SM3", "SM3PARTW2", 0xCE60_C400, _THREE
    yield "SM4", "SM4E", 0xCEC0_8400, _TWO
    yield "SM4", "SM4EKEY", 0xCE60_C800, _THREE


def _products() -> Iterator[Row]:
    """Dot products, matrix products, BFloat16, widening products of half precision."""
    for u, name in ((0, "SDOT"), (1, "UDOT")):
        yield "DotProd", name, 0x0E80_9400 | u << 29, _Q_THREE
        yield "DotProd", name, 0x0F80_E000 | u << 29, _Q_ELEMENT
    yield "I8MM", "SMMLA", 0x4E80_A400, _THREE
    yield "I8MM", "UMMLA", 0x6E80_A400, _THREE
    yield "I8MM", "USMMLA", 0x4E80_AC00, _THREE
    yield "I8MM", "USDOT", 0x0E80_9C00, _Q_THREE
    yield "I8MM", "USDOT", 0x0F80_F000, _Q_ELEMENT
    yield "I8MM", "SUDOT", 0x0F00_F000, _Q_ELEMENT
    yield "BF16", "BFDOT", 0x2E40_FC00, _Q_THREE
    yield "BF16", "BFDOT", 0x0F40_F000, _Q_ELEMENT
    yield "BF16", "BFMMLA", 0x6E40_EC00, _THREE
    yield "BF16", "BFMLALB, BFMLALT", 0x2EC0_FC00, _Q_THREE
    yield "BF16", "BFMLALB, BFMLALT", 0x0FC0_F000, _Q_ELEMENT
    yield "BF16", "BFCVT", 0x1E63_4000, _TWO
    yield "BF16", "BFCVTN, BFCVTN2", 0x0EA1_6800, _Q_TWO
    for s, name in ((0, "FMLAL"), (1, "FMLSL")):
        yield "FHM", name, 0x0E20_EC00 | s << 23, _Q_THREE
        yield "FHM", f"{name}2", 0x2E20_CC00 | s << 23, _Q_THREE
        yield "FHM", name, 0x0F80_0000 | s << 14, _Q_ELEMENT
        yield "FHM", f"{name}2", 0x2F80_8000 | s << 14, _Q_ELEMENT


def _rounding_multiplies() -> Iterator[Row]:
    """Elements of 16 and 32 bits."""
    for size in (1 << 22, 2 << 22):
        for s, name in ((0, "SQRDMLAH"), (1, "SQRDMLSH")):
            yield "RDM", name, 0x2E00_8400 | size | s << 11, _Q_THREE
            yield "RDM", name, 0x7E00_8400 | size | s << 11, _THREE
            yield "RDM", name, 0x2F00_D000 | size | s << 13, _Q_ELEMENT
            yield "RDM", name, 0x7F00_D000 | size | s << 13, _ELEMENT


def _complex() -> Iterator[Row]:
    """64 bits hold one number of two singles, and none of two doubles."""
    half = " (half precision: with FP16)"
    for size, kind in ((1, half), (2, ""), (3, "")):
        for q in (0, 1) if size < 3 else (1,):
            at = size << 22 | q << 30
            yield "FCMA", f"FCMLA{kind}", 0x2E00_C400 | at, 0xFFE0_E400
            yield "FCMA", f"FCADD{kind}", 0x2E00_E400 | at, 0xFFE0_EC00
    yield "FCMA", f"FCMLA{half}", 0x2F40_1000, 0xFFC0_9C00
    yield "FCMA", f"FCMLA{half}", 0x6F40_1000, 0xFFC0_9400
    yield "FCMA", "FCMLA", 0x6F80_1000, 0xFFE0_9400


def _conversions() -> Iterator[Row]:
    yield "JSCVT", "FJCVTZS", 0x1E7E_0000, _TWO
    for n, name in enumerate(("FRINT32Z", "FRINT32X", "FRINT64Z", "FRINT64X")):
        yield "FRINTTS", name, 0x1E28_4000 | n << 15, 0xFFBF_FC00
        vector = 0x0E21_E800 | (n & 1) << 29 | (n >> 1) << 12
        yield "FRINTTS", name, vector, 0xFFFF_FC00
        yield "FRINTTS", name, vector | 0x4000_0000, 0xFFBF_FC00


def _half_scalar() -> Iterator[Row]:
    """Floating-point data processing with ftype 11. FCVT to and from half is of Armv8.0."""
    names = {0: "FMOV", 1: "FABS", 2: "FNEG", 3: "FSQRT", 8: "FRINTN", 9: "FRINTP", 10: "FRINTM"}
    names |= {11: "FRINTZ", 12: "FRINTA", 14: "FRINTX", 15: "FRINTI"}
    for opcode, name in names.items():
        yield "FP16", name, 0x1EE0_4000 | opcode << 15, _TWO
    two = ("FMUL", "FDIV", "FADD", "FSUB", "FMAX", "FMIN", "FMAXNM", "FMINNM", "FNMUL")
    for opcode, name in enumerate(two):
        yield "FP16", name, 0x1EE0_0800 | opcode << 12, _THREE
    for opcode, name in enumerate(("FMADD", "FMSUB", "FNMADD", "FNMSUB")):
        value = 0x1FC0_0000 | (opcode >> 1) << 21 | (opcode & 1) << 15
        yield "FP16", name, value, 0xFFE0_8000
    yield "FP16", "FCMP, FCMPE", 0x1EE0_2000, 0xFFE0_FC07
    yield "FP16", "FCCMP, FCCMPE", 0x1EE0_0400, 0xFFE0_0C00
    yield "FP16", "FCSEL", 0x1EE0_0C00, 0xFFE0_0C00
    yield "FP16", "FMOV (immediate)", 0x1EE0_1000, 0xFFE0_1FE0
    for rmode, letter in enumerate("NPMZ"):
        for u, sign in enumerate("SU"):
            yield "FP16", f"FCVT{letter}{sign}", _integer(rmode, u), 0x7FFF_FC00
    for opcode, name in ((2, "SCVTF"), (3, "UCVTF"), (4, "FCVTAS"), (5, "FCVTAU"), (6, "FMOV")):
        yield "FP16", name, _integer(0, opcode), 0x7FFF_FC00
    yield "FP16", "FMOV", _integer(0, 7), 0x7FFF_FC00
    for rmode, opcode, name in (
        (0, 2, "SCVTF"),
        (0, 3, "UCVTF"),
        (3, 0, "FCVTZS"),
        (3, 1, "FCVTZU"),
    ):
        fixed = 0x1EC0_0000 | rmode << 19 | opcode << 16
        yield "FP16", f"{name} (fixed-point)", fixed | 0x8000, 0xFFFF_8000  # 32 bits: scale 1xxxxx
        yield "FP16", f"{name} (fixed-point)", fixed | 1 << 31, 0xFFFF_0000


def _integer(rmode: int, opcode: int) -> int:
    return 0x1EE0_0000 | rmode << 19 | opcode << 16


def _half_vector() -> Iterator[Row]:
    three = {
        (0, 0): ("FMAXNM", "FMLA", "FADD", "FMULX", "FCMEQ", "", "FMAX", "FRECPS"),
        (0, 1): ("FMINNM", "FMLS", "FSUB", "", "", "", "FMIN", "FRSQRTS"),
        (1, 0): ("FMAXNMP", "", "FADDP", "FMUL", "FCMGE", "FACGE", "FMAXP", "FDIV"),
        (1, 1): ("FMINNMP", "", "FABD", "", "FCMGT", "FACGT", "FMINP", ""),
    }
    scalar = {"FMULX", "FCMEQ", "FRECPS", "FRSQRTS", "FCMGE", "FACGE", "FABD", "FCMGT", "FACGT"}
    for (u, a), names in three.items():
        for opcode, name in enumerate(names):
            at = u << 29 | a << 23 | opcode << 11
            if name:
                yield "FP16", name, 0x0E40_0400 | at, _Q_THREE
            if name in scalar:
                yield "FP16", name, 0x5E40_0400 | at, _THREE
    yield from _half_two_registers()
    for u, opcode, name in ((0, 1, "FMLA"), (0, 5, "FMLS"), (0, 9, "FMUL"), (1, 9, "FMULX")):
        yield "FP16", name, 0x0F00_0000 | u << 29 | opcode << 12, _Q_ELEMENT
        yield "FP16", name, 0x5F00_0000 | u << 29 | opcode << 12, _ELEMENT
    for a, name in ((0, "FMAX"), (1, "FMIN")):
        yield "FP16", f"{name}NMV", 0x0E30_C800 | a << 23, _Q_TWO
        yield "FP16", f"{name}V", 0x0E30_F800 | a << 23, _Q_TWO
        yield "FP16", f"{name}NMP", 0x5E30_C800 | a << 23, _TWO
        yield "FP16", f"{name}P", 0x5E30_F800 | a << 23, _TWO
    yield "FP16", "FADDP", 0x5E30_D800, _TWO
    yield "FP16", "FMOV (immediate)", 0x0F00_FC00, 0xBFF8_FC00
    for u, to_fp, from_fp in ((0, "SCVTF", "FCVTZS"), (1, "UCVTF", "FCVTZU")):
        for name, opcode in ((to_fp, 0xE400), (from_fp, 0xFC00)):  # immh 001x
            yield "FP16", f"{name} (fixed-point)", 0x0F10_0000 | u << 29 | opcode, 0xBFF0_FC00
            yield "FP16", f"{name} (fixed-point)", 0x5F10_0000 | u << 29 | opcode, 0xFFF0_FC00


def _half_two_registers() -> Iterator[Row]:
    """Advanced SIMD two-register miscellaneous (FP16), and the scalar ones of the same opcodes."""
    names = {
        (0, 0): {24: "FRINTN", 25: "FRINTM", 26: "FCVTNS", 27: "FCVTMS", 28: "FCVTAS", 29: "SCVTF"},
        (0, 1): {12: "FCMGT", 13: "FCMEQ", 14: "FCMLT", 15: "FABS", 24: "FRINTP", 25: "FRINTZ"}
        | {26: "FCVTPS", 27: "FCVTZS", 29: "FRECPE", 31: "FRECPX"},
        (1, 0): {24: "FRINTA", 25: "FRINTX", 26: "FCVTNU", 27: "FCVTMU", 28: "FCVTAU", 29: "UCVTF"},
        (1, 1): {12: "FCMGE", 13: "FCMLE", 15: "FNEG", 25: "FRINTI", 26: "FCVTPU", 27: "FCVTZU"}
        | {29: "FRSQRTE", 31: "FSQRT"},
    }
    vector_only = {"FABS", "FNEG", "FSQRT"}
    for (u, a), opcodes in names.items():
        for opcode, name in opcodes.items():
            at = u << 29 | a << 23 | opcode << 12
            if name != "FRECPX":
                yield "FP16", name, 0x0E78_0800 | at, _Q_TWO
            if name not in vector_only and not name.startswith("FRINT"):
                yield "FP16", name, 0x5E78_0800 | at, _TWO


#: In the order in which they are looked at.
SIMD_ROWS: tuple[Row, ...] = (
    *_cryptography(),
    *_products(),
    *_rounding_multiplies(),
    *_complex(),
    *_conversions(),
    *_half_scalar(),
    *_half_vector(),
)
