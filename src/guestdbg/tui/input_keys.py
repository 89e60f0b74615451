"""Keys as the bytes that a terminal (xterm, VT100) sends for them."""

from __future__ import annotations

__all__ = ["bytes_of"]

_NAMED = {
    "enter": b"\r",
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "escape": b"\x1b",
    "backspace": b"\x7f",
    "delete": b"\x1b[3~",
    "insert": b"\x1b[2~",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "ctrl+@": b"\0",
    "ctrl+space": b"\0",
    "ctrl+backslash": b"\x1c",
    "ctrl+circumflex_accent": b"\x1e",
    "ctrl+underscore": b"\x1f",
}


def bytes_of(key: str, character: str | None) -> bytes:
    """A key by its name, with the character that it types, if any; no bytes: it types nothing."""
    if key in _NAMED:
        return _NAMED[key]
    control, _, letter = key.rpartition("+")
    if control == "ctrl" and len(letter) == 1 and letter.isascii() and letter.isalpha():
        return bytes([ord(letter) & 0x1F])
    if character is not None and character.isprintable():
        return character.encode("utf-8", "replace")
    return b""
