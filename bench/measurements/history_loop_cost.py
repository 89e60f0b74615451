"""What history costs where nothing else takes time: the loop's speed with it, as a part."""

from bench import python_api
from bench.measurement import Measurement

TURNS = 100_000_000


def run() -> float:
    with python_api.loop(TURNS) as guest:
        plain = python_api.loop_mips(guest, TURNS)
    with python_api.loop(TURNS) as guest:
        guest.history.start()
        return python_api.loop_mips(guest, TURNS) / plain


MEASUREMENT = Measurement(
    "history_loop_cost",
    "times",
    "guestdbg: the loop with history, as a part of its speed without",
    run,
    repeat=3,
    summary="median",
)
