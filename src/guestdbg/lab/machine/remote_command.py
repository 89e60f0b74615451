"""One command in the lab, seen from the host: its input, its output, its results, its end."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guestdbg.lab.errors import LabError
from guestdbg.lab.inside.frames import (
    EXIT,
    FILE,
    FILE_DATA,
    FILE_END,
    KILL,
    PIECE,
    REFUSED,
    RELAY_ACK,
    RELAY_CLOSE,
    RELAY_DATA,
    RESIZE,
    STDERR,
    STDIN,
    STDIN_ACK,
    STDOUT,
    WINDOW,
    FrameError,
    frame,
    frame_json,
)
from guestdbg.lab.machine.forward import Connections

if TYPE_CHECKING:
    from guestdbg.lab.machine.channel import Channel
    from guestdbg.lab.machine.forward import Forward


@dataclass(frozen=True)
class Result:
    """How a command ended.

    ``status`` is its exit status, or 128 + N if signal N ended it. ``files`` holds the contents of
    the requested result files, by the names that were requested.
    """

    status: int
    stdout: bytes
    stderr: bytes
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Live:
    """For a command whose input and output are passed on while it runs.

    Attributes:
        stdout, stderr: called with each piece of output as it arrives; output is not collected.
        stdin: a descriptor to read input from; None: no input.
        terminal: (rows, columns) gives the command a terminal of that size. There, stderr cannot
            be distinguished from stdout.
        escape: this byte in the input raises KeyboardInterrupt.
        resized: a descriptor that can be read from when the terminal's size has changed.
        size: called then; returns the new (rows, columns).
    """

    stdout: Callable[[bytes], object]
    stderr: Callable[[bytes], object]
    stdin: int | None = None
    terminal: tuple[int, int] | None = None
    escape: bytes | None = None
    resized: int | None = None
    size: Callable[[], tuple[int, int]] | None = None


class RemoteCommand:
    """Follows one command in the lab until it ends."""

    def __init__(
        self,
        channel: Channel,
        stdin: bytes = b"",
        live: Live | None = None,
        forwards: tuple[Forward, ...] = (),
    ) -> None:
        self._channel = channel
        self._connections = Connections(forwards, channel.send)
        self._stdin = live.stdin if live else None
        self._escape = live.escape if live else None
        self._resized = live.resized if live and live.terminal and live.size else None
        self._size = live.size if live else None
        self._unacknowledged = 0
        self._unsent = memoryview(stdin)
        self._input_ends = self._stdin is None
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.files: dict[str, bytes] = {}
        self._out: Callable[[bytes], object] = live.stdout if live else self.stdout.extend
        self._err: Callable[[bytes], object] = live.stderr if live else self.stderr.extend
        # Kept here, so that nothing is lost if a consumer of output raises an exception.
        self._arrived: deque[tuple[int, bytes]] = deque()
        self._name = ""
        self._contents = bytearray()
        self._end: dict[str, Any] | None = None
        self._pass_input()

    def follow(self, deadline: float | None) -> Result:
        """Returns when the command has ended.

        Raises Hung at the deadline, after which it can be called again; Closed if the machine
        ended; LabError if the command could not be started.
        """
        while self._end is None:
            arrived, ready = self._channel.receive(
                deadline,
                [*self._input(), *self._sizes(), *self._connections.reading()],
                self._connections.writing(),
            )
            if self._stdin in ready:
                self._read_input()
            if self._resized in ready:
                self._resize()
            self._connections.handle(ready)
            self._arrived += arrived
            while self._arrived:
                self._take(*self._arrived.popleft())
        self._connections.close()
        return Result(self._end["status"], bytes(self.stdout), bytes(self.stderr), self.files)

    def kill(self, seconds: float) -> None:
        """Kills the command and waits for its end, ``seconds`` at most. Drops what it still writes.

        Raises the same exceptions as ``follow``.
        """
        self._stdin = None
        self._connections.close()
        self._connections = Connections((), self._channel.send)
        self._unsent = memoryview(b"")
        self._out = self._err = lambda _: None
        self._channel.send(frame(KILL))
        self.follow(time.monotonic() + seconds)

    def _input(self) -> list[int]:
        """The descriptor of the input, while the lab has room for more input."""
        if self._stdin is None or self._unacknowledged >= WINDOW or self._unsent:
            return []
        return [self._stdin]

    def _sizes(self) -> list[int]:
        return [] if self._resized is None else [self._resized]

    def _resize(self) -> None:
        """Sends the new size of the terminal, once for all changes until now."""
        assert self._resized is not None
        assert self._size is not None
        if not os.read(self._resized, PIECE):
            self._resized = None
        self._channel.send(frame_json(RESIZE, self._size()))

    def _read_input(self) -> None:
        assert self._stdin is not None
        data = os.read(self._stdin, PIECE)
        if self._escape is not None and self._escape in data:
            raise KeyboardInterrupt
        if not data:
            self._stdin = None
            self._input_ends = True
        self._unsent = memoryview(data)
        self._pass_input()

    def _pass_input(self) -> None:
        """Sends as much input as the lab has room for; after the last of it, the end of input."""
        while self._unsent and self._unacknowledged < WINDOW:
            piece, self._unsent = self._unsent[:PIECE], self._unsent[PIECE:]
            self._unacknowledged += len(piece)
            self._channel.send(frame(STDIN, bytes(piece)))
        if self._input_ends and not self._unsent:
            self._input_ends = False
            self._channel.send(frame(STDIN))

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == STDOUT:
            self._out(payload)
        elif kind == STDERR:
            self._err(payload)
        elif kind == FILE:
            self._name = json.loads(payload)["path"]
            self._contents = bytearray()
        elif kind == FILE_DATA:
            self._contents += payload
        elif kind == FILE_END:
            self.files[self._name] = bytes(self._contents)
        elif kind == EXIT:
            self._end = json.loads(payload)
        elif kind == REFUSED:
            raise LabError(f"in the lab: {json.loads(payload)['error']}")
        elif kind == STDIN_ACK:
            self._unacknowledged -= json.loads(payload)
            self._pass_input()
        elif kind in (RELAY_DATA, RELAY_ACK, RELAY_CLOSE):
            self._connections.take(kind, payload)
        else:
            raise FrameError(f"unexpected frame of kind {kind}")
