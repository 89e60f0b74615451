"""Interrupt controllers in the kernel, and the timer through them."""

import errno
import struct
from collections.abc import Callable

from guestdbg.check import assembler as asm
from guestdbg.kvm import Device, ExitMmio, Vm
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_TIMER_CTRL,
    KVM_ARM_VCPU_TIMER_IRQ_VTIMER,
    KVM_CREATE_DEVICE_TEST,
    KVM_DEV_ARM_VGIC_CTRL_INIT,
    KVM_DEV_ARM_VGIC_GRP_ADDR,
    KVM_DEV_ARM_VGIC_GRP_CPU_REGS,
    KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
    KVM_DEV_ARM_VGIC_GRP_CTRL,
    KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    KVM_DEV_ARM_VGIC_GRP_NR_IRQS,
    KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
    KVM_DEV_TYPE_ARM_VGIC_V2,
    KVM_DEV_TYPE_ARM_VGIC_V3,
    KVM_VGIC_V2_ADDR_TYPE_CPU,
    KVM_VGIC_V2_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_REDIST,
)
from guestdbg.kvm.regs import sys_reg

from .rig import NOWHERE, RAM, Rig, case, refused

DISTRIBUTOR, CPU_INTERFACE, REDISTRIBUTOR = 0x08000000, 0x08010000, 0x080A0000
VECTORS = RAM + 0x8000
IRQ_AT_EL1 = 0x280
SPI = 32
VTIMER = 27
#: Registers of the distributor (IHI 0069, 12.9) by offset.
GICD_CTLR, GICD_IGROUPR, GICD_ISENABLER = 0, 0x80, 0x100
GICD_ITARGETSR, GICC_CTLR, GICC_PMR, GICC_IAR = 0x800, 0, 4, 0x0C
GICR_SGI = 0x10000
ICC_PMR_EL1, ICC_IGRPEN1_EL1 = 0xC230, 0xC667
_MRS_X0_ICC_IAR1_EL1 = 0xD538CC00


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)


def _u64(value: int) -> bytes:
    return struct.pack("=Q", value)


def _has(vm: Vm, kind: int) -> bool:
    from guestdbg.kvm import KvmError

    try:
        vm.create_device(kind, KVM_CREATE_DEVICE_TEST)
    except KvmError as error:
        assert error.errno == errno.ENODEV, error
        assert f"no device of type {kind}" in str(error), error
        return False
    return True


def _gicv3(vm: Vm) -> Device:
    gic = vm.create_device(KVM_DEV_TYPE_ARM_VGIC_V3)
    gic.set_attr(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, _u32(64))
    where = KVM_DEV_ARM_VGIC_GRP_ADDR
    gic.set_attr(where, KVM_VGIC_V3_ADDR_TYPE_DIST, _u64(DISTRIBUTOR))
    gic.set_attr(where, KVM_VGIC_V3_ADDR_TYPE_REDIST, _u64(REDISTRIBUTOR))
    gic.set_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, b"")
    return gic


def _gicv2(vm: Vm) -> Device:
    gic = vm.create_device(KVM_DEV_TYPE_ARM_VGIC_V2)
    gic.set_attr(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, _u32(64))
    where = KVM_DEV_ARM_VGIC_GRP_ADDR
    gic.set_attr(where, KVM_VGIC_V2_ADDR_TYPE_DIST, _u64(DISTRIBUTOR))
    gic.set_attr(where, KVM_VGIC_V2_ADDR_TYPE_CPU, _u64(CPU_INTERFACE))
    gic.set_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, b"")
    return gic


def _enable_v3(gic: Device) -> None:
    dist = KVM_DEV_ARM_VGIC_GRP_DIST_REGS
    gic.set_attr(dist, GICD_CTLR, _u32(0x12))
    gic.set_attr(dist, GICD_IGROUPR + 4, _u32(0xFFFFFFFF))
    gic.set_attr(dist, GICD_ISENABLER + 4, _u32(1))
    gic.set_attr(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, GICR_SGI + GICD_IGROUPR, _u32(0xFFFFFFFF))
    gic.set_attr(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, GICR_SGI + GICD_ISENABLER, _u32(1 << VTIMER))
    gic.set_attr(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, ICC_PMR_EL1, _u64(0xF8))
    gic.set_attr(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, ICC_IGRPEN1_EL1, _u64(1))
    assert gic.get_attr(dist, GICD_ISENABLER + 4, 4) == _u32(1)
    pmr = gic.get_attr(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, ICC_PMR_EL1, 8)
    assert int.from_bytes(pmr, "little") & 0xF8 == 0xF8, pmr


def _enable_v2(gic: Device) -> None:
    dist, cpu = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, KVM_DEV_ARM_VGIC_GRP_CPU_REGS
    gic.set_attr(dist, GICD_CTLR, _u32(1))
    gic.set_attr(dist, GICD_ISENABLER, _u32(1 << VTIMER))
    gic.set_attr(dist, GICD_ISENABLER + 4, _u32(1))
    gic.set_attr(dist, GICD_ITARGETSR + SPI, _u32(1))
    gic.set_attr(cpu, GICC_PMR, _u32(0xF8))
    gic.set_attr(cpu, GICC_CTLR, _u32(1))
    assert gic.get_attr(dist, GICD_ISENABLER + 4, 4) == _u32(1)


#: Which there are: how to make it, how to let interrupts through, how a handler acknowledges.
KINDS: dict[int, tuple[Callable[[Vm], Device], Callable[[Device], None], list[int]]] = {
    KVM_DEV_TYPE_ARM_VGIC_V3: (_gicv3, _enable_v3, [_MRS_X0_ICC_IAR1_EL1]),
    KVM_DEV_TYPE_ARM_VGIC_V2: (
        _gicv2,
        _enable_v2,
        [*asm.mov(1, CPU_INTERFACE), asm.access("ldrw", 0, 1, GICC_IAR)],
    ),
}


class GicRig(Rig):
    """Interrupts of the guest acknowledge themselves and store their number where nothing is."""

    def __init__(self, *words: int, kind: int) -> None:
        super().__init__(*words)
        self.make, self.enable, acknowledge = KINDS[kind]
        handler = [*acknowledge, *asm.mov(9, NOWHERE), asm.str_(0, 9)]
        start = VECTORS + IRQ_AT_EL1 - RAM
        self.memory[start : start + 4 * len(handler)] = struct.pack(f"<{len(handler)}I", *handler)

    def __enter__(self) -> "GicRig":
        super().__enter__()
        self.gic = self.make(self.vm)
        self.enable(self.gic)
        self.vcpu.set_one_reg(sys_reg("VBAR_EL1"), VECTORS)
        return self


def _kinds() -> list[int]:
    with Rig() as rig:
        found = [kind for kind in KINDS if _has(rig.vm, kind)]
    assert found, "no interrupt controller for guests at all"
    return found


def _interrupt(exit_: object) -> int:
    assert isinstance(exit_, ExitMmio), exit_
    assert exit_.is_write
    return int.from_bytes(exit_.data, "little")


@case
def gic_takes_an_interrupt_from_a_line() -> None:
    for kind in _kinds():
        with GicRig(asm.daifclr(2), asm.b(0), kind=kind) as rig:
            rig.vm.irq_line(1 << 24 | SPI, 1)
            assert _interrupt(rig.vcpu.run()) == SPI


@case
def gic_wakes_a_guest_that_waits_for_its_timer() -> None:
    counter, deadline = asm.mrs(0, "CNTVCT_EL0"), asm.msr("CNTV_CVAL_EL0", 0)
    program = [
        counter,
        asm.add(0, 0, 4095),
        deadline,
        *asm.mov(0, 1),
        asm.msr("CNTV_CTL_EL0", 0),
        asm.daifclr(2),
        0xD503207F,  # wfi
        asm.b(-4),
    ]
    for kind in _kinds():
        with GicRig(*program, kind=kind) as rig:
            assert _interrupt(rig.vcpu.run()) == VTIMER


@case
def gic_and_its_attributes_refuse_what_cannot_be() -> None:
    for kind in _kinds():
        with GicRig(asm.b(0), kind=kind) as rig:
            assert rig.gic.has_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT)
            assert not rig.gic.has_attr(99, 0)
            with refused(errno.ENXIO, "has no attribute 0x0 in group 99"):
                rig.gic.set_attr(99, 0, _u32(0))
            with refused(errno.EBUSY, "cannot have attribute"):
                rig.gic.set_attr(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, _u32(96))
            with refused(errno.EEXIST, "an interrupt controller already"):
                rig.vm.create_device(kind)
            with refused(errno.ENXIO, "type 0, a vCPU's own lines"):
                rig.vm.irq_line(0, 1)
            with refused(errno.EINVAL, "-1 bytes"):
                rig.gic.get_attr(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, -1)
            assert rig.gic.get_attr(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, 4) == _u32(64)


@case
def timer_interrupt_numbers() -> None:
    group, attr = KVM_ARM_VCPU_TIMER_CTRL, KVM_ARM_VCPU_TIMER_IRQ_VTIMER
    with GicRig(asm.b(0), kind=_kinds()[0]) as rig:
        assert rig.vcpu.has_device_attr(group, attr)
        assert rig.vcpu.get_device_attr(group, attr, 4) == _u32(VTIMER)
        rig.vcpu.set_device_attr(group, attr, _u32(20))
        assert rig.vcpu.get_device_attr(group, attr, 4) == _u32(20)
        with refused(errno.EINVAL, "does not accept this value"):
            rig.vcpu.set_device_attr(group, attr, _u32(99))
