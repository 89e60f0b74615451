"""One call of a function, with its arguments and what it returned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guestdbg.hexadecimal_repr import hexadecimal

if TYPE_CHECKING:
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.machine import Position

__all__ = ["Call"]


@hexadecimal("caller")
@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function.

    Attributes:
        function: its name.
        position: when its first instruction was about to be executed.
        vcpu: the number of the vCPU.
        caller: the address to which it returns.
        arguments: the values of its parameters by name, as Python has them: numbers, lists, and
            dicts for structures; without debug information ``x0`` to ``x7``.
        unavailable: why other parameters have no value, by name.
        returned: when it had returned; None: it had not by the end of the interval.
        result: what it returned; None: nothing, or that is not known, see ``note``.
        registers: X0 and X1 when it had returned; None: it had not.
        note: what is to be known of ``result``: the call has ended in another function (a tail
            call), or it has not returned.
    """

    function: str
    position: Position
    vcpu: int
    caller: int
    arguments: dict[str, Any]
    unavailable: dict[str, str] = field(default_factory=dict)
    returned: Position | None = None
    result: Any = None
    registers: tuple[int, int] | None = None
    note: str | None = None
    _locate: Callable[[int], Location] | None = field(default=None, repr=False, compare=False)

    @property
    def location(self) -> Location | None:
        """Where the call was made: the instruction before the one that it returns to.

        After a tail call that is where the function was called that has ended in this one.
        """
        return None if self._locate is None else self._locate(self.caller - 4)

    def __str__(self) -> str:
        shown = ", ".join(
            [
                *(f"{name}={value}" for name, value in self.arguments.items()),
                *(f"{name}=?" for name in self.unavailable),
            ]
        )
        text = f"{self.function}({shown})"
        if self.returned is not None:
            text += f" = {self.result}" if self.result is not None else ", returned"
        return f"{text}, {self.note}" if self.note else text
