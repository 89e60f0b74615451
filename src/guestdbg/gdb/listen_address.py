"""Where the server listens: tcp:HOST:PORT, unix:PATH, and unix: for a path of the user's own."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from guestdbg.gdb.errors import ServerError
from guestdbg.gdb.runtime_directory import socket_path
from guestdbg.gdb.unix_socket import UnixSocket

__all__ = ["ListenAddress", "Listener", "listen", "parse"]

_BACKLOG = 16
_MAX_PORT_DIGITS = 5


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A TCP ``host`` and ``port``; or without a host the ``path`` of a Unix socket, which is empty
    if ``listen`` is to choose one."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if not self.host:
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


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening ``socket``, its ``address``, and the file of a Unix socket."""

    socket: socket.socket
    address: ListenAddress
    file: UnixSocket | None = None

    def close(self) -> None:
        """Stop listening, and remove the file that was made."""
        self.socket.close()
        if self.file is not None:
            self.file.remove()


def parse(text: str) -> ListenAddress:
    """Parse tcp:HOST:PORT, unix:PATH or unix:, or for short HOST:PORT, :PORT or PORT.

    The default host is 127.0.0.1; port 0 chooses a free port. Raises ServerError.
    """
    if not isinstance(text, str):
        raise ServerError(f"listen={text!r}: give tcp:127.0.0.1:1234 or unix:PATH as text")
    kind, colon, rest = text.partition(":")
    if colon and kind == "unix":
        return ListenAddress(path=rest)
    if not (colon and kind == "tcp"):
        rest = text
    host, _, number = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    digits = number.isascii() and number.isdecimal() and len(number) <= _MAX_PORT_DIGITS
    if not digits or int(number) > 0xFFFF:
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


def listen(address: ListenAddress, *, allow_remote: bool = False) -> Listener:
    """Listen at the address. Its port 0, and an empty path, are replaced by what was chosen.

    A client can read and write the guest, and read its ELF files on this machine. Addresses that
    other machines can reach are therefore refused unless ``allow_remote`` is set. Raises
    ServerError.
    """
    if not address.host:
        address = ListenAddress(path=address.path or socket_path())
        try:
            file, listener = UnixSocket.listen(address.path, _BACKLOG)
        except (OSError, ValueError) as error:
            raise _cannot(address, error) from error
        return Listener(listener, address, file)
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
    except (OSError, ValueError) as error:  # ValueError: a host name that cannot be encoded
        listener.close()
        raise _cannot(address, error) from error
    return Listener(listener, ListenAddress(address.host, listener.getsockname()[1]))


def _cannot(address: ListenAddress, error: OSError | ValueError) -> ServerError:
    what = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, FileExistsError):
        what = "there is a file already, which is not a socket; choose another path with --listen"
    elif isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        what = "another program listens there; choose another address with --listen"
    return ServerError(f"cannot listen at {address}: {what}")
