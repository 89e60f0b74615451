"""A place in the run of a board: a total order over all its vCPUs, and a time in a guest's run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering
from typing import NamedTuple

from guestdbg.hexadecimal_repr import hexadecimal

__all__ = ["Position", "Time"]


class Position(NamedTuple):
    """Between two instructions of a run. Positions of one run compare as they follow each other.

    The vCPUs of a board run one at a time. A turn is what one of them executes until another one
    is run: ``Board.run`` and ``Board.carry_on`` count it, and nothing else. So a stop in a turn (a
    breakpoint, a step, a limit) begins no new turn, and with one vCPU there is only turn 0. Who
    calls them decides how long turns are; with the same turns on the software provider, a guest
    that gets the same inputs at the same positions does the same.

    Attributes:
        turn: how often the board has changed from one vCPU to another.
        vcpu: the id of the vCPU whose turn it is.
        instructions: how many it had retired. 0 where the provider does not count them: then
            positions order turns only.
    """

    turn: int
    vcpu: int
    instructions: int

    def __str__(self) -> str:
        return f"turn {self.turn}, vCPU {self.vcpu}, {self.instructions} instructions"


@total_ordering
@hexadecimal("pc")
@dataclass(frozen=True, slots=True, eq=False)
class Time:
    """Between two instructions of a run, in a total order over all vCPUs.

    Attributes:
        position: the turn, its vCPU, and how many instructions that had retired.
        pc: of that vCPU. An exception is taken between two instructions: the position is the same
            before and after it, and the PC is not.
    """

    position: Position
    pc: int

    @property
    def instructions(self) -> int:
        """How many instructions the vCPU of the position had retired."""
        return self.position.instructions

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Time):
            return NotImplemented
        return self.position < other.position

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Time):
            return NotImplemented
        return (self.position, self.pc) == (other.position, other.pc)

    def __hash__(self) -> int:
        return hash((self.position, self.pc))

    def __str__(self) -> str:
        return str(self.position)
