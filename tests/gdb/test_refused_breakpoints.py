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
    assert wire.ask(b"Z1,7428dffe2b5381b4,4")[:1] == b"E", "no register holds that"
    assert wire.monitor("debug-state") == before


def test_a_breakpoint_where_no_memory_is_does_not_make_room_for_another(wire: Wire) -> None:
    nowhere = b"fffefffffffff000"
    assert wire.ask(b"Z0,%b,4" % nowhere) == b"OK"
    for place in SIX[:5]:
        assert wire.ask(b"Z0,%x,4" % place) == b"OK"
    # The first cannot become a BRK, the others can: twice, for each time one is asked for.
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


def test_a_watchpoint_that_joined_others_is_taken_out(wire: Wire) -> None:
    """Together they are three registers' worth; what is left alone would take twelve."""
    assert wire.ask(b"Z4,40201ffb,10") == b"OK"
    assert wire.ask(b"Z4,40202005,1000") == b"OK"
    assert wire.ask(b"z4,40201ffb,10") == b"OK"
    state = wire.monitor("debug-state")
    assert "Z4 at 0x40202005: watchpoint, any of 4096 bytes" in state
    assert "DBGWCR0_EL1" in state, "it is still watched"
    assert wire.ask(b"z4,40202005,1000") == b"OK"
    assert "nothing is armed" in wire.monitor("debug-state")


def test_why_is_told_where_the_client_has_no_words_for_it(tmp_path: Path) -> None:
    """GDB 13 shows a number at most: the reason is in what the server says."""
    with served(tmp_path, "counter") as here, here.client() as client:
        assert client.ask(b"Z2,40203004,64") == b"E1c"
        assert here.announced[-1] == (
            "refused: 6 watchpoint registers would be needed, and this guest has 4"
        )
        told = len(here.announced)
        client.ask(b"qSupported:error-message+")
        assert client.ask(b"Z2,40203004,64").startswith(b"E.6 watchpoint registers")
        assert len(here.announced) == told
