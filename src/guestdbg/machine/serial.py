"""The state of a board's devices as bytes, for files; and its check when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.container.values import decode, encode, record_types
from guestdbg.machine.console import ConsoleState
from guestdbg.machine.devices.cfi_flash import CfiFlashState
from guestdbg.machine.devices.fw_cfg import FwCfgState
from guestdbg.machine.devices.pl011 import Pl011State
from guestdbg.machine.devices.pl031 import Pl031State
from guestdbg.machine.devices.pl061 import Pl061State
from guestdbg.machine.errors import MachineError
from guestdbg.machine.shape import check_shape
from guestdbg.machine.virtio.transport import TransportState
from guestdbg.machine.virtio.virtqueue import QueueState

if TYPE_CHECKING:
    from guestdbg.kvm import SavedSnapshot

__all__ = ["SavedBoard", "decode_devices", "encode_devices"]

_RECORDS = record_types(
    CfiFlashState,
    ConsoleState,
    FwCfgState,
    Pl011State,
    Pl031State,
    Pl061State,
    QueueState,
    TransportState,
)

#: The console, the base of the clock, the turn, the vCPU whose turn it is.
Rest = tuple[ConsoleState, int | None, int, int]
_WHOLE = tuple[dict[str, object], list[bytes], Rest]


class SavedBoard(NamedTuple):
    """A board's snapshot as it is written to a file.

    Attributes:
        devices: the state of devices and console.
        vm: the provider's part.
    """

    devices: bytes
    vm: SavedSnapshot


def encode_devices(
    shape: dict[str, object], names: Sequence[str], states: Sequence[object], rest: Rest
) -> bytes:
    """All of a board's snapshot but the provider's part.

    Raises:
        MachineError: the state of a device is not of plain values.
    """
    encoded = []
    for name, state in zip(names, states, strict=True):
        try:
            encoded.append(encode(state))
        except TypeError as error:
            raise MachineError(
                f"the state of the device {name} cannot be written to a file: {error}; use "
                "numbers, text, bytes, and lists, tuples and dicts of these"
            ) from error
    return encode((shape, encoded, rest))


def decode_devices(
    data: bytes, now: Sequence[object], shape: dict[str, object]
) -> tuple[dict[str, object], tuple[object, ...], Rest]:
    """The shape, the devices' states and the rest, for a board of ``shape`` in the states ``now``.

    Raises:
        MachineError: it is of a board that differs.
        ValueError: it is damaged.
    """
    was, encoded, rest = decode(data, _RECORDS, _WHOLE)
    check_shape(was, shape)
    if len(encoded) != len(now):
        raise ValueError(f"it has {len(encoded)} devices, and the board {len(now)}")
    states = tuple(decode(each, _RECORDS) for each in encoded)
    for state, own in zip(states, now, strict=True):
        _check_alike(state, own)
    return was, states, rest


def _check_alike(state: Any, own: Any) -> None:
    """Whether a state is of the kind that a device has."""
    if type(state) is not type(own):
        raise ValueError(f"the state of a device is a {type(state).__name__}, not {own!r:.40}")
    if isinstance(own, TransportState):
        _check_alike(state.backend, own.backend)
        if len(state.queues) != len(own.queues):
            raise ValueError(f"a virtio device has {len(state.queues)} queues")
    if isinstance(own, dict) and not all(
        isinstance(key, int) and isinstance(value, bytes) for key, value in state.items()
    ):
        raise ValueError("the state of an overlay is not of numbered clusters")
    if isinstance(own, tuple) and any(isinstance(part, ConsoleState) for part in own):
        _check_console(state)


def _check_console(state: tuple[object, ...]) -> None:
    """Of a virtio console: its size, and the terminal's state."""
    if len(state) != 2 or not isinstance(state[1], ConsoleState):
        raise ValueError("the state of a console is not one")
