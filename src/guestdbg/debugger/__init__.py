"""The debugger: breakpoints, watchpoints, steps, hits, symbols and memory of one guest.

Everything here goes through ``guestdbg.kvm`` and ``guestdbg.machine``; nothing knows which
provider runs the guest. In reading order, lowest first:

errors         the exceptions
validation     checks of arguments
program        symbols, source lines and types of the guest's program
memory         guest memory: virtual, physical, with the debugger's BRK instructions
messages       devices and instructions that the guest misses
unwind         backtraces
hardware       debug registers for the points
breakpoints    watches, breakpoints, conditions, hits
target         what the debugger of one guest works on
vcpu           one vCPU: from a debug exit to the handlers
execution      letting the vCPUs run: turns, limits, steps
point_methods  making watches, recordings and breakpoints
guest_html     a guest as notebooks show it
origin         how a guest was made
guest          ``Guest``, which brings all of this together
guest_file     the whole state of a guest in a file
load           ``guestdbg.load``: from a file to a guest
"""

from typing import TYPE_CHECKING

from guestdbg.debugger.load import load
from guestdbg.deprecation import deprecated_names
from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.container import ContainerError
    from guestdbg.debugger.breakpoints.conditions.expression import Condition, ConditionError, cond
    from guestdbg.debugger.breakpoints.followed_watch import FollowedWatch
    from guestdbg.debugger.breakpoints.hit import Hit
    from guestdbg.debugger.breakpoints.point import STOP, Breakpoint, Point, Watch
    from guestdbg.debugger.breakpoints.recording import Record, Recording
    from guestdbg.debugger.errors import (
        AddressError,
        BadImage,
        BadRange,
        BadSnapshot,
        DebuggerError,
        GuestBusy,
        GuestClosed,
        InvalidLocation,
        MissingDependency,
        NoDebugInfo,
        NotInScope,
        NullPointer,
        OptimizedOut,
        OutOfRegisters,
        StaleHit,
        UnknownLine,
        UnknownRegister,
        UnknownSymbol,
        Unsupported,
        VariableUnavailable,
    )
    from guestdbg.debugger.execution.snapshot import GuestSnapshot
    from guestdbg.debugger.guest import Guest
    from guestdbg.debugger.guest_file import Manifest, SavedDrive, SavedGuest, SavedImage
    from guestdbg.debugger.messages import GuestMessages, UnimplementedInstruction
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.program.symbol_table import Symbol
    from guestdbg.debugger.unwind.backtrace import Backtrace, Frame
    from guestdbg.debugger.vcpu.diagnosis import Diagnosis
    from guestdbg.debugger.vcpu.registers import Cpu
    from guestdbg.debugger.vcpu.stop import Stop

__all__ = [
    "STOP",
    "AddressError",
    "Backtrace",
    "BadImage",
    "BadRange",
    "BadSnapshot",
    "Breakpoint",
    "Condition",
    "ConditionError",
    "ContainerError",
    "Cpu",
    "DebuggerError",
    "Diagnosis",
    "FollowedWatch",
    "Frame",
    "Guest",
    "GuestBusy",
    "GuestClosed",
    "GuestMessages",
    "GuestSnapshot",
    "Hit",
    "Image",
    "InvalidLocation",
    "Location",
    "Manifest",
    "MissingDependency",
    "NoDebugInfo",
    "NotInScope",
    "NullPointer",
    "OptimizedOut",
    "OutOfRegisters",
    "Point",
    "Record",
    "Recording",
    "SavedDrive",
    "SavedGuest",
    "SavedImage",
    "StaleHit",
    "Stop",
    "Symbol",
    "UnimplementedInstruction",
    "UnknownLine",
    "UnknownRegister",
    "UnknownSymbol",
    "Unsupported",
    "VariableUnavailable",
    "Watch",
    "cond",
    "load",
]


# `load` is not among them: its module has the same name, and would be taken for it.
_lazy_name, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.container": ("ContainerError",),
        "guestdbg.debugger.breakpoints.conditions.expression": (
            "Condition",
            "ConditionError",
            "cond",
        ),
        "guestdbg.debugger.breakpoints.followed_watch": ("FollowedWatch",),
        "guestdbg.debugger.breakpoints.hit": ("Hit",),
        "guestdbg.debugger.breakpoints.point": (
            "STOP",
            "Breakpoint",
            "Point",
            "Watch",
        ),
        "guestdbg.debugger.breakpoints.recording": (
            "Record",
            "Recording",
        ),
        "guestdbg.debugger.errors": (
            "AddressError",
            "BadImage",
            "BadRange",
            "BadSnapshot",
            "DebuggerError",
            "GuestBusy",
            "GuestClosed",
            "InvalidLocation",
            "MissingDependency",
            "NoDebugInfo",
            "NotInScope",
            "NullPointer",
            "OptimizedOut",
            "OutOfRegisters",
            "StaleHit",
            "UnknownLine",
            "UnknownRegister",
            "UnknownSymbol",
            "Unsupported",
            "VariableUnavailable",
        ),
        "guestdbg.debugger.execution.snapshot": ("GuestSnapshot",),
        "guestdbg.debugger.guest": ("Guest",),
        "guestdbg.debugger.guest_file": (
            "Manifest",
            "SavedDrive",
            "SavedGuest",
            "SavedImage",
        ),
        "guestdbg.debugger.messages": (
            "GuestMessages",
            "UnimplementedInstruction",
        ),
        "guestdbg.debugger.program.image": ("Image",),
        "guestdbg.debugger.program.source_location": ("Location",),
        "guestdbg.debugger.program.symbol_table": ("Symbol",),
        "guestdbg.debugger.unwind.backtrace": (
            "Backtrace",
            "Frame",
        ),
        "guestdbg.debugger.vcpu.diagnosis": ("Diagnosis",),
        "guestdbg.debugger.vcpu.registers": ("Cpu",),
        "guestdbg.debugger.vcpu.stop": ("Stop",),
    },
)
__getattr__ = deprecated_names(__name__, {"BadWhere": "InvalidLocation"}, otherwise=_lazy_name)
