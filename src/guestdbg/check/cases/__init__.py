"""The cases, a file a topic. Importing this registers them all."""

from guestdbg.check.cases import (
    accesses,
    breakpoints,
    brk,
    capabilities,
    control,
    guest,
    levels,
    linked,
    lock,
    migration,
    order,
    priorities,
    selection,
    stepping,
    vcpus,
    watchpoints,
)

__all__ = [
    "accesses",
    "breakpoints",
    "brk",
    "capabilities",
    "control",
    "guest",
    "levels",
    "linked",
    "lock",
    "migration",
    "order",
    "priorities",
    "selection",
    "stepping",
    "vcpus",
    "watchpoints",
]
