"""A bare machine: a megabyte of memory, one vCPU, and hand-assembled code in it."""

import mmap
import struct
from typing import Any

import pytest

from guestdbg.kvm import Exit, GuestDebug, Kvm, open_kvm
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)
from guestdbg.kvm.regs import core_reg, sys_reg

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

from guestdbg.kvm.soft import SoftKvm, SoftVcpu, SoftVm

RAM = 0x40000000
RAM_SIZE = 1 << 20
DATA = RAM + 0x10000
VECTORS = RAM + 0x8000
#: There is no memory here.
NOWHERE = 0x09000000

ENABLE = KVM_GUESTDBG_ENABLE
STEP = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP
USE_HW = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
USE_SW_BP = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP

#: Any EL, enabled, all four bytes; any EL, enabled, stores / loads / both, all eight bytes.
BREAK_ANY = 0x1E7
WATCH_STORE = 0x1FF7
WATCH_LOAD = 0x1FEF
WATCH_BOTH = 0x1FFF

PC, PSTATE = core_reg("pc"), core_reg("pstate")
MDSCR_MDE, MDSCR_KDE, MDSCR_SS = 1 << 15, 1 << 13, 1 << 0
PSTATE_SS = 1 << 21
EL1H_MASKED = 0x3C5


#: The kernel version of guests that name none; the fixture ``linux`` changes it.
LINUX = "6.14"


class Guest:
    """One machine of the soft provider with one vCPU."""

    def __init__(self, *words: int, vcpus: int = 1, **options: Any) -> None:
        kvm: Kvm = open_kvm("soft", **{"linux": LINUX, **options})
        assert isinstance(kvm, SoftKvm)
        self.kvm = kvm
        self.vm: SoftVm = kvm.create_vm()
        self.memory = mmap.mmap(-1, RAM_SIZE)
        self.vm.set_user_memory_region(0, RAM, self.memory)
        init = self.vm.preferred_target()
        self.vcpus: list[SoftVcpu] = []
        for n in range(vcpus):
            vcpu = self.vm.create_vcpu(n)
            vcpu.init(init)
            self.vcpus.append(vcpu)
        self.vcpu = self.vcpus[0]
        self.pc = RAM
        self.place(RAM, *words)

    def place(self, address: int, *words: int) -> None:
        """Put instruction words somewhere."""
        start = address - RAM
        self.memory[start : start + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
        self.vm.code_changed(address, 4 * len(words))

    def u64(self, address: int) -> int:
        start = address - RAM
        return int.from_bytes(self.memory[start : start + 8], "little")

    @property
    def pc(self) -> int:
        return self.vcpu.get_one_reg(PC)

    @pc.setter
    def pc(self, value: int) -> None:
        self.vcpu.set_one_reg(PC, value)

    @property
    def pstate(self) -> int:
        return self.vcpu.get_one_reg(PSTATE)

    @pstate.setter
    def pstate(self, value: int) -> None:
        self.vcpu.set_one_reg(PSTATE, value)

    def x(self, n: int) -> int:
        return self.vcpu.get_one_reg(core_reg(f"x{n}"))

    def set_x(self, n: int, value: int) -> None:
        self.vcpu.set_one_reg(core_reg(f"x{n}"), value)

    def reg(self, name: str) -> int:
        return self.vcpu.get_one_reg(sys_reg(name))

    def set_reg(self, name: str, value: int) -> None:
        self.vcpu.set_one_reg(sys_reg(name), value)

    def debug(self, control: int, **registers: tuple[int, ...]) -> None:
        self.vcpu.set_guest_debug(GuestDebug(control, **registers))

    def run(self, instructions: int = 10_000) -> Exit:
        """Run, at most so many instructions."""
        self.vcpu.max_instructions = self.vcpu.instructions + instructions
        return self.vcpu.run()
