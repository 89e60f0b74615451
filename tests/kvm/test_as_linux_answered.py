"""The soft provider against a real kernel, experiment by experiment.

``answers/*.json`` are what the experiments of scenarios.py saw on /dev/kvm of a real kernel:
Debian's Linux 6.1.192 in nVHE mode, on QEMU 7.2's model of a Cortex-A57 with EL2. Where the soft
provider answers otherwise, the reason is below; nothing else may differ.
"""

import json
import mmap
import struct
from pathlib import Path
from typing import Any

import pytest

from guestdbg.kvm import (
    ExitArmNisv,
    ExitDebug,
    ExitIntr,
    ExitMmio,
    ExitSystemEvent,
    GuestDebug,
    KvmError,
    VcpuEvents,
    open_kvm,
)
from guestdbg.kvm.constants import KVM_ARM_VCPU_PSCI_0_2, KVM_CAP_ARM_NISV_TO_USER
from guestdbg.kvm.regs import core_reg, sys_reg

from .scenarios import RAM, SCENARIOS
from .support import SoftKvm

ANSWERS = Path(__file__).parent / "answers" / "linux-6.1.192-cortex-a57.json"
LINUX: dict[str, Any] = json.loads(ANSWERS.read_text())

SIGN = "the kernel sign-extends the syndrome that it injects: the upper half of ESR_EL1 is RES0"
OTHER_CPU = "an ID register of another processor"
NOT_IN_QEMU = "QEMU 7.2 has no such register, and gives the guest UNDEFINED before the kernel traps"

#: Where the soft provider is otherwise, and why.
OTHERWISE = {
    "jump_into_nothing": SIGN,
    "load_beyond_the_machine": SIGN,
    "jump_beyond_the_machine": SIGN,
    "external_abort_for_an_access": SIGN,
    "guest_reads_ID_AA64PFR0_EL1": OTHER_CPU,
    "guest_reads_ID_AA64MMFR0_EL1": OTHER_CPU,
    "guest_reads_ID_AA64ISAR0_EL1": OTHER_CPU,
    "guest_reads_DBGAUTHSTATUS_EL1": NOT_IN_QEMU,
    "guest_reads_DBGPRCR_EL1": NOT_IN_QEMU,
    "guest_reads_DBGCLAIMSET_EL1": NOT_IN_QEMU,
    "guest_writes_DBGCLAIMSET_EL1": NOT_IN_QEMU,
}


class SoftMachine:
    """The soft provider as the experiments see it."""

    def __init__(self) -> None:
        # As the kernel: no PSCI over SMC.
        kvm = open_kvm("soft", psci_smc=False)
        assert isinstance(kvm, SoftKvm)
        self.kvm = kvm
        self.vm = kvm.create_vm()
        self.memory = mmap.mmap(-1, 1 << 20)
        self.vm.set_user_memory_region(0, RAM, self.memory)
        self.vcpu = self.vm.create_vcpu()
        self.vcpu.init(self.vm.preferred_target().with_feature(KVM_ARM_VCPU_PSCI_0_2))

    def place(self, address: int, words: list[int]) -> None:
        start = address - RAM
        self.memory[start : start + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
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
        self.vcpu.max_instructions = self.vcpu.instructions + 5000
        try:
            exit_ = self.vcpu.run()
        except KvmError as error:
            return ["errno", error.errno]
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


def test_every_experiment_has_an_answer() -> None:
    assert set(SCENARIOS) == set(LINUX)
    assert set(OTHERWISE) < set(LINUX)
    assert len(LINUX) > 140


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_answers_as_linux_6_1(name: str) -> None:
    seen = json.loads(json.dumps(SCENARIOS[name](SoftMachine())))
    if name in OTHERWISE:
        assert seen != LINUX[name], "it answers the same: take it off the list"
    else:
        assert seen == LINUX[name]
