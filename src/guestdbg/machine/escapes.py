"""Text to type to a guest, written with the usual escapes."""

import re

__all__ = ["unescape"]

_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "e": b"\x1b", "0": b"\0", "\\": b"\\"}
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)


def unescape(text: str) -> bytes:
    r"""The bytes of `text`, in which \n, \r, \t, \e, \0, \\ and \xNN are escapes (UTF-8 otherwise).

    Raises:
        ValueError: an unknown escape.
    """

    def replace(match: re.Match[bytes]) -> bytes:
        escape = match[1].decode("latin-1")
        if escape in _ESCAPES:
            return _ESCAPES[escape]
        if escape.startswith("x") and len(escape) == 3:
            return bytes([int(escape[1:], 16)])
        raise ValueError(f"\\{escape} is no escape: use \\n \\r \\t \\e \\0 \\\\ and \\xNN")

    return _ESCAPE.sub(replace, text.encode())
