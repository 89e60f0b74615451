"""What the packets of tools/fuzz.py have found: each with as few of them as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gdb.rsp_client import Wire, served

MAIN = 0x4020138C
#: As many as there are breakpoint registers.
SIX = [MAIN + 4 * n for n in range(6)]


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with served(tmp_path, "counter") as here, here.client() as client:
        yield client


def test_a_refused_hardware_breakpoint_leaves_the_software_ones_in_their_registers(
    wire: Wire,
) -> None:
    for place in SIX:
        assert wire.ask(b"Z0,%x,4" % place) == b"OK"
    before = wire.monitor("debug-state")
    assert before.count("hardware breakpoint") == 6
    assert wire.ask(b"Z1,7428dffe2b5381b4,4")[:1] == b"E", "no register can hold this address"
    assert wire.monitor("debug-state") == before


def test_a_breakpoint_without_memory_keeps_its_register(wire: Wire) -> None:
    nowhere = b"fffefffffffff000"
    assert wire.ask(b"Z0,%b,4" % nowhere) == b"OK"
    for place in SIX[:5]:
        assert wire.ask(b"Z0,%x,4" % place) == b"OK"
    # The first cannot become a BRK, but the others can.
    for place in (MAIN + 0x20, MAIN + 0x24):
        assert wire.ask(b"Z1,%x,4" % place) == b"OK"
        state = wire.monitor("debug-state")
        assert f"Z0 at 0x{nowhere.decode()}: hardware" in state
    assert state.count("software breakpoint") == 2
    for place in (MAIN + 0x20, MAIN + 0x24):
        assert wire.ask(b"z1,%x,4" % place) == b"OK"
    for place in SIX[:5]:
        assert wire.ask(b"z0,%x,4" % place) == b"OK"
    assert wire.ask(b"z0,%b,4" % nowhere) == b"OK"
    assert "nothing is armed" in wire.monitor("debug-state")


def test_a_watchpoint_that_was_merged_with_another_is_removed(wire: Wire) -> None:
    """Together they take three registers; the remaining one alone would take twelve."""
    assert wire.ask(b"Z4,40201ffb,10") == b"OK"
    assert wire.ask(b"Z4,40202005,1000") == b"OK"
    assert wire.ask(b"z4,40201ffb,10") == b"OK"
    state = wire.monitor("debug-state")
    assert "Z4 at 0x40202005: watchpoint, any of 4096 bytes" in state
    assert "DBGWCR0_EL1" in state, "it is still watched"
    assert wire.ask(b"z4,40202005,1000") == b"OK"
    assert "nothing is armed" in wire.monitor("debug-state")


def test_the_server_prints_the_reason_for_clients_without_error_messages(tmp_path: Path) -> None:
    """GDB 13 shows at most a number; the server prints the reason."""
    with served(tmp_path, "counter") as here, here.client() as client:
        assert client.ask(b"Z2,40203004,64") == b"E1c"
        assert here.announced[-1] == (
            "refused: 6 watchpoint registers would be needed, and this guest has 4"
        )
        before = len(here.announced)
        client.ask(b"qSupported:error-message+")
        assert client.ask(b"Z2,40203004,64").startswith(b"E.6 watchpoint registers")
        assert len(here.announced) == before
