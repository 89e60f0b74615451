"""Debug arm64 guests with the processor's own breakpoints, watchpoints and single-step::

    import guestdbg

    guest = guestdbg.load("firmware.elf")

    @guest.watch("queue.tail", access="write")
    def moved(hit):
        print(hit.location, hit.old, "->", hit.new)

    guest.run()

docs/python-api.md describes the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guestdbg.debugger import STOP, Guest, Hit, Location, Stop, cond, load
    from guestdbg.errors import GuestdbgError

__all__ = ["STOP", "Guest", "GuestdbgError", "Hit", "Location", "Stop", "cond", "load"]

# Imported when they are first asked for: the layers below are of use without the debugger, and
# `guestdbg --help` should not load it.
_HOMES = {
    "STOP": "guestdbg.debugger",
    "Guest": "guestdbg.debugger",
    "GuestdbgError": "guestdbg.errors",
    "Hit": "guestdbg.debugger",
    "Location": "guestdbg.debugger",
    "Stop": "guestdbg.debugger",
    "cond": "guestdbg.debugger",
    "load": "guestdbg.debugger",
}
#: ``guestdbg.debugger.OutOfRegisters`` is there without an import of its own.
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
