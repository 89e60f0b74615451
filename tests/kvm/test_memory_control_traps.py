"""HCR_EL2.TVM, TSW, TACR and TID3 as Linux uses them, and that a step shows them.

The kernel sees writes of what translation rests on until the guest's MMU and caches are on, from
then on it does not; caches cleaned by set and way make it look again. A stepped instruction that
was trapped and emulated has ISS.ISV 0 in the step's syndrome, one that was executed has 1.
"""

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitDebug

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

from guestdbg.kvm.soft.run import requests

from .support import RAM, STEP, Guest

ISV = 1 << 24
HCR_TVM = 1 << 26
MMU_OFF = 0x30D00800
MEMORY_CONTROLS = [
    *("SCTLR_EL1", "TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "ESR_EL1", "FAR_EL1", "AFSR0_EL1"),
    *("AFSR1_EL1", "MAIR_EL1", "AMAIR_EL1", "CONTEXTIDR_EL1"),
]
#: Of the same kind, and trapped by none of these bits.
OTHERS = ["VBAR_EL1", "TPIDR_EL1", "PAR_EL1", "ELR_EL1", "SPSR_EL1", "CSSELR_EL1", "CPACR_EL1"]
#: A 1 GiB block at 1 GiB, Normal memory (attribute 0): what the code here is in.
TABLE = RAM + 0x20000
BLOCK = RAM | 1 << 10 | 3 << 8 | 1


def steps(guest: Guest, count: int) -> list[bool]:
    """ISS.ISV of so many steps; each is one instruction."""
    guest.debug(STEP)
    seen = []
    for n in range(1, count + 1):
        exit_ = guest.run()
        assert isinstance(exit_, ExitDebug)
        assert exit_.ec == 0x32
        assert guest.pc == RAM + 4 * n
        seen.append(bool(exit_.hsr & ISV))
    return seen


def stepped(*words: int, **registers: int) -> list[bool]:
    guest = Guest(*words)
    for name, value in registers.items():
        guest.set_x(int(name[1:]), value)
    return steps(guest, len(words))


def with_translation(*words: int) -> Guest:
    """A guest that is ready for SCTLR_EL1.M, with x1 = SCTLR for MMU and caches, x2 = MMU alone."""
    guest = Guest(*words)
    guest.memory[0x20008:0x20010] = BLOCK.to_bytes(8, "little")
    guest.set_reg("TTBR0_EL1", TABLE)
    guest.set_reg("MAIR_EL1", 0xFF)
    guest.set_reg("TCR_EL1", 25 | 1 << 23 | 2 << 32)  # 39 bits, no TTBR1, 40 bits of PA
    guest.set_x(1, MMU_OFF | 1 << 2 | 1)
    guest.set_x(2, MMU_OFF | 1)
    guest.set_x(3, MMU_OFF)
    return guest


@pytest.mark.parametrize("name", MEMORY_CONTROLS)
def test_a_write_with_caches_off_is_trapped_and_made(name: str) -> None:
    value = MMU_OFF if name == "SCTLR_EL1" else 0x42000
    guest = Guest(asm.msr(name, 1), asm.mrs(2, name), asm.msr(name, 31))
    guest.set_x(1, value)
    assert steps(guest, 2) == [False, True]
    assert guest.x(2) == guest.reg(name) == value & ~(1 << 12 if name == "SCTLR_EL1" else 0)
    if name != "SCTLR_EL1":
        guest.run()
        assert guest.reg(name) == 0, "from XZR"


@pytest.mark.parametrize("name", OTHERS)
def test_other_registers_are_the_guests(name: str) -> None:
    assert stepped(asm.msr(name, 1), asm.mrs(1, name)) == [True, True]


def test_no_more_once_mmu_and_caches_are_on() -> None:
    """The write that turns them on is the last to be trapped."""
    guest = with_translation(
        asm.msr("CONTEXTIDR_EL1", 31),
        asm.msr("SCTLR_EL1", 1),
        asm.msr("CONTEXTIDR_EL1", 31),
        asm.msr("SCTLR_EL1", 3),
        asm.msr("CONTEXTIDR_EL1", 31),
    )
    assert steps(guest, 5) == [False, False, True, True, True]
    assert guest.reg("SCTLR_EL1") & 5 == 0


def test_the_mmu_without_caches_is_not_enough() -> None:
    guest = with_translation(asm.msr("SCTLR_EL1", 2), asm.msr("FAR_EL1", 31))
    assert steps(guest, 2) == [False, False]


def test_userspace_that_turns_them_on_is_not_noticed_before_a_write() -> None:
    guest = with_translation(asm.msr("FAR_EL1", 31), asm.msr("FAR_EL1", 31))
    guest.set_reg("SCTLR_EL1", MMU_OFF | 5)
    assert steps(guest, 2) == [False, True]


@pytest.mark.parametrize("name", ["isw", "csw", "cisw"])
def test_set_and_way_maintenance_traps_again(name: str) -> None:
    guest = with_translation(
        asm.msr("SCTLR_EL1", 1),
        asm.msr("FAR_EL1", 31),
        asm.dc(name, 31),
        asm.msr("FAR_EL1", 31),
        asm.msr("FAR_EL1", 31),
    )
    # The caches are on: the first write that is noticed is the last one again.
    assert steps(guest, 5) == [False, True, False, False, True]


def test_maintenance_by_address_is_not_trapped() -> None:
    guest = with_translation(asm.dc("civac", 4), asm.dc("cvau", 4))
    guest.set_x(4, RAM)
    assert steps(guest, 2) == [True, True]


def test_actlr_is_trapped_and_keeps_its_value() -> None:
    guest = Guest(asm.msr("ACTLR_EL1", 1), asm.mrs(2, "ACTLR_EL1"))
    guest.set_x(1, 0x55)
    guest.set_x(2, 0x55)
    assert steps(guest, 2) == [False, False]
    assert guest.x(2) == guest.reg("ACTLR_EL1") == 0


@pytest.mark.parametrize(
    "name", ["ID_AA64PFR0_EL1", "ID_AA64DFR0_EL1", "ID_AA64ISAR0_EL1", "ID_AA64MMFR0_EL1"]
)
def test_identification_is_trapped_and_reads_as_one_reg_does(name: str) -> None:
    guest = Guest(asm.mrs(2, name))
    assert steps(guest, 1) == [False]
    assert guest.x(2) == guest.reg(name) != 0


def test_identification_that_is_reserved_reads_as_zero() -> None:
    guest = Guest(0xD5380762)  # mrs x2, S3_0_C0_C7_3
    guest.set_x(2, 1)
    assert steps(guest, 1) == [False]
    assert guest.x(2) == 0


def test_main_identification_is_not_trapped() -> None:
    assert stepped(asm.mrs(2, "MIDR_EL1"), asm.mrs(2, "MPIDR_EL1")) == [True, True]


def test_init_traps_anew_and_psci_does_not() -> None:
    """KVM_ARM_VCPU_INIT sets TVM; a vCPU that PSCI starts again keeps its setting."""
    guest = Guest(vcpus=2)
    second = guest.vcpus[1]
    assert second.cpu.hcr_el2 & HCR_TVM
    second.cpu.hcr_el2 &= ~HCR_TVM
    requests.power_off(second)
    requests.power_on(second, RAM, 0)
    guest.place(RAM, asm.b(0))
    second.max_instructions = second.instructions + 10
    second.run()
    assert not second.cpu.hcr_el2 & HCR_TVM
    second.init(guest.vm.preferred_target())
    assert second.cpu.hcr_el2 & HCR_TVM
