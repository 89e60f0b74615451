"""The option ``cpu=`` of the software provider, and ``lse=``, its predecessor."""

from __future__ import annotations

from typing import Any

import pytest

import guestdbg
from guestdbg.arm64.cpu_models import CPU_MODELS
from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.identification import identification
from guestdbg.cpu.processor import PhysicalMemory, Processor
from guestdbg.kvm import KvmError, SupportsCpuModel, open_kvm

from .support import RAM, Guest

LDADD = 0xB8210002  # ldadd w1, w2, [x0]


def decodes_ldadd(guest: Guest) -> bool:
    return guest.vcpu.cpu.decodes(LDADD.to_bytes(4, "little")) != b"\0"


def test_the_default_is_all_that_is_implemented() -> None:
    kvm = open_kvm("soft")
    assert isinstance(kvm, SupportsCpuModel)
    assert kvm.cpu is CPU_MODELS["max"]
    assert repr(kvm) == "<SoftKvm cpu=max linux=6.14 clock=virtual>"


@pytest.mark.parametrize(
    ("cpu", "has_lse"),
    [("cortex-a57", False), ("cortex-a57,lse", True), (["FEAT_LSE"], True), ("max", True)],
)
def test_the_processor_has_these_features_and_no_others(cpu: Any, has_lse: bool) -> None:
    guest = Guest(cpu=cpu, vcpus=2)
    for vcpu in guest.vcpus:
        for name, value in guest.kvm.cpu.id_registers.items():
            assert vcpu.cpu.get_sysreg(SYSREGS[name].encoding) == value
    assert decodes_ldadd(guest) == has_lse


def test_a_bare_processor_is_armv8_0_with_crc32() -> None:
    bare = Processor(PhysicalMemory())
    for encoding, value in identification("cortex-a57").items():
        if encoding != SYSREGS["ID_AA64ISAR0_EL1"].encoding:
            assert bare.get_sysreg(encoding) == value
    assert bare.get_sysreg(SYSREGS["ID_AA64ISAR0_EL1"].encoding) == 1 << 16


def test_identification_of_registers_that_do_not_exist() -> None:
    with pytest.raises(KeyError, match="no system register"):
        Processor(PhysicalMemory(), identification={3 << 14 | 0x7FF: 1})


@pytest.mark.parametrize(("lse", "cpu"), [(True, "cortex-a57,lse"), (False, "cortex-a57")])
def test_lse_is_deprecated(lse: bool, cpu: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"lse={lse} is now cpu='{cpu}'") as warned:
        guest = Guest(lse=lse)
    assert warned[0].filename == Guest.__init__.__code__.co_filename
    assert guest.kvm.cpu.name == cpu
    assert decodes_ldadd(guest) == lse
    with pytest.raises(KvmError, match="use cpu="):
        open_kvm("soft", lse=lse, cpu="armv8.2")


def test_no_processor() -> None:
    with pytest.raises(ValueError, match="'cortex-a75'; did you mean cortex-a72"):
        open_kvm("soft", cpu="cortex-a75")
    with pytest.raises(ValueError, match=r"FEAT_PAN2 .* without FEAT_PAN"):
        open_kvm("auto", cpu="pan2")
    with pytest.raises(ValueError, match="'fp61'; did you mean fp16"):
        guestdbg.load(b"\0" * 64, kind="raw", address=0x4000_0000, cpu="fp61")


def test_not_of_the_host() -> None:
    with pytest.raises(KvmError, match=r"no options .cpu.: its processors are the machine's own"):
        open_kvm("host", cpu="max")


def test_the_log_names_the_extension_and_the_processor_that_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once each."""
    ldg, rndr = 0xD9600020, 0xD53B2400
    guest = Guest(ldg, cpu="cortex-a57")
    for word in (ldg, LDADD, LDADD, rndr, 0):
        guest.place(guest.pc, word)
        guest.run(1)
        guest.pc = RAM
    assert [record.getMessage() for record in caplog.records if "cpu" in record.getMessage()] == [
        "LSE: LDADD (this processor, cortex-a57, has no FEAT_LSE; cpu='max' has it): instruction "
        f"{LDADD:#010x} at pc {RAM:#x} is not implemented; UNDEFINED to the guest"
    ]
    assert any(it.startswith(f"MTE: LDG: instruction {ldg:#010x}") for it in caplog.messages)
    assert any(it.startswith("RNG: MRS RNDR: ") for it in caplog.messages)
    assert len(caplog.messages) == 3
