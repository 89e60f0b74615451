"""A client for QEMU's machine protocol (QMP), and a QEMU that has room for snapshots."""

import contextlib
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import qemu


class Monitor:
    """The monitor of a QEMU. Errors are RuntimeError; EOFError: QEMU has ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines = connection.makefile("rb")
        self._connection = connection
        self._read()  # the greeting
        self.command("qmp_capabilities")

    def command(self, name: str, **arguments: Any) -> Any:
        """Execute a command; returns what it returns."""
        message = {"execute": name, "arguments": arguments}
        self._connection.sendall(json.dumps(message).encode() + b"\n")
        while True:
            answer = self._read()
            if "error" in answer:
                raise RuntimeError(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def create(self, name: str, **options: Any) -> None:
        """`blockdev-create`, which is a job, to its end."""
        self.command("blockdev-create", **{"job-id": name, "options": options})
        while (job := self._job(name))["status"] != "concluded":
            time.sleep(0.001)
        if "error" in job:
            raise RuntimeError(f"{name}: {job['error']}")
        self.command("job-dismiss", id=name)

    def human(self, line: str) -> None:
        """A command of the human monitor, which prints nothing if it succeeds."""
        printed = self.command("human-monitor-command", **{"command-line": line})
        if printed:
            raise RuntimeError(f"{line}: {printed}")

    def _job(self, name: str) -> dict[str, Any]:
        jobs: list[dict[str, Any]] = self.command("query-jobs")
        return next(job for job in jobs if job["id"] == name)

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise EOFError("QEMU closed the connection")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def stopped(kernel: Path) -> Iterator[Monitor]:
    """Start QEMU with an ELF file loaded and stopped, and a disk image for snapshots."""
    program = qemu.program(qemu.QEMU)
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = Path(directory) / "qmp"
        listener.bind(str(path))
        listener.listen()
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [program, *qemu.MACHINE, "-kernel", str(kernel), "-S", "-mon", "qmp,mode=control"]
            + ["-chardev", f"socket,fd={descriptor},server=on,wait=off,id=qmp"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
        )
        listener.close()
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(120)
                connection.connect(str(path))
                monitor = Monitor(connection)
                _add_image(monitor, Path(directory) / "snapshots.qcow2")
                yield monitor
        finally:
            process.kill()
            process.wait()


def _add_image(monitor: Monitor, path: Path) -> None:
    """An empty qcow2 image: QEMU keeps snapshots of the machine in one."""
    monitor.create("file", driver="file", filename=str(path), size=0)
    monitor.command(
        "blockdev-add", **{"driver": "file", "filename": str(path), "node-name": "file"}
    )
    monitor.create("image", driver="qcow2", file="file", size=1 << 26)
    monitor.command("blockdev-del", **{"node-name": "file"})
    file = {"driver": "file", "filename": str(path)}
    monitor.command("blockdev-add", **{"driver": "qcow2", "node-name": "image", "file": file})
