"""Debug arm64 guests with the processor's own breakpoints, watchpoints and single-step::

    import guestdbg

    guest = guestdbg.load("firmware.elf")

    @guest.watch("queue.tail", access="write")
    def moved(hit):
        print(hit.location, hit.old, "->", hit.new)

    guest.run()

docs/python-api.md describes the rest. The packages, lowest first::

    errors, closing, deprecation, library_errors, regular_file   what all of them share
    arm64     registers, syndromes, page tables and encodings of the architecture
    cpu       the processor of the software KVM (Cython)
    kvm       the KVM interface, with two providers: the host's KVM and the software KVM
    machine   a board around the vCPUs, and the loading of guests
    semihosting  what a guest asks of its debugger: console, files, exit
    debugger  breakpoints, watchpoints, steps, hits, symbols
    lab       a real arm64 KVM on any machine
    check     the conformance suite, and random programs on two KVMs
    gdb       a server for GDB and LLDB
    cli       the command `guestdbg`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guestdbg.debugger import STOP, Guest, Hit, Location, Stop, cond, load
    from guestdbg.errors import GuestdbgError
    from guestdbg.semihosting import Semihosting

__all__ = [
    "STOP",
    "Guest",
    "GuestdbgError",
    "Hit",
    "Location",
    "Semihosting",
    "Stop",
    "cond",
    "load",
]

# These are imported at their first use: the lower packages work without the debugger, and
# `guestdbg --help` does not need it.
_HOMES = {
    "STOP": "guestdbg.debugger",
    "Guest": "guestdbg.debugger",
    "GuestdbgError": "guestdbg.errors",
    "Hit": "guestdbg.debugger",
    "Location": "guestdbg.debugger",
    "Semihosting": "guestdbg.semihosting",
    "Stop": "guestdbg.debugger",
    "cond": "guestdbg.debugger",
    "load": "guestdbg.debugger",
}
#: After `import guestdbg`, ``guestdbg.debugger.OutOfRegisters`` works without another import.
_MODULES = ("arm64", "debugger", "errors", "gdb", "kvm", "machine")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"guestdbg.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
