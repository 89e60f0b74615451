"""Our processor on the loop with every debug register armed on the two pages it uses."""

import guestdbg
from bench import loop_guest, ours
from bench.measurement import Measurement

TURNS = 100_000_000
WATCHPOINTS = 4
BREAKPOINTS = 6


def run() -> float:
    with ours.loop(TURNS) as guest:
        # Apart from each other: neighbours would share a register.
        for n in range(WATCHPOINTS):
            guest.watch(loop_guest.DATA + 0x800 + 0x40 * n, 8, access="any")
        for n in range(BREAKPOINTS):
            guest.break_(loop_guest.CODE + 0x800 + 4 * n, kind="hardware")
        # That nothing is left is what "every" means.
        for arm in (lambda: guest.watch(loop_guest.DATA + 0xA00, 8), lambda: guest.break_(0x900)):
            try:
                arm()
            except guestdbg.GuestdbgError:
                continue
            raise RuntimeError("there were more debug registers than this measurement armed")
        return ours.loop_mips(guest, TURNS)


MEASUREMENT = Measurement(
    "loop_mips_armed",
    "MIPS",
    "guestdbg: the loop, 4 watchpoints and 6 breakpoints on the same pages, none hit",
    run,
)
