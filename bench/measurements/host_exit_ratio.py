"""A debug exit of a real KVM through Python, relative to the same in C."""

from bench.host import lab
from bench.measurement import Measurement

# Many short turns: the minimum of each is from a moment without other load on the machine.
EXITS = 50
ROUNDS = 300


def run() -> float:
    found = lab.measure("exits", str(EXITS), str(ROUNDS), "./exits")
    return float(min(found["python"]) / min(found["c"]))


MEASUREMENT = Measurement(
    "host_exit_ratio",
    "times",
    "guestdbg on a real KVM (the lab): run() to a step's exit, relative to C",
    run,
    repeat=3,
    summary="median",
    better="less",
)
