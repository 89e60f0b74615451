"""Does a step between a nested hypervisor and its guest execute one instruction? On 7.2: two.

The report is nested_step.txt. The vCPU has EL2. It is stepped over ERET, and over HVC; the step
must end at the target, before the ADD there. The kernel needs kvm-arm.mode=nested, and the
processor FEAT_NV2.

Exit status: 0 every step executes one instruction, 1 one executes two, 3 there is no nested
virtualization here.
"""

import argparse
import mmap
import struct
import sys
import threading

from guestdbg.kvm import GuestDebug, Kvm, open_kvm
from guestdbg.kvm.constants import (
    KVM_DEV_ARM_VGIC_CTRL_INIT,
    KVM_DEV_ARM_VGIC_GRP_ADDR,
    KVM_DEV_ARM_VGIC_GRP_CTRL,
    KVM_DEV_TYPE_ARM_VGIC_V3,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_VGIC_V3_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_REDIST,
)
from guestdbg.kvm.regs import core_reg, sys_reg_id

KVM_CAP_ARM_EL2, KVM_ARM_VCPU_HAS_EL2 = 240, 7
# Encodings: op0 << 14 | op1 << 11 | CRn << 7 | CRm << 3 | op2.
HCR_EL2, SPSR_EL2, ELR_EL2, VBAR_EL2 = 0xE088, 0xE200, 0xE201, 0xE600
HCR_E2H_RW = 1 << 34 | 1 << 31
RAM, TARGET, VECTORS = 0x40000000, 0x100, 0x1000
ERET, HVC, ADD = 0xD69F03E0, 0xD4000002, 0x910004A5  # eret; hvc #0; add x5, x5, #1
EL1, EL2, SS = 0x3C5, 0x3C9, 1 << 21
# What is stepped: from where, the instruction, SPSR_EL2, and the offset of the target.
STEPS = (
    ("ERET from EL2 to EL2", EL2, ERET, EL2, TARGET),
    ("ERET from EL2 to EL2, SPSR_EL2.SS is 1", EL2, ERET, EL2 | SS, TARGET),
    ("ERET from EL2 to EL1", EL2, ERET, EL1, TARGET),
    ("HVC from EL1 to EL2", EL1, HVC, 0, VECTORS + 0x400),
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--provider", default="auto", help="auto, host or soft")
parser.add_argument("--linux", help="the version that the software KVM answers as")
args = parser.parse_args()


def step(kvm: Kvm, pstate: int, instruction: int, spsr: int) -> str:
    """The exit, the offset of the PC and the number of ADDs executed, after one step."""
    with kvm.create_vm() as vm:
        memory = mmap.mmap(-1, 1 << 20)
        memory[:4] = struct.pack("<I", instruction)
        memory[TARGET : TARGET + 8] = struct.pack("<2I", ADD, ADD)
        memory[VECTORS + 0x400 : VECTORS + 0x408] = struct.pack("<2I", ADD, ADD)
        vm.set_user_memory_region(0, RAM, memory)
        gic = vm.create_device(KVM_DEV_TYPE_ARM_VGIC_V3)
        vcpu = vm.create_vcpu(0)
        vcpu.init(vm.preferred_target().with_feature(KVM_ARM_VCPU_HAS_EL2))
        for kind, address in (
            (KVM_VGIC_V3_ADDR_TYPE_DIST, 0x08000000),
            (KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x080A0000),
        ):
            gic.set_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, kind, struct.pack("=Q", address))
        gic.set_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, b"")
        for name, value in (("pstate", pstate), ("pc", RAM), ("x5", 0)):
            vcpu.set_one_reg(core_reg(name), value)
        for encoding, value in (
            (HCR_EL2, HCR_E2H_RW),
            (SPSR_EL2, spsr),
            (ELR_EL2, RAM + TARGET),
            (VBAR_EL2, RAM + VECTORS),
        ):
            vcpu.set_one_reg(sys_reg_id(encoding), value)
        vcpu.set_guest_debug(GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP))
        kick = threading.Timer(2, vcpu.kick)
        kick.start()
        exit_ = vcpu.run()
        kick.cancel()
        at, adds = (vcpu.get_one_reg(core_reg(name)) for name in ("pc", "x5"))
        return f"{exit_} at +{at - RAM:#x}, {adds} ADD executed"


wrong = 0
soft = {"linux": args.linux} if args.linux else {}
with open_kvm(args.provider, **soft) as kvm:
    print(f"Linux {kvm.linux}, provider {kvm.provider}")
    if not kvm.check_extension(KVM_CAP_ARM_EL2):
        print("cannot be judged here: no nested virtualization (KVM_CAP_ARM_EL2)")
        sys.exit(3)
    for name, pstate, instruction, spsr, target in STEPS:
        seen = step(kvm, pstate, instruction, spsr)
        right = seen.endswith(f" at +{target:#x}, 0 ADD executed")
        wrong += not right
        print(f"{'ok' if right else 'FAULT':6}{name}: expected a step to +{target:#x}, seen {seen}")
sys.exit(1 if wrong else 0)
