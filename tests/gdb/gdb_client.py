"""`guestdbg gdb` as a process, and gdb-multiarch as its client, driven by Python inside GDB."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.cli.guests import GUESTDBG, ROOT
from tests.machine.guests import EXAMPLES

GDB = "gdb-multiarch"
SECONDS = 60

needs_gdb = pytest.mark.skipif(
    shutil.which(GDB) is None, reason=f"no {GDB}: install Debian's gdb-multiarch"
)

_LISTENING = re.compile(r"^-- ((?:tcp|unix):\S+); in GDB: target remote (\S+)$", re.MULTILINE)

# The beginning of every script inside GDB. `report` reports results; connect() begins the session.
_PROLOGUE = """
import gdb, json, os, signal, threading, time

for setting in ("pagination off", "confirm off", "width 0", "sysroot", "remotetimeout 30"):
    gdb.execute("set " + setting)

def report(**what):
    print("TELL " + json.dumps(what), flush=True)

def run(command):
    return gdb.execute(command, to_string=True)

def connect(how="remote"):
    return run("target %s %s" % (how, TARGET))

def value(expression):
    return int(gdb.parse_and_eval(expression))

def location():
    frame = gdb.selected_frame()
    return frame.name()

def pc():
    return value("(unsigned long)$pc")

class Stops:
    # Each stop as GDB reports it.
    def __init__(self):
        self.seen = []
        gdb.events.stop.connect(self.stopped)
        gdb.events.exited.connect(self.exited)

    def stopped(self, event):
        if isinstance(event, gdb.BreakpointEvent):
            self.seen.append(["breakpoint", [b.number for b in event.breakpoints]])
        elif isinstance(event, gdb.SignalEvent):
            self.seen.append(["signal", event.stop_signal])
        else:
            self.seen.append(["stop", None])

    def exited(self, event):
        self.seen.append(["exited", getattr(event, "exit_code", None)])

stops = Stops()
"""


class Server:
    """A running `guestdbg gdb`: ``target`` is what GDB connects to, ``address`` its full name."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.output = bytearray()
        self.errors = bytearray()
        self._news = threading.Condition()
        self._threads = [
            threading.Thread(target=self._read, args=(stream, into), daemon=True)
            for stream, into in ((process.stdout, self.output), (process.stderr, self.errors))
        ]
        for thread in self._threads:
            thread.start()
        said = self.wait_for(_LISTENING)
        self.address, self.target = said[1], said[2]

    def _read(self, stream: Any, into: bytearray) -> None:
        while data := os.read(stream.fileno(), 4096):
            with self._news:
                into += data
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, pattern: re.Pattern[str] | str, where: str = "errors") -> re.Match[str]:
        """Wait until it has printed the pattern (on stderr; ``where="output"``: on stdout)."""
        pattern = re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern
        found: re.Match[str] | None = None

        def said() -> bool:
            nonlocal found
            found = pattern.search(getattr(self, where).decode("utf-8", "replace"))
            return found is not None or self.process.poll() is not None

        with self._news:
            self._news.wait_for(said, SECONDS)
        assert found is not None, (pattern.pattern, bytes(self.output), bytes(self.errors))
        return found

    def type_in(self, text: bytes) -> None:
        """Type on the guest's console."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def ended(self) -> int:
        """Wait until it ends; its exit status."""
        status = self.process.wait(SECONDS)
        self.join()
        return status

    def join(self) -> None:
        """Read the rest of its output, after its end."""
        for thread in self._threads:
            thread.join(SECONDS)


@contextlib.contextmanager
def server(guest: str | Path, *options: str, listen: str | None = None) -> Iterator[Server]:
    """`guestdbg gdb` with an example or a file. It is killed at the end if it still runs."""
    path = Path(guest) if "/" in str(guest) else EXAMPLES / f"{guest}.elf"
    with command_that_serves("gdb", str(path), *options, by="--listen", listen=listen) as running:
        yield running


@contextlib.contextmanager
def command_that_serves(*words: str, by: str, listen: str | None = None) -> Iterator[Server]:
    """A command of guestdbg, which listens where its option ``by`` says."""
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [*GUESTDBG, *words, by, listen or f"unix:{directory}/gdb"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        running: Server | None = None
        try:
            running = Server(process)
            yield running
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()
            process.wait()
            if running is not None:
                running.join()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


class Results(dict[str, Any]):
    """The results that a script reported by `report`, and ``text``, GDB's whole output."""

    text = ""


def gdb(target: str, script: str, *, symbols: str | Path | None = None) -> Results:
    """Run Python inside GDB, with the helpers above; all results that it reported.

    ``symbols`` is an example's name, or a file; without one GDB has to find them by itself.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(f"TARGET = {target!r}\n{_PROLOGUE}\n{textwrap.dedent(script)}")
        file.flush()
        files = []
        if symbols is not None:
            path = Path(symbols) if "/" in str(symbols) else EXAMPLES / f"{symbols}.elf"
            files = [str(path)]
        result = subprocess.run(
            [GDB, "-nx", "-batch", "-x", file.name, *files],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    results = Results()
    results.text = result.stdout
    for line in result.stdout.splitlines():
        if line.startswith("TELL "):
            results.update(json.loads(line[5:]))
    assert "Traceback" not in result.stdout, result.stdout
    assert "Error while executing" not in result.stdout, result.stdout
    assert results.pop("done", None) or not script.rstrip().endswith("report(done=1)"), (
        result.stdout
    )
    return results


def put_down(process: subprocess.Popen[Any], reader: threading.Thread) -> None:
    """End a client that is driven through pipes, and the thread that reads its output."""
    process.kill()
    process.wait()
    reader.join(SECONDS)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


class Mi:
    """gdb-multiarch in its asynchronous machine interface, as editors use it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [GDB, "-nx", "-q", "--interpreter=mi3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._token = 0
        self._states: dict[str, str] = {}
        self._all = "unknown"
        self.ended = False
        self.log: list[str] = []
        self.ask("-gdb-set confirm off")
        self.ask("-gdb-set sysroot")
        self.ask("-gdb-set pagination off")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def ask(self, command: str) -> str:
        """The result of a command; an error fails the test."""
        self._token += 1
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._token}{command}\n")
        self._process.stdin.flush()
        start = f"{self._token}^"
        while True:
            line = self._next()
            if line.startswith(start):
                assert not line.startswith(f"{start}error"), (command, self.log[-20:])
                return line

    def until(self, condition: Callable[[], bool]) -> None:
        """Process GDB's output until the condition holds."""
        while not condition():
            self._next()

    def states(self, *threads: str) -> list[str]:
        """The states of threads: "running", "stopped" or "unknown"."""
        return [self._states.get(thread, self._all) for thread in threads]

    def _next(self) -> str:
        try:
            line = self._lines.get(timeout=SECONDS)
        except queue.Empty:
            raise AssertionError(f"no more output: {self.log[-20:]}") from None
        assert line is not None, self.log[-20:]
        self.log.append(line)
        record = re.match(r"\*(running|stopped)\b(.*)", line)
        if record is not None:
            if 'reason="exited' in record[2]:
                self.ended = True
            thread = re.search(r'thread-id="(\w+)"', record[2])
            if thread is None or thread[1] == "all":
                self._all = record[1]
                self._states.clear()
            else:
                self._states[thread[1]] = record[1]
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *of_what: object) -> None:
        put_down(self._process, self._reader)
