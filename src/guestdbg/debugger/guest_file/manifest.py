"""How a saved guest's board was made, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from guestdbg.container.values import record_types

__all__ = ["RECORDS", "Manifest", "SavedDrive", "SavedImage"]


@dataclass(frozen=True, slots=True)
class SavedDrive:
    """A disk of a saved guest. Its file is not in the snapshot.

    Attributes:
        path: where it was.
        readonly, overlay: as in ``DriveSpec``.
        size: in bytes.
        modified: when it was last written, in nanoseconds since 1970.
        digest: the SHA-256 of its contents, in hexadecimal digits.
    """

    path: str
    readonly: bool
    overlay: bool
    size: int
    modified: int
    digest: str


@dataclass(frozen=True, slots=True)
class SavedImage:
    """An ELF file with symbols of a saved guest.

    Attributes:
        path: where it was.
        slide: how far it was moved, in bytes.
        digest: the SHA-256 of its contents.
        contents: these, if they were given as bytes, or belong to a recorded run; otherwise None:
            they are in the file at ``path``.
    """

    path: str
    slide: int
    digest: str
    contents: bytes | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """How a saved guest's board was made, and what it needs.

    Attributes:
        guestdbg: the version that wrote the file.
        provider, options: arguments of ``open_kvm``.
        memory, vcpus, gic, seed, bootargs, rtc, entropy: those of ``guestdbg.load``.
        net, semihosting: whether the guest had a network card, and semihosting.
        flash: it has flash: ``"none"``, ``"flash"``, or ``"memory"``, which it writes as RAM.
        regions: (name, address, size, read-only) of the user's memory.
        own_devices: the names of the user's devices.
        drives, images: its disks, and the files with its symbols.
        segments: (address, size, size in the file, virtual address) of what was loaded.
        heap, linux_image: see ``Guest``.
        slots: the sizes of the memory slots, by number, in bytes.
        instructions: how many each vCPU had retired.
    """

    guestdbg: str
    provider: str
    options: dict[str, str | int | bool]
    memory: int
    vcpus: int
    gic: int | None
    seed: int | None
    bootargs: str
    rtc: int | str
    entropy: bool
    net: bool
    semihosting: bool
    flash: Literal["none", "flash", "memory"]
    regions: list[tuple[str, int, int, bool]]
    own_devices: list[str]
    drives: list[SavedDrive]
    images: list[SavedImage]
    segments: list[tuple[int, int, int, int]]
    heap: tuple[int, int, int, int]
    linux_image: tuple[int, int] | None
    slots: dict[int, int]
    instructions: tuple[int, ...]


#: For ``encode`` and ``decode``.
RECORDS = record_types(Manifest, SavedDrive, SavedImage)
