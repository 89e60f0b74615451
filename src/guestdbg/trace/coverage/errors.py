"""The errors of coverage. Each message says what was wrong and what would be right."""

from __future__ import annotations

from guestdbg.errors import GuestdbgError

__all__ = ["CoverageError", "CoverageUnavailable"]


class CoverageError(GuestdbgError):
    """Coverage that cannot be had so, or a file that cannot be written."""


class CoverageUnavailable(CoverageError):
    """The provider does not say what its vCPUs execute."""
