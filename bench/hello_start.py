"""The time that a guest of a few instructions takes, which is that of starting guestdbg."""

import subprocess
import time
from pathlib import Path

from bench.process import GUESTDBG, environment

HELLO = Path("examples/hello.elf")
LIMIT_SECONDS = 60


def seconds() -> tuple[float, float]:
    """From the start of the process to the guest's first output, and to the end of the process.

    The guest prints after some tens of instructions. Raises RuntimeError if it fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        [*GUESTDBG, "run", str(HELLO)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
        bufsize=0,
    )
    assert process.stdout is not None
    first = process.stdout.read(1)
    printed = time.perf_counter() - start
    process.communicate(timeout=LIMIT_SECONDS)
    ended = time.perf_counter() - start
    if not first or process.returncode:
        raise RuntimeError(f"{HELLO}: exit status {process.returncode}")
    return printed, ended
