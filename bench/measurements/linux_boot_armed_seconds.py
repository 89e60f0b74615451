"""Linux on guestdbg, with breakpoints and watchpoints on busy code and data that are not hit."""

from bench import linux_guest
from bench.measurement import Measurement


def run() -> float:
    with linux_guest.session(linux_guest.armed_command()) as guest:
        seconds = guest.read_to_end()
    if linux_guest.PROMPT not in guest.output:
        raise RuntimeError(f"no prompt:\n{guest.output[-2000:]!r}")
    return seconds


MEASUREMENT = Measurement(
    "linux_boot_armed_seconds",
    "s",
    "guestdbg: Linux, the same with breakpoints and watchpoints armed on busy code and data",
    run,
    repeat=3,
    summary="median",
    better="less",
)
