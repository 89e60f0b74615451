"""Why the guest stands still again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from guestdbg.debugger.program.source_location import Location

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import Hit
    from guestdbg.debugger.vcpu.registers import Cpu

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
        cpu: the vCPU that stopped.
        pc: where it stands: the address of its next instruction.
        hits: those that ended the run: several points may be hit by one instruction.
        detail: more in words.
    """

    reason: Reason
    cpu: Cpu
    pc: int
    hits: tuple[Hit, ...] = ()
    detail: str = ""

    @property
    def hit(self) -> Hit | None:
        """The first hit that ended the run, for ``"hit"``."""
        return self.hits[0] if self.hits else None

    @property
    def location(self) -> Location:
        """What is known of ``pc``: function, offset, file and line."""
        return self.cpu.locate(self.pc)

    def __str__(self) -> str:
        if self.hit is not None:
            return str(self.hit)
        text = f"{self.reason} at {self.location}"
        return f"{text}: {self.detail}" if self.detail else text
