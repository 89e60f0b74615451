"""guestdbg's processor on the loop, nothing armed."""

from bench import python_api
from bench.measurement import Measurement

TURNS = 100_000_000


def run() -> float:
    with python_api.loop(TURNS) as guest:
        return python_api.loop_mips(guest, TURNS)


MEASUREMENT = Measurement("loop_mips", "MIPS", "guestdbg: the loop, nothing armed", run)
