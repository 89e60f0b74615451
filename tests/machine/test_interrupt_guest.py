"""A guest that takes the UART's interrupt, on a board of the software provider."""

import pytest

from guestdbg.kvm import open_kvm
from guestdbg.machine import Board, GicVersion, MachineError
from tests.kvm.interrupt_guest import UART_INTID, console, outputs


@pytest.mark.parametrize("gic", [2, 3])
@pytest.mark.parametrize("vcpus", [1, 4])
def test_a_guest_takes_an_interrupt_again_after_a_reset(gic: GicVersion, vcpus: int) -> None:
    terminal, output = console()
    with open_kvm("soft") as kvm:
        try:
            board = Board(kvm, memory_size=16 << 20, console=terminal, gic=gic, vcpus=vcpus)
        except MachineError as error:
            pytest.skip(str(error))
        with board:
            assert outputs(board, output, 3) == [b"-X" + bytes([UART_INTID])] * 3


def test_interrupts_are_in_snapshots() -> None:
    """The board goes back to before the interrupt is taken, and takes it again."""
    terminal, output = console()
    with open_kvm("soft") as kvm, Board(kvm, memory_size=16 << 20, console=terminal) as board:
        if board.gic is None:
            pytest.skip("the provider has no interrupt controller")
        expected = outputs(board, output, 1)
        board.start(0x4008_0000)
        vcpu = board.vcpus[0]
        start = vcpu.instructions  # type: ignore[attr-defined]
        seen = []
        for _ in range(60):
            vcpu.max_instructions = vcpu.instructions + 1  # type: ignore[attr-defined]
            snapshot = board.snapshot()
            printed = len(output)
            vcpu.max_instructions = None  # type: ignore[attr-defined]
            board.run(vcpu)
            rest = bytes(output[printed:])
            board.restore(snapshot)
            seen.append(rest)
            vcpu.max_instructions = vcpu.instructions + 1  # type: ignore[attr-defined]
            board.run(vcpu)
        assert start < vcpu.instructions  # type: ignore[attr-defined]
        assert all(expected[0].endswith(rest) for rest in seen)
        assert seen[0] == expected[0]
        assert seen[-1] != expected[0]
