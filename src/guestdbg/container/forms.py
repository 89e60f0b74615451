"""Which files guestdbg writes, by their first bytes."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["MAGIC_SIZE", "RECORDED_RUN", "SNAPSHOT", "Form", "form_of"]


class Form(NamedTuple):
    """What a file is, which its first bytes say.

    Attributes:
        magic: these bytes. As PNG's: a transfer as text, or through seven bits, is noticed.
        version: it grows with every change that older versions cannot read.
        name: what such a file is called in messages.
    """

    magic: bytes
    version: int
    name: str


#: A guest at one time.
SNAPSHOT: Final = Form(b"\x89guestdbg\r\n\x1a\n\0\0\0", 1, "snapshot file")
#: A guest, and what it did from there.
RECORDED_RUN: Final = Form(b"\x89guestdbg\r\n\x1a\nrun", 1, "recorded run")
_FORMS: Final = (SNAPSHOT, RECORDED_RUN)
#: How many bytes ``form_of`` needs.
MAGIC_SIZE: Final = len(SNAPSHOT.magic)


def form_of(start: bytes) -> Form | None:
    """The form of a file that begins with these bytes; None: it is none of guestdbg."""
    return next((form for form in _FORMS if start[:MAGIC_SIZE] == form.magic), None)
