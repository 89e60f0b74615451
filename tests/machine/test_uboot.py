"""A real guest: Debian's U-Boot for QEMU's board, to its prompt, and commands there."""

import re

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
