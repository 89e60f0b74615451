"""A debug exit of a real KVM through our Python, against the same in C."""

from bench.host import lab
from bench.measurement import Measurement

# Short turns and many: the least of each is that of a moment when the machine was ours.
EXITS = 50
ROUNDS = 300


def run() -> float:
    found = lab.measure("exits", str(EXITS), str(ROUNDS), "./exits")
    return float(min(found["python"]) / min(found["c"]))


MEASUREMENT = Measurement(
    "host_exit_ratio",
    "times",
    "guestdbg on a real KVM (the lab): run() to a step's exit, against C",
    run,
    repeat=3,
    summary="median",
    better="less",
)
