"""The files of a guest's programs: from a folder of the host, if they are the guest's."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from guestdbg.debugger import BadImage, InvalidLocation
from guestdbg.linux import Mapping
from guestdbg.linux.errors import MissingKernelData
from guestdbg.linux.processes.executables import Executables, build_id
from guestdbg.linux.processes.files import PageCache

OLD, NEW = bytes(range(20)), bytes(range(100, 120))
FILE = 0xFFFF_0000_1234_0000


def elf(identity: bytes | None, text: bytes = b"") -> bytes:
    """An ELF file with one segment, of notes; None: without a build ID."""
    notes = struct.pack("<III4sI", 4, 4, 1, b"GNU\0", 0)  # NT_GNU_ABI_TAG
    if identity is not None:
        notes += struct.pack("<III4s", 4, len(identity), 3, b"GNU\0") + identity
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 183, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(notes), len(notes), 4)
    return header + segment + notes + text


def executables(folder: Path, guest: bytes | None, missing: frozenset[int]) -> Executables:
    """Those of a guest that has this in its page cache; None: it cannot be read."""

    def read(file: int, size: int) -> tuple[bytes, frozenset[int]]:
        assert file == FILE
        if guest is None:
            raise MissingKernelData("no page cache")
        return guest, missing

    found = Executables(cast("PageCache", SimpleNamespace(read=read)))
    found.sysroot = folder
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/foo").write_bytes(elf(NEW, b"from the host"))
    (tmp_path / "secret").write_bytes(b"not of the guest")
    (root / "usr/bin/out").symlink_to(tmp_path / "secret")
    return root


def test_the_build_id() -> None:
    assert build_id(elf(NEW)) == NEW
    assert build_id(elf(None)) == b""
    assert build_id(b"#!/bin/sh\n") == b""
    whole = elf(NEW)
    for end in range(len(whole) - len(NEW)):
        assert build_id(whole[:end]) == b""


def test_another_build_is_refused(folder: Path) -> None:
    found = executables(folder, elf(OLD), frozenset())
    with pytest.raises(InvalidLocation) as refused:
        found.contents("/usr/bin/foo", FILE)
    assert str(refused.value) == (
        f"/usr/bin/foo in {folder} is another file than the guest's: its build ID is {NEW.hex()}, "
        f"and the guest's is {OLD.hex()}"
    )


@pytest.mark.parametrize("guest", [elf(NEW), elf(None), bytes(4096), None])
def test_the_same_build_or_one_that_is_not_known(folder: Path, guest: bytes | None) -> None:
    """What is not in the page cache reads as zeros: also the build ID may be missing there."""
    found = executables(folder, guest, frozenset({1}))
    assert found.contents("/usr/bin/foo", FILE) == (elf(NEW, b"from the host"), "")


def test_what_cannot_be_read_is_not_read_again_until_there_is_more_of_it() -> None:
    """Each hit in a program asks for its files."""
    reads: list[int] = []
    pages = 3

    def read(file: int, size: int) -> tuple[bytes, frozenset[int]]:
        reads.append(file)
        return elf(OLD), frozenset({1})

    cache = SimpleNamespace(read=read, present=lambda file: pages)
    found = Executables(cast("PageCache", cache))
    mapping = Mapping(0x40_0000, 0x40_1000, "r-xp", 0, "/usr/bin/foo", FILE, 0)
    for expected in (1, 1):
        with pytest.raises(BadImage, match="no ELF file that is mapped"):
            found.image([mapping], 4096)
        assert len(reads) == expected
    pages = 4
    with pytest.raises(BadImage):
        found.image([mapping], 4096)
    assert len(reads) == 2


@pytest.mark.parametrize("path", ["/usr/bin/none", "/usr/bin/out", "/../secret", "/usr/bin"])
def test_what_the_folder_does_not_have_comes_from_the_guest(folder: Path, path: str) -> None:
    found = executables(folder, elf(OLD), frozenset({1}))
    why = "1 of its pages are not in the guest's page cache"
    assert found.contents(path, FILE) == (elf(OLD), why)
