"""How a session ended."""

from __future__ import annotations

from enum import Enum

__all__ = ["EndReason"]


class EndReason(Enum):
    """How a session ended.

    DETACHED: the client detached, and the guest runs on. DISCONNECTED: the connection broke without
    that. KILLED: the client killed the guest. EXITED: the guest ended by itself.
    """

    DETACHED = "detached"
    DISCONNECTED = "disconnected"
    KILLED = "killed"
    EXITED = "exited"
