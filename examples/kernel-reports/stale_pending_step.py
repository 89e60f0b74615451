"""Does a step after other debugging execute one instruction? In Linux 7.2 it can execute none.

The report is stale_pending_step.txt. The guest is stepped over a load that userspace emulates, and
KVM_RUN is interrupted before the exception of the step is taken. Then userspace does not step, but
continues to a breakpoint, or resets the vCPU. From there it steps.

Exit status: 0 every step executes one instruction, 1 one executes none.
"""

import argparse
import mmap
import struct
import sys

from guestdbg.kvm import ExitDebug, ExitIntr, ExitMmio, GuestDebug, Vcpu, open_kvm
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
)
from guestdbg.kvm.regs import core_reg

RAM, NOWHERE = 0x40000000, 0x09000000
CODE = (
    0xF9400022,  # +0x0: ldr x2, [x1]
    0xD503201F,  # +0x4: nop
    0xD503201F,  # +0x8: nop, with the breakpoint
    0xD503201F,  # +0xc: nop
    0xD4200000,  # +0x10: brk #0, if nothing stops the guest before
)
STEP = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
BREAK = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW, dbg_bcr=(0x1E7,), dbg_bvr=(RAM + 8,))

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--provider", default="auto", help="auto, host or soft")
parser.add_argument("--linux", help="the version that the software KVM answers as")
args = parser.parse_args()


def pc(vcpu: Vcpu) -> int:
    """The offset of the PC."""
    return vcpu.get_one_reg(core_reg("pc")) - RAM


def interrupt_a_step(vcpu: Vcpu) -> None:
    """Do a step whose exception is not taken: it stays pending."""
    vcpu.set_one_reg(core_reg("x1"), NOWHERE)
    vcpu.set_one_reg(core_reg("pc"), RAM)
    vcpu.set_guest_debug(STEP)
    first = vcpu.run()
    vcpu.immediate_exit = True  # completes the load, and does not enter the guest
    second = vcpu.run()
    vcpu.immediate_exit = False
    assert isinstance(first, ExitMmio), first
    assert isinstance(second, ExitIntr), second
    assert pc(vcpu) == 4, pc(vcpu)


def judge_a_step(vcpu: Vcpu, name: str) -> bool:
    """Whether a step executes one instruction."""
    start = pc(vcpu)
    exit_ = vcpu.run()
    end = pc(vcpu)
    right = isinstance(exit_, ExitDebug) and exit_.ec == 0x32 and end == start + 4
    print(
        f"{'ok' if right else 'FAULT':6}step at +{start:#x}, {name}: "
        f"expected to +{start + 4:#x}, seen {exit_} at +{end:#x}"
    )
    return right


soft = {"linux": args.linux} if args.linux else {}
with open_kvm(args.provider, **soft) as kvm, kvm.create_vm() as vm:
    print(f"Linux {kvm.linux}, provider {kvm.provider}")
    memory = mmap.mmap(-1, 1 << 20)
    memory[: 4 * len(CODE)] = struct.pack(f"<{len(CODE)}I", *CODE)
    vm.set_user_memory_region(0, RAM, memory)
    vcpu = vm.create_vcpu(0)
    vcpu.init(vm.preferred_target())

    interrupt_a_step(vcpu)
    vcpu.set_guest_debug(BREAK)
    print(f"      continued: {vcpu.run()}, PC at +{pc(vcpu):#x}")
    vcpu.set_guest_debug(STEP)
    at_breakpoint = judge_a_step(vcpu, "at the breakpoint")

    interrupt_a_step(vcpu)
    vcpu.init(vm.preferred_target())
    vcpu.set_one_reg(core_reg("pc"), RAM + 4)
    after_reset = judge_a_step(vcpu, "after KVM_ARM_VCPU_INIT")
sys.exit(0 if at_breakpoint and after_reset else 1)
