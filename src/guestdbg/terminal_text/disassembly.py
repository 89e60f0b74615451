"""The instruction of a hit as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.disassembly import instruction
from guestdbg.debugger import DebuggerError

if TYPE_CHECKING:
    from guestdbg.debugger import Hit


def of_hit(hit: Hit) -> str | None:
    """The instruction at the PC of a hit; None if it can no longer be read."""
    try:
        return instruction(hit.guest.read(hit.pc, 4), hit.pc)
    except DebuggerError:
        return None
