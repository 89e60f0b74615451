"""What KVM_CHECK_EXTENSION answers, and the provider's options."""

import pytest

from guestdbg.kvm import KvmError, open_kvm
from guestdbg.kvm.constants import (
    KVM_CAP_ARM_EL1_32BIT,
    KVM_CAP_GUEST_DEBUG_HW_BPS,
    KVM_CAP_GUEST_DEBUG_HW_WPS,
    KVM_CAP_SET_GUEST_DEBUG,
    KVM_CAP_SET_GUEST_DEBUG2,
)

from .support import Guest


@pytest.mark.parametrize(("cap", "answer"), [(23, 1), (119, 6), (120, 4), (195, 0x30003)])
def test_capabilities_23_119_120_195(cap: int, answer: int) -> None:
    """As on a real kernel: KVM_CHECK_EXTENSION 23 / 119 / 120 / 195 -> 1 / 6 / 4 / 0x30003."""
    guest = Guest()
    assert guest.kvm.check_extension(cap) == answer
    assert guest.vm.check_extension(cap) == answer


def test_capability_names_have_the_merged_numbers() -> None:
    """The merged ABI has 119 and 120, not the 116 and 117 of an early draft."""
    assert (KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_SET_GUEST_DEBUG2) == (23, 195)
    assert (KVM_CAP_GUEST_DEBUG_HW_BPS, KVM_CAP_GUEST_DEBUG_HW_WPS) == (119, 120)
    kvm = open_kvm("soft")
    assert kvm.check_extension(116) == kvm.check_extension(117) == 0


@pytest.mark.parametrize(("breakpoints", "watchpoints"), [(2, 2), (6, 4), (5, 11), (16, 16)])
def test_register_counts_come_from_id_aa64dfr0(breakpoints: int, watchpoints: int) -> None:
    """BRPs [15:12] + 1 and WRPs [23:20] + 1, on every processor the same."""
    guest = Guest(breakpoints=breakpoints, watchpoints=watchpoints, vcpus=2)
    for vcpu in guest.vcpus:
        guest.vcpu = vcpu
        dfr0 = guest.reg("ID_AA64DFR0_EL1")
        assert (dfr0 >> 12 & 15) + 1 == breakpoints == guest.kvm.check_extension(119)
        assert (dfr0 >> 20 & 15) + 1 == watchpoints == guest.kvm.check_extension(120)


def test_id_aa64dfr0_as_the_guest_sees_it() -> None:
    """As on a real kernel: 0x10305006."""
    assert Guest().reg("ID_AA64DFR0_EL1") == 0x10305006


def test_el1_32bit_is_what_is_true() -> None:
    """KVM_CAP_ARM_EL1_32BIT: EL1 of this processor is AArch64 only, as ID_AA64PFR0_EL1 says."""
    guest = Guest()
    assert guest.kvm.check_extension(KVM_CAP_ARM_EL1_32BIT) == 0
    assert guest.reg("ID_AA64PFR0_EL1") >> 4 & 15 == 1


@pytest.mark.parametrize(("version", "target"), [("6.1", 2), ("6.14", 5)])
def test_preferred_target(version: str, target: int) -> None:
    """As on real kernels: that of a Cortex-A57; since Linux 6.3 the generic one."""
    init = Guest(linux=version, cpu="cortex-a57").vm.preferred_target()
    assert init.target == target
    assert init.features == (0,) * 7


def test_unknown_capabilities_are_zero() -> None:
    kvm = open_kvm("soft")
    assert kvm.api_version() == 12
    assert [kvm.check_extension(cap) for cap in (1, 88, 9999, 1 << 31)] == [0, 0, 0, 0]


def test_options_out_of_range_are_refused() -> None:
    for options in (
        {"breakpoints": 1},
        {"watchpoints": 17},
        {"context_aware": 7},
        {"clock": "sundial"},
        {"colour": "red"},
    ):
        with pytest.raises(KvmError) as refused:
            open_kvm("soft", **options)
        assert refused.value.errno == 22
    with pytest.raises(KvmError, match="soft, host"):
        open_kvm("hyperv")
    with pytest.raises(KvmError) as refused:
        open_kvm("host")
    assert refused.value.errno == 38
