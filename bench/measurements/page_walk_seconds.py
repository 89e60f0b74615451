"""GDB on guestdbg: all page tables of Linux, as pwndbg reads them."""

from bench import page_walk
from bench.measurement import Measurement

MEASUREMENT = Measurement(
    "page_walk_seconds",
    "s",
    "GDB on guestdbg: all page tables of Linux, as pwndbg reads them",
    page_walk.guestdbg_seconds,
    repeat=1,
    better="less",
)
