"""A provider as the experiments of scenarios.py see it, through the seam alone."""

import mmap
import struct
import threading
from typing import Any

from guestdbg.kvm import (
    ExitArmNisv,
    ExitDebug,
    ExitIntr,
    ExitMmio,
    ExitSystemEvent,
    GuestDebug,
    Kvm,
    KvmError,
    SupportsCodeChanged,
    SupportsInstructionCount,
    SupportsInstructionLimit,
    VcpuEvents,
)
from guestdbg.kvm.constants import KVM_ARM_VCPU_PSCI_0_2, KVM_CAP_ARM_NISV_TO_USER
from guestdbg.kvm.regs import core_reg, sys_reg

from .scenarios import RAM

#: How long an experiment may run: in instructions, or in seconds where those are not counted.
INSTRUCTIONS = 5000
SECONDS = 0.5


class SeamMachine:
    """A fresh machine of any provider: a megabyte of memory and one vCPU."""

    def __init__(self, kvm: Kvm) -> None:
        self.kvm = kvm
        self.vm = kvm.create_vm()
        self.memory = mmap.mmap(-1, 1 << 20)
        self.vm.set_user_memory_region(0, RAM, self.memory)
        self.vcpu = self.vm.create_vcpu()
        self.vcpu.init(self.vm.preferred_target().with_feature(KVM_ARM_VCPU_PSCI_0_2))

    def place(self, address: int, words: list[int]) -> None:
        start = address - RAM
        self.memory[start : start + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
        if isinstance(self.vm, SupportsCodeChanged):
            self.vm.code_changed(address, 4 * len(words))

    def get(self, reg_id: int) -> int:
        return self.vcpu.get_one_reg(reg_id)

    def set(self, reg_id: int, value: int) -> None:
        self.vcpu.set_one_reg(reg_id, value)

    def core(self, name: str) -> int:
        return self.get(core_reg(name))

    def set_core(self, name: str, value: int) -> None:
        self.set(core_reg(name), value)

    def reg(self, name: str) -> int:
        return self.get(sys_reg(name))

    def set_reg(self, name: str, value: int) -> None:
        self.set(sys_reg(name), value)

    def debug(
        self,
        control: int,
        bcr: tuple[int, ...] = (),
        bvr: tuple[int, ...] = (),
        wcr: tuple[int, ...] = (),
        wvr: tuple[int, ...] = (),
    ) -> None:
        self.vcpu.set_guest_debug(GuestDebug(control, bcr, bvr, wcr, wvr))

    def nisv_to_user(self) -> None:
        self.vm.enable_cap(KVM_CAP_ARM_NISV_TO_USER)

    def external_abort(self) -> None:
        self.vcpu.set_vcpu_events(VcpuEvents(ext_dabt_pending=True))

    def mp_state(self) -> int:
        return self.vcpu.get_mp_state()

    def cap(self, cap: int) -> int:
        return self.kvm.check_extension(cap)

    def run(self) -> Any:
        vcpu = self.vcpu
        timer = None
        if isinstance(vcpu, SupportsInstructionLimit) and isinstance(
            vcpu, SupportsInstructionCount
        ):
            vcpu.max_instructions = vcpu.instructions + INSTRUCTIONS
        else:
            timer = threading.Timer(SECONDS, vcpu.kick)
            timer.start()
        try:
            exit_ = vcpu.run()
        except KvmError as error:
            return ["errno", error.errno]
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()
        match exit_:
            case ExitDebug():
                far = None if exit_.far is None else hex(exit_.far)
                return [exit_.reason, exit_.flags, hex(exit_.hsr), exit_.hsr_high, far]
            case ExitMmio():
                data = exit_.data[::-1].hex() if exit_.is_write else ""
                return [exit_.reason, hex(exit_.phys_addr), exit_.len, int(exit_.is_write), data]
            case ExitSystemEvent():
                return [exit_.reason, exit_.type, list(exit_.data)]
            case ExitArmNisv():
                return [exit_.reason, hex(exit_.esr_iss), hex(exit_.fault_ipa)]
            case ExitIntr():
                return ["errno", 4]
        return [exit_.reason, str(exit_)]

    def close(self) -> None:
        self.vm.close()
        self.memory.close()
