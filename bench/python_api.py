"""guestdbg through its public Python API."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import guestdbg
from bench import loop_guest

LIMIT_SECONDS = 120.0
# Of a Cortex-A57.
WATCHPOINTS = 4
BREAKPOINTS = 6


@contextmanager
def loop(turns: int) -> Iterator[guestdbg.Guest]:
    """The loop guest, loaded and not started."""
    with tempfile.TemporaryDirectory() as directory:
        path = loop_guest.write(Path(directory), turns)
        with guestdbg.load(path, console=None) as guest:
            yield guest


def loop_mips(guest: guestdbg.Guest, turns: int) -> float:
    """Run the loop guest to its power-off; returns millions of instructions per second."""
    start = time.perf_counter()
    stop = guest.run(timeout=LIMIT_SECONDS)
    seconds = time.perf_counter() - start
    if stop.reason != "exit":
        raise RuntimeError(f"the guest did not power off: {stop}")
    turned = guest.vcpus[0].x[4]
    if turned != turns:
        raise RuntimeError(f"the guest went round {turned} times instead of {turns}")
    return loop_guest.instructions(turns) / seconds / 1e6


def arm_everything(guest: guestdbg.Guest, data: int, code: int) -> None:
    """Set watchpoints from `data` on and breakpoints from `code` on, in all debug registers."""
    # 64 bytes apart: adjacent ranges would share a register.
    for n in range(WATCHPOINTS):
        guest.watch(data + 0x40 * n, 8, access="any")
    for n in range(BREAKPOINTS):
        guest.break_(code + 4 * n, kind="hardware")
    # Check that no debug register is left.
    for arm in (
        lambda: guest.watch(data + 0x200, 8),
        lambda: guest.break_(code + 0x200, kind="hardware"),
    ):
        try:
            arm()
        except guestdbg.GuestdbgError:
            continue
        raise RuntimeError("there were more debug registers than this measurement armed")
