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

__all__ = ["Address", "listen", "parse"]

_WAITING = 16


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP ``host`` and ``port``, or a ``path`` for a Unix socket (then the others are empty)."""

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
        """What follows `target remote` in GDB."""
        if self.path:
            return self.path
        loopback = self.host in ("127.0.0.1", "localhost", "0.0.0.0")
        return f":{self.port}" if loopback else str(self)


def parse(text: str) -> Address:
    """Reads tcp:HOST:PORT, unix:PATH, and HOST:PORT, :PORT or PORT for short. Raises ServerError.

    Without a host it is 127.0.0.1; port 0 takes a free one.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "unix":
        if not rest:
            raise ServerError(f"{text!r} names no socket: unix:/tmp/guest.gdb")
        return Address(path=rest)
    if not (colon and kind == "tcp"):
        rest = text
    host, _, number = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not number.isdecimal() or int(number) > 0xFFFF:
        raise ServerError(
            f"{text!r} is no address to listen at: give tcp:127.0.0.1:1234 or unix:PATH"
        )
    return Address(host or "127.0.0.1", int(number))


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(address: Address, *, allow_remote: bool = False) -> tuple[socket.socket, Address]:
    """A listening socket, and where it really listens. Raises ServerError.

    Whoever reaches it can read and write the guest and this machine's copy of its program, so other
    machines must be allowed in so many words (``allow_remote``).
    """
    if address.path:
        return _listen_unix(address), address
    if not allow_remote and not is_loopback(address.host):
        raise ServerError(
            f"{address} can be reached from other machines, and whoever reaches it controls the "
            "guest: allow that in so many words (--allow-remote), or listen at 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(_WAITING)
    except OSError as error:
        listener.close()
        raise _cannot(address, error) from error
    return listener, Address(address.host, listener.getsockname()[1])


def _listen_unix(address: Address) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(address.path)
        listener.bind(address.path)
        os.chmod(address.path, 0o600)
        listener.listen(_WAITING)
    except OSError as error:
        listener.close()
        raise _cannot(address, error) from error
    return listener


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens at any more, as a server that was killed leaves it."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)


def _cannot(address: Address, error: OSError) -> ServerError:
    if error.errno == errno.EADDRINUSE:
        what = "something listens there already" if not address.path else "there is a file already"
        return ServerError(f"cannot listen at {address}: {what}; choose another with --listen")
    return ServerError(f"cannot listen at {address}: {error.strerror or error}")
