"""The header of an arm64 Linux ``Image``.

Source: Documentation/arch/arm64/booting.rst in Linux, section 4: "Call the kernel image".
"""

from __future__ import annotations

from dataclasses import dataclass

from guestdbg.machine.errors import ForeignError, MalformedError, TruncatedError
from guestdbg.machine.layout import MIB

HEADER_SIZE = 64
MAGIC_OFFSET = 56
MAGIC = b"ARM\x64"

FLAG_BIG_ENDIAN = 1 << 0
OLD_TEXT_OFFSET = 512 << 10  # of kernels before 3.17, whose image_size is zero
ALIGNMENT = 2 * MIB


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Where the image must be loaded. Sizes and offsets in bytes.

    ``text_offset`` is relative to a 2 MiB boundary. ``memory_size`` is the memory that must be free
    from there on, with .bss.
    """

    text_offset: int
    memory_size: int
    flags: int


def is_image(contents: bytes) -> bool:
    """Whether a file has the header's magic number."""
    return contents[MAGIC_OFFSET : MAGIC_OFFSET + 4] == MAGIC


def parse(contents: bytes, name: str = "the file") -> ImageHeader:
    """Read the header.

    Raises:
        TruncatedError, ForeignError, MalformedError: with ``name`` and the reason.
    """
    if len(contents) < HEADER_SIZE:
        raise TruncatedError(
            f"{name}: {len(contents)} bytes, but an arm64 Image begins with a header of "
            f"{HEADER_SIZE}; copy or build the file again"
        )
    if not is_image(contents):
        raise ForeignError(
            f"{name}: not an arm64 Linux Image (no 'ARM\\x64' at offset {MAGIC_OFFSET}); "
            "a compressed one must be unpacked first"
        )
    text_offset, image_size, flags = (
        int.from_bytes(contents[at : at + 8], "little") for at in (8, 16, 24)
    )
    if flags & FLAG_BIG_ENDIAN:
        raise ForeignError(f"{name}: a big-endian kernel; guests are little-endian")
    if image_size == 0:
        return ImageHeader(OLD_TEXT_OFFSET, len(contents), flags)
    if text_offset >= ALIGNMENT or text_offset % 4:
        raise MalformedError(
            f"{name}: text offset {text_offset:#x}; it is a multiple of 4 below {ALIGNMENT:#x}"
        )
    # image_size may be less than the file: debug data or a signature may follow the image.
    return ImageHeader(text_offset, max(image_size, len(contents)), flags)
