"""A run as it was recorded, apart from the guest: what goes into a file, and comes from one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.debugger.guest_file import snapshot_parts
from guestdbg.machine import ReplayError

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, GuestSnapshot
    from guestdbg.history.checkpoints import Checkpoint
    from guestdbg.machine import Input, Position

__all__ = ["RecordedEnd", "RecordedRun", "state_digest"]


@dataclass(frozen=True, slots=True)
class RecordedEnd:
    """The end of a run, and how it is known that the guest has come there.

    Attributes:
        position: where it is.
        pc: of the vCPU of the position. The last exception may have been taken there or not.
        digest: of the guest (``state_digest``).
        recorded_by: the version of guestdbg that recorded the run.
    """

    position: Position
    pc: int
    digest: str
    recorded_by: str

    def check(self, guest: Guest, snapshot: GuestSnapshot) -> None:
        """Raises ReplayError if the guest, which this is a snapshot of, is not as it was there."""
        if guest.execution.now.pc == self.pc and state_digest(guest, snapshot) != self.digest:
            raise ReplayError(
                f"the guest has come to the end of its recorded run, {self.position}, in another "
                "state than it was there: this guestdbg does not play it exactly. It was recorded "
                f"by guestdbg {self.recorded_by}: use that"
            )


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a guest did from a state that is known.

    Attributes:
        turns: of each turn that is over, its vCPU by place, and the instruction count of that.
        inputs: what came in from outside.
        checkpoints: those after the first at which the user had changed the guest.
        end: where it ends.
    """

    turns: Sequence[tuple[int, int]]
    inputs: Sequence[Input]
    checkpoints: Sequence[Checkpoint]
    end: RecordedEnd


def state_digest(guest: Guest, snapshot: GuestSnapshot) -> str:
    """The SHA-256 of what the guest is: memory, and the registers and power of its vCPUs.

    ``snapshot``: the guest as it is, without breakpoint instructions of the debugger.
    """
    found = hashlib.sha256()
    for vcpu in guest.board.vcpus:
        values = [(reg, vcpu.get_one_reg(reg)) for reg in sorted(vcpu.get_reg_list())]
        found.update(repr((values, vcpu.get_mp_state())).encode())
    for section in snapshot_parts(guest, snapshot).pages():
        found.update(section)
    return found.hexdigest()
