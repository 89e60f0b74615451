"""A board around the vCPUs: memory, devices, a device tree, and the loading of guests.

errors       what is wrong with a board, or with a guest that is to be loaded
sizes        memory sizes as text: 128M
escapes      text to type to a guest, with escapes
layout       the physical memory map
memory       RAM and flash
position     a place in the run of a board
inputs       what comes from outside, at which position
console      the host's end of the serial line
clock        the time of day that a board has
devicetree   the flattened device tree of the board
device       what a device with MMIO registers must provide
interrupts   the interrupt controller (GIC), which the provider emulates
usernet/     a network for the guest: the host's loopback
virtio/      disks and other devices that a driver reaches by queues in memory
devices/     all other devices, and those of your own
bus          MMIO exits, passed to the devices
serial       the state of its devices as bytes, for files
shape        what a board is, to compare it with that of a snapshot
construction what a board is made of: vCPUs, and the memory and devices that users add
board        all of these around a VM and its vCPUs
loading/     a guest's file, loaded into a board

There are more than fifteen modules because the board's memory, time, inputs, serial line and
interrupts are one each.
"""

from typing import TYPE_CHECKING

from guestdbg.deprecation import deprecated_names
from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.machine.board import DEFAULT_MEMORY_SIZE, NO_SNAPSHOTS, Board, BoardSnapshot
    from guestdbg.machine.bus import Bus
    from guestdbg.machine.clock import RTC_START, RtcStart
    from guestdbg.machine.console import Console
    from guestdbg.machine.devices.fw_cfg import FwCfg
    from guestdbg.machine.devices.mmio_device import DeviceAccess, MmioDevice, StubDevice
    from guestdbg.machine.devices.pl011 import Pl011
    from guestdbg.machine.devices.pl031 import Pl031
    from guestdbg.machine.devices.pl061 import Pl061
    from guestdbg.machine.devices.virt_devices import MissingDevice
    from guestdbg.machine.errors import (
        EmptyFileError,
        ForeignError,
        LoadError,
        MachineError,
        MalformedError,
        OutsideMemoryError,
        OverlapError,
        PhysicalAddressError,
        ReplayError,
        TruncatedError,
        UnknownFormatError,
        UnreadableError,
    )
    from guestdbg.machine.inputs import Input, InputLog, InputPort, Inputs, InputSource
    from guestdbg.machine.interrupts import GicVersion, InterruptController
    from guestdbg.machine.loading.loader import FileKind, Kind, Loaded, Segment, load
    from guestdbg.machine.memory import PhysicalMemory, Region
    from guestdbg.machine.position import Position, Time
    from guestdbg.machine.sizes import format_size, parse_size
    from guestdbg.machine.usernet import Forward, NetSpec, NetworkError, parse_net
    from guestdbg.machine.virtio import DriveError, DriveSpec, VirtioMmio, parse_drive

__all__ = [
    "DEFAULT_MEMORY_SIZE",
    "NO_SNAPSHOTS",
    "RTC_START",
    "Board",
    "BoardSnapshot",
    "Bus",
    "Console",
    "DeviceAccess",
    "DriveError",
    "DriveSpec",
    "EmptyFileError",
    "FileKind",
    "ForeignError",
    "Forward",
    "FwCfg",
    "GicVersion",
    "Input",
    "InputLog",
    "InputPort",
    "InputSource",
    "Inputs",
    "InterruptController",
    "Kind",
    "LoadError",
    "Loaded",
    "MachineError",
    "MalformedError",
    "MissingDevice",
    "MmioDevice",
    "NetSpec",
    "NetworkError",
    "OutsideMemoryError",
    "OverlapError",
    "PhysicalAddressError",
    "PhysicalMemory",
    "Pl011",
    "Pl031",
    "Pl061",
    "Position",
    "Region",
    "ReplayError",
    "RtcStart",
    "Segment",
    "StubDevice",
    "Time",
    "TruncatedError",
    "UnknownFormatError",
    "UnreadableError",
    "VirtioMmio",
    "format_size",
    "load",
    "parse_drive",
    "parse_net",
    "parse_size",
]

_lazy_name, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.machine.board": (
            "DEFAULT_MEMORY_SIZE",
            "NO_SNAPSHOTS",
            "Board",
            "BoardSnapshot",
        ),
        "guestdbg.machine.bus": ("Bus",),
        "guestdbg.machine.clock": (
            "RTC_START",
            "RtcStart",
        ),
        "guestdbg.machine.console": ("Console",),
        "guestdbg.machine.devices.fw_cfg": ("FwCfg",),
        "guestdbg.machine.devices.mmio_device": (
            "DeviceAccess",
            "MmioDevice",
            "StubDevice",
        ),
        "guestdbg.machine.devices.pl011": ("Pl011",),
        "guestdbg.machine.devices.pl031": ("Pl031",),
        "guestdbg.machine.devices.pl061": ("Pl061",),
        "guestdbg.machine.devices.virt_devices": ("MissingDevice",),
        "guestdbg.machine.errors": (
            "EmptyFileError",
            "ForeignError",
            "LoadError",
            "MachineError",
            "MalformedError",
            "OutsideMemoryError",
            "OverlapError",
            "PhysicalAddressError",
            "ReplayError",
            "TruncatedError",
            "UnknownFormatError",
            "UnreadableError",
        ),
        "guestdbg.machine.inputs": (
            "Input",
            "InputLog",
            "InputPort",
            "Inputs",
            "InputSource",
        ),
        "guestdbg.machine.interrupts": (
            "GicVersion",
            "InterruptController",
        ),
        "guestdbg.machine.loading.loader": (
            "FileKind",
            "Kind",
            "Loaded",
            "Segment",
            "load",
        ),
        "guestdbg.machine.memory": (
            "PhysicalMemory",
            "Region",
        ),
        "guestdbg.machine.position": (
            "Position",
            "Time",
        ),
        "guestdbg.machine.sizes": (
            "format_size",
            "parse_size",
        ),
        "guestdbg.machine.usernet": (
            "Forward",
            "NetSpec",
            "NetworkError",
            "parse_net",
        ),
        "guestdbg.machine.virtio": (
            "DriveError",
            "DriveSpec",
            "VirtioMmio",
            "parse_drive",
        ),
    },
)
__getattr__ = deprecated_names(
    __name__, {"AddressError": "PhysicalAddressError"}, otherwise=_lazy_name
)
