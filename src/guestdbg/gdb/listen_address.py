"""Where the server listens: tcp:HOST:PORT and unix:PATH."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from dataclasses import dataclass

from guestdbg.gdb.errors import ServerError

__all__ = ["ListenAddress", "listen", "parse"]

_BACKLOG = 16


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A TCP ``host`` and ``port``, or the ``path`` of a Unix socket (the others are then empty)."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{host}:{self.port}"

    @property
    def for_gdb(self) -> str:
        """The address as GDB's `target remote` takes it."""
        if self.path:
            return self.path
        loopback = self.host in ("127.0.0.1", "localhost", "0.0.0.0")
        return f":{self.port}" if loopback else str(self)


def parse(text: str) -> ListenAddress:
    """Parse tcp:HOST:PORT or unix:PATH, or for short HOST:PORT, :PORT or PORT.

    The default host is 127.0.0.1; port 0 chooses a free port. Raises ServerError.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "unix":
        if not rest:
            raise ServerError(f"{text!r} has no path; an example is unix:/tmp/guest.gdb")
        return ListenAddress(path=rest)
    if not (colon and kind == "tcp"):
        rest = text
    host, _, number = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not number.isdecimal() or int(number) > 0xFFFF:
        raise ServerError(
            f"{text!r} is not an address to listen at: give tcp:127.0.0.1:1234 or unix:PATH"
        )
    return ListenAddress(host or "127.0.0.1", int(number))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(
    address: ListenAddress, *, allow_remote: bool = False
) -> tuple[socket.socket, ListenAddress]:
    """A listening socket, and its address with the port that was chosen. Raises ServerError.

    A client can read and write the guest, and read its ELF files on this machine. Addresses that
    other machines can reach are therefore refused unless ``allow_remote`` is set.
    """
    if address.path:
        return _listen_unix(address), address
    if not allow_remote and not is_loopback(address.host):
        raise ServerError(
            f"other machines can reach {address}, and every client controls the guest: allow that "
            "explicitly (--allow-remote), or listen at 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot(address, error) from error
    return listener, ListenAddress(address.host, listener.getsockname()[1])


def _listen_unix(address: ListenAddress) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(address.path)
        listener.bind(address.path)
        os.chmod(address.path, 0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot(address, error) from error
    return listener


def _remove_stale(path: str) -> None:
    """Remove a socket without a listener, which a server leaves when it is killed."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)


def _cannot(address: ListenAddress, error: OSError) -> ServerError:
    if error.errno == errno.EADDRINUSE:
        what = "there is a file already" if address.path else "another program listens there"
        return ServerError(f"cannot listen at {address}: {what}; choose another with --listen")
    return ServerError(f"cannot listen at {address}: {error.strerror or error}")
