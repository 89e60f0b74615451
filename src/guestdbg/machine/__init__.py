"""A board around the vCPUs: memory, devices, a device tree, and the loading of guests."""

from guestdbg.deprecation import deprecated_names
from guestdbg.machine.board import DEFAULT_MEMORY_SIZE, NO_SNAPSHOTS, Board, BoardSnapshot
from guestdbg.machine.bus import Bus
from guestdbg.machine.console import Console
from guestdbg.machine.errors import (
    EmptyFileError,
    ForeignError,
    LoadError,
    MachineError,
    MalformedError,
    OutsideMemoryError,
    OverlapError,
    PhysicalAddressError,
    TruncatedError,
    UnknownFormatError,
    UnreadableError,
)
from guestdbg.machine.loader import FileKind, Kind, Loaded, Segment, load
from guestdbg.machine.memory import PhysicalMemory, Region
from guestdbg.machine.pl011 import Pl011
from guestdbg.machine.sizes import format_size, parse_size

__all__ = [
    "DEFAULT_MEMORY_SIZE",
    "NO_SNAPSHOTS",
    "Board",
    "BoardSnapshot",
    "Bus",
    "Console",
    "EmptyFileError",
    "FileKind",
    "ForeignError",
    "Kind",
    "LoadError",
    "Loaded",
    "MachineError",
    "MalformedError",
    "OutsideMemoryError",
    "OverlapError",
    "PhysicalAddressError",
    "PhysicalMemory",
    "Pl011",
    "Region",
    "Segment",
    "TruncatedError",
    "UnknownFormatError",
    "UnreadableError",
    "format_size",
    "load",
    "parse_size",
]

__getattr__ = deprecated_names(__name__, {"AddressError": "PhysicalAddressError"})
