"""Watches that follow pointers: NULL at first, changed, unreadable, several on the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guestdbg.debugger import Guest, InvalidLocation, OutOfRegisters, UnknownSymbol, load
from guestdbg.debugger.breakpoints.followed_watch import FollowedWatch

from .compiled import compiled, needs_gcc

pytest.importorskip("drgn", reason="drgn runs on Linux only")
pytestmark = needs_gcc

SOURCE = """\
struct item { struct item *next; int id; unsigned flag : 3, kind : 5; int worth[4]; };
struct item items[4];
struct item *volatile head;
struct item *volatile *volatile where = &head;
int *volatile number;
volatile int plain;
#define barrier() asm volatile("" ::: "memory")
__attribute__((noinline)) void set(struct item *to, int id)
{
	to->id = id;
	barrier();
	to->worth[2] = id + 100;
	barrier();
	to->kind = id;
	barrier();
}
void done(void) { barrier(); }
int main(void)
{
	set(&items[0], 1);
	set(&items[1], 2);
	head = &items[0]; /* from here on items[0] */
	set(&items[0], 3);
	set(&items[1], 4);
	head = &items[1];
	set(&items[0], 5);
	set(&items[1], 6);
	items[1].next = &items[2];
	set(&items[2], 7);
	items[2].next = &items[3];
	set(&items[3], 8);
	head = head->next; /* items[2], whose next is items[3] */
	set(&items[2], 9);
	set(&items[3], 10);
	head = 0;
	set(&items[0], 11);
	set(&items[2], 12);
	head = (struct item *)0x10; /* nothing is there */
	number = &items[3].id;
	set(&items[3], 13);
	head = &items[3];
	set(&items[3], 14);
	done();
	return 0;
}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("followed"), {"followed.c": SOURCE})


@pytest.fixture
def guest(path: Path, evaluation: str) -> Iterator[Guest]:
    with load(path, provider="soft", console=None, memory="16M") as guest:
        yield guest


def values(guest: Guest, expression: str, **options: Any) -> tuple[FollowedWatch, list[int]]:
    """A watch that follows, and the values that it sees until the end of the guest."""
    found: list[int] = []
    watch = guest.watch(expression, follow=True, **options)
    assert isinstance(watch, FollowedWatch)
    watch(lambda hit: found.append(hit.new))
    return watch, found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("head->id", [3, 6, 9, 14]),
        ("head.id", [3, 6, 9, 14]),
        ("head->kind", [3, 6, 9, 14]),
        ("head->worth[2]", [103, 106, 109, 114]),
        ("head[1].id", [4, 7, 10]),  # items[head + 1]
        ("head->next->id", [7, 10]),
        ("head->next->next->id", [8]),
        ("*number", [13, 14]),
        ("where[0]->id", [3, 6, 9, 14]),
    ],
)
def test_it_is_where_the_pointer_leads(guest: Guest, expression: str, expected: list[int]) -> None:
    watch, found = values(guest, expression)
    assert guest.run(timeout=60).reason == "exit"
    assert found == expected
    assert (watch.hits, watch.seen) == (len(expected), len(expected))


def test_two_pointers_that_are_both_pointers_of_the_guest(guest: Guest) -> None:
    _watch, found = values(guest, "**where")
    assert guest.run(timeout=60).reason == "exit"
    assert found  # the whole of the item that head points to


def test_conditions_and_kept_hits(guest: Guest) -> None:
    watch = guest.watch("head->id", follow=True, when="new % 2 == 1 and count > 1")
    hits = []
    watch(hits.append)
    assert guest.run(timeout=60).reason == "exit"
    items, size = guest.symbol("items").address, guest.symbol("items").size // 4
    assert [(hit.new, hit.address, hit.size) for hit in hits] == [(9, items + 2 * size + 8, 4)]
    assert (watch.seen, watch.hits) == (4, 1)


def test_moves_and_places_are_shown(guest: Guest) -> None:
    watch, _found = values(guest, "head->id")
    assert watch.nowhere == "head is NULL"
    assert "nowhere now: head is NULL" in repr(watch)
    assert list(guest.points) == [watch]
    assert len(guest.points) == 1
    guest.run(until="done", timeout=60)
    assert watch.nowhere is None
    assert watch.address == guest.symbol("items").address + guest["items"][3].id.address_ - (
        guest["items"].address_
    )
    assert watch.moves == 5
    assert f"{watch.address:#x}" in repr(watch)


def test_what_cannot_be_read_is_said(guest: Guest) -> None:
    watch, _found = values(guest, "head->next->id")
    number = guest.watch("number")
    assert guest.run(timeout=60).hit.point is number
    assert str(watch.nowhere).startswith("head->next cannot be read: ")


def test_disabled_enabled_and_deleted_with_its_pointers(guest: Guest) -> None:
    watch, found = values(guest, "head->id")
    plain = guest.watch("number")
    watch.enabled = False
    assert guest.run(timeout=60).hit.point is plain
    assert (found, watch.moves) == ([], 0)
    watch.enabled = True
    guest.run(until="done", timeout=60)
    assert found == [14]
    watch.delete()
    assert list(guest.points) == [plain]
    assert not any(pointer.enabled for pointer in watch.pointers)
    guest.reset()
    guest.run(until="done", timeout=60)
    assert found == [14]


def test_what_a_debugger_writes_is_followed_as_well(guest: Guest) -> None:
    """By guest.write, restore and reset no instruction writes the pointer."""
    watch, found = values(guest, "head->id")
    begin = guest.snapshot()
    items, size = guest.symbol("items").address, guest.symbol("items").size // 4
    guest.write_u64(guest.symbol("head").address, items + size)
    stop = guest.watch("head")
    assert guest.run(timeout=60).hit.point is stop
    assert found == [2]
    guest.restore(begin)
    found.clear()
    stop.delete()
    guest.run(until="done", timeout=60)
    assert found == [3, 6, 9, 14]
    guest.reset()
    assert watch.enabled


def test_too_few_registers_when_it_is_made(guest: Guest) -> None:
    """Also for what has no place yet."""
    others = [guest.watch(guest.symbol("main").address + 64 * n, 4) for n in range(3)]
    with pytest.raises(OutOfRegisters, match="head->id takes 2 watchpoint registers, one for it"):
        guest.watch("head->id", follow=True)
    assert list(guest.points) == others
    others.pop().delete()
    _watch, found = values(guest, "head->id")
    assert guest.run(timeout=60).reason == "exit"
    assert found == [3, 6, 9, 14]


def test_too_few_registers_when_it_has_moved(
    guest: Guest, caplog: pytest.LogCaptureFixture
) -> None:
    """The watch is nowhere then, which is reported, and comes back where there are enough."""
    watch, found = values(guest, "head->id")
    for n in range(2):
        guest.watch(guest.symbol("main").address + 64 * n, 4)
    head, items = guest.symbol("head").address, guest.symbol("items").address
    guest.run(until="main", timeout=60)
    guest.write_u64(head, items + 5)  # its id is in two words
    with caplog.at_level(logging.WARNING):
        guest.run(until="set", timeout=60)
    assert caplog.text.count("head->id cannot be followed to where it is now") == 1
    assert "watchpoint registers would be needed" in str(watch.nowhere)
    guest.run(until="done", timeout=60)
    assert watch.nowhere is None
    assert found == [3, 6, 9, 14]


@pytest.mark.parametrize(
    ("expression", "error", "said"),
    [
        ("plain", InvalidLocation, "'plain' is reached through no pointer"),
        ("items[0].id", InvalidLocation, "is reached through no pointer"),
        ("items[4].id", InvalidLocation, "past the end of the array"),
        ("head->nxt", UnknownSymbol, "no member of struct item named 'nxt'"),
        ("nohead->id", UnknownSymbol, "no variable named 'nohead'"),
        ("*plain", InvalidLocation, r"\*plain"),
    ],
)
def test_what_cannot_be_followed(
    guest: Guest, expression: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        guest.watch(expression, follow=True)
    with pytest.raises(InvalidLocation, match="only a variable"):
        guest.watch(0x40000000, follow=True)
    with pytest.raises(InvalidLocation, match="the length of its type"):
        guest.watch("head->id", 4, follow=True)
    assert not list(guest.points)
