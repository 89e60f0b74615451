"""What a semihosting call did to the guest, as bytes: an input that can be repeated.

Its kind (1 byte: no result, a result, or the end of the guest), the result or the exit status
(8 bytes), the length of the text of an exit, how often console input was taken, the length of what
it printed, the text, for each time how many bytes at most (8), what it printed, then for each write
to guest memory its address (8), its length (8) and the bytes. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from guestdbg.semihosting import Exited

__all__ = ["RecordedCall"]

_HEAD = struct.Struct("<BQQQQ")
_LIMIT = struct.Struct("<Q")
_WRITE = struct.Struct("<QQ")
_NO_RESULT, _RESULT, _EXITED = range(3)
_U64 = (1 << 64) - 1


class RecordedCall(NamedTuple):
    """One call.

    Attributes:
        result: what X0 becomes, None if it stays, or that the guest ends.
        takes: how many bytes of console input it took at most, for each time.
        writes: (address, bytes) that it wrote to guest memory.
        printed: what it wrote to the console.
    """

    result: int | Exited | None
    takes: Sequence[int]
    writes: Sequence[tuple[int, bytes]]
    printed: bytes = b""

    def encode(self) -> bytes:
        """The call as bytes."""
        text = b""
        if isinstance(self.result, Exited):
            kind, number, text = _EXITED, self.result.status, self.result.text.encode()
        elif self.result is None:
            kind, number = _NO_RESULT, 0
        else:
            kind, number = _RESULT, self.result & _U64
        head = _HEAD.pack(kind, number, len(text), len(self.takes), len(self.printed))
        parts = [head, text, *(_LIMIT.pack(limit) for limit in self.takes), self.printed]
        for address, data in self.writes:
            parts += _WRITE.pack(address, len(data)), data
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> RecordedCall:
        """The call of which these are the bytes. Raises ValueError for others."""
        try:
            kind, number, length, count, size = _HEAD.unpack_from(data)
            at = _HEAD.size + length
            text = data[_HEAD.size : at].decode()
            end = at + count * _LIMIT.size
            takes = [limit for (limit,) in _LIMIT.iter_unpack(data[at:end])]
            writes = []
            at = end + size
            printed = data[end:at]
            while at < len(data):
                address, length = _WRITE.unpack_from(data, at)
                at += _WRITE.size
                writes.append((address, data[at : at + length]))
                at += length
        except (struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"not a recorded semihosting call: {error}") from error
        if at != len(data) or kind > _EXITED or len(takes) != count:
            raise ValueError("not a recorded semihosting call: it is damaged")
        result = Exited(number, text) if kind == _EXITED else number if kind == _RESULT else None
        return cls(result, takes, writes, printed)
