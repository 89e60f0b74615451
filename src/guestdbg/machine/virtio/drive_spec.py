"""Drives as text: ``FILE[,readonly][,overlay]``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from guestdbg.machine.errors import MachineError

__all__ = ["DriveError", "DriveSpec", "parse_drive"]

_OPTIONS = ("readonly", "overlay")

# Options of QEMU's -drive, and what is written here.
_QEMU_OPTIONS = {
    "file": "write the name of the file itself, first",
    "format": "a disk is always a raw image: leave it out",
    "if": "a disk is always a virtio disk: leave it out",
    "id": "leave it out",
    "snapshot": "write overlay",
    "media": "leave it out",
}


class DriveError(MachineError):
    """A drive cannot be used: its specification, or its file."""


@dataclass(frozen=True, slots=True)
class DriveSpec:
    """A disk of the guest.

    Attributes:
        path: a raw image.
        readonly: the guest cannot write it.
        overlay: what the guest writes is kept in memory; the file does not change.

    Raises:
        DriveError: both are given, or ``path`` is not a path.
    """

    path: str | os.PathLike[str]
    readonly: bool = False
    overlay: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike) or not str(self.path):
            raise DriveError(f"drive {self.path!r}: it must be the path of a file")
        for name in _OPTIONS:
            if not isinstance(getattr(self, name), bool):
                raise DriveError(f"{name}={getattr(self, name)!r}: it must be True or False")
        if self.readonly and self.overlay:
            raise DriveError(
                f"drive {os.fspath(self.path)}: readonly and overlay exclude each other; with "
                "overlay the guest can write, and the file does not change either"
            )


def parse_drive(text: str | os.PathLike[str] | DriveSpec) -> DriveSpec:
    """The drive that ``FILE[,readonly][,overlay]`` describes; a comma in FILE is written twice.

    A path object is a file without options.

    Raises:
        DriveError: no file, or an unknown option.
    """
    if isinstance(text, DriveSpec):
        return text
    if not isinstance(text, str):
        return DriveSpec(text)
    path, *options = _split(text)
    if not path:
        raise DriveError(f"drive {text!r}: it has no file; write FILE[,readonly][,overlay]")
    name = path.partition("=")[0]
    if name in _QEMU_OPTIONS and "=" in path and not os.path.exists(path):
        raise DriveError(f"drive {text!r}: {name}= is QEMU's spelling; {_QEMU_OPTIONS[name]}")
    for option in options:
        if option in _OPTIONS:
            continue
        name = option.partition("=")[0]
        hint = _QEMU_OPTIONS.get(name)
        raise DriveError(
            f"drive {text!r}: unknown option {option!r}; "
            + (
                f"{name}= is QEMU's spelling: {hint}"
                if hint
                else "the options are readonly and overlay (a comma in a file's name is written ,,)"
            )
        )
    return DriveSpec(path, readonly="readonly" in options, overlay="overlay" in options)


def _split(text: str) -> list[str]:
    """The parts between single commas, with each pair of commas as one."""
    parts = [""]
    for piece in re.findall(r",,|,|[^,]+", text):
        if piece == ",":
            parts.append("")
        else:
            parts[-1] += "," if piece == ",," else piece
    return parts
