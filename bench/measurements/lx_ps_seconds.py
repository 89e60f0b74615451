"""GDB on guestdbg: 200 tasks of Linux, by the kernel's own script `lx-ps`."""

from bench import linux_scripts
from bench.measurement import Measurement

MEASUREMENT = Measurement(
    "lx_ps_seconds",
    "s",
    "GDB on guestdbg: 200 tasks of Linux by the kernel's script lx-ps",
    linux_scripts.guestdbg_seconds,
    repeat=1,
    better="less",
)
