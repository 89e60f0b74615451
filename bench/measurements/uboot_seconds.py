"""From loading U-Boot to its prompt."""

import time

import guestdbg
from bench import ours, qemu
from bench.measurement import Measurement, Unavailable
from bench.prompt import PromptWatcher


def run() -> float:
    if not qemu.UBOOT.exists():
        raise Unavailable(f"{qemu.UBOOT} is not there (Debian package u-boot-qemu)")
    watcher = PromptWatcher()

    def console(data: bytes) -> None:
        if typed := watcher.feed(data):
            guest.board.console.feed(typed)
        if watcher.at_prompt:
            guest.interrupt()

    start = time.perf_counter()
    with guestdbg.load(qemu.UBOOT, kind="firmware", console=console) as guest:
        stop = guest.run(timeout=ours.LIMIT_SECONDS)
        seconds = time.perf_counter() - start
    if not watcher.at_prompt:
        raise RuntimeError(f"no prompt, but {stop}:\n{watcher.output!r}")
    return seconds


MEASUREMENT = Measurement(
    "uboot_seconds",
    "s",
    "guestdbg: U-Boot, load() to the prompt (imports not counted)",
    run,
    repeat=3,
    summary="median",
    better="less",
)
