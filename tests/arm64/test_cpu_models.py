"""Processor models against the reference manuals of the processors, and lists of features."""

from __future__ import annotations

import pytest

from guestdbg.arm64.cpu_models import CPU_MODELS, DEFAULT_CPU, CpuModel, cpu_model
from guestdbg.arm64.errors import UnknownName
from guestdbg.arm64.features import FEATURES, ContradictingFeatures, check_features, features_of

#: What guestdbg's processor lacks or adds beside features: ID_AA64PFR0_EL1 EL0 to EL3 (no AArch32,
#: no EL3) and GIC; ID_AA64MMFR0_EL1 BigEnd, SNSMem, TGran16.
OTHER = {"ID_AA64PFR0_EL1": 0x0F00_FFFF, "ID_AA64MMFR0_EL1": 0xF0_FF00}


@pytest.mark.parametrize(
    ("name", "manual"),
    [
        (
            "cortex-a57",  # DDI 0488, 4.2, with the Cryptography engine
            {
                "MIDR_EL1": 0x411F_D070,
                "REVIDR_EL1": 0,
                "ID_AA64PFR0_EL1": 0x0100_2222,
                "ID_AA64PFR1_EL1": 0,
                "ID_AA64ISAR0_EL1": 0x0001_1120,
                "ID_AA64ISAR1_EL1": 0,
                "ID_AA64MMFR0_EL1": 0x1124,
                "ID_AA64MMFR1_EL1": 0,
                "ID_AA64MMFR2_EL1": 0,
            },
        ),
        (
            "cortex-a72",  # 100095, 4.2, with the Cryptography engine
            {
                "MIDR_EL1": 0x410F_D083,
                "REVIDR_EL1": 0,
                "ID_AA64PFR0_EL1": 0x0100_2222,
                "ID_AA64PFR1_EL1": 0,
                "ID_AA64ISAR0_EL1": 0x0001_1120,
                "ID_AA64ISAR1_EL1": 0,
                "ID_AA64MMFR0_EL1": 0x1124,
                "ID_AA64MMFR1_EL1": 0,
                "ID_AA64MMFR2_EL1": 0,
            },
        ),
    ],
)
def test_the_registers_of_a_real_processor(name: str, manual: dict[str, int]) -> None:
    ours = CPU_MODELS[name].id_registers
    assert ours.keys() == manual.keys()
    for register, value in manual.items():
        others = ~OTHER.get(register, 0)
        assert ours[register] & others == value & others, register


def test_armv8_2_has_the_instructions_of_a_neoverse_n1() -> None:
    """100616, 2.7: the same instructions. HPDS2, VHE, hardware flags, IESB are not there."""
    ours = CPU_MODELS["armv8.2"].id_registers
    assert ours["ID_AA64ISAR0_EL1"] == 0x0000_1000_1021_1120
    assert ours["ID_AA64ISAR1_EL1"] == 0x0000_0000_0010_0001
    assert ours["ID_AA64PFR1_EL1"] == 0x20
    assert ours["ID_AA64PFR0_EL1"] & ~OTHER["ID_AA64PFR0_EL1"] == 0x1100_0000_1011_0000
    assert ours["ID_AA64MMFR1_EL1"] == 0x1021_2122 - 0x1122
    assert ours["ID_AA64MMFR2_EL1"] == 0x1011 - 0x1000


def test_max_has_every_feature_of_the_table_but_one_of_the_two_algorithms() -> None:
    assert CPU_MODELS["max"].features == FEATURES.keys() - {"FEAT_PACQARMA5"}
    assert DEFAULT_CPU == "max"


@pytest.mark.parametrize("model", CPU_MODELS.values(), ids=str)
def test_a_model_is_consistent_and_says_what_it_is(model: CpuModel) -> None:
    check_features(model.features)
    assert features_of(model.id_registers) == model.features
    assert {*model.feature_names} == model.features
    assert (
        cpu_model(model.name) is model is cpu_model(model.name.upper()) is cpu_model([model.name])
    )


def test_features_beside_a_model() -> None:
    one = cpu_model("cortex-a57,lse")
    assert (one.name, one.midr) == ("cortex-a57,lse", 0x411F_D070)
    assert one.features == CPU_MODELS["cortex-a57"].features | {"FEAT_LSE"}
    assert one.id_registers["ID_AA64ISAR0_EL1"] == 0x21_1120
    assert cpu_model(["FEAT_LSE", "Cortex-A57"]) == one


def test_features_alone_are_added_to_armv8_0() -> None:
    one = cpu_model(("fp16", "FEAT_FHM"))
    assert one.name == "fp16,fhm"
    assert one.features == {"FEAT_FP", "FEAT_AdvSIMD", "FEAT_FP16", "FEAT_FHM"}
    assert one.midr >> 24 == 0  # reserved for software use
    assert cpu_model(one.name) == one
    assert cpu_model([]).features == {"FEAT_FP", "FEAT_AdvSIMD"}


def test_the_algorithm_of_pointer_authentication() -> None:
    apa, api, gpa, gpi = 1 << 4, 1 << 8, 1 << 24, 1 << 28
    assert cpu_model("pauth").id_registers["ID_AA64ISAR1_EL1"] == apa | gpa
    assert cpu_model("pacimp").id_registers["ID_AA64ISAR1_EL1"] == api | gpi
    default = cpu_model("max")
    assert default.id_registers["ID_AA64ISAR1_EL1"] & (apa | gpa | api | gpi) == api | gpi
    instead = cpu_model("max,pacqarma5")
    assert instead.id_registers["ID_AA64ISAR1_EL1"] & (apa | gpa | api | gpi) == apa | gpa
    with pytest.raises(ContradictingFeatures, match="FEAT_PACIMP and FEAT_PACQARMA5"):
        cpu_model("pacimp,pacqarma5")


@pytest.mark.parametrize(
    ("cpu", "error", "message"),
    [
        ("cortex-a75", UnknownName, "no model or feature .* 'cortex-a75'; did you mean cortex-a7"),
        ("max,lsee", UnknownName, "no feature of the processor is called 'lsee'; did you mean lse"),
        ("", UnknownName, "no model or feature of the processor is called ''"),
        ("lse,", UnknownName, "no feature of the processor is called ''"),
        ("fhm", ContradictingFeatures, "FEAT_FHM .* without FEAT_FP16"),
        ("max,armv8.2", ContradictingFeatures, "max and armv8.2: one model"),
        (["lse", 3], TypeError, "names .* are strings"),
    ],
)
def test_what_is_no_processor(cpu: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cpu_model(cpu)
