"""guestdbg's processor on the loop, all debug registers armed on the pages that it uses."""

from bench import loop_guest, python_api
from bench.measurement import Measurement

TURNS = 100_000_000


def run() -> float:
    with python_api.loop(TURNS) as guest:
        python_api.arm_everything(guest, loop_guest.DATA + 0x800, loop_guest.CODE + 0x800)
        return python_api.loop_mips(guest, TURNS)


MEASUREMENT = Measurement(
    "loop_mips_armed",
    "MIPS",
    "guestdbg: the loop, 4 watchpoints and 6 breakpoints on the same pages, none hit",
    run,
)
