"""Variables, members and elements of the examples, as people write them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from guestdbg.debugger import BadImage, Image, InvalidLocation, UnknownSymbol
from guestdbg.debugger.program.drgn_program import DrgnProgram

from .conftest import EXAMPLES, Load

try:
    import drgn  # noqa: F401

    HAS_DRGN = True
except ImportError:
    HAS_DRGN = False

needs_drgn = pytest.mark.skipif(
    not HAS_DRGN and sys.platform != "linux", reason="drgn runs on Linux only"
)


@needs_drgn
def test_variables_members_and_elements(start: Load) -> None:
    guest = start("queue", at_main=True)
    queue = guest.symbol("queue").address
    assert guest["queue.size"] == 32
    assert guest["queue.tail"].address_ == queue + 4
    assert guest["queue.items[3].cost"].address_ == queue + 16 + 3 * 8 + 6
    assert guest["stats.c:source_stats[1].budget"] == 60
    for name, address, length in (
        ("queue.tail", queue + 4, 4),
        ("queue.items", queue + 16, 256),
        ("queue.items[2]", queue + 32, 8),
    ):
        data = guest.resolve(name)
        assert (data.address, data.length) == (address, length)
    item = guest["queue"].items[3].id
    data = guest.resolve(item)
    assert (data.address, data.length, data.type_name) == (queue + 40, 4, "uint32_t")
    guest.write_u32(queue + 4, 17)
    assert guest["queue.tail"] == 17


@needs_drgn
def test_an_expression_is_read_anew_each_time(start: Load) -> None:
    """Also if its address depends on a pointer that the guest has changed."""
    guest = start("queue", at_main=True)
    queue = guest.symbol("queue").address
    assert guest["queue.tail"] == 0
    guest.write_u32(queue + 4, 5)
    assert guest["queue.tail"] == 5
    frame = guest.program.variable("queue")
    assert frame.tail == 5


@needs_drgn
@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        ("quue", UnknownSymbol, "did you mean 'queue'"),
        ("queue.tial", UnknownSymbol, "did you mean 'tail'"),
        ("queue->tail", InvalidLocation, "not a pointer; write '.'"),
        ("queue[1]", InvalidLocation, "has no elements"),
        ("queue.items[32]", InvalidLocation, "past the end of the array"),
        ("queue.tail.x", InvalidLocation, "has no members"),
        ("queue.", InvalidLocation, "ends where a name is missing"),
        (".queue", InvalidLocation, "cannot understand"),
        ("queue.size + 1", InvalidLocation, "cannot understand"),
        ("", InvalidLocation, "name"),
        ("*queue.tail", InvalidLocation, "tail"),
    ],
)
def test_bad_expressions(start: Load, expression: str, error: type, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        start("queue")[expression]


@needs_drgn
def test_member_names_that_are_not_text_are_a_bad_image(tmp_path: Path) -> None:
    data = (EXAMPLES / "queue.elf").read_bytes()
    name = data.index(b"\0peak\0") + 1
    path = tmp_path / "queue.elf"
    path.write_bytes(data[:name] + b"\xff\xfe" + data[name + 2 :])
    types = DrgnProgram(lambda address, length: bytes(length), [Image(path)])
    assert types.evaluate("queue.tail").type_.type_name(), "another name does no harm"
    with pytest.raises(BadImage, match=r"queue\.elf is damaged: .*invalid start byte"):
        types.evaluate("queue.nothing")
    assert types.static_address("queue.nothing") is None
