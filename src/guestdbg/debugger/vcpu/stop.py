"""Why a run or step of the guest has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from guestdbg.errors import GuestdbgError
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.html_table import fields_html
from guestdbg.kvm import ExitIntr

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import Hit
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.vcpu.registers import Cpu
    from guestdbg.machine import Time

__all__ = ["Outcome", "Reason", "Stop"]

#: Notebooks show so many hits of a stop.
_MOST_HITS = 4
Reason = Literal[
    "hit",
    "step",
    "until",
    "exit",
    "panic",
    "timeout",
    "limit",
    "interrupt",
    "idle",
    "error",
    "history",
]


@hexadecimal("pc")
@dataclass(frozen=True, slots=True)
class Stop:
    """What ``run`` and the steps return.

    Attributes:
        reason: ``"hit"``: a handler returned STOP, or a point without a handler was hit;
            ``"step"``: the step is complete; ``"until"``: the location to run to is reached;
            ``"exit"``: the guest powered off or asked for a reset (``detail`` says which);
            ``"panic"``: a Linux kernel has printed that it panics (``detail`` has the text);
            ``"timeout"``, ``"limit"``, ``"interrupt"``: the time is over, the instructions are
            executed, ``interrupt()`` was called; ``"idle"``: every vCPU waits for an interrupt
            that nothing in the guest will raise; ``"error"``: the provider cannot continue;
            ``"history"``: going back has come to the beginning of the guest's history, or a run
            from a file to its end (``detail`` says which).
        cpu: the vCPU that stopped.
        pc: the address of its next instruction.
        hits: the hits that ended the run: one instruction may hit several points.
        detail: more, in words.
        status: the exit status of a guest that gave one by semihosting (0 to 255); otherwise 0.
        time: when it was, for ``guest.goto``; None: the guest has no history.
    """

    reason: Reason
    cpu: Cpu
    pc: int
    hits: tuple[Hit, ...] = ()
    detail: str = ""
    status: int = 0
    time: Time | None = None

    @property
    def hit(self) -> Hit | None:
        """The first hit that ended the run, for ``"hit"``."""
        return self.hits[0] if self.hits else None

    @property
    def location(self) -> Location:
        """Where ``pc`` is: function, offset, file and line, those that are known."""
        return self.cpu.locate(self.pc)

    def _repr_html_(self) -> str:
        """How notebooks show it, with its hits."""
        try:
            location: Location | None = self.location
        except GuestdbgError:
            location = None  # the guest is closed, and its symbols with it
        fields = [
            ("detail", self.detail),
            ("where", None if location is None else location.symbolic),
            ("source", None if location is None else location.source),
            ("pc", f"{self.pc:#x}"),
            ("vCPU", self.cpu.id),
            ("exit status", self.status or None),
            ("time", self.time),
        ]
        more = len(self.hits) - _MOST_HITS
        note = f"{more:,} more hits" if more > 0 else None
        shown = "".join(hit._repr_html_() for hit in self.hits[:_MOST_HITS])
        return fields_html(f"Stop: {self.reason}", fields, note=note) + shown

    def __str__(self) -> str:
        if self.hit is not None:
            return str(self.hit)
        text = f"{self.reason} at {self.location}"
        return f"{text}: {self.detail}" if self.detail else text


#: What handling one exit of a vCPU, or letting it run, results in:
#:
#: - a ``Stop``: the run of the guest ends with it;
#: - ``ExitIntr``: the vCPU gives up its turn, as the provider asks or as ``idle`` says; what it was
#:   doing is not complete, and goes on when it is resumed;
#: - None: the exit is handled, and the vCPU goes on. Of a step: it is complete, and nothing has to
#:   be reported.
Outcome: TypeAlias = Stop | ExitIntr | None
