"""Linux goes through a file: at its shell it answers as the first guest does, bit for bit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import guestdbg
from guestdbg.debugger import Guest

from .shell import PROMPT, Shell


def digest_of(guest: Guest) -> tuple[object, ...]:
    counts = [vcpu.instructions for vcpu in guest.board.vcpus]  # type: ignore[attr-defined]
    registers = [(*cpu.x, cpu.pc, cpu.pstate) for cpu in guest.vcpus]
    return hashlib.sha256(guest.board.ram.buffer).digest(), counts, registers


def test_it_answers_as_the_first_one(bookworm: Shell, tmp_path: Path) -> None:
    bookworm.guest.save(tmp_path / "saved")
    command = "cat /proc/interrupts /proc/uptime; ls -l /"
    expected = bookworm.ask(command), digest_of(bookworm.guest)
    assert "arch_timer" in expected[0]
    output = bytearray()

    def console(data: bytes) -> None:
        output.extend(data)
        if PROMPT in output:
            twin.interrupt()

    with guestdbg.load(tmp_path / "saved", console=console) as twin:
        assert twin.symbol("init_task").address == bookworm.guest.symbol("init_task").address
        assert (Shell(twin, output).ask(command), digest_of(twin)) == expected
