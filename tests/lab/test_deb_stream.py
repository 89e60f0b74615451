"""One file of a large package is read from a stream, and no more than needed."""

import io
import random

import pytest

from guestdbg.lab import LabError
from guestdbg.lab.image.deb_stream import copy_file

from .test_deb import ar, tar


class Counting(io.BytesIO):
    """A stream as a network gives it: in pieces smaller than what is asked for."""

    def read(self, count: int | None = -1, /) -> bytes:
        return super().read(min(count or 0, 1000) if count and count > 0 else 1000)


def package(**files: bytes) -> bytes:
    return ar(
        ("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", tar(**files))
    )


def test_the_file_and_nothing_after_it() -> None:

    noise = random.Random(1).randbytes(2_000_000)
    data = package(a=b"A" * 70_000, b=b"wanted" * 50_000, c=noise)
    stream, out = Counting(data), io.BytesIO()
    assert copy_file(stream, lambda name: name == "b", out, 1 << 20) == "b"
    assert out.getvalue() == b"wanted" * 50_000
    assert stream.tell() < len(data) // 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (b"not a package at all", "not a Debian package"),
        (package(b=b"b" * 9999)[:-200], "cannot be read|ends inside|truncated"),
        (package(c=b"c"), "does not have the file"),
        (package(b=bytes(2000)), "2000 bytes; the maximum is 1000"),
        (ar(("data.tar.xz", b"nonsense")), "cannot be read"),
        (ar(("debian-binary", b"2.0\n")), "truncated"),
    ],
)
def test_damaged_packages(data: bytes, message: str) -> None:
    with pytest.raises(LabError, match=message):
        copy_file(io.BytesIO(data), lambda name: name == "b", io.BytesIO(), 1000)
