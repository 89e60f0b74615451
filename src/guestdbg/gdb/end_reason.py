"""How a session ended."""

from __future__ import annotations

from enum import Enum

__all__ = ["Ending"]


class Ending(Enum):
    """How a session ended: the client let the guest go, or vanished, or the guest ended."""

    DETACHED = "detached"
    VANISHED = "vanished"
    KILLED = "killed"
    EXITED = "exited"
