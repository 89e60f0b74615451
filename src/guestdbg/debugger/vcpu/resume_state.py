"""What a vCPU has to remember from one stop to the next, so that it goes on correctly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.arm64 import exclusive_sequence
    from guestdbg.debugger.breakpoints.hit import Hit
    from guestdbg.debugger.breakpoints.point import Watch
    from guestdbg.debugger.vcpu.access_decoder import Touched
    from guestdbg.kvm import ExitDebug, GuestDebug

__all__ = ["ActiveSequence", "ResumeState"]


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


@dataclass(slots=True)
class ResumeState:
    """The state that decides how one vCPU is resumed; a snapshot keeps a copy.

    Attributes:
        last_stop_pc: the PC at the last Stop, until the vCPU is resumed.
        needs_step_over: the address of an instruction before which the vCPU was stopped, by a
            breakpoint or by a watch that is reported before the access: it has to be executed, with
            the breakpoint disarmed, before anything else.
        interrupted: PC and SP of breakpoints that were reported, and whose instruction was not
            executed because an interrupt came first: coming back to one is not a new hit.
        reported_before_access: PC and SP of the access that was reported before it was made.
        sequence: the exclusive sequence that the vCPU is running over.
        waits_for_input: it waits in a semihosting call for console input.
        device_hits: hits on device registers, reported once the MMIO access is complete.
    """

    last_stop_pc: int | None = None
    needs_step_over: int | None = None
    interrupted: set[tuple[int, int]] = field(default_factory=set)
    reported_before_access: tuple[int, int] | None = None
    sequence: ActiveSequence | None = None
    waits_for_input: bool = False
    device_hits: list[Hit] = field(default_factory=list)

    def clear(self) -> None:
        """Remember nothing: the vCPU has been reset."""
        self.forget_instruction()
        self.last_stop_pc = self.needs_step_over = None
        self.device_hits.clear()

    def forget_instruction(self) -> None:
        """Remember nothing of an instruction that is not complete: the PC was set by hand."""
        self.interrupted.clear()
        self.reported_before_access = None
        self.sequence = None
        self.waits_for_input = False

    def copy(self) -> ResumeState:
        """A copy that does not change with this one."""
        sequence = self.sequence
        if sequence is not None:
            sequence = replace(
                sequence, removed=list(sequence.removed), watched=list(sequence.watched)
            )
        return replace(
            self,
            interrupted=set(self.interrupted),
            sequence=sequence,
            device_hits=list(self.device_hits),
        )
