"""An exclusive sequence that a vCPU is in the middle of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.arm64 import exclusive_sequence
    from guestdbg.debugger.breakpoints.point import Watch
    from guestdbg.debugger.vcpu.access_decoder import Touched
    from guestdbg.kvm import ExitDebug, GuestDebug

__all__ = ["ActiveSequence"]


@dataclass(slots=True)
class ActiveSequence:
    """An exclusive sequence that the vCPU is running over, disarmed.

    Attributes:
        sequence: the code.
        debug: what KVM_SET_GUEST_DEBUG is given meanwhile: breakpoints where the sequence is left.
        removed: the guest-physical addresses within it whose BRK is out of memory meanwhile.
        exit_: of one that was begun at a watchpoint, that exit.
        touched: its access; None if that is not known.
        watched: the watches that may be hit: (watch, whether the read hits it, old value).
        breakpoint_at: PC and SP of the reported breakpoint that it was begun from.
    """

    sequence: exclusive_sequence.ExclusiveSequence
    debug: GuestDebug
    removed: list[int] = field(default_factory=list)
    exit_: ExitDebug | None = None
    touched: Touched | None = None
    watched: list[tuple[Watch, bool, bytes | None]] = field(default_factory=list)
    breakpoint_at: tuple[int, int] | None = None

    def copy(self) -> ActiveSequence:
        """A copy that does not change with this one."""
        return replace(self, removed=list(self.removed), watched=list(self.watched))
