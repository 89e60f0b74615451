"""The interrupt controller of a fuzzed machine: its frames, its attributes, its lines."""

from __future__ import annotations

import random

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm import Device, Vm
from guestdbg.kvm import constants as kvm
from guestdbg.kvm.errors import KvmError

_DIST, _CPU, _REDIST = 0x0800_0000, 0x0801_0000, 0x080A_0000
_ICC = [register.encoding for name, register in SYSREGS.items() if name.startswith("ICC_")]
_GROUPS = (
    kvm.KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    kvm.KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
    kvm.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
    kvm.KVM_DEV_ARM_VGIC_GRP_CPU_REGS,
    kvm.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
    kvm.KVM_DEV_ARM_VGIC_GRP_ADDR,
    kvm.KVM_DEV_ARM_VGIC_GRP_NR_IRQS,
    kvm.KVM_DEV_ARM_VGIC_GRP_CTRL,
    9,
)


class FuzzedGic:
    """A GICv2 or GICv3 of a machine whose vCPUs exist, enabled.

    Attributes:
        near: guest-physical addresses of registers.
    """

    def __init__(self, vm: Vm, rng: random.Random) -> None:
        self._vm = vm
        self._v3 = rng.random() < 0.6
        frames = (
            ((kvm.KVM_VGIC_V3_ADDR_TYPE_DIST, _DIST), (kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST, _REDIST))
            if self._v3
            else ((kvm.KVM_VGIC_V2_ADDR_TYPE_DIST, _DIST), (kvm.KVM_VGIC_V2_ADDR_TYPE_CPU, _CPU))
        )
        self._gic: Device = vm.create_device(
            kvm.KVM_DEV_TYPE_ARM_VGIC_V3 if self._v3 else kvm.KVM_DEV_TYPE_ARM_VGIC_V2
        )
        self._set(kvm.KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, rng.choice([64, 96, 256]), 4)
        for attr, base in frames:
            self._set(kvm.KVM_DEV_ARM_VGIC_GRP_ADDR, attr, base, 8)
        self._gic.set_attr(kvm.KVM_DEV_ARM_VGIC_GRP_CTRL, kvm.KVM_DEV_ARM_VGIC_CTRL_INIT, b"")
        self._set(kvm.KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 2 if self._v3 else 1, 4)
        second = _REDIST + 0x1_0000 if self._v3 else _CPU
        offsets = (0, 0x104, 0x204, 0x304, 0x384, 0x404, 0xC08, 0xF00)
        self.near = [_DIST + n for n in offsets] + [second + n for n in (0, 4, 0xC, 0x10, 0x200)]
        if self._v3:
            self.near.append(_DIST + 0x6100)

    def _set(self, group: int, attr: int, value: int, size: int) -> None:
        self._gic.set_attr(group, attr, value.to_bytes(size, "little"))

    def attributes(self, rng: random.Random) -> None:
        """Any attribute, any value: accepted, or refused with KvmError."""
        for _ in range(rng.randint(1, 30)):
            group = rng.choice(_GROUPS)
            attr = rng.choice(
                [
                    rng.getrandbits(12) & ~3,
                    rng.getrandbits(17) & ~3,
                    rng.choice(_ICC),
                    rng.getrandbits(64),
                ]
            )
            attr |= rng.choice([0, 0, 1]) << 32
            data = rng.randbytes(rng.choice([4, 4, 8, 8, 3, 0]))
            for call in (
                lambda g=group, a=attr, d=data: self._gic.set_attr(g, a, d),
                lambda g=group, a=attr, d=data: self._gic.get_attr(g, a, len(d)),
                lambda g=group, a=attr: self._gic.has_attr(g, a),
            ):
                try:
                    call()
                except KvmError:
                    continue

    def line(self, rng: random.Random, vcpu_id: int) -> None:
        """Raise or lower an input."""
        if rng.random() < 0.5:
            irq = kvm.KVM_ARM_IRQ_TYPE_SPI << 24 | rng.randrange(32, 64)
        else:
            irq = kvm.KVM_ARM_IRQ_TYPE_PPI << 24 | vcpu_id << 16 | rng.randrange(16, 32)
        self._vm.irq_line(irq, rng.getrandbits(1))
