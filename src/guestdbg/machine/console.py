"""The far end of the guest's serial line: what it prints goes out here, what is typed comes in."""

from __future__ import annotations

import codecs
import io
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from guestdbg.machine.errors import MachineError

FLUSH_AT = 4096  # bytes kept at most before the sink gets them
MATCH_WINDOW = 4096  # bytes of output in which an expected text is looked for


class ByteSink(Protocol):
    """A file object open for writing bytes."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> object: ...


class ConsoleState(NamedTuple):
    """What a console holds of a guest: see ``Console.snapshot``."""

    typed: bytes
    answers: tuple[tuple[bytes, bytes], ...]
    recent: bytes
    sent: int


Sink = ByteSink | io.TextIOBase | Callable[[bytes], object] | None


class Console:
    """A serial line's terminal.

    ``sink`` gets the output in pieces: a callable that takes bytes, a file object (one for text
    gets it decoded as UTF-8), or None to drop it; MachineError for anything else. Pieces end with a
    line, when the guest looks for input, or when the board stops running, so that a terminal shows
    prompts at once and a flood costs little.

    ``feed`` may be called by any thread; everything else belongs to the thread that runs the vCPU.
    """

    def __init__(self, sink: Sink = None) -> None:
        self._write, self._sink_flush = _writers(sink)
        self._out = bytearray()
        self._in: deque[int] = deque()
        self._lock = threading.Lock()
        self._answers: deque[tuple[bytes, bytes]] = deque()
        self._recent = bytearray()
        self.listener: Callable[[bytes], object] | None = None
        """Gets the output too, in the same pieces as the sink."""
        self.sent = 0
        """Bytes the guest has sent so far."""

    def feed(self, data: bytes) -> None:
        """Type ``data``: the guest's UART takes it when it has room."""
        with self._lock:
            self._in.extend(data)

    def answer(self, expected: bytes, reply: bytes) -> None:
        """Once the guest has printed ``expected``, type ``reply``.

        Answers wait for each other: the second is looked for after the first was given. As the
        guest's own output triggers them, a dialogue runs the same every time.
        """
        if not expected:
            raise ValueError("nothing to wait for: use feed() to type at once")
        if len(expected) > MATCH_WINDOW:
            raise ValueError(f"an expected text has at most {MATCH_WINDOW} bytes")
        self._answers.append((expected, reply))

    @property
    def pending_input(self) -> int:
        """Bytes typed that the guest has not taken yet."""
        return len(self._in)

    def take(self, limit: int) -> bytes:
        """Up to ``limit`` bytes of what was typed, for the UART's receive FIFO."""
        if not self._in or limit <= 0:
            return b""
        with self._lock:
            return bytes(self._in.popleft() for _ in range(min(limit, len(self._in))))

    def put(self, byte: int) -> None:
        """The guest has sent one byte."""
        self.sent += 1
        self._out.append(byte)
        if self._answers:
            self._match(byte)
        if byte == 0x0A or len(self._out) >= FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        """Hand what is kept to the sink."""
        if not self._out:
            return
        data = bytes(self._out)
        self._out.clear()
        self._write(data)
        self._sink_flush()
        if self.listener is not None:
            self.listener(data)

    def snapshot(self) -> ConsoleState:
        """What was typed and not taken, the answers still to be given, and what was printed."""
        self.flush()
        with self._lock:
            typed = bytes(self._in)
        return ConsoleState(typed, tuple(self._answers), bytes(self._recent), self.sent)

    def restore(self, state: ConsoleState) -> None:
        """Be as at ``snapshot``. What the sink was given since stays with it."""
        self.flush()
        with self._lock:
            self._in.clear()
            self._in.extend(state.typed)
        self._answers = deque(state.answers)
        self._recent = bytearray(state.recent)
        self.sent = state.sent

    def _match(self, byte: int) -> None:
        self._recent.append(byte)
        expected, reply = self._answers[0]
        if self._recent.endswith(expected):
            self._answers.popleft()
            self._recent.clear()
            self.feed(reply)
        elif len(self._recent) > 2 * MATCH_WINDOW:
            del self._recent[:-MATCH_WINDOW]


def _writers(sink: Sink) -> tuple[Callable[[bytes], object], Callable[[], object]]:
    if sink is None:
        return (lambda data: None), (lambda: None)
    if callable(sink):
        return sink, (lambda: None)
    if isinstance(sink, io.TextIOBase):
        return _decoding(sink), sink.flush
    if not hasattr(sink, "write") or not hasattr(sink, "flush"):
        raise MachineError(
            f"console={sink!r}: it must be an open file, a callable that takes bytes, 'stdout' or "
            "None"
        )
    return sink.write, sink.flush


def _decoding(text: io.TextIOBase) -> Callable[[bytes], object]:
    """Write bytes to a text file; a character whose bytes come in two pieces is one."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda data: text.write(decoder.decode(data))
