"""Load a guest into a board's memory, and set the first vCPU to its entry point."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from guestdbg.machine import elf, linux_image
from guestdbg.machine.board import Board
from guestdbg.machine.errors import (
    EmptyFileError,
    LoadError,
    OutsideMemoryError,
    UnknownFormatError,
    UnreadableError,
)
from guestdbg.machine.layout import (
    FLASH_BASE,
    FLASH_SIZE,
    KERNEL_OFFSET,
    MIB,
    RAM_BASE,
    RAW_OFFSET,
)
from guestdbg.machine.sizes import format_size
from guestdbg.regular_file import UnsuitableFile, read_regular_file

FileKind = Literal["elf", "raw", "image", "firmware"]
Kind = Literal["auto", "elf", "raw", "image", "firmware"]

DEVICE_TREE_ALIGNMENT = 2 * MIB  # an arm64 kernel maps its device tree with blocks of this size

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the guest: ``size`` bytes at guest-physical ``address``.

    The first ``file_size`` bytes come from the file, the others are zero. ``virtual`` is its link
    address.
    """

    address: int
    size: int
    file_size: int
    virtual: int

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.size


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded: ``entry`` and ``device_tree`` are guest-physical addresses.

    ``elf`` is the file with the symbols, if the guest is an ELF file. ``device_tree`` is None if
    the guest left no room for it.
    """

    path: Path
    kind: FileKind
    entry: int
    segments: tuple[Segment, ...]
    elf: Path | None
    device_tree: int | None


@dataclass(frozen=True, slots=True)
class _Plan:
    entry: int
    segments: tuple[tuple[Segment, bytes | memoryview], ...]
    needs_flash: bool = False


def load(
    board: Board,
    path: str | os.PathLike[str],
    *,
    kind: Kind = "auto",
    address: int | None = None,
) -> Loaded:
    """Load a guest, and set the first vCPU to its entry point.

    Args:
        board: gets the guest, and the device tree at the start of RAM if there is room.
        path: the file.
        kind: ``"elf"``: an executable, whose segments go to their physical addresses. ``"image"``:
            an arm64 Linux Image. ``"firmware"``: goes to flash at 0 and starts there. ``"raw"``:
            bytes that go to ``address`` and start there. ``"auto"``: ELF and Image are recognised
            by their magic numbers; anything else is raw if there is an ``address``.
        address: of a raw file only; the default is 512 KiB after the start of RAM.

    The vCPU starts at EL1 with the MMU off and exceptions masked; X0 is the address of the device
    tree. Everything is checked before anything is written.

    Raises:
        LoadError: one of its subclasses, with what is wrong with the file.
    """
    path = Path(path)
    if address is not None and not isinstance(address, int):
        raise LoadError(f"address={address!r}: it must be an int")
    contents = _read(path)
    chosen = _kind(contents, path, kind, address)
    if address is not None and chosen != "raw":
        raise LoadError(
            f"{path}: an address is only for raw files, and this is loaded as {chosen}, which has "
            "its own (give kind='raw' to load its bytes as they are)"
        )
    plan = _plan(board, contents, path, chosen, address)
    _check_places(board, path, plan)
    tree = board.device_tree()
    tree_address = _device_tree_address(board, plan, len(tree))
    if plan.needs_flash:
        board.map_flash()
    for segment, data in plan.segments:
        board.write_phys(segment.address, data)
        board.memory.zero(segment.address + segment.file_size, segment.size - segment.file_size)
    if tree_address is not None:
        board.write_phys(tree_address, tree)
    board.start(plan.entry, tree_address or 0)
    return Loaded(
        path=path,
        kind=chosen,
        entry=plan.entry,
        segments=tuple(segment for segment, _ in plan.segments),
        elf=path if chosen == "elf" else None,
        device_tree=tree_address,
    )


def _read(path: Path) -> bytes:
    try:
        contents = read_regular_file(path, what="guest's file")
    except UnsuitableFile as error:
        raise UnreadableError(str(error)) from error
    if not contents:
        raise EmptyFileError(f"{path}: the file is empty")
    return contents


def _kind(contents: bytes, path: Path, kind: str, address: int | None) -> FileKind:
    if kind not in get_args(Kind):
        raise LoadError(f"kind={kind!r}: one of {', '.join(get_args(Kind))}")
    if kind != "auto":
        return kind  # type: ignore[return-value]  # one of FileKind: the check above says so
    if elf.is_elf(contents):
        return "elf"
    if linux_image.is_image(contents):
        return "image"
    if address is not None:
        return "raw"
    for magic, name in _COMPRESSED.items():
        if contents.startswith(magic):
            raise UnknownFormatError(f"{path}: compressed with {name}; unpack it first")
    raise UnknownFormatError(
        f"{path}: neither an ELF file nor an arm64 Linux Image; say what it is: kind='firmware' "
        "(entered at 0, as U-Boot's u-boot.bin) or kind='raw' (bytes at an address)"
    )


def _plan(board: Board, contents: bytes, path: Path, kind: FileKind, address: int | None) -> _Plan:
    name = str(path)
    if kind == "elf":
        return _plan_elf(contents, name)
    if kind == "image":
        header = linux_image.parse(contents, name)
        start = RAM_BASE + KERNEL_OFFSET + header.text_offset
        segment = Segment(start, header.memory_size, len(contents), start)
        return _Plan(start, ((segment, contents),))
    if kind == "firmware":
        if len(contents) > FLASH_SIZE:
            raise OutsideMemoryError(
                f"{path}: {format_size(len(contents))}; a firmware fits into "
                f"{format_size(FLASH_SIZE)} of flash at {FLASH_BASE:#x}"
            )
        segment = Segment(FLASH_BASE, len(contents), len(contents), FLASH_BASE)
        return _Plan(FLASH_BASE, ((segment, contents),), needs_flash=True)
    start = RAM_BASE + RAW_OFFSET if address is None else address
    if start % 4:
        raise LoadError(f"{path}: address {start:#x} is not a multiple of 4")
    segment = Segment(start, len(contents), len(contents), start)
    return _Plan(start, ((segment, contents),), needs_flash=start < FLASH_SIZE)


def _plan_elf(contents: bytes, name: str) -> _Plan:
    parsed = elf.parse(contents, name)
    segments = tuple(
        (Segment(s.physical, s.memory_size, len(s.data), s.virtual), s.data)
        for s in parsed.segments
    )
    return _Plan(
        parsed.entry,
        segments,
        needs_flash=any(segment.address < FLASH_BASE + FLASH_SIZE for segment, _ in segments),
    )


def _check_places(board: Board, path: Path, plan: _Plan) -> None:
    flash_end = FLASH_BASE + FLASH_SIZE if plan.needs_flash else FLASH_BASE
    for segment, _ in plan.segments:
        if board.memory.find(segment.address, segment.size) is not None:
            continue
        if segment.address >= FLASH_BASE and segment.end <= flash_end:
            continue
        what = f"{path}: {segment.size:#x} bytes at {segment.address:#x}"
        ram = f"RAM is {board.ram.base:#x} to {board.ram.end - 1:#x}"
        if board.ram.base <= segment.address < board.ram.end:
            need = segment.end - board.ram.base
            raise OutsideMemoryError(
                f"{what} do not fit: {ram} ({format_size(board.memory_size)}); give the guest at "
                f"least {-(-need // MIB)} MiB of memory"
            )
        raise OutsideMemoryError(
            f"{what} are outside memory: {ram}; link the guest there, or below {FLASH_SIZE:#x} "
            "for flash"
        )


def _device_tree_address(board: Board, plan: _Plan, size: int) -> int | None:
    """The start of RAM, where firmware looks for it; after the guest if that is occupied."""
    occupied = [segment for segment, _ in plan.segments]

    def is_free(start: int) -> bool:
        return start + size <= board.ram.end and all(
            start + size <= segment.address or segment.end <= start for segment in occupied
        )

    if is_free(RAM_BASE):
        return RAM_BASE
    last = max(segment.end for segment in occupied)
    after = -(-max(last, RAM_BASE) // DEVICE_TREE_ALIGNMENT) * DEVICE_TREE_ALIGNMENT
    if is_free(after):
        return after
    return None
