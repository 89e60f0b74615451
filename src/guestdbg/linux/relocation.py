"""The moment at which the kernel relocates itself (KASLR): from then on its addresses are known.

``__primary_switch`` runs at its physical address. It turns on the MMU, has the kernel relocated,
and jumps (BR) to the virtual address of ``__primary_switched``, which it has in a register. Older
kernels call ``__primary_switched`` as linked before (BLR); it returns if the kernel is to be moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.debugger import Breakpoint, Guest, Hit
    from guestdbg.linux.kallsyms import Kallsyms

__all__ = ["RelocationBreakpoint"]

_SWITCH, _SWITCHED = "__primary_switch", "__primary_switched"
_MAX_INSTRUCTIONS = 256
_BR, _BR_MASK = 0xD61F_0000, 0xFFFF_FC1F  # DDI 0487, C6.2
_ZERO_REGISTER = 31
_U64 = (1 << 64) - 1
_PAGE = 4096
_BIT_OF_TTBR1 = 55


class RelocationBreakpoint:
    """A breakpoint of the debugger's own where the kernel jumps to its virtual address.

    ``found`` is called with the address of the kernel's first byte. Raises OutOfRegisters if no
    breakpoint register is left and no BRK can be used.
    """

    def __init__(
        self, guest: Guest, kallsyms: Kallsyms, physical: int, found: Callable[[int], None]
    ) -> None:
        self._found = found
        self._registers: dict[int, int] = {}
        self._offset = 0
        self._point: Breakpoint | None = None
        switch, switched = kallsyms.named(_SWITCH), kallsyms.named(_SWITCHED)
        if not switch or not switched:
            return
        self._offset = switched[0].offset
        start = switch[0].offset
        count = min((kallsyms.next_offset(start) - start) // 4, _MAX_INSTRUCTIONS)
        code = guest.execution.read_phys(physical + start, 4 * count)
        for n in range(count):
            raw = int.from_bytes(code[4 * n : 4 * n + 4], "little")
            register = raw >> 5 & 31
            if raw & _BR_MASK == _BR and register != _ZERO_REGISTER:
                self._registers[physical + start + 4 * n] = register
        if self._registers:
            self._point = guest.execution.hidden_breakpoint(
                "the kernel's relocation", list(self._registers), self._reached
            )

    @property
    def armed(self) -> bool:
        """Whether the kernel has yet to get there; False also if it has no such place."""
        return self._point is not None and not self._point.deleted

    def delete(self) -> None:
        """Take it out."""
        if self._point is not None:
            self._point.delete()

    def _reached(self, hit: Hit) -> None:
        address = hit.vcpu.x[self._registers[hit.pc]] - self._offset & _U64
        if address % _PAGE == 0 and address >> _BIT_OF_TTBR1 & 1:
            self._found(address)
