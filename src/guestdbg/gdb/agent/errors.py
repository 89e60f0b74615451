"""Errors of agent expressions."""

from __future__ import annotations

from guestdbg.errors import GuestdbgError
from guestdbg.gdb.errors import PacketError

__all__ = ["AgentError", "EvaluationError"]


class AgentError(PacketError):
    """An expression that is malformed, or uses something the server does not support."""


class EvaluationError(GuestdbgError):
    """A well-formed expression without a value at this hit: unmapped memory, a division by 0."""
