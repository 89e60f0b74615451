"""`guestdbg run` from the start of its process to U-Boot's prompt, with Python and imports."""

from bench import uboot_prompt
from bench.measurement import Measurement
from bench.process import GUESTDBG


def run() -> float:
    return uboot_prompt.seconds([*GUESTDBG, "run", uboot_prompt.firmware(), "--kind", "firmware"])


MEASUREMENT = Measurement(
    "uboot_seconds",
    "s",
    "guestdbg: U-Boot, start of the process to the prompt",
    run,
    summary="median",
    better="less",
)
