"""QEMU (TCG) on the loop, nothing armed."""

import tempfile
from pathlib import Path

from bench import loop_guest, qemu
from bench.measurement import Measurement

TURNS = 300_000_000


def run() -> float:
    with tempfile.TemporaryDirectory() as directory:
        guest = loop_guest.write(Path(directory), TURNS)
        with qemu.stub(guest) as stub:
            return loop_guest.instructions(TURNS) / qemu.seconds_to_power_off(stub) / 1e6


MEASUREMENT = Measurement("qemu_loop_mips", "MIPS", "QEMU TCG: the loop, nothing armed", run)
