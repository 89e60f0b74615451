"""A real guest: Debian's EDK2 for QEMU's board, which stops on a board without a GIC."""

import re
import subprocess
from pathlib import Path

import pytest

import guestdbg
from guestdbg.kvm import ExitIntr, SupportsUndefinedInstructions
from guestdbg.machine import Board
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
