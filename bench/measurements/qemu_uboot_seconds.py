"""QEMU from its start to U-Boot's prompt."""

import os
import subprocess
import time

from bench import qemu
from bench.measurement import Measurement, Unavailable
from bench.prompt import PromptWatcher

LIMIT_SECONDS = 60


def run() -> float:
    program = qemu.program(qemu.QEMU)
    if not qemu.UBOOT.exists():
        raise Unavailable(f"{qemu.UBOOT} is not there (Debian package u-boot-qemu)")
    watcher = PromptWatcher()
    start = time.perf_counter()
    process = subprocess.Popen(
        [program, *qemu.MACHINE, "-bios", str(qemu.UBOOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while not watcher.at_prompt:
            if time.perf_counter() - start > LIMIT_SECONDS:
                raise RuntimeError(f"no prompt in {LIMIT_SECONDS} s:\n{watcher.output!r}")
            data = os.read(process.stdout.fileno(), 4096)
            if not data:
                raise RuntimeError(f"QEMU ended before the prompt:\n{watcher.output!r}")
            process.stdin.write(watcher.feed(data))
            process.stdin.flush()
        return time.perf_counter() - start
    finally:
        process.kill()
        process.communicate()


MEASUREMENT = Measurement(
    "qemu_uboot_seconds",
    "s",
    "QEMU TCG: U-Boot, start of the process to the prompt",
    run,
    repeat=5,
    summary="median",
    better="less",
)
