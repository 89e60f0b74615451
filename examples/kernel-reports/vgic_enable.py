"""Is an SPI that became pending before GICD_CTLR.EnableGrp1 delivered after it? By Linux: no.

The report is vgic_enable.txt. The guest has a GICv3 with all enabled but GICD_CTLR.EnableGrp1. It
stores to an address without memory, whereupon userspace raises the line of an SPI. Then the guest
sets EnableGrp1, and stores ISR_EL1, whose bit 7 says that an IRQ is pending for the CPU.

Exit status: 0 it is delivered; 1 it is not; 3 there is no GICv3 here.
"""

import argparse
import mmap
import struct
import sys

from guestdbg.kvm import ExitMmio, KvmError, Vcpu, Vm, open_kvm
from guestdbg.kvm import constants as k
from guestdbg.kvm.regs import core_reg

RAM, NOWHERE, GICD, GICR = 0x40000000, 0x09000000, 0x08000000, 0x080A0000
SPI = 32
SPI_LINE = k.KVM_ARM_IRQ_TYPE_SPI << k.KVM_ARM_IRQ_TYPE_SHIFT | SPI
ARE, ENABLE_GROUP_1 = 1 << 4, 1 << 1  # GICD_CTLR
ISR_I = 1 << 7

# x1: GICD_BASE, x2: the address without memory, x3: 1, x4: 0xff, x5: ARE, x6: ARE and EnableGrp1
CODE = (
    0xB9000025,  # str w5, [x1]            GICD_CTLR
    0xB9008423,  # str w3, [x1, #0x84]     GICD_IGROUPR1: SPI 32 is in group 1
    0xB9010423,  # str w3, [x1, #0x104]    GICD_ISENABLER1
    0xD5184604,  # msr ICC_PMR_EL1, x4
    0xD518CCE3,  # msr ICC_IGRPEN1_EL1, x3
    0xB9000043,  # str w3, [x2]            userspace raises the line
    0xB9000026,  # str w6, [x1]            GICD_CTLR.EnableGrp1
    0xB9400020,  # ldr w0, [x1]            (it is read back)
    0xD538C107,  # mrs x7, ISR_EL1
    0xF9000047,  # str x7, [x2]
    0xB9420428,  # ldr w8, [x1, #0x204]    GICD_ISPENDR1
    0xF9000048,  # str x8, [x2]
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--provider", default="auto", help="auto, host or soft")
parser.add_argument("--linux", help="the version that the software KVM answers as")
args = parser.parse_args()


def machine(vm: Vm, memory: mmap.mmap) -> Vcpu:
    """One vCPU at CODE, with a GICv3."""
    memory[: 4 * len(CODE)] = struct.pack(f"<{len(CODE)}I", *CODE)
    vm.set_user_memory_region(0, RAM, memory)
    gic = vm.create_device(k.KVM_DEV_TYPE_ARM_VGIC_V3)
    vcpu = vm.create_vcpu(0)
    vcpu.init(vm.preferred_target())
    for kind, base in (
        (k.KVM_VGIC_V3_ADDR_TYPE_DIST, GICD),
        (k.KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR),
    ):
        gic.set_attr(k.KVM_DEV_ARM_VGIC_GRP_ADDR, kind, base.to_bytes(8, "little"))
    gic.set_attr(k.KVM_DEV_ARM_VGIC_GRP_CTRL, k.KVM_DEV_ARM_VGIC_CTRL_INIT, b"")
    values = (GICD, NOWHERE, 1, 0xFF, ARE, ARE | ENABLE_GROUP_1)
    for register, value in enumerate(values, 1):
        vcpu.set_one_reg(core_reg(f"x{register}"), value)
    vcpu.set_one_reg(core_reg("pc"), RAM)
    return vcpu


def stored(vcpu: Vcpu) -> int:
    """What the guest stores next to the address without memory."""
    exit_ = vcpu.run()
    if not isinstance(exit_, ExitMmio) or not exit_.is_write:
        raise SystemExit(f"cannot be judged here: {exit_}")
    return int.from_bytes(exit_.data, "little")


soft = {"linux": args.linux} if args.linux else {}
with open_kvm(args.provider, **soft) as kvm, kvm.create_vm() as vm:
    print(f"Linux {kvm.linux}, provider {kvm.provider}")
    try:
        cpu = machine(vm, mmap.mmap(-1, 1 << 20))
    except KvmError as error:
        print(f"cannot be judged here: {error}")
        sys.exit(3)
    stored(cpu)
    vm.irq_line(SPI_LINE, 1)
    isr = stored(cpu)
    pending = stored(cpu)
    right = bool(isr & ISR_I)
    print(
        f"{'ok' if right else 'FAULT':6}EnableGrp1 with SPI {SPI} pending: expected ISR_EL1.I 1, "
        f"seen {isr >> 7 & 1}, with GICD_ISPENDR1 {pending:#x}"
    )
sys.exit(0 if right else 1)
