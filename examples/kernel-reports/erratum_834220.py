"""Does a guest start that has its MMU on? On Cortex-A57 with Linux 7.2 it does not.

The report is erratum_834220.txt. The guest stores to an address without memory, which ends
KVM_RUN; one that has not ended after two seconds is kicked. It runs with its MMU off; with its MMU
on; with its MMU on after it has read its translation table with the MMU off, so that the table is
mapped at stage 2; and again after the host has unmapped its memory, as reclaim does.

Exit status: 0 all is right, 1 the guest did not get to its store.
"""

import argparse
import mmap
import struct
import sys
import threading

from guestdbg.kvm import Exit, ExitMmio, Kvm, Vcpu, open_kvm
from guestdbg.kvm.regs import core_reg, sys_reg

RAM, TABLE, NOWHERE = 0x40000000, 0x40001000, 0x09000000
CODE = (
    0xF9000020,  # +0x0: str x0, [x1]
    0xF9400043,  # +0x4: ldr x3, [x2]
    0x17FFFFFE,  # +0x8: b +0x0
)
# A table of level 1: 1 GiB of Device memory at 0, 1 GiB of Normal memory at 0x40000000.
ENTRIES = (0 | 1 << 10 | 1 << 2 | 1, RAM | 3 << 8 | 1 << 10 | 1)
MMU_ON = {
    "MAIR_EL1": 0x04FF,
    "TCR_EL1": 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32,
    "TTBR0_EL1": TABLE,
    "SCTLR_EL1": 0x30D00800 | 0x1005,
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--provider", default="auto", help="auto, host or soft")
parser.add_argument("--linux", help="the version that the software KVM answers as")
args = parser.parse_args()


def run(vcpu: Vcpu, pc: int | None) -> Exit:
    """Run from an address, or on from where it is, for two seconds at most."""
    if pc is not None:
        vcpu.set_one_reg(core_reg("pc"), pc)
    kick = threading.Timer(2, vcpu.kick)
    kick.start()
    exit_ = vcpu.run()
    kick.cancel()
    return exit_


def judge(name: str, vcpu: Vcpu, exit_: Exit) -> bool:
    """Whether the guest has got to its store."""
    right = isinstance(exit_, ExitMmio)
    at = vcpu.get_one_reg(core_reg("pc")) - RAM
    print(
        f"{'ok' if right else 'FAULT':6}{name}: expected its store (mmio), "
        f"seen {exit_}, PC at +{at:#x}"
    )
    return right


def start(kvm: Kvm, name: str, mmu_on: bool, table_mapped: bool) -> bool:
    """Run a new guest, and again after its memory was unmapped if it gets so far."""
    with kvm.create_vm() as vm:
        memory = mmap.mmap(-1, 1 << 20)
        memory[: 4 * len(CODE)] = struct.pack(f"<{len(CODE)}I", *CODE)
        memory[0x1000:0x1010] = struct.pack("<2Q", *ENTRIES)
        vm.set_user_memory_region(0, RAM, memory)
        vcpu = vm.create_vcpu(0)
        vcpu.init(vm.preferred_target())
        vcpu.set_one_reg(core_reg("x1"), NOWHERE)
        vcpu.set_one_reg(core_reg("x2"), TABLE)
        if table_mapped:
            run(vcpu, RAM + 4)
            vcpu.immediate_exit = True  # complete the store of this run
            vcpu.run()
            vcpu.immediate_exit = False
        if mmu_on:
            for register, value in MMU_ON.items():
                vcpu.set_one_reg(sys_reg(register), value)
        right = judge(name, vcpu, run(vcpu, RAM))
        if table_mapped:
            memory.madvise(mmap.MADV_DONTNEED)  # shared memory keeps its contents
            right &= judge(f"{name}, then unmapped", vcpu, run(vcpu, None))
        return right


soft = {"linux": args.linux} if args.linux else {}
with open_kvm(args.provider, **soft) as kvm:
    print(f"Linux {kvm.linux}, provider {kvm.provider}")
    results = [
        start(kvm, "MMU off", mmu_on=False, table_mapped=False),
        start(kvm, "MMU on", mmu_on=True, table_mapped=False),
        start(kvm, "MMU on, table mapped at stage 2", mmu_on=True, table_mapped=True),
    ]
sys.exit(0 if all(results) else 1)
