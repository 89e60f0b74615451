"""A run of a guest in slices of time, between which keys, Ctrl-C and progress are handled.

Only the thread that called ``run`` touches the guest. The keyboard's thread and the signal handler
set a field and interrupt the guest.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from guestdbg.cli.running.keyboard import ESCAPE_STATUS
from guestdbg.cli.running.summary import RunOutcome, Totals
from guestdbg.debugger.vcpu.semihosting_exits import WAITS_FOR_INPUT
from guestdbg.kvm import SupportsInstructionCount

if TYPE_CHECKING:
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.cli.running.tracer import HitTracer
    from guestdbg.debugger import Guest, Stop
    from guestdbg.errors import GuestdbgError

# The guest runs this long between two updates of the progress line.
SLICE_SECONDS = 0.5
# A guest that waits for input by semihosting is asked this often.
INPUT_POLL_SECONDS = 0.02

STATUS_PANIC = 3
STATUS_LIMIT = 124


class GuestRun:
    """One run of a guest, until something ends it.

    `timeout` in seconds and `max_instructions` limit it; None means no limit. `tracer` counts the
    hits: the progress line is only shown before the first.
    """

    def __init__(
        self,
        guest: Guest,
        terminal: Terminal,
        tracer: HitTracer,
        *,
        timeout: float | None,
        max_instructions: int | None,
    ) -> None:
        self._guest = guest
        #: What lets the guest run, with limits as those of ``Guest.run``.
        self.resume: Callable[..., Stop] = guest.run
        self._terminal = terminal
        self._tracer = tracer
        self._timeout = timeout
        self._max_instructions = max_instructions
        self._typed: list[bytes] = []
        self._input_ended = False
        self._lock = threading.Lock()
        self._signal: signal.Signals | None = None
        self._saw_text: str | None = None
        self._escaped = False
        self._start = time.monotonic()

    # -- for other threads and for handlers --------------------------------------------------

    def type(self, data: bytes) -> None:
        """Give the guest input. Any thread may call it."""
        with self._lock:
            self._typed.append(data)
        self._guest.interrupt()

    def end_input(self) -> None:
        """Nothing more will be typed. Any thread may call it."""
        with self._lock:
            self._input_ended = True
        self._guest.interrupt()

    def escape(self) -> None:
        """Ctrl-] was typed: end the run. Any thread may call it."""
        self._escaped = True
        self._guest.interrupt()

    def pending(self) -> int:
        """How many bytes of input the guest has not taken yet. Any thread may call it."""
        with self._lock:
            typed = sum(map(len, self._typed))
        return typed + self._guest.board.console.pending_input

    def text_seen(self, text: str) -> None:
        """The guest has printed the text of --until: end the run."""
        self._saw_text = text
        self._guest.interrupt()

    # -- the run -----------------------------------------------------------------------------

    def run(self) -> RunOutcome:
        """Run the guest until the run ends."""
        self._start = time.monotonic()
        with self._signals():
            while True:
                self._feed()
                stop = self.resume(
                    timeout=self._slice(), max_instructions=self._instructions_left()
                )
                outcome = self._outcome(stop)
                if outcome is not None:
                    return outcome
                self._show_progress()

    def failed(self, error: GuestdbgError) -> RunOutcome:
        """The outcome of a run that ended with an exception."""
        return RunOutcome("error", str(error), 1)

    def totals(self) -> Totals:
        """How far the guest has got."""
        return Totals(time.monotonic() - self._start, self.instructions())

    def instructions(self) -> int | None:
        """Instructions retired by all vCPUs; None if the provider does not count them."""
        counts = [
            cpu.vcpu.instructions
            for cpu in self._guest.vcpus
            if isinstance(cpu.vcpu, SupportsInstructionCount)
        ]
        return sum(counts) if counts else None

    def _slice(self) -> float:
        if self._timeout is None:
            return SLICE_SECONDS
        left = self._timeout - (time.monotonic() - self._start)
        return max(0.0, min(SLICE_SECONDS, left))

    def _instructions_left(self) -> int | None:
        if self._max_instructions is None:
            return None
        return max(0, self._max_instructions - (self.instructions() or 0))

    def _outcome(self, stop: Stop) -> RunOutcome | None:
        """Why the run has ended; None if it has not."""
        if self._signal is not None:
            return RunOutcome("interrupt", f"interrupted ({self._signal.name})", 128 + self._signal)
        if self._escaped:
            return RunOutcome("interrupt", "interrupted (Ctrl-])", ESCAPE_STATUS)
        if self._saw_text is not None:
            return RunOutcome("output", f"the guest printed {self._saw_text!r}")
        match stop.reason:
            case "exit":
                return RunOutcome("exit", f"the guest {stop.detail or 'ended'}", stop.status)
            case "hit":
                hits = "hit" if self._tracer.total == 1 else "hits"
                return RunOutcome("count", f"stopped after {self._tracer.total:,} {hits} (--count)")
            case "limit":
                return RunOutcome(
                    "limit",
                    f"the guest did not end within {self._max_instructions:,} instructions "
                    "(--max-instructions)",
                    STATUS_LIMIT,
                )
            case "timeout":
                if self._timeout is None or time.monotonic() - self._start < self._timeout:
                    return None
                return self._timed_out()
            case "interrupt":
                return None
            case "history":
                return RunOutcome("history", f"{stop.detail} is reached")
            case "panic":
                return RunOutcome(
                    "panic", f"the guest's kernel panicked: {stop.detail}", STATUS_PANIC
                )
            case "idle" if stop.detail == WAITS_FOR_INPUT:
                return self._wait_for_input()
            case "idle":
                return RunOutcome("idle", stop.detail or "every vCPU waits for ever", 1)
        return RunOutcome("error", stop.detail or "the guest cannot go on", 1)

    def _wait_for_input(self) -> RunOutcome | None:
        """Wait a moment for what the guest reads; the outcome if the time is over."""
        if self._timeout is not None and time.monotonic() - self._start >= self._timeout:
            return self._timed_out()
        time.sleep(INPUT_POLL_SECONDS)
        return None

    def _timed_out(self) -> RunOutcome:
        return RunOutcome(
            "timeout",
            f"the guest did not end within {self._timeout:g} s (--timeout)",
            STATUS_LIMIT,
        )

    def _feed(self) -> None:
        with self._lock:
            typed, self._typed = self._typed, []
            ended = self._input_ended
        console = self._guest.board.console
        for data in typed:
            console.feed(data)
        console.input_ended = ended

    def _show_progress(self) -> None:
        if self._tracer.total or self._terminal.quiet:
            return
        seconds = time.monotonic() - self._start
        count = self.instructions()
        text = f"running, nothing hit yet: {seconds:.0f} s"
        if count is not None:
            text += f", {count / 1e6:,.0f} million instructions"
        self._terminal.progress(text + " (Ctrl-C ends)")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and SIGHUP end the run with its summary; a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handler(number: int, frame: FrameType | None) -> None:
            if self._signal is not None:
                raise KeyboardInterrupt
            self._signal = signal.Signals(number)
            self._guest.interrupt()

        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, handler) for number in numbers}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)
