"""Initial RAM file systems of Linux: what an initrd is, and whether the kernel can unpack it.

An initrd is passed to the guest as it is. But a kernel that cannot unpack it says little and
panics much later, for want of a root file system. So the file is checked as the kernel will read
it: cpio archives in "newc" format one after the other, each plain or compressed, with zero bytes
between them. Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst and
Documentation/filesystems/ramfs-rootfs-initramfs.rst.
"""

from __future__ import annotations

import re

from guestdbg.machine.errors import (
    LoadError,
    MalformedError,
    OutsideMemoryError,
    TruncatedError,
    UnknownFormatError,
)
from guestdbg.machine.loading import unpacking
from guestdbg.machine.sizes import format_size

__all__ = ["check"]

_NEWC = (b"070701", b"070702")
_OTHER_CPIO = (b"070707", b"\xc7\x71", b"\x71\xc7")
_HEADER = 110
_FIELDS = re.compile(rb"[0-9A-Fa-f]{104}")
_FILE_SIZE, _NAME_SIZE = slice(54, 62), slice(94, 102)
_MAGIC_SIZE = 6
_ZEROS = re.compile(rb"\0+")
_NAME_MAX = 1 << 16  # Linux skips what has a name of more than 4096 bytes
_TRAILER = b"TRAILER!!!\0"

#: Compressed in ways that Linux reads and this package does not: passed on unseen.
_UNSEEN = (b"\x89LZO\x00\r\n\x1a\n",)
#: (offset, magic number) of the file systems that Linux copies to a RAM disk.
_FILE_SYSTEMS = (
    (0, b"-rom1fs-"),
    (0, b"\x45\x3d\xcd\x28"),
    (0, b"hsqs"),
    (0x438, b"\x53\xef"),
)
_ADVICE = (
    "an initrd is a cpio archive (cpio -o -H newc), plain or compressed with gzip, bzip2, xz, "
    "lzma, zstd, lzop or lz4 -l"
)


class _Archive:
    """Cpio archives that come in pieces: follows their headers, and skips what is in the files."""

    def __init__(self, name: str, limit: int | None = None) -> None:
        self._name = name
        self._limit = limit
        self._done = 0  # bytes
        self._rest = b""
        self._skip = 0
        self._in_archive = False

    def feed(self, piece: bytes) -> None:
        """The next piece. All that comes must be archives."""
        data = self._rest + piece
        if self._limit is not None and self._done + len(data) > self._limit:
            raise OutsideMemoryError(
                f"{self._name}: it unpacks to more than {format_size(self._limit)}, the board's "
                "memory; give it more"
            )
        at = self.walk(data, 0)
        self._rest = data[at:]
        if len(self._rest) >= _MAGIC_SIZE and not self._rest.startswith(_NEWC):
            raise MalformedError(f"{self._name}: no cpio header {self._where()}; {_ADVICE}")

    def walk(self, data: bytes, at: int) -> int:
        """The offset of the first byte that needs more data, or that is not of an archive."""
        while at < len(data):
            step = self._step(data, at)
            if not step:
                break
            self._done += step
            at += step
        return at

    def _step(self, data: bytes, at: int) -> int:
        """How many bytes of ``data`` at ``at`` are done with; 0: none yet."""
        if self._skip:
            step = min(self._skip, len(data) - at)
            self._skip -= step
            return step
        if not self._in_archive and (zeros := _ZEROS.match(data, at)) is not None:
            return zeros.end() - at
        header = data[at : at + _HEADER]
        if header.startswith(_NEWC):
            self._in_archive = True
        if len(header) < _HEADER or not self._in_archive:
            return 0
        if not header.startswith(_NEWC) or _FIELDS.fullmatch(header, _MAGIC_SIZE) is None:
            raise MalformedError(f"{self._name}: a damaged cpio header {self._where()}")
        name_size, file_size = int(header[_NAME_SIZE], 16), int(header[_FILE_SIZE], 16)
        if not 0 < name_size <= _NAME_MAX:
            raise MalformedError(f"{self._name}: a file name of {name_size} bytes {self._where()}")
        name = data[at + _HEADER : at + _HEADER + name_size]
        if len(name) < name_size:
            return 0
        self._in_archive = name != _TRAILER
        # Names and files are padded to 4 bytes from the start of the header, which is so as well.
        named = -(-(_HEADER + name_size) // 4) * 4
        self._skip = named + -(-file_size // 4) * 4
        if not self._in_archive:
            # The padding of the last name may be missing at the end of the file.
            self._skip = _HEADER + name_size + file_size
        return self._step(data, at)

    def _where(self) -> str:
        return f"at byte {self._done} of the archive"

    def finish(self) -> None:
        """Nothing more comes."""
        if self._in_archive or self._rest or self._skip:
            raise TruncatedError(
                f"{self._name}: the cpio archive ends too early; copy or build it again"
            )


def check(contents: bytes, name: str, limit: int) -> None:
    """Check that Linux can unpack the file, to at most ``limit`` bytes.

    File systems that Linux copies to a RAM disk, and archives compressed with lzop, pass unseen.

    Raises:
        UnknownFormatError: the file is no initrd.
        MalformedError, TruncatedError: it is damaged.
        OutsideMemoryError: it unpacks to more than ``limit`` bytes.
    """
    if any(contents.startswith(magic, at) for at, magic in _FILE_SYSTEMS):
        return
    at = 0
    while at < len(contents):
        if at and (zeros := _ZEROS.match(contents, at)) is not None:
            at = zeros.end()
        elif contents.startswith(_UNSEEN, at):
            return
        elif contents.startswith(_NEWC, at):
            archive = _Archive(name)
            at = archive.walk(contents, at)
            archive.finish()
        else:
            at = _compressed(contents, at, name, limit)


def _compressed(contents: bytes, at: int, name: str, limit: int) -> int:
    """The offset after the compressed archive at ``at``."""
    kind = unpacking.compression(contents, at)
    where = f"{name}: " if not at else f"{name}: at byte {at} after another archive: "
    if kind is None:
        if contents.startswith(_OTHER_CPIO, at):
            raise LoadError(f"{where}a cpio archive in another format than newc; {_ADVICE}")
        raise UnknownFormatError(f"{where}neither a cpio archive nor compressed; {_ADVICE}")
    if kind == "lz4":
        raise LoadError(
            f"{where}compressed with lz4 in its frame format; Linux reads only the legacy format "
            "(lz4 -l)"
        )
    archive = _Archive(f"{name}: compressed with {kind}", limit)
    end = unpacking.unpack_to(contents, name, archive.feed, at)
    archive.finish()
    return end
