"""Watchpoint hits with a Python handler, on a real KVM."""

from bench.host import lab
from bench.measurement import Measurement

STOPS = 1000


def run() -> float:
    return float(lab.measure("stops", str(STOPS))["per_second"])


MEASUREMENT = Measurement(
    "host_stops_per_second",
    "/s",
    "guestdbg on a real KVM (the lab): watchpoint hits with a Python handler",
    run,
    repeat=3,
)
