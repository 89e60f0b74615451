"""The table of features: rules between them, and the fields of the ID registers that state them."""

from __future__ import annotations

import itertools

import pytest

from guestdbg.arm64 import idregs
from guestdbg.arm64.errors import UnknownName
from guestdbg.arm64.features import (
    FEATURES,
    ContradictingFeatures,
    check_features,
    feature,
    features_of,
    id_values,
    mandatory_since,
)

V8_0 = {"FEAT_FP", "FEAT_AdvSIMD"}


def with_all_it_needs(name: str) -> set[str]:
    found, new = set(V8_0), {name}
    while new - found:
        found |= new
        new = {other for it in found for other in FEATURES[it].requires}
    return found | ({"FEAT_PACQARMA5"} if name == "FEAT_PAuth" else set())


def test_the_fields_exist_and_have_words_for_each_value() -> None:
    for it in FEATURES.values():
        for register, field, value in it.fields:
            assert getattr(idregs, register).field(field).words(value) != "reserved value", it


def test_the_names_that_a_rule_uses_exist() -> None:
    for it in FEATURES.values():
        assert {*it.requires, *it.excludes} <= set(FEATURES), it


@pytest.mark.parametrize("name", FEATURES)
def test_what_the_registers_state_is_the_set(name: str) -> None:
    """Its own fields and those of what it requires, nothing more; and back."""
    names = with_all_it_needs(name)
    check_features(names)
    values = id_values(names, {})
    assert features_of(values) == names
    without = id_values(names - {name}, {})
    if FEATURES[name].fields:
        assert values != without
        assert name not in features_of(without)


def test_what_is_not_in_the_table_is_kept() -> None:
    base = {"ID_AA64PFR0_EL1": 0x0100_0111, "ID_AA64MMFR0_EL1": 0x1124}
    values = id_values(V8_0, base)
    assert values["ID_AA64PFR0_EL1"] == 0x0100_0111
    assert values["ID_AA64MMFR0_EL1"] == 0x1124
    assert values["ID_AA64ISAR0_EL1"] == 0


def test_floating_point_that_is_absent_is_fifteen() -> None:
    assert id_values((), {})["ID_AA64PFR0_EL1"] == 0xFF_0000
    assert features_of({"ID_AA64PFR0_EL1": 0xFF_0000}) == set()
    assert features_of({"ID_AA64PFR0_EL1": 0x11_0000}) == V8_0 | {"FEAT_FP16"}
    assert features_of({}) == set()


@pytest.mark.parametrize("written", ["FEAT_LSE", "feat_lse", "lse", "LSE", " Lse "])
def test_a_feature_by_any_of_its_names(written: str) -> None:
    assert feature(written) is FEATURES["FEAT_LSE"]


def test_an_unknown_feature_with_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"'dotprd'; did you mean .*DotProd") as refused:
        feature("dotprd")
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("PMULL", "FEAT_PMULL .* without FEAT_AES"),
        ("SHA1", "FEAT_SHA1 .* without FEAT_SHA256"),
        ("SHA256", "FEAT_SHA256 .* without FEAT_SHA1"),
        ("SHA1 SHA256 SHA512", "FEAT_SHA512 .* without FEAT_SHA3"),
        ("SHA1 SHA256 SHA3", "FEAT_SHA3 .* without FEAT_SHA512"),
        ("SHA3 SHA512", "FEAT_SHA3 .* without FEAT_SHA1 and FEAT_SHA256"),
        ("FHM", "FEAT_FHM .* without FEAT_FP16"),
        ("PAN2", "FEAT_PAN2 .* without FEAT_PAN"),
        ("SSBS2", "FEAT_SSBS2 .* without FEAT_SSBS"),
        ("PAuth", "FEAT_PAuth without an algorithm"),
        ("PACIMP", "FEAT_PACIMP .* without FEAT_PAuth"),
        ("PAuth PACIMP PACQARMA5", "FEAT_PACIMP and FEAT_PACQARMA5: a processor has one"),
    ],
)
def test_sets_that_no_processor_has(names: str, message: str) -> None:
    with pytest.raises(ContradictingFeatures, match=message) as refused:
        check_features(V8_0 | {f"FEAT_{it}" for it in names.split()})
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("name", ["RDM", "DotProd", "FP16", "FCMA", "AES", "SHA1"])
def test_without_advanced_simd(name: str) -> None:
    with pytest.raises(ContradictingFeatures, match=r"without .*FEAT_AdvSIMD"):
        check_features(with_all_it_needs(f"FEAT_{name}") - {"FEAT_AdvSIMD", "FEAT_FP"})


def test_mandatory_features_include_those_of_earlier_versions() -> None:
    versions = [mandatory_since((8, n)) for n in range(6)]
    assert versions[0] == V8_0
    assert all(a < b for a, b in itertools.pairwise(versions))
    assert versions[1] - versions[0] == {
        f"FEAT_{it}" for it in ("CRC32", "LSE", "RDM", "LOR", "PAN", "HPDS")
    }
    assert versions[2] - versions[1] == {
        f"FEAT_{it}" for it in ("PAN2", "UAO", "DPB", "RAS", "TTCNP", "XNX")
    }
    for names in versions[:3]:
        check_features(names)
