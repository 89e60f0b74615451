"""ID registers as a guest sees them: what KVM hides, per kernel version."""

from __future__ import annotations

import pytest

from guestdbg.arm64 import idregs
from guestdbg.arm64.fields import Register
from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitDebug, KvmError, VcpuInit
from guestdbg.kvm.soft.registers.id_regs import has_ptrauth, sanitised_id_reg

from .support import STEP, Guest

ALL_ONES = (1 << 64) - 1
A57, A72, SOFTWARE = 0x411F_D070, 0x410F_D083, 0x000F_0470


def seen(guest: Guest, register: Register, value: int) -> int:
    encoding = SYSREGS[register.name].encoding
    return sanitised_id_reg(guest.vcpu, encoding, value)


def hidden(guest: Guest, register: Register) -> set[str]:
    """The fields of a register full of ones that a guest sees as 0."""
    value = seen(guest, register, ALL_ONES)
    return {it.name for it in register.fields if not it.get(value)}


PTRAUTH = {"APA", "API", "GPA", "GPI"}


@pytest.mark.parametrize(
    ("linux", "register", "fields"),
    [
        ("6.1", idregs.ID_AA64PFR0_EL1, {"SVE", "AMU", "GIC"}),
        ("6.14", idregs.ID_AA64PFR0_EL1, {"SVE", "AMU", "MPAM", "GIC"}),
        ("6.1", idregs.ID_AA64PFR1_EL1, {"MTE", "SME"}),
        (
            "6.14",
            idregs.ID_AA64PFR1_EL1,
            {"MTE", "SME", "RNDR_trap", "NMI", "MTE_frac", "GCS", "THE", "MTEX", "DF2", "PFAR"}
            | {"MPAM_frac"},
        ),
        ("6.1", idregs.ID_AA64DFR0_EL1, {"PMSVer", "PMUVer"}),
        ("6.14", idregs.ID_AA64DFR0_EL1, {"PMSVer", "PMUVer", "BRBE"}),
        ("6.1", idregs.ID_AA64ISAR0_EL1, set()),
        ("6.14", idregs.ID_AA64ISAR0_EL1, set()),
        ("6.1", idregs.ID_AA64ISAR1_EL1, PTRAUTH),
        ("6.14", idregs.ID_AA64ISAR1_EL1, PTRAUTH),
        ("6.1", idregs.ID_AA64ISAR2_EL1, {"APA3", "GPA3"}),
        ("6.14", idregs.ID_AA64ISAR2_EL1, {"APA3", "GPA3"}),
        ("6.1", idregs.ID_AA64MMFR1_EL1, set()),
        ("6.14", idregs.ID_AA64MMFR1_EL1, set()),
        ("6.1", idregs.ID_AA64MMFR2_EL1, set()),
        ("6.14", idregs.ID_AA64MMFR2_EL1, {"CCIDX", "NV"}),
    ],
    ids=lambda it: it.name if isinstance(it, Register) else "",
)
def test_what_is_hidden(linux: str, register: Register, fields: set[str]) -> None:
    """sys_regs.c of both versions: read_id_reg, __kvm_read_sanitised_id_reg."""
    assert hidden(Guest(linux=linux), register) == fields


@pytest.mark.parametrize(
    ("linux", "processor", "guest"),
    [("6.1", 6, 6), ("6.1", 8, 6), ("6.1", 11, 6)]
    + [("6.14", 6, 6), ("6.14", 8, 8), ("6.14", 10, 10), ("6.14", 11, 10)],
)
def test_the_debug_architecture(linux: str, processor: int, guest: int) -> None:
    """Armv8.0 at most, until 6.13; then Armv8.8."""
    value = 0x1030_5000 | processor
    assert seen(Guest(linux=linux), idregs.ID_AA64DFR0_EL1, value) == 0x1030_5000 | guest


@pytest.mark.parametrize(
    ("midr", "processor", "csv2", "csv3"),
    [
        (A57, (0, 0), 0, 1),  # Meltdown does not affect it, Spectre does
        (A72, (0, 0), 0, 1),
        (SOFTWARE, (0, 0), 0, 0),
        (SOFTWARE, (1, 0), 1, 0),
        (SOFTWARE, (0, 1), 0, 1),
        (SOFTWARE, (2, 1), 1, 1),
    ],
)
def test_csv2_and_csv3(
    linux: str, midr: int, processor: tuple[int, int], csv2: int, csv3: int
) -> None:
    guest = Guest()
    guest.vcpu.cpu.set_sysreg(SYSREGS["MIDR_EL1"].encoding, midr)
    value = 0x111 | processor[0] << 56 | processor[1] << 60
    assert seen(guest, idregs.ID_AA64PFR0_EL1, value) == 0x111 | csv2 << 56 | csv3 << 60


@pytest.mark.parametrize("cpu", ["cortex-a57", "armv8.2", "max"])
def test_the_guest_and_userspace_read_the_same(linux: str, cpu: str) -> None:
    guest = Guest(cpu=cpu)
    ours = guest.kvm.cpu.id_registers
    for name, value in ours.items():
        expected = value
        if name == "ID_AA64ISAR1_EL1":
            expected &= ~0xFF00_0FF0
        if name == "ID_AA64PFR0_EL1" and cpu == "cortex-a57":
            expected |= 1 << 60
        assert guest.reg(name) == expected, name
        guest.place(guest.pc, asm.mrs(2, name))
        guest.debug(STEP)
        assert isinstance(guest.run(), ExitDebug)
        assert guest.x(2) == expected, name


def test_one_reg_accepts_what_it_returned(linux: str) -> None:
    guest = Guest()
    for name in guest.kvm.cpu.id_registers:
        guest.set_reg(name, guest.reg(name))
        with pytest.raises(KvmError, match="cannot be changed"):
            guest.set_reg(name, guest.reg(name) ^ 1)


def test_pointer_authentication_needs_both_features() -> None:
    guest = Guest()
    for features, has in ((0, False), (1 << 5, False), (1 << 6, False), (3 << 5, True)):
        guest.vcpu.initialised_with = VcpuInit(5, (features, 0, 0, 0, 0, 0, 0))
        assert has_ptrauth(guest.vcpu) == has
        fields = hidden(guest, idregs.ID_AA64ISAR1_EL1)
        assert fields == (set() if has else PTRAUTH)
