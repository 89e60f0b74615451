"""Text that is typed to a guest, as people write it: with the usual escapes."""

import re

__all__ = ["unescape"]

_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "e": b"\x1b", "0": b"\0", "\\": b"\\"}
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)


def unescape(text: str) -> bytes:
    r"""The bytes that `text` stands for: \n, \r, \t, \e, \0, \\ and \xNN. Raises ValueError."""

    def replace(match: re.Match[bytes]) -> bytes:
        what = match[1].decode("latin-1")
        if what in _ESCAPES:
            return _ESCAPES[what]
        if what.startswith("x") and len(what) == 3:
            return bytes([int(what[1:], 16)])
        raise ValueError(f"\\{what} is no escape: there are \\n \\r \\t \\e \\0 \\\\ and \\xNN")

    return _ESCAPE.sub(replace, text.encode())
