"""Does KVM_SET_GUEST_DEBUG stop the guest? In Linux 7.2 with pKVM only a BRK instruction does.

The report is pkvm_guest_debug.txt. Every run starts at the NOP; if nothing stops the guest, it
reaches the BRK. Exit status: 0 all is right, 1 something did not stop the guest.
"""

import argparse
import mmap
import struct
import sys

from guestdbg.kvm import ExitDebug, GuestDebug, open_kvm
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
)
from guestdbg.kvm.regs import core_reg

RAM, DATA = 0x40000000, 0x40001000
CODE = (
    0xD503201F,  # +0x0: nop
    0xD503201F,  # +0x4: nop
    0xF9000020,  # +0x8: str x0, [x1]
    0xD4200000,  # +0xc: brk #0
)
STEP = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP
USE_HW = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
# What is requested; the exception class and the offset at which it must stop the guest.
REQUESTS = (
    ("BRK", GuestDebug(KVM_GUESTDBG_ENABLE), 0x3C, 0xC),
    ("step", GuestDebug(STEP), 0x32, 0x4),
    ("breakpoint", GuestDebug(USE_HW, dbg_bcr=(0x1E7,), dbg_bvr=(RAM + 4,)), 0x30, 0x4),
    ("watchpoint", GuestDebug(USE_HW, dbg_wcr=(0x1FF7,), dbg_wvr=(DATA,)), 0x34, 0x8),
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--provider", default="auto", help="auto, host or soft")
parser.add_argument("--linux", help="the version that the software KVM answers as")
args = parser.parse_args()

wrong = 0
soft = {"linux": args.linux} if args.linux else {}
with open_kvm(args.provider, **soft) as kvm, kvm.create_vm() as vm:
    print(f"Linux {kvm.linux}, provider {kvm.provider}")
    memory = mmap.mmap(-1, 1 << 20)
    memory[: 4 * len(CODE)] = struct.pack(f"<{len(CODE)}I", *CODE)
    vm.set_user_memory_region(0, RAM, memory)
    vcpu = vm.create_vcpu(0)
    vcpu.init(vm.preferred_target())
    vcpu.set_one_reg(core_reg("x1"), DATA)
    for name, debug, ec, offset in REQUESTS:
        vcpu.set_one_reg(core_reg("pc"), RAM)
        vcpu.set_guest_debug(debug)
        exit_ = vcpu.run()
        at = vcpu.get_one_reg(core_reg("pc")) - RAM
        right = isinstance(exit_, ExitDebug) and (exit_.ec, at) == (ec, offset)
        wrong += not right
        print(
            f"{'ok' if right else 'FAULT':6}{name}: expected class {ec:#x} at +{offset:#x}, "
            f"seen {exit_} at +{at:#x}"
        )
sys.exit(1 if wrong else 0)
