"""PSCI over HVC and SMC, and calls that are not supported."""

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitDebug, ExitIntr, ExitSystemEvent, KvmError, VcpuInit
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
    KVM_REG_ARM_PSCI_VERSION,
    KVM_SYSTEM_EVENT_RESET,
    KVM_SYSTEM_EVENT_SHUTDOWN,
)
from guestdbg.kvm.regs import core_reg

from .support import BREAK_ANY, EL1H_MASKED, RAM, STEP, USE_HW, Guest

U64 = (1 << 64) - 1
SUCCESS, NOT_SUPPORTED, INVALID, ALREADY_ON = 0, U64, -2 & U64, -4 & U64
VERSION, SUSPEND, OFF, ON, AFFINITY = (0x84000000 + n for n in range(5))
TYPE, SYSTEM_OFF, SYSTEM_RESET, FEATURES = 0x84000006, 0x84000008, 0x84000009, 0x8400000A
SYSTEM_OFF2 = 0x84000015
FN64 = 0x40000000
CONDUITS = pytest.mark.parametrize("conduit", [asm.hvc(), asm.smc()], ids=["hvc", "smc"])
IDLE = ExitIntr(idle=True)
LATEST = {"6.1": 0x10001, "6.14": 0x10003}

pytestmark = pytest.mark.usefixtures("linux")


def call(guest: Guest, function: int, *arguments: int, conduit: int = asm.hvc()) -> int:
    """One PSCI call by vCPU 0; X0 after it."""
    guest.place(RAM, conduit, asm.NOP)
    guest.pc = RAM
    for n, value in enumerate((function, *arguments)):
        guest.set_x(n, value)
    guest.debug(STEP)
    exit_ = guest.run()
    assert isinstance(exit_, ExitDebug)
    assert guest.pc == RAM + 4
    guest.debug(0)
    return guest.x(0)


@CONDUITS
def test_version(conduit: int, linux: str) -> None:
    assert call(Guest(), VERSION, conduit=conduit) == LATEST[linux]


@CONDUITS
@pytest.mark.parametrize("function", [0x12345678, 0x8400001F, 0xC4000000, 0x84000005, 0, U64])
def test_unknown_function_is_not_supported(function: int, conduit: int) -> None:
    assert call(Guest(), function, conduit=conduit) == NOT_SUPPORTED


def test_results_are_in_x0_to_x3_and_nowhere_else() -> None:
    guest = Guest()
    for n in range(4, 31):
        guest.set_x(n, n)
    call(guest, VERSION, 11, 12, 13)
    assert [guest.x(n) for n in range(1, 4)] == [0, 0, 0]
    assert [guest.x(n) for n in range(4, 31)] == list(range(4, 31))


def test_smc_without_psci_is_not_supported_for_any_function(linux: str) -> None:
    guest = Guest(psci_smc=False)
    assert call(guest, VERSION, conduit=asm.smc()) == NOT_SUPPORTED
    assert call(guest, VERSION) == LATEST[linux]


def test_smc_as_the_kernel_answers_it(linux: str) -> None:
    """Linux 6.1 answers no SMC, later kernels SMC #0 like HVC."""
    guest = Guest(psci_smc=None)
    answer = NOT_SUPPORTED if linux == "6.1" else LATEST[linux]
    assert call(guest, VERSION, conduit=asm.smc()) == answer


@pytest.mark.parametrize("psci_smc", [True, None])
def test_smc_with_another_immediate_is_reserved(psci_smc: bool | None) -> None:
    """DEN 0028, 2.9."""
    for function in (VERSION, 0x80000000):
        assert call(Guest(psci_smc=psci_smc), function, conduit=asm.smc(1)) == NOT_SUPPORTED


def test_migrate_info_type_is_not_needed() -> None:
    assert call(Guest(), TYPE) == 2


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (VERSION, SUCCESS),
        (SUSPEND, SUCCESS),
        (SUSPEND | FN64, SUCCESS),
        (OFF, SUCCESS),
        (ON, SUCCESS),
        (ON | FN64, SUCCESS),
        (AFFINITY | FN64, SUCCESS),
        (TYPE, SUCCESS),
        (SYSTEM_OFF, SUCCESS),
        (SYSTEM_RESET, SUCCESS),
        (FEATURES, SUCCESS),
        (0x80000000, SUCCESS),
        (0x84000012, SUCCESS),
        (0x84000005, NOT_SUPPORTED),
        (OFF | FN64, NOT_SUPPORTED),
        (0x8400000E, NOT_SUPPORTED),
        (0x1234, NOT_SUPPORTED),
    ],
)
def test_features(function: int, answer: int) -> None:
    assert call(Guest(), FEATURES, function) == answer


@CONDUITS
def test_system_off(conduit: int) -> None:
    guest = Guest(conduit)
    guest.set_x(0, SYSTEM_OFF)
    assert guest.run() == ExitSystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN, (0,))
    assert guest.pc == RAM + 4
    assert guest.vcpu.get_mp_state() == KVM_MP_STATE_STOPPED
    assert guest.x(0) == -6 & U64, "INTERNAL_FAILURE, if the vCPU is run all the same"
    assert guest.run() == IDLE


@pytest.mark.parametrize(
    ("function", "arguments", "flags"),
    [(SYSTEM_RESET, (), 0), (0x84000012, (0,), 1), (0x84000012 | FN64, (1 << 31,), 1)],
)
def test_system_reset(function: int, arguments: tuple[int, ...], flags: int) -> None:
    guest = Guest(asm.hvc(), vcpus=2)
    for n, value in enumerate((function, *arguments)):
        guest.set_x(n, value)
    assert guest.run() == ExitSystemEvent(KVM_SYSTEM_EVENT_RESET, (flags,))
    assert all(v.get_mp_state() == KVM_MP_STATE_STOPPED for v in guest.vcpus)
    # What a machine monitor does then: init again, from the start.
    guest.vcpu.init(guest.vm.preferred_target())
    assert guest.vcpu.get_mp_state() == KVM_MP_STATE_RUNNABLE
    assert (guest.pc, guest.pstate, guest.x(0)) == (0, EL1H_MASKED, 0)


def two() -> Guest:
    """A machine whose second vCPU is off."""
    guest = Guest(vcpus=1)
    second = guest.vm.create_vcpu(1)
    second.init(guest.vm.preferred_target().with_feature(KVM_ARM_VCPU_POWER_OFF))
    guest.vcpus.append(second)
    return guest


def test_cpu_on_starts_the_other_at_its_entry_with_its_context() -> None:
    guest = two()
    second = guest.vcpus[1]
    assert second.get_mp_state() == KVM_MP_STATE_STOPPED
    assert second.run() == IDLE
    second.set_one_reg(core_reg("x5"), 99)
    guest.place(RAM + 0x100, asm.add(1, 0, 1), asm.b(0))
    assert call(guest, ON | FN64, 1, RAM + 0x100, 0x1234567890) == SUCCESS
    assert second.get_mp_state() == KVM_MP_STATE_RUNNABLE
    assert call(guest, ON | FN64, 1, RAM + 0x100, 0) == ALREADY_ON
    second.max_instructions = second.instructions + 10
    assert second.run() == ExitIntr()
    assert second.get_one_reg(core_reg("x0")) == 0x1234567890
    assert second.get_one_reg(core_reg("x1")) == 0x1234567891
    assert second.get_one_reg(core_reg("x5")) == 0, "it was reset"
    assert second.get_one_reg(core_reg("pstate")) & 0x3CF == EL1H_MASKED


def test_cpu_on_by_the_32_bit_function_takes_32_bits() -> None:
    guest = two()
    assert call(guest, ON, 1 | 7 << 40, RAM | 5 << 32, 1 << 63 | 4) == SUCCESS
    guest.place(RAM, asm.b(0))
    guest.vcpus[1].max_instructions = 5
    guest.vcpus[1].run()
    assert guest.vcpus[1].get_one_reg(core_reg("pc")) == RAM
    assert guest.vcpus[1].get_one_reg(core_reg("x0")) == 4


@pytest.mark.parametrize("target", [2, 0x100, 1 << 24, 1 << 31 | 1])
def test_cpu_on_of_no_vcpu_is_invalid(target: int) -> None:
    assert call(two(), ON | FN64, target, RAM, 0) == INVALID


def test_a_vcpu_that_starts_is_armed_before_its_first_instruction() -> None:
    """Guest debug set on it while it was off is in force when it comes up."""
    from guestdbg.kvm import GuestDebug

    guest = two()
    second = guest.vcpus[1]
    guest.place(RAM + 0x100, asm.add(1, 0, 1), asm.b(0))
    second.set_guest_debug(GuestDebug(USE_HW, (BREAK_ANY,), (RAM + 0x100,)))
    assert call(guest, ON | FN64, 1, RAM + 0x100, 7) == SUCCESS
    assert second.run() == ExitDebug(0xC2000022)
    assert second.get_one_reg(core_reg("pc")) == RAM + 0x100
    assert second.get_one_reg(core_reg("x0")) == 7


def test_cpu_off_and_affinity_info() -> None:
    guest = two()
    second = guest.vcpus[1]
    guest.place(RAM + 0x100, *asm.mov(0, OFF), asm.hvc(), asm.b(0))
    assert call(guest, AFFINITY | FN64, 0, 0) == 0
    assert call(guest, AFFINITY | FN64, 1, 0) == 1
    assert call(guest, ON | FN64, 1, RAM + 0x100, 0) == SUCCESS
    assert call(guest, AFFINITY, 1, 0) == 0
    assert second.run() == IDLE
    assert second.get_mp_state() == KVM_MP_STATE_STOPPED
    assert call(guest, AFFINITY, 1, 0) == 1
    assert call(guest, AFFINITY, 1, 1) == 0, "the cluster: one of them is on"
    assert call(guest, AFFINITY, 0x100, 1) == INVALID, "no such cluster"
    assert call(guest, AFFINITY, 1, 4) == INVALID, "no such level"
    assert call(guest, ON | FN64, 1, RAM + 0x100, 0) == SUCCESS, "and on again"


def test_cpu_suspend_is_wfi() -> None:
    guest = Guest(asm.hvc(), asm.add(5, 5, 1), asm.b(0))
    guest.set_x(0, SUSPEND)
    assert guest.run() == IDLE
    assert (guest.pc, guest.x(0)) == (RAM + 4, SUCCESS)


@pytest.mark.parametrize("wide", [0, FN64])
def test_system_off2(wide: int, linux: str) -> None:
    """PSCI 1.3: the machine hibernates. Its type may be 0, too; the second argument must be 0."""
    guest = Guest()
    supported = linux == "6.14"
    answer = 1 if supported else NOT_SUPPORTED
    assert call(guest, FEATURES, SYSTEM_OFF2 | wide) == answer
    refused = INVALID if supported else NOT_SUPPORTED
    assert call(guest, SYSTEM_OFF2 | wide, 2, 0) == refused
    assert call(guest, SYSTEM_OFF2 | wide, 1, 1) == refused
    if supported:
        for kind in (0, 1):
            guest = Guest(asm.hvc())
            for n, value in enumerate((SYSTEM_OFF2 | wide, kind, 0)):
                guest.set_x(n, value)
            assert guest.run() == ExitSystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN, (1,))
            assert guest.x(0) == -6 & U64
        guest.vcpu.set_one_reg(KVM_REG_ARM_PSCI_VERSION, 0x10002)
        guest.vcpu.set_mp_state(KVM_MP_STATE_RUNNABLE)
        assert call(guest, FEATURES, SYSTEM_OFF2 | wide) == NOT_SUPPORTED
        assert call(guest, SYSTEM_OFF2 | wide, 1, 0) == NOT_SUPPORTED


def test_version_is_a_register_that_can_be_lowered(linux: str) -> None:
    guest = Guest()
    vcpu = guest.vcpu
    assert vcpu.get_one_reg(KVM_REG_ARM_PSCI_VERSION) == LATEST[linux]
    vcpu.set_one_reg(KVM_REG_ARM_PSCI_VERSION, 0x00002)
    assert call(guest, VERSION) == 2
    assert call(guest, FEATURES, VERSION) == NOT_SUPPORTED
    vcpu.set_one_reg(KVM_REG_ARM_PSCI_VERSION, 0x10000)
    assert call(guest, FEATURES, VERSION) == SUCCESS
    assert call(guest, FEATURES, 0x84000012) == NOT_SUPPORTED
    for version in (3, LATEST[linux] + 1):
        with pytest.raises(KvmError, match="PSCI version"):
            vcpu.set_one_reg(KVM_REG_ARM_PSCI_VERSION, version)


def test_smccc_version_and_features() -> None:
    """ARCH_FEATURES knows errata only, and this processor has none."""
    guest = Guest()
    assert call(guest, 0x80000000) == 0x10001
    for feature in (0x80000000, 0x80000001, 0x80008000):
        assert call(guest, 0x80000001, feature) == NOT_SUPPORTED


def test_init_refuses_what_it_does_not_offer() -> None:
    guest = Guest()
    target = guest.vm.preferred_target()
    vcpu = guest.vm.create_vcpu(5)
    cases = (
        (VcpuInit(4), 22),
        (target.with_feature(1), 22),  # AArch32 at EL1
        (target.with_feature(3), 22),  # PMU
        (target.with_feature(9), 2),
        (VcpuInit(target.target, (0,) * 6), 22),
    )
    for init, code in cases:
        with pytest.raises(KvmError) as error:
            vcpu.init(init)
        assert error.value.errno == code
    with pytest.raises(KvmError) as error:
        vcpu.run()
    assert error.value.errno == 8  # ENOEXEC: not initialised
    vcpu.init(target)
    with pytest.raises(KvmError, match="features of before"):
        vcpu.init(target.with_feature(2))


def test_features_of_the_vcpus_of_a_machine(linux: str) -> None:
    """Linux 6.14: all have the same, and POWER_OFF is for one call. Before: each has its own."""
    guest = Guest()
    target = guest.vm.preferred_target()
    off = target.with_feature(KVM_ARM_VCPU_POWER_OFF)
    second = guest.vm.create_vcpu(1)
    if linux == "6.1":
        second.init(target.with_feature(2))
        with pytest.raises(KvmError, match="features of before"):
            guest.vcpu.init(off)
    else:
        with pytest.raises(KvmError, match="a machine's vCPU"):
            second.init(target.with_feature(2))
        second.init(off)
        guest.vcpu.init(off)
        assert guest.vcpu.get_mp_state() == KVM_MP_STATE_STOPPED
        guest.vcpu.init(target)
        assert guest.vcpu.get_mp_state() == KVM_MP_STATE_RUNNABLE


def test_the_target_of_the_processor_is_accepted(linux: str) -> None:
    """The generic target since Linux 6.3; that of a Cortex-A57 always, if it is one."""
    guest = Guest(cpu="cortex-a57")
    assert guest.vm.preferred_target() == VcpuInit(2 if linux == "6.1" else 5)
    guest.vcpu.init(VcpuInit(2))
    other = Guest(cpu="cortex-a72")
    assert other.vm.preferred_target() == VcpuInit(5)
    with pytest.raises(KvmError, match="target 2 is not this processor's, 5"):
        other.vcpu.init(VcpuInit(2))
