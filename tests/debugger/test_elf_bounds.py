"""Sizes and counts in ELF files and DWARF that are more than the file has."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from guestdbg.debugger import BadImage, Image
from guestdbg.debugger.program import elf_bounds
from guestdbg.errors import GuestdbgError
from guestdbg.library_errors import raised_as

from .conftest import EXAMPLES, Load

QUEUE = EXAMPLES / "queue.elf"


def sections(elf: bytes) -> dict[str, tuple[int, int, int]]:
    """Offset of the header, offset and size of the contents, by name."""
    (at,) = struct.unpack_from("<Q", elf, 40)
    count, names = struct.unpack_from("<HH", elf, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, at + 64 * n) for n in range(count)]
    base = headers[names][4]
    return {
        elf[base + h[0] : elf.index(b"\0", base + h[0])].decode(): (at + 64 * n, h[4], h[5])
        for n, h in enumerate(headers)
    }


def changed(tmp_path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(QUEUE.read_bytes())
    change(data)
    path = tmp_path / "changed.elf"
    path.write_bytes(data)
    return path


def with_compressed(name: str, contents: bytes) -> Callable[[bytearray], None]:
    """Puts contents at the end of the file as the compressed section of that name."""

    def change(data: bytearray) -> None:
        header, _, _ = sections(data)[name]
        struct.pack_into("<Q", data, header + 8, 0x800)
        struct.pack_into("<QQ", data, header + 24, len(data), len(contents))
        data += contents

    return change


def number(at: int, layout: str, value: int) -> Callable[[bytearray], None]:
    return lambda data: struct.pack_into(layout, data, at, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (number(32, "<Q", 0x7FFF_FFFF_FFFF_FFF0), "program headers end at 0x8000"),
        (number(40, "<Q", 1 << 63), "section headers end at"),
        (number(54, "<H", 57), "program headers of 57 bytes"),
        (number(56, "<H", 0xFFFF), "more than 65,534 program headers"),
        (number(58, "<H", 8), "section headers of 8 bytes"),
        (number(60, "<H", 0xFFF0), "section headers end at"),
        (number(62, "<H", 0x7FFF), "the section names are in section 32767"),
    ],
)
def test_headers(tmp_path: Path, change: Callable[[bytearray], None], message: str) -> None:
    with pytest.raises(BadImage, match=f"changed.elf is not a complete ELF file: .*{message}"):
        Image(changed(tmp_path, change))


def test_a_section_past_the_end(tmp_path: Path) -> None:
    def change(data: bytearray) -> None:
        struct.pack_into("<Q", data, sections(data)[".debug_info"][0] + 32, 1 << 62)

    with pytest.raises(BadImage, match=r"section \d+ ends at 0x4000"):
        Image(changed(tmp_path, change))


def test_a_compressed_section_that_claims_too_much(tmp_path: Path) -> None:
    bomb = struct.pack("<IIQQ", 1, 0, 1 << 40, 1) + zlib.compress(b"x" * 100)
    with pytest.raises(BadImage, match="claim to unpack to 1048576 MiB"):
        Image(changed(tmp_path, with_compressed(".debug_info", bomb)))


def test_a_compressed_section_that_unpacks_to_more(tmp_path: Path) -> None:
    """The old form: readers unpack it to its end, whatever it claims."""
    bomb = b"ZLIB" + struct.pack(">Q", 1000) + zlib.compress(bytes(200 << 20))

    def change(data: bytearray) -> None:
        with_compressed(".debug_info", bomb)(data)
        struct.pack_into("<Q", data, sections(data)[".debug_info"][0] + 8, 0)

    with pytest.raises(BadImage, match="unpacks to more than the 1000 bytes"):
        Image(changed(tmp_path, change))


def test_symbol_names_that_share_one_long_string(tmp_path: Path) -> None:
    """Each would be a copy of all of it."""

    def change(data: bytearray) -> None:
        contents = sections(data)
        names = b"\0" + b"n" * (2 << 20) + b"\0"
        symbols = b"".join(
            struct.pack("<IBBHQQ", 1 + n, 0x12, 0, 1, 0x4020_0000, 4) for n in range(20_000)
        )
        for name, new in ((".strtab", names), (".symtab", symbols)):
            struct.pack_into("<QQ", data, contents[name][0] + 24, len(data), len(new))
            data += new

    with pytest.raises(BadImage, match=r"symbol table of .*changed.elf is damaged: its names are"):
        Image(changed(tmp_path, change))


def test_a_symbol_does_not_reach_past_the_address_space(tmp_path: Path) -> None:
    def change(data: bytearray) -> None:
        _, at, size = sections(data)[".symtab"]
        for entry in range(at, at + size, 24):
            struct.pack_into("<Q", data, entry + 16, (1 << 64) - 1)

    image = Image(changed(tmp_path, change))
    assert all(symbol.address + symbol.size <= 1 << 64 for symbol in image.symbols)


def line_header(formats: bytes, count: bytes, version: int = 5) -> bytes:
    after = bytes([1, 1, 1, 0xFB, 14, 13]) + bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
    body = after + formats + count
    rest = struct.pack("<HBBI", version, 8, 0, len(body)) + body
    return struct.pack("<I", len(rest)) + rest


@pytest.mark.parametrize(
    ("formats", "count"),
    [
        (b"\0", b"\x80" * 8 + b"\x01"),
        (b"\0", b"\x01"),
        (b"\1\1\x08", b"\xff\xff\x03"),
        (b"\1\1\x08", b"\xff" * 12),
        (b"\1\1\x16", b"\x01" + bytes(9)),
        (b"\1\1\x09", b"\x01\xff\xff\x7f"),
    ],
)
def test_line_tables_with_too_many_names(formats: bytes, count: bytes) -> None:
    with pytest.raises(ValueError, match=r"claims|end|form|past"):
        elf_bounds.check_line_header(line_header(formats, count), 0)


def test_all_line_tables_of_the_examples_pass() -> None:
    for path in sorted(EXAMPLES.glob("*.elf")):
        image = Image(path)
        if not image.has_types:
            continue
        assert image.lines.files, path
        assert image.lines.damage is None


def test_a_damaged_line_table_is_named(tmp_path: Path, start: Load) -> None:
    def change(data: bytearray) -> None:
        _, at, _ = sections(data)[".debug_line"]
        struct.pack_into("<H", data, at + 4, 5)
        data[at + 12 + 6 : at + 12 + 40] = b"\xff" * 34

    guest = start("hello")
    guest.add_symbols(changed(tmp_path, change))
    with pytest.raises(GuestdbgError, match=r"damaged|queue\.c"):
        guest.break_("queue.c:20")


def test_address_ranges_without_an_end() -> None:
    tuples = struct.pack("<QQ", 0x4020_0000, 16)
    header = struct.pack("<HIBB", 2, 0, 8, 0) + bytes(4)
    good = header + tuples + bytes(16)
    elf_bounds.check_aranges(struct.pack("<I", len(good)) + good)
    bad = header + tuples * 2
    with pytest.raises(ValueError, match="have no end"):
        elf_bounds.check_aranges(struct.pack("<I", len(bad)) + bad)


def test_call_frames_that_refer_to_themselves() -> None:
    entry = struct.pack("<II", 20, 0) + bytes(16)
    with pytest.raises(ValueError, match="where no CIE is"):
        elf_bounds.check_call_frames(entry, eh=False)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    fifo, listening = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        for path, what in [
            (Path("/dev/zero"), "a character device"),
            (fifo, "a FIFO"),
            (listening, "a socket"),
            (tmp_path, "a directory"),
            (tmp_path / "missing", "no such file"),
        ]:
            with pytest.raises(BadImage, match=what):
                Image(path)


def test_a_file_that_grows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "growing.elf"
    path.write_bytes(QUEUE.read_bytes())
    fstat = os.fstat

    def grow(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        with path.open("ab") as file:
            file.write(b"more")
        return status

    monkeypatch.setattr(os, "fstat", grow)
    with pytest.raises(BadImage, match="changed its size while it was read"):
        Image(path)


def test_exceptions_of_libraries() -> None:
    with (
        pytest.raises(BadImage, match=r"a.elf: KeyError: 'DW_AT_name'"),
        raised_as(BadImage, "a.elf"),
    ):
        raise KeyError("DW_AT_name")
    with (
        pytest.raises(BadImage, match=r"a.elf: it takes more memory than there is"),
        raised_as(BadImage, "a.elf"),
    ):
        raise MemoryError
    with pytest.raises(KeyboardInterrupt), raised_as(BadImage, "a.elf"):
        raise KeyboardInterrupt


def test_a_call_frame_entry_is_not_large() -> None:
    """Its instructions are carried out at every address that is unwound."""

    def entry(size: int) -> bytes:
        return (size + 4).to_bytes(4, "little") + b"\xff\xff\xff\xff" + bytes(size)

    elf_bounds.check_call_frames(entry(100) + entry(16_000), eh=False)
    with pytest.raises(ValueError, match=r"entry at 0x6c has 40004 bytes; the maximum is 16384"):
        elf_bounds.check_call_frames(entry(100) + entry(40_000), eh=False)
