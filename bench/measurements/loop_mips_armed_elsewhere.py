"""guestdbg's processor on the loop, all debug registers armed on other pages."""

from bench import loop_guest, python_api
from bench.measurement import Measurement

TURNS = 100_000_000
PAGE = 4096


def run() -> float:
    with python_api.loop(TURNS) as guest:
        python_api.arm_everything(guest, loop_guest.DATA + PAGE, loop_guest.CODE + PAGE)
        return python_api.loop_mips(guest, TURNS)


MEASUREMENT = Measurement(
    "loop_mips_armed_elsewhere",
    "MIPS",
    "guestdbg: the loop, 4 watchpoints and 6 breakpoints on other pages",
    run,
)
