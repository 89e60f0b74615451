"""The archive writer, compared with a reader of the tests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.lab import LabError
from guestdbg.lab.image.cpio import Cpio
from tests.lab.reading import Entry, read_newc

PART = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
PARTS = PART.filter(lambda part: part not in (".", ".."))
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@given(st.lists(st.tuples(PATHS, st.binary(max_size=40), st.integers(0, 0o777)), max_size=8))
def test_files_come_out_as_they_went_in(files: list[tuple[str, bytes, int]]) -> None:
    archive = Cpio()
    for path, data, mode in files:
        archive.file(path, data, mode)
    entries = read_newc(archive.finish())
    plain = [(e.name, e.data, e.mode & 0o7777) for e in entries if e.mode & 0o170000 == 0o100000]
    assert plain == files


@given(st.lists(PATHS, max_size=8))
def test_a_directory_comes_once_and_before_what_is_in_it(paths: list[str]) -> None:
    archive = Cpio()
    for path in paths:
        archive.file(path + "/file", b"")
    there = {""}
    for entry in read_newc(archive.finish()):
        assert entry.name.rpartition("/")[0] in there
        if entry.mode & 0o170000 == 0o040000:
            assert entry.name not in there
            there.add(entry.name)


def test_links_and_devices() -> None:
    archive = Cpio()
    archive.symlink("bin/sh", "busybox")
    archive.character_device("dev/console", 5, 1)
    assert read_newc(archive.finish()) == [
        Entry("bin", 0o040755, b"", (0, 0)),
        Entry("bin/sh", 0o120777, b"busybox", (0, 0)),
        Entry("dev", 0o040755, b"", (0, 0)),
        Entry("dev/console", 0o020600, b"", (5, 1)),
    ]


def test_one_archive_can_follow_another() -> None:
    first, second = Cpio(), Cpio()
    first.file("a", b"1")
    second.file("a", b"2")
    both = read_newc(first.finish() + second.finish())
    assert [(e.name, e.data) for e in both] == [("a", b"1"), ("a", b"2")]


@pytest.mark.parametrize("path", ["", "/", ".", "..", "a/../b", "a\0b"])
def test_paths_that_lead_nowhere(path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        Cpio().file(path, b"")


def test_a_path_too_long_for_linux() -> None:
    Cpio().file("a/" * 2046 + "abc", b"")
    with pytest.raises(LabError, match="4097 bytes is too long"):
        Cpio().file("a/" * 2046 + "abcd", b"")


def test_nothing_is_added_to_a_finished_archive() -> None:
    archive = Cpio()
    assert archive.finish() == archive.finish()
    with pytest.raises(ValueError, match="finished"):
        archive.file("a", b"")
