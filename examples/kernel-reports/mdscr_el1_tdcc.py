"""Is MDSCR_EL1.TDCC in force after the guest has written it? Since Linux 6.14 not always at once.

The report is mdscr_el1_tdcc.txt. At EL1, the guest sets TDCC and returns to EL0, which reads
MDCCSR_EL0: this must trap to EL1. Where it arrives, it stores to an address without memory, which
ends KVM_RUN. For comparison, it also stores between the write and the return to EL0.

Exit status: 0 all is right, 1 TDCC was not in force, 3 this processor has no such trap.
"""

import argparse
import mmap
import struct
import sys

from guestdbg.kvm import ExitMmio, GuestDebug, Kvm, open_kvm
from guestdbg.kvm.constants import KVM_GUESTDBG_ENABLE
from guestdbg.kvm.regs import core_reg, sys_reg

RAM, EL0, VECTORS, NOWHERE = 0x40000000, 0x40000100, 0x40001000, 0x09000000
TDCC = 1 << 12
NOP, STORE = 0xD503201F, 0xF9000020  # nop; str x0, [x1]
AT_EL1 = (
    0xD5101083,  # msr oslar_el1, x3
    0xD5100240,  # msr mdscr_el1, x0
)
ERET = 0xD69F03E0
AT_EL0 = (
    0xD5330102,  # mrs x2, mdccsr_el0
    0xF9000422,  # str x2, [x1, #8]
)
IN_VECTOR = 0xF9000820  # str x0, [x1, #16]: a synchronous exception from EL0

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--provider", default="auto", help="auto, host or soft")
parser.add_argument("--linux", help="the version that the software KVM answers as")
args = parser.parse_args()


def traps(kvm: Kvm, control: int, os_lock: int, exit_between: bool) -> bool:
    """Whether the access of EL0 is trapped to EL1."""
    with kvm.create_vm() as vm:
        memory = mmap.mmap(-1, 1 << 20)
        memory[:16] = struct.pack("<4I", *AT_EL1, STORE if exit_between else NOP, ERET)
        memory[0x100:0x108] = struct.pack("<2I", *AT_EL0)
        memory[0x1400:0x1404] = struct.pack("<I", IN_VECTOR)
        vm.set_user_memory_region(0, RAM, memory)
        vcpu = vm.create_vcpu(0)
        vcpu.init(vm.preferred_target())
        registers = {"x0": TDCC, "x1": NOWHERE, "x3": os_lock, "pc": RAM, "elr_el1": EL0}
        for name, value in (registers | {"spsr[0]": 0x3C0}).items():
            vcpu.set_one_reg(core_reg(name), value)
        vcpu.set_one_reg(sys_reg("VBAR_EL1"), VECTORS)
        vcpu.set_guest_debug(GuestDebug(control))
        exits = [vcpu.run() for _ in range(1 + exit_between)]
        places = [e.phys_addr - NOWHERE if isinstance(e, ExitMmio) else e for e in exits]
        assert places in ([0, 8], [0, 16]) if exit_between else places in ([8], [16]), exits
        return places[-1] == 16


wrong = 0
soft = {"linux": args.linux} if args.linux else {}
with open_kvm(args.provider, **soft) as kvm:
    print(f"Linux {kvm.linux}, provider {kvm.provider}")
    if not traps(kvm, 0, os_lock=0, exit_between=True):
        print("cannot be judged on this processor: TDCC has no effect on it")
        sys.exit(3)
    for name, control, os_lock in (
        ("nobody debugs the guest", 0, 0),
        ("userspace debugs the guest", KVM_GUESTDBG_ENABLE, 0),
        ("the guest's OS Lock is locked", 0, 1),
    ):
        for exit_between in (True, False):
            right = traps(kvm, control, os_lock, exit_between)
            wrong += not right
            when = "after an exit" if exit_between else "at once"
            print(
                f"{'ok' if right else 'FAULT':6}{name}, {when}: expected a trap to EL1, "
                f"seen {'it' if right else 'none'}"
            )
sys.exit(1 if wrong else 0)
