"""GDB on a QEMU that uses the lab's KVM, to compare with host_stops_per_second."""

from bench.host import lab
from bench.measurement import Measurement

# Few, because each takes a large part of a second.
KVM_STOPS = 25


def run() -> float:
    return float(lab.measure("gdb_stops", str(KVM_STOPS), rivals=True)["per_second"])


MEASUREMENT = Measurement(
    "qemu_kvm_gdb_stops_per_second",
    "/s",
    "GDB on QEMU with KVM (the lab): watchpoint hits, Python stop() returning False",
    run,
    repeat=3,
)
