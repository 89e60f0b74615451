"""The board's interrupt controller over the host provider."""

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitSystemEvent, open_kvm
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


BANK, RESULT = 0x0400_0000, 0x4000_1000


@case
def flash_is_executed_and_takes_commands() -> None:
    """The guest runs from one bank of flash, and erases and programs the other."""
    words = [*asm.mov(1, BANK), *asm.mov(3, RESULT)]
    for number, value in enumerate((0x70, 0x20, 0xD0, 0xFF, 0x40, 0x1234, 0xFF)):
        words += [*asm.mov(2, value << 16 | value), asm.access("strw", 2, 1)]
        words += [asm.access("ldrw", 0, 1), asm.access("strw", 0, 3, 4 * number)]
        if value in (0x20, 0x40):  # the next cycle belongs to it
            words = words[:-2]
    words += [*asm.mov(0, 0x8400_0008), asm.hvc()]
    with open_kvm("host") as kvm, Board(kvm, memory_size=16 << 20) as board:
        board.map_flash()
        board.write_phys(0, b"".join(word.to_bytes(4, "little") for word in words))
        board.start(0)
        assert isinstance(board.run(board.vcpus[0]), ExitSystemEvent)
        seen = [
            int.from_bytes(board.read_phys(RESULT + 4 * n, 4), "little") for n in (0, 2, 3, 5, 6)
        ]
        ready = 0x0080_0080
        assert seen == [ready, ready, 0xFFFF_FFFF, ready, 0x1234_1234], [hex(n) for n in seen]
        assert board.read_phys(BANK + 0x3FFFC, 8) == b"\xff" * 4 + bytes(4)
