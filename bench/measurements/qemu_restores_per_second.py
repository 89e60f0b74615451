"""QEMU's `loadvm` of the same guest, by its monitor, with a short run after each."""

import tempfile
import time
from pathlib import Path

from bench import qmp, restore_guest
from bench.measurement import Measurement

ROUNDS = 30


def run() -> float:
    with (
        tempfile.TemporaryDirectory() as directory,
        qmp.stopped(restore_guest.write(Path(directory))) as monitor,
    ):
        monitor.human("savevm start")
        start = time.perf_counter()
        for _ in range(ROUNDS):
            monitor.command("cont")
            monitor.command("stop")
            monitor.human("loadvm start")
        return ROUNDS / (time.perf_counter() - start)


MEASUREMENT = Measurement(
    "qemu_restores_per_second", "/s", "QEMU: `loadvm` after a short run, by its monitor", run
)
