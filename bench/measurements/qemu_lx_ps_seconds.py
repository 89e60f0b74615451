"""GDB on QEMU's stub: 200 tasks of Linux, by the kernel's own script `lx-ps`."""

from bench import linux_scripts
from bench.measurement import Measurement

MEASUREMENT = Measurement(
    "qemu_lx_ps_seconds",
    "s",
    "GDB on QEMU's stub: 200 tasks of Linux by the kernel's script lx-ps",
    linux_scripts.qemu_seconds,
    repeat=1,
    better="less",
)
