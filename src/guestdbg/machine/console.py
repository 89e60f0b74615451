"""The host's end of the serial line: the guest's output, and input that is typed to it."""

from __future__ import annotations

import codecs
import io
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from guestdbg.machine.errors import MachineError

if TYPE_CHECKING:
    from guestdbg.machine.inputs import InputPort

FLUSH_AT = 4096  # bytes of output that are buffered at most
PENDING_MAX = 16 << 20  # bytes of input that wait for the guest at most
MATCH_WINDOW = 4096  # bytes of output in which an expected text is searched


class ByteSink(Protocol):
    """A file object open for writing bytes."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> object: ...


class ConsoleState(NamedTuple):
    """The state of a console: see ``Console.snapshot``."""

    typed: bytes
    answers: tuple[tuple[bytes, bytes], ...]
    recent: bytes
    sent: int
    ended: bool


Sink = ByteSink | io.TextIOBase | Callable[[bytes], object] | None


class Console:
    """The terminal at the serial line.

    ``sink`` gets the output in pieces. It is a callable that takes bytes, a file object (a text
    file gets it decoded as UTF-8), or None to drop the output. A piece ends with a line, when the
    guest polls for input, or when the board stops running: so a terminal shows prompts at once, and
    much output costs little.

    Any thread may call ``feed``. All other methods belong to the thread that runs the vCPU.

    Raises:
        MachineError: ``sink`` is none of these.
    """

    def __init__(self, sink: Sink = None) -> None:
        self._write, self._sink_flush = _writers(sink)
        self._out = bytearray()
        self._in = bytearray()
        self._lock = threading.Lock()
        self._answers: deque[tuple[bytes, bytes]] = deque()
        self._recent = bytearray()
        self.listener: Callable[[bytes], object] | None = None
        """Called with the output, in the same pieces as the sink."""
        self.observer: Callable[[bytes], object] | None = None
        """The same for the debugger, which looks for the panic of a kernel."""
        self.trace: Callable[[bytes], object] | None = None
        """The same for a trace of the guest."""
        self.on_sink_error: Callable[[Exception], object] | None = None
        """Called with an error of the sink (a full disk, a reader that has gone); that piece of the
        output is lost. None: the error is raised where the guest runs."""
        self.port: InputPort | None = None
        """Where typed bytes come into the board, which sets it. None: they are there at once."""
        self._input_ended = False
        self.sent = 0
        """Number of bytes that the guest has sent."""
        self.muted = False
        """Drop the output: a part of a run is repeated on the way to somewhere else."""
        self.seen = 0
        """Drop what comes before so many bytes of output: it was seen when the guest ran first."""

    def feed(self, data: bytes) -> None:
        """Type ``data``. The UART takes it when its receive FIFO has room.

        Raises:
            MachineError: more than 16 MiB would wait for the guest to take them.
        """
        waiting = self.pending_input
        if waiting + len(data) > PENDING_MAX:
            raise MachineError(
                f"{waiting} typed bytes wait for the guest to take them, and {len(data)} "
                f"more would be over the limit of {PENDING_MAX}: type them in pieces, as the "
                "guest takes them (console.pending_input)"
            )
        if not data:
            return
        if self.port is None:
            self.receive(data)
        else:
            self.port.post(data)

    def receive(self, data: bytes) -> None:
        """Typed bytes have come into the board: the UART can take them.

        No bytes: nothing more will be typed.
        """
        if not data:
            self._input_ended = True
        with self._lock:
            self._in += data

    @property
    def input_ended(self) -> bool:
        """Nothing more will be typed.

        A guest that reads its console by semihosting gets the end of the file when it has read all.
        The UART has no such thing. Setting it is an input, too.
        """
        return self._input_ended

    @input_ended.setter
    def input_ended(self, ended: bool) -> None:
        if not ended:
            self._input_ended = False
        elif not self._input_ended:
            if self.port is None:
                self.receive(b"")
            else:
                self.port.post(b"")

    def answer(self, expected: bytes, reply: bytes) -> None:
        """When the guest has printed ``expected``, type ``reply``.

        Answers are used in this order: the second is searched for after the first was typed. The
        guest's output triggers them, so a dialogue is the same in every run.

        Raises:
            ValueError: ``expected`` is empty, or longer than 4096 bytes.
        """
        if not expected:
            raise ValueError("expected is empty: use feed() to type at once")
        if len(expected) > MATCH_WINDOW:
            raise ValueError(f"an expected text has at most {MATCH_WINDOW} bytes")
        self._answers.append((expected, reply))

    @property
    def pending_input(self) -> int:
        """Number of typed bytes that the UART has not taken yet."""
        return len(self._in) + (0 if self.port is None else self.port.pending)

    @property
    def received(self) -> int:
        """How many of them have come into the board: the UART can take them."""
        return len(self._in)

    def take(self, limit: int) -> bytes:
        """Remove and return up to ``limit`` typed bytes, for the UART's receive FIFO."""
        if not self._in or limit <= 0:
            return b""
        with self._lock:
            taken = bytes(self._in[:limit])
            del self._in[:limit]
            return taken

    def put(self, byte: int) -> None:
        """The guest has sent one byte."""
        self.sent += 1
        self._out.append(byte)
        if self._answers:
            self._match(byte)
        if byte == 0x0A or len(self._out) >= FLUSH_AT:
            self.flush()

    def put_all(self, data: bytes) -> None:
        """The same for bytes that the guest has sent at once, by semihosting."""
        if self._answers:
            for byte in data:
                self.put(byte)
            return
        self.sent += len(data)
        self._out += data
        if b"\n" in data or len(self._out) >= FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        """Pass buffered output to the sink."""
        if not self._out:
            return
        data = bytes(self._out)
        self._out.clear()
        data = data[max(0, self.seen - (self.sent - len(data))) :]
        if self.muted or not data:
            return
        try:
            self._write(data)
            self._sink_flush()
        except Exception as error:
            if self.on_sink_error is None:
                raise
            self.on_sink_error(error)
        if self.observer is not None:
            self.observer(data)
        if self.trace is not None:
            self.trace(data)
        if self.listener is not None:
            self.listener(data)

    def snapshot(self) -> ConsoleState:
        """The typed bytes that were not taken, the answers not yet used, and the recent output."""
        self.flush()
        with self._lock:
            typed = bytes(self._in)
        answers, recent = tuple(self._answers), bytes(self._recent)
        return ConsoleState(typed, answers, recent, self.sent, self._input_ended)

    def restore(self, state: ConsoleState) -> None:
        """Return to the state of ``snapshot``. Output that the sink got since then stays."""
        self.flush()
        with self._lock:
            self._in[:] = state.typed
        self._answers = deque(state.answers)
        self._recent = bytearray(state.recent)
        self.sent = state.sent
        self._input_ended = state.ended

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
    """Writes bytes to a text file. The bytes of one character may come in two pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda data: text.write(decoder.decode(data))
