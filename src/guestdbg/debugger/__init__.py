"""What a person asks for: breakpoints, watchpoints, steps, hits, symbols, memory.

Everything here goes through ``guestdbg.kvm`` and ``guestdbg.machine``; nothing knows which
provider runs the guest.
"""

from guestdbg.debugger.backtrace import Frame
from guestdbg.debugger.condition import Condition, ConditionError
from guestdbg.debugger.condition import Condition as cond
from guestdbg.debugger.cpu import Cpu
from guestdbg.debugger.errors import (
    AddressError,
    BadImage,
    BadRange,
    BadSnapshot,
    BadWhere,
    DebuggerError,
    GuestBusy,
    GuestClosed,
    MissingDependency,
    NoDebugInfo,
    OutOfRegisters,
    StaleHit,
    UnknownLine,
    UnknownRegister,
    UnknownSymbol,
    Unsupported,
)
from guestdbg.debugger.guest import Guest
from guestdbg.debugger.hits import Hit
from guestdbg.debugger.image import Image
from guestdbg.debugger.load import load
from guestdbg.debugger.location import Location
from guestdbg.debugger.points import STOP, Breakpoint, Point, Watch
from guestdbg.debugger.recording import Record, Recording
from guestdbg.debugger.snapshots import GuestSnapshot
from guestdbg.debugger.stops import Stop
from guestdbg.debugger.symbols import Symbol

__all__ = [
    "STOP",
    "AddressError",
    "BadImage",
    "BadRange",
    "BadSnapshot",
    "BadWhere",
    "Breakpoint",
    "Condition",
    "ConditionError",
    "Cpu",
    "DebuggerError",
    "Frame",
    "Guest",
    "GuestBusy",
    "GuestClosed",
    "GuestSnapshot",
    "Hit",
    "Image",
    "Location",
    "MissingDependency",
    "NoDebugInfo",
    "OutOfRegisters",
    "Point",
    "Record",
    "Recording",
    "StaleHit",
    "Stop",
    "Symbol",
    "UnknownLine",
    "UnknownRegister",
    "UnknownSymbol",
    "Unsupported",
    "Watch",
    "cond",
    "load",
]
