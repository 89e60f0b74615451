"""The time from the start of a process to U-Boot's prompt on its stdout."""

import os
import subprocess
import time
from pathlib import Path

from bench.measurement import Unavailable
from bench.process import environment

UBOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
LIMIT_SECONDS = 60
COUNTDOWN = b"Hit any key to stop autoboot"
PROMPT = b"\n=> "


def firmware() -> str:
    """The path of U-Boot. Raises Unavailable if it is not installed."""
    if not UBOOT.exists():
        raise Unavailable(f"{UBOOT} does not exist (Debian package u-boot-qemu)")
    return str(UBOOT)


def seconds(command: list[str]) -> float:
    """Start a command that runs U-Boot on stdin and stdout; returns the seconds to its prompt."""
    output = b""
    pressed = False
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        # A key that comes after the countdown is echoed after the prompt.
        while PROMPT not in output:
            if time.perf_counter() - start > LIMIT_SECONDS:
                raise RuntimeError(f"no prompt in {LIMIT_SECONDS} s:\n{output!r}")
            data = os.read(process.stdout.fileno(), 4096)
            if not data:
                raise RuntimeError(f"{command[0]} ended before the prompt:\n{output!r}")
            output += data
            if not pressed and COUNTDOWN in output:
                pressed = True
                process.stdin.write(b" ")
                process.stdin.flush()
        return time.perf_counter() - start
    finally:
        process.kill()
        process.communicate()
