"""Watches of device registers: hits made from MMIO exits.

No watchpoint fires there: the stage-2 abort that makes the exit is taken before it would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.vcpu.access_decoder import READ, WRITE, Touched
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import ExitMmio
from guestdbg.kvm.regs import core_reg

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["ONLY_READS", "MmioWatchpoints"]

_PC = core_reg("pc")
_PAGE = 0xFFF

ONLY_READS = "the instruction only reads"


class MmioWatchpoints:
    """The hits of one vCPU on devices; they are reported once the access is complete."""

    def __init__(self, core: VcpuContext) -> None:
        self._core = core
        self.hits: list[Hit] = []

    def accessed(self, exit_: ExitMmio, data: bytes) -> None:
        """A device was accessed, with these bytes."""
        core = self._core
        bits = WRITE if exit_.is_write else READ
        for watch in core.guest.arming.watches:
            if not bits & watch.bits:
                continue
            # Page offsets survive translation: most watches are ruled out without one.
            if (
                exit_.phys_addr - watch.address & _PAGE >= watch.length
                and watch.address - exit_.phys_addr & _PAGE >= exit_.len
            ):
                continue
            try:
                physical = core.space.translate(watch.address)
            except AddressError:
                continue
            low = max(physical, exit_.phys_addr)
            high = min(physical + watch.length, exit_.phys_addr + exit_.len)
            if low >= high or not core.concerned(watch.el, watch.context, False):
                continue
            touched = Touched(watch.address + exit_.phys_addr - physical, exit_.len, bits)
            hit = Hit(core, watch, core.get(_PC), touched, None, None)
            value = data[low - exit_.phys_addr : high - exit_.phys_addr]
            if exit_.is_write:
                hit.new_bytes = value
            else:
                hit.old_bytes = value
                hit.new_reason = ONLY_READS
            self.hits.append(hit)
        if self.hits:
            # The access is completed, then the provider comes back before the next instruction.
            core.vcpu.immediate_exit = True

    def report(self) -> Stop | None:
        """Hand the hits on, if there are any."""
        if not self.hits:
            return None
        hits, self.hits = self.hits, []
        self._core.vcpu.immediate_exit = False
        return dispatch(self._core, hits)
