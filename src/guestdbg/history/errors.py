"""The errors of a guest's history. Each message says what was wrong and what would be right."""

from __future__ import annotations

from guestdbg.errors import GuestdbgError

__all__ = [
    "BudgetTooSmall",
    "HistoryError",
    "HistoryInterrupted",
    "HistoryUnavailable",
    "InThePast",
    "NotRecorded",
    "OutsideHistory",
]


class HistoryError(GuestdbgError):
    """The root of the errors about a guest's history."""


class HistoryUnavailable(HistoryError):
    """This guest cannot have a history: its provider, or its clock, does not repeat a run."""


class NotRecorded(HistoryError):
    """History is not on: ``guest.history.start()`` was not called."""


class OutsideHistory(HistoryError):
    """A time before the beginning of the history, or after its end."""


class HistoryInterrupted(HistoryError):
    """``guest.interrupt()`` was called while the guest was on its way to another time."""


class InThePast(HistoryError):
    """The guest is in its past, and this would change it: ``guest.history.branch()`` first."""


class BudgetTooSmall(HistoryError):
    """The memory budget does not suffice for one snapshot of the guest."""
