"""A request of the File-I/O protocol, the memory it points to, and the client's reply.

Source: "Debugging with GDB", appendix E.13 (File-I/O remote protocol extension).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guestdbg.gdb.errors import PacketError
from guestdbg.semihosting import Name

if TYPE_CHECKING:
    from guestdbg.semihosting import Argument

__all__ = ["FileIoReply", "FileIoRequest", "parse_reply"]

# RETCODE[,ERRNO[,C]][;ATTACHMENT], in hexadecimal (E.13.3). No call here has an attachment.
_REPLY = re.compile(rb"(-?[0-9a-fA-F]{1,16})(?:,(-?[0-9a-fA-F]{1,8})(,C)?)?(?:;.*)?", re.DOTALL)
#: The errors of the protocol whose numbers are not those of Linux (E.13.8.3); EUNKNOWN is 9999.
_ERRNO = {91: errno.ENAMETOOLONG, 9999: errno.EIO}
_SAME_AS_LINUX = frozenset((1, 2, 4, 9, 13, 14, 16, 17, 19, 20, 21, 22, 23, 24, 27, 28, 29, 30))
_ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class FileIoReply:
    """The result of a call.

    Attributes:
        result: what the call has returned; negative: it has failed.
        error: Linux's number of the error, if it has.
        interrupted: the client's user has pressed Ctrl-C meanwhile.
    """

    result: int
    error: int = 0
    interrupted: bool = False


def parse_reply(text: bytes) -> FileIoReply:
    """What follows the F of the client's packet. Raises PacketError."""
    found = _REPLY.fullmatch(text)
    if found is None:
        raise PacketError("a reply to a File-I/O request is F RETCODE[,ERRNO[,C]]")
    result = int(found[1], 16)
    number = abs(int(found[2] or b"0", 16))
    if result < 0:
        known = number if number in _SAME_AS_LINUX else errno.EIO
        return FileIoReply(-1, _ERRNO.get(number, known), found[3] is not None)
    return FileIoReply(result, 0, found[3] is not None)


@dataclass(slots=True)
class FileIoRequest:
    """A call that the client performs.

    Attributes:
        name: of the call.
        arguments: its arguments.
        base: the address of the first byte of memory that they point to.
        reply: the client's reply; None until it has come.
    """

    name: str
    arguments: Sequence[Argument]
    base: int
    reply: FileIoReply | None = None
    _memory: list[tuple[int, bytes | bytearray]] = field(default_factory=list)

    def packet(self) -> bytes:
        """The packet of the request."""
        self._memory.clear()
        at = self.base
        words: list[str] = []
        for argument in self.arguments:
            if isinstance(argument, int):
                words.append(f"{argument:x}")
                continue
            data = argument.data + b"\0" if isinstance(argument, Name) else argument.data
            self._memory.append((at, data))
            # Only text has its length, with the NUL, in the same argument (E.13.2).
            words.append(f"{at:x}/{len(data):x}" if isinstance(argument, Name) else f"{at:x}")
            at += -(-len(data) // _ALIGNMENT) * _ALIGNMENT + _ALIGNMENT
        return f"F{self.name},{','.join(words)}".encode()

    def read(self, address: int, length: int) -> bytes | None:
        """What the client reads of that memory; None where it is not."""
        for start, data in self._memory:
            if start <= address < start + len(data):
                at = address - start
                return bytes(data[at : at + length])
        return None

    def write(self, address: int, data: bytes) -> bool:
        """Write what the client writes there; False where it may not write."""
        for start, memory in self._memory:
            at = address - start
            if isinstance(memory, bytearray) and 0 <= at <= len(memory) - len(data):
                memory[at : at + len(data)] = data
                return True
        return False
