"""Initial RAM file systems: those that Linux unpacks pass, all others are refused by name."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import itertools
import lzma
from pathlib import Path

import fdt
import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.lab.image.cpio import Cpio
from guestdbg.machine import (
    Board,
    EmptyFileError,
    LoadError,
    MalformedError,
    OutsideMemoryError,
    TruncatedError,
    UnknownFormatError,
    UnreadableError,
    load,
)
from guestdbg.machine.loading import initrd
from tests.machine.fakes import FakeKvm
from tests.machine.loading.elfs import make_elf
from tests.machine.loading.test_file_formats import lz4_legacy
from tests.machine.loading.test_loader import NOP, RAM, make_image, regs, write

MIB = 1 << 20
LIMIT = 16 * MIB


def archive(**files: bytes) -> bytes:
    cpio = Cpio()
    cpio.character_device("dev/console", 5, 1)
    for name, data in files.items():
        cpio.file(name, data, 0o755)
    return cpio.finish()


PLAIN = archive(init=b"#!/bin/sh\n", data=bytes(range(256)) * 33 + b"TRAILER!!!\0" + b"x")
UNPADDED = PLAIN.rstrip(b"\0") + b"\0"
PACKED = {
    "plain": PLAIN,
    "unpadded": UNPADDED,
    "gzip": gzip.compress(PLAIN),
    "bzip2": bz2.compress(PLAIN),
    "xz": lzma.compress(PLAIN, check=lzma.CHECK_CRC32),
    "lzma": lzma.compress(PLAIN, lzma.FORMAT_ALONE),
    "lz4 -l": lz4_legacy(PLAIN, block=1000),
}


@pytest.mark.parametrize("first", PACKED)
@pytest.mark.parametrize("second", [None, *PACKED])
def test_what_linux_unpacks(first: str, second: str | None) -> None:
    """Alone, and with another one after it. Zeros are between them: without, Linux and we would
    read the magic number of gzip as the length of another block of lz4."""
    contents = PACKED[first]
    if second is not None:
        contents += bytes(4 + -len(contents) % 4) + PACKED[second]
    initrd.check(contents, "initrd", LIMIT)
    initrd.check(contents + bytes(512), "initrd", LIMIT)


def test_zstd() -> None:
    zstd = pytest.importorskip("backports.zstd")
    initrd.check(zstd.compress(PLAIN), "initrd", LIMIT)


@pytest.mark.parametrize(
    "contents",
    [
        b"\x89LZO\x00\r\n\x1a\n" + b"x" * 40,
        b"hsqs" + b"x" * 400,
        b"-rom1fs-" + b"x" * 400,
        bytes(0x438) + b"\x53\xef" + bytes(400),
    ],
    ids=["lzop", "squashfs", "romfs", "ext2"],
)
def test_what_passes_unseen(contents: bytes) -> None:
    initrd.check(contents, "initrd", LIMIT)


BROKEN = bytearray(PLAIN)
BROKEN[60] = ord("x")


@pytest.mark.parametrize(
    ("contents", "error", "message"),
    [
        (b"", EmptyFileError, "an initrd of no bytes"),
        (
            b"hello, world",
            UnknownFormatError,
            "neither a cpio archive nor compressed; an initrd is",
        ),
        (bytes(4096), UnknownFormatError, "neither a cpio archive nor compressed"),
        (PLAIN + b"junk", UnknownFormatError, f"at byte {len(PLAIN)} after another archive"),
        (PLAIN[:200], TruncatedError, "the cpio archive ends too early"),
        (PLAIN[:50], TruncatedError, "the cpio archive ends too early"),
        (PLAIN[: PLAIN.rindex(b"070701")], TruncatedError, "the cpio archive ends too early"),
        (bytes(BROKEN), MalformedError, "a damaged cpio header at byte 0 of the archive"),
        (b"070707" + b"0" * 200, LoadError, "in another format than newc; .*cpio -o -H newc"),
        (gzip.compress(PLAIN)[:-9], TruncatedError, "the gzip data ends too early"),
        (gzip.compress(PLAIN[:-600]), TruncatedError, "with gzip: the cpio archive ends too early"),
        (gzip.compress(b"hello, world"), MalformedError, "with gzip: no cpio header at byte 0"),
        (gzip.compress(PLAIN) + b"junk", UnknownFormatError, "after another archive: neither"),
        (gzip.compress(bytes(LIMIT) + PLAIN), OutsideMemoryError, "more than 16 MiB"),
        (lzma.compress(PLAIN)[:40] + b"\0" * 200, MalformedError, "the xz data is damaged"),
        (lz4.frame.compress(PLAIN), LoadError, r"legacy format \(lz4 -l\)"),
        (b"\x7fELF" + bytes(99), UnknownFormatError, "neither a cpio archive nor compressed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(contents: bytes, error: type[LoadError], message: str) -> None:
    with Board(FakeKvm(), memory_size=LIMIT) as board:
        with pytest.raises(error, match=message):
            load(board, make_image(), initrd=contents)
        assert not regs(board), "nothing is changed by a failed load"
        assert not any(board.ram.buffer[:4096])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with Board(FakeKvm(), memory_size=LIMIT) as board:
        with pytest.raises(UnreadableError, match=r"missing: no such file"):
            load(board, make_image(), initrd=tmp_path / "missing")
        with pytest.raises(UnreadableError, match="a directory; give the initrd's file itself"):
            load(board, make_image(), initrd=tmp_path)
        with pytest.raises(EmptyFileError, match="the file is empty"):
            load(board, make_image(), initrd=write(tmp_path, b""))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([n for n in PACKED if n != "unpadded"]), st.integers(1, 600))
def test_a_file_without_its_end_is_never_accepted(kind: str, cut: int) -> None:
    whole = PACKED[kind].rstrip(b"\0") if kind == "plain" else PACKED[kind]
    with pytest.raises(LoadError):
        initrd.check(whole[: max(0, len(whole) - cut)] or b"x", "initrd", LIMIT)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_never_crash(data: st.DataObject) -> None:
    contents = bytearray(data.draw(st.sampled_from(list(PACKED.values()))))
    for at in data.draw(st.lists(st.integers(0, len(contents) - 1), max_size=4)):
        contents[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LoadError):
        initrd.check(bytes(contents), "initrd", LIMIT)


# -- where it goes ---------------------------------------------------------------------------


def ramdisk(board: Board, at: int) -> tuple[int, int]:
    """/chosen/linux,initrd-start and -end of the tree at ``at``."""
    size = int.from_bytes(board.read_phys(at + 4, 4), "big")
    tree = fdt.parse_dtb(board.read_phys(at, size))
    cells = [tree.get_property(f"linux,initrd-{n}", "/chosen").data for n in ("start", "end")]
    return cells[0][0] << 32 | cells[0][1], cells[1][0] << 32 | cells[1][1]


@pytest.mark.parametrize("memory", [16 * MIB, 128 * MIB, 512 * MIB])
def test_it_is_where_qemu_puts_it(memory: int) -> None:
    with Board(FakeKvm(), memory_size=memory) as board:
        loaded = load(board, make_image(), initrd=PLAIN)
        assert loaded.initrd is not None
        assert loaded.device_tree is not None
        assert loaded.initrd.address == RAM + min(memory // 2, 128 * MIB)
        assert board.read_phys(loaded.initrd.address, len(PLAIN)) == PLAIN
        assert loaded.device_tree == loaded.initrd.address + 2 * MIB
        assert ramdisk(board, loaded.device_tree) == (loaded.initrd.address, loaded.initrd.end)
        assert regs(board)["x0"] == loaded.device_tree


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12 * MIB), st.integers(1, 12 * MIB), st.booleans())
def test_nothing_overlaps(kernel: int, size: int, is_elf: bool) -> None:
    """Kernels and initrds of any size: all fits within the memory, or the message says how much."""
    cpio = Cpio()
    cpio.file("data", bytes(size))
    guest = make_elf([(RAM + 4096, NOP)], memory_sizes=[kernel + 4])
    if not is_elf:
        guest = make_image(image_size=max(kernel, 4096))
    with Board(FakeKvm(), memory_size=16 * MIB) as board:
        try:
            loaded = load(board, guest, initrd=cpio.finish())
        except OutsideMemoryError as error:
            needed = int(str(error).partition("at least ")[2].partition(" MiB")[0])
            assert needed > 16
            with Board(FakeKvm(), memory_size=needed * MIB) as larger:
                load(larger, guest, initrd=cpio.finish())
            return
        assert loaded.initrd is not None
        assert loaded.device_tree is not None
        ranges = [(s.address, s.end) for s in (*loaded.segments, loaded.initrd)]
        ranges.append((loaded.device_tree, loaded.device_tree + 4096))
        ranges.sort()
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ranges))
        assert ranges[-1][1] <= board.ram.end
        assert loaded.initrd.address % 4096 == 0
        assert loaded.device_tree % 8 == 0
