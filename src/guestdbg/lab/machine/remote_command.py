"""One command's talk with the host: its output, its results, its end."""

import json
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
from guestdbg.lab.machine.channel import Channel
from guestdbg.lab.machine.forward import Connections, Forward


@dataclass(frozen=True)
class Result:
    """How a command ended. ``status`` is its exit status, 128 + N if signal N ended it;
    ``files`` the results that were asked for, by the names they were asked for with."""

    status: int
    stdout: bytes
    stderr: bytes
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Live:
    """For a command whose input and output a person follows.

    ``stdout``/``stderr`` are given pieces as they come (and are not collected); ``stdin`` is a
    descriptor to read input from, none for no input; ``terminal`` is (rows, columns) to give the
    command a terminal of that size, where stderr is not told from stdout. When the descriptor
    ``resized`` can be read from, something was written there because the size has changed, and
    ``size()`` gives the new one. The byte ``escape`` in the input stands for an interrupt:
    KeyboardInterrupt is raised.
    """

    stdout: Callable[[bytes], object]
    stderr: Callable[[bytes], object]
    stdin: int | None = None
    terminal: tuple[int, int] | None = None
    escape: bytes | None = None
    resized: int | None = None
    size: Callable[[], tuple[int, int]] | None = None


class RemoteCommand:
    """Follows one command from its start to its end."""

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
        self._given = 0
        self._unsent = memoryview(stdin)
        self._input_ends = self._stdin is None
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.files: dict[str, bytes] = {}
        self._out: Callable[[bytes], object] = live.stdout if live else self.stdout.extend
        self._err: Callable[[bytes], object] = live.stderr if live else self.stderr.extend
        # Kept here, so that a consumer that raises does not make the rest be forgotten.
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
        """Ends the command and waits for its end, ``seconds`` at most; what it still writes is
        dropped. Raises as ``follow``."""
        self._stdin = None
        self._connections.close()
        self._connections = Connections((), self._channel.send)
        self._unsent = memoryview(b"")
        self._out = self._err = lambda _: None
        self._channel.send(frame(KILL))
        self.follow(time.monotonic() + seconds)

    def _input(self) -> list[int]:
        """The descriptor of the input, while the lab has room for more of it."""
        if self._stdin is None or self._given >= WINDOW or self._unsent:
            return []
        return [self._stdin]

    def _sizes(self) -> list[int]:
        return [] if self._resized is None else [self._resized]

    def _resize(self) -> None:
        """Tells the command's terminal its new size, once for all the changes until now."""
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
        """Sends as much input as the lab has room for, and then that it has ended."""
        while self._unsent and self._given < WINDOW:
            piece, self._unsent = self._unsent[:PIECE], self._unsent[PIECE:]
            self._given += len(piece)
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
            self._given -= json.loads(payload)
            self._pass_input()
        elif kind in (RELAY_DATA, RELAY_ACK, RELAY_CLOSE):
            self._connections.take(kind, payload)
        else:
            raise FrameError(f"a frame of kind {kind}")
