"""The board's interrupt controller over the host provider."""

from guestdbg.kvm import open_kvm
from guestdbg.machine import Board, GicVersion
from tests.kvm.interrupt_guest import UART_INTID, console, outputs

from .devices import KVM_DEV_TYPE_ARM_VGIC_V3, _kinds
from .rig import case


@case
def a_board_has_an_interrupt_controller_and_resets_it() -> None:
    kinds = _kinds()
    versions: list[GicVersion] = ["auto"]
    versions += [3 if kind == KVM_DEV_TYPE_ARM_VGIC_V3 else 2 for kind in kinds]
    for gic in versions:
        terminal, output = console()
        with (
            open_kvm("host") as kvm,
            Board(kvm, memory_size=16 << 20, console=terminal, gic=gic, vcpus=2) as board,
        ):
            assert outputs(board, output, 3) == [b"-X" + bytes([UART_INTID])] * 3


@case
def a_board_with_a_gicv3_has_64_vcpus() -> None:
    if KVM_DEV_TYPE_ARM_VGIC_V3 not in _kinds():
        return
    terminal, output = console()
    with (
        open_kvm("host") as kvm,
        Board(kvm, memory_size=16 << 20, console=terminal, gic=3, vcpus=64) as board,
    ):
        assert outputs(board, output, 2) == [b"-X" + bytes([UART_INTID])] * 2
