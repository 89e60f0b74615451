"""A place in the run of a board: a total order over all its vCPUs."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Position"]


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
