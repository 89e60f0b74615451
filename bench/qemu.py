"""QEMU, started stopped, and a small client for its GDB stub.

Without GDB in between, the figures of QEMU do not include the time that GDB takes.
"""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.measurement import Unavailable

QEMU = "qemu-system-aarch64"
GDB = "gdb-multiarch"

MACHINE = ["-M", "virt", "-cpu", "cortex-a57", "-m", "128M", "-nographic", "-net", "none"]


def program(name: str) -> str:
    """The path of a program that must be installed."""
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"{name} is not installed")
    return path


class Stub:
    """A client for the part of the remote serial protocol that the benchmarks need."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def command(self, text: str) -> str:
        """Send a packet and return the answer, which is '' if the stub does not know the packet."""
        self.send(text)
        return self.answer()

    def send(self, text: str) -> None:
        checksum = sum(text.encode()) & 0xFF
        self._connection.sendall(f"${text}#{checksum:02x}".encode())

    def answer(self) -> str:
        """The next packet of the stub. Raises EOFError if QEMU closed the connection."""
        while True:
            start = self._received.find(b"$")
            end = self._received.find(b"#", start)
            if start >= 0 and end >= 0 and len(self._received) >= end + 3:
                packet = self._received[start + 1 : end]
                self._received = self._received[end + 3 :]
                with contextlib.suppress(OSError):
                    self._connection.sendall(b"+")
                return packet.decode()
            try:
                data = self._connection.recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                raise EOFError("QEMU closed the connection")
            self._received += data


@contextlib.contextmanager
def stopped(kernel: Path, *options: str) -> Iterator[Path]:
    """Start QEMU with an ELF file loaded and stopped; yields the path of its stub's socket."""
    qemu = program(QEMU)
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        # The socket listens before QEMU starts, so a client can connect at once, without polling.
        path = Path(directory) / "gdb"
        listener.bind(str(path))
        listener.listen()
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [qemu, *MACHINE, *options, "-kernel", str(kernel), "-S", "-gdb", "chardev:gdb"]
            + ["-chardev", f"socket,fd={descriptor},server=on,wait=off,id=gdb"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[descriptor],
        )
        # Only QEMU has the socket now: if QEMU ends, the client gets an error and does not wait.
        listener.close()
        try:
            yield path
        finally:
            process.kill()
            errors = process.communicate()[1].decode()
            if errors:
                print(f"{QEMU}: {errors}", file=sys.stderr)


@contextlib.contextmanager
def stub(kernel: Path, *options: str) -> Iterator[Stub]:
    """The same, with a client connected."""
    with stopped(kernel, *options) as path, socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(120)
        connection.connect(str(path))
        yield Stub(connection)


def seconds_to_power_off(stub: Stub) -> float:
    """Continue the guest until it powers off; returns the seconds. Another stop is an error."""
    start = time.perf_counter()
    stub.send("c")
    try:
        reply = stub.answer()
    except EOFError:
        reply = "W"
    seconds = time.perf_counter() - start
    if not reply.startswith("W"):
        raise RuntimeError(f"the guest stopped instead of powering off: {reply}")
    return seconds
