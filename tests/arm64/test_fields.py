"""Every register layout is consistent, and encode() is the inverse of decode()."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.arm64 import registers, sysregs
from guestdbg.arm64.errors import BadField, UnknownName
from guestdbg.arm64.esr import ESR
from guestdbg.arm64.fields import Field, Register

every_register = st.sampled_from(sorted(registers.REGISTERS.values(), key=lambda r: r.name))
values = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 63).map(lambda b: 1 << b),
)


@given(every_register, values)
def test_decode_and_encode_are_inverse(register: Register, value: int) -> None:
    fields = register.decode(value)
    assert register.encode(base=register.unnamed(value), **fields) == value


@given(every_register, values, st.data())
def test_encode_sets_the_given_field_and_nothing_else(
    register: Register, value: int, data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(register.layout(value)))
    chosen = data.draw(st.integers(0, (1 << field.width) - 1))
    changed = register.encode(base=value, **{field.name: chosen})
    assert field.get(changed) == chosen
    assert (changed ^ value) & ~field.mask == 0


@given(every_register, values)
def test_every_value_has_words(register: Register, value: int) -> None:
    lines = register.describe(value)
    assert all(str(line).startswith(f"{line.field} = ") for line in lines)
    assert register.explain(value) == [str(x) for x in lines if x.value or x.text]
    if register.summary:
        assert register.summary(value)


@pytest.mark.parametrize("name", sorted(registers.REGISTERS))
def test_fields_lie_within_the_register_and_apart(name: str) -> None:
    register = registers.REGISTERS[name]
    for value in (0, 1, 0x10, (1 << 64) - 1, *(ec << 26 for ec in range(64))):
        layout = register.layout(value)
        names = [f.name for f in layout]
        assert len(set(names)) == len(names)
        taken = 0
        for field in layout:
            assert 0 <= field.low <= field.high < register.width
            # ESR_ELx.ISS is a whole whose parts depend on the class.
            if register.name.startswith("ESR") and field.name == "ISS":
                continue
            assert not taken & field.mask, f"{field.name} overlaps another field"
            taken |= field.mask


@pytest.mark.parametrize("name", sorted(registers.REGISTERS))
def test_registers_with_system_names_are_in_the_table(name: str) -> None:
    plain = {"PSTATE", "DBGBCR", "DBGBVR", "DBGBVR_CONTEXT", "DBGWCR", "DBGWVR", "ESR_EL3"}
    assert name in plain or name in sysregs.SYSREGS


def test_a_field_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadField, match=r"EC = 0x40 does not fit bits \[31:26\]: 0 to 0x3f do"):
        ESR.encode(EC=0x40)
    with pytest.raises(BadField, match="does not fit"):
        Field("X", 3, 0).put(-1)
    with pytest.raises(BadField, match="64 bits"):
        ESR.decode(1 << 64)


def test_wrong_names_give_near_matches() -> None:
    with pytest.raises(UnknownName, match="MDSCR_EL1"):
        registers.by_name("mdsrc_el1")
    with pytest.raises(UnknownName, match=r"did you mean .*MDE"):
        registers.MDSCR_EL1.encode(MED=1)
    with pytest.raises(UnknownName) as caught:
        registers.by_name("nothing like it")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("esr_el2", "ESR_EL2"),
        ("hsr", "ESR_EL2"),
        ("Mdscr", "MDSCR_EL1"),
        ("dbgbcr", "DBGBCR"),
        ("DBGWVR15_EL1", "DBGWVR"),
        ("dbgwcr0", "DBGWCR"),
        ("DBGBCRn_EL1", "DBGBCR"),
        ("spsr", "SPSR_EL1"),
        ("id_aa64dfr0_el1", "ID_AA64DFR0_EL1"),
    ],
)
def test_names_are_understood_as_people_write_them(said: str, meant: str) -> None:
    assert registers.by_name(said).name == meant


def test_explanations_are_readable() -> None:
    assert ESR.explain(0xC2000022)[0] == (
        "EC = 0x30: Breakpoint exception from a lower Exception level"
    )
    dfr0 = registers.ID_AA64DFR0_EL1
    assert dfr0.summary is not None
    assert dfr0.summary(0x10305006) == (
        "Armv8 debug: 6 breakpoints (2 context-aware), 4 watchpoints"
    )
    assert "BAS = 0xf0: bytes 4 to 7 of the doubleword" in registers.DBGWCR.explain(0x1E17)
    assert "MASK = 8: the low 8 address bits are ignored: a range of 256 bytes" in (
        registers.DBGWCR.explain(0x8001FF7)
    )
    assert "T0SZ = 0x19: 39-bit lower half, up to 0x7fffffffff" in registers.TCR_EL1.explain(25)
    spsr = registers.SPSR_EL1
    assert spsr.summary is not None
    assert spsr.summary(0x3C5) == "EL1h: EL1 with SP_EL1; DAIF masked"
    assert spsr.summary(0x10) == "AArch32 User mode; nothing masked"
    par = registers.PAR_EL1
    assert "FST = 6: translation fault, level 2" in par.explain(0x80D)
    assert "PA = 0x40080: physical page 0x40080000" in par.explain(0xFF00_0000_4008_0B80)


def test_res1_bits_are_where_encode_begins() -> None:
    assert registers.SCTLR_EL1.encode(M=1) == 0x30D00801
    assert registers.MPIDR_EL1.encode(Aff0=2) == 0x80000002
