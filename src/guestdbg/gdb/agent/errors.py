"""What can be wrong with an agent expression."""

from __future__ import annotations

from guestdbg.errors import GuestdbgError
from guestdbg.gdb.errors import Refused

__all__ = ["AgentError", "EvaluationError"]


class AgentError(Refused):
    """An expression that is malformed, or asks for what there is not."""


class EvaluationError(GuestdbgError):
    """A well-formed expression that has no value now: memory that is not there, a division by 0."""
