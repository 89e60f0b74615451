"""The header of an arm64 Linux ``Image``, and those of the kernels of other architectures.

Sources, all in Linux: Documentation/arch/arm64/booting.rst, section 4, "Call the kernel image";
Documentation/arch/x86/boot.rst; Documentation/arch/riscv/boot-image-header.rst;
arch/arm/boot/compressed/head.S; arch/loongarch/kernel/head.S. That of PE/COFF: Microsoft's
specification, for the sections of a kernel that is an EFI program as well.
"""

from __future__ import annotations

from typing import NamedTuple

from guestdbg.machine.errors import ForeignError, MalformedError, TruncatedError
from guestdbg.machine.layout import MIB

HEADER_SIZE = 64
MAGIC_OFFSET = 56
MAGIC = b"ARM\x64"

FLAG_BIG_ENDIAN = 1 << 0
OLD_TEXT_OFFSET = 512 << 10  # of kernels before 3.17, whose image_size is zero
ALIGNMENT = 2 * MIB
COMMAND_LINE_SIZE = 2048  # arch/arm64/include/uapi/asm/setup.h; with the zero at its end


#: (offset, magic number, the kernel) of other architectures.
_FOREIGN = (
    (0x202, b"HdrS", "an x86 Linux kernel (bzImage)"),
    (0x24, b"\x18\x28\x6f\x01", "a 32-bit Arm Linux kernel (zImage)"),
    (0x24, b"\x01\x6f\x28\x18", "a big-endian 32-bit Arm Linux kernel (zImage)"),
    (0x30, b"RISCV\0\0\0", "a RISC-V Linux kernel (Image)"),
    (0x38, b"RSC\x05", "a RISC-V Linux kernel (Image)"),
)

_PE_HEADER_AT = slice(60, 64)
_SECTIONS_MAX = 96  # as in Microsoft's specification


class ImageHeader(NamedTuple):
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


def foreign_kernel(contents: bytes) -> str | None:
    """What a Linux kernel for another architecture is; None: the file is none that is known."""
    return next((what for at, magic, what in _FOREIGN if contents.startswith(magic, at)), None)


def _sections_end(contents: bytes) -> int:
    """The offset at which the last section of an EFI program ends; 0 if the file is none.

    The header's image_size counts .bss too, which is not in the file: only the EFI header shows
    that the end of a file is missing.
    """
    pe = int.from_bytes(contents[_PE_HEADER_AT], "little")
    if contents[:2] != b"MZ" or contents[pe : pe + 4] != b"PE\0\0":
        return 0
    count, optional = (int.from_bytes(contents[at : at + 2], "little") for at in (pe + 6, pe + 20))
    first = pe + 24 + optional
    if count > _SECTIONS_MAX or first + 40 * count > len(contents):
        return 0
    ends = [0]
    for at in range(first, first + 40 * count, 40):
        size, start = (int.from_bytes(contents[n : n + 4], "little") for n in (at + 16, at + 20))
        ends.append(start + size)
    return max(ends)


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
    if (foreign := foreign_kernel(contents)) is not None:
        raise ForeignError(
            f"{name}: {foreign}; guests are arm64: give an arm64 kernel (arch/arm64/boot/Image)"
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
        raise ForeignError(
            f"{name}: a big-endian kernel; guests are little-endian: build it without "
            "CONFIG_CPU_BIG_ENDIAN"
        )
    if (end := _sections_end(contents)) > len(contents):
        raise TruncatedError(
            f"{name}: {len(contents)} bytes of an arm64 Image whose last section ends at {end}; "
            "copy it again"
        )
    if image_size == 0:
        return ImageHeader(OLD_TEXT_OFFSET, len(contents), flags)
    if text_offset >= ALIGNMENT or text_offset % 4:
        raise MalformedError(
            f"{name}: text offset {text_offset:#x}; it is a multiple of 4 below {ALIGNMENT:#x}"
        )
    # image_size may be less than the file: debug data or a signature may follow the image.
    return ImageHeader(text_offset, max(image_size, len(contents)), flags)
