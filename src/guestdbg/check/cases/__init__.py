"""The cases, a file a topic. Importing this registers them all, in this order."""

from guestdbg.check.cases import (
    breakpoints,
    capabilities,
    control,
    watchpoints,
)

__all__ = [
    "breakpoints",
    "capabilities",
    "control",
    "watchpoints",
]
