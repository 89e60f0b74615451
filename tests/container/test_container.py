"""Files of sections: written whole or not at all; everything that is wrong is named."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.container import (
    SNAPSHOT,
    ContainerError,
    ContainerFile,
    Section,
    compression,
    expand,
    page_sections,
    write_container,
)
from guestdbg.container.values import conforms, decode, encode, record_types

PAGE = 4096
SECTIONS = [Section("one", b"a" * 5000), Section("two", b"xyz"), Section("two", bytes(range(256)))]

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), 1 << 64)
    | st.binary(max_size=20)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.integers() | st.text(max_size=5), inner, max_size=4)
        | st.sets(st.integers(), max_size=4)
    ),
    max_leaves=20,
)


class Point(NamedTuple):
    x: int
    name: str | None


@dataclass(frozen=True)
class Line:
    points: list[Point]
    closed: bool = False


RECORDS = record_types(Point, Line)


@given(VALUES)
def test_values_come_back(value: Any) -> None:
    assert decode(encode(value), {}) == value


@given(VALUES, st.data())
def test_damaged_values_are_errors(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    del encoded[data.draw(st.integers(0, len(encoded))) :]
    with contextlib.suppress(ValueError):
        decode(bytes(encoded), RECORDS)


def test_records_are_checked() -> None:
    line = Line([Point(1, "a"), Point(2, None)])
    assert decode(encode(line), RECORDS, Line) == line
    for bad, words in (
        (Line([Point(True, "a")]), r"Point.x is True"),
        (Line([(1, "a")]), "Line.points is"),  # type: ignore[list-item]
        (Line([], 1), "Line.closed is 1"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=words):
            decode(encode(bad), RECORDS)
    with pytest.raises(ValueError, match="unknown type 'Line'"):
        decode(encode(line), record_types(Point))
    with pytest.raises(ValueError, match="is no"):
        decode(encode(line), RECORDS, Point)
    with pytest.raises(TypeError, match="a object cannot be kept"):
        encode([object()])
    with pytest.raises(ValueError, match="nested too deeply"):
        decode(b"L\1\0\0\0" * 1000 + b"N", {})
    with pytest.raises(ValueError, match="truncated"):
        decode(b"L\xff\xff\xff\xff", {})


@pytest.mark.parametrize(
    ("value", "annotation", "good"),
    [
        (1, int, True),
        (True, int, False),
        ((1, 2), tuple[int, int], True),
        ((1, 2, 3), tuple[int, int], False),
        ((1, 2, 3), tuple[int, ...], True),
        ({1: "a"}, dict[int, str], True),
        ({"a": 1}, dict[int, str], False),
        (None, int | None, True),
        ([1, "a"], list[int], False),
    ],
)
def test_conforms(value: object, annotation: Any, good: bool) -> None:
    assert conforms(value, annotation) is good


@pytest.mark.parametrize("method", [compression.PLAIN, compression.ZLIB, compression.ZSTD])
def test_expanding_is_bounded(method: int) -> None:
    data = bytes(1 << 20)
    if method == compression.ZSTD and compression.best_method() != method:
        pytest.skip("no zstd here")
    how, stored = compression.compress(data, method or compression.ZLIB)
    assert compression.expand_to(stored, how, len(data)) == data
    for size in (0, 10, len(data) - 1, len(data) + 1):
        with pytest.raises(ValueError, match="other than"):
            compression.expand_to(stored, how, size)
    with pytest.raises(ValueError, match=r"zstd|zlib|other than"):
        compression.expand_to(stored[:10], how, len(data))
    with pytest.raises(ValueError, match="method 9"):
        compression.expand_to(stored, 9, len(data))


def test_sections_come_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    digest = write_container(path, SECTIONS)
    file = ContainerFile(path)
    assert file.digest == digest
    assert file.section("one") == SECTIONS[0].data
    assert list(file.sections("two")) == [SECTIONS[1].data, SECTIONS[2].data]
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(ContainerError, match="2 sections 'two', and not one"):
        file.section("two")
    with pytest.raises(ContainerError, match=r"file: .* 5000 bytes; it may have 100"):
        file.section("one", 100)
    assert write_container(path, SECTIONS) == digest, "the same contents, the same file"


def test_what_is_wrong_with_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_container(path, SECTIONS)
    good = path.read_bytes()
    for contents, words in (
        (b"", "not a snapshot file"),
        (b"\x7fELF" + good, "not a snapshot file"),
        (good.replace(b"\r\n", b"\n"), "changed on its way"),
        (good[:18], "truncated"),
        (good[:-1], "truncated: its end is missing"),
        (good[:200], "truncated: its end is missing"),
        (good + b"x", "truncated: its end is missing"),
        (good[:60] + bytes([good[60] ^ 1]) + good[61:], "damaged: its digest"),
        (SNAPSHOT.magic + b"\x07\0\0\0" + good[20:], "of version 7; this guestdbg reads version 1"),
    ):
        path.write_bytes(contents)
        with pytest.raises(ContainerError, match=words) as error:
            ContainerFile(path)
        assert str(path) in str(error.value)
    with pytest.raises(ContainerError, match="no such file"):
        ContainerFile(tmp_path / "none")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    write_container(path, SECTIONS)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(ContainerError, match="file: cannot be written: No space left"):
        write_container(path, [Section("new", b"1")])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file"]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="No such file or directory"):
        write_container(tmp_path / "none" / "file", SECTIONS)
    with pytest.raises(ContainerError, match="not a regular file"):
        write_container(tmp_path, SECTIONS)

    def failing() -> Any:
        yield SECTIONS[0]
        raise RuntimeError("the writer fails")

    with pytest.raises(RuntimeError):
        write_container(tmp_path / "file", failing())
    assert os.listdir(tmp_path) == []


class Source:
    """Pages that are numbered."""

    def __init__(self, runs: list[tuple[int, int]]) -> None:
        self.runs = runs
        self.all = [n for first, count in runs for n in range(first, first + count)]

    def numbers(self) -> list[tuple[int, int]]:
        return self.runs

    def contents(self, start: int, count: int) -> bytes:
        pages = self.all[start : start + count]
        return b"".join((n + 1).to_bytes(2, "little") * (PAGE // 2) for n in pages)


@given(st.sets(st.integers(0, 999)))
def test_pages_are_expanded_to_their_places(numbers: set[int]) -> None:
    runs = [(n, 1) for n in sorted(numbers)]
    sections = [*page_sections(3, Source(runs)), *page_sections(5, Source([(0, 700)]))]
    with expand(sections, {3: 1000 * PAGE, 5: 700 * PAGE}) as image:
        memory, other = image.private(3), image.view(5)
        for n in range(1000):
            expected = n + 1 if n in numbers else 0
            assert int.from_bytes(memory[n * PAGE : n * PAGE + 2], "little") == expected
        assert other[699 * PAGE : 699 * PAGE + 2] == (700).to_bytes(2, "little")
        assert {
            n for first, count in image.slices[3].runs for n in range(first, first + count)
        } == (numbers)
        memory[0:2] = b"zz"
        assert image.private(3)[0:2] != b"zz", "what a machine writes is its own"
        with pytest.raises(OSError, match="not permitted"):
            os.pwrite(image.descriptor, b"x", 0)


def test_damaged_pages_are_refused() -> None:
    (good,) = page_sections(0, Source([(1, 2)]))
    size = {0: 4 * PAGE}
    expand([good], size).close()
    for sections, words in (
        ([good, good], "after 3, of 4"),
        ([good[:-1]], "bytes for 2 pages"),
        ([good[:5]], "truncated"),
        (list(page_sections(1, Source([(0, 1)]))), "slot 1, which there is not"),
        (list(page_sections(0, Source([(3, 2)]))), "2 pages from 3 on"),
        (list(page_sections(0, Source([(60000, 1)]))), "of 4"),
    ):
        with pytest.raises(ValueError, match=words):
            expand(sections, size)
