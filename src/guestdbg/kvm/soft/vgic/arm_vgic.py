"""The state of a machine's interrupt controller (include/kvm/arm_vgic.h, vgic.h).

vCPUs are numbered here by their place in ``VmState.soft_vcpus``.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from guestdbg.kvm.constants import KVM_DEV_TYPE_ARM_VGIC_V2, KVM_DEV_TYPE_ARM_VGIC_V3

VGIC_V2: Final = KVM_DEV_TYPE_ARM_VGIC_V2
VGIC_V3: Final = KVM_DEV_TYPE_ARM_VGIC_V3

VGIC_V2_MAX_CPUS: Final = 8
VGIC_NR_SGIS: Final = 16
VGIC_NR_PRIVATE_IRQS: Final = 32
#: SGIs, PPIs and SPIs of a machine whose userspace gives no number.
VGIC_NR_IRQS_LEGACY: Final = 256
#: Above the last SPI: INTIDs with a special meaning.
VGIC_MAX_RESERVED: Final = 1023
#: Priorities have the upper 5 bits of a byte.
VGIC_PRIORITY_MASK: Final = 0xF8
VGIC_NUM_PRI_BITS: Final = 5
#: ICH_VTR_EL2.IDbits: 16-bit INTIDs.
VGIC_NUM_ID_BITS: Final = 0
#: List registers of the processor.
VGIC_NR_LR: Final = 4

KVM_VGIC_IMP_REV_2: Final = 2
KVM_VGIC_IMP_REV_3: Final = 3

#: Sizes of the frames, in bytes.
V2_DIST_SIZE: Final = 0x1000
V2_CPU_SIZE: Final = 0x2000
V3_DIST_SIZE: Final = 0x10000
V3_REDIST_SIZE: Final = 0x20000


class VgicIrq:
    """An interrupt: an SGI or PPI of one vCPU, or an SPI.

    Attributes:
        intid: its number.
        vcpu: the vCPU on whose ``ap_list`` it is; None: on none.
        target_vcpu: the vCPU that it is to be sent to; None: there is no such vCPU.
        line_level: the level of the input; of an edge-triggered interrupt it has no effect.
        pending_latch: pending by an edge, or by a write of GICD_ISPENDR.
        active, enabled: as in the distributor's registers.
        edge: edge-triggered; otherwise level-sensitive.
        priority: 0 (highest) to 0xF8.
        group: 0 or 1.
        source: of a GICv2's SGI, the vCPUs that have sent it, a bit for each.
        active_source: of a GICv2's SGI, the vCPU whose SGI is active.
        targets: of a GICv2, GICD_ITARGETSR.
        mpidr: of a GICv3, GICD_IROUTER.
        owned: a device in the kernel drives the input, so userspace's KVM_IRQ_LINE is ignored.
        mapped: the input is the processor's own virtual timer, so userspace cannot set ``active``.
    """

    __slots__ = (
        "active",
        "active_source",
        "edge",
        "enabled",
        "group",
        "intid",
        "line_level",
        "mapped",
        "mpidr",
        "owned",
        "pending_latch",
        "priority",
        "source",
        "target_vcpu",
        "targets",
        "vcpu",
    )

    def __init__(self, intid: int, target_vcpu: int | None) -> None:
        self.intid = intid
        self.vcpu: int | None = None
        self.target_vcpu = target_vcpu
        self.line_level = False
        self.pending_latch = False
        self.active = False
        self.enabled = intid < VGIC_NR_SGIS
        self.edge = intid < VGIC_NR_SGIS
        self.priority = 0
        self.group = 0
        self.source = 0
        self.active_source = 0
        self.targets = 0
        self.mpidr = 0
        self.owned = False
        self.mapped = False

    def __repr__(self) -> str:
        flags = [name for name in ("enabled", "active", "edge") if getattr(self, name)]
        if self.is_pending():
            flags.append("pending")
        return f"<VgicIrq {self.intid} {' '.join(flags)} priority={self.priority:#x}>"

    def is_pending(self) -> bool:
        """irq_is_pending()"""
        return self.pending_latch or (self.line_level and not self.edge)

    def lr_count(self) -> int:
        """How many list registers it would need: SGIs of a GICv2 can have several sources."""
        if self.source:
            return self.source.bit_count() + self.active
        return self.is_pending() + self.active


class VgicCpu:
    """A vCPU's part of the interrupt controller.

    Attributes:
        index: the vCPU's place in the machine.
        private_irqs: its SGIs and PPIs, by INTID.
        ap_list: the interrupts that are active or pending for it.
        lr_irqs: the interrupts that its list registers hold, in their order; empty: none is in use.
        base_hcr: ICH_HCR_EL2 while all its interrupts are in list registers.
        hcr: ICH_HCR_EL2, as it was last written.
        pendbaser: GICR_PENDBASER.
        num_pri_bits, num_id_bits: of ICC_CTLR_EL1, which userspace may lower.
    """

    __slots__ = (
        "ap_list",
        "base_hcr",
        "hcr",
        "index",
        "lr_irqs",
        "num_id_bits",
        "num_pri_bits",
        "pendbaser",
        "private_irqs",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.private_irqs = [VgicIrq(intid, index) for intid in range(VGIC_NR_PRIVATE_IRQS)]
        self.ap_list: list[VgicIrq] = []
        self.lr_irqs: list[VgicIrq] = []
        self.base_hcr = 0
        self.hcr = 0
        self.pendbaser = 0
        self.num_pri_bits = VGIC_NUM_PRI_BITS
        self.num_id_bits = VGIC_NUM_ID_BITS


@dataclass(frozen=True, slots=True)
class RedistRegion:
    """A region of redistributors.

    Attributes:
        index: its number.
        base: guest-physical address.
        count: redistributors that it has room for; 0: as many as there are vCPUs.
    """

    index: int
    base: int
    count: int


class Registers(Protocol):
    """The registers of a frame; ``vcpu`` is the VcpuState whose registers are meant."""

    def read(self, vcpu: Any, offset: int, size: int) -> int:
        """The guest reads."""

    def write(self, vcpu: Any, offset: int, size: int, value: int) -> None:
        """The guest writes."""


class Frame(NamedTuple):
    """A frame of registers in the machine's physical memory (struct vgic_io_device).

    Attributes:
        base, end: guest-physical addresses: of its start, and after its last byte.
        registers: what is in it.
        vcpu: the vCPU whose redistributor it is; None: the distributor.
    """

    base: int
    end: int
    registers: Registers
    vcpu: int | None


class VgicDist:
    """The interrupt controller of a machine.

    Attributes:
        model: VGIC_V2 or VGIC_V3.
        lock: held where interrupts are looked at or changed; KVM_IRQ_LINE comes from any thread.
        initialized: it has its interrupts, and no vCPU can be added.
        ready: a vCPU has run, so its frames are in place.
        nr_spis: SPIs; 0: not known yet.
        dist_base, cpu_base: guest-physical addresses of the distributor, and of a GICv2's CPU
            interface; None: not set.
        rd_regions: regions of redistributors.
        redists: for each vCPU whose redistributor has a place: the region's position in
            ``rd_regions``, and the place in it.
        frames: the frames that are in place, by their addresses.
        enabled: GICD_CTLR's enable bit.
        implementation_rev: GICD_IIDR.Revision.
        v2_groups_user_writable: userspace has written GICD_IIDR, so it knows of groups.
        propbaser: GICR_PROPBASER, one for the machine.
        spis: the SPIs, from INTID 32 on.
        cpus: the parts of the vCPUs.
        places: the vCPUs, by the affinity fields of their MPIDR_EL1.
        touched: the interrupts that may have changed since ``unchanged_since``. Who changes one
            has it from ``irq``, ``private_irq`` or a list, or adds it.
        unchanged_since: the state in which all other interrupts still are: the one that was last
            saved or restored (save.py); None: nothing is known.
    """

    def __init__(self, model: int) -> None:
        self.model = model
        self.lock = threading.RLock()
        self.initialized = False
        self.ready = False
        self.nr_spis = 0
        self.dist_base: int | None = None
        self.cpu_base: int | None = None
        self.rd_regions: list[RedistRegion] = []
        self.redists: dict[int, tuple[int, int]] = {}
        self.frames: list[Frame] = []
        self.enabled = False
        self.implementation_rev = KVM_VGIC_IMP_REV_3
        self.v2_groups_user_writable = False
        self.propbaser = 0
        self.spis: list[VgicIrq] = []
        self.cpus: list[VgicCpu] = []
        self.places: dict[int, int] = {}
        self.touched: set[VgicIrq] = set()
        self.unchanged_since: object = None

    @property
    def nr_irqs(self) -> int:
        """SGIs, PPIs and SPIs together."""
        return self.nr_spis + VGIC_NR_PRIVATE_IRQS

    def irq(self, cpu: VgicCpu | None, intid: int) -> VgicIrq | None:
        """The interrupt with this number (vgic_get_irq); ``cpu`` is for private ones."""
        if intid < VGIC_NR_PRIVATE_IRQS:
            return self.private_irq(cpu, intid) if cpu is not None else None
        intid -= VGIC_NR_PRIVATE_IRQS
        if intid >= len(self.spis):
            return None
        irq = self.spis[intid]
        self.touched.add(irq)
        return irq

    def private_irq(self, cpu: VgicCpu, intid: int) -> VgicIrq:
        """The same for an SGI or PPI, which there is."""
        irq = cpu.private_irqs[intid]
        self.touched.add(irq)
        return irq

    def add_frame(self, frame: Frame) -> None:
        """Put a frame in its place."""
        insort(self.frames, frame, key=_base)

    def frame_at(self, address: int, length: int) -> Frame | None:
        """The frame that an access of ``length`` bytes is in, or None."""
        found = bisect_right(self.frames, address, key=_base) - 1
        if found < 0:
            return None
        frame = self.frames[found]
        return frame if address + length <= frame.end else None


def _base(frame: Frame) -> int:
    return frame.base
