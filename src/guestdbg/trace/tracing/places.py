"""Where a trace begins and ends."""

from __future__ import annotations

from guestdbg.trace.tracing.errors import TracingError

__all__ = ["instructions_at"]


def instructions_at(name: str, where: str | int | None) -> int | None:
    """A number of instructions; None if it is a location, or nothing. Raises TracingError."""
    if where is None or isinstance(where, str):
        return None
    if isinstance(where, bool) or not isinstance(where, int) or not 0 <= where < 1 << 62:
        raise TracingError(
            f"{name}={where!r}: it is a location, such as 'main', or a number of instructions"
        )
    return where
