"""Escapes in text for the guest: `--input`, `--answer`, `--until`, and `monitor type`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.machine.escapes import unescape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version\\n", b"version\n"),
        ("\\x03", b"\x03"),
        ("\\xff\\e[A\\0", b"\xff\x1b[A\0"),
        ("a\\\\n", b"a\\n"),
        ("\\r\\t", b"\r\t"),
        ("grüße", "grüße".encode()),
        ("", b""),
    ],
)
def test_unescape(text: str, expected: bytes) -> None:
    assert unescape(text) == expected


@pytest.mark.parametrize("text", ["\\q", "\\x4", "\\xzz"])
def test_an_unknown_escape_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no escape"):
        unescape(text)


@given(st.text(st.characters(blacklist_characters="\\", codec="utf-8")))
def test_text_without_backslashes_stays_what_it_is(text: str) -> None:
    assert unescape(text) == text.encode()
