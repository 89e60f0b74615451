"""The frames in which host and lab talk: a kind, a length, that many bytes.

Both ends use this file. Contents are raw bytes, so that what a command writes arrives as it
was written; words about them are JSON.
"""

import json
import struct
from typing import Any

_HEADER = struct.Struct(">BI")
_NUMBER = struct.Struct(">I")
#: The most that one frame carries: both sides send longer things in pieces.
PIECE = 1 << 16
#: As much input may be under way to a command that does not read it.
WINDOW = 1 << 20
#: As much may be under way on a relayed connection to a side that does not read it.
RELAY_WINDOW = 1 << 18
#: A longer frame than this is no frame: the two ends have lost each other.
LIMIT = 1 << 24

# From the host.
RUN = 1  # JSON: argv, env, cwd, results, terminal ([rows, columns] or null)
STDIN = 2  # bytes for the command; none: the end of its input
KILL = 3  # end the command at once
RESIZE = 4  # JSON: [rows, columns]
POWER_OFF = 5
CONNECT = 6  # JSON: number, port: relay a connection to a server in the lab
# From the lab.
HELLO = 16  # JSON: kernel, python, kvm
STDOUT = 17
STDERR = 18
EXIT = 19  # JSON: status, missing
REFUSED = 20  # JSON: error: what was asked cannot be done
STDIN_ACK = 21  # JSON: so many more bytes of input have gone to the command
# Both ways: a file is begun, filled and ended.
FILE = 32  # JSON: path, mode
FILE_DATA = 33
FILE_END = 34
RELAY_DATA = (
    35  # a connection's number in four bytes, and what was said on it; nothing: no more comes
)
RELAY_ACK = 36  # a number, and in four bytes how many relayed bytes its socket has accepted
RELAY_CLOSE = 37  # a number: the connection is closed in both directions


class FrameError(Exception):
    """What arrived is not frames."""


def frame(kind: int, payload: bytes = b"") -> bytes:
    """One frame, ready to be sent."""
    return _HEADER.pack(kind, len(payload)) + payload


def frame_json(kind: int, value: Any) -> bytes:
    """One frame of JSON."""
    return frame(kind, json.dumps(value).encode())


def pieces(kind: int, data: bytes) -> list[bytes]:
    """``data`` in as many frames as it takes; none if it is empty."""
    return [frame(kind, data[at : at + PIECE]) for at in range(0, len(data), PIECE)]


def pack_count(number: int) -> bytes:
    """What GONE_ON says: so many bytes."""
    return _NUMBER.pack(number)


def unpack_count(data: bytes) -> int:
    """How many bytes a GONE_ON frame is about. Raises FrameError."""
    if len(data) != _NUMBER.size:
        raise FrameError("a frame that should count bytes and does not")
    (number,) = _NUMBER.unpack(data)
    assert isinstance(number, int)
    return number


def pack_relay(number: int, data: bytes) -> bytes:
    """The payload of a RELAY, GONE_ON or CUT frame."""
    return _NUMBER.pack(number) + data


def unpack_relay(payload: bytes) -> tuple[int, bytes]:
    """(number, data) of such a frame's payload. Raises FrameError."""
    if len(payload) < _NUMBER.size:
        raise FrameError("a relay frame without a number")
    (number,) = _NUMBER.unpack_from(payload)
    assert isinstance(number, int)
    return number, payload[_NUMBER.size :]


class Reader:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(kind, payload) of each frame that ``data`` completed. Raises FrameError."""
        self._pending += data
        found = []
        at = 0
        while len(self._pending) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._pending, at)
            if length > LIMIT:
                raise FrameError(f"a frame of kind {kind} with {length} bytes")
            end = at + _HEADER.size + length
            if len(self._pending) < end:
                break
            found.append((kind, bytes(self._pending[at + _HEADER.size : end])))
            at = end
        del self._pending[:at]
        return found
