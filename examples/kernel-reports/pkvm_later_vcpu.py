"""Does a vCPU run that was created after another has run? With pKVM in Linux 6.12 and 7.2: no.

The report is pkvm_later_vcpu.txt. Both vCPUs store to an address without memory, which ends
KVM_RUN. A KVM_RUN that has not returned after two seconds is kicked.

Exit status: 0 both vCPUs run, or KVM_CREATE_VCPU refuses the second one; 1 it does not run.
"""

import argparse
import errno
import mmap
import struct
import sys
import threading

from guestdbg.kvm import ExitMmio, KvmError, Vm, open_kvm
from guestdbg.kvm.regs import core_reg

RAM, NOWHERE = 0x40000000, 0x09000000
STORE = 0xF9000020  # str x0, [x1]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--provider", default="auto", help="auto, host or soft")
parser.add_argument("--linux", help="the version that the software KVM answers as")
args = parser.parse_args()


def create_and_run(vm: Vm, number: int) -> tuple[bool, str]:
    """Whether the vCPU is as it must be, and what was seen."""
    try:
        vcpu = vm.create_vcpu(number)
    except KvmError as refused:
        return True, f"KVM_CREATE_VCPU: {errno.errorcode[refused.errno or 0]}"
    vcpu.init(vm.preferred_target())
    vcpu.set_one_reg(core_reg("x1"), NOWHERE)
    vcpu.set_one_reg(core_reg("pc"), RAM)
    kick = threading.Timer(2, vcpu.kick)
    kick.start()
    try:
        exit_ = vcpu.run()
    except KvmError as error:
        return False, f"{error.call}: {errno.errorcode[error.errno or 0]}"
    finally:
        kick.cancel()
    at = vcpu.get_one_reg(core_reg("pc")) - RAM
    return isinstance(exit_, ExitMmio), f"{exit_}, PC at +{at:#x}"


wrong = 0
soft = {"linux": args.linux} if args.linux else {}
with open_kvm(args.provider, **soft) as kvm, kvm.create_vm() as vm:
    print(f"Linux {kvm.linux}, provider {kvm.provider}")
    memory = mmap.mmap(-1, 1 << 20)
    memory[:4] = struct.pack("<I", STORE)
    vm.set_user_memory_region(0, RAM, memory)
    for number, name in enumerate(("vCPU 0", "vCPU 1, created after vCPU 0 has run")):
        right, seen = create_and_run(vm, number)
        wrong += not right
        print(f"{'ok' if right else 'FAULT':6}{name}: expected its store (mmio), seen {seen}")
sys.exit(1 if wrong else 0)
