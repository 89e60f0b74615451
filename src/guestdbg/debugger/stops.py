"""Why the guest stands still again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from guestdbg.debugger.location import Location

if TYPE_CHECKING:
    from guestdbg.debugger.cpu import Cpu
    from guestdbg.debugger.hits import Hit

__all__ = ["Reason", "Stop"]

Reason = Literal["hit", "step", "until", "exit", "timeout", "limit", "interrupt", "idle", "error"]


@dataclass(frozen=True, slots=True)
class Stop:
    """What ``run`` and the steps return.

    Attributes:
        reason: ``"hit"``: a handler returned STOP, or a point without a handler was hit;
            ``"step"``: the step is done; ``"until"``: the place to run to is reached; ``"exit"``:
            the guest powered off or asked for a reset (``detail`` says which); ``"timeout"``,
            ``"limit"``, ``"interrupt"``: as asked; ``"idle"``: every vCPU waits for an interrupt
            that nothing in the guest will bring; ``"error"``: the provider cannot go on.
        hit: the first hit that ended the run, for ``"hit"``.
        hits: all of them: several points may be hit by one instruction.
        cpu: the vCPU that stopped.
        location: where it stands now.
        detail: more in words.
    """

    reason: Reason
    cpu: Cpu
    location: Location
    hit: Hit | None = None
    hits: tuple[Hit, ...] = ()
    detail: str = ""

    @property
    def pc(self) -> int:
        """Where the vCPU stands: the address of its next instruction."""
        return self.location.address

    def __str__(self) -> str:
        if self.hit is not None:
            return str(self.hit)
        text = f"{self.reason} at {self.location}"
        return f"{text}: {self.detail}" if self.detail else text
