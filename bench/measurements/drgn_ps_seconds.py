"""The tasks of a Linux guest, listed by drgn's helpers."""

from bench import linux_tasks
from bench.measurement import Measurement

MEASUREMENT = Measurement(
    "drgn_ps_seconds",
    "s",
    "guestdbg: drgn's ps over 200 tasks of Linux",
    linux_tasks.seconds,
    summary="median",
    better="less",
)
