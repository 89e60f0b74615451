"""What the guest misses is said by the server and to the client; `monitor diagnose` repeats it."""

from __future__ import annotations

from pathlib import Path

from guestdbg.check.assembler import b
from tests.debugger.assembled import CODE, VECTORS, assembled
from tests.gdb.rsp_client import served

SET_VBAR = 0xD518C009
PRELUDE = (0xD2A00009 | (VECTORS >> 16) << 5, SET_VBAR)
SKIP = (0xD538402A, 0x9100114A, 0xD518402A, 0xD69F03E0)
GIC = (0xD2A10001, 0xB9400020)  # x1 = 0x08000000; ldr w0, [x1]
LDG, UDF, NOP = 0xD9600020, 0, 0xD503201F


def test_the_client_and_the_server_are_told_once(tmp_path: Path) -> None:
    end = CODE + 4 * (len(PRELUDE) + 6)
    guest = assembled([*PRELUDE, *GIC, *GIC, LDG, LDG, b(0)], {SKIP_AT: SKIP}, vcpus=2)
    with served(tmp_path, guest) as server, server.client() as wire:
        assert wire.ask(b"Z1,%x,4" % end) == b"OK"
        wire.send(b"vCont;c")
        shown = []
        while not (reply := wire.reply()).startswith(b"T"):
            assert reply[:1] == b"O"
            shown.append(bytes.fromhex(reply[1:].decode()).decode())
        assert [("GIC distributor" in text, "MTE: LDG" in text) for text in shown] == [
            (True, False),
            (False, True),
        ]
        assert sum("GIC distributor" in line for line in server.announced) == 1
        assert sum("MTE: LDG" in line for line in server.announced) == 1
        listed = wire.monitor("diagnose")
        assert "GIC distributor" in listed
        assert "MTE: LDG" in listed
        assert "-march=armv8-a+nomemtag" in listed
        assert "vCPU 1" in listed
        assert "powered off" in listed
        wire.send(b"k")


def test_a_loop_of_exceptions(tmp_path: Path) -> None:
    guest = assembled([*PRELUDE, 0xD4000001], {SKIP_AT: [UDF]})
    with served(tmp_path, guest) as server, server.client() as wire:
        wire.send(b"vCont;c")
        shown = b""
        while not (reply := wire.reply()).startswith(b"T"):
            shown += bytes.fromhex(reply[1:].decode())
        assert b"cannot go on" in shown
        assert b"SVC instruction" in shown
        assert f"{CODE + 8:#x}" in wire.monitor("diagnose")
        wire.send(b"k")


SKIP_AT = 0x200
