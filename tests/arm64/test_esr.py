"""ESR_ELx: every class, its typed syndrome, and real values that real kernels reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.arm64 import esr, faults, iss
from guestdbg.arm64.errors import BadField
from guestdbg.arm64.esr import EC, Syndrome


@given(st.integers(0, (1 << 56) - 1))
def test_syndromes_encode_and_decode(value: int) -> None:
    assert Syndrome.decode(value).encode() == value


@given(st.integers(0, 63), st.integers(0, (1 << 25) - 1))
def test_typed_syndromes_keep_every_bit_that_has_a_name(ec: int, bits: int) -> None:
    kind = esr.iss_type(ec)
    named = 0
    for field in kind.LAYOUT:
        named |= field.mask
    details = kind.decode(bits)
    assert details.encode() == bits & named
    assert kind.decode(details.encode()) == details
    # The register's own view and the typed one agree.
    value = ec << 26 | bits
    decoded = esr.ESR.decode(value)
    for field in kind.LAYOUT:
        assert decoded[field.name] == field.get(bits)


@pytest.mark.parametrize("ec", list(EC))
def test_every_class_has_words_and_a_syndrome(ec: EC) -> None:
    assert esr.class_words(ec) != "reserved exception class"
    made = Syndrome.of(ec, esr.iss_type(ec)())
    assert made.name == ec.name
    assert Syndrome.decode(made.encode()) == made
    assert esr.ESR.explain(made.encode())[0].endswith(esr.class_words(ec))


def test_reserved_classes_are_described_so() -> None:
    reserved = Syndrome.decode(0x3F << 26)
    assert str(reserved) == "reserved exception class"
    assert reserved.name == "EC_0x3f"
    assert type(reserved.details) is iss.Iss


def test_the_exits_of_a_real_kernel() -> None:
    breakpoint_hit = Syndrome.decode(0xC2000022)
    assert breakpoint_hit.ec == EC.BREAKPT_LOW
    assert isinstance(breakpoint_hit.details, iss.BreakpointIss)
    assert breakpoint_hit.details.ifsc == faults.DEBUG

    step = Syndrome.decode(0xCB000022)
    assert step.ec == EC.SOFTSTP_LOW
    assert isinstance(step.details, iss.SoftwareStepIss)
    assert (step.details.isv, step.details.ex) == (1, 0)

    store, load = Syndrome.decode(0xD2000062), Syndrome.decode(0xD2000022)
    assert isinstance(store.details, iss.WatchpointIss)
    assert isinstance(load.details, iss.WatchpointIss)
    assert store.is_watchpoint
    assert (store.details.wnr, load.details.wnr) == (1, 0)

    brk = Syndrome.decode(0xF2000123)
    assert isinstance(brk.details, iss.BrkIss)
    assert brk.details.comment == 0x123
    assert all(s.is_debug for s in (breakpoint_hit, step, store, load, brk))


def test_putting_the_same_values_together() -> None:
    assert Syndrome.of(EC.BREAKPT_LOW, iss.BreakpointIss()).encode() == 0xC2000022
    assert Syndrome.of(EC.SOFTSTP_LOW, iss.SoftwareStepIss(isv=1)).encode() == 0xCB000022
    assert Syndrome.of(EC.WATCHPT_LOW, iss.WatchpointIss(wnr=1)).encode() == 0xD2000062
    assert Syndrome.of(EC.BRK64, iss.BrkIss(0x123)).encode() == 0xF2000123
    with pytest.raises(BadField, match="Comment"):
        Syndrome.of(EC.BRK64, iss.BrkIss(0x10000))


def test_trapped_accesses_name_their_register() -> None:
    # MRS X3, MDSCR_EL1 trapped: op0 2, op1 0, CRn 0, CRm 2, op2 2.
    access = iss.SystemAccessIss(op0=2, op2=2, crm=2, rt=3, direction=1)
    assert access.is_read
    assert access.register == "MDSCR_EL1"
    value = Syndrome.of(EC.SYS64, access).encode()
    assert esr.ESR.summary is not None
    assert esr.ESR.summary(value).endswith("read of MDSCR_EL1, register X3")
    lock = iss.SystemAccessIss(op0=2, op2=4, crn=1, crm=0)
    assert lock.register == "OSLAR_EL1"
    assert iss.SystemAccessIss(op0=3, crn=15, crm=9, op2=7).register == "S3_0_C15_C9_7"


def test_data_aborts() -> None:
    # A 64-bit store of X0 that missed stage 2, as KVM decodes MMIO from.
    abort = Syndrome.decode(0x93C08047).details
    assert isinstance(abort, iss.DataAbortIss)
    assert (abort.isv, abort.sas, abort.srt, abort.sf, abort.wnr) == (1, 3, 0, 1, 1)
    assert abort.size == 8
    assert abort.dfsc == faults.status_code(faults.FaultKind.TRANSLATION, 3)
    assert iss.DataAbortIss.decode(0x47).size is None


@given(st.integers(0, 63))
def test_status_codes_give_their_kind_and_level(code: int) -> None:
    assert faults.status_words(code)
    known = faults.status_kind(code)
    if known is not None:
        kind, level = known
        assert faults.status_code(kind, 0 if level is None else level) == code


def test_levels_that_a_fault_does_not_have() -> None:
    with pytest.raises(ValueError, match="no lookup level 4"):
        faults.status_code(faults.FaultKind.TRANSLATION, 4)
    with pytest.raises(ValueError, match="no lookup level -1"):
        faults.status_code(faults.FaultKind.PERMISSION, -1)
    assert faults.status_code(faults.FaultKind.TRANSLATION, -1) == 0x2B
