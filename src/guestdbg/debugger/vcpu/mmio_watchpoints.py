"""Watches of device registers: hits made from MMIO exits.

Device registers have no stage-2 mapping. The stage-2 abort that makes the exit is taken where the
watchpoint exception would be, so no watchpoint exit comes from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.vcpu.access_decoder import READ, WRITE, Touched
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.kvm.constants import KVM_GUESTDBG_SINGLESTEP
from guestdbg.kvm.regs import PC

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.stop import Stop
    from guestdbg.kvm import ExitMmio

__all__ = ["ONLY_READS", "MmioWatchpoints"]

_PAGE_OFFSET = 0xFFF

ONLY_READS = "the instruction only reads"


class MmioWatchpoints:
    """The hits of one vCPU on device registers; they are reported once the access is complete."""

    def __init__(self, context: VcpuContext) -> None:
        self._context = context

    def device_accessed(self, exit_: ExitMmio, data: bytes) -> None:
        """A device register was read or written, with these bytes."""
        context = self._context
        # The console may call a function of the user's, which may look at the points.
        context.collect_counts()
        pending = context.resume_state.device_hits
        bits = WRITE if exit_.is_write else READ
        for watch in context.target.armed.watches:
            if not bits & watch.bits:
                continue
            # Translation keeps the offset in a page, which rules most watches out without one.
            if (
                exit_.phys_addr - watch.address & _PAGE_OFFSET >= watch.length
                and watch.address - exit_.phys_addr & _PAGE_OFFSET >= exit_.len
            ):
                continue
            try:
                physical = context.space.translate(watch.address)
            except AddressError:
                continue
            low = max(physical, exit_.phys_addr)
            high = min(physical + watch.length, exit_.phys_addr + exit_.len)
            if low >= high or not context.matches(watch, False):
                continue
            touched = Touched(watch.address + exit_.phys_addr - physical, exit_.len, bits)
            hit = Hit(context, watch, context.get(PC), touched, None, None)
            value = data[low - exit_.phys_addr : high - exit_.phys_addr]
            if exit_.is_write:
                hit.new_bytes = value
            else:
                hit.old_bytes = value
                hit.new_reason = ONLY_READS
            pending.append(hit)
        self._report_soon()

    def add(self, hits: Sequence[Hit]) -> None:
        """Have hits of a device on memory reported in the same way."""
        self._context.resume_state.device_hits.extend(hits)
        self._report_soon()

    def _report_soon(self) -> None:
        context = self._context
        debug = context.guest_debug
        stepping = debug is not None and debug.control & KVM_GUESTDBG_SINGLESTEP
        if context.resume_state.device_hits and not stepping:
            # The next KVM_RUN completes the access and exits before the next instruction. A step
            # ends there anyway; KVM would forget that it is complete, and step another instruction.
            context.vcpu.immediate_exit = True

    def report(self) -> Stop | None:
        """Report the hits of the access that is complete now, and of devices, if there are any."""
        pending = self._context.resume_state.device_hits
        if not pending:
            return None
        hits = list(pending)
        pending.clear()
        self._context.vcpu.immediate_exit = False
        return dispatch(self._context, hits)
