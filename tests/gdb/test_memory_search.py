"""qSearch:memory: GDB's `find` is answered by the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.gdb.packets import escape
from tests.gdb.gdb_client import gdb, needs_gdb, server
from tests.gdb.rsp_client import Served, Wire, served

RAM = 0x4000_0000
SIZE = 16 << 20


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, "counter") as found:
        yield found


@pytest.fixture
def wire(here: Served) -> Iterator[Wire]:
    with here.client() as client:
        yield client


def search(wire: Wire, address: int, length: int, pattern: bytes) -> bytes:
    return wire.ask(b"qSearch:memory:%x;%x;%b" % (address, length, escape(pattern)))


@pytest.mark.parametrize("at", [0x10_0000, 0x12_0000 - 3, 0x1F_FFF8, SIZE - 8])
def test_where_it_is(here: Served, wire: Wire, at: int) -> None:
    """Also across the pieces that the server reads, and with bytes that a packet escapes."""
    pattern = b"};:#$*\x00\xff"
    here.guest.write(RAM + at, pattern)
    assert search(wire, RAM, SIZE, pattern) == b"1,%x" % (RAM + at)
    assert search(wire, RAM + at, 8, pattern) == b"1,%x" % (RAM + at)
    assert search(wire, RAM + at, 7, pattern) == b"0"
    assert search(wire, RAM + at + 1, SIZE - at - 1, pattern) == b"0"
    assert search(wire, RAM + at, 8, b":") == b"1,%x" % (RAM + at + 2)


def test_what_is_refused(wire: Wire) -> None:
    assert search(wire, RAM, SIZE + 1, b"not there").startswith(b"E")
    assert search(wire, 0x9000_0000, 16, b"x").startswith(b"E")
    assert search(wire, RAM, 16, b"").startswith(b"E")
    for malformed in (b"qSearch:memory:", b"qSearch:memory:0;1", b"qSearch:memory:x;1;a"):
        assert wire.ask(malformed).startswith(b"E"), malformed
    for unknown in (b"qSearch", b"qSearch:other:0;1;a"):
        assert wire.ask(unknown) == b"", unknown
    # So much that the client should search itself.
    assert search(wire, 0, 1 << 40, b"x") == b""


@needs_gdb
def test_find_in_gdb() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            inferior = gdb.selected_inferior()
            inferior.write_memory(0x40180000, b"needle in RAM")
            report(found=run("find /b 0x40100000, 0x40200000, 'n', 'e', 'e', 'd', 'l', 'e'"),
                   at=inferior.search_memory(0x40100000, 0x100000, b"needle in"),
                   none=inferior.search_memory(0x40180001, 0x1000, b"needle"), done=1)
            """,
            symbols="counter",
        )
    assert "0x40180000" in results["found"]
    assert results["at"] == 0x4018_0000
    assert results["none"] is None
