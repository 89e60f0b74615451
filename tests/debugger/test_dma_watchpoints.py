"""Watchpoints on memory that a device writes: a disk is read into it.

The test is the driver: it sets up the queue and a request. The guest only notifies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.check.assembler import NOP, flat, hvc, ldr, mov
from guestdbg.cli.running.hit_output import record
from guestdbg.debugger import STOP, Guest, Hit
from guestdbg.kvm import open_kvm
from guestdbg.machine import Board, Console
from guestdbg.machine.virtio.constants import Reg
from guestdbg.terminal_text.hits import line
from tests.machine.virtio.disks import DATA_AT, HEADER_AT, IN, STATUS_AT, disk
from tests.machine.virtio.driver import BASE, RAM, Driver

CODE = RAM + 0x20_0000
STR_W0_X1 = 0xB900_0020
BLR_X3 = 0xD63F_0060
OFF = flat(mov(0, 0x8400_0008), hvc())
PROGRAM = flat(mov(1, BASE + Reg.QUEUE_NOTIFY), mov(0, 0), NOP, STR_W0_X1, ldr(2, 3), NOP, OFF)
NOTIFY = CODE + 4 * PROGRAM.index(STR_W0_X1)


def words(*instructions: int) -> bytes:
    return struct.pack(f"<{len(instructions)}I", *instructions)


class Machine:
    """A guest with a disk, and its driver."""

    def __init__(self, path: Path, program: list[int]) -> None:
        self.contents = disk(path)
        kvm = open_kvm("soft")
        board = Board(kvm, memory_size=16 << 20, console=Console(None), drives=[f"{path},overlay"])
        board.write_phys(CODE, words(*program))
        board.start(CODE)
        self.board = board
        self.guest = Guest(board, on_close=kvm.close)
        self.driver = Driver(board.virtio[0], board.memory)
        self.ring = self.driver.start()

    def request(self, sector: int, address: int = DATA_AT, length: int = 4096) -> None:
        self.driver.memory.write(HEADER_AT, struct.pack("<IIQ", IN, 0, sector))
        self.ring.add([(HEADER_AT, 16, False), (address, length, True), (STATUS_AT, 1, True)])

    def value(self, at: int, size: int = 8) -> int:
        return int.from_bytes(self.contents[at : at + size], "little")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "disk.img", PROGRAM)
    machine.request(3)
    yield machine
    machine.guest.close()


def test_a_hit_says_that_it_was_a_device(machine: Machine) -> None:
    guest = machine.guest
    machine.board.write_phys(DATA_AT + 0x108, b"\x11" * 8)
    guest.watch(DATA_AT + 0x108)
    stop = guest.run(timeout=20)
    hit = stop.hit
    assert hit is not None
    assert hit.device == "virtio-blk"
    assert (hit.address, hit.size, hit.access) == (DATA_AT + 0x108, 8, "write")
    assert (hit.access_address, hit.access_size) == (DATA_AT, 4096)
    assert (hit.old, hit.new) == (0x1111_1111_1111_1111, machine.value(3 * 512 + 0x108))
    assert (hit.pc, hit.syndrome, hit.far) == (NOTIFY, 0, None)
    assert str(hit).startswith(f"virtio-blk wrote {hit.point.name} (8 bytes at {hit.address:#x})")
    assert guest.vcpus[0].pc == NOTIFY + 4  # before the next instruction, the store complete
    assert guest.run(timeout=20).reason == "exit"
    assert (hit.point.hits, hit.point.seen) == (1, 1)


def test_it_does_not_change_what_the_guest_does(tmp_path: Path) -> None:
    counts = []
    for watched in (False, True):
        machine = Machine(tmp_path / "disk.img", PROGRAM)
        machine.request(3)
        with machine.guest as guest:
            if watched:
                guest.watch(DATA_AT)(lambda hit: None)
            assert guest.run(timeout=20).reason == "exit"
            counts.append(guest.execution.retired())
    assert counts[0] == counts[1]


def test_a_wide_watch_shows_what_was_written_of_it(machine: Machine) -> None:
    seen: list[Hit] = []
    start = DATA_AT + 4096 - 16
    machine.guest.watch(start, 100)(seen.append)
    machine.guest.watch(DATA_AT + 4092, 4)(seen.append)
    assert machine.guest.run(timeout=20).reason == "exit"
    wide, narrow = sorted(seen, key=lambda hit: -hit.size)
    assert (wide.address, wide.size) == (start, 16)
    assert wide.new == machine.contents[3 * 512 + 4080 :][:16]
    assert narrow.new == machine.value(3 * 512 + 4092, 4)


def test_other_watches_do_not_hit(machine: Machine) -> None:
    guest = machine.guest
    others = [
        guest.watch(DATA_AT, access="read"),
        guest.watch(DATA_AT - 8, 8),
        guest.watch(DATA_AT + 8, el="el0"),
        guest.watch(DATA_AT + 16, context=5),
    ]
    assert guest.run(timeout=20).reason == "exit"
    assert [watch.hits for watch in others] == [0] * 4


def test_the_rings_can_be_watched(machine: Machine) -> None:
    """The used index and the status byte, which the device writes, too."""
    seen: list[Hit] = []
    machine.guest.watch(machine.ring.used + 2, 2)(seen.append)
    machine.guest.watch(STATUS_AT, 1, when="old != new")(seen.append)
    machine.driver.memory.write(STATUS_AT, b"\xee")
    assert machine.guest.run(timeout=20).reason == "exit"
    assert sorted((hit.old, hit.new) for hit in seen) == [(0, 1), (0xEE, 0)]
    assert {hit.device for hit in seen} == {"virtio-blk"}


@pytest.mark.parametrize("wanted", [True, False])
def test_conditions_decide_here_too(machine: Machine, wanted: bool) -> None:
    new = machine.value(3 * 512) + (not wanted)
    watch = machine.guest.watch(DATA_AT, when=f"new == {new:#x} and pc == {NOTIFY:#x}")
    assert machine.guest.run(timeout=20).reason == ("hit" if wanted else "exit")
    assert (watch.hits, watch.seen) == (int(wanted), 1)


def test_a_step_over_the_notification_reports_it(machine: Machine) -> None:
    guest = machine.guest
    guest.run(until=NOTIFY, timeout=20)
    guest.watch(DATA_AT)
    stop = guest.step()
    assert stop.hit is not None
    assert stop.hit.device == "virtio-blk"
    assert guest.vcpus[0].pc == NOTIFY + 4
    assert guest.step().hits == ()


def test_a_handler_can_stop_and_a_snapshot_goes_back(machine: Machine) -> None:
    guest = machine.guest
    guest.run(until=NOTIFY, timeout=20)
    before = guest.snapshot()
    guest.watch(DATA_AT)(lambda hit: STOP)
    first = guest.run(timeout=20).hit
    guest.restore(before)
    second = guest.run(timeout=20).hit
    assert first is not None
    assert second is not None
    assert (first.old, first.new, first.pc) == (second.old, second.new, second.pc)


def test_code_that_a_device_wrote_is_executed(tmp_path: Path) -> None:
    """The guest calls code, has a disk read over it, and calls it again."""
    target = DATA_AT
    program = flat(
        mov(1, BASE + Reg.QUEUE_NOTIFY), mov(3, target), BLR_X3, mov(0, 0), STR_W0_X1, BLR_X3, OFF
    )
    machine = Machine(tmp_path / "disk.img", program)
    ret = 0xD65F03C0
    machine.board.write_phys(target, words(*mov(20, 1), ret))
    image = machine.board.virtio[0].backend.image  # type: ignore[attr-defined]
    image.write(0, [memoryview(words(*mov(21, 2), ret).ljust(512, b"\0"))])
    machine.request(0, target, 512)
    with machine.guest as guest:
        assert guest.run(timeout=20).reason == "exit"
        assert (guest.vcpus[0].x[20], guest.vcpus[0].x[21]) == (1, 2)


def test_the_log_names_the_device(machine: Machine) -> None:
    machine.guest.watch(DATA_AT)
    hit = machine.guest.run(timeout=20).hit
    assert hit is not None
    assert record(1, "w", hit, None)["device"] == "virtio-blk"
    assert "  by virtio-blk" in line(1, "w", hit).plain
