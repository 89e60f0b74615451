"""The extension SupportsHltExit: HLT that exits to userspace, and HLT that does not."""

import struct

import pytest

from guestdbg.kvm import ExitHlt, KvmError, SupportsHltExit, open_kvm
from guestdbg.kvm.regs import PC, PSTATE, core_reg, sys_reg
from guestdbg.machine import Board
from guestdbg.machine.layout import RAM_BASE

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

HLT = 0xD4400000
HVC = 0xD4000002
VECTORS = RAM_BASE + 0x1000
POWER_OFF = (0xD2B08000, 0xF2800100, HVC)  # x0 = 0x84000008; hvc #0


def board(kvm, immediate: int) -> Board:
    made = Board(kvm, memory_size=16 << 20)
    made.write_phys(RAM_BASE, struct.pack("<4I", HLT | immediate << 5, *POWER_OFF))
    made.write_phys(VECTORS + 0x200, struct.pack("<I", 0x14000000))  # b .
    made.write_phys(VECTORS + 0x400, struct.pack("<I", 0x14000000))
    made.start(RAM_BASE)
    made.vcpus[0].set_one_reg(sys_reg("VBAR_EL1"), VECTORS)
    return made


def test_the_exit_is_before_the_instruction_and_userspace_goes_on_after_it() -> None:
    with open_kvm("soft") as kvm, board(kvm, 0xF000) as made:
        vcpu = made.vcpus[0]
        assert isinstance(vcpu, SupportsHltExit)
        vcpu.set_hlt_exit(0xF000)
        for _ in range(2):  # it is not executed by running again
            assert vcpu.run() == ExitHlt(0xF000)
            assert vcpu.get_one_reg(PC) == RAM_BASE
        assert vcpu.instructions == 0
        vcpu.set_one_reg(PC, RAM_BASE + 4)
        assert str(made.run(vcpu)).count("shutdown")


@pytest.mark.parametrize("asked", [None, 0xF001, 0, 0xFFFF])
def test_another_immediate_is_undefined(asked: int | None) -> None:
    with open_kvm("soft") as kvm, board(kvm, 0xF000) as made:
        vcpu = made.vcpus[0]
        vcpu.set_hlt_exit(0xF000)
        vcpu.set_hlt_exit(asked)
        vcpu.max_instructions = 5
        vcpu.run()
        assert vcpu.get_one_reg(PC) == VECTORS + 0x200
        assert vcpu.get_one_reg(core_reg("elr_el1")) == RAM_BASE
        assert vcpu.get_one_reg(sys_reg("ESR_EL1")) == 1 << 25


@pytest.mark.parametrize("immediate", [0, 0xFFFF])
def test_the_first_and_the_last_immediate_can_be_asked_for(immediate: int) -> None:
    with open_kvm("soft") as kvm, board(kvm, immediate) as made:
        made.vcpus[0].set_hlt_exit(immediate)
        assert made.vcpus[0].run() == ExitHlt(immediate)


def test_at_el0_it_is_undefined() -> None:
    with open_kvm("soft") as kvm, board(kvm, 0xF000) as made:
        vcpu = made.vcpus[0]
        vcpu.set_hlt_exit(0xF000)
        vcpu.set_one_reg(PSTATE, 0x3C0)
        vcpu.max_instructions = 5
        vcpu.run()
        assert vcpu.get_one_reg(PC) == VECTORS + 0x400


@pytest.mark.parametrize("immediate", [-1, 1 << 16])
def test_an_immediate_of_more_than_16_bits_is_refused(immediate: int) -> None:
    with (
        open_kvm("soft") as kvm,
        board(kvm, 0) as made,
        pytest.raises(KvmError, match="16 bits"),
    ):
        made.vcpus[0].set_hlt_exit(immediate)


def test_a_snapshot_leaves_the_exit_as_it_is() -> None:
    with open_kvm("soft") as kvm, board(kvm, 0xF000) as made:
        vcpu = made.vcpus[0]
        vcpu.set_hlt_exit(0xF000)
        snapshot = made.snapshot()
        vcpu.set_hlt_exit(None)
        made.restore(snapshot)
        vcpu.max_instructions = 5
        vcpu.run()
        assert vcpu.get_one_reg(PC) == VECTORS + 0x200
