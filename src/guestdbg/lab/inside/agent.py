"""The lab's first process: runs one command at a time for the host, until the host goes away."""

import contextlib
import glob
import json
import os
import selectors
import signal
import time
from typing import Any

from . import frames, system
from .command import Command
from .port import HostGone, Port
from .relay import Relays

#: Seconds that the outputs of a command that has ended, and connections to it, may stay open. Only
#: processes that have left the command's session can still hold them.
_LINGER = 2.0
#: Seconds after the end of a command in which connections may still deliver its last data.
_DRAIN_LIMIT = 10.0


class Agent:
    """Connects the port to the host with the command that runs."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._command: Command | None = None
        self._results: list[str] = []
        self._cwd = "/"
        self._deadline = self._drain_deadline = 0.0
        self._moved = 0
        self._file: Any = None
        self._file_error = ""
        self._selector = selectors.DefaultSelector()
        self._selector.register(port.fd, selectors.EVENT_READ)
        self._relays = Relays(port, self._selector)
        # A byte is written to this pipe for every child that ends, which wakes the selector up.
        self._children, wake = os.pipe()
        for fd in (self._children, wake):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._selector.register(self._children, selectors.EVENT_READ)

    def serve(self) -> None:
        """Returns when the host asks to power off. Raises HostGone when the host has gone."""
        self._port.send_json(frames.HELLO, system.describe())
        while True:
            self._watch_stdin()
            ended = self._command is not None and self._command.status is not None
            for key, events in self._selector.select(0.2 if ended else None):
                if key.fd == self._port.fd:
                    for kind, payload in self._port.receive():
                        if kind == frames.POWER_OFF:
                            return
                        self._handle(kind, payload)
                elif key.fd == self._children:
                    os.read(self._children, 4096)
                elif key.data is not None:
                    self._relays.handle(key.data, events)
                elif events & selectors.EVENT_WRITE:
                    self._write_stdin(key.fd)
                else:
                    self._read_output(key.fd)
            self._acknowledge_input()
            self._reap()
            self._finish()

    def _handle(self, kind: int, payload: bytes) -> None:
        command = self._command
        if kind == frames.RUN:
            self._start(json.loads(payload))
        elif kind == frames.FILE:
            self._begin_file(**json.loads(payload))
        elif kind == frames.FILE_DATA:
            self._fill_file(payload)
        elif kind == frames.FILE_END:
            self._end_file()
        elif command is None:
            # The frame is for a command that has just ended; the host did not know yet.
            return
        elif kind == frames.STDIN:
            self._forget_stdin()
            command.give(payload)
        elif kind == frames.CONNECT:
            self._relays.connect(**json.loads(payload))
        elif kind in (frames.RELAY_DATA, frames.RELAY_ACK, frames.RELAY_CLOSE):
            self._relays.take(kind, payload)
        elif kind == frames.KILL:
            command.kill()
        elif kind == frames.RESIZE:
            command.resize(*json.loads(payload))

    def _begin_file(self, path: str, mode: int) -> None:
        try:
            os.makedirs(os.path.dirname(path) or "/", exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            self._file = os.fdopen(fd, "wb")
            os.fchmod(fd, mode)
        except (OSError, ValueError) as error:
            self._file_error = self._file_error or str(error)

    def _fill_file(self, data: bytes) -> None:
        if self._file is not None:
            try:
                self._file.write(data)
            except OSError as error:
                self._file_error = self._file_error or str(error)

    def _end_file(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._file_error = self._file_error or str(error)
            self._file = None

    def _start(self, request: dict[str, Any]) -> None:
        error, self._file_error = self._file_error, ""
        if not error:
            try:
                self._command = Command(request)
            except (OSError, ValueError) as problem:
                # ValueError: a zero byte in a word, or "=" in the name of a variable.
                reason = getattr(problem, "strerror", None) or problem
                error = f"{request['argv'][0]}: {reason}"
        if error or self._command is None:
            self._port.send_json(frames.REFUSED, {"error": error})
            return
        self._results = request["results"]
        self._cwd = request["cwd"]
        for fd in self._command.outputs:
            self._selector.register(fd, selectors.EVENT_READ)

    def _watch_stdin(self) -> None:
        command = self._command
        if command is None or command.stdin is None or not command.wants_to_write:
            return
        if command.stdin not in self._selector.get_map():
            self._selector.register(command.stdin, selectors.EVENT_WRITE)

    def _acknowledge_input(self) -> None:
        command = self._command
        if command is not None and command.taken:
            self._port.send_json(frames.STDIN_ACK, command.taken)
            command.taken = 0

    def _forget_stdin(self) -> None:
        """Called before a write, which may close the descriptor."""
        command = self._command
        if command and command.stdin is not None and command.stdin in self._selector.get_map():
            self._selector.unregister(command.stdin)

    def _write_stdin(self, fd: int) -> None:
        if self._command and self._command.stdin == fd:
            self._forget_stdin()
            self._command.write()

    def _read_output(self, fd: int) -> None:
        if self._command is None or fd not in self._command.outputs:
            return
        try:
            data = os.read(fd, frames.PIECE)
        except OSError:
            # A terminal that no process has open any more.
            data = b""
        if data:
            kind = frames.STDERR if self._command.outputs[fd] else frames.STDOUT
            self._port.send(kind, data)
        else:
            self._selector.unregister(fd)
            del self._command.outputs[fd]

    def _reap(self) -> None:
        """Reaps every process that has ended: the first process is the parent of all orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._command is not None and pid == self._command.pid:
                self._command.ended(status)
                self._deadline = time.monotonic() + _LINGER
                self._drain_deadline = time.monotonic() + _DRAIN_LIMIT

    def _finish(self) -> None:
        command = self._command
        if command is None or command.status is None:
            return
        if (command.outputs or self._connections_open()) and time.monotonic() < self._deadline:
            return
        for fd in command.outputs:
            self._selector.unregister(fd)
        self._forget_stdin()
        command.close()
        self._relays.close()
        self._command = None
        missing = [pattern for pattern in self._results if not self._send_results(pattern)]
        self._port.send_json(frames.EXIT, {"status": command.status, "missing": missing})

    def _connections_open(self) -> bool:
        """Whether connections may still deliver data. While they do, the deadline moves."""
        if self._relays.moved > self._moved:
            self._moved = self._relays.moved
            self._deadline = min(time.monotonic() + _LINGER, self._drain_deadline)
        return self._relays.may_send_more

    def _send_results(self, pattern: str) -> bool:
        """Sends the files that match a pattern. False if there are none."""
        found = False
        # A file that has disappeared meanwhile counts as missing.
        with contextlib.suppress(OSError, ValueError):
            for path in sorted(glob.glob(os.path.join(self._cwd, pattern), recursive=True)):
                if os.path.isfile(path):
                    name = path if os.path.isabs(pattern) else os.path.relpath(path, self._cwd)
                    self._port.send_file(path, name)
                    found = True
        return found


def main() -> None:
    """Sets the system up, serves the host, powers off."""
    system.mount_all()
    system.loopback_up()
    os.environ.update(
        PATH="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", HOME="/tmp", LANG="C.UTF-8"
    )
    system.load_modules("/lab/modules")
    with contextlib.suppress(HostGone):
        Agent(Port()).serve()
    system.power_off()
