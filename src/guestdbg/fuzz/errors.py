"""The errors of fuzzing. Each message says what was wrong and what would be right."""

from __future__ import annotations

from guestdbg.errors import GuestdbgError

__all__ = ["FuzzError"]


class FuzzError(GuestdbgError):
    """A guest, or a place of its memory, that cannot be fuzzed so; a fuzzer that went away."""
