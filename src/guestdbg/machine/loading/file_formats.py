"""What a file is, by its magic number, where it is no guest that can be loaded as it is.

Each entry has the name of the format and how to get at what is in it. Sources: the formats'
specifications, as file(1) knows them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Format", "identify", "records"]


class Format(NamedTuple):
    """The name of a format with its article, and what to do with such a file."""

    name: str
    advice: str


_UNPACK = "unpack it, and give the guest that is in it"
_DISK = "a guest is a program, not a disk; give its kernel or firmware"

_MAGICS: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"\x27\x05\x19\x56", Format("a U-Boot legacy image (uImage)", "dumpimage unpacks it")),
    (
        0,
        b"\xd0\x0d\xfe\xed",
        Format(
            "a flattened device tree (a .dtb, or a U-Boot FIT image)",
            "the board makes its own device tree; the kernel of a FIT image is unpacked by "
            "`dumpimage -T flat_dt -p 0 -o kernel FILE`",
        ),
    ),
    (
        0,
        b"ANDROID!",
        Format(
            "an Android boot image", "`unpack_bootimg --boot_img FILE --out DIR` gets the kernel"
        ),
    ),
    (0, b"VNDRBOOT", Format("an Android vendor boot image", "give the kernel of the boot image")),
    (0, b"\x1f\x8b", Format("compressed with gzip", "unpack it first: gzip -d")),
    (0, b"BZh", Format("compressed with bzip2", "unpack it first: bzip2 -d")),
    (0, b"\xfd7zXZ\x00", Format("compressed with xz", "unpack it first: xz -d")),
    (0, b"\x28\xb5\x2f\xfd", Format("compressed with zstd", "unpack it first: zstd -d")),
    (0, b"\x04\x22\x4d\x18", Format("compressed with lz4", "unpack it first: lz4 -d")),
    (0, b"\x02\x21\x4c\x18", Format("compressed with lz4 (legacy)", "unpack it first: lz4 -d")),
    (0, b"\x89LZO\x00\r\n\x1a\n", Format("compressed with lzop", "unpack it first: lzop -d")),
    (0, b"]\x00\x00", Format("compressed with lzma", "unpack it first: xz -d --format=lzma")),
    (0, b"PK\x03\x04", Format("a zip archive", _UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Format("a 7-Zip archive", _UNPACK)),
    (257, b"ustar", Format("a tar archive", _UNPACK)),
    (0, b"!<arch>\ndebian-binary", Format("a Debian package", "unpack it: dpkg-deb -x FILE DIR")),
    (0, b"!<arch>\n", Format("a static library (ar archive)", "link it into an executable")),
    (0, b"\xed\xab\xee\xdb", Format("an RPM package", "unpack it: rpm2cpio FILE | cpio -id")),
    (0, b"070701", Format("a cpio archive (an initial RAM file system)", "give the kernel")),
    (0, b"QFI\xfb", Format("a qcow2 disk image", _DISK)),
    (0, b"KDMV", Format("a VMDK disk image", _DISK)),
    (0, b"hsqs", Format("a squashfs file system", _DISK)),
    (0, b"\xeb<\x90", Format("a FAT boot sector or disk image", _DISK)),
    (32769, b"CD001", Format("an ISO 9660 disk image", _DISK)),
    (0, b"\xcf\xfa\xed\xfe", Format("a Mach-O file", "link the guest as an ELF executable")),
    (0, b"\xfe\xed\xfa\xcf", Format("a Mach-O file", "link the guest as an ELF executable")),
    (0, b"\xca\xfe\xba\xbe", Format("a Mach-O universal file, or a Java class", "link an ELF")),
    (0, b"UF2\n", Format("a UF2 file", "convert it: uf2conv.py, or give the ELF it came from")),
    (0, b"BC\xc0\xde", Format("LLVM bitcode", "compile and link it into an executable")),
    (0, b"\0asm", Format("a WebAssembly module", "a guest is arm64 code")),
    (0, b"#!", Format("a script", "give the guest that it runs")),
)

_PE_MACHINES = {0xAA64: "arm64", 0x8664: "x86-64", 0x14C: "x86", 0x1C0: "Arm", 0x1C4: "Arm"}
_INTEL_HEX = re.compile(rb"\s*:[0-9A-Fa-f]{10,522}\r?(\n|\Z)")
_SRECORD = re.compile(rb"\s*S[0-9][0-9A-Fa-f]{6,514}\r?(\n|\Z)")


def records(contents: bytes) -> str | None:
    """What the file is, if its first line is an Intel HEX record or a Motorola S-record."""
    if _INTEL_HEX.match(contents[:1024]) is not None:
        return "an Intel HEX file"
    if _SRECORD.match(contents[:1024]) is not None:
        return "an S-record file"
    return None


def identify(contents: bytes) -> Format | None:
    """The format of a file that is no guest as it is; None if no magic number is known."""
    if (text := records(contents)) is not None:
        return Format(text, "it is text: give it without kind='raw'")
    pe = _portable_executable(contents)
    if pe is not None:
        return pe
    for at, magic, found in _MAGICS:
        if contents[at : at + len(magic)] == magic:
            return found
    return None


def _portable_executable(contents: bytes) -> Format | None:
    if contents[:2] != b"MZ":
        return None
    at = int.from_bytes(contents[60:64], "little")
    if contents[at : at + 4] != b"PE\0\0":
        return None
    number = int.from_bytes(contents[at + 4 : at + 6], "little")
    machine = _PE_MACHINES.get(number, f"machine number {number:#x}")
    return Format(
        f"an EFI program or Windows program (PE/COFF, {machine})",
        "an EFI program needs an EFI firmware, such as U-Boot (kind='firmware'), which loads it",
    )
