"""The messages about one guest: devices and instructions that it wants and does not get.

A guest is not to be believed: it can access any address and execute any encoding. Each kind of
message is bounded, and what is beyond is counted by nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.kvm import SupportsCpuModel, SupportsUndefinedInstructions

if TYPE_CHECKING:
    from guestdbg.debugger.messages.unimplemented import UnimplementedInstruction
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.kvm import Vcpu
    from guestdbg.machine import Board, MissingDevice

    Message = MissingDevice | UnimplementedInstruction

__all__ = ["GuestMessages"]

log = logging.getLogger(__name__)

#: How many unimplemented instructions are reported.
_UNIMPLEMENTED_MAX = 32


class GuestMessages:
    """The messages about one guest, each reported once, in the order in which they came.

    Args:
        board: the board of the guest.
        locate: what is known of an address.

    Attributes:
        missing_devices: the devices, and pages without one, that the guest accessed and this board
            does not have; at most 64.
        unimplemented: the instructions that it executed and the processor does not implement: once
            for each mnemonic in each function, at most 32. Providers that do not implement
            ``SupportsUndefinedInstructions`` (the host) report none.
        listener: called with each message and its text, by the thread that runs the guest, while it
            runs. None: they are logged as warnings.
    """

    def __init__(self, board: Board, locate: Callable[[int], Location]) -> None:
        self._locate = locate
        self._cpu = board.kvm.cpu if isinstance(board.kvm, SupportsCpuModel) else None
        self._seen: set[tuple[str | int, str]] = set()
        self.missing_devices: list[MissingDevice] = []
        self.unimplemented: list[UnimplementedInstruction] = []
        self.listener: Callable[[Message, str], object] | None = None
        board.bus.on_missing = self._missing_device
        if isinstance(board.vm, SupportsUndefinedInstructions):
            board.vm.on_undefined = self._undefined

    def _missing_device(self, missing: MissingDevice) -> None:
        self.missing_devices.append(missing)
        where = str(self._locate(missing.pc))
        pc = "" if f"{missing.pc:#x}" in where else f", pc {missing.pc:#x}"
        self._send(missing, f"{missing}: {missing.outcome} ({where}{pc})")

    def _undefined(self, vcpu: Vcpu, encoding: int, pc: int) -> None:
        if len(self.unimplemented) >= _UNIMPLEMENTED_MAX:
            return
        # Most guests execute none of them, and loading the disassembler takes time.
        from guestdbg.debugger.messages.extensions import describe
        from guestdbg.debugger.messages.unimplemented import UnimplementedInstruction

        found = describe(encoding, pc)
        if found is None:
            return
        location = self._locate(pc)
        instruction = UnimplementedInstruction(
            pc,
            location,
            encoding,
            found.text,
            found.extension,
            found.build_with,
            vcpu.id,
            found.instruction,
            self._cpu,
        )
        key = (location.function or pc & ~0xFFF, instruction.mnemonic)
        if key in self._seen:
            return
        self._seen.add(key)
        self.unimplemented.append(instruction)
        message = str(instruction)
        if len(self.unimplemented) == _UNIMPLEMENTED_MAX:
            message += f" ({_UNIMPLEMENTED_MAX} such instructions: no more are reported)"
        self._send(instruction, message)

    def _send(self, message: Message, text: str) -> None:
        if self.listener is None:
            log.warning("%s", text)
            return
        try:
            self.listener(message, text)
        except Exception as error:
            # The guest is in the middle of an access: what it gets must not depend on this.
            log.warning("a message is lost: %s (%s)", text, error)
