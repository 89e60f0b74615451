"""One command that the host has started in the lab."""

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import termios
from typing import Any


class Command:
    """A process, and the descriptors of its input and output.

    ``outputs``: a descriptor to read from -> whether it is stderr. ``stdin``: the descriptor to
    write to, or None once it is closed. ``taken``: how many bytes of input the process has read
    that are not acknowledged yet.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        terminal = request.get("terminal")
        self.terminal: int | None = None
        environment = {**os.environ, **request["env"]}
        cwd = request["cwd"]
        os.makedirs(cwd, exist_ok=True)
        if terminal is None:
            self._process = subprocess.Popen(
                request["argv"],
                cwd=cwd,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
            process = self._process
            assert process.stdin
            assert process.stdout
            assert process.stderr
            self.stdin: int | None = process.stdin.fileno()
            self.outputs = {process.stdout.fileno(): False, process.stderr.fileno(): True}
        else:
            host_side, command_side = os.openpty()
            _set_size(host_side, *terminal)
            self._process = subprocess.Popen(
                # A new session, with this terminal as its controlling terminal.
                ["/bin/busybox", "setsid", "-c", *request["argv"]],
                cwd=cwd,
                env=environment,
                stdin=command_side,
                stdout=command_side,
                stderr=command_side,
                start_new_session=False,
            )
            os.close(command_side)
            self.terminal = host_side
            self.stdin = os.dup(host_side)
            self.outputs = {host_side: False}
        if self.stdin is not None:
            os.set_blocking(self.stdin, False)
        self.pid = self._process.pid
        self.status: int | None = None
        self._waiting = bytearray()
        self._end_of_input = False
        self.taken = 0

    @property
    def wants_to_write(self) -> bool:
        """Whether there is input that the command has not read yet."""
        return bool(self._waiting) and self.stdin is not None

    def resize(self, rows: int, columns: int) -> None:
        """Sets the size of the command's terminal."""
        if self.terminal is not None:
            _set_size(self.terminal, rows, columns)

    def give(self, data: bytes) -> None:
        """Adds input for the command. No bytes: the end of the input."""
        if data:
            self._waiting += data
        else:
            self._end_of_input = True
        self.write()

    def write(self) -> None:
        """Writes as much input as the command accepts now."""
        if self.stdin is None:
            self.taken += len(self._waiting)
            self._waiting.clear()
            return
        try:
            while self._waiting:
                written = os.write(self.stdin, self._waiting[:65536])
                self.taken += written
                del self._waiting[:written]
        except BlockingIOError:
            return
        except OSError:
            # The command has closed its input or has ended: the rest is discarded.
            self.taken += len(self._waiting)
            self._waiting.clear()
            self._end_of_input = True
        if self._end_of_input:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self.stdin is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        else:
            os.close(self.stdin)
        self.stdin = None

    def kill(self) -> None:
        """Kills the command and the processes in its session."""
        for end in (os.killpg, os.kill):
            try:
                end(self.pid, signal.SIGKILL)
                return
            except ProcessLookupError:
                continue

    def ended(self, wait_status: int) -> None:
        """Notes how the process ended. Its status is 128 + N for signal N, as in a shell."""
        code = os.waitstatus_to_exitcode(wait_status)
        self.status = 128 - code if code < 0 else code
        # So that subprocess does not wait for the process again when this object is deleted.
        self._process.returncode = code
        self.kill_rest()

    def kill_rest(self) -> None:
        """Kills what the command left running, which would keep the outputs open."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Closes every descriptor."""
        self._close_stdin()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None


def _set_size(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
