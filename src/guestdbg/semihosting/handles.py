"""Handles of the guest that are not files: the console, and the list of features."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from guestdbg.semihosting.files import HostFile
from guestdbg.semihosting.remote import Buffer, Data, RemoteFile, RemoteGone

if TYPE_CHECKING:
    from guestdbg.semihosting.remote import RemoteHost

__all__ = ["Console", "Features", "Handle", "NeedsInput", "Terminal"]

#: The contents of :semihosting-features (section 4.3): SH_EXT_EXIT_EXTENDED, SH_EXT_STDOUT_STDERR.
_FEATURES = b"SHFB\x03"
#: The descriptors of a debugger's console.
_STDIN, _STDOUT = 0, 1


class NeedsInput(Exception):
    """The operation waits for input of the console; nothing has been done yet."""


class Terminal(Protocol):
    """The guest's own console."""

    def print(self, data: bytes) -> None:
        """Output for the guest's console."""

    def take_input(self, limit: int) -> bytes | None:
        """Typed input, at most ``limit`` bytes; empty: none yet; None: there will be no more."""


class Console:
    """A handle of ``:tt``: the guest's console, or that of the debugger which performs its calls.

    ``remote`` is that debugger; it gives None where the guest's own console is used. ``fd`` is the
    descriptor of the debugger's console that is written to.
    """

    is_terminal = True

    def __init__(
        self, terminal: Terminal, remote: Callable[[], RemoteHost | None], fd: int = _STDOUT
    ) -> None:
        self._terminal = terminal
        self._remote = remote
        self._fd = fd

    def read(self, length: int) -> bytes:
        """At most ``length`` bytes; none at the end of the input. Raises NeedsInput, OSError."""
        host = self._remote()
        if host is not None:
            buffer = Buffer(bytearray(length))
            try:
                count = host.call("read", _STDIN, buffer, length)
            except RemoteGone:
                pass
            else:
                return bytes(buffer.data[:count])
        data = self._terminal.take_input(length)
        if data == b"":
            raise NeedsInput
        return data or b""

    def write(self, data: bytes) -> int:
        """Print. Nothing is lost if the debugger goes meanwhile. Raises OSError."""
        host = self._remote()
        if host is not None and data:
            try:
                return min(host.call("write", self._fd, Data(data), len(data)), len(data))
            except RemoteGone:
                pass
        self._terminal.print(data)
        return len(data)

    def seek(self, position: int) -> None:
        """Raises OSError."""
        raise OSError(errno.ESPIPE, "a console has no position")

    def length(self) -> int:
        """Raises OSError."""
        raise OSError(errno.ESPIPE, "a console has no length")

    def isatty(self) -> bool:
        """It is a terminal for the guest."""
        return True

    def close(self) -> None:
        """There is nothing to close."""


class Features:
    """A handle of ``:semihosting-features``."""

    is_terminal = False

    def __init__(self) -> None:
        self._position = 0

    def read(self, length: int) -> bytes:
        """At most ``length`` bytes from the position on."""
        data = _FEATURES[self._position : self._position + length]
        self._position += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Raises OSError."""
        raise OSError(errno.EBADF, "it can only be read")

    def seek(self, position: int) -> None:
        """Set the position."""
        self._position = position

    def length(self) -> int:
        """How many bytes there are."""
        return len(_FEATURES)

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    def close(self) -> None:
        """There is nothing to close."""


Handle = HostFile | RemoteFile | Console | Features
