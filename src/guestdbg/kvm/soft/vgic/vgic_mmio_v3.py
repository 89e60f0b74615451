"""The GICv3's distributor and redistributors, and SGIs (vgic-mmio-v3.c).

There is no ITS, so there are no LPIs: their registers keep what the kernel keeps of them.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.vgic import vgic, vgic_v3
from guestdbg.kvm.soft.vgic import vgic_mmio as mmio
from guestdbg.kvm.soft.vgic.arm_vgic import (
    KVM_VGIC_IMP_REV_2,
    KVM_VGIC_IMP_REV_3,
    V3_DIST_SIZE,
    V3_REDIST_SIZE,
    Frame,
    RedistRegion,
)
from guestdbg.kvm.soft.vgic.vgic_mmio import RegisterTable, region
from guestdbg.kvm.soft.vgic.vgic_mmio_v2 import (
    IIDR_KVM,
    IIDR_REVISION,
    IIDR_REVISION_SHIFT,
    enable_dist,
)

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState, VmState
    from guestdbg.kvm.soft.vgic.arm_vgic import (
        VgicDist,
    )
    from guestdbg.kvm.soft.vgic.vgic_mmio import RegisterRegion

_ENABLE_SS_G1, _ARE_NS, _DS = 1 << 1, 1 << 4, 1 << 6
_CTLR_IR, _CTLR_CES = 1 << 2, 1 << 1
_TYPER_LAST = 1 << 4
_PTZ = 1 << 62
#: GICD_TYPER.IDbits: 10-bit INTIDs.
_ID_BITS_SPIS = 10
_PIDR2_GICV3 = 0x3B

# Shareability [11:10] and cacheability (inner [9:7], outer [58:56]) of GICR_PROPBASER and
# GICR_PENDBASER.
_OUTER_SHAREABLE, _INNER_SHAREABLE = 2, 1
_CACHE_NCNB, _CACHE_NC, _CACHE_RAWB = 0, 1, 7
_SAME_AS_INNER = 0
_PROPBASER_RES0 = 0x1F << 59 | 0xF << 52 | 3 << 5
_PENDBASER_RES0 = 1 << 63 | 7 << 59 | 0xF << 52 | 0xF << 12 | 0x7F
#: GICR_PENDBASER after reset: inner RaWb, outer as inner, inner shareable.
INITIAL_PENDBASER = _CACHE_RAWB << 7 | _SAME_AS_INNER << 56 | _INNER_SHAREABLE << 10


def _bytes_of(value: int, offset: int, size: int) -> int:
    """The part of a 64-bit register that an access reads."""
    return value >> 8 * (offset & 7) & (1 << 8 * size) - 1


def _update(register: int, offset: int, size: int, value: int) -> int:
    """A 64-bit register after a write to all of it or to a half."""
    shift = 8 * (offset & 4)
    mask = (1 << 8 * size) - 1
    return register & ~(mask << shift) | (value & mask) << shift


# -- the distributor -------------------------------------------------------------------------------


def _read_misc(vcpu: VcpuState, offset: int, size: int) -> int:
    """GICD_CTLR, TYPER, IIDR, TYPER2."""
    dist = vgic.get_dist(vcpu.vm)
    if offset == 0:
        return _ARE_NS | _DS | (_ENABLE_SS_G1 if dist.enabled else 0)
    if offset == 4:
        return (dist.nr_irqs >> 5) - 1 | _ID_BITS_SPIS - 1 << 19
    if offset == 8:
        return IIDR_KVM | dist.implementation_rev << IIDR_REVISION_SHIFT
    return 0


def _write_misc(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    if offset == 0:
        enable_dist(vcpu, bool(value & _ENABLE_SS_G1))


def _user_write_misc(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
    dist = vgic.get_dist(vcpu.vm)
    if offset == 0:
        dist.enabled = bool(value & _ENABLE_SS_G1)
        return True
    if offset == 8:
        revision = value >> IIDR_REVISION_SHIFT & 0xF
        if (value ^ _read_misc(vcpu, offset, size)) & ~IIDR_REVISION:
            return False
        if revision not in (KVM_VGIC_IMP_REV_2, KVM_VGIC_IMP_REV_3):
            return False
        dist.implementation_rev = revision
        return True
    return offset != 12 or value == 0


def _read_irouter(vcpu: VcpuState, offset: int, size: int) -> int:
    irq = vgic.get_dist(vcpu.vm).irq(None, mmio.first_intid(offset, 64))
    # There is no Aff3: the upper half is zero.
    return _bytes_of(irq.mpidr, offset, size) if irq is not None else 0


def _write_irouter(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    irq = vgic.get_dist(vcpu.vm).irq(None, mmio.first_intid(offset, 64))
    if irq is not None and not offset & 4:
        irq.mpidr = value & 0xFF_FFFF
        irq.target_vcpu = vgic.get_dist(vcpu.vm).places.get(irq.mpidr)


def _read_idregs(vcpu: VcpuState, offset: int, size: int) -> int:
    return _PIDR2_GICV3 if offset & 0xFFFF == 0xFFE8 else 0


def _shared(
    offset: int,
    bits: int,
    read: mmio.Read,
    write: mmio.Write,
    widths: tuple[int, ...] = mmio.WORD,
    *,
    user_read: mmio.Read | None = None,
    user_write: mmio.UserWrite | None = None,
) -> list[RegisterRegion]:
    """Registers of SPIs. Private interrupts are in the redistributors: here they read as zero."""
    private = 32 * bits // 8
    return [
        region(offset, private, mmio.read_raz, mmio.write_wi, widths, bits_per_irq=bits),
        region(
            offset + private,
            (1024 - 32) * bits // 8,
            read,
            write,
            widths,
            user_read=user_read,
            user_write=user_write,
            bits_per_irq=bits,
        ),
    ]


def _user_write_pending(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
    """GICD_ISPENDR by userspace sets all 32 latches, to one or zero."""
    mmio.user_write_spending(vcpu, offset, size, value)
    return mmio.user_write_cpending(vcpu, offset, size, ~value)


DIST_REGISTERS = RegisterTable(
    [
        region(0x0000, 16, _read_misc, _write_misc, user_write=_user_write_misc),
        region(0x0010, 4, mmio.read_rao, mmio.write_wi),  # GICD_STATUSR
        *_shared(0x0080, 1, mmio.read_group, mmio.write_group),
        *_shared(0x0100, 1, mmio.read_enable, mmio.write_senable),
        *_shared(0x0180, 1, mmio.read_enable, mmio.write_cenable),
        *_shared(
            0x0200,
            1,
            mmio.read_pending,
            mmio.write_spending,
            user_read=mmio.user_read_pending,
            user_write=_user_write_pending,
        ),
        *_shared(
            0x0280,
            1,
            mmio.read_pending,
            mmio.write_cpending,
            user_read=mmio.read_raz,
            user_write=mmio.user_write_wi,
        ),
        *_shared(
            0x0300, 1, mmio.read_active, mmio.write_sactive, user_write=mmio.user_write_sactive
        ),
        *_shared(
            0x0380, 1, mmio.read_active, mmio.write_cactive, user_write=mmio.user_write_cactive
        ),
        *_shared(0x0400, 8, mmio.read_priority, mmio.write_priority, mmio.BYTE_OR_WORD),
        *_shared(0x0800, 8, mmio.read_raz, mmio.write_wi, mmio.BYTE_OR_WORD),  # GICD_ITARGETSR
        *_shared(0x0C00, 2, mmio.read_config, mmio.write_config),
        *_shared(0x0D00, 1, mmio.read_raz, mmio.write_wi),  # GICD_IGRPMODR
        *_shared(0x6000, 64, _read_irouter, _write_irouter, mmio.WORD_OR_DOUBLE),
        region(0xFFD0, 48, _read_idregs, mmio.write_wi),
    ]
)


# -- redistributors --------------------------------------------------------------------------------


def _read_ctlr(vcpu: VcpuState, offset: int, size: int) -> int:
    if vgic.get_dist(vcpu.vm).implementation_rev >= KVM_VGIC_IMP_REV_3:
        return _CTLR_IR | _CTLR_CES
    return 0


def _read_rd_iidr(vcpu: VcpuState, offset: int, size: int) -> int:
    return IIDR_KVM


def _is_last(vcpu: VcpuState) -> bool:
    """Whether no redistributor follows this one in memory (vgic_mmio_vcpu_rdist_is_last)."""
    dist = vgic.get_dist(vcpu.vm)
    assert vcpu.vgic_cpu is not None
    place = dist.redists.get(vcpu.vgic_cpu.index)
    if place is None:
        return False
    number, at = place
    used = [n for n, _ in dist.redists.values()]
    if at < used.count(number) - 1:
        return False
    own = dist.rd_regions[number]
    if own.count and at == own.count - 1:
        end = own.base + own.count * V3_REDIST_SIZE
        return not any(other.base == end and n in used for n, other in enumerate(dist.rd_regions))
    return True


def _read_typer(vcpu: VcpuState, offset: int, size: int) -> int:
    value = (vcpu.affinity & 0xFF_FFFF) << 32 | (vcpu.id & 0xFFFF) << 8
    if _is_last(vcpu):
        value |= _TYPER_LAST
    return _bytes_of(value, offset, size)


def _sanitise(value: int, res0: int) -> int:
    """What is kept of the attributes of a table of LPIs."""
    if value >> 10 & 3 == _OUTER_SHAREABLE:
        value = value & ~(3 << 10) | _INNER_SHAREABLE << 10
    if value >> 7 & 7 in (_CACHE_NCNB, _CACHE_NC):
        value = value & ~(7 << 7) | _CACHE_RAWB << 7
    if value >> 56 & 7 not in (_SAME_AS_INNER, _CACHE_NC):
        value = value & ~(7 << 56) | _SAME_AS_INNER << 56
    return value & ~res0


def _read_propbaser(vcpu: VcpuState, offset: int, size: int) -> int:
    return _bytes_of(vgic.get_dist(vcpu.vm).propbaser, offset, size)


def _write_propbaser(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    dist = vgic.get_dist(vcpu.vm)
    dist.propbaser = _sanitise(_update(dist.propbaser, offset, size, value), _PROPBASER_RES0)


def _read_pendbaser(vcpu: VcpuState, offset: int, size: int) -> int:
    assert vcpu.vgic_cpu is not None
    return _bytes_of(vcpu.vgic_cpu.pendbaser & ~_PTZ, offset, size)


def _write_pendbaser(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    gic = vcpu.vgic_cpu
    assert gic is not None
    gic.pendbaser = _sanitise(_update(gic.pendbaser, offset, size, value), _PENDBASER_RES0)


_SGI = 0x10000

REDIST_REGISTERS = RegisterTable(
    [
        region(0x0000, 4, _read_ctlr, mmio.write_wi),
        region(0x0004, 4, _read_rd_iidr, mmio.write_wi),
        region(0x0008, 8, _read_typer, mmio.write_wi, mmio.WORD_OR_DOUBLE),
        region(0x0010, 4, mmio.read_raz, mmio.write_wi),  # GICR_STATUSR
        region(0x0014, 4, mmio.read_raz, mmio.write_wi),  # GICR_WAKER
        region(0x0070, 8, _read_propbaser, _write_propbaser, mmio.WORD_OR_DOUBLE),
        region(0x0078, 8, _read_pendbaser, _write_pendbaser, mmio.WORD_OR_DOUBLE),
        region(0x00A0, 8, mmio.read_raz, mmio.write_wi, mmio.WORD_OR_DOUBLE),  # GICR_INVLPIR
        region(0x00B0, 8, mmio.read_raz, mmio.write_wi, mmio.WORD_OR_DOUBLE),  # GICR_INVALLR
        region(0x00C0, 4, mmio.read_raz, mmio.write_wi),  # GICR_SYNCR
        region(0xFFD0, 48, _read_idregs, mmio.write_wi),
        region(_SGI + 0x080, 4, mmio.read_group, mmio.write_group),
        region(_SGI + 0x100, 4, mmio.read_enable, mmio.write_senable),
        region(_SGI + 0x180, 4, mmio.read_enable, mmio.write_cenable),
        region(
            _SGI + 0x200,
            4,
            mmio.read_pending,
            mmio.write_spending,
            user_read=mmio.user_read_pending,
            user_write=_user_write_pending,
        ),
        region(
            _SGI + 0x280,
            4,
            mmio.read_pending,
            mmio.write_cpending,
            user_read=mmio.read_raz,
            user_write=mmio.user_write_wi,
        ),
        region(
            _SGI + 0x300,
            4,
            mmio.read_active,
            mmio.write_sactive,
            user_write=mmio.user_write_sactive,
        ),
        region(
            _SGI + 0x380,
            4,
            mmio.read_active,
            mmio.write_cactive,
            user_write=mmio.user_write_cactive,
        ),
        region(_SGI + 0x400, 32, mmio.read_priority, mmio.write_priority, mmio.BYTE_OR_WORD),
        region(_SGI + 0xC00, 8, mmio.read_config, mmio.write_config),
        region(_SGI + 0xD00, 4, mmio.read_raz, mmio.write_wi),  # GICR_IGRPMODR0
        region(_SGI + 0xE00, 4, mmio.read_raz, mmio.write_wi),  # GICR_NSACR
    ]
)


def register_redist(vm: VmState, dist: VgicDist, index: int) -> bool:
    """Give a vCPU's redistributor its place, if there is one (vgic_register_redist_iodev).

    Returns False if the frames overlap or do not fit into the machine.
    """
    if index in dist.redists:
        return True
    for number, found in enumerate(dist.rd_regions):
        used = sum(n == number for n, _ in dist.redists.values())
        if found.count and used >= found.count:
            continue
        if not vgic_v3.check_base(vm, dist):
            return False
        dist.redists[index] = number, used
        base = found.base + used * V3_REDIST_SIZE
        dist.add_frame(Frame(base, base + V3_REDIST_SIZE, REDIST_REGISTERS, index))
        return True
    return True


def set_redist_base(vm: VmState, dist: VgicDist, index: int, base: int, count: int) -> None:
    """Add a region of redistributors (vgic_v3_set_redist_base).

    ``count`` 0: the only region, with one redistributor for each vCPU.

    Raises:
        KvmError: EINVAL: not aligned, overlapping, or not the next index; EEXIST: it has an address
            already; E2BIG: beyond the machine's addresses.
    """
    _check_new_region(vm, dist, index, base, count)
    dist.rd_regions.append(RedistRegion(index, base, count))
    before = dict(dist.redists), list(dist.frames)
    for place in range(len(vm.soft_vcpus)):
        if not register_redist(vm, dist, place):
            dist.redists, dist.frames = before
            dist.rd_regions.pop()
            raise _refused(errno.EINVAL, f"{base:#x}: the frames overlap, or do not fit")


def _check_new_region(vm: VmState, dist: VgicDist, index: int, base: int, count: int) -> None:
    size = vgic_v3.redist_region_size(vm, count)
    if base + size >= 1 << 64:
        raise _refused(errno.EINVAL, f"{base:#x}: the region crosses the end of memory")
    if dist.rd_regions:
        last = dist.rd_regions[-1]
        if not count and last.count:
            raise _refused(errno.EINVAL, "REDIST and REDIST_REGION cannot be mixed")
        if not count:
            raise _refused(errno.EEXIST, "the redistributors have an address already")
        if index != last.index + 1:
            raise _refused(errno.EINVAL, f"index {index}: the next one is {last.index + 1}")
    elif index:
        raise _refused(errno.EINVAL, f"index {index}: the first one is 0")
    if not count and dist.dist_base is not None:
        start = dist.dist_base
        if base + size > start and base < start + V3_DIST_SIZE:
            raise _refused(errno.EINVAL, f"{base:#x}: it overlaps the distributor at {start:#x}")
    if vgic_v3.rdist_overlap(vm, dist, base, size):
        raise _refused(errno.EINVAL, f"{base:#x}: it overlaps another region of redistributors")
    if base % 0x10000:
        raise _refused(errno.EINVAL, f"{base:#x} is not a multiple of 64 KiB")
    if base + size > 1 << vm.ipa_bits:
        raise _refused(
            errno.E2BIG,
            f"{size:#x} bytes at {base:#x} do not fit into the machine's {vm.ipa_bits} bits",
        )


def _refused(number: int, text: str) -> KvmError:
    return KvmError(number, "KVM_SET_DEVICE_ATTR", text)


# -- SGIs ------------------------------------------------------------------------------------------


def dispatch_sgi(vcpu: VcpuState, value: int, *, allow_group1: bool) -> None:
    """A write of ICC_SGI0R_EL1, ICC_SGI1R_EL1 or ICC_ASGI1R_EL1 (vgic_v3_dispatch_sgi).

    ``allow_group1``: SGIs of group 1 may be sent too.
    """
    vm = vcpu.vm
    dist = vgic.get_dist(vm)
    sgi = value >> 24 & 15
    with dist.lock:
        if value >> 40 & 1:  # IRM: all but this one
            targets = [cpu for cpu in dist.cpus if vm.soft_vcpus[cpu.index] is not vcpu]
        else:
            aff3, aff2, aff1 = value >> 48 & 0xFF, value >> 32 & 0xFF, value >> 16 & 0xFF
            cluster = aff3 << 32 | aff2 << 16 | aff1 << 8
            targets = []
            for aff0 in range(16):
                if value >> aff0 & 1:
                    place = dist.places.get(cluster | aff0)
                    if place is not None:
                        targets.append(dist.cpus[place])
        for cpu in targets:
            irq = dist.private_irq(cpu, sgi)
            if allow_group1 or not irq.group:
                irq.pending_latch = True
                vgic.queue_irq(vm, irq)
