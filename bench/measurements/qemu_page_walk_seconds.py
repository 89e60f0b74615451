"""GDB on QEMU's stub: all page tables of Linux, as pwndbg reads them."""

from bench import page_walk
from bench.measurement import Measurement

MEASUREMENT = Measurement(
    "qemu_page_walk_seconds",
    "s",
    "GDB on QEMU's stub: all page tables of Linux, as pwndbg reads them",
    page_walk.qemu_seconds,
    repeat=1,
    better="less",
)
