"""The file of a Unix socket: made for this user only, and removed only if it is the server's."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.gdb import ServerError
from guestdbg.gdb.listen_address import listen, parse
from tests.gdb.gdb_client import server


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory of this user whose path is short: that of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory)


def test_only_the_file_that_was_made_is_removed(tmp_path: Path) -> None:
    for replace in ("file", "socket", "directory", "link", "nothing"):
        path = tmp_path / replace
        listener = listen(parse(f"unix:{path}"))
        path.unlink()
        other = socket.socket(socket.AF_UNIX)
        if replace == "file":
            path.write_text("somebody's")
        elif replace == "socket":
            other.bind(str(path))
        elif replace == "directory":
            path.mkdir()
        elif replace == "link":
            path.symlink_to("elsewhere")
        listener.close()
        other.close()
        assert os.path.lexists(path) == (replace != "nothing"), replace


def test_the_file_is_removed_although_its_directory_was_renamed(tmp_path: Path) -> None:
    """The name leads to nothing then: there is nothing to remove, and no error."""
    directory = tmp_path / "one"
    directory.mkdir()
    listener = listen(parse(f"unix:{directory}/socket"))
    directory.rename(tmp_path / "two")
    listener.close()
    assert (tmp_path / "two" / "socket").is_socket()


def test_a_stale_socket_is_replaced_and_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    listen(parse(f"unix:{path}")).close()
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen(0)
        # Its queue is full: the attempt to connect must not wait.
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(path))
            with pytest.raises(ServerError, match="another program listens there"):
                listen(parse(f"unix:{path}"))
    path.unlink()
    for make in (
        lambda: path.write_text("x"),
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/nowhere"),
    ):
        make()
        with pytest.raises(ServerError, match="a file already, which is not a socket"):
            listen(parse(f"unix:{path}"))
        path.unlink()


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "socket", tmp_path / ("x" * 120), tmp_path / "a\0b"):
        with pytest.raises(ServerError, match="cannot listen at unix:"):
            listen(parse(f"unix:{path}"))


def test_nobody_else_can_connect(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        listener = listen(parse(f"unix:{tmp_path}/socket"))
        assert stat.S_IMODE(os.lstat(tmp_path / "socket").st_mode) == 0o600
        listener.close()
    finally:
        os.umask(before)


# ---- unix: without a path ---------------------------------------------------------------------


def test_a_path_in_the_runtime_directory(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    one, two = listen(parse("unix:")), listen(parse("unix:"))
    assert one.address.path != two.address.path
    for listener in (one, two):
        assert Path(listener.address.path).parent == short
        assert Path(listener.address.path).is_socket()
        listener.close()
    assert list(short.iterdir()) == []


@pytest.mark.parametrize("runtime", ["open", "missing", "relative", "file", "unset"])
def test_a_directory_of_its_own(short: Path, monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    """Where there is no runtime directory, or others can get into it."""
    (short / "open").mkdir(mode=0o755)
    (short / "file").touch(mode=0o600)
    monkeypatch.setattr("tempfile.tempdir", str(short))
    if runtime == "unset":
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    else:
        where = "open" if runtime == "relative" else str(short / runtime)
        monkeypatch.setenv("XDG_RUNTIME_DIR", where)
    directory = short / f"guestdbg-{os.getuid()}"
    listener = listen(parse("unix:"))
    assert Path(listener.address.path).parent == directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    listener.close()
    # Another user could have made it, with access for all.
    directory.chmod(0o755)
    with pytest.raises(ServerError, match="other users have access to it"):
        listen(parse("unix:"))
    directory.rmdir()
    directory.symlink_to(short / "open")
    with pytest.raises(ServerError, match="it is not a directory"):
        listen(parse("unix:"))


def test_the_command_prints_the_name(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    with server("spin", listen="unix:") as guest:
        assert re.fullmatch(rf"{short}/guestdbg-\d+\.gdb", guest.target)
        assert guest.address == f"unix:{guest.target}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(guest.target)
            client.sendall(b"$?#3f")
            assert client.recv(1) == b"+"
        guest.process.send_signal(signal.SIGTERM)
        guest.ended()
        assert not Path(guest.target).exists()
