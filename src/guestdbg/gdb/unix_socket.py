"""The file of a Unix socket: made, recognised again, and removed only if it is the one made here.

Another program may have replaced the file meanwhile. A file is the same if device and inode are.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass

__all__ = ["UnixSocket"]


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """The file of a listening socket: its ``path``, ``device`` and ``inode``."""

    path: str
    device: int
    inode: int

    @classmethod
    def listen(cls, path: str, backlog: int) -> tuple[UnixSocket, socket.socket]:
        """Listen at a new socket that only this user can connect to.

        A socket without a listener, which a server leaves when it is killed, is replaced. Raises
        FileExistsError if the file is not a socket, OSError with EADDRINUSE if a program listens
        there, and the other errors of bind.
        """
        _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(OSError):
                os.fchmod(listener.fileno(), 0o600)  # Linux makes the file with this mode
            listener.bind(path)
            file = cls._of(path)
            # Elsewhere the mode is set now: nobody can connect before listen().
            if file is not None and os.lstat(path).st_mode & 0o777 != 0o600:
                os.chmod(path, 0o600)
            listener.listen(backlog)
        except (OSError, ValueError):
            listener.close()
            raise
        # If the file was replaced at once, there is none to remove.
        return file or cls(path, -1, -1), listener

    @classmethod
    def _of(cls, path: str) -> UnixSocket | None:
        """The socket at the path; None if there is none."""
        try:
            status = os.lstat(path)
        except OSError:
            return None
        return cls(path, status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None

    def remove(self) -> None:
        """Remove the file, unless it is another one by now."""
        if UnixSocket._of(self.path) == self:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def _remove_stale(path: str) -> None:
    """Remove a socket without a listener. Raises FileExistsError for other files, and OSError with
    EADDRINUSE for a socket with a listener."""
    found = UnixSocket._of(path)
    if found is None:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # a listener whose queue is full would block
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            found.remove()
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
