"""Loading guests into a board: addresses, and the messages for files that are refused."""

import errno
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.kvm import open_kvm
from guestdbg.kvm.constants import KVM_CAP_READONLY_MEM, KVM_MEM_READONLY
from guestdbg.machine import (
    Board,
    EmptyFileError,
    ForeignError,
    LoadError,
    MalformedError,
    OutsideMemoryError,
    TruncatedError,
    UnknownFormatError,
    UnreadableError,
    load,
)
from guestdbg.machine.board import PSTATE_START
from tests.machine.fakes import ALL_CAPS, FakeKvm, FakeVcpu
from tests.machine.loading.elfs import make_elf

RAM = 0x4000_0000
NOP = b"\x1f\x20\x03\xd5"
FDT_MAGIC = b"\xd0\x0d\xfe\xed"


@pytest.fixture
def board() -> Board:
    return Board(FakeKvm(), memory_size=16 << 20)


def regs(board: Board) -> dict[str, int]:
    vcpu = board.vcpus[0]
    assert isinstance(vcpu, FakeVcpu)
    return vcpu.regs


def write(tmp_path: Path, contents: bytes, name: str = "guest") -> Path:
    path = tmp_path / name
    path.write_bytes(contents)
    return path


def make_image(
    size: int = 256, *, text_offset: int = 0, image_size: int = 4096, flags: int = 0
) -> bytes:
    header = struct.pack(
        "<IIQQQQQQ4sI", 0, 0, text_offset, image_size, flags, 0, 0, 0, b"ARM\x64", 0
    )
    return header + bytes(range(1, 256)) * (size // 255 + 1)


def bzimage() -> bytes:
    return b"MZ".ljust(510, b"\0") + b"\x55\xaa\xeb\x66HdrS" + bytes(999)


def make_efi_image(sections: tuple[tuple[int, int], ...] = ((512, 1024), (1536, 2560))) -> bytes:
    """A kernel that is an EFI program as well, with sections at (offset in the file, size)."""
    head = struct.pack("<2sHIQQQQQQ4sI", b"MZ", 0, 0, 0, 8192, 0, 0, 0, 0, b"ARM\x64", 64)
    pe = b"PE\0\0" + struct.pack("<HHIIIHH", 0xAA64, len(sections), 0, 0, 0, 8, 0) + bytes(8)
    table = (struct.pack("<8sIIIIIIHHI", b".s", 0, 0, n, at, 0, 0, 0, 0, 0) for at, n in sections)
    return (head + pe + b"".join(table)).ljust(4096, b"\xff")


def test_elf(board: Board, tmp_path: Path) -> None:
    board.write_phys(0x40300000, b"\xff" * 200)
    path = write(
        tmp_path,
        make_elf(
            [(0x40200000, NOP * 3), (0x40300000, b"data")],
            entry=0x40200004,
            memory_sizes=[None, 100],
        ),
    )
    loaded = load(board, path)
    assert loaded.kind == "elf"
    assert loaded.elf == path
    assert loaded.entry == 0x40200004
    assert board.read_phys(0x40200000, 12) == NOP * 3
    assert board.read_phys(0x40300000, 101) == b"data" + bytes(96) + b"\xff", ".bss is cleared"
    assert regs(board)["pc"] == 0x40200004
    assert regs(board)["pstate"] == PSTATE_START
    assert regs(board)["x0"] == loaded.device_tree == RAM
    assert board.read_phys(RAM, 4) == FDT_MAGIC


def test_every_part_that_was_written_is_told_to_the_provider(board: Board, tmp_path: Path) -> None:
    """Otherwise a second guest would execute decoded code of the first."""
    load(board, write(tmp_path, make_elf()))
    assert (0x40200000, 16) in board.vm.changed  # type: ignore[attr-defined]


def test_the_device_tree_gives_way(board: Board, tmp_path: Path) -> None:
    loaded = load(board, write(tmp_path, make_elf([(RAM, NOP * 100)])))
    assert loaded.device_tree == RAM + (2 << 20)
    assert board.read_phys(RAM, 4) == NOP
    assert board.read_phys(RAM + (2 << 20), 4) == FDT_MAGIC


def test_no_room_for_a_device_tree(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path, make_elf([(RAM, NOP)], memory_sizes=[(16 << 20) - 512]))
    loaded = load(board, path)
    assert loaded.device_tree is None
    assert regs(board)["x0"] == 0


def test_firmware_is_flashed_at_zero(board: Board, tmp_path: Path) -> None:
    loaded = load(board, write(tmp_path, NOP * 10), kind="firmware")
    assert loaded.entry == regs(board)["pc"] == 0
    assert regs(board)["x0"] == RAM
    assert board.read_phys(0, 40) == NOP * 10
    assert board.read_phys(RAM, 4) == FDT_MAGIC
    for slot, base in ((1, 0), (2, 64 << 20)):
        address, memory, flags = board.vm.slots[slot]  # type: ignore[attr-defined]
        assert (address, len(memory), flags) == (base, 64 << 20, KVM_MEM_READONLY)
    assert b"cfi-flash" in board.device_tree()


def test_flash_is_writable_where_there_is_no_read_only_memory(tmp_path: Path) -> None:
    board = Board(FakeKvm(ALL_CAPS - {KVM_CAP_READONLY_MEM}))
    load(board, write(tmp_path, NOP), kind="firmware")
    assert board.vm.slots[1][2] == 0  # type: ignore[attr-defined]


def test_an_elf_linked_into_flash(board: Board, tmp_path: Path) -> None:
    loaded = load(board, write(tmp_path, make_elf([(0, NOP * 2)])))
    assert loaded.entry == 0
    assert board.read_phys(0, 8) == NOP * 2


def test_without_firmware_there_is_no_flash(board: Board, tmp_path: Path) -> None:
    load(board, write(tmp_path, make_elf()))
    assert board.flash is None


def test_image(board: Board, tmp_path: Path) -> None:
    contents = make_image(text_offset=0x1000, image_size=0x9000)
    loaded = load(board, write(tmp_path, contents))
    assert loaded.kind == "image"
    assert loaded.elf is None
    assert loaded.entry == RAM + (2 << 20) + 0x1000
    assert board.read_phys(loaded.entry, len(contents)) == contents
    assert loaded.segments[0].size == 0x9000
    assert regs(board)["x0"] == loaded.device_tree == RAM + (8 << 20)


@pytest.mark.parametrize(("size", "said"), [(2047, False), (2048, True)])
def test_a_command_line_that_linux_cuts(tmp_path: Path, size: int, said: bool) -> None:
    with open_kvm("soft") as kvm, Board(kvm, memory_size=32 << 20, bootargs="x" * size) as board:
        notes = load(board, write(tmp_path, make_image(text_offset=0, image_size=0x9000))).notes
        assert any("takes 2047, and ignores the rest" in note for note in notes) == said
        assert not load(board, write(tmp_path, make_elf([(RAM, NOP)]))).notes


def test_an_old_image_without_a_size(board: Board, tmp_path: Path) -> None:
    loaded = load(board, write(tmp_path, make_image(image_size=0, text_offset=77)))
    assert loaded.entry == RAM + (2 << 20) + (512 << 10)


def test_an_image_that_is_an_efi_program(board: Board, tmp_path: Path) -> None:
    assert load(board, write(tmp_path, make_efi_image())).kind == "image"
    assert load(board, write(tmp_path, make_efi_image() + b"signature")).kind == "image"


def test_raw(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path, NOP * 5)
    assert load(board, path, kind="raw").entry == RAM + (512 << 10)
    loaded = load(board, path, address=RAM + 0x10000)
    assert loaded.kind == "raw"
    assert loaded.entry == regs(board)["pc"] == RAM + 0x10000
    assert board.read_phys(RAM + 0x10000, 20) == NOP * 5


def test_an_elf_as_raw_bytes(board: Board, tmp_path: Path) -> None:
    loaded = load(board, write(tmp_path, make_elf()), kind="raw", address=RAM + 0x1000)
    assert board.read_phys(loaded.entry, 4) == b"\x7fELF"


def test_loading_again_starts_afresh(board: Board, tmp_path: Path) -> None:
    load(board, write(tmp_path, make_elf()))
    vcpu = board.vcpus[0]
    assert isinstance(vcpu, FakeVcpu)
    load(board, write(tmp_path, make_elf([(0x40300000, NOP)])))
    assert len(vcpu.inits) == 2
    assert vcpu.regs["pc"] == 0x40300000


@pytest.mark.parametrize(
    ("contents", "arguments", "error", "message"),
    [
        (b"", {}, EmptyFileError, "the file is empty"),
        (b"#!/bin/sh\n", {}, UnknownFormatError, "a script; give the guest that it runs"),
        (NOP * 9, {}, UnknownFormatError, "say what it is: kind='firmware'"),
        (b"\x1f\x8b" + bytes(60), {}, MalformedError, "the gzip data is damaged"),
        (NOP, {"kind": "elf"}, ForeignError, "not an ELF file"),
        (NOP, {"kind": "image"}, TruncatedError, "4 bytes, but an arm64 Image begins with"),
        (NOP * 99, {"kind": "image"}, ForeignError, "not an arm64 Linux Image"),
        (make_image(flags=1), {}, ForeignError, "a big-endian kernel; .*CPU_BIG_ENDIAN"),
        (bzimage(), {}, ForeignError, r"an x86 Linux kernel \(bzImage\); guests are arm64"),
        (bzimage(), {"kind": "image"}, ForeignError, r"an x86 Linux kernel"),
        (
            bytes(36) + b"\x18\x28\x6f\x01" + bytes(99),
            {},
            ForeignError,
            "a 32-bit Arm Linux kernel",
        ),
        (bytes(48) + b"RISCV\0\0\0RSC\5" + bytes(99), {}, ForeignError, "a RISC-V Linux kernel"),
        (make_efi_image()[:-1], {}, TruncatedError, "whose last section ends at 4096; copy it"),
        (make_elf([(0xFFFF_8000_8000_0000, NOP)]), {}, OutsideMemoryError, "the vmlinux of Linux"),
        (make_image(text_offset=2 << 20), {}, MalformedError, "text offset 0x200000"),
        (make_image(image_size=1 << 40), {}, OutsideMemoryError, "at least 1048578 MiB of memory"),
        (make_image(image_size=15 << 20), {}, OutsideMemoryError, "at least 17 MiB of memory"),
        (NOP, {"kind": "uefi"}, LoadError, "kind='uefi': one of auto, elf"),
        (NOP, {"address": RAM + 2}, LoadError, "is not a multiple of 4"),
        (NOP, {"address": RAM - 4}, OutsideMemoryError, "are outside memory: RAM is 0x40000000"),
        (NOP, {"address": -8}, OutsideMemoryError, "are outside memory"),
        (NOP * 2, {"address": RAM + (16 << 20) - 4}, OutsideMemoryError, "at least 17 MiB"),
        (NOP, {"kind": "firmware", "address": 4}, LoadError, "an address is only for raw files"),
        (make_elf([(0x80000000, NOP)]), {}, OutsideMemoryError, "link the guest there"),
        (
            make_elf(memory_sizes=[64 << 20]),
            {},
            OutsideMemoryError,
            r"do not fit: RAM is 0x40000000 to 0x40ffffff \(16 MiB\); .* at least 66 MiB",
        ),
        (make_elf([((64 << 20) - 4, NOP * 2)]), {}, OutsideMemoryError, "outside memory"),
    ],
)
def test_what_cannot_be_loaded(
    board: Board,
    tmp_path: Path,
    contents: bytes,
    arguments: dict[str, object],
    error: type[LoadError],
    message: str,
) -> None:
    path = write(tmp_path, contents)
    with pytest.raises(error, match=message):
        load(board, path, **arguments)  # type: ignore[arg-type]
    assert board.flash is None, "nothing is changed by a failed load"
    assert not regs(board)
    assert not any(board.ram.buffer[:4096])


def test_a_firmware_larger_than_flash(board: Board, tmp_path: Path) -> None:
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(OutsideMemoryError, match="fits into 64 MiB of flash"):
        load(board, path, kind="firmware")


def test_files_that_cannot_be_read(board: Board, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such file"):
        load(board, tmp_path / "missing")
    with pytest.raises(UnreadableError, match="a directory"):
        load(board, tmp_path)
    with pytest.raises(UnreadableError, match="not a regular file"):
        load(board, "/dev/zero")
    with pytest.raises(UnreadableError, match="cannot be read"):
        load(board, "nul\0byte")


def test_a_file_without_permission(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a replaced function: root, as which containers run tests, may read every file."""

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = write(tmp_path, make_elf())
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableError, match="may not be read; check its permissions"):
        load(board, path)


def test_a_file_of_absurd_size(board: Board, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LoadError, match=r"at most 4096 MiB \(4 GiB\)"):
        load(board, path)


@settings(max_examples=200, deadline=None)
@given(
    places=st.lists(
        st.tuples(
            st.integers(0, 16 << 8).map(lambda n: RAM + n * 0x1000),
            st.integers(1, 0x3000),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_segments_anywhere(
    places: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """They are loaded exactly, and the device tree does not overlap them; or they are refused."""
    board = Board(FakeKvm(), memory_size=16 << 20)
    segments = [(start, bytes([index + 1]) * size) for index, (start, size) in enumerate(places)]
    path = tmp_path_factory.getbasetemp() / "anywhere.elf"
    path.write_bytes(make_elf(segments))
    try:
        loaded = load(board, path)
    except LoadError:
        assert not any(board.ram.buffer[:0x1000])
        return
    for start, data in segments:
        assert board.read_phys(start, len(data)) == data
    if loaded.device_tree is not None:
        assert board.read_phys(loaded.device_tree, 4) == FDT_MAGIC
    board.close()
