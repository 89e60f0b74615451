"""The frames that host and lab exchange: a kind, a length, and that many bytes.

Both ends use this file. Data is raw bytes, so that a command's output arrives as it was written.
Requests and answers are JSON.

Header: kind (1 byte), length (4 bytes, big-endian).
"""

import json
import struct
from typing import Any

_HEADER = struct.Struct(">BI")
_NUMBER = struct.Struct(">I")
#: The largest payload that is sent in one frame; longer data is sent in pieces.
PIECE = 1 << 16
#: The most input that may be sent to a command before it is acknowledged.
WINDOW = 1 << 20
#: The most data that may be sent on a relayed connection before it is acknowledged.
RELAY_WINDOW = 1 << 18
#: A longer frame than this cannot be valid: the stream is out of step.
LIMIT = 1 << 24

# From the host.
RUN = 1  # JSON: argv, env, cwd, results, terminal ([rows, columns] or null)
STDIN = 2  # bytes for the command; no bytes: the end of its input
KILL = 3  # kill the command
RESIZE = 4  # JSON: [rows, columns]
POWER_OFF = 5
CONNECT = 6  # JSON: number, port: relay a connection to a server in the lab
# From the lab.
HELLO = 16  # JSON: kernel, python, kvm
STDOUT = 17
STDERR = 18
EXIT = 19  # JSON: status, missing
REFUSED = 20  # JSON: error: the command cannot be started
STDIN_ACK = 21  # JSON: how many more bytes of input the command has read
# In both directions. A file is FILE, any number of FILE_DATA, FILE_END.
FILE = 32  # JSON: path, mode
FILE_DATA = 33
FILE_END = 34
RELAY_DATA = (
    35  # a connection's number in four bytes, and what was said on it; nothing: no more comes
)
RELAY_ACK = 36  # a number, and in four bytes how many relayed bytes its socket has accepted
RELAY_CLOSE = 37  # a number: the connection is closed in both directions


class FrameError(Exception):
    """What arrived is not a valid frame."""


def frame(kind: int, payload: bytes = b"") -> bytes:
    """One frame, ready to be sent."""
    return _HEADER.pack(kind, len(payload)) + payload


def frame_json(kind: int, value: Any) -> bytes:
    """One frame with a JSON payload."""
    return frame(kind, json.dumps(value).encode())


def pieces(kind: int, data: bytes) -> list[bytes]:
    """``data`` in as many frames as necessary; none if it is empty."""
    return [frame(kind, data[at : at + PIECE]) for at in range(0, len(data), PIECE)]


def pack_count(number: int) -> bytes:
    """The data of a RELAY_ACK frame: a number of bytes."""
    return _NUMBER.pack(number)


def unpack_count(data: bytes) -> int:
    """The number of bytes in the data of a RELAY_ACK frame. Raises FrameError."""
    if len(data) != _NUMBER.size:
        raise FrameError("a frame without a count of bytes")
    (number,) = _NUMBER.unpack(data)
    assert isinstance(number, int)
    return number


def pack_relay(number: int, data: bytes) -> bytes:
    """The payload of a RELAY_DATA, RELAY_ACK or RELAY_CLOSE frame."""
    return _NUMBER.pack(number) + data


def unpack_relay(payload: bytes) -> tuple[int, bytes]:
    """(connection number, data) of the payload of such a frame. Raises FrameError."""
    if len(payload) < _NUMBER.size:
        raise FrameError("a relay frame without a connection number")
    (number,) = _NUMBER.unpack_from(payload)
    assert isinstance(number, int)
    return number, payload[_NUMBER.size :]


class Reader:
    """Takes bytes as they arrive and returns whole frames."""

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
