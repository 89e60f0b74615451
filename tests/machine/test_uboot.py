"""A real guest: Debian's U-Boot for QEMU's board, to its prompt, and commands there."""

import random
import re
import zlib
from pathlib import Path

import pytest

from guestdbg.kvm import (
    ExitIntr,
    ExitSystemEvent,
    SupportsInstructionCount,
    SupportsInstructionLimit,
    open_kvm,
)
from guestdbg.kvm.constants import KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN
from guestdbg.machine import Board, Console, load
from tests.machine.guests import U_BOOT, run_on_qemu, run_on_soft

PROMPT = b"\n=> "  # with its line: crc32 prints "==> "
KEY = (b"Hit any key to stop autoboot", b"\r")

pytestmark = pytest.mark.skipif(
    not U_BOOT.is_file(), reason=f"no {U_BOOT}: install Debian's u-boot-qemu"
)


def lines(output: bytes) -> list[str]:
    return [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]


def session(*commands: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """A key that stops the countdown, the commands at the prompt, and the end."""
    return (KEY, *((PROMPT, command + b"\r") for command in (*commands, b"poweroff")))


def test_it_boots_to_its_prompt_and_answers() -> None:
    exit_, output = run_on_soft(
        U_BOOT,
        kind="firmware",
        dialogue=session(b"version", b"md 0x40000000 8", b"bdinfo", b"nosuchcommand"),
    )
    assert isinstance(exit_, ExitSystemEvent)
    assert exit_.type == KVM_SYSTEM_EVENT_SHUTDOWN
    text = lines(output)
    assert text[0].startswith("U-Boot 2")
    assert "DRAM:  128 MiB" in text
    at = text.index("=> version")
    assert text[at + 1].startswith("U-Boot 2")
    assert "=> md 0x40000000 8" in text
    assert any(re.match(r"40000000: edfe0dd0 ", line) for line in text), "our device tree"
    assert "-> size     = 0x0000000008000000" in text
    assert "Unknown command 'nosuchcommand' - try 'help'" in text


def test_reset_is_the_callers_to_carry_out() -> None:
    exit_, _ = run_on_soft(U_BOOT, kind="firmware", dialogue=(KEY, (PROMPT, b"reset\r")))
    assert isinstance(exit_, ExitSystemEvent)
    assert exit_.type == KVM_SYSTEM_EVENT_RESET


def test_the_same_run_every_time() -> None:
    """The guest's output triggers the input, so every run has the same number of instructions."""
    counts = []

    def count(board: Board) -> None:
        counts.append(board.vcpus[0].instructions)  # type: ignore[attr-defined]

    outputs = {
        run_on_soft(U_BOOT, kind="firmware", dialogue=session(b"version"), inspect=count)[1]
        for _ in range(2)
    }
    assert len(outputs) == len(set(counts)) == 1


def test_a_limit_stops_it_anywhere() -> None:
    exit_, output = run_on_soft(U_BOOT, kind="firmware", max_instructions=1_000_000)
    assert isinstance(exit_, ExitIntr)
    assert PROMPT not in output


@pytest.mark.slow
def test_memory_and_uart_are_as_on_qemu() -> None:
    """Commands give the same answers as on QEMU's board, except for devices that only QEMU has."""
    commands = (
        b"version",
        b"mw.q 0x41000000 0x0123456789abcdef 4",
        b"md.b 0x41000000 20",
        b"crc32 0x41000000 20",
        b"md.l 0x0 10",
        b"setexpr x 0x1234 * 0x5678",
        b"printenv x",
        b"cmp.b 0x0 0x40000000 1",
        b"md.l 0x09000fe0 8",  # the UART says what it is,
        b"md.l 0x09000024 5",  # how it was set up,
        b"md.l 0x09000018 1",  # and that there is no input
    )
    _, here = run_on_soft(U_BOOT, kind="firmware", dialogue=session(*commands))
    on_qemu = run_on_qemu("-bios", str(U_BOOT), dialogue=session(*commands))

    def answers(output: bytes) -> list[str]:
        text = lines(output)
        return text[text.index("=> version") :]

    assert answers(here) == answers(on_qemu)


def test_at_its_prompt_it_can_be_asked_again_and_again() -> None:
    """From a snapshot at the prompt, a command has the same output and instructions each time."""
    output = bytearray()
    console = Console(output.extend)
    console.answer(*KEY)
    with open_kvm("soft") as kvm, Board(kvm, console=console) as board:
        load(board, U_BOOT, kind="firmware")
        vcpu = board.vcpus[0]
        assert isinstance(vcpu, SupportsInstructionLimit)
        assert isinstance(vcpu, SupportsInstructionCount)

        def ask(command: bytes) -> tuple[bytes, int]:
            """Run to the next prompt; returns the output and the number of instructions."""
            before, printed = vcpu.instructions, len(output)
            console.feed(command)
            while not output[printed:].endswith(PROMPT):
                assert vcpu.instructions < before + 200_000_000
                vcpu.max_instructions = vcpu.instructions + 100_000
                assert isinstance(board.run(vcpu), ExitIntr)
            return bytes(output[printed:]), vcpu.instructions - before

        ask(b"")
        at_the_prompt = board.snapshot()
        assert at_the_prompt.vm.memory_size < 16 << 20
        version, text = b"version\r", b"mw 0x41000000 0x600dcafe 4; md 0x41000000 4\r"
        first = ask(version)
        assert b"U-Boot 20" in first[0]
        later = board.snapshot()
        assert later.vm.own_memory_size < at_the_prompt.vm.memory_size / 4
        written = ask(text)
        assert b"41000000: 600dcafe 600dcafe" in written[0]
        for snapshot, command, answer in (
            (at_the_prompt, version, first),
            (later, text, written),
            (at_the_prompt, version, first),
        ):
            board.restore(snapshot)
            assert ask(command) == answer
        board.restore(later)
        assert board.read_phys(0x4100_0000, 4) != bytes.fromhex("feca0d60")


def test_it_reads_and_writes_disks(tmp_path: Path) -> None:
    """Its driver for virtio-mmio finds two disks, reads them, and writes the second."""
    first, second = tmp_path / "first.img", tmp_path / "second.img"
    contents = random.Random(1).randbytes(3 << 20)
    first.write_bytes(contents)
    second.write_bytes(bytes(1 << 20))
    _, output = run_on_soft(
        U_BOOT,
        kind="firmware",
        dialogue=session(
            b"virtio info",
            b"virtio device 0",
            b"virtio read 0x41000000 3 1000",  # 2 MiB in one request
            b"crc32 0x41000000 200000",
            b"virtio device 1",
            b"virtio write 0x41000000 10 4",
            b"virtio read 0x43000000 10 4",
            b"cmp.b 0x41000000 0x43000000 800",
            b"virtio device 0",
            b"virtio write 0x41000000 0 1",  # it is read-only
        ),
        drives=(f"{first},readonly", str(second)),
    )
    text = lines(output)
    assert "Device 0: QEMU VirtIO Block Device" in text
    assert "Capacity: 3.0 MB = 0.0 GB (6144 x 512)" in text
    assert "Device 1: QEMU VirtIO Block Device" in text
    read = contents[3 * 512 :][: 2 << 20]
    assert f"crc32 for 41000000 ... 411fffff ==> {zlib.crc32(read):08x}" in text
    assert "Total of 2048 byte(s) were the same" in text
    assert "virtio write: device 0 block # 0, count 1 ... -5 blocks written: ERROR" in text
    assert first.read_bytes() == contents
    assert second.read_bytes()[0x10 * 512 :][: 4 * 512] == read[: 4 * 512]
    assert second.read_bytes().count(0) >= (1 << 20) - 2048


def test_a_disk_with_an_overlay_is_in_its_snapshot(tmp_path: Path) -> None:
    """What was written after the snapshot is gone after the restore, and is never in the file."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    output = bytearray()
    console = Console(output.extend)
    console.answer(*KEY)
    with (
        open_kvm("soft") as kvm,
        Board(kvm, console=console, drives=[f"{path},overlay"]) as board,
    ):
        load(board, U_BOOT, kind="firmware")
        vcpu = board.vcpus[0]
        assert isinstance(vcpu, SupportsInstructionLimit)
        assert isinstance(vcpu, SupportsInstructionCount)

        def ask(command: bytes) -> str:
            printed = len(output)
            console.feed(command + b"\r")
            while not output[printed:].endswith(PROMPT):
                vcpu.max_instructions = vcpu.instructions + 1_000_000
                assert isinstance(board.run(vcpu), ExitIntr)
            return output[printed:].decode()

        read = b"virtio read 0x43000000 8 1; md 0x43000000 1"
        ask(b"virtio scan; mw.b 0x42000000 5a 200; virtio write 0x42000000 8 1")
        at_the_prompt = board.snapshot()
        assert "43000000: 5a5a5a5a" in ask(read)
        ask(b"mw.b 0x42000000 a5 200; virtio write 0x42000000 8 1")
        assert "43000000: a5a5a5a5" in ask(read)
        board.restore(at_the_prompt)
        assert "43000000: 5a5a5a5a" in ask(read)
    assert path.read_bytes() == bytes(1 << 20)
