"""The command `guestdbg gdb`: the example in its help, its options, its error messages."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.guests import GUESTDBG, ROOT, guestdbg, problem
from tests.cli.on_terminal import Terminal
from tests.gdb.gdb_client import gdb, needs_gdb, server


@needs_gdb
def test_the_example_of_the_help() -> None:
    """Both lines unchanged, except the port, which may be in use."""
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
def test_it_prints_where_it_listens(what: str) -> None:
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
def test_signals_end_it_while_a_client_is_attached() -> None:
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
        results = problem("gdb", "examples/hello.elf", "--listen", f"tcp:127.0.0.1:{port}")
        assert f"cannot listen at tcp:127.0.0.1:{port}: another program listens there" in results


def test_a_unix_socket_in_use_and_a_stale_one(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with server("spin", listen=f"unix:{path}") as guest:
        results = problem("gdb", "examples/hello.elf", "--listen", f"unix:{path}")
        assert "another program listens there" in results
        guest.process.kill()
        guest.process.wait()
        assert path.is_socket(), "the killed server has not removed it"
    with server("spin", listen=f"unix:{path}") as guest:
        guest.process.send_signal(signal.SIGTERM)
        guest.ended()
    assert not path.exists()
    path.write_text("not a socket")
    assert "there is a file already" in problem(
        "gdb", "examples/hello.elf", "--listen", f"unix:{path}"
    )
    assert path.read_text() == "not a socket"


def test_other_machines_must_be_allowed_explicitly() -> None:
    results = problem("gdb", "examples/hello.elf", "--listen", "tcp:0.0.0.0:0")
    assert "other machines" in results
    assert "--allow-remote" in results
    with server("spin", "--allow-remote", listen="tcp:0.0.0.0:0") as guest:
        assert guest.address.startswith("tcp:0.0.0.0:")


@pytest.mark.parametrize(
    "wrong", ["tcp:127.0.0.1", "tcp:127.0.0.1:65536", "x:y", "tcp:a:" + "9" * 5000]
)
def test_invalid_addresses(wrong: str) -> None:
    results = problem("gdb", "examples/hello.elf", "--listen", wrong)
    assert repr(wrong) in results


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
def test_the_server_prints_the_console() -> None:
    """The server prints the guest's output; with `monitor console on` GDB shows it too."""
    with server("hello") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("monitor console on")
            run("break power_off")
            run("continue")
            report(printed=run("monitor console"))
            """,
        )
        assert results["printed"] == "Hello from EL1\n"
        assert "Hello from EL1" in results.text
        guest.wait_for("Hello from EL1\n", where="output")
        assert bytes(guest.output) == b"Hello from EL1\n"


def test_with_raw_ctrl_bracket_ends_it() -> None:
    command = [*GUESTDBG, "gdb", "examples/spin.elf", "--listen", "tcp:127.0.0.1:0"]
    with Terminal([*command, "--raw", "--no-wait"], cwd=ROOT) as terminal:
        terminal.wait_for(b"target remote")
        terminal.type(b"\x03")  # a byte for the guest
        terminal.type(b"\x1d")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.screen
