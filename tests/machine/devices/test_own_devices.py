"""Devices and memory of the user's own, on a board."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import fdt
import pytest

import guestdbg
from guestdbg.kvm.constants import KVM_MEM_READONLY
from guestdbg.machine import Board, GicVersion, MachineError, MmioDevice, Region, StubDevice
from tests.machine.fakes import ALL_CAPS, FakeKvm
from tests.machine.loading.elfs import make_elf
from tests.machine.test_board import ABORT, read, store, vcpu_of
from tests.machine.test_interrupts import V3

BASE = 0x0B00_0000


class Latch(MmioDevice):
    """Keeps what is written; its interrupt is bit 0."""

    def __init__(self, base: int = BASE, **options: Any) -> None:
        super().__init__("latch", base, 0x1000, **options)
        self.state["values"] = {}

    def read(self, offset: int, size: int) -> int:
        return int(self.state["values"].get(offset, 0))

    def write(self, offset: int, size: int, value: int) -> None:
        self.state["values"][offset] = value
        self.set_level(bool(value & 1))


def board_with(*devices: MmioDevice, gic: GicVersion = "auto", **options: Any) -> Board:
    return Board(FakeKvm(ALL_CAPS, [V3]), memory_size=4 << 20, gic=gic, devices=devices, **options)


def test_accesses_interrupt_reset_and_snapshot() -> None:
    latch = Latch(spi=100)
    board = board_with(latch)
    vcpu = vcpu_of(board)
    vcpu.script = [store(BASE + 8, 0x1235), read(BASE + 8), store(BASE + 8, 2)]
    board.run(vcpu)
    assert vcpu.answers == [b"\x35\x12\0\0"]
    assert board.vm.lines == [(1 << 24 | 132, 1), (1 << 24 | 132, 0)]  # type: ignore[attr-defined]
    state = latch.snapshot()
    board.start(0x4008_0000)
    assert latch.state == {"values": {}}
    latch.restore(state)
    assert latch.read(8, 4) == 2
    latch.write(8, 4, 3)
    latch.restore(state)
    assert latch.read(8, 4) == 2, "the snapshot is a copy"


def test_it_is_in_the_device_tree_if_it_is_compatible_with_something() -> None:
    tree = fdt.parse_dtb(board_with(Latch(spi=100, compatible="example,latch")).device_tree())
    node = tree.get_node("/latch@b000000")
    assert list(node.get_property("compatible").data) == ["example,latch"]
    assert list(node.get_property("interrupts").data) == [0, 100, 4]
    tree = fdt.parse_dtb(board_with(Latch(spi=100)).device_tree())
    assert "latch@b000000" not in [node.name for node in tree.root.nodes]


def test_it_takes_the_place_of_what_the_board_has_there() -> None:
    board = board_with(Latch(0x0900_0000), regions=[Region("SRAM", 0x0901_0000, 4096)])
    vcpu = vcpu_of(board)
    vcpu.script = [store(0x0900_0004, 7), read(0x0900_0004)]
    board.run(vcpu)
    assert vcpu.answers == [b"\7\0\0\0"]
    names = [device.name for device in board.bus.devices]
    assert "PL011" not in names
    assert "PL031" not in names
    assert "PL061" in names
    assert b"pl011@" not in board.device_tree()


def test_memory_is_mapped_and_can_be_loaded_into(tmp_path: Path) -> None:
    regions = [
        Region("SRAM", 0x2000_0000, 64 << 10),
        Region("ROM", 0x3000_0000, 4096, read_only=True),
    ]
    board = board_with(regions=regions)
    slots = board.vm.slots  # type: ignore[attr-defined]
    assert [slots[n][0::2] for n in (8, 9)] == [(0x2000_0000, 0), (0x3000_0000, KVM_MEM_READONLY)]
    path = tmp_path / "guest.elf"
    path.write_bytes(make_elf([(0x2000_0000, b"\x1f\x20\x03\xd5" * 4)]))
    with guestdbg.load(path, console=None, regions=[Region("SRAM", 0x2000_0000, 4096)]) as guest:
        guest.run(max_instructions=3)
        assert guest.vcpus[0].pc == 0x2000_000C


def test_stubs_show_what_a_guest_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "guestdbg.machine")
    stub = StubDevice("sensor", BASE, 0x1000, {4: 0x1_0000_0055})
    board = board_with(stub)
    vcpu = vcpu_of(board)
    vcpu.script = [read(BASE + 4), store(BASE, 9, 1), read(BASE + 0xFFC, 8)]
    board.run(vcpu)
    assert vcpu.answers == [b"\x55\0\0\0"]
    assert vcpu.events == [ABORT], "an access that goes past the end"
    assert [str(access) for access in stub.accesses] == [
        "read of 0x55, 4 bytes, at offset 0x4",
        "write of 0x9, 1 bytes, at offset 0x0",
    ]
    assert "sensor: read of 0x55, 4 bytes, at offset 0x4" in caplog.text
    vcpu.script = [store(BASE, n) for n in range(3000)]
    board.run(vcpu)
    assert len(stub.accesses) == 1000
    assert len([record for record in caplog.records if "sensor" in record.getMessage()]) == 1000


@pytest.mark.parametrize(
    ("devices", "regions", "message"),
    [
        ([Latch(0x4000_0000)], [], "latch at 0x40000000 is in RAM, which is memory"),
        ([Latch(0x0800_0000)], [], "is where the GIC distributor is: choose"),
        ([Latch(), StubDevice("s", BASE + 0x800, 0x1000)], [], "overlaps latch"),
        (["device"], [], "'device' is not an MmioDevice"),
        ([], [b"region"], "b'region' is not a Region"),
        ([], [Region("more", 0x403F_F000, 8192)], "overlaps"),
        ([], [Region("more", 0x080A_0000, 4096)], "is where the GICv3 redistributors is"),
    ],
)
def test_boards_that_cannot_be(devices: list[Any], regions: list[Any], message: str) -> None:
    with pytest.raises(MachineError, match=message):
        board_with(*devices, regions=regions)


def test_without_a_gic_its_addresses_are_free() -> None:
    assert board_with(Latch(0x0800_0000), gic=None).bus.peek(0x0800_0000, 4) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-8, 8), "is no place for a device"),
        ((0, 0), "is no place for a device"),
        ((4, 8), "both are multiples of 8"),
    ],
)
def test_no_such_place(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(MachineError, match=message):
        MmioDevice("d", *arguments)


def test_no_such_interrupt_and_a_device_of_another_board() -> None:
    with pytest.raises(MachineError, match="SPI 256: there are 0 to 255"):
        Latch(spi=256)
    latch = Latch()
    board_with(latch)
    with pytest.raises(MachineError, match="latch is on a board already"):
        board_with(latch)
