"""The disks of a saved guest. Their files are not in the snapshot, and must be as they were."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guestdbg.container import ContainerError
from guestdbg.debugger.guest_file.manifest import SavedDrive
from guestdbg.machine import DriveSpec

__all__ = ["found_drive", "saved_drive"]

_PIECE: Final = 1 << 20
#: Where files have no end, or do something when they are read.
_NO_DISKS: Final = ("/proc", "/sys", "/dev")


def saved_drive(spec: DriveSpec) -> SavedDrive:
    """A disk as a manifest has it. Raises ContainerError: it cannot be read."""
    path = os.path.abspath(spec.path)
    try:
        status = os.stat(path)
        digest = _file_digest(path)
    except OSError as error:
        raise ContainerError(f"drive {path}: cannot be read: {error.strerror}") from error
    return SavedDrive(path, spec.readonly, spec.overlay, status.st_size, status.st_mtime_ns, digest)


def found_drive(
    saved: SavedDrive,
    path: str | os.PathLike[str],
    number: int,
    error: Callable[[str], ContainerError],
) -> DriveSpec:
    """Disk ``number`` again, from this file. Raises ``error(text)``: it is not what it was."""
    try:
        spec = DriveSpec(path, readonly=saved.readonly, overlay=saved.overlay)
        if not (saved.readonly or saved.overlay):
            raise error(f"the guest writes {path} itself, which no snapshot can have")
        real = os.path.realpath(path)
        if not os.path.isfile(real) or any(Path(real).is_relative_to(each) for each in _NO_DISKS):
            raise error(
                f"the guest's drive {number} is not there: {path}; say where it is (drives=)"
            )
        same = os.path.getsize(path) == saved.size and _file_digest(str(path)) == saved.digest
    except (OSError, ValueError) as problem:
        raise error(f"the drive {path} cannot be read: {problem}") from problem
    if not same:
        raise error(
            f"the drive {path} has changed since the guest was saved (its size or its SHA-256 "
            "differs): the snapshot is of its former contents"
        )
    return spec


def _file_digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
