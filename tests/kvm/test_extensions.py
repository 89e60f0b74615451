"""Extensions of the processor that KVM must know of: pointer authentication, RAS, PSTATE."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.identification import identification
from guestdbg.cpu.processor import PhysicalMemory, Processor
from guestdbg.kvm import KvmError, VcpuEvents
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_ARM_VCPU_PTRAUTH_ADDRESS,
    KVM_ARM_VCPU_PTRAUTH_GENERIC,
    KVM_CAP_ARM_INJECT_SERROR_ESR,
    KVM_CAP_ARM_PTRAUTH_ADDRESS,
    KVM_CAP_ARM_PTRAUTH_GENERIC,
)
from guestdbg.kvm.regs import sys_reg
from guestdbg.kvm.soft.processor_model import ProcessorModel
from guestdbg.machine.board import Board
from tests.cpu.extensions import FIELDS, SYSTEM, give, take
from tests.kvm.support import EL1H_MASKED, RAM, VECTORS, Guest

CAPS = (KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC)
FEATURES = (KVM_ARM_VCPU_PTRAUTH_ADDRESS, KVM_ARM_VCPU_PTRAUTH_GENERIC)
KEYS = [
    name for name in SYSREGS if name.startswith("AP") and name.endswith(("KEYLO_EL1", "KEYHI_EL1"))
]
PACIASP, PACGA, PACIA = 0xD503233F, 0x9AC23020, 0xDAC10020  # PACGA X0, X1, X2; PACIA X0, X1
B_SELF = 0x14000000
UNDEFINED = 1 << 25


def mrs(rt: int, name: str) -> int:
    return 0xD5200000 | SYSREGS[name].encoding << 5 | rt


def msr(name: str, rt: int) -> int:
    return mrs(rt, name) & ~(1 << 21)


Have = Callable[..., None]


@pytest.fixture
def have(monkeypatch: pytest.MonkeyPatch) -> Have:
    """Gives the processors that the provider makes from now on these extensions, and no others."""
    plain = ProcessorModel.new_processor

    def turn_on(*features: str) -> None:
        def make(self: ProcessorModel, memory: PhysicalMemory, mpidr: int) -> Processor:
            self._identification = identification("cortex-a57")
            cpu = plain(self, memory, mpidr)
            take(cpu, *FIELDS)
            give(cpu, *features)
            return cpu

        monkeypatch.setattr(ProcessorModel, "new_processor", make)

    turn_on()
    return turn_on


def undefined(guest: Guest, *words: int) -> bool:
    """Whether the last of these instructions is UNDEFINED to the guest."""
    guest.place(VECTORS + 0x200, B_SELF)
    guest.place(RAM, *words)
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.set_reg("ESR_EL1", 0)
    guest.pc, guest.pstate = RAM, EL1H_MASKED
    guest.run(len(words))
    if guest.pc == RAM + 4 * len(words):
        return False
    assert guest.pc == VECTORS + 0x200
    assert guest.reg("ESR_EL1") == UNDEFINED
    return True


@pytest.mark.parametrize(
    ("features", "value"),
    [
        ((), 0),
        (("QARMA5",), 0),
        (("PACGA_QARMA5",), 0),
        (("QARMA5", "PACGA_QARMA5"), 1),
        (("PACIMP", "PACGA_IMP"), 1),
        (("PACIMP", "PACGA_QARMA5"), 1),
    ],
)
def test_capabilities(have: Have, features: tuple[str, ...], value: int) -> None:
    """system_has_full_ptr_auth(): both kinds, or KVM offers neither."""
    have(*features)
    guest = Guest()
    for cap in CAPS:
        assert guest.kvm.check_extension(cap) == guest.vm.check_extension(cap) == value
    init = guest.vm.preferred_target().with_feature(*FEATURES)
    vcpu = guest.kvm.create_vm().create_vcpu(0)
    if value:
        vcpu.init(init)
    else:
        with pytest.raises(KvmError) as error:
            vcpu.init(init)
        assert error.value.errno == errno.EINVAL


@pytest.mark.parametrize("feature", FEATURES)
def test_one_feature_without_the_other(have: Have, feature: int) -> None:
    have(*SYSTEM)
    guest = Guest()
    vcpu = guest.kvm.create_vm().create_vcpu(0)
    with pytest.raises(KvmError) as error:
        vcpu.init(guest.vm.preferred_target().with_feature(feature, KVM_ARM_VCPU_POWER_OFF))
    assert error.value.errno == errno.EINVAL


class PtrauthGuest(Guest):
    """Its vCPU has pointer authentication."""

    def __init__(self) -> None:
        super().__init__()
        self.vm = self.kvm.create_vm()
        self.vm.set_user_memory_region(0, RAM, self.memory)
        self.vcpu = self.vm.create_vcpu(0)
        self.vcpu.init(self.vm.preferred_target().with_feature(*FEATURES))
        self.vcpus = [self.vcpu]


def test_with_the_features(have: Have) -> None:
    """The guest uses pointer authentication itself, and its keys are migrated."""
    have(*SYSTEM)
    guest = PtrauthGuest()
    assert (
        guest.reg("ID_AA64ISAR1_EL1") >> 4 & 0xFF == guest.reg("ID_AA64ISAR1_EL1") >> 24 & 0xFF == 1
    )
    guest.set_reg("SCTLR_EL1", guest.reg("SCTLR_EL1") | 1 << 31)
    listed = guest.vcpu.get_reg_list()
    for n, name in enumerate(KEYS):
        assert sys_reg(name) in listed
        guest.set_reg(name, 0x1111 * n + 1)
        guest.set_x(3, 0)
        assert not undefined(guest, mrs(3, name))
        assert guest.x(3) == guest.reg(name) == 0x1111 * n + 1
        guest.set_x(3, 77 + n)
        assert not undefined(guest, msr(name, 3))
        assert guest.reg(name) == 77 + n
    for n in range(3):
        guest.set_x(n, 0x1234_5678 * (n + 1))
    assert not undefined(guest, PACIA)
    assert guest.x(0) not in (0, 0x1234_5678)
    assert guest.x(0) & 0xFFFF_FFFF == 0x1234_5678
    assert not undefined(guest, PACGA)
    assert guest.x(0) >> 32
    assert guest.x(0) & 0xFFFF_FFFF == 0
    assert not undefined(guest, mrs(5, "ID_AA64ISAR1_EL1"))
    assert guest.x(5) == guest.reg("ID_AA64ISAR1_EL1")


def test_without_the_features(have: Have) -> None:
    """On a processor that has it: not in the ID register, keys and instructions UNDEFINED."""
    have(*SYSTEM)
    guest = Guest()
    assert guest.reg("ID_AA64ISAR1_EL1") & (0xFF << 4 | 0xFF << 24) == 0
    assert guest.reg("ID_AA64ISAR1_EL1") >> 36 & 15 == 1  # other fields are there
    assert not undefined(guest, mrs(5, "ID_AA64ISAR1_EL1"))
    assert guest.x(5) == guest.reg("ID_AA64ISAR1_EL1")
    listed = guest.vcpu.get_reg_list()
    for name in KEYS:
        assert sys_reg(name) not in listed
        for call in (guest.reg, lambda name: guest.set_reg(name, 0)):
            with pytest.raises(KvmError) as error:
                call(name)
            assert error.value.errno == errno.ENOENT
        assert undefined(guest, mrs(3, name))
        assert undefined(guest, msr(name, 3))
    assert undefined(guest, PACGA)
    assert not undefined(guest, PACIASP)  # not enabled: a NOP
    guest.set_reg("SCTLR_EL1", guest.reg("SCTLR_EL1") | 1 << 31)
    assert undefined(guest, PACIA)
    assert undefined(guest, PACIASP)


@pytest.mark.parametrize("has", [True, False])
def test_a_board_asks_for_it_where_it_is(have: Have, has: bool) -> None:
    have(*(SYSTEM if has else ()))
    board = Board(Guest().kvm)
    board.start(0x4000_0000)
    assert (sys_reg("APIAKEYLO_EL1") in board.vcpus[0].get_reg_list()) == has


# ---- RAS ----------------------------------------------------------------------------------------


def test_error_records_read_as_zero(have: Have) -> None:
    """There are none; EL2 emulates the registers, which HCR_EL2.TERR traps."""
    have("RAS")
    guest = Guest()
    for name in ("ERRSELR_EL1", "ERXCTLR_EL1", "ERXSTATUS_EL1", "ERXADDR_EL1", "ERXMISC0_EL1"):
        guest.set_x(4, 0xABCD)
        assert not undefined(guest, msr(name, 4))
        assert not undefined(guest, mrs(4, name))
        assert guest.x(4) == 0
    for name in ("ERRIDR_EL1", "ERXFR_EL1"):
        guest.set_x(4, 0xABCD)
        assert not undefined(guest, mrs(4, name))
        assert guest.x(4) == 0
        assert undefined(guest, msr(name, 4))


def test_without_ras(have: Have) -> None:
    have()
    guest = Guest()
    assert guest.kvm.check_extension(KVM_CAP_ARM_INJECT_SERROR_ESR) == 0
    assert undefined(guest, mrs(4, "ERRIDR_EL1"))
    assert undefined(guest, mrs(4, "DISR_EL1"))
    guest.vcpu.set_vcpu_events(VcpuEvents(serror_pending=True))
    assert guest.vcpu.get_vcpu_events() == VcpuEvents(serror_pending=True)
    with pytest.raises(KvmError) as error:
        guest.vcpu.set_vcpu_events(VcpuEvents(serror_pending=True, serror_has_esr=True))
    assert error.value.errno == errno.EINVAL


ESB, DAIFCLR_A = 0xD503221F, 0xD50344FF


@pytest.mark.parametrize(("given", "syndrome"), [(0x12_3456, 0x12_3456), (None, 1 << 24)])
def test_an_serror_with_a_syndrome(have: Have, given: int | None, syndrome: int) -> None:
    """Taken when it is unmasked; with userspace's syndrome, or an IMPLEMENTATION DEFINED one."""
    have("RAS")
    guest = Guest(DAIFCLR_A)
    assert guest.kvm.check_extension(KVM_CAP_ARM_INJECT_SERROR_ESR) == 1
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.place(VECTORS + 0x380, B_SELF)
    assert guest.vcpu.get_vcpu_events() == VcpuEvents(serror_has_esr=True)
    guest.vcpu.set_vcpu_events(
        VcpuEvents(serror_pending=True, serror_has_esr=given is not None, serror_esr=given or 0)
    )
    pending = VcpuEvents(serror_pending=True, serror_has_esr=True, serror_esr=syndrome)
    assert guest.vcpu.get_vcpu_events() == pending
    guest.run(2)
    assert guest.pc == VECTORS + 0x380
    assert guest.reg("ESR_EL1") == 0x2F << 26 | 1 << 25 | syndrome
    assert guest.vcpu.get_vcpu_events() == VcpuEvents(serror_has_esr=True)


def test_esb_defers_a_masked_serror(have: Have) -> None:
    have("RAS")
    guest = Guest(ESB, mrs(1, "DISR_EL1"), msr("DISR_EL1", 31), mrs(2, "DISR_EL1"))
    guest.vcpu.set_vcpu_events(
        VcpuEvents(serror_pending=True, serror_has_esr=True, serror_esr=0x4_0011)
    )
    guest.run(1)
    assert guest.reg("DISR_EL1") == 1 << 31 | 0x4_0011
    assert not guest.vcpu.get_vcpu_events().serror_pending
    guest.run(3)
    assert (guest.x(1), guest.x(2)) == (1 << 31 | 0x4_0011, 0)
    guest.set_reg("DISR_EL1", 1 << 31 | 5)
    assert guest.reg("DISR_EL1") == 1 << 31 | 5


def test_esb_without_an_serror_or_without_ras_does_nothing(have: Have) -> None:
    for features in ((), ("RAS",)):
        have(*features)
        guest = Guest(ESB)
        guest.run(1)
        assert (guest.pc, guest.reg("DISR_EL1")) == (RAM + 4, 0)


def test_a_syndrome_of_too_many_bits(have: Have) -> None:
    have("RAS")
    guest = Guest()
    with pytest.raises(KvmError) as error:
        guest.vcpu.set_vcpu_events(
            VcpuEvents(serror_pending=True, serror_has_esr=True, serror_esr=1 << 25)
        )
    assert error.value.errno == errno.EINVAL
    assert not guest.vcpu.get_vcpu_events().serror_pending


# ---- PSTATE -------------------------------------------------------------------------------------

EXTENSIONS = 3 << 10 | 1 << 12 | 7 << 22


def test_pstate_has_the_bits_of_the_extensions_that_there_are(have: Have) -> None:
    for features, bits in (
        ((), 0),
        (("PAN",), 1 << 22),
        (("UAO",), 1 << 23),
        (("DIT",), 1 << 24),
        (("SSBS",), 1 << 12),
        (("BTI",), 3 << 10),
        (SYSTEM, EXTENSIONS),
    ):
        have(*features)
        guest = Guest()
        guest.pstate = EL1H_MASKED | EXTENSIONS
        assert guest.pstate == EL1H_MASKED | bits
        guest.pstate = EL1H_MASKED
        assert guest.pstate == EL1H_MASKED


def test_an_emulated_instruction_is_a_branch_target_of_no_type(have: Have) -> None:
    """kvm_skip_instr() clears PSTATE.BTYPE."""
    have(*SYSTEM)
    guest = Guest(mrs(3, "MDSCR_EL1"))
    guest.pstate = EL1H_MASKED | 2 << 10
    guest.run(0)
    assert guest.pstate == EL1H_MASKED | 2 << 10
    guest.run(1)
    assert (guest.pc, guest.pstate) == (RAM + 4, EL1H_MASKED)
