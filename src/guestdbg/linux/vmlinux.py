"""A kernel's vmlinux: the ELF file that its Image was made of, with its debug information.

Which kernel a vmlinux belongs to says its build ID, an ELF note (NT_GNU_BUILD_ID) that the linker
computes from the kernel's contents. It lies in the section .notes, which is in the Image too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from guestdbg.debugger.errors import BadImage
from guestdbg.debugger.program.image import Image
from guestdbg.linux.errors import BadVmlinux
from guestdbg.machine.loading import linux_image

__all__ = ["Vmlinux", "build_ids", "release_of"]

_RELEASE = re.compile(rb"Linux version ([\x21-\x7e]{1,64}) \(")
#: name size, contents size, NT_GNU_BUILD_ID, and the name; then up to 64 bytes of contents.
_NOTE = re.compile(rb"\x04\0\0\0([\x08-\x40])\0\0\0\x03\0\0\0GNU\0", re.DOTALL)
#: The vDSO, which is an ELF file in the kernel, has a note of its own, near its start.
_ELF, _NEAR = b"\x7fELF", 8192
_TEXT = "_text"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}


def build_ids(kernel: bytes) -> list[bytes]:
    """The build IDs in the bytes of a kernel, without those of ELF files inside it."""
    return list(_build_ids(kernel))


def _build_ids(kernel: bytes) -> Iterator[bytes]:
    for note in _NOTE.finditer(kernel):
        if kernel.rfind(_ELF, max(0, note.start() - _NEAR), note.start()) >= 0:
            continue
        yield kernel[note.end() : note.end() + note[1][0]]


def release_of(kernel: bytes) -> str:
    """The release in the bytes of a kernel: "6.1.0-44-cloud-arm64"; "" if there is none."""
    found = _RELEASE.search(kernel)
    return "" if found is None else found[1].decode("ascii")


class Vmlinux:
    """A vmlinux file.

    Raises BadVmlinux for a file that is none, or has neither debug information nor symbols.

    Args:
        path: the file.

    Attributes:
        path: the file.
        image: its symbols, lines and types, as the debugger has them; where the kernel is now.
        build_id: its build ID; empty if it has none.
        release: the kernel's, such as "6.1.0-44-cloud-arm64"; "" if the file does not have it, as
            one with the debug information alone.
        link_address: the virtual address that the kernel's first byte was linked at.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.image = Image(self.path)
        except BadImage as error:
            raise BadVmlinux(f"{error}{_what_it_is(self.path)}") from error
        text = self.image.symbols.find(_TEXT)
        if not len(self.image.symbols) and not self.image.has_types:
            raise BadVmlinux(
                f"{self.path} has neither debug information nor symbols: it has been stripped"
            )
        if text is None:
            raise BadVmlinux(
                f"{self.path} is not a vmlinux: it has no symbol {_TEXT}. (The file of a module is "
                "given to add_symbols)"
            )
        self.link_address = text.address
        self.build_id = next(iter(build_ids(self.image.notes)), b"")
        self.release = release_of(self.image.contents)

    @property
    def name(self) -> str:
        """What it is of, for messages: its build ID and release."""
        return _name(self.build_id, self.release)

    def check(self, kernel: bytes) -> None:
        """Raises BadVmlinux if the kernel with these bytes is of another build.

        A kernel without a build ID is compared by its release.
        """
        ids = build_ids(kernel)
        same = self.build_id in ids if ids else self.release == release_of(kernel)
        if not same:
            raise BadVmlinux(
                f"{self.path} is of build {self.name}, the kernel in the guest is of build "
                f"{_name(ids[0] if ids else b'', release_of(kernel))}"
            )

    def __repr__(self) -> str:
        return f"<Vmlinux {self.path} {self.name}>"


def _name(build_id: bytes, release: str) -> str:
    return f"{build_id.hex() or 'unknown'}{f' ({release})' if release else ''}"


def _what_it_is(path: Path) -> str:
    """What was given instead of a vmlinux, if that is known."""
    try:
        with path.open("rb") as file:
            start = file.read(linux_image.HEADER_SIZE)
    except OSError:
        return ""
    if linux_image.is_image(start):
        return (
            ", but an Image, which has no debug information. Its vmlinux is the file that the "
            "kernel's build leaves at the top of its tree; distributions have it in a debug package"
        )
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            return f", but compressed ({name}): decompress it, as for GDB"
    return ""
