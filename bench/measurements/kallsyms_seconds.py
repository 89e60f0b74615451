"""The symbols of a Linux kernel, read from its memory."""

import time

import guestdbg
from bench.measurement import Measurement, Unavailable
from guestdbg.lab import LabError
from guestdbg.lab.guests.linux import linux_guest


def measure() -> float:
    """From the first question for a name to its address, and from an address to its name.

    Debian's newest kernel has 160,000 symbols in its kallsyms.
    """
    try:
        kernel = linux_guest("sid").kernel
    except LabError as error:
        raise Unavailable(f"no Linux guest: {error}") from error
    with guestdbg.load(kernel, provider="soft", memory="256M", console=None) as guest:
        start = time.perf_counter()
        symbol = guest.symbol("start_kernel")
        named = guest.locate(symbol.address).function
        taken = time.perf_counter() - start
    if named != "start_kernel":
        raise RuntimeError(f"{symbol} is named {named}")
    return taken


MEASUREMENT = Measurement(
    "kallsyms_seconds",
    "s",
    "guestdbg: the symbols of a Linux kernel from its memory",
    measure,
    summary="median",
    better="less",
)
