"""The GICs as devices in the kernel: creation, addresses, attributes, and the errors of each."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import KvmError, open_kvm
from guestdbg.kvm import constants as kvm
from guestdbg.kvm.regs import sys_reg

from .gic_guest import (
    ADDR,
    CPU_INTERFACE,
    CPU_REGS,
    CTLR,
    CTRL,
    DIST,
    DIST_REGS,
    ICENABLER,
    ICFGR,
    ICPENDR,
    IGROUPR,
    IIDR,
    INIT,
    IPRIORITYR,
    IROUTER,
    ISACTIVER,
    ISENABLER,
    ISPENDR,
    ITARGETSR,
    LEVEL_INFO,
    NR_IRQS,
    REDIST,
    REDIST_REGS,
    SGI_BASE,
    SPI,
    SYS_REGS,
    TYPER,
    V2,
    V3,
    VTIMER,
    GicGuest,
    ppi_line,
    spi_line,
    stop,
    u32,
    u64,
)
from .support import Guest

V2_DIST, V2_CPU = kvm.KVM_VGIC_V2_ADDR_TYPE_DIST, kvm.KVM_VGIC_V2_ADDR_TYPE_CPU
V3_DIST, V3_REDIST = kvm.KVM_VGIC_V3_ADDR_TYPE_DIST, kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST
V3_REGION = kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION
UNDEFINED = (1 << 64) - 1


def fails(number: int, call: Callable[[], object]) -> None:
    with pytest.raises(KvmError) as error:
        call()
    assert error.value.errno == number, error.value


def region(base: int, count: int, index: int, flags: int = 0) -> bytes:
    return u64(count << 52 | base | flags << 12 | index)


# -- creation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [V2, V3])
def test_a_machine_has_one_interrupt_controller(kind: int) -> None:
    guest = Guest()
    tested = guest.vm.create_device(kind, kvm.KVM_CREATE_DEVICE_TEST)
    fails(errno.EBADF, lambda: tested.get_attr(NR_IRQS, 0, 4))
    guest.vm.create_device(kind)
    guest.vm.create_device(V2, kvm.KVM_CREATE_DEVICE_TEST)
    fails(errno.EEXIST, lambda: guest.vm.create_device(V3))


def test_other_devices_do_not_exist() -> None:
    guest = Guest()
    for kind in (kvm.KVM_DEV_TYPE_ARM_VGIC_ITS, 0, 99, -1):
        for flags in (0, kvm.KVM_CREATE_DEVICE_TEST):
            fails(errno.ENODEV, lambda kind=kind, flags=flags: guest.vm.create_device(kind, flags))


def test_it_cannot_be_created_after_a_run() -> None:
    guest = Guest(asm.b(0))
    guest.run(10)
    fails(errno.EBUSY, lambda: guest.vm.create_device(V3))


def test_a_gicv2_has_8_vcpus() -> None:
    guest = Guest(vcpus=9)
    fails(errno.E2BIG, lambda: guest.vm.create_device(V2))
    guest.vm.create_device(V3)
    guest = Guest(vcpus=7)
    guest.vm.create_device(V2)
    assert guest.vm.check_extension(kvm.KVM_CAP_MAX_VCPUS) == 8
    guest.vm.create_vcpu(7)
    fails(errno.EINVAL, lambda: guest.vm.create_vcpu(8))


def test_vcpus_come_before_its_initialisation() -> None:
    guest = Guest()
    gic = guest.vm.create_device(V3)
    guest.vm.create_vcpu(1)
    gic.set_attr(CTRL, INIT, b"")
    fails(errno.EBUSY, lambda: guest.vm.create_vcpu(2))
    gic.set_attr(CTRL, INIT, b"")


def test_capabilities() -> None:
    soft = open_kvm("soft")
    names = (kvm.KVM_CAP_IRQCHIP, kvm.KVM_CAP_DEVICE_CTRL, kvm.KVM_CAP_VCPU_ATTRIBUTES)
    assert [soft.check_extension(cap) for cap in names] == [1, 1, 1]
    assert soft.check_extension(kvm.KVM_CAP_MAX_VCPUS) == 64


# -- addresses, the number of interrupts -----------------------------------------------------------


def test_addresses_of_a_gicv3() -> None:
    guest = Guest(vcpus=4)
    gic = guest.vm.create_device(V3)
    assert gic.get_attr(ADDR, V3_DIST, 8) == u64(UNDEFINED)
    assert gic.get_attr(ADDR, V3_REDIST, 8) == u64(UNDEFINED)
    fails(errno.EINVAL, lambda: gic.set_attr(ADDR, V3_DIST, u64(DIST + 0x1000)))
    fails(errno.E2BIG, lambda: gic.set_attr(ADDR, V3_DIST, u64(1 << 40)))
    fails(errno.EINVAL, lambda: gic.set_attr(ADDR, V3_DIST, u64((1 << 64) - 0x10000)))
    fails(errno.EFAULT, lambda: gic.set_attr(ADDR, V3_DIST, b"1234"))
    fails(errno.ENXIO, lambda: gic.set_attr(ADDR, V2_DIST, u64(DIST)))
    fails(errno.ENXIO, lambda: gic.get_attr(ADDR, V2_CPU, 8))
    gic.set_attr(ADDR, V3_DIST, u64(DIST))
    fails(errno.EEXIST, lambda: gic.set_attr(ADDR, V3_DIST, u64(DIST)))
    fails(errno.EINVAL, lambda: gic.set_attr(ADDR, V3_REDIST, u64(REDIST + 0x1000)))
    fails(errno.EINVAL, lambda: gic.set_attr(ADDR, V3_REDIST, u64(DIST - 3 * 0x20000)))
    fails(errno.E2BIG, lambda: gic.set_attr(ADDR, V3_REDIST, u64((1 << 40) - 0x20000)))
    gic.set_attr(ADDR, V3_REDIST, u64(REDIST))
    fails(errno.EEXIST, lambda: gic.set_attr(ADDR, V3_REDIST, u64(REDIST)))
    assert gic.get_attr(ADDR, V3_DIST, 8) == u64(DIST)
    assert gic.get_attr(ADDR, V3_REDIST, 8) == u64(REDIST)


def test_regions_of_redistributors() -> None:
    guest = Guest(vcpus=4)
    gic = guest.vm.create_device(V3)
    fails(errno.ENOENT, lambda: gic.get_attr(ADDR, V3_REGION, 8))
    for bad in (
        region(REDIST, 0, 0),
        region(REDIST, 2, 0, flags=1),
        region(REDIST, 2, 1),
    ):
        fails(errno.EINVAL, lambda bad=bad: gic.set_attr(ADDR, V3_REGION, bad))
    fails(errno.E2BIG, lambda: gic.set_attr(ADDR, V3_REGION, region(1 << 40, 2, 0)))
    gic.set_attr(ADDR, V3_REGION, region(REDIST, 3, 0))
    assert gic.get_attr(ADDR, V3_REGION, 8) == region(REDIST, 3, 0)
    fails(errno.EINVAL, lambda: gic.set_attr(ADDR, V3_REGION, region(REDIST + 0x40000, 3, 1)))
    fails(errno.EINVAL, lambda: gic.set_attr(ADDR, V3_REGION, region(REDIST + 0x100000, 3, 2)))
    fails(errno.EINVAL, lambda: gic.set_attr(ADDR, V3_REDIST, u64(REDIST + 0x200000)))
    gic.set_attr(ADDR, V3_DIST, u64(DIST))
    gic.set_attr(CTRL, INIT, b"")
    # There is no place for the fourth vCPU's redistributor yet.
    fails(errno.ENXIO, lambda: guest.run(1))
    gic.set_attr(ADDR, V3_REGION, region(0x09800000, 5, 1))
    guest.place(guest.pc, asm.b(0))
    guest.run(1)
    lasts = [_typer(gic, n) >> 4 & 1 for n in range(4)]
    assert lasts == [0, 0, 1, 1]


def _typer(gic: object, vcpu: int) -> int:
    get = gic.get_attr  # type: ignore[attr-defined]
    low, high = (int.from_bytes(get(REDIST_REGS, vcpu << 32 | o, 4), "little") for o in (8, 12))
    return high << 32 | low


def test_addresses_of_a_gicv2() -> None:
    guest = Guest(asm.b(0))
    gic = guest.vm.create_device(V2)
    fails(errno.EINVAL, lambda: gic.set_attr(ADDR, V2_DIST, u64(DIST + 0x800)))
    fails(errno.ENXIO, lambda: gic.set_attr(ADDR, V3_DIST, u64(DIST)))
    fails(errno.ENXIO, lambda: guest.run(1))
    gic.set_attr(ADDR, V2_DIST, u64(DIST))
    fails(errno.ENXIO, lambda: guest.run(1))
    gic.set_attr(ADDR, V2_CPU, u64(DIST + 0x1000))
    fails(errno.EEXIST, lambda: gic.set_attr(ADDR, V2_CPU, u64(CPU_INTERFACE)))
    guest.run(1)
    guest = Guest(asm.b(0))
    gic = guest.vm.create_device(V2)
    gic.set_attr(ADDR, V2_DIST, u64(DIST))
    gic.set_attr(ADDR, V2_CPU, u64(DIST - 0x1000))
    fails(errno.EINVAL, lambda: guest.run(1))


def test_a_gicv3_that_is_not_complete_does_not_run() -> None:
    guest = Guest(asm.b(0))
    gic = guest.vm.create_device(V3)
    fails(errno.ENXIO, lambda: guest.run(1))
    gic.set_attr(ADDR, V3_REDIST, u64(REDIST))
    fails(errno.ENXIO, lambda: guest.run(1))
    gic.set_attr(ADDR, V3_DIST, u64(DIST))
    fails(errno.EBUSY, lambda: guest.run(1))
    fails(errno.EBUSY, lambda: guest.vm.irq_line(spi_line(SPI), 1))
    fails(errno.EBUSY, lambda: gic.get_attr(DIST_REGS, CTLR, 4))
    gic.set_attr(CTRL, INIT, b"")
    guest.run(1)


def test_a_gicv2_is_initialised_when_it_is_used() -> None:
    guest = Guest(asm.b(0))
    gic = guest.vm.create_device(V2)
    guest.vm.irq_line(spi_line(SPI), 1)
    assert gic.get_attr(NR_IRQS, 0, 4) == u32(256)
    fails(errno.EBUSY, lambda: guest.vm.create_vcpu(1))


@pytest.mark.parametrize("kind", [V2, V3])
def test_the_number_of_interrupts(kind: int) -> None:
    guest = Guest()
    gic = guest.vm.create_device(kind)
    assert gic.get_attr(NR_IRQS, 0, 4) == u32(32)
    for bad in (0, 32, 65, 1024, 1 << 31):
        fails(errno.EINVAL, lambda bad=bad: gic.set_attr(NR_IRQS, 0, u32(bad)))
    fails(errno.EFAULT, lambda: gic.set_attr(NR_IRQS, 0, b""))
    gic.set_attr(NR_IRQS, 0, u32(992))
    fails(errno.EBUSY, lambda: gic.set_attr(NR_IRQS, 0, u32(64)))
    assert gic.get_attr(NR_IRQS, 0, 4) == u32(992)


def test_attributes_that_exist() -> None:
    v3, v2 = GicGuest(vcpus=2), GicGuest(vcpus=2, version=2)
    for guest, group, attr, expected in (
        (v3, ADDR, V3_DIST, True),
        (v3, ADDR, V3_REGION, True),
        (v3, ADDR, V2_DIST, False),
        (v3, NR_IRQS, 0, True),
        (v3, CTRL, INIT, True),
        (v3, CTRL, kvm.KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, True),
        (v3, CTRL, 9, False),
        (v3, DIST_REGS, CTLR, True),
        (v3, DIST_REGS, 2, False),
        (v3, DIST_REGS, ISENABLER + 8, False),  # 64 interrupts
        (v3, REDIST_REGS, 8, True),
        (v3, REDIST_REGS, 1 << 32 | SGI_BASE + ISPENDR, True),
        (v3, REDIST_REGS, 2 << 32, False),
        (v3, SYS_REGS, sys_reg("ICC_PMR_EL1") & 0xFFFF, True),
        (v3, SYS_REGS, sys_reg("ICC_IAR1_EL1") & 0xFFFF, False),
        (v3, LEVEL_INFO, 32, True),
        (v3, LEVEL_INFO, 1 << 10, False),
        (v3, CPU_REGS, 0, False),
        (v3, 99, 0, False),
        (v2, ADDR, V2_CPU, True),
        (v2, ADDR, V3_DIST, False),
        (v2, DIST_REGS, 1 << 32 | ISENABLER, True),
        (v2, DIST_REGS, 2 << 32 | ISENABLER, False),
        (v2, CPU_REGS, 0xFC, True),
        (v2, CPU_REGS, 0x0C, False),
        (v2, CTRL, kvm.KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, False),
        (v2, REDIST_REGS, 0, False),
    ):
        assert guest.gic.has_attr(group, attr) == expected, (guest.version, group, hex(attr))
    for group, attr in ((CPU_REGS, 0), (99, 0), (CTRL, 9)):
        fails(errno.ENXIO, lambda g=group, a=attr: v3.gic.get_attr(g, a, 4))
        fails(errno.ENXIO, lambda g=group, a=attr: v3.gic.set_attr(g, a, u64(0)))
    for call in (
        lambda: v3.gic.get_attr(REDIST_REGS, 5 << 32, 4),
        lambda: v2.gic.set_attr(DIST_REGS, 5 << 32, u32(0)),
        lambda: v3.gic.get_attr(LEVEL_INFO, 33, 4),
        lambda: v3.gic.get_attr(LEVEL_INFO, 1 << 10, 4),
    ):
        fails(errno.EINVAL, call)


# -- registers -------------------------------------------------------------------------------------


def test_identification_of_a_gicv3() -> None:
    guest = GicGuest(vcpus=3)
    assert guest.dist(CTLR) == 0x52
    assert guest.dist(TYPER) == 1 | 9 << 19
    assert guest.dist(IIDR) == 0x4B00343B
    assert guest.dist(0xFFE8) == 0x3B
    assert [_typer(guest.gic, n) for n in range(3)] == [
        n << 32 | n << 8 | (n == 2) << 4 for n in range(3)
    ]
    assert guest.get(REDIST_REGS, 0xFFE8) == 0x3B
    guest.dist(IIDR, 0x4B00243B)
    assert guest.dist(IIDR) == 0x4B00243B
    for bad in (0x4B00143B, 0x43B, 0x4B00443B):
        fails(errno.EINVAL, lambda bad=bad: guest.dist(IIDR, bad))


def test_identification_of_a_gicv2() -> None:
    guest = GicGuest(vcpus=3, version=2)
    assert guest.dist(CTLR) == 1
    assert guest.dist(TYPER) == 1 | 2 << 5
    assert guest.dist(IIDR) == 0x4B00343B
    assert guest.get(CPU_REGS, 0xFC) == 0x04B2043B
    assert [guest.private(ITARGETSR, vcpu=n) for n in range(3)] == [
        0x01010101 << n for n in range(3)
    ]
    guest.dist(IGROUPR + 4, 0xFF)
    assert guest.dist(IGROUPR + 4) == 0, "userspace may not know of groups"
    guest.dist(IIDR, 0x4B00343B)
    guest.dist(IGROUPR + 4, 0xFF)
    assert guest.dist(IGROUPR + 4) == 0xFF


@pytest.mark.parametrize("version", [2, 3])
def test_registers_of_the_interrupts(version: int) -> None:
    guest = GicGuest(version=version)
    assert guest.private(ISENABLER) == 0xFFFF, "SGIs are enabled"
    assert guest.dist(ISENABLER + 4, 0xF0F0) == 0xF0F0
    assert guest.dist(ICENABLER + 4, 0x00F0) == 0xF000
    assert guest.dist(ISENABLER + 4) == 0xF000
    assert guest.dist(IPRIORITYR + 32, 0xFF7F0F07) == 0xF8780800, "5 bits"
    assert guest.dist(ICFGR + 8, 0xFFFFFFFF) == 0xAAAAAAAA
    assert guest.private(ICFGR, 0) == 0xAAAAAAAA, "SGIs are edge-triggered"
    assert guest.private(ICFGR + 4, 0xFFFFFFFF) == 0, "PPIs are not"
    assert guest.dist(ISACTIVER + 4, 0x3) == 3
    assert guest.dist(ISPENDR + 4, 0x5) == 5
    assert guest.dist(0x40000000) == 0, "nothing is there"
    guest.dist(0x40000000, 1)
    if version == 3:
        assert guest.dist(ISPENDR + 4, 0x4) == 4, "userspace sets all 32 latches"
        assert guest.dist(ICPENDR + 4) == 0
        assert guest.dist(IROUTER + 8 * SPI, 0x02030401) == 0x030401
        assert guest.dist(IROUTER + 8 * SPI + 4, 1) == 0, "no Aff3"
        assert guest.dist(IGROUPR + 4) == 0xFFFFFFFF
        assert guest.dist(ISENABLER) == 0, "the redistributors have the private ones"
    else:
        assert guest.dist(ICPENDR + 4, 0x1) == 4
        assert guest.dist(ITARGETSR + 32, 0xFFFFFFFF) == 0x01010101, "one vCPU"


def test_levels_are_saved_apart_from_latches() -> None:
    guest = GicGuest()
    guest.vm.irq_line(spi_line(SPI + 3), 1)
    assert guest.dist(ISPENDR + 4) == 0
    assert guest.get(LEVEL_INFO, 32) == 8
    guest.set(LEVEL_INFO, 32, 3)
    assert guest.get(LEVEL_INFO, 32) == 3
    assert guest.get(LEVEL_INFO, 0) == 0
    guest.set(LEVEL_INFO, 0, 1 << 20 | 5)
    assert guest.get(LEVEL_INFO, 0) == 1 << 20, "SGIs have no input"


def test_the_cpu_interface_of_a_gicv3() -> None:
    guest = GicGuest()
    for name, value, kept in (
        ("ICC_PMR_EL1", 0xF8, 0xF8),
        ("ICC_BPR0_EL1", 3, 3),
        ("ICC_BPR1_EL1", 5, 5),
        ("ICC_IGRPEN0_EL1", 1, 1),
        ("ICC_IGRPEN1_EL1", 0, 0),
        ("ICC_AP1R0_EL1", 0x10, 0x10),
        ("ICC_AP0R0_EL1", 0x2, 0x2),
        ("ICC_SRE_EL1", 7, 7),
        ("ICC_CTLR_EL1", 0x8403, 0x8403),
    ):
        assert guest.icc(name, value) == kept, name
    assert guest.icc("ICC_BPR1_EL1") == 4, "CBPR: BPR0 + 1"
    for name, value in (
        ("ICC_SRE_EL1", 0),
        ("ICC_CTLR_EL1", 0x8700),
        ("ICC_CTLR_EL1", 0xC400),
        ("ICC_CTLR_EL1", 0x0400),
        ("ICC_AP1R1_EL1", 0),
    ):
        fails(errno.EINVAL, lambda n=name, v=value: guest.icc(n, v))
    fails(errno.EINVAL, lambda: guest.icc("ICC_AP0R3_EL1"))
    fails(errno.ENOENT, lambda: guest.icc("ICC_IAR1_EL1"))
    fails(errno.ENOENT, lambda: guest.icc("ICC_SGI1R_EL1", 1))
    fails(errno.EFAULT, lambda: guest.gic.set_attr(SYS_REGS, 0xC230, u32(1)))


def test_the_cpu_interface_of_a_gicv2() -> None:
    guest = GicGuest(version=2)
    for offset, value, kept in (
        (0x00, 0x21F, 0x21F),
        (0x04, 0x10, 0x10),
        (0x08, 3, 3),
        (0x1C, 5, 5),
        (0xD0, 0x81, 0x81),
        (0xD4, 1, 0),
    ):
        guest.set(CPU_REGS, offset, value)
        assert guest.get(CPU_REGS, offset) == kept, hex(offset)


@pytest.mark.parametrize("version", [2, 3])
def test_the_guests_accesses_to_the_distributor(version: int) -> None:
    """Sizes that a register does not accept read as zero and write nothing."""
    base = DIST
    guest = GicGuest(
        *asm.mov(2, base),
        *asm.mov(3, base + IPRIORITYR + SPI),
        *asm.mov(1, 0x80),
        asm.access("strb", 1, 3, 1),
        asm.access("ldrw", 10, 3),
        asm.access("ldrb", 11, 3, 1),
        asm.access("ldrh", 12, 3),
        asm.access("strh", 1, 3, 2),
        asm.access("ldrw", 13, 3),
        asm.access("ldrw", 14, 2, TYPER),
        asm.access("ldrb", 15, 2, TYPER),
        asm.access("ldr", 16, 2, 0),
        asm.access("ldrsw", 17, 2, 0x10),
        *stop(1),
        version=version,
    )
    guest.until_stop()
    typer = guest.dist(TYPER)
    assert [guest.x(n) for n in range(10, 17)] == [0x8000, 0x80, 0, 0x8000, typer, 0, 0]
    assert guest.x(17) == (0 if version == 2 else (1 << 64) - 1), "GICD_STATUSR"


def test_the_guests_accesses_to_a_redistributor() -> None:
    guest = GicGuest(
        *asm.mov(2, REDIST + 0x20000),
        asm.access("ldr", 10, 2, 8),
        asm.access("ldrw", 11, 2, 12),
        asm.access("ldrw", 12, 2, 0x14),
        *asm.mov(1, 0xFFFF_FFFF_FFFF_FFFF),
        asm.access("str", 1, 2, 0x70),
        asm.access("ldr", 13, 2, 0x70),
        *asm.mov(3, REDIST + 0x30000),
        *asm.mov(1, 1 << VTIMER),
        asm.access("strw", 1, 3, ISENABLER),
        asm.access("ldrw", 14, 3, ICENABLER),
        *stop(1),
        vcpus=2,
    )
    guest.until_stop()
    assert guest.x(10) == 1 << 32 | 1 << 8 | 1 << 4
    assert guest.x(11) == 1
    assert guest.x(12) == 0
    assert guest.x(13) == 0x000FFFFFFFFFFF9F
    assert guest.x(14) == 0xFFFF | 1 << VTIMER
    assert guest.private(ISENABLER, vcpu=0) == 0xFFFF, "another vCPU's"


def test_irouter_is_64_bits_wide() -> None:
    guest = GicGuest(
        *asm.mov(2, DIST + IROUTER + 8 * SPI),
        *asm.mov(1, 0xFF_0102_0301),
        asm.access("str", 1, 2),
        asm.access("ldr", 10, 2),
        asm.access("ldrw", 11, 2, 4),
        *stop(1),
    )
    guest.until_stop()
    assert (guest.x(10), guest.x(11)) == (0x020301, 0)


def test_registers_can_be_moved_to_another_machine() -> None:
    """What a migration of a GICv3 does: every register is read, and written to a new machine."""
    source, target = GicGuest(vcpus=2), GicGuest(vcpus=2)
    source.enable(SPI, 0x40, vcpu=1)
    source.enable(VTIMER, 0x20, vcpu=1)
    source.edge(SPI + 1)
    source.vm.irq_line(spi_line(SPI), 1)
    source.vm.irq_line(spi_line(SPI + 1), 1)
    source.dist(ISACTIVER + 4, 0x10)
    source.icc("ICC_PMR_EL1", 0x88, 1)

    def registers(guest: GicGuest) -> list[tuple[int, int]]:
        shared = [CTLR, 0x6000 + 8 * SPI, 0x6000 + 8 * SPI + 8]
        for offset in (IGROUPR, ISENABLER, ISPENDR, ISACTIVER):
            shared.append(offset + 4)
        shared += [IPRIORITYR + n for n in range(32, 64, 4)] + [ICFGR + 8, ICFGR + 12]
        found = [(DIST_REGS, offset) for offset in shared]
        for n in range(2):
            private = [IGROUPR, ISENABLER, ISPENDR, ISACTIVER]
            private += [IPRIORITYR + k for k in range(0, 32, 4)]
            found += [(REDIST_REGS, n << 32 | SGI_BASE + offset) for offset in private]
            found.append((LEVEL_INFO, n << 32))
        return [*found, (LEVEL_INFO, 32)]

    values = [(group, attr, source.get(group, attr)) for group, attr in registers(source)]
    for group, attr, value in values:
        target.set(group, attr, value)
    assert [(g, a, target.get(g, a)) for g, a in registers(target)] == values


def test_irq_line_errors() -> None:
    plain, guest = Guest(), GicGuest()
    for line in (spi_line(SPI), ppi_line(0, 16)):
        fails(errno.ENXIO, lambda line=line: plain.vm.irq_line(line, 1))
    fails(errno.ENXIO, lambda: guest.vm.irq_line(0, 1))
    for line in (
        spi_line(31),
        spi_line(64),
        ppi_line(0, 15),
        ppi_line(0, 32),
        ppi_line(1, 16),
        3 << 24,
    ):
        fails(errno.EINVAL, lambda line=line: guest.vm.irq_line(line, 1))


def test_the_timers_interrupts() -> None:
    plain, guest = Guest(), GicGuest(asm.b(0), vcpus=2)
    fails(errno.EINVAL, lambda: plain.vcpu.set_device_attr(1, 0, u32(20)))
    for bad in (15, 32):
        fails(errno.EINVAL, lambda bad=bad: guest.vcpu.set_device_attr(1, 0, u32(bad)))
    fails(errno.EFAULT, lambda: guest.vcpu.set_device_attr(1, 0, b""))
    fails(errno.ENXIO, lambda: guest.vcpu.set_device_attr(1, 7, u32(20)))
    guest.vcpu.set_device_attr(1, 1, u32(27))
    fails(errno.EINVAL, lambda: guest.run(1))  # both have 27
    guest.vcpus[1].set_device_attr(1, 0, u32(20))
    assert guest.vcpu.get_device_attr(1, 0, 4) == u32(20), "of all vCPUs"
    guest.run(1)
    fails(errno.EBUSY, lambda: guest.vcpu.set_device_attr(1, 0, u32(21)))


def test_attributes_of_a_running_machine_are_busy() -> None:
    import threading

    guest = GicGuest(asm.b(0))
    guest.vcpu.max_instructions = None
    thread = threading.Thread(target=guest.vcpu.run)
    thread.start()
    while not guest.vcpu.running:
        pass
    try:
        fails(errno.EBUSY, lambda: guest.dist(CTLR))
        fails(errno.EBUSY, lambda: guest.icc("ICC_PMR_EL1"))
        guest.vm.irq_line(spi_line(SPI), 1)
    finally:
        guest.vcpu.kick()
        thread.join()


def test_sixty_four_vcpus() -> None:
    guest = GicGuest(vcpus=64)
    assert _typer(guest.gic, 3 << 8 | 15) == (3 << 8 | 15) << 32 | 63 << 8 | 1 << 4
    guest.gic.close()
    fails(errno.EBADF, lambda: guest.gic.get_attr(NR_IRQS, 0, 4))
