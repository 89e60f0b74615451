"""The interrupt controller of a board, through the calls of KVM."""

import struct

import pytest

from guestdbg.kvm.constants import (
    KVM_DEV_ARM_VGIC_GRP_ADDR,
    KVM_DEV_ARM_VGIC_GRP_CPU_REGS,
    KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
    KVM_DEV_ARM_VGIC_GRP_CTRL,
    KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    KVM_DEV_ARM_VGIC_GRP_NR_IRQS,
    KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
    KVM_DEV_TYPE_ARM_VGIC_V2,
    KVM_DEV_TYPE_ARM_VGIC_V3,
)
from guestdbg.machine import Board, GicVersion, MachineError
from guestdbg.machine.devices.pl011 import Reg
from tests.machine.fakes import ALL_CAPS, FakeDevice, FakeKvm
from tests.machine.test_board import store, vcpu_of

V2, V3 = KVM_DEV_TYPE_ARM_VGIC_V2, KVM_DEV_TYPE_ARM_VGIC_V3
UART = 0x0900_0000


def board_with(
    gic: GicVersion = "auto", *, has: tuple[int, ...] = (V2, V3), vcpus: int = 1
) -> Board:
    return Board(FakeKvm(ALL_CAPS, has), gic=gic, vcpus=vcpus)


def device(board: Board) -> FakeDevice:
    (found,) = board.vm.devices.values()  # type: ignore[attr-defined]
    assert isinstance(found, FakeDevice)
    return found


@pytest.mark.parametrize(
    ("has", "gic", "version"),
    [
        ((V2, V3), "auto", 3),
        ((V2,), "auto", 2),
        ((), "auto", None),
        ((V2, V3), 2, 2),
        ((V2, V3), 3, 3),
        ((V2, V3), None, None),
    ],
)
def test_which_there_is(has: tuple[int, ...], gic: GicVersion, version: int | None) -> None:
    board = board_with(gic, has=has)
    assert (board.gic and board.gic.version) == version


def test_what_the_provider_does_not_have_is_refused() -> None:
    with pytest.raises(MachineError, match="no GICv2 for its guests; it has a GICv3"):
        board_with(2, has=(V3,))


def test_addresses_are_those_of_qemu() -> None:
    def made(version: GicVersion) -> list[tuple[int, int, bytes]]:
        return device(board_with(version)).attributes

    irqs = (KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, struct.pack("<I", 288))
    init = (KVM_DEV_ARM_VGIC_GRP_CTRL, 0, b"")
    where = KVM_DEV_ARM_VGIC_GRP_ADDR
    assert made(3) == [
        irqs,
        (where, 2, struct.pack("<Q", 0x0800_0000)),
        (where, 3, struct.pack("<Q", 0x080A_0000)),
        init,
    ]
    assert made(2) == [
        irqs,
        (where, 0, struct.pack("<Q", 0x0800_0000)),
        (where, 1, struct.pack("<Q", 0x0801_0000)),
        init,
    ]


@pytest.mark.parametrize(("gic", "most"), [(3, 64), (2, 8), (None, 8)])
def test_how_many_vcpus(gic: GicVersion, most: int) -> None:
    assert len(board_with(gic, vcpus=most).vcpus) == most
    with pytest.raises(MachineError, match=f"has 1 to {most}"):
        board_with(gic, vcpus=most + 1)


def test_the_uart_has_its_interrupt() -> None:
    """SPI 1 is interrupt id 33; the level goes down when the guest clears the interrupt."""
    board = board_with()
    vcpu = vcpu_of(board)
    vcpu.script = [store(UART + Reg.IMSC, 0x20), store(UART, 0x41), store(UART + Reg.ICR, 0x20)]
    board.run(vcpu)
    assert board.vm.lines == [(1 << 24 | 33, 1), (1 << 24 | 33, 0)]  # type: ignore[attr-defined]


def test_lines_exist_without_a_controller() -> None:
    board_with(None).interrupt(1)(True)


@pytest.mark.parametrize("spi", [-1, 256])
def test_no_such_interrupt(spi: int) -> None:
    with pytest.raises(MachineError, match=f"SPI {spi}: there are 0 to 255"):
        board_with().interrupt(spi)


def test_a_second_start_resets_it() -> None:
    """Each register once for a vCPU of each group of 16; nothing at the first start."""
    board = board_with(3, vcpus=18)
    made = len(device(board).attributes)
    board.start(0x4020_0000)
    assert len(device(board).attributes) == made
    board.start(0x4020_0000)
    written = device(board).attributes[made:]
    places = [(group, attr) for group, attr, _ in written]
    assert len(set(places)) == len(places)
    distributor = {attr: v for g, attr, v in written if g == KVM_DEV_ARM_VGIC_GRP_DIST_REGS}
    assert distributor[0] == bytes(4)
    assert {distributor[0x180 + 4 * n] for n in range(1, 9)} == {b"\xff" * 4}
    assert {distributor[0x400 + n] for n in range(32, 288, 4)} == {bytes(4)}
    assert 0x180 not in distributor, "that of SGIs and PPIs is in the redistributors"
    redistributors = {attr >> 32 for g, attr, _ in written if g == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS}
    assert redistributors == {*range(16), 0x100, 0x101}
    interfaces = [
        (attr & 0xFFFF, v) for g, attr, v in written if g == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
    ]
    assert len(interfaces) == 18 * 8
    assert (0xC664, struct.pack("<Q", 0x400)) in interfaces, "ICC_CTLR_EL1"


def test_a_second_start_resets_a_gicv2() -> None:
    board = board_with(2, vcpus=2)
    board.start(0x4020_0000)
    made = len(device(board).attributes)
    board.start(0x4020_0000)
    written = device(board).attributes[made:]
    cpus = [attr for group, attr, _ in written if group == KVM_DEV_ARM_VGIC_GRP_CPU_REGS]
    assert cpus == [n << 32 | at for n in (0, 1) for at in (0, 4, 8, 0x1C, 0xD0)]
    distributor = [attr for group, attr, _ in written if group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS]
    assert {0x180, 1 << 32 | 0x180, 0x184, 0x820} < set(distributor)
