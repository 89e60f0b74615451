"""What a board is: a snapshot can be restored on every board that is like the one it was taken of.

The shape of a board is a dictionary of text, numbers and lists of these, so that it can be compared
item by item, and be written to a file. What the vCPUs are is the provider's: it compares that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from guestdbg.machine.errors import MachineError

if TYPE_CHECKING:
    from guestdbg.machine.bus import Bus
    from guestdbg.machine.interrupts import InterruptController
    from guestdbg.machine.memory import PhysicalMemory

__all__ = ["board_shape", "check_shape"]


class _Described(Protocol):
    """A device that has more to it than its type and its place."""

    def describe(self) -> str: ...


def board_shape(
    memory: PhysicalMemory,
    bus: Bus,
    gic: InterruptController | None,
    vcpus: int,
    clock_start: int | None,
) -> dict[str, object]:
    """The shape of a board of these parts; ``clock_start`` is of its time of day, in seconds."""
    return {
        "vCPUs": vcpus,
        "interrupt controller": "none" if gic is None else f"GICv{gic.version}",
        "start of the time of day": "host" if clock_start is None else clock_start,
        "memory": [
            f"{region.name} of {region.size:#x} bytes at {region.base:#x}"
            + (", read-only" if region.read_only else "")
            for region in memory
        ],
        "devices": [_describe(device) for device in bus.devices],
        "access to nothing": "abort" if bus.aborts else "zero",
    }


def _describe(device: Any) -> str:
    text = f"{device.name} of {device.size:#x} bytes at {device.base:#x}"
    more = device.describe() if hasattr(device, "describe") else ""
    return f"{text}, {more}" if more else text


def check_shape(was: dict[str, object], now: dict[str, object]) -> None:
    """Raise MachineError if a snapshot of a board of shape ``was`` is not for one of ``now``."""
    for what, value in now.items():
        before = was.get(what)
        if before == value:
            continue
        if isinstance(before, list) and isinstance(value, list):
            there, here = _only(before, value), _only(value, before)
        else:
            there, here = str(before), str(value)
        raise MachineError(
            f"the snapshot is of a board that differs in its {what}: {there} there, {here} here; "
            "make the board with the same arguments, and map flash before the snapshot"
        )


def _only(these: Iterable[object], those: Iterable[object]) -> str:
    """The items of a list that the other does not have."""
    others = list(those)
    found = [str(item) for item in these if item not in others]
    return "; ".join(found) if found else "nothing else"
