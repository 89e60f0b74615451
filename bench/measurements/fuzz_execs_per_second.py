"""AFL++ with a guest: executions of a small parser a second, both on one core."""

from bench import afl
from bench.measurement import Measurement

#: A packet in which nothing is wrong.
SEED = b"PKT1n\2abd\00217e\0"


def run() -> float:
    target = ["examples/packet.elf", "--at", "parse", "--input", "buffer,length"]
    return afl.executions_per_second(target, SEED)


MEASUREMENT = Measurement(
    "fuzz_execs_per_second",
    "/s",
    "AFL++ with guestdbg: executions of a small parser, both on one core",
    run,
    repeat=3,
)
