"""What records of recordings keep of the task that made a hit.

What a task is only those know who know the guest's operating system: a layer above gives a
``TaskWords`` for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import TaskName
    from guestdbg.kvm import Vcpu
    from guestdbg.kvm.hit_programs import Operation

__all__ = ["UNKNOWN", "TaskWords"]

#: A word of a record whose value cannot be found out.
UNKNOWN = (1 << 64) - 1


class TaskWords(Protocol):
    """Words of records that say in which task a hit happened, and what for."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the words, as columns have them."""

    def check(self) -> None:
        """Raise a GuestdbgError if nothing is known of tasks."""

    @property
    def operations(self) -> tuple[tuple[Operation, ...], ...]:
        """What computes each of them in a hit program, on any vCPU."""

    def read(self, vcpu: Vcpu) -> tuple[int, ...]:
        """The words for a hit on this vCPU, now; UNKNOWN for what cannot be found out."""

    def learn(self) -> None:
        """A provider could not compute them: have other ``operations``, if there are any now."""

    def name(self, words: Sequence[int]) -> TaskName | None:
        """The task that the words are of; None where that is not known."""
