"""Our processor on the loop, nothing armed."""

from bench import ours
from bench.measurement import Measurement

TURNS = 100_000_000


def run() -> float:
    with ours.loop(TURNS) as guest:
        return ours.loop_mips(guest, TURNS)


MEASUREMENT = Measurement("loop_mips", "MIPS", "guestdbg: the loop, nothing armed", run)
