"""The cases, a file a topic. Importing this registers them all."""

from guestdbg.check.cases import (
    accesses,
    breakpoints,
    capabilities,
    control,
    levels,
    linked,
    selection,
    watchpoints,
)

__all__ = [
    "accesses",
    "breakpoints",
    "capabilities",
    "control",
    "levels",
    "linked",
    "selection",
    "watchpoints",
]
