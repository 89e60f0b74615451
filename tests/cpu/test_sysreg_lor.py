"""The registers of FEAT_LOR (D17.2, LORC_EL1 and others) on a processor without regions."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from .system_support import DONE, UNDEFINED, One, Outcome, mrs, msr, syndrome

ALL = (1 << 64) - 1
TLOR = 1 << 35
REGISTERS = ("LORSA_EL1", "LOREA_EL1", "LORN_EL1", "LORC_EL1", "LORID_EL1")


def one_with(lo: int) -> One:
    one = One()
    one.set("ID_AA64MMFR1_EL1", lo << 16)
    return one


@pytest.mark.parametrize("name", REGISTERS)
def test_they_read_as_zero_and_ignore_writes(name: str) -> None:
    one = one_with(1)
    one.p.set_x(3, ALL)
    assert one.execute(msr(name, 3), el=1) == (UNDEFINED if name == "LORID_EL1" else DONE)
    assert one.execute(mrs(3, name), el=1) == DONE
    assert one.p.get_x(3) == 0
    for word in (mrs(3, name), msr(name, 3)):
        assert one.execute(word, el=0) == UNDEFINED


@pytest.mark.parametrize("name", REGISTERS)
def test_without_the_feature_and_trapped(name: str) -> None:
    assert one_with(0).execute(mrs(3, name), el=1) == UNDEFINED
    one = one_with(1)
    one.p.hcr_el2 |= TLOR
    assert one.execute(mrs(3, name), el=1) == Outcome("el2", syndrome(mrs(3, name)))
