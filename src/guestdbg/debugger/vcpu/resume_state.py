"""What a vCPU has to remember from one stop to the next, so that it goes on correctly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import Hit
    from guestdbg.debugger.vcpu.active_sequence import ActiveSequence

__all__ = ["ResumeState"]


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
            sequence = sequence.copy()
        # replace() looks at each field by its name, and this is a part of each restore.
        return ResumeState(
            self.last_stop_pc,
            self.needs_step_over,
            set(self.interrupted),
            self.reported_before_access,
            sequence,
            self.waits_for_input,
            list(self.device_hits),
        )
