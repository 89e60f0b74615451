"""Unicorn on the loop, no hooks."""

import time
from typing import Any

from bench import loop_guest
from bench.measurement import Measurement, Unavailable

TURNS = 15_000_000
PAGE = 4096


def run() -> float:
    try:
        import unicorn
    except ImportError:
        raise Unavailable("the Python package unicorn is not installed") from None
    # The binding has no type annotations.
    library: Any = unicorn
    machine = library.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
    machine.mem_map(loop_guest.CODE, PAGE)
    machine.mem_map(loop_guest.DATA, PAGE)
    machine.mem_write(loop_guest.CODE, loop_guest.code(TURNS))
    start = time.perf_counter()
    machine.emu_start(loop_guest.CODE, loop_guest.OFF)
    seconds = time.perf_counter() - start
    return (7 + loop_guest.PER_TURN * TURNS) / seconds / 1e6


MEASUREMENT = Measurement("unicorn_loop_mips", "MIPS", "Unicorn: the loop, no hooks", run)
