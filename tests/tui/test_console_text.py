"""What a guest prints, however hostile, becomes lines of printable characters."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from guestdbg.tui.console_text import ConsoleText
from guestdbg.tui.printable import printable


def lines(data: bytes, limit: int = 100) -> list[str]:
    text = ConsoleText(limit)
    text.feed(data)
    return [*text.lines, text.current]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"one\r\ntwo", ["one", "two"]),
        (b"50%\r100%", ["100%"]),
        (b"abc\b\bX", ["aXc"]),
        (b"ls\x1b[Jx", ["lsx"]),
        (b"abcdef\r\x1b[3Cx\x1b[K", ["abcx"]),
        (b"abcdef\x1b[4D\x1b[P", ["abdef"]),
        (b"ad\x1b[D\x1b[2@bc", ["abcd"]),
        (b"\x1b[1;31mred\x1b[0m", ["red"]),
        (b"\x1b]0;title\x07after", ["after"]),
        (b"\x1b]52;c;aGk=\x1b\\after", ["after"]),
        (b"\x1bP1$tx\x1b\\after", ["after"]),
        (b"\x1b[6n\x1b[c\x1b[?1049hx", ["x"]),
        (b"\x1b(B\x1b=\x1bcx", ["x"]),
        (b"a\tb", ["a       b"]),
        (b"bell\a\0", ["bell"]),
        (b"\xff\xfe", ["\ufffd\ufffd"]),
        ("\u202eevil\u200b".encode(), ["evil"]),
        ("e\u0301".encode() + b"\xcc\x81" * 50, ["e"]),
        ("漢字".encode(), ["漢字"]),
        (b"\x9b31mx", ["\ufffd31mx"]),
    ],
)
def test_what_is_shown(data: bytes, shown: list[str]) -> None:
    assert lines(data) == shown


def test_it_remembers_the_last_lines_only() -> None:
    text = ConsoleText(10)
    for n in range(1000):
        text.feed(b"line %d\n" % n)
    assert list(text.lines) == [f"line {n}" for n in range(990, 1000)]
    assert text.total == 1000


def test_a_line_without_end_goes_on_in_the_next() -> None:
    text = ConsoleText(10)
    text.feed(b"x" * 1_000_000)
    assert len(text.current) <= 1000
    assert all(len(line) == 1000 for line in text.lines)


def test_a_sequence_without_end_is_text_again() -> None:
    assert "x" * 100 in "".join(lines(b"\x1b]0;" + b"x" * 5000))
    text = ConsoleText(10)
    for _ in range(5000):
        text.feed(b"\x1b]0;x")
    assert len(text._rest) <= 300


BITS = st.sampled_from(
    [b"\x1b", b"[", b"]", b"\x1b[", b"31m", b"999999999C", b"@", b"9@", b"P", b"K", b"2K", b"1K"]
    + [b"\r", b"\n", b"\b", b"\t", b"\x07", b"\x9b", b"\xe6\xbc\xa2", b"\xcc\x81", b"text", b"\0"]
)


@given(st.lists(BITS | st.binary(max_size=4), max_size=60), st.integers(1, 7))
def test_nothing_but_printable_cells_whatever_comes_in_any_pieces(
    parts: list[bytes], size: int
) -> None:
    data = b"".join(parts)
    whole, pieces = ConsoleText(50), ConsoleText(50)
    whole.feed(data)
    for at in range(0, len(data), size):
        pieces.feed(data[at : at + size])
    assert [*whole.lines, whole.current] == [*pieces.lines, pieces.current]
    for line in [*whole.lines, whole.current]:
        assert line.isprintable()
        assert len(line) <= 1100
        assert printable(line) == line
    assert 0 <= whole.column <= 1000


@given(st.text(max_size=200))
@example("\u0b3e")
def test_printable_text_has_the_cells_that_it_is_measured_with(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert cell_len(shown) >= len(shown)
