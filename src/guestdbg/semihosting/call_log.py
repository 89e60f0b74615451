"""What a call does beside its result: so that it can be repeated without being performed."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CallLog"]


@dataclass(slots=True)
class CallLog:
    """One call.

    Attributes:
        takes: how many bytes of console input it took at most, for each time.
        writes: (address, bytes) that it wrote to guest memory.
        printed: what it wrote to the console.
    """

    takes: list[int] = field(default_factory=list)
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    printed: bytearray = field(default_factory=bytearray)
