"""The host memory that Linux takes on guestdbg, booted to power-off with 256 MiB."""

from bench import linux_guest
from bench.measurement import Measurement

MIB = 1 << 20


def run() -> float:
    with linux_guest.session(linux_guest.memory_command()) as guest:
        guest.read_to_end()
    most, touched = map(int, guest.output.splitlines()[-1].split())
    # Beside the guest's memory there are the interpreter, decoded code and tables.
    if most > 1.3 * touched + 200 * MIB:
        raise RuntimeError(f"{most / MIB:.0f} MiB, the guest touched {touched / MIB:.0f} MiB")
    return most / MIB


MEASUREMENT = Measurement(
    "linux_host_mib",
    "MiB",
    "guestdbg: host memory of Linux's boot, at most",
    run,
    repeat=1,
    better="less",
)
