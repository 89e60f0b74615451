"""QEMU's log of each instruction with all registers.

Debian's QEMU has no plugins, so not `execlog`, which would write accesses, too.
"""

import tempfile
from pathlib import Path

from bench import loop_guest, qemu
from bench.measurement import Measurement

TURNS = 20_000


def run() -> float:
    with tempfile.TemporaryDirectory() as directory:
        guest = loop_guest.write(Path(directory), TURNS)
        log = Path(directory) / "log"
        options = ["-singlestep", "-d", "exec,cpu,nochain", "-D", str(log)]
        with qemu.stub(guest, *options) as stub:
            seconds = qemu.seconds_to_power_off(stub)
        count = loop_guest.instructions(TURNS)
        with log.open(errors="replace") as lines:
            found = sum(line.startswith("Trace ") for line in lines)
        if found < count:
            raise RuntimeError(f"QEMU's log has {found} instructions of {count}")
        return count / seconds


MEASUREMENT = Measurement(
    "qemu_trace_instructions_per_second",
    "/s",
    "QEMU TCG: the loop, one instruction at a time, each logged with all registers",
    run,
)
