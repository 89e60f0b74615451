"""Registers of the frames, as far as both architectures have them alike (vgic-mmio.c).

An access that no register accepts, because of its offset, size or alignment, or because it belongs
to an interrupt that does not exist, reads as zero and writes nothing.

Functions that read take the vCPU whose banked registers are meant, the offset in the frame and the
number of bytes; those that write, the value too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from guestdbg.kvm.soft.state import VcpuState
from guestdbg.kvm.soft.vgic import vgic
from guestdbg.kvm.soft.vgic.arm_vgic import (
    VGIC_NR_PRIVATE_IRQS,
    VGIC_NR_SGIS,
    VGIC_PRIORITY_MASK,
    VGIC_V2,
    VGIC_V3,
)

if TYPE_CHECKING:
    from guestdbg.kvm.soft.vgic.arm_vgic import (
        VgicDist,
        VgicIrq,
    )

Read = Callable[[VcpuState, int, int], int]
Write = Callable[[VcpuState, int, int, int], None]
#: Returns whether the value is accepted.
UserWrite = Callable[[VcpuState, int, int, int], bool]

WORD: Final = (4,)
BYTE_OR_WORD: Final = (1, 4)
WORD_OR_DOUBLE: Final = (4, 8)


class RegisterRegion(NamedTuple):
    """Registers that one pair of functions answers for (struct vgic_register_region).

    Attributes:
        offset, size: where in the frame, in bytes.
        bits_per_irq: of registers with a field for each interrupt; otherwise 0.
        widths: the sizes of access, in bytes, that the registers accept.
        read, write: the guest's accesses.
        user_read, user_write: userspace's (device attributes).
    """

    offset: int
    size: int
    bits_per_irq: int
    widths: tuple[int, ...]
    read: Read
    write: Write
    user_read: Read
    user_write: UserWrite


def region(
    offset: int,
    size: int,
    read: Read,
    write: Write,
    widths: tuple[int, ...] = WORD,
    *,
    user_read: Read | None = None,
    user_write: UserWrite | None = None,
    bits_per_irq: int = 0,
) -> RegisterRegion:
    """A region of registers; userspace's accesses are by default the same as the guest's."""

    def plain_write(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
        write(vcpu, offset, size, value)
        return True

    return RegisterRegion(
        offset,
        size,
        bits_per_irq,
        widths,
        read,
        write,
        user_read or read,
        user_write or plain_write,
    )


class RegisterTable:
    """The registers of a frame, sorted by offset."""

    def __init__(self, regions: list[RegisterRegion]) -> None:
        self._regions = sorted(regions, key=lambda found: found.offset)
        self._offsets = [found.offset for found in self._regions]

    def find(self, dist: VgicDist, offset: int, size: int) -> RegisterRegion | None:
        """The region that accepts this access (vgic_get_mmio_region)."""
        at = bisect_right(self._offsets, offset) - 1
        if at < 0:
            return None
        found = self._regions[at]
        if offset >= found.offset + found.size or size not in found.widths or offset % size:
            return None
        if found.bits_per_irq and first_intid(offset, found.bits_per_irq) >= dist.nr_irqs:
            return None
        return found

    def read(self, vcpu: VcpuState, offset: int, size: int) -> int:
        """The guest reads."""
        found = self.find(vgic.get_dist(vcpu.vm), offset, size)
        return found.read(vcpu, offset, size) & (1 << 8 * size) - 1 if found is not None else 0

    def write(self, vcpu: VcpuState, offset: int, size: int, value: int) -> None:
        """The guest writes."""
        found = self.find(vgic.get_dist(vcpu.vm), offset, size)
        if found is not None:
            found.write(vcpu, offset, size, value)

    def user_read(self, vcpu: VcpuState, offset: int) -> int:
        """Userspace reads 32 bits."""
        found = self.find(vgic.get_dist(vcpu.vm), offset, 4)
        return found.user_read(vcpu, offset, 4) & 0xFFFF_FFFF if found is not None else 0

    def user_write(self, vcpu: VcpuState, offset: int, value: int) -> bool:
        """Userspace writes 32 bits. Returns False if the register does not accept the value."""
        found = self.find(vgic.get_dist(vcpu.vm), offset, 4)
        return found.user_write(vcpu, offset, 4, value) if found is not None else True


def first_intid(offset: int, bits: int) -> int:
    """The first interrupt of a register with so many bits for each (VGIC_ADDR_TO_INTID).

    The register files of all kinds are aligned to the size of 1024 interrupts.
    """
    return (offset & bits * 1024 // 8 - 1) * 8 // bits


def irqs(vcpu: VcpuState, intid: int, count: int) -> Iterator[tuple[int, VgicIrq]]:
    """The interrupts from ``intid`` on that exist, each with its place among ``count``."""
    dist = vgic.get_dist(vcpu.vm)
    for n in range(count):
        irq = dist.irq(vcpu.vgic_cpu, intid + n)
        if irq is not None:
            yield n, irq


def selected(vcpu: VcpuState, offset: int, size: int, value: int) -> Iterator[VgicIrq]:
    """The interrupts whose bits are set in a register with one bit for each."""
    for n, irq in irqs(vcpu, first_intid(offset, 1), 8 * size):
        if value >> n & 1:
            yield irq


def _bits(name: str) -> Read:
    """A register that shows one attribute of each interrupt."""

    def read(vcpu: VcpuState, offset: int, size: int) -> int:
        return sum(
            bool(getattr(irq, name)) << n for n, irq in irqs(vcpu, first_intid(offset, 1), 8 * size)
        )

    return read


# -- constant registers ----------------------------------------------------------------------------


def read_raz(vcpu: VcpuState, offset: int, size: int) -> int:
    """Read as zero."""
    return 0


def read_rao(vcpu: VcpuState, offset: int, size: int) -> int:
    """Read as ones."""
    return -1


def write_wi(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """Writes are ignored."""


def user_write_wi(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
    """Userspace's writes are ignored."""
    return True


# -- GICD_IGROUPR, GICD_ISENABLER, GICD_ICENABLER --------------------------------------------------

read_group = _bits("group")
read_enable = _bits("enabled")


def write_group(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_IGROUPR"""
    for n, irq in irqs(vcpu, first_intid(offset, 1), 8 * size):
        irq.group = value >> n & 1
        vgic.queue_irq(vcpu.vm, irq)


def write_senable(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_ISENABLER"""
    for irq in selected(vcpu, offset, size, value):
        irq.enabled = True
        vgic.queue_irq(vcpu.vm, irq)


def write_cenable(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_ICENABLER"""
    for irq in selected(vcpu, offset, size, value):
        irq.enabled = False


# -- GICD_ISPENDR, GICD_ICPENDR --------------------------------------------------------------------


def read_pending(vcpu: VcpuState, offset: int, size: int) -> int:
    """GICD_ISPENDR and GICD_ICPENDR, read by the guest."""
    return sum(irq.is_pending() << n for n, irq in irqs(vcpu, first_intid(offset, 1), 8 * size))


def user_read_pending(vcpu: VcpuState, offset: int, size: int) -> int:
    """The same, by userspace: of a GICv3 without the level, which has an attribute of its own."""
    if vgic.get_dist(vcpu.vm).model != VGIC_V3:
        return read_pending(vcpu, offset, size)
    return sum(irq.pending_latch << n for n, irq in irqs(vcpu, first_intid(offset, 1), 8 * size))


def _is_v2_sgi(vcpu: VcpuState, irq: VgicIrq) -> bool:
    return irq.intid < VGIC_NR_SGIS and vgic.get_dist(vcpu.vm).model == VGIC_V2


def write_spending(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_ISPENDR. SGIs of a GICv2 have GICD_SPENDSGIR instead."""
    for irq in selected(vcpu, offset, size, value):
        if not _is_v2_sgi(vcpu, irq):
            irq.pending_latch = True
            vgic.queue_irq(vcpu.vm, irq)


def user_write_spending(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
    """The same, by userspace. A GICv2's SGI gets the vCPU itself for its source, which is lost."""
    for irq in selected(vcpu, offset, size, value):
        irq.pending_latch = True
        if _is_v2_sgi(vcpu, irq):
            irq.source |= 1 << vcpu.id & 0xFF
        vgic.queue_irq(vcpu.vm, irq)
    return True


def write_cpending(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_ICPENDR. A level that is high stays pending."""
    for irq in selected(vcpu, offset, size, value):
        if not _is_v2_sgi(vcpu, irq):
            irq.pending_latch = False


def user_write_cpending(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
    """The same, by userspace: SGIs of a GICv2 from all senders."""
    for irq in selected(vcpu, offset, size, value):
        if _is_v2_sgi(vcpu, irq):
            irq.source = 0
        irq.pending_latch = False
    return True


# -- GICD_ISACTIVER, GICD_ICACTIVER ----------------------------------------------------------------

read_active = _bits("active")


def change_active(vcpu: VcpuState, irq: VgicIrq, active: bool, requester: int | None) -> None:
    """Set the active state (vgic_mmio_change_active); ``requester``: the vCPU; None: userspace."""
    if irq.mapped:
        # The physical interrupt has the state, which userspace cannot change.
        if requester is not None:
            irq.active = active
    else:
        irq.active = active
        if active and _is_v2_sgi(vcpu, irq):
            irq.active_source = requester or 0
    if irq.active:
        vgic.queue_irq(vcpu.vm, irq)


def _write_active(active: bool) -> tuple[Write, UserWrite]:
    def write(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
        for irq in selected(vcpu, offset, size, value):
            change_active(vcpu, irq, active, vcpu.id)

    def user_write(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
        for irq in selected(vcpu, offset, size, value):
            change_active(vcpu, irq, active, None)
        return True

    return write, user_write


write_sactive, user_write_sactive = _write_active(True)
write_cactive, user_write_cactive = _write_active(False)


# -- GICD_IPRIORITYR, GICD_ICFGR -------------------------------------------------------------------


def read_priority(vcpu: VcpuState, offset: int, size: int) -> int:
    """GICD_IPRIORITYR"""
    return sum(irq.priority << 8 * n for n, irq in irqs(vcpu, first_intid(offset, 8), size))


def write_priority(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_IPRIORITYR"""
    for n, irq in irqs(vcpu, first_intid(offset, 8), size):
        irq.priority = value >> 8 * n & VGIC_PRIORITY_MASK


def read_config(vcpu: VcpuState, offset: int, size: int) -> int:
    """GICD_ICFGR"""
    found = irqs(vcpu, first_intid(offset, 2), 4 * size)
    return sum(2 << 2 * n for n, irq in found if irq.edge)


def write_config(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_ICFGR. SGIs cannot be changed, and KVM's timers need PPIs that are level-sensitive."""
    for n, irq in irqs(vcpu, first_intid(offset, 2), 4 * size):
        if irq.intid >= VGIC_NR_PRIVATE_IRQS:
            irq.edge = bool(value >> 2 * n & 2)


# -- KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO ---------------------------------------------------------------


def read_line_levels(vcpu: VcpuState, intid: int) -> int:
    """The inputs of 32 interrupts that are level-sensitive and high."""
    return sum(
        (irq.line_level and not irq.edge) << n
        for n, irq in irqs(vcpu, intid, 32)
        if irq.intid >= VGIC_NR_SGIS
    )


def write_line_levels(vcpu: VcpuState, intid: int, value: int) -> None:
    """Set the inputs of 32 interrupts, whatever their trigger is now: it may be restored later."""
    for n, irq in irqs(vcpu, intid, 32):
        if irq.intid >= VGIC_NR_SGIS:
            irq.line_level = bool(value >> n & 1)
            if irq.line_level:
                vgic.queue_irq(vcpu.vm, irq)


# -- the guest's accesses --------------------------------------------------------------------------


def access(vcpu: VcpuState, address: int, size: int, value: int | None) -> int | None:
    """An access of the guest, if a frame is there (dispatch_mmio_read, dispatch_mmio_write).

    Args:
        address: guest-physical.
        size: bytes.
        value: of a write; None: a read.

    Returns what a read gives, and 0 for a write; None: no frame is there.
    """
    vm = vcpu.vm
    dist = vgic.get_dist(vm)
    frame = dist.frame_at(address, size)
    if frame is None:
        return None
    banked = vcpu if frame.vcpu is None else vm.soft_vcpus[frame.vcpu]
    with dist.lock:
        # Where an interrupt is active or pending may be known to a list register alone. Who has
        # the run lock, as this vCPU has, may look into those of all.
        vgic.sync_all(vm)
        if value is None:
            return frame.registers.read(banked, address - frame.base, size)
        frame.registers.write(banked, address - frame.base, size, value)
        for other, gic in zip(vm.soft_vcpus, dist.cpus, strict=True):
            if gic.ap_list:
                other.request_pending = True
        return 0
