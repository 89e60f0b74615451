"""A guest goes through a file: from there it goes on exactly as the first one does."""

from __future__ import annotations

import hashlib
import logging
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.container import ContainerError, ContainerFile, Section, write_container
from guestdbg.container.values import encode
from guestdbg.debugger import BadSnapshot, Guest, SavedGuest, Unsupported
from guestdbg.errors import GuestdbgError
from guestdbg.kvm import open_kvm
from guestdbg.machine import Board, Console, DriveSpec, MmioDevice, Region
from tests.machine.guests import EXAMPLES, U_BOOT

from .conftest import Load

MANY = 10_000_000


def rest_of(guest: Guest, output: bytearray) -> tuple[object, ...]:
    """Run to the end; all that a run leaves."""
    printed = len(output)
    stop = guest.run(max_instructions=MANY)
    memory = hashlib.sha256(b"".join(region.buffer[:] for region in guest.board.memory)).digest()
    counts = [vcpu.instructions for vcpu in guest.board.vcpus]  # type: ignore[attr-defined]
    registers = [(*cpu.x, cpu.pc, cpu.pstate) for cpu in guest.vcpus]
    return stop.reason, stop.detail, bytes(output[printed:]), memory, counts, registers


@pytest.mark.parametrize(
    ("name", "vcpus"), [("queue", 1), ("mmu", 1), ("smp", 2), ("selfdebug", 1)]
)
def test_it_goes_on_as_the_guest_does(start: Load, name: str, vcpus: int, tmp_path: Path) -> None:
    output = bytearray()
    guest = start(name, vcpus=vcpus, console=output.extend, cpu="max")
    guest.run(max_instructions=7777)
    digest = guest.save(tmp_path / "saved")
    assert digest == SavedGuest(tmp_path / "saved").digest
    expected = rest_of(guest, output)
    for source in (tmp_path / "saved", (tmp_path / "saved").read_bytes()):
        other = bytearray()
        with guestdbg.load(source, console=other.extend) as twin:
            assert twin.save(tmp_path / "again") == digest, "nothing is lost or added"
            assert rest_of(twin, other) == expected


def test_symbols_breakpoints_and_the_last_stop(start: Load, tmp_path: Path) -> None:
    """A software breakpoint that was hit: its BRK is not in the guest that is loaded."""
    guest = start("queue")
    guest.break_("queue_push", kind="software")
    stop = guest.run()
    guest.save(tmp_path / "saved")
    with guestdbg.load(tmp_path / "saved", console=None) as twin:
        assert (twin.cpu.pc, list(twin.points)) == (stop.pc, [])
        assert twin.symbol("queue").address == guest.symbol("queue").address
        assert str(twin.cpu.backtrace()) == str(guest.cpu.backtrace())
        assert twin.read(stop.pc, 16) == guest.read(stop.pc, 16)
        twin.break_("queue_push", kind="software")
        assert [twin.run().pc, twin.run().pc] == [stop.pc, stop.pc]
        with pytest.raises(Unsupported, match="not loaded from a file"):
            twin.reset()


def test_a_snapshot_of_earlier_and_a_guest_that_has_ended(start: Load, tmp_path: Path) -> None:
    guest = start("hello")
    snapshot = guest.snapshot()
    end = guest.run()
    guest.save(tmp_path / "early", snapshot)
    guest.save(tmp_path / "ended")
    with guestdbg.load(tmp_path / "early", console=None) as twin:
        assert twin.board.vcpus[0].instructions == 0  # type: ignore[attr-defined]
        assert twin.run().detail == end.detail
    with guestdbg.load(tmp_path / "ended", console=None) as twin:
        assert twin.ended is not None
        assert (twin.ended.detail, twin.run().cpu) == (end.detail, twin.cpu)


@pytest.mark.skipif(not U_BOOT.is_file(), reason="no U-Boot here")
def test_u_boot_at_its_prompt(tmp_path: Path) -> None:
    """With flash, fw_cfg, a disk with an overlay, and typed text that it has not taken yet."""
    disk = tmp_path / "disk"
    disk.write_bytes(random.Random(1).randbytes(64 << 10))
    output = bytearray()

    def console(data: bytes) -> None:
        output.extend(data)
        if output.endswith(b"\n=> "):
            guest.interrupt()

    write = b"virtio scan; mw.b 0x42000000 5a 200; virtio write 0x42000000 1 1"
    read = b"virtio read 0x43000000 0 4; crc32 0x43000000 800\r"
    with guestdbg.load(
        U_BOOT, kind="firmware", provider="soft", console=console, entropy=True, seed=3,
        drives=[DriveSpec(disk, overlay=True)],
    ) as guest:  # fmt: skip
        guest.board.console.answer(b"stop autoboot", b"\r")
        guest.run()
        guest.board.console.feed(write + b"\r")
        guest.run()
        guest.board.console.feed(read + b"poweroff\r")
        guest.save(tmp_path / "saved")
        output.clear()
        guest.run()
        expected = rest_of(guest, output), bytes(output)
    assert b"crc32 for 43000000" in expected[1]

    def load(**options: Any) -> Guest:
        return guestdbg.load(tmp_path / "saved", **options)

    output.clear()
    with load(console=console) as guest:
        guest.run()
        assert (rest_of(guest, output), bytes(output)) == expected
    disk.rename(tmp_path / "elsewhere")
    with pytest.raises(ContainerError, match=r"drive 0 is not there: .*disk; say where it is"):
        load(console=None)
    load(console=None, drives=[tmp_path / "elsewhere"]).close()
    disk.write_bytes(bytes(64 << 10))
    with pytest.raises(ContainerError, match="has changed since the guest was saved"):
        load(console=None)
    with pytest.raises(ContainerError, match="2 drives are given, and the guest has 1"):
        load(console=None, drives=[tmp_path / "elsewhere"] * 2)


class Counter(MmioDevice):
    """Counts reads."""

    def __init__(self, state: object = 0) -> None:
        super().__init__("counter", 0x0B00_0000, 0x1000)
        self.state["left"] = state

    def read(self, offset: int, size: int) -> int:
        self.state["left"] += 1
        return int(self.state["left"])


def counter_of(guest: Guest) -> Any:
    return next(device for device in guest.board.bus.devices if device.name == "counter")


def test_devices_and_memory_of_the_user(start: Load, tmp_path: Path) -> None:
    region = Region("extra", 0x2_0000_0000, 0x4000)
    guest = start("hello", devices=[Counter()], regions=[region])
    guest.board.write_phys(0x2_0000_1000, b"kept")
    assert counter_of(guest).read(0, 4) == 1
    guest.save(tmp_path / "saved")
    with pytest.raises(ContainerError, match="devices of yours: counter; give the same"):
        guestdbg.load(tmp_path / "saved", console=None)
    with guestdbg.load(tmp_path / "saved", console=None, devices=[Counter()]) as twin:
        assert twin.board.read_phys(0x2_0000_1000, 4) == b"kept"
        assert counter_of(twin).read(0, 4) == 2
    odd = start("hello", devices=[Counter(state=3.5)])
    with pytest.raises(BadSnapshot, match=r"device counter cannot be written.*a float"):
        odd.save(tmp_path / "odd")
    assert not (tmp_path / "odd").exists()


def test_what_cannot_be_saved(start: Load, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    direct = start("hello", drives=[disk])
    with pytest.raises(GuestdbgError, match="add the drive with overlay"):
        direct.save(tmp_path / "saved")
    with open_kvm("soft") as kvm, Board(kvm) as board:
        board.start(0x4000_0000)
        with Guest(board) as guest, pytest.raises(Unsupported, match=r"made by guestdbg\.load"):
            guest.save(tmp_path / "saved")
    with pytest.raises(ContainerError, match="none/saved: cannot be written"):
        start("hello").save(tmp_path / "none" / "saved")
    assert os.listdir(tmp_path) == ["disk"]


def test_what_is_refused(start: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "saved"
    start("hello", net="user", semihosting=True).save(path)
    for options, words in (
        ({"memory": "64M", "vcpus": 2}, "memory, vcpus: a saved guest has its own"),
        ({"cpu": "max"}, "cpu: a saved guest has its own"),
        ({}, "the guest has a network card, .* give net='user' if you trust it"),
        ({"net": "user", "devices": [Counter()]}, "devices of yours: none; give"),
    ):
        with pytest.raises(ContainerError, match=words):
            guestdbg.load(path, console=None, **options)
    with guestdbg.load(path, console=None, provider="soft", net="user"):
        assert "semihosting, which is off: give semihosting=True" in caplog.text
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ContainerError, match="saved: the snapshot file is truncated"):
        guestdbg.load(path, console=None)


def test_time_that_follows_the_host(start: Load, tmp_path: Path) -> None:
    """The host's counter may be less than that of the host that wrote the file."""
    from guestdbg.kvm.soft.snapshot import serial

    guest = start("counter", clock="host")
    guest.run(max_instructions=500)
    before = guest.cpu.reg("CNTVCT_EL0")
    guest.save(tmp_path / "saved")
    sections = sections_of(tmp_path / "saved")
    (machine,) = (data for name, data in sections if name == "machine")
    *parts, ticks, instructions = serial.decode(machine, serial._RECORDS)
    later = encode((*parts, ticks + (1 << 50), instructions))
    for data in (machine, later):
        changed = [Section(n, data if n == "machine" else old) for n, old in sections]
        write_container(tmp_path / "again", changed)
        with guestdbg.load(tmp_path / "again", console=None) as twin:
            assert 0 <= twin.cpu.reg("CNTVCT_EL0") - before < 1 << 36 or data is later
            twin.run(max_instructions=500)


def test_files_that_are_no_disks(start: Load, tmp_path: Path) -> None:
    """A file may name any path of the host; those that never end are not read."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    start("hello", drives=[DriveSpec(disk, readonly=True)]).save(tmp_path / "saved")
    disk.unlink()
    for target in ("/proc/kcore", "/dev/zero", tmp_path):
        disk.symlink_to(target)
        with pytest.raises(ContainerError, match="drive 0 is not there"):
            guestdbg.load(tmp_path / "saved", console=None)
        disk.unlink()


def test_symbols_that_have_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elf = tmp_path / "guest.elf"
    elf.write_bytes((EXAMPLES / "hello.elf").read_bytes())
    with guestdbg.load(elf, console=None, provider="soft") as guest:
        guest.save(tmp_path / "saved")
    elf.write_bytes((EXAMPLES / "queue.elf").read_bytes())
    with guestdbg.load(tmp_path / "saved", console=None) as twin:
        assert twin.images == []
        assert "guest.elf: it is another file now" in caplog.text
    elf.unlink()
    with guestdbg.load(tmp_path / "saved", console=None, symbols=EXAMPLES / "hello.elf") as twin:
        assert twin.symbol("main").address
    with guestdbg.load(
        (EXAMPLES / "hello.elf").read_bytes(), console=None, provider="soft"
    ) as guest:
        guest.save(tmp_path / "embedded")
    with guestdbg.load(tmp_path / "embedded", console=None) as twin:
        assert twin.symbol("main").address


# ---- hostile files -----------------------------------------------------------------------------


def sections_of(path: Path) -> list[Section]:
    names = ["manifest", "machine", "devices", "debugger", "pages"]
    file = ContainerFile(path)
    return [Section(name, data) for name in names for data in file.sections(name)]


def hostile(sections: list[Section], rng: random.Random) -> list[Section]:
    """One section with a few other bytes; the digest will be right."""
    changed = list(sections)
    place = rng.randrange(len(changed))
    data = bytearray(changed[place].data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data))
        data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1 << rng.randrange(8)])
    if rng.random() < 0.1:
        del data[rng.randrange(len(data)) :]
    changed[place] = Section(changed[place].name, bytes(data))
    if rng.random() < 0.05:
        del changed[place]
    return changed


def play(path: Path) -> str:
    """Load a file and run it for a while; what came of it."""
    try:
        saved = SavedGuest(path)
        with saved, saved.guest(console=Console(None)) as guest:
            stop = guest.run(max_instructions=30_000)
            return stop.reason
    except GuestdbgError as error:
        return type(error).__name__


@pytest.fixture
def saved_sections(start: Load, tmp_path: Path) -> Callable[[], list[Section]]:
    guest = start("smp", vcpus=2, memory="4M")
    guest.run(max_instructions=20_000)
    guest.save(tmp_path / "good")
    return lambda: sections_of(tmp_path / "good")


def test_hostile_files(
    saved_sections: Callable[[], list[Section]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every change that the digest does not show ends in an error of guestdbg, or in a guest."""
    caplog.set_level(logging.CRITICAL)
    sections = saved_sections()
    rng = random.Random(16)
    results = set()
    for _ in range(120):
        write_container(tmp_path / "bad", hostile(sections, rng))
        results.add(play(tmp_path / "bad"))
    assert "ContainerError" in results
    assert len(results) > 1, "some changes are of the guest's own state"
