"""QEMU (TCG) on the loop, with a watchpoint on the page that it uses, never hit."""

import tempfile
from pathlib import Path

from bench import loop_guest, qemu
from bench.measurement import Measurement

TURNS = 30_000_000


def run() -> float:
    with tempfile.TemporaryDirectory() as directory:
        guest = loop_guest.write(Path(directory), TURNS)
        with qemu.stub(guest) as stub:
            reply = stub.command(f"Z2,{loop_guest.DATA + 0x800:x},8")
            if reply != "OK":
                raise RuntimeError(f"QEMU took no watchpoint: {reply!r}")
            return loop_guest.instructions(TURNS) / qemu.seconds_to_power_off(stub) / 1e6


MEASUREMENT = Measurement(
    "qemu_loop_mips_armed",
    "MIPS",
    "QEMU TCG: the loop, one watchpoint on the same page, never hit",
    run,
)
