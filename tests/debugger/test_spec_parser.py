"""Parsing of what follows --break and --watch."""

import pytest

from guestdbg.debugger.breakpoints.conditions.expression import ConditionError
from guestdbg.debugger.breakpoints.spec_parser import PointError, parse_break, parse_watch


@pytest.mark.parametrize(
    ("text", "where", "length", "access"),
    [
        ("queue.tail", "queue.tail", None, "write"),
        ("queue.tail:r", "queue.tail", None, "read"),
        ("queue.tail:w", "queue.tail", None, "write"),
        ("queue.tail:rw", "queue.tail", None, "any"),
        ("queue.tail:wr", "queue.tail", None, "any"),
        ("items[3].id:rw", "items[3].id", None, "any"),
        ("buffer+0x10", "buffer+0x10", None, "write"),
        ("0x40090000", 0x4009_0000, None, "write"),
        ("0x4009_0000,64", 0x4009_0000, 64, "write"),
        ("0x40090000,0x40:r", 0x4009_0000, 0x40, "read"),
        ("table,128:rw", "table", 128, "any"),
        ("basic.c:hidden", "basic.c:hidden", None, "write"),
        ("basic.c:hidden:rw", "basic.c:hidden", None, "any"),
        ("basic.c:hidden,4:r", "basic.c:hidden", 4, "read"),
        ("src/lib.cpp:state", "src/lib.cpp:state", None, "write"),
        ("basic.c:hidden.low", "basic.c:hidden.low", None, "write"),
        ("basic.c::hidden", "basic.c::hidden", None, "write"),
        ("basic.c::r", "basic.c::r", None, "write"),
        ("basic.c::r:r", "basic.c::r", None, "read"),
        ("space::w", "space::w", None, "write"),
        ("space::other:w", "space::other", None, "write"),
    ],
)
def test_watch(text: str, where: str | int, length: int | None, access: str) -> None:
    spec = parse_watch(text)
    assert (spec.where, spec.length, spec.access) == (where, length, access)
    assert spec.condition is None
    assert spec.text == text


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("main", "main"),
        ("main+0x10", "main+0x10"),
        ("basic.c:main", "basic.c:main"),
        ("0x40080000", 0x4008_0000),
        ("queue.c:25", "queue.c:25"),
        (" main ", "main"),
    ],
)
def test_break(text: str, where: str | int) -> None:
    assert parse_break(text).where == where


def test_conditions_follow_if() -> None:
    watch = parse_watch("queue.tail:rw if new >= 64 and function != 'queue_push'")
    assert (watch.where, watch.access) == ("queue.tail", "any")
    assert watch.condition is not None
    assert watch.condition.text == "new >= 64 and function != 'queue_push'"
    spot = parse_break("queue.c:25 if x0 == 3")
    assert spot.where == "queue.c:25"
    assert spot.condition is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names nothing"),
        (":rw", "names nothing"),
        ("  if new", "names nothing"),
        ("queue.tail:x", "'x' must be r, w or rw"),
        ("basic.c:hidden:x", "'x' must be r, w or rw"),
        ("basic.c:", "'' must be r, w or rw"),
        ("queue.tail:", "'' must be r, w or rw"),
        ("queue,many", "'many' is not a number of bytes"),
        ("queue,-4", "'-4' is not a number of bytes"),
        ("queue,:r", "'' is not a number of bytes"),
    ],
)
def test_a_wrong_watch(text: str, message: str) -> None:
    with pytest.raises(PointError, match=message):
        parse_watch(text)


def test_a_wrong_break() -> None:
    with pytest.raises(PointError, match="names no place"):
        parse_break("  ")
    with pytest.raises(ConditionError, match=r"is not an expression \([^<>]*\)$"):
        parse_break("main if")
    with pytest.raises(ConditionError, match=r"is not an expression \([^<>]*\)$"):
        parse_break("main if x0 ==")
