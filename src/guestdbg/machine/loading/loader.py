"""Load a guest into a board's memory, and set the first vCPU to its entry point."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.machine.errors import (
    EmptyFileError,
    ForeignError,
    LoadError,
    MalformedError,
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
from guestdbg.machine.loading import (
    elf,
    file_formats,
    linux_image,
    uimage,
    unpacking,
)
from guestdbg.machine.loading.placement import DEVICE_TREE_ALIGNMENT, Places
from guestdbg.machine.sizes import format_size
from guestdbg.regular_file import UnsuitableFile, read_regular_file

if TYPE_CHECKING:
    from guestdbg.machine.board import Board

FileKind = Literal["elf", "raw", "image", "firmware"]
Kind = Literal["auto", "elf", "raw", "image", "firmware"]

_LAYERS_MAX = 4  # a compressed kernel in an EFI program in a compressed file, and one more
_PIE_OFFSET = 2 * MIB  # in RAM, of an executable that can run anywhere and is linked at 0


@hexadecimal("address")
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


@hexadecimal("entry", "device_tree", "slide")
@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded: ``entry`` and ``device_tree`` are guest-physical addresses.

    ``elf`` is the file with the symbols, if the guest is an ELF file. ``elf_contents`` are its
    bytes if the file itself is not the ELF (it was unpacked, or given as bytes). ``slide`` is how
    far an executable that can run anywhere was moved from its link addresses. ``device_tree`` is
    None if the guest left no room for it. ``initrd`` is where the initial RAM file system is, if
    there is one. ``notes`` are messages for the user.
    """

    path: Path
    kind: FileKind
    entry: int
    segments: tuple[Segment, ...]
    elf: Path | None
    device_tree: int | None
    elf_contents: bytes | None = None
    slide: int = 0
    notes: tuple[str, ...] = ()
    initrd: Segment | None = None


class _Initrd(NamedTuple):
    path: Path
    contents: bytes


class _Plan(NamedTuple):
    entry: int
    segments: tuple[tuple[Segment, bytes | memoryview], ...]
    needs_flash: bool = False
    flash_writable: bool = False
    slide: int = 0
    notes: tuple[str, ...] = ()
    tree_at_base: bool = True


def load(
    board: Board,
    path: str | os.PathLike[str] | bytes,
    *,
    kind: Kind = "auto",
    address: int | None = None,
    initrd: str | os.PathLike[str] | bytes | None = None,
) -> Loaded:
    """Load a guest, and set the first vCPU to its entry point.

    Args:
        board: gets the guest, and the device tree where QEMU's ``-kernel`` puts it: for a raw file
            and an Image at half of RAM or 128 MiB, or after the guest; for all others at the start
            of RAM, or after the guest if there is no room.
        path: the file; or the guest itself, as bytes.
        kind: ``"elf"``: an executable, whose segments go to their physical addresses. ``"image"``:
            an arm64 Linux Image. ``"firmware"``: goes to flash at 0 and starts there. ``"raw"``:
            bytes that go to ``address`` and start there. ``"auto"``: ELF and Image are recognised
            by their magic numbers, as are uImage, Intel HEX and S-records, and what is compressed
            (gzip, bzip2, xz, lzma, zstd, lz4, EFI zboot) is unpacked; other known formats are
            refused by name, and anything else is raw if there is an ``address``.
        address: of a raw file only; the default is 512 KiB after the start of RAM.
        initrd: the initial RAM file system of a kernel, a file or its bytes: cpio archives in newc
            format, compressed or not. They are checked, and passed to the guest as they are: at
            half of RAM or 128 MiB, or after the guest. The device tree names the place
            (/chosen/linux,initrd-start and -end).

    The vCPU starts at EL1 with the MMU off and exceptions masked; X0 is the address of the device
    tree. Everything is checked before anything is written.

    Raises:
        LoadError: one of its subclasses, with what is wrong with the file.
    """
    if address is not None and not isinstance(address, int):
        raise LoadError(f"address={address!r}: it must be an int")
    if kind not in get_args(Kind):
        raise LoadError(f"kind={kind!r}: one of {', '.join(get_args(Kind))}")
    path, contents, given = _contents(path, "guest")
    ramdisk = None if initrd is None else _initrd(initrd, board.memory_size)
    unpacked = contents
    notes: list[str] = []
    if kind in ("auto", "elf", "image"):
        unpacked = _unpacked(contents, path, board.memory_size, notes)
    special = _from_container(unpacked, path, address) if kind == "auto" else None
    if special is not None:
        chosen, plan = special
        _check_places(board, path, plan)
        return _load(board, path, chosen, plan, ramdisk, None)
    contents = unpacked if unpacked is not contents else contents
    chosen = _kind(contents, path, kind, address)
    if address is not None and chosen != "raw":
        raise LoadError(
            f"{path}: an address is only for raw files, and this is loaded as {chosen}, which has "
            "its own (give kind='raw' to load its bytes as they are)"
        )
    plan = _plan(board, contents, path, chosen, address)
    _check_places(board, path, plan)
    plan = plan._replace(notes=(*notes, *plan.notes))
    is_file = not given and not notes
    return _load(board, path, chosen, plan, ramdisk, None if is_file else contents)


def _contents(file: str | os.PathLike[str] | bytes, what: str) -> tuple[Path, bytes, bool]:
    """The path, the contents, and whether these were given instead of a path."""
    if not isinstance(file, bytes | bytearray | memoryview):
        path = Path(file)
        return path, _read(path, what), False
    if not file:
        raise EmptyFileError(f"{'an' if what[0] in 'aeiou' else 'a'} {what} of no bytes")
    return Path("<bytes>"), bytes(file), True


def _initrd(file: str | os.PathLike[str] | bytes, limit: int) -> _Initrd:
    path, contents, _ = _contents(file, "initrd")
    from guestdbg.machine.loading import initrd  # few guests have one

    initrd.check(contents, str(path), limit)
    return _Initrd(path, contents)


def _load(
    board: Board,
    path: Path,
    kind: FileKind,
    plan: _Plan,
    ramdisk: _Initrd | None,
    elf_contents: bytes | None,
) -> Loaded:
    places = Places(board.ram.end, ((segment.address, segment.end) for segment, _ in plan.segments))
    placed: Segment | None = None
    if ramdisk is not None:
        size = len(ramdisk.contents)
        start = places.initrd(size, str(ramdisk.path))
        placed = Segment(start, size, size, start)
    tree = board.device_tree(
        initrd=None if placed is None else (placed.address, placed.end),
        flash=plan.needs_flash and not plan.flash_writable,
    )
    tree_address = places.device_tree(len(tree), at_base=plan.tree_at_base)
    if tree_address is None and ramdisk is not None:
        raise OutsideMemoryError(
            f"{path}: there is no room for the device tree, without which the guest does not find "
            "its initrd; give it more memory"
        )
    if plan.needs_flash:
        board.map_flash(writable=plan.flash_writable)
    for segment, data in plan.segments:
        board.write_phys(segment.address, data)
        board.memory.zero(segment.address + segment.file_size, segment.size - segment.file_size)
    if placed is not None and ramdisk is not None:
        board.write_phys(placed.address, ramdisk.contents)
    if tree_address is not None:
        board.write_phys(tree_address, tree)
    board.start(plan.entry, tree_address or 0)
    return Loaded(
        path=path,
        kind=kind,
        entry=plan.entry,
        segments=tuple(segment for segment, _ in plan.segments),
        elf=path if kind == "elf" else None,
        device_tree=tree_address,
        elf_contents=elf_contents if kind == "elf" else None,
        slide=plan.slide,
        notes=(*plan.notes, *_bootargs_notes(kind, board.bootargs)),
        initrd=placed,
    )


def _bootargs_notes(kind: FileKind, bootargs: str) -> tuple[str, ...]:
    """What Linux would do silently with a command line that is too long."""
    size = len(bootargs.encode("utf-8", "surrogateescape"))
    most = linux_image.COMMAND_LINE_SIZE - 1
    if kind != "image" or size <= most:
        return ()
    return (
        f"the command line has {size} bytes: an arm64 Linux takes {most}, and ignores the rest",
    )


def _unpacked(contents: bytes, path: Path, limit: int, notes: list[str]) -> bytes:
    """What is in a compressed file, however often it is compressed; notes say what was unpacked."""
    name = str(path)
    for _ in range(_LAYERS_MAX):
        if linux_image.is_image(contents):
            return contents
        payload = unpacking.unpacked_zboot(contents, name)
        if payload is not None:
            notes.append(f"{path} is a compressed EFI kernel (zboot); the kernel in it is loaded")
            contents = payload
            continue
        found = unpacking.unpack(contents, name, limit)
        if found is None:
            return contents
        kind, contents = found
        notes.append(f"{path} is compressed with {kind}; what is in it is loaded")
        if not contents:
            raise EmptyFileError(f"{path}: compressed with {kind}, and there is nothing in it")
    raise LoadError(f"{path}: compressed more than {_LAYERS_MAX} times; unpack it first")


def _from_container(
    contents: bytes, path: Path, address: int | None
) -> tuple[FileKind, _Plan] | None:
    """The plan for formats that say where their contents go: uImage, Intel HEX, S-records."""
    name = str(path)
    pieces: tuple[tuple[Segment, bytes], ...]
    if uimage.is_uimage(contents):
        header = uimage.parse(contents, name)
        notes: list[str] = []
        data = _unpacked(header.data, path, FLASH_SIZE * 16, notes)
        notes.insert(0, f"{path} is a U-Boot legacy image (uImage)")
        if linux_image.is_image(data):
            return "image", _plan_image(data, name)._replace(notes=tuple(notes))
        segment = Segment(header.load, len(data), len(data), header.load)
        entry, pieces = header.entry, ((segment, data),)
    elif (what := file_formats.records(contents)) is not None:
        from guestdbg.machine.loading import hex_records

        start, found = hex_records.parse(contents, name, what)
        pieces = tuple((Segment(at, len(d), len(d), at), d) for at, d in found)
        entry = pieces[0][0].address if start is None else start
        notes = [f"{path} is {what}, entered at {entry:#x}"]
    else:
        return None
    if address is not None:
        raise LoadError(f"{path}: {notes[0].partition(' is ')[2]}, which has its own addresses")
    if entry % 4 or not any(s.address <= entry < s.end for s, _ in pieces):
        raise MalformedError(f"{path}: its entry point {entry:#x} is not in what it loads")
    in_flash = any(s.address < FLASH_SIZE for s, _ in pieces)
    return "raw", _Plan(entry, pieces, needs_flash=in_flash, notes=tuple(notes), tree_at_base=False)


def _read(path: Path, what: str) -> bytes:
    try:
        contents = read_regular_file(path, what=f"{what}'s file")
    except UnsuitableFile as error:
        raise UnreadableError(str(error)) from error
    if not contents:
        raise EmptyFileError(f"{path}: the file is empty")
    return contents


def _kind(contents: bytes, path: Path, kind: str, address: int | None) -> FileKind:
    known = file_formats.identify(contents)
    if kind == "raw" and known is not None and file_formats.records(contents):
        raise LoadError(f"{path}: {known.name}, which is no code; {known.advice}")
    if kind != "auto":
        return kind  # type: ignore[return-value]  # one of FileKind: the check above says so
    if elf.is_elf(contents):
        return "elf"
    if linux_image.is_image(contents):
        return "image"
    if (foreign := linux_image.foreign_kernel(contents)) is not None:
        raise ForeignError(
            f"{path}: {foreign}; guests are arm64: give an arm64 kernel (arch/arm64/boot/Image)"
        )
    if known is not None:
        raise UnknownFormatError(f"{path}: {known.name}; {known.advice}")
    if address is not None:
        return "raw"
    raise UnknownFormatError(
        f"{path}: neither an ELF file nor an arm64 Linux Image; say what it is: kind='firmware' "
        "(entered at 0, as U-Boot's u-boot.bin) or kind='raw' (bytes at an address)"
    )


def _plan(board: Board, contents: bytes, path: Path, kind: FileKind, address: int | None) -> _Plan:
    name = str(path)
    if kind == "elf":
        return _plan_elf(contents, name)
    if kind == "image":
        return _plan_image(contents, name)
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
    in_flash = start < FLASH_SIZE
    return _Plan(start, ((segment, contents),), needs_flash=in_flash, tree_at_base=in_flash)


def _plan_image(contents: bytes, name: str) -> _Plan:
    header = linux_image.parse(contents, name)
    start = RAM_BASE + KERNEL_OFFSET + header.text_offset
    segment = Segment(start, header.memory_size, len(contents), start)
    return _Plan(start, ((segment, contents),), tree_at_base=False)


def _plan_elf(contents: bytes, name: str) -> _Plan:
    parsed = elf.parse(contents, name)
    notes: list[str] = []
    slide = 0
    if parsed.moves and min(s.physical for s in parsed.segments) < RAM_BASE:
        lowest = min(s.physical for s in parsed.segments) & -DEVICE_TREE_ALIGNMENT
        slide = RAM_BASE + _PIE_OFFSET - lowest
        notes.append(
            f"{name} is position-independent and linked at {lowest:#x}: it is loaded at "
            f"{lowest + slide:#x}, and its symbols are moved by {slide:#x}. It must apply its "
            "relocations itself, as a static PIE does"
        )
    segments = tuple(
        (Segment(s.physical + slide, s.memory_size, len(s.data), s.virtual + slide), s.data)
        for s in parsed.segments
    )
    in_flash = any(segment.address < FLASH_BASE + FLASH_SIZE for segment, _ in segments)
    # A writable segment that is linked in flash, and is not copied from there to RAM.
    writable = any(
        s.writable and s.virtual == s.physical and s.physical + slide < FLASH_SIZE
        for s in parsed.segments
    )
    if writable:
        notes.append(
            f"{name} has writable data below {FLASH_SIZE:#x}, where the board has flash: it is "
            f"made writable for this guest. QEMU's is not: link the guest at {RAM_BASE:#x} or above"
        )
    entry = parsed.entry + slide
    notes += _linked_elsewhere(name, entry, segments)
    return _Plan(entry, segments, in_flash, writable, slide, tuple(notes))


def _linked_elsewhere(
    name: str, entry: int, segments: tuple[tuple[Segment, bytes | memoryview], ...]
) -> list[str]:
    """A note, if the code at the entry is linked at another address than the one it starts at."""
    for segment, _ in segments:
        if segment.address <= entry < segment.end and segment.virtual != segment.address:
            distance = segment.address - segment.virtual
            sign = "-" if distance < 0 else ""
            return [
                f"{name} is linked at {segment.virtual:#x} and starts at its physical address, "
                f"{entry:#x}: until it turns on the MMU, breakpoints and watches by name are not "
                f"hit there. For that part, use --slide {sign}{abs(distance):#x} (slide=), or "
                "physical addresses"
            ]
    return []


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
        advice = f"link the guest there, or below {FLASH_SIZE:#x} for flash"
        if segment.address >> 48:
            advice = (
                "these are virtual addresses, as in the vmlinux of Linux: give its Image "
                "(arch/arm64/boot/Image), and the vmlinux for the symbols (--symbols, symbols=)"
            )
        raise OutsideMemoryError(f"{what} are outside memory: {ram}; {advice}")
