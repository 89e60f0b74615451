"""What git tracks: no core dump, no large binary that nobody meant to add."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from .test_house_rules import ROOT, tracked

#: Tracked binaries above the limit, each with what it is. There are none.
LARGE_BINARIES: frozenset[str] = frozenset()
LIMIT = 256 << 10

ET_CORE = 4


def is_core_dump(head: bytes) -> bool:
    """Whether a file is an ELF core: e_type (ELF header, offset 16) in the file's byte order."""
    if len(head) < 18 or head[:4] != b"\x7fELF":
        return False
    order = ">" if head[5] == 2 else "<"
    return bool(struct.unpack_from(f"{order}H", head, 16)[0] == ET_CORE)


def is_binary(head: bytes) -> bool:
    """As git tells text from binary: a zero byte among the first 8000."""
    return b"\0" in head[:8000]


def head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8000)


def test_no_core_dump_is_tracked() -> None:
    assert not [p for p in tracked() if is_core_dump(head_of(p))]


def test_no_large_binary_is_tracked() -> None:
    large = {
        p.relative_to(ROOT).as_posix()
        for p in tracked()
        if p.stat().st_size > LIMIT and is_binary(head_of(p))
    }
    assert large == LARGE_BINARIES


@pytest.mark.parametrize("name", ["core", "core.1234", "src/core", "vgcore.77", "build/x", "a.so"])
def test_git_ignores(name: str) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is ignored in an unpacked archive")
    result = subprocess.run(
        ["git", "check-ignore", "-q", "--no-index", name], cwd=ROOT, check=False
    )
    assert result.returncode == 0


@pytest.mark.parametrize("name", ["src/guestdbg/cpu/core.pyx", "src/guestdbg/cpu/core.pxd"])
def test_git_does_not_ignore(name: str) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is ignored in an unpacked archive")
    result = subprocess.run(
        ["git", "check-ignore", "-q", "--no-index", name], cwd=ROOT, check=False
    )
    assert result.returncode == 1


@pytest.mark.parametrize(
    ("head", "core"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\x00", True),
        (b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x04", True),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00", False),
        (b"\x7fELF", False),
        (b"text", False),
    ],
)
def test_core_dumps_are_recognised(head: bytes, core: bool) -> None:
    assert is_core_dump(head) is core
