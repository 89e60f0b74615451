"""Debug arm64 guests with the processor's own breakpoints, watchpoints and single-step::

    import guestdbg

    guest = guestdbg.load("firmware.elf")

    @guest.watch("queue.tail", access="write")
    def moved(hit):
        print(hit.location, hit.old, "->", hit.new)

    guest.run()

docs/python-api.md describes the rest. The packages, lowest first::

    errors, closing, deprecation, hexadecimal_repr, html_table, lazy_names,
        library_errors, object_size, quiet, regular_file   shared by all
    workers   worker processes that run functions on what each is sent once
    campaign  many cases of one job, with results that can be resumed
    container  the form of files that hold a guest
    tables    tables for NumPy, pandas, Polars and Arrow, and their files
    arm64     registers, syndromes, page tables and encodings of the architecture
    cpu       the processor of the software KVM (Cython)
    kvm       the KVM interface, with two providers: the host's KVM and the software KVM
    machine   a board around the vCPUs, and the loading of guests
    semihosting  what a guest asks of its debugger: console, files, exit
    debugger  breakpoints, watchpoints, steps, hits, symbols
    linux     a Linux guest: its kernel's symbols, and where the kernel is
    history   the past of a guest: going back, and asking who did what
    fuzz      a guest as the target of AFL++ and other fuzzers
    trace     what a guest did, taken down as it ran: coverage, profiles
    guest_campaign  a guest thousands of times from one place
    faults    what a skipped instruction or a flipped bit leads to
    report    a run as one page of HTML
    terminal_text  hits and backtraces as lines for terminals
    tui       the interface in a terminal, `guestdbg tui`
    lab       a real arm64 KVM on any machine
    check     the conformance suite, and random programs on two KVMs
    gdb       a server for GDB and LLDB
    cli       the command `guestdbg`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guestdbg.debugger import (
        STOP,
        Backtrace,
        Breakpoint,
        Condition,
        Cpu,
        FollowedWatch,
        Frame,
        Guest,
        GuestSnapshot,
        Hit,
        Image,
        Location,
        Point,
        Record,
        Recording,
        Stop,
        Symbol,
        Watch,
        cond,
    )

    # From its module: while mypy resolves a cycle, the package's name is the module's.
    from guestdbg.debugger.load import load
    from guestdbg.errors import GuestdbgError
    from guestdbg.semihosting import Semihosting

    __version__: str

__all__ = [
    "STOP",
    "Backtrace",
    "Breakpoint",
    "Condition",
    "Cpu",
    "FollowedWatch",
    "Frame",
    "Guest",
    "GuestSnapshot",
    "GuestdbgError",
    "Hit",
    "Image",
    "Location",
    "Point",
    "Record",
    "Recording",
    "Semihosting",
    "Stop",
    "Symbol",
    "Watch",
    "__version__",
    "cond",
    "load",
]

# These are imported at their first use: the lower packages work without the debugger, and
# `guestdbg --help` does not need it.
_HOMES = dict.fromkeys(__all__, "guestdbg.debugger") | {
    "GuestdbgError": "guestdbg.errors",
    "Semihosting": "guestdbg.semihosting",
}
#: After `import guestdbg`, ``guestdbg.debugger.OutOfRegisters`` works without another import.
_MODULES = ("arm64", "debugger", "errors", "gdb", "history", "kvm", "linux", "machine", "trace")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # The installed one: a clone's is that of its last set-up.
        return import_module("importlib.metadata").version("guestdbg")
    if name in _MODULES:
        return import_module(f"guestdbg.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, *(name for name in globals() if name[:2] == "__")})
