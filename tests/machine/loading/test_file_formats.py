"""Files of other tools: loaded where there is something to run, otherwise named."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import random
import struct
import sys
import zlib
from pathlib import Path

import lz4.block
import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.machine import (
    Board,
    LoadError,
    MalformedError,
    OutsideMemoryError,
    TruncatedError,
    load,
)
from guestdbg.machine.loading.file_formats import identify
from tests.machine.fakes import FakeKvm
from tests.machine.loading.elfs import make_elf
from tests.machine.loading.test_loader import NOP, RAM, make_image, regs, write

MIB = 1 << 20
IHEX = ":0200000440209A\n:04000000201E00D5E9\n:0400000540200000 97\n:00000001FF\n".replace(" ", "")


@pytest.fixture
def board() -> Board:
    return Board(FakeKvm(), memory_size=16 << 20)


def make_uimage(
    data: bytes, load_at: int = RAM + MIB, *, machine: int = 22, kind: int = 1, entry: int = 0
) -> bytes:
    fields = [0x27051956, 0, 0, len(data), load_at, load_at + entry, zlib.crc32(data)]
    head = struct.pack(">7I4B32s", *fields, 17, machine, kind, 0, b"guest")
    return head[:4] + struct.pack(">I", zlib.crc32(head)) + head[8:] + data


def zboot(payload: bytes, kind: bytes = b"gzip") -> bytes:
    head = b"MZ\0\0zimg" + struct.pack("<II", 64, len(payload)) + bytes(8) + kind
    return head.ljust(64, b"\0") + payload


def lz4_legacy(data: bytes, block: int = 8 << 20) -> bytes:
    """As `lz4 -l` writes it."""
    packed = [
        lz4.block.compress(data[at : at + block], store_size=False)
        for at in range(0, len(data), block)
    ]
    return b"\x02\x21\x4c\x18" + b"".join(struct.pack("<I", len(p)) + p for p in packed)


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
        lambda data: gzip.compress(bz2.compress(data)),
        lambda data: zboot(gzip.compress(data)),
        lambda data: gzip.compress(data[:500]) + gzip.compress(data[500:]),
        lambda data: gzip.compress(data) + b"a signature",
        lz4.frame.compress,
        lz4_legacy,
        lambda data: lz4_legacy(data[:400]) + lz4_legacy(data[400:], block=99),
        lambda data: zboot(lz4_legacy(data) + struct.pack("<I", len(data)), b"lz4"),
    ],
    ids=[
        *("gzip", "bzip2", "xz", "lzma", "twice", "zboot", "members", "signed"),
        *("lz4", "lz4 -l", "lz4 -l, twice", "zboot of lz4"),
    ],
)
def test_compressed_guests_are_unpacked(board: Board, tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    image = make_image(image_size=8192)
    loaded = load(board, write(tmp_path, pack(image)))
    assert loaded.kind == "image"
    assert board.read_phys(loaded.entry, len(image)) == image
    assert loaded.notes
    loaded = load(board, write(tmp_path, pack(make_elf())))
    assert loaded.kind == "elf"
    assert loaded.elf_contents == make_elf()


def test_zstd(board: Board, tmp_path: Path) -> None:
    zstd = pytest.importorskip(  # Python's own since 3.14
        "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    )
    assert load(board, write(tmp_path, zstd.compress(make_elf()))).kind == "elf"


def test_unpacking_is_bounded(board: Board, tmp_path: Path) -> None:
    with pytest.raises(OutsideMemoryError, match="unpacks to more than 16 MiB"):
        load(board, write(tmp_path, gzip.compress(bytes(64 << 20))))
    with pytest.raises(TruncatedError, match="ends too early"):
        load(board, write(tmp_path, gzip.compress(make_elf())[:-20]))
    contents = make_elf()
    for _ in range(5):
        contents = gzip.compress(contents)
    with pytest.raises(LoadError, match="compressed more than 4 times"):
        load(board, write(tmp_path, contents))


@pytest.mark.parametrize(
    ("contents", "error", "message"),
    [
        (zboot(b"xxxx" * 9, b"brotli"), "UnknownFormatError", "compressed with 'brotli'"),
        (zboot(b"xxxx" * 9), "MalformedError", "says 'gzip', but its payload is not compressed so"),
        (zboot(gzip.compress(NOP))[:-1], "TruncatedError", "whose payload ends at"),
        (zboot(b""), "MalformedError", "whose payload of 0 bytes begins at 64"),
        (b"MZ\0\0zimg", "MalformedError", "whose payload of 0 bytes"),
        (lz4_legacy(NOP * 99)[:-1], "TruncatedError", "the lz4 data ends too early"),
        (lz4_legacy(NOP)[:8] + b"\xff" * 40, "MalformedError", "lz4 .legacy. data is damaged"),
        (lz4_legacy(bytes(64 << 20)), "OutsideMemoryError", "unpacks to more than 16 MiB"),
        (lz4.frame.compress(bytes(64 << 20)), "OutsideMemoryError", "more than 16 MiB"),
        (lz4.frame.compress(NOP * 99)[:-9], "TruncatedError", "the lz4 data ends too early"),
        (gzip.compress(make_image(flags=1)), "ForeignError", "a big-endian kernel"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_kernels_that_cannot_be_unpacked(
    board: Board, tmp_path: Path, contents: bytes, error: str, message: str
) -> None:
    with pytest.raises(LoadError, match=message) as caught:
        load(board, write(tmp_path, contents))
    assert type(caught.value).__name__ == error
    assert str(tmp_path) in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_never_crash(data: st.DataObject) -> None:
    """A compressed kernel with bytes changed or cut: it is loaded, or refused by name."""
    pack = data.draw(
        st.sampled_from([gzip.compress, lzma.compress, lz4.frame.compress, lz4_legacy])
    )
    packed = bytearray(pack(make_image(size=2000, image_size=8192)))
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), max_size=4)):
        packed[at] = data.draw(st.integers(0, 255))
    contents = bytes(packed[: data.draw(st.integers(1, len(packed)))])
    with Board(FakeKvm(), memory_size=16 << 20) as board, contextlib.suppress(LoadError):
        load(board, contents)


def test_uimage(board: Board, tmp_path: Path) -> None:
    loaded = load(board, write(tmp_path, make_uimage(NOP * 4, entry=4)))
    assert (loaded.kind, loaded.entry) == ("raw", RAM + MIB + 4)
    assert board.read_phys(RAM + MIB, 16) == NOP * 4
    assert "uImage" in loaded.notes[0]
    kernel = make_uimage(gzip.compress(make_image()), kind=2)
    assert load(board, write(tmp_path, kernel)).kind == "image"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (make_uimage(NOP)[:-1], "of which 3 are there"),
        (make_uimage(NOP)[:-1] + b"x", "whose checksum is wrong"),
        (b"\x27\x05\x19\x56" + bytes(80), "header's checksum is wrong"),
        (b"\x27\x05\x19\x56", "its header has 64"),
        (make_uimage(NOP, machine=2), "for processor number 2"),
        (make_uimage(NOP, kind=4), "of type 4"),
        (make_uimage(NOP, entry=64), "is not in what it loads"),
        (make_uimage(NOP, 0x1000_0000), "outside memory"),
    ],
)
def test_uimages_that_cannot_be_run(
    board: Board, tmp_path: Path, contents: bytes, message: str
) -> None:
    with pytest.raises(LoadError, match=message):
        load(board, write(tmp_path, contents))
    assert not regs(board)


def test_hex_records(board: Board, tmp_path: Path) -> None:
    loaded = load(board, write(tmp_path, IHEX.encode()))
    assert loaded.entry == regs(board)["pc"] == 0x4020_0000
    assert board.read_phys(0x4020_0000, 4) == bytes.fromhex("201E00D5")
    record = bytes.fromhex("0940200000201E00D5")
    line = b"S3" + record.hex().encode() + b"%02X\n" % (~sum(record) & 255)
    assert load(board, write(tmp_path, line)).entry == 0x4020_0000


@pytest.mark.parametrize("text", [IHEX.replace("9A", "9B"), IHEX.split("\n")[0] + "\n:zz"])
def test_damaged_hex_records(board: Board, tmp_path: Path, text: str) -> None:
    with pytest.raises(MalformedError, match="an Intel HEX file"):
        load(board, write(tmp_path, text.encode()))


def test_text_is_not_run_as_code(board: Board, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="an Intel HEX file, which is no code"):
        load(board, write(tmp_path, IHEX.encode()), kind="raw", address=RAM)


@pytest.mark.parametrize(
    ("contents", "name"),
    [
        (b"\xd0\x0d\xfe\xed" + bytes(60), "FIT image"),
        (b"ANDROID!" + bytes(60), "Android boot image"),
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0\x64\xaa", "PE/COFF, arm64"),
        (b"\x02\x21\x4c\x18" + bytes(60), "lz4"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (bytes(257) + b"ustar" + bytes(60), "tar archive"),
        (b"QFI\xfb" + bytes(60), "qcow2"),
        (b"!<arch>\ndebian-binary   ", "Debian package"),
        (b"\xed\xab\xee\xdb" + bytes(60), "RPM"),
        (b"\xcf\xfa\xed\xfe" + bytes(60), "Mach-O"),
    ],
)
def test_other_formats_are_named(board: Board, tmp_path: Path, contents: bytes, name: str) -> None:
    with pytest.raises(LoadError, match=name):
        load(board, write(tmp_path, contents))


def test_random_code_is_no_other_format() -> None:
    rng = random.Random(1)
    assert not [n for n in range(20_000) if identify(rng.randbytes(600))]


def test_bytes(board: Board) -> None:
    loaded = load(board, make_elf())
    assert loaded.kind == "elf"
    assert loaded.elf_contents == make_elf()
    with pytest.raises(LoadError, match="no bytes"):
        load(board, b"")


def test_the_tree_is_where_qemu_puts_it(tmp_path: Path) -> None:
    """At half of RAM, or 128 MiB, or after the guest: for raw files and Images."""
    for memory, size, expected in [
        (128, 4, 64 * MIB),
        (512, 4, 128 * MIB),
        (16, 4, 8 * MIB),
        (16, 9 * MIB, 10 * MIB),
    ]:
        board = Board(FakeKvm(), memory_size=memory << 20)
        loaded = load(board, write(tmp_path, bytes(size)), address=RAM + (512 << 10))
        assert loaded.device_tree == RAM + expected
        board.close()


def test_a_position_independent_executable_linked_at_0(board: Board, tmp_path: Path) -> None:
    contents = bytearray(make_elf([(0, NOP * 2)], entry=4))
    contents[16] = 3  # ET_DYN
    loaded = load(board, write(tmp_path, bytes(contents)))
    assert loaded.entry == RAM + 2 * MIB + 4
    assert loaded.slide == RAM + 2 * MIB
    assert "position-independent" in loaded.notes[0]
    assert board.flash is None
