"""A client that sends single packets by hand, also those that no debugger would send."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guestdbg.debugger import Guest, load
from guestdbg.gdb import Server
from guestdbg.gdb.packets import Decoder, Mark, Packet, frame
from tests.machine.guests import EXAMPLES

SECONDS = 20

_NOTIFICATION = re.compile(rb"(%Stop:[^#]*)#..")


class Wire:
    """A client that sends the packets it is given."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(path)
        self._decoder = Decoder()
        self._events: list[Any] = []
        self.ask(b"QStartNoAckMode")
        self.socket.sendall(b"+")
        self.ask(b"qSupported:swbreak+;hwbreak+")

    def send(self, payload: bytes) -> None:
        self.socket.sendall(frame(payload))

    def event(self) -> Any:
        """The next packet, damaged one or mark; EOFError when the server has hung up."""
        while not self._events:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            # A notification is a packet that begins with % instead of $.
            data = _NOTIFICATION.sub(lambda found: frame(found[1]), data)
            self._events += self._decoder.feed(data)
        return self._events.pop(0)

    def reply(self) -> bytes:
        """The next packet's contents."""
        while True:
            event = self.event()
            if isinstance(event, Packet):
                return event.data
            assert event is Mark.ACK, event

    def ask(self, payload: bytes) -> bytes:
        self.send(payload)
        return self.reply()

    def monitor(self, command: str) -> str:
        """The output of a `monitor` command."""
        reply = self.ask(b"qRcmd," + command.encode().hex().encode())
        return "" if reply == b"OK" else bytes.fromhex(reply.decode()).decode()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *of_what: object) -> None:
        self.close()


class Served:
    """A guest and its server, in a thread of its own. ``outcome``: how the server ended."""

    def __init__(self, guest: Guest, path: str, options: dict[str, Any]) -> None:
        self.guest = guest
        self.path = path
        self.announced: list[str] = []
        self.outcome: str | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._options = options
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        assert self._ready.wait(SECONDS)

    def _serve(self) -> None:
        try:
            options = {
                "listen": f"unix:{self.path}",
                "announce": self.announced.append,
            } | self._options
            with Server(self.guest, **options) as self.server:
                self._ready.set()
                self.outcome = self.server.serve()
        except BaseException as error:
            self._failure = error
            self._ready.set()

    def client(self) -> Wire:
        return Wire(self.path)

    def join(self) -> str | None:
        """Wait until the server ends by itself."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the server has not ended"
        if self._failure is not None:
            raise self._failure
        return self.outcome

    def stop(self) -> None:
        self.server.stop()
        self.join()


@contextmanager
def served(
    directory: Path,
    guest: str | Guest,
    *,
    load_options: dict[str, Any] | None = None,
    **options: Any,
) -> Iterator[Served]:
    """A guest (or an example to load) and its server in this process, at a socket there."""
    if isinstance(guest, Guest):
        loaded = guest
    else:
        loaded = load(
            EXAMPLES / f"{guest}.elf",
            provider="soft",
            **({"console": None, "memory": "16M"} | (load_options or {})),
        )
    # This thread loads the guest, and reads it after the server has ended: two threads never use
    # it at the same time.
    try:
        here = Served(loaded, str(directory / "gdb"), options)
        try:
            yield here
        finally:
            here.stop()
    finally:
        loaded.close()
