"""Registers and system instructions of extensions: access, traps, values; and without them."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from guestdbg.arm64.sysregs import SYSREGS
from tests.cpu.extensions import FIELDS, HCR_APK, SYSTEM, give, take
from tests.cpu.system_support import (
    DONE,
    EL0T,
    EL1H,
    IL,
    UNDEFINED,
    VECTORS,
    One,
    Outcome,
    enc,
    mrs,
    msr,
    msr_imm,
    syndrome,
    sys,
)

ONES = (1 << 64) - 1
TERR = 1 << 36
PAN, UAO, DIT, SSBS = 1 << 22, 1 << 23, 1 << 24, 1 << 12
KEYS = [n for n in SYSREGS if n.startswith("AP") and n.endswith(("KEYLO_EL1", "KEYHI_EL1"))]
ERX = ("ERXCTLR_EL1", "ERXSTATUS_EL1", "ERXADDR_EL1", "ERXMISC0_EL1", "ERXMISC1_EL1")

#: feature: register, readable and writable at EL1, at EL0, the bits that are kept.
REGISTERS = [
    ("PAN", "PAN", "rw", "", PAN),
    ("UAO", "UAO", "rw", "", UAO),
    ("DIT", "DIT", "rw", "rw", DIT),
    ("SSBS2", "SSBS", "rw", "rw", SSBS),
    *[("QARMA5", name, "rw", "", ONES) for name in KEYS],
    *[("PACIMP", name, "rw", "", ONES) for name in KEYS],
    *[("PACGA_IMP", name, "rw", "", ONES) for name in KEYS],
    ("RAS", "ERRIDR_EL1", "r", "", 0),
    ("RAS", "ERXFR_EL1", "r", "", 0),
    ("RAS", "ERRSELR_EL1", "rw", "", 0),
    *[("RAS", name, "rw", "", 0) for name in ERX],
    ("RAS", "DISR_EL1", "rw", "", 1 << 31 | 0x1FF_FFFF),
]


@pytest.fixture
def one() -> One:
    it = One()
    it.p.hcr_el2 = 1 << 31 | HCR_APK
    return it


@pytest.mark.parametrize(("feature", "name", "at_el1", "at_el0", "kept"), REGISTERS)
def test_access(one: One, feature: str, name: str, at_el1: str, at_el0: str, kept: int) -> None:
    for word in (mrs(3, name), msr(name, 3)):
        for el in (0, 1):
            assert one.execute(word, el=el) == UNDEFINED
    assert enc(name) not in one.p.sysregs()
    give(one.p, feature)
    assert enc(name) in one.p.sysregs()
    for el, allowed in ((1, at_el1), (0, at_el0)):
        for value in (ONES, 0x5A5A_5A5A_A5A5_A5A5, 0):
            one.p.set_x(3, value)
            assert one.execute(msr(name, 3), el=el) == (DONE if "w" in allowed else UNDEFINED)
            pstate = one.p.pstate
            one.p.set_x(4, 0x77)
            # after an exception it would be at EL1; a change of EL here would change the field
            again = None if "w" in allowed else el
            assert one.execute(mrs(4, name), el=again) == (DONE if "r" in allowed else UNDEFINED)
            if "r" in allowed:
                assert one.p.get_x(4) == value & kept == one.get(name)
            if name in FIELDS and "w" in allowed:
                assert pstate == (EL1H if el else EL0T) | value & kept
    take(one.p, feature)
    assert one.execute(mrs(3, name), el=1) == UNDEFINED
    assert enc(name) not in one.p.sysregs()


@pytest.mark.parametrize("name", ["ERRIDR_EL1", "ERXFR_EL1", "ERRSELR_EL1", *ERX])
def test_error_records_are_trapped_by_terr(one: One, name: str) -> None:
    give(one.p, "RAS")
    one.p.hcr_el2 = 1 << 31 | TERR
    words = [mrs(5, name)] + [msr(name, 5)] * (name not in ("ERRIDR_EL1", "ERXFR_EL1"))
    for word in words:
        assert one.execute(word, el=1) == Outcome("el2", syndrome(word))
        assert one.execute(word, el=0) == UNDEFINED


# PSTATE fields by MSR (immediate): op1, op2.
IMMEDIATES = {"PAN": (0, 4), "UAO": (0, 3), "DIT": (3, 2), "SSBS2": (3, 1)}
BITS = {"PAN": PAN, "UAO": UAO, "DIT": DIT, "SSBS2": SSBS}


@pytest.mark.parametrize("feature", IMMEDIATES)
def test_msr_immediate(one: One, feature: str) -> None:
    op1, op2 = IMMEDIATES[feature]
    assert one.execute(msr_imm(op1, op2, 1), el=1) == UNDEFINED
    give(one.p, feature)
    for el in (1, 0):
        for imm in (1, 0, 15, 14):
            want = UNDEFINED if el == 0 and feature in ("PAN", "UAO") else DONE
            assert one.execute(msr_imm(op1, op2, imm), el=el) == want
            if want == DONE:
                assert one.p.pstate == (EL1H if el else EL0T) | (BITS[feature] if imm & 1 else 0)
        if el == 1:
            one.p.pstate = EL1H | BITS[feature]
            assert one.execute(msr_imm(op1, op2, 0)) == DONE
            assert one.p.pstate == EL1H


def test_ssbs1_has_the_bit_but_no_register(one: One) -> None:
    give(one.p, "SSBS")
    assert one.execute(mrs(1, "SSBS"), el=1) == UNDEFINED
    assert one.execute(msr_imm(3, 1, 1), el=1) == UNDEFINED
    one.p.pstate = EL1H | SSBS
    assert one.p.pstate == EL1H | SSBS


def test_every_field_at_an_exception(one: One) -> None:
    """AArch64.TakeException; DIT stays (QEMU 7.2 clears it)."""
    give(one.p, *SYSTEM)
    svc = 0xD400_0001
    for span in (0, 1 << 23):
        for dssbs in (0, 1 << 44):
            for before in (0, PAN, UAO, DIT, SSBS, 3 << 10, PAN | UAO | DIT | SSBS):
                for el in (EL0T, EL1H):
                    one.set("SCTLR_EL1", span | dssbs)
                    one.store32(VECTORS + (0x200 if el == EL1H else 0x400), [0x1400_0000])
                    one.p.pstate = el | before
                    assert one.execute(svc).where == "el1"
                    assert one.get("SPSR_EL1") == el | before
                    after = before & (PAN | DIT) | (0 if span else PAN) | (SSBS if dssbs else 0)
                    assert one.p.pstate == EL1H | after


def test_an_illegal_return_restores_pan_and_nothing_else(one: One) -> None:
    give(one.p, *SYSTEM)
    one.set("ELR_EL1", 0x4000_0004)
    for spsr_bits, before, after in (
        (PAN, 0, PAN),
        (0, PAN, 0),
        (UAO | DIT | SSBS, 0, 0),
        (0, UAO | DIT | SSBS, UAO | DIT | SSBS),
    ):
        one.p.pstate = EL1H | before
        one.set("SPSR_EL1", 0x3C9 | spsr_bits)  # EL2h
        one.execute(0xD69F_03E0)
        assert one.p.pstate == EL1H | 1 << 20 | after


SCTLR_FIELDS = [
    ("QARMA5", 1 << 13 | 1 << 27 | 1 << 30 | 1 << 31),
    ("BTI", 3 << 35),
    ("SSBS", 1 << 44),
    ("SSBS2", 1 << 44),
]
TCR_FIELDS = [("HPDS", 3 << 41), ("QARMA5", 3 << 51), ("PACIMP", 3 << 51)]


@pytest.mark.parametrize(
    ("name", "feature", "bits"),
    [("SCTLR_EL1", *it) for it in SCTLR_FIELDS]
    + [("TCR_EL1", *it) for it in TCR_FIELDS]
    + [("TTBR0_EL1", "TTCNP", 1), ("TTBR1_EL1", "TTCNP", 1)],
)
def test_bits_of_control_registers(one: One, name: str, feature: str, bits: int) -> None:
    value = ONES & ~1 | (bits & 1)
    one.set(name, value)
    without = one.get(name)
    assert without & bits == 0
    give(one.p, feature)
    one.p.set_x(1, value)
    assert one.execute(msr(name, 1), el=1) == DONE
    assert one.get(name) == without | bits
    take(one.p, feature)
    if name != "TTBR0_EL1" and name != "TTBR1_EL1":
        assert one.get(name) == without


# ---- system instructions ------------------------------------------------------------------------

CVAP, CVADP = (3, 7, 12, 1), (3, 7, 13, 1)


@pytest.mark.parametrize(("feature", "which"), [("DPB", CVAP), ("DPB2", CVAP), ("DPB2", CVADP)])
def test_clean_to_the_point_of_persistence(one: One, feature: str, which: tuple[int, ...]) -> None:
    """As DC CVAC: SCTLR_EL1.UCI allows it at EL0, HCR_EL2.TPCP traps it."""
    word = sys(*which, rt=2)
    one.p.set_x(2, 0x4000_0000)
    assert one.execute(word, el=1) == UNDEFINED
    give(one.p, feature)
    assert one.execute(word, el=1) == DONE
    assert one.execute(word, el=0) == Outcome("el1", syndrome(word))
    one.set("SCTLR_EL1", 1 << 26)
    assert one.execute(word, el=0) == DONE
    one.p.hcr_el2 = 1 << 31 | 1 << 23
    for el in (0, 1):
        assert one.execute(word, el=el) == Outcome("el2", syndrome(word))


def test_clean_to_deep_persistence_needs_dpb2(one: One) -> None:
    give(one.p, "DPB")
    assert one.execute(sys(*CVADP, rt=2), el=1) == UNDEFINED


def test_sb(one: One) -> None:
    assert one.execute(0xD503_30FF, el=0) == UNDEFINED
    give(one.p, "SB")
    for el in (0, 1):
        assert one.execute(0xD503_30FF, el=el) == DONE
    assert one.execute(0xD503_31FF, el=1) == UNDEFINED  # CRm is 0


def test_at_with_pan_needs_pan2(one: One) -> None:
    for op2 in (0, 1):
        word = sys(0, 7, 9, op2, rt=2)
        take(one.p, "PAN")
        assert one.execute(word, el=1) == UNDEFINED
        give(one.p, "PAN")
        assert one.execute(word, el=1) == UNDEFINED
        give(one.p, "PAN2")
        assert one.execute(word, el=1) == DONE
        assert one.execute(word, el=0) == UNDEFINED


def test_esb(one: One) -> None:
    """A masked virtual SError goes to the virtual DISR_EL1; without HCR_EL2.AMO there is none."""
    esb, vse, amo = 0xD503_221F, 1 << 8, 1 << 5
    one.p.hcr_el2 = 1 << 31 | amo | vse
    assert one.execute(esb, el=1) == DONE
    assert one.p.hcr_el2 & vse  # a hint without RAS
    give(one.p, "RAS")
    one.set("VSESR_EL2", 0x12_3456)
    for hcr, pstate, deferred in (
        (amo | vse, EL1H, True),
        (amo, EL1H, False),
        (vse, EL1H, False),
        (amo | vse, EL0T, True),
    ):
        one.p.hcr_el2 = 1 << 31 | hcr
        one.set("VDISR_EL2", 0)
        one.set("DISR_EL1", 0)
        one.p.pstate = pstate
        assert one.execute(esb) == DONE
        assert bool(one.p.hcr_el2 & vse) == (bool(hcr & vse) and not deferred)
        assert one.get("VDISR_EL2") == (1 << 31 | 0x12_3456 if deferred else 0)
        one.p.hcr_el2 = 1 << 31
        assert one.get("DISR_EL1") == 0
    # not masked: taken, with the syndrome
    one.p.hcr_el2 = 1 << 31 | amo | vse
    one.set("VDISR_EL2", 0)
    one.p.pstate = EL1H & ~(1 << 8)
    one.store32(0x4000_0000, [esb])
    one.p.pc = 0x4000_0000
    one.p.run(one.p.instructions + 1)
    assert one.get("ESR_EL1") == 0x2F << 26 | IL | 0x12_3456
    assert one.get("VDISR_EL2") == 0
