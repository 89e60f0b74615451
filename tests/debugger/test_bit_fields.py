"""Bit-fields: the same value in hits, conditions, recordings and ``guest[...]``, on both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.debugger import Guest, load
from guestdbg.debugger.program.bit_field import BitField
from guestdbg.debugger.program.drgn_objects import number

from .compiled import compiled, needs_gcc

pytest.importorskip("drgn", reason="drgn runs on Linux only")
pytestmark = needs_gcc

# name, type, bits: within a byte, across bytes, in 3 and in 8 bytes, whole bytes, of several types.
FIELDS = (
    *(("a", "unsigned", 3), ("b", "int", 5), ("c", "unsigned", 12), ("d", "int", 11)),
    *(("e", "unsigned char", 8), ("f", "_Bool", 1), ("g", "enum color", 4)),
    *(("h", "unsigned long", 41), ("i", "long", 23), ("j", "unsigned", 17), ("k", "long", 63)),
)
WRITES = 6
SOURCE = "enum color { RED, GREEN = 5, BLUE = 9 };\nstruct fields {\n"
SOURCE += "".join(f"  {kind} {name} : {bits};\n" for name, kind, bits in FIELDS)
SOURCE += """};
volatile struct fields value;
static unsigned long state = 88172645463325252;
static unsigned long next(void)
{
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return state;
}
int main(void)
{
    for (int i = 0; i < WRITES; i++) {
""".replace("WRITES", str(WRITES))
SOURCE += "".join(f"        value.{name} = next();\n" for name, _, _ in FIELDS) + "    }\n}\n"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("fields"), {"fields.c": SOURCE})


@pytest.fixture
def guest(path: Path, evaluation: str) -> Iterator[Guest]:
    with load(path, provider="soft", console=None, memory="16M") as guest:
        guest.run(until="main", timeout=60)
        yield guest


def writes(guest: Guest, name: str) -> list[tuple[int, int]]:
    """Old and new at every write of the bytes of a field, as drgn reads it from memory."""
    found = []
    before = number(guest[f"value.{name}"])
    point = guest.watch(f"value.{name}")

    @point
    def _(hit: object) -> None:
        nonlocal before
        now = number(guest[f"value.{name}"])
        found.append((before, now))
        assert (hit.old, hit.new) == (before, now)  # type: ignore[attr-defined]
        before = now

    assert guest.run(timeout=60).reason == "exit"
    assert point.hits == len(found) >= WRITES
    return found


@pytest.mark.parametrize("name", [name for name, _, _ in FIELDS])
def test_a_hit_has_the_value_of_the_field(guest: Guest, name: str) -> None:
    assert len(set(writes(guest, name))) > 1


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "i", "j", "k"])
def test_conditions_counts_and_recordings(guest: Guest, name: str) -> None:
    start = guest.snapshot()
    expected = writes(guest, name)
    for point in list(guest.points):
        point.delete()
    middle = sorted(new for _, new in expected)[len(expected) // 2]
    where = f"value.{name}"
    for when, holds in (
        (f"new == {middle}", [w for w in expected if w[1] == middle]),
        (f"old > {middle}", [w for w in expected if w[0] > middle]),
        ("old != new", [w for w in expected if w[0] != w[1]]),
        (f"{where} == {middle}", [w for w in expected if w[1] == middle]),
        ("new < 0", [w for w in expected if w[1] < 0]),
    ):
        guest.restore(start)
        recording = guest.record(where, when=when)
        assert guest.run(timeout=60).reason == "exit"
        assert [(record.old, record.new) for record in recording] == holds, when
        assert (recording.seen, recording.hits) == (len(expected), len(holds))
        words = [row[2] for row in recording.data().tolist()] if len(recording) else []
        assert words == [old & (1 << 64) - 1 for old, _ in holds]
        recording.delete()


def test_a_write_of_a_neighbour_leaves_the_field_as_it_is(guest: Guest) -> None:
    unchanged = [old == new for old, new in writes(guest, "a")]
    assert any(unchanged)
    assert not all(unchanged)


def test_a_length_means_the_bytes(guest: Guest) -> None:
    point = guest.watch("value.b", 1)
    stop = guest.run(timeout=60)
    assert stop.hit is not None
    assert point.bit_field is None
    assert stop.hit.new == guest.read(point.address, 1)[0]


def test_a_drgn_object_means_the_field(guest: Guest) -> None:
    point = guest.watch(guest["value.d"])
    assert (point.bit_field, point.length) == (guest.watch("value.d").bit_field, 2)


@given(st.integers(0, 7), st.integers(1, 64), st.booleans(), st.data())
def test_the_value_of_any_field(offset: int, size: int, signed: bool, data: st.DataObject) -> None:
    low = -(1 << size - 1) if signed else 0
    value = data.draw(st.integers(low, low + (1 << size) - 1))
    around = data.draw(st.integers(0, (1 << 72) - 1))
    mask = (1 << size) - 1 << offset
    container = around & ~mask | (value << offset) & mask
    assert BitField(offset, size, signed).value(container) == value
