"""Servers in the lab, reached from the host: data arrives, and so does the end of data."""

import contextlib
import random
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guestdbg.lab import Forward, Lab, LabError, Live, Result
from guestdbg.lab.inside import frames
from guestdbg.lab.machine.upload import Files
from tests.cli.guests import EXAMPLES

ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            if data == b"hang up": return
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
with Server(("127.0.0.1", 7), Echo) as server:
    print("listening", flush=True)
    server.serve_forever()
"""


@contextmanager
def serving(
    lab: Lab,
    argv: list[str],
    forwards: list[Forward],
    ready: bytes,
    *,
    files: Files = (),
    endless: bool = False,
) -> Iterator[list[Result | BaseException]]:
    """Runs a server in the lab, in a thread, and gives a list in which the outcome will be.

    Waits for its end in the end; one that serves for ever is ended by its machine's.
    """
    outcome: list[Result | BaseException] = []
    up = threading.Event()
    said = bytearray()

    def hear(data: bytes) -> None:
        said.extend(data)
        if ready in said:
            up.set()

    def run() -> None:
        try:
            live = Live(stdout=hear, stderr=hear)
            outcome.append(lab.run(argv, forwards=forwards, live=live, timeout=200, files=files))
        except BaseException as error:
            outcome.append(error)
        up.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    up.wait(200)
    assert ready in said, (bytes(said), outcome)
    try:
        yield outcome
    finally:
        if endless and lab._process is not None:
            lab._process.terminate()
        thread.join(200)
        assert not thread.is_alive()


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, f"the connection ended after {len(data)} bytes"
        data += piece
    return data


def connect(forward: Forward) -> socket.socket:
    return socket.create_connection(("127.0.0.1", forward.port), timeout=100)


def test_connections_to_a_server(lab_root: Path) -> None:
    data = random.Random(3).randbytes(700_001)
    server = ["python3", "-c", ECHO]
    with (
        Lab(root=lab_root) as lab,
        Forward(7) as forward,
        serving(lab, server, [forward], b"listening", endless=True),
    ):
        with connect(forward) as one, connect(forward) as other:
            other.sendall(b"other")
            writer = threading.Thread(target=one.sendall, args=(data,), daemon=True)
            writer.start()
            assert receive(one, len(data)) == data
            assert receive(other, 5) == b"other"
            other.sendall(b"hang up")
            assert other.recv(1) == b""
            one.sendall(b"still")
            assert receive(one, 5) == b"still"
        with connect(forward) as third:
            third.sendall(b"third")
            assert receive(third, 5) == b"third"


# On port 5 it sends without end and reports how much; on 6 it never accepts; on 7 it is an echo;
# on 8 it accepts and never reads.
UNEVEN = ECHO.replace(
    "with Server",
    """
import socket, threading
def flood():
    said = 0
    with socket.create_server(("127.0.0.1", 5)) as listener:
        connection = listener.accept()[0]
        with connection:
            while said < 12 << 20:
                said += connection.send(said.to_bytes(4, "big") * 16384)
def deaf():
    with socket.create_server(("127.0.0.1", 8)) as listener:
        connection = listener.accept()[0]
        threading.Event().wait()
full = socket.create_server(("127.0.0.1", 6), backlog=0)
fillers = [socket.socket() for _ in range(9)]
for filler in fillers:
    filler.setblocking(False)
    filler.connect_ex(("127.0.0.1", 6))
for serve in (flood, deaf):
    threading.Thread(target=serve, daemon=True).start()
with Server""",
)


@pytest.mark.slow
def test_a_client_that_does_not_read_blocks_no_other(lab_root: Path) -> None:
    """A server that floods a client that does not read, a client that floods a server that does
    not read, a server that does not accept: and an echo beside them, which answers."""
    forwards = [Forward(port) for port in (7, 5, 6, 8)]
    with (
        contextlib.ExitStack() as stack,
        Lab(root=lab_root) as lab,
        serving(lab, ["python3", "-c", UNEVEN], forwards, b"listening", endless=True),
    ):
        for forward in forwards:
            stack.enter_context(forward)
        echo, flooded, refused, deaf = [stack.enter_context(connect(f)) for f in forwards]
        refused.sendall(b"is anybody there?")
        deaf.setblocking(False)
        sent = 0
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += deaf.send(bytes(1 << 16))
                    assert sent < 64 << 20, "somebody keeps all of it"
            echo.sendall(b"still there")
            assert receive(echo, 11) == b"still there"
        assert lab._channel is not None
        assert len(lab._channel._outgoing) <= 2 * frames.RELAY_WINDOW
        # Data that waited arrives in order and complete once it is read.
        heard = bytearray()
        while len(heard) < 12 << 20:
            piece = flooded.recv(1 << 20)
            assert piece
            heard += piece
        numbers = [number for (number,) in struct.iter_unpack(">I", heard[: len(heard) & ~3])]
        assert numbers == sorted(numbers)
        assert len(heard) < (12 << 20) + 65536


def test_a_client_that_has_said_all_is_still_answered(lab: Lab) -> None:
    """Half of the connection is closed, as `echo request | nc` does."""
    program = (
        "import socket\n"
        "with socket.create_server(('127.0.0.1', 8)) as s:\n"
        "    print('up', flush=True)\n"
        "    c = s.accept()[0]\n"
        "    data = b''.join(iter(lambda: c.recv(65536), b''))\n"
        "    c.sendall(data[::-1])\n"
    )
    request = random.Random(4).randbytes(900_001)
    with (
        Forward(8) as forward,
        serving(lab, ["python3", "-c", program], [forward], b"up") as outcome,
        connect(forward) as connection,
    ):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, len(request)) == request[::-1]
        assert connection.recv(1) == b""
    assert isinstance(outcome[0], Result)


def test_no_server_listens(lab: Lab) -> None:
    script = "echo up; sleep 2; exit 5"
    with (
        Forward(9) as forward,
        serving(lab, ["sh", "-c", script], [forward], b"up") as outcome,
        connect(forward) as connection,
    ):
        assert connection.recv(1) == b""
    (result,) = outcome
    assert isinstance(result, Result)
    assert result.status == 5


def test_the_last_words_of_a_server_arrive(lab: Lab) -> None:
    program = (
        "import socket\n"
        "with socket.create_server(('127.0.0.1', 8)) as s:\n"
        "    print('up', flush=True)\n"
        "    s.accept()[0].sendall(bytes(3_000_000) + b'end')\n"
    )
    with (
        Forward(8) as forward,
        serving(lab, ["python3", "-c", program], [forward], b"up") as outcome,
        connect(forward) as connection,
    ):
        assert receive(connection, 3_000_003)[-3:] == b"end"
        assert connection.recv(1) == b""
    assert isinstance(outcome[0], Result)


def test_a_port_that_is_taken() -> None:
    with Forward(1) as forward, pytest.raises(LabError, match="Address already in use"):
        Forward(1, forward.port)
    with pytest.raises(LabError, match="port 99999 cannot be listened on"):
        Forward(1, 99999)


@pytest.mark.slow
def test_gdb_on_the_real_kvm(lab: Lab) -> None:
    """GDB on the host, guestdbg's server and the kernel's KVM in the lab."""
    gdb = shutil.which("gdb-multiarch")
    if gdb is None:
        pytest.skip("gdb-multiarch is not installed")
    guest = EXAMPLES / "counter.elf"
    argv = ["guestdbg", "gdb", "guest.elf", "--listen", "tcp:127.0.0.1:1234"]
    with Forward(1234) as forward:
        files = {"guest.elf": guest}
        with serving(lab, argv, [forward], b"1234", files=files) as outcome:
            commands = [
                *("set confirm off", f"target remote 127.0.0.1:{forward.port}"),
                *("hbreak main", "continue", "backtrace 1", "stepi", "info registers pc", "kill"),
            ]
            done = subprocess.run(
                [gdb, "-nx", "-batch", *(f"-ex={command}" for command in commands), str(guest)],
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
        assert isinstance(outcome[0], Result), outcome
    assert "Breakpoint 1, main" in done.stdout, done.stdout + done.stderr
    assert "#0  main" in done.stdout
