"""Drives of a board: transports, the device tree, resets, snapshots, and files that are closed."""

from __future__ import annotations

import os
from pathlib import Path

import fdt
import pytest

from guestdbg.kvm import ExitMmio, open_kvm
from guestdbg.machine import Board, DriveError, DriveSpec, MachineError
from guestdbg.machine.virtio.constants import Reg, Status
from tests.machine.fakes import FakeKvm, FakeVcpu
from tests.machine.virtio.disks import disk

FIRST = 0x0A00_0000


def reads(board: Board, *addresses: int) -> list[int]:
    vcpu = board.vcpus[0]
    assert isinstance(vcpu, FakeVcpu)
    vcpu.script = [ExitMmio(address, bytes(4), 4, False) for address in addresses]
    vcpu.answers.clear()
    board.run(vcpu)
    return [int.from_bytes(answer, "little") for answer in vcpu.answers]


def test_transports_in_order_and_the_rest_without_a_device(tmp_path: Path) -> None:
    disk(tmp_path / "a.img", 8)
    disk(tmp_path / "b.img", 16)
    drives = [tmp_path / "a.img", f"{tmp_path}/b.img,overlay", DriveSpec(f"{tmp_path}/b.img", True)]
    board = Board(FakeKvm(), drives=drives)
    assert [device.name for device in board.virtio] == ["virtio-blk"] * 3
    transports = [FIRST + 0x200 * n for n in (0, 1, 2, 3, 31)]
    assert reads(board, *(base + Reg.DEVICE_ID for base in transports)) == [2, 2, 2, 0, 0]
    assert reads(board, *(base + Reg.MAGIC_VALUE for base in transports)) == [0x74726976] * 5
    capacities = reads(board, *(base + Reg.CONFIG for base in transports[:3]))
    assert capacities == [8, 16, 16]
    assert b"virtio_mmio@a000400" in board.device_tree()
    assert b"virtio_mmio@a000600" not in board.device_tree()
    board.close()


def test_interrupts_and_the_device_tree(tmp_path: Path) -> None:
    disk(tmp_path / "a.img")
    with open_kvm("soft") as kvm, Board(kvm, drives=[f"{tmp_path}/a.img,overlay"] * 2) as board:
        tree = fdt.parse_dtb(board.device_tree())
        node = "/virtio_mmio@a000200"
        assert tree.get_property("compatible", node).value == "virtio,mmio"
        assert list(tree.get_property("reg", node).data) == [0, 0x0A000200, 0, 0x200]
        if board.gic is not None:
            assert list(tree.get_property("interrupts", node).data) == [0, 17, 4]
        else:
            assert tree.get_property("interrupts", node) is None


def test_without_drives_there_are_no_transports() -> None:
    board = Board(FakeKvm())
    seen: list[str] = []
    board.bus.on_missing = lambda missing: seen.append(str(missing))
    assert reads(board, FIRST) == [0]
    assert "virtio-mmio transport 0, which this board does not have" in seen[0]
    assert b"virtio" not in board.device_tree()


def test_a_start_resets_the_devices(tmp_path: Path) -> None:
    disk(tmp_path / "a.img")
    with Board(FakeKvm(), drives=[f"{tmp_path}/a.img,overlay"]) as board:
        board.virtio[0].write(Reg.STATUS, 4, Status.ACKNOWLEDGE)
        assert board.virtio[0].read(Reg.STATUS, 4) == Status.ACKNOWLEDGE
        board.start(0x4020_0000)
        assert board.virtio[0].read(Reg.STATUS, 4) == 0


def test_files_are_closed_with_the_board(tmp_path: Path) -> None:
    disk(tmp_path / "a.img")
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    board = Board(FakeKvm(), drives=[tmp_path / "a.img"])
    with pytest.raises(DriveError, match="in use"):
        Board(FakeKvm(), drives=[tmp_path / "a.img"])
    board.close()
    board.close()
    if before:
        assert set(os.listdir("/proc/self/fd")) == before
    # One drive that is wrong leaves none open.
    with pytest.raises(DriveError, match="no such file"):
        Board(FakeKvm(), drives=[tmp_path / "a.img", tmp_path / "none"])
    Board(FakeKvm(), drives=[tmp_path / "a.img"]).close()


@pytest.mark.parametrize(
    ("drives", "message"),
    [
        ("a.img", "must be a list of drives"),
        ([3], "must be the path"),
        (["a"] * 33, "33 drives and 0 other"),
    ],
)
def test_drives_that_cannot_be(drives: object, message: str) -> None:
    with pytest.raises(MachineError, match=message):
        Board(FakeKvm(), drives=drives)  # type: ignore[arg-type]


def test_a_drive_that_is_written_has_no_snapshot(tmp_path: Path) -> None:
    disk(tmp_path / "a.img")
    with (
        open_kvm("soft") as kvm,
        Board(kvm, drives=[tmp_path / "a.img"]) as board,
        pytest.raises(DriveError, match="add the drive with overlay, or with readonly"),
    ):
        board.snapshot()
