"""Floating-point results that the architecture fixes and that are easy to get wrong.

The expected values follow from the Arm manual's pseudocode, which each group names. Random operands
are judged elsewhere (test_scale_simd.py, test_fp_second_reference.py).
"""

from __future__ import annotations

import ctypes
import platform
from dataclasses import dataclass

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from guestdbg.arm64.sysregs import SYSREGS
from tests.cpu.cases import CODE, Case, State
from tests.cpu.tested_machine import ProcessorUnderTest

IOC, DZC, OFC, UFC, IXC, IDC = 1, 2, 4, 8, 16, 128
FZ16, RP, RM, RZ, FZ, DN, AHP = 1 << 19, 1 << 22, 2 << 22, 3 << 22, 1 << 24, 1 << 25, 1 << 26

SIGN = 1 << 63
ZERO, HALF, ONE, INF = 0, 0x3FE0_0000_0000_0000, 0x3FF0_0000_0000_0000, 0x7FF0_0000_0000_0000
TWO_AND_HALF = 0x4004_0000_0000_0000
BELOW_ONE, LARGEST = ONE - 1, INF - 1
DENORMAL, SMALLEST = 1, 0x0010_0000_0000_0000  # the smallest normal number
SNAN_1, SNAN_2 = 0x7FF0_0000_0000_0001, 0xFFF0_0000_0000_0002
QUIETED_1, QUIETED_2 = 0x7FF8_0000_0000_0001, 0xFFF8_0000_0000_0002
QNAN_1, QNAN_2 = 0x7FF8_0000_0000_0011, 0xFFF8_0000_0000_0022
DEFAULT = 0x7FF8_0000_0000_0000


@dataclass(frozen=True)
class Expected:
    """An instruction on V1, V2, V3 or X1, its result in V0 or X0, and what it adds to FPSR."""

    text: str
    raw: int
    operands: tuple[int, ...]
    result: int
    fpsr: int = 0
    fpcr: int = 0


# FPMulAdd: the factors, then the addend.
FUSED = [
    # A quiet NaN is not the result of zero times infinity, a signalling one is.
    Expected("fmadd d0, d1, d2, d3", 0x1F42_0C20, (INF, ZERO, QNAN_1), DEFAULT, IOC),
    Expected("fmadd d0, d1, d2, d3", 0x1F42_0C20, (ZERO, INF, SNAN_2), QUIETED_2, IOC),
    Expected("fmadd d0, d1, d2, d3", 0x1F42_0C20, (QNAN_1, ONE, QNAN_2), QNAN_2),
    Expected("fmadd d0, d1, d2, d3", 0x1F42_0C20, (QNAN_1, SNAN_1, QNAN_2), QUIETED_1, IOC),
    # Negation comes first, so it changes a NaN's sign, too.
    Expected("fmsub d0, d1, d2, d3", 0x1F42_8C20, (QNAN_1, ONE, ONE), QNAN_1 | SIGN),
    Expected("fnmadd d0, d1, d2, d3", 0x1F62_0C20, (ONE, ONE, QNAN_1), QNAN_1 | SIGN),
    Expected("fnmsub d0, d1, d2, d3", 0x1F62_8C20, (ONE, QNAN_1, ONE), QNAN_1),
    # A sum that is zero has the sign that the rounding mode says.
    Expected("fmsub d0, d1, d2, d3", 0x1F42_8C20, (ONE, ONE, ONE), ZERO),
    Expected("fmsub d0, d1, d2, d3", 0x1F42_8C20, (ONE, ONE, ONE), SIGN, 0, RM),
    # The product is not rounded: (1 + 2^-52)^2 - (1 + 2^-51).
    Expected(
        "fnmsub d0, d1, d2, d3", 0x1F62_8C20, (ONE + 1, ONE + 1, ONE + 2), 0x3970_0000_0000_0000
    ),
]

# FPProcessNaNs, and operations that have no result.
NANS = [
    Expected("fadd d0, d1, d2", 0x1E62_2820, (QNAN_1, SNAN_2), QUIETED_2, IOC),
    Expected("fadd d0, d1, d2", 0x1E62_2820, (SNAN_1, SNAN_2), QUIETED_1, IOC),
    Expected("fadd d0, d1, d2", 0x1E62_2820, (QNAN_2, QNAN_1), QNAN_2),
    Expected("fsub d0, d1, d2", 0x1E62_3820, (ONE, QNAN_1), QNAN_1),
    Expected("fsub d0, d1, d2", 0x1E62_3820, (QNAN_1, SNAN_2), DEFAULT, IOC, DN),
    Expected("fsub d0, d1, d2", 0x1E62_3820, (QNAN_2, ONE), DEFAULT, 0, DN),
    Expected("fsub d0, d1, d2", 0x1E62_3820, (INF, INF), DEFAULT, IOC),
    Expected("fnmul d0, d1, d2", 0x1E62_8820, (QNAN_1, ONE), QNAN_1 | SIGN),
    Expected("fnmul d0, d1, d2", 0x1E62_8820, (INF, ZERO), DEFAULT | SIGN, IOC),
    Expected("fmaxnm d0, d1, d2", 0x1E62_6820, (QNAN_1, ONE), ONE),
    Expected("fmaxnm d0, d1, d2", 0x1E62_6820, (SNAN_1, ONE), QUIETED_1, IOC),
    Expected("fminnm d0, d1, d2", 0x1E62_7820, (QNAN_1, SNAN_2), QUIETED_2, IOC),
    Expected("fmax d0, d1, d2", 0x1E62_4820, (SIGN, ZERO), ZERO),
    Expected("fmin d0, d1, d2", 0x1E62_5820, (ZERO, SIGN), SIGN),
    Expected("fsqrt d0, d1", 0x1E61_C020, (SIGN,), SIGN),
    Expected("fsqrt d0, d1", 0x1E61_C020, (SIGN | DENORMAL,), DEFAULT, IOC),
    Expected("fsqrt d0, d1", 0x1E61_C020, (SIGN | DENORMAL,), SIGN, IDC, FZ),
    Expected("fdiv d0, d1, d2", 0x1E62_1820, (ONE, SIGN), INF | SIGN, DZC),
    Expected("fdiv d0, d1, d2", 0x1E62_1820, (ONE, DENORMAL), INF, DZC | IDC, FZ),
    Expected("fdiv d0, d1, d2", 0x1E62_1820, (ZERO, ZERO), DEFAULT, IOC),
]

# FPRoundBase: tiny before rounding, and then flushed; and large.
SMALL = [
    Expected("fmul d0, d1, d2", 0x1E62_0820, (SMALLEST, BELOW_ONE), SMALLEST, UFC | IXC),
    Expected("fmul d0, d1, d2", 0x1E62_0820, (SMALLEST, BELOW_ONE), ZERO, UFC, FZ),
    Expected("fmul d0, d1, d2", 0x1E62_0820, (SMALLEST, HALF), SMALLEST >> 1),
    Expected("fmul d0, d1, d2", 0x1E62_0820, (SMALLEST, HALF), ZERO, UFC, FZ),
    Expected("fmul d0, d1, d2", 0x1E62_0820, (SMALLEST, SMALLEST | SIGN), SIGN, UFC | IXC),
    Expected("fmul d0, d1, d2", 0x1E62_0820, (SMALLEST, SMALLEST | SIGN), SIGN | 1, UFC | IXC, RM),
    Expected("fadd d0, d1, d2", 0x1E62_2820, (DENORMAL, SNAN_1), QUIETED_1, IDC | IOC, FZ),
    Expected("fadd d0, d1, d2", 0x1E62_2820, (DENORMAL, ONE), ONE, IDC, FZ),
    Expected("fadd d0, d1, d2", 0x1E62_2820, (DENORMAL, ONE), ONE, IXC),
    Expected("fadd d0, d1, d2", 0x1E62_2820, (DENORMAL, ONE), ONE + 1, IXC, RP),
    Expected("fadd d0, d1, d2", 0x1E62_2820, (LARGEST, LARGEST), INF, OFC | IXC),
    Expected("fadd d0, d1, d2", 0x1E62_2820, (LARGEST, LARGEST), LARGEST, OFC | IXC, RZ),
    # FZ does not concern half precision, and FZ16 sets no IDC.
    Expected("fadd h0, h1, h2", 0x1EE2_2820, (1, 1), 2, 0, FZ),
    Expected("fadd h0, h1, h2", 0x1EE2_2820, (1, 0x3C00), 0x3C00, 0, FZ16),
    Expected("fmul h0, h1, h2", 0x1EE2_0820, (0x0400, 0x3800), 0, UFC, FZ16),
]

# FPConvert, FPConvertNaN.
FORMATS = [
    # Not by way of single precision: 1 + 2^-11 + 2^-40 is above the middle.
    Expected("fcvt h0, d1", 0x1E63_C020, (0x3FF0_0200_0000_1000,), 0x3C01, IXC),
    Expected("fcvt h0, d1", 0x1E63_C020, (0x3FF0_0200_0000_0000,), 0x3C00, IXC),
    Expected("fcvt s0, d1", 0x1E62_4020, (0x7FF0_0000_2000_0001,), 0x7FC0_0001, IOC),
    Expected("fcvt d0, s1", 0x1E22_C020, (0xFFC0_0001,), 0xFFF8_0000_2000_0000),
    Expected("fcvt d0, h1", 0x1EE2_C020, (0x7C01,), 0x7FF8_0400_0000_0000, IOC),
    Expected("fcvt h0, s1", 0x1E23_C020, (0x7F80_0001,), 0x7E00, IOC),
    Expected("fcvt h0, s1", 0x1E23_C020, (0x477F_F000,), 0x7C00, OFC | IXC),
    # The alternative format has neither infinities nor NaNs, but one exponent more.
    Expected("fcvt h0, s1", 0x1E23_C020, (0x477F_F000,), 0x7C00, IXC, AHP),
    Expected("fcvt h0, s1", 0x1E23_C020, (0xFF80_0000,), 0xFFFF, IOC, AHP),
    Expected("fcvt h0, s1", 0x1E23_C020, (0xFFC0_0001,), 0x8000, IOC, AHP),
    Expected("fcvt h0, s1", 0x1E23_C020, (0x4800_0000,), 0x7FFF, IOC, AHP),
    Expected("fcvt d0, h1", 0x1EE2_C020, (0x7FFF,), 0x40FF_FC00_0000_0000, 0, AHP),
    # FZ16 does not concern conversions.
    Expected("fcvt h0, s1", 0x1E23_C020, (0x3380_0000,), 0x0001, 0, FZ16 | FZ),
    Expected("fcvt s0, h1", 0x1EE2_4020, (0x0001,), 0x3380_0000, 0, FZ16 | FZ),
    Expected("fcvt h0, s1", 0x1E23_C020, (0x0000_0001,), 0, IDC, FZ),
]

# FixedToFP, FPToFixed, FPRoundInt.
INTEGERS = [
    Expected("scvtf s0, x1", 0x9E22_0020, ((1 << 24) + 1,), 0x4B80_0000, IXC),
    Expected("scvtf s0, x1", 0x9E22_0020, ((1 << 24) + 3,), 0x4B80_0002, IXC),
    Expected("scvtf s0, x1", 0x9E22_0020, ((1 << 63) - 1,), 0x5F00_0000, IXC),
    Expected("scvtf s0, x1", 0x9E22_0020, ((1 << 63) - 1,), 0x5EFF_FFFF, IXC, RZ),
    Expected("ucvtf d0, x1", 0x9E63_0020, ((1 << 64) - 1,), 0x43F0_0000_0000_0000, IXC),
    Expected("ucvtf h0, x1", 0x9EE3_0020, (1 << 16,), 0x7C00, OFC | IXC),
    Expected("scvtf d0, x1, #64", 0x9E42_0020, ((1 << 64) - 1,), 0xBBF0_0000_0000_0000),
    Expected("scvtf d0, w1, #32", 0x1E42_8020, (0x8000_0000,), 0xBFE0_0000_0000_0000),
    Expected("ucvtf h0, x1, #64", 0x9EC3_0020, (1,), 0, UFC | IXC),
    Expected("ucvtf h0, x1, #64", 0x9EC3_0020, (1,), 0, UFC, FZ16),
    Expected("fcvtzs x0, d1, #64", 0x9E58_0020, (HALF,), (1 << 63) - 1, IOC),
    Expected("fcvtzs x0, d1, #64", 0x9E58_0020, (HALF | SIGN,), 1 << 63),
    Expected("fcvtzu x0, d1, #64", 0x9E59_0020, (HALF,), 1 << 63),
    Expected("fcvtzu x0, d1", 0x9E79_0020, (HALF | SIGN,), 0, IXC),
    Expected("fcvtzu x0, d1", 0x9E79_0020, (ONE | SIGN,), 0, IOC),
    Expected("fcvtzs w0, d1", 0x1E78_0020, (0xC1E0_0000_001F_FFFF,), 0x8000_0000, IXC),
    Expected("fcvtzs w0, d1", 0x1E78_0020, (0xC1E0_0000_0020_0000,), 0x8000_0000, IOC),
    Expected("fcvtzs w0, d1", 0x1E78_0020, (QNAN_1,), 0, IOC),
    Expected("fcvtzs x0, d1", 0x9E78_0020, (INF | SIGN,), 1 << 63, IOC),
    Expected("fcvtzs x0, d1", 0x9E78_0020, (DENORMAL,), 0, IXC),
    Expected("fcvtzs x0, d1", 0x9E78_0020, (DENORMAL,), 0, IDC, FZ),
    Expected("fcvtns w0, d1", 0x1E60_0020, (TWO_AND_HALF,), 2, IXC),
    Expected("fcvtas w0, d1", 0x1E64_0020, (TWO_AND_HALF,), 3, IXC),
    Expected("fcvtas w0, d1", 0x1E64_0020, (TWO_AND_HALF | SIGN,), 0xFFFF_FFFD, IXC),
    Expected("frintx d0, d1", 0x1E67_4020, (TWO_AND_HALF,), 0x4000_0000_0000_0000, IXC),
    Expected("frinti d0, d1", 0x1E67_C020, (TWO_AND_HALF,), 0x4008_0000_0000_0000, 0, RP),
    Expected("frinta d0, d1", 0x1E66_4020, (SIGN | HALF - 1,), SIGN),
    Expected("frintp d0, d1", 0x1E64_C020, (HALF | SIGN,), SIGN),
]


@pytest.fixture(scope="module")
def tested(tier: str) -> ProcessorUnderTest:
    machine = ProcessorUnderTest()
    encoding = SYSREGS["ID_AA64PFR0_EL1"].encoding
    half_precision = 0x11 << 16
    machine.cpu.set_sysreg(encoding, machine.cpu.get_sysreg(encoding) | half_precision)
    return machine


@pytest.mark.parametrize(
    "expected",
    [*FUSED, *NANS, *SMALL, *FORMATS, *INTEGERS],
    ids=lambda it: f"{it.text} of {' '.join(f'{value:x}' for value in it.operands)}",
)
@pytest.mark.parametrize("before", [0, IXC, 1 << 27], ids=["empty", "inexact", "saturated"])
def test_result_and_flags(tested: ProcessorUnderTest, expected: Expected, before: int) -> None:
    """With FPSR.IXC set, the host's arithmetic may be used."""
    first, second, third = (*expected.operands, 0, 0)[:3]
    above = 0x5555 << 112
    state = State(
        x=(7, first, *[0] * 29),
        sp=0,
        nzcv=0,
        v=(above, first | above, second | above, third | above, *[0] * 28),
        fpcr=expected.fpcr,
        fpsr=before,
    )
    tested.place(CODE, expected.raw.to_bytes(4, "little"))
    tested.forget_code()
    outcome = tested.run(Case(expected.text, expected.raw, state), CODE)
    assert outcome.kind == "ok"
    assert outcome.state is not None
    to_general = expected.text.split()[1][0] in "wx"
    result = outcome.state.x[0] if to_general else outcome.state.v[0]
    assert f"{result:#x}" == f"{expected.result:#x}"
    assert outcome.state.fpsr == before | expected.fpsr


#: FE_UPWARD of <fenv.h>, by the host.
UPWARD = {"x86_64": 0x800, "aarch64": 0x40_0000}


@pytest.mark.skipif(platform.machine() not in UPWARD, reason="FE_UPWARD is not known here")
def test_the_hosts_rounding_does_not_matter(tested: ProcessorUnderTest) -> None:
    """The host's own setting is another during a run, and afterwards what it was."""
    libc = ctypes.CDLL(None)
    upward = UPWARD[platform.machine()]
    add = Expected("fadd d0, d1, d2", 0x1E62_2820, (ONE, HALF - (60 << 52)), ONE, IXC)
    before = libc.fegetround()
    assert libc.fesetround(upward) == 0
    try:
        test_result_and_flags(tested, add, IXC)
        assert libc.fegetround() == upward
    finally:
        libc.fesetround(before)
