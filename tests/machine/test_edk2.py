"""A real guest: Debian's EDK2 for QEMU's board, which stops on a board without a GIC."""

import re
import subprocess
from pathlib import Path

import pytest

import guestdbg
from guestdbg.kvm import (
    Exit,
    ExitIntr,
    ExitSystemEvent,
    SupportsUndefinedInstructions,
    open_kvm,
)
from guestdbg.kvm.constants import KVM_SYSTEM_EVENT_SHUTDOWN
from guestdbg.machine import Board, Console, load
from guestdbg.machine.layout import RAM_BASE
from tests.machine.guests import EDK2, QEMU_BOARD, qemu, run_on_soft

# It takes about 220 million instructions to the exception, and then loops.
ENOUGH = 400_000_000
STOP = re.compile(rb"Synchronous Exception at 0x([0-9A-F]{16})\r\n")

pytestmark = pytest.mark.skipif(
    not EDK2.is_file(), reason=f"no {EDK2}: install Debian's qemu-efi-aarch64"
)


def device_tree(board: Board) -> bytes:
    """The tree that the board gave its guest, at the start of RAM."""
    size = int.from_bytes(board.read_phys(RAM_BASE + 4, 4), "big")
    return board.read_phys(RAM_BASE, size)


def on_qemu(tree: Path) -> bytes:
    """The console of QEMU's board with another device tree, up to EDK2's exception."""
    output = b""
    process = subprocess.Popen(
        [qemu(), *QEMU_BOARD, "-dtb", str(tree), "-bios", str(EDK2)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        while not STOP.search(output):
            line = process.stdout.readline()
            assert line, f"QEMU ended: {output!r}"
            output += line
    finally:
        process.kill()
        process.communicate()
    return output


def test_it_executes_no_instruction_that_is_not_implemented(tmp_path: Path) -> None:
    """It stops where it stops on QEMU if that has this board's device tree: without a GIC.

    Its driver of the interrupt controller does not expect that there is none, and reads the
    distributor's GICD_TYPER (offset 4) at address 0 + 4.
    """
    undefined: list[int] = []
    tree = tmp_path / "board.dtb"

    def prepare(board: Board) -> None:
        assert isinstance(board.vm, SupportsUndefinedInstructions)
        board.vm.on_undefined = lambda vcpu, encoding, address: undefined.append(encoding)
        tree.write_bytes(device_tree(board))

    exit_, output = run_on_soft(
        EDK2, kind="firmware", max_instructions=ENOUGH, prepare=prepare, gic=None
    )
    assert isinstance(exit_, ExitIntr)
    assert undefined == []
    assert output.startswith(b"UEFI firmware (version")
    assert STOP.search(output)
    assert output == on_qemu(tree)


def test_the_stop_is_named() -> None:
    """EDK2 prints where the exception was; the debugger says what it was."""
    output = bytearray()
    with guestdbg.load(
        EDK2, provider="soft", kind="firmware", console=output.extend, gic=None
    ) as guest:
        stop = guest.run(max_instructions=ENOUGH)
        assert stop.reason == "limit"
        (found,) = guest.diagnose()
    printed = STOP.search(output)
    assert printed is not None
    assert found.status == "runs"
    assert found.first is not None
    assert found.first.pc == int(printed[1], 16)
    assert found.first.far == 4
    assert found.text.startswith(f"it has not returned from a fault at {found.first.pc:#x}")
    assert "Data Abort" in found.text
    assert "FAR_EL1 0x4)" in found.text


VENDOR = b"11111111-2222-3333-4444-555555555555"
ESCAPES = re.compile(rb"\x1b\[[0-9;=]*[A-Za-z]")


@pytest.mark.slow
def test_it_comes_to_its_shell_and_keeps_its_variables_in_flash(tmp_path: Path) -> None:
    """A variable that is set in the shell is in the file, and EDK2 reads it back from flash."""
    variables = tmp_path / "vars.fd"
    variables.write_bytes(bytes(768 << 10))
    output = bytearray()
    console = Console(output.extend)
    console.answer(b"in 5 seconds", b"\x1b")
    for command in (
        b"setvar Kept -guid " + VENDOR + b" -nv -bs =4142\r",
        b"setvar Kept -guid " + VENDOR + b"\r",
        b"reset -s\r",
    ):
        console.answer(b"Shell> ", command)
    with (
        open_kvm("soft") as kvm,
        Board(kvm, console=console, flash_file=variables, flash_save=True) as board,
    ):
        load(board, EDK2, kind="firmware")
        exit_: Exit = ExitIntr()
        while isinstance(exit_, ExitIntr) and not exit_.idle:
            exit_ = board.run(board.vcpus[0])
    assert isinstance(exit_, ExitSystemEvent)
    assert exit_.type == KVM_SYSTEM_EVENT_SHUTDOWN
    text = ESCAPES.sub(b"", bytes(output))
    assert VENDOR + b" - Kept - 0002 Bytes\r\n41 42" in text
    assert b"_FVH" in variables.read_bytes()[:0x40], "a firmware volume"
    assert "Kept\0".encode("utf-16-le") in variables.read_bytes()
