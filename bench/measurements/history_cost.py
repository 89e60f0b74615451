"""What history costs: the speed of the suite's programs with it, as a part of that without."""

from bench.measurement import Measurement
from bench.suite_programs import PROGRAMS, check, on_guestdbg

# None: the number in each ELF file.
ROUNDS: int | None = None


def run() -> dict[str, float]:
    parts = {}
    for program in PROGRAMS:
        plain = on_guestdbg(program, ROUNDS)
        recorded = on_guestdbg(program, ROUNDS, history=True)
        check(program, recorded, ROUNDS)
        parts[program.name] = plain.seconds / recorded.seconds
    return parts


MEASUREMENT = Measurement(
    "history_cost",
    "times",
    "guestdbg: the suite with history, as a part of its speed without",
    run,
    repeat=3,
    summary="median",
)
