"""`guestdbg gdb` as a command: its example, its options, and what it says to mistakes."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.guests import guestdbg, problem
from tests.gdb.gdb_client import gdb, needs_gdb, server


@needs_gdb
def test_the_example_of_the_help() -> None:
    """Both lines as they stand, but for the port, which may be taken."""
    text = guestdbg("gdb", "--help").stdout.split("Examples:")[1]
    ours, theirs = (line.strip() for line in text.splitlines()[1:3])
    words = shlex.split(ours)
    assert words[:2] == ["guestdbg", "gdb"]
    with server(Path(words[2]), listen="tcp:127.0.0.1:0") as guest:
        command = shlex.split(theirs.split("     ")[0].replace(":1234", guest.target))
        result = subprocess.run(
            [*command, "-batch", "-ex", "info registers pc"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "0x40200000 <_start>" in result.stdout, result


@pytest.mark.parametrize("what", ["tcp:127.0.0.1:0", "tcp:localhost:0", ":0"])
def test_it_says_where_it_listens(what: str) -> None:
    with server("spin", listen=what) as guest:
        kind, host, port = guest.address.split(":")
        assert (kind, guest.target) == ("tcp", f":{port}")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"$?#3f")
            assert client.recv(1) == b"+"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("waiting", [True, False])
def test_signals_end_it(number: signal.Signals, waiting: bool) -> None:
    with server("spin", "--wait" if waiting else "--no-wait") as guest:
        guest.process.send_signal(number)
        assert guest.ended() == 128 + number
        assert b"Traceback" not in guest.errors


@needs_gdb
def test_signals_end_it_under_a_client_too() -> None:
    with server("spin") as guest, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(guest.target)
        client.sendall(b"+$vCont;c#a8")
        assert client.recv(1) == b"+"
        guest.process.send_signal(signal.SIGTERM)
        assert guest.ended() == 128 + signal.SIGTERM
        assert client.recv(1) == b""


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = problem("gdb", "examples/hello.elf", "--listen", f"tcp:127.0.0.1:{port}")
        assert f"cannot listen at tcp:127.0.0.1:{port}: another program listens there" in told


def test_a_unix_socket_in_use_and_one_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with server("spin", listen=f"unix:{path}") as guest:
        told = problem("gdb", "examples/hello.elf", "--listen", f"unix:{path}")
        assert "there is a file already" in told
        guest.process.kill()
        guest.process.wait()
        assert path.is_socket(), "nobody was there to remove it"
    with server("spin", listen=f"unix:{path}") as guest:
        guest.process.send_signal(signal.SIGTERM)
        guest.ended()
    assert not path.exists()
    path.write_text("not a socket")
    assert "there is a file already" in problem(
        "gdb", "examples/hello.elf", "--listen", f"unix:{path}"
    )
    assert path.read_text() == "not a socket"


def test_other_machines_are_let_in_only_in_so_many_words() -> None:
    told = problem("gdb", "examples/hello.elf", "--listen", "tcp:0.0.0.0:0")
    assert "other machines" in told
    assert "--allow-remote" in told
    with server("spin", "--allow-remote", listen="tcp:0.0.0.0:0") as guest:
        assert guest.address.startswith("tcp:0.0.0.0:")


@pytest.mark.parametrize("wrong", ["tcp:127.0.0.1", "tcp:127.0.0.1:65536", "unix:", "x:y"])
def test_what_is_no_address(wrong: str) -> None:
    told = problem("gdb", "examples/hello.elf", "--listen", wrong)
    assert repr(wrong) in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-file.elf"], "no such file"),
        (["README.md"], "neither an ELF file nor an arm64 Linux Image"),
        (["examples/hello.elf", "--memory", "3K"], "memory of 3 KiB"),
        (["examples/hello.elf", "--vcpus", "99"], "99 vCPUs"),
    ],
)
def test_a_guest_that_cannot_be_loaded(arguments: list[str], says: str) -> None:
    assert says in problem("gdb", *arguments)


@needs_gdb
def test_the_console_is_the_servers() -> None:
    """What the guest prints comes out at the server; with `monitor console on` in GDB as well."""
    with server("hello") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("monitor console on")
            run("break power_off")
            run("continue")
            tell(printed=run("monitor console"))
            """,
        )
        assert told["printed"] == "Hello from EL1\n"
        assert "Hello from EL1" in told.text
        guest.wait_for("Hello from EL1\n", where="output")
        assert bytes(guest.output) == b"Hello from EL1\n"
