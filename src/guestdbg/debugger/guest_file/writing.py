"""A guest becomes a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from guestdbg.container import Section, page_sections, write_container
from guestdbg.container.values import encode
from guestdbg.debugger.errors import BadSnapshot, Unsupported
from guestdbg.debugger.guest_file.debugger_state import debugger_state
from guestdbg.debugger.guest_file.disks import saved_drive
from guestdbg.debugger.guest_file.manifest import Manifest
from guestdbg.debugger.guest_file.symbol_files import saved_image
from guestdbg.kvm import SupportsOptions
from guestdbg.machine import MachineError

if TYPE_CHECKING:
    from guestdbg.container import PageSource
    from guestdbg.debugger.execution.snapshot import GuestSnapshot
    from guestdbg.debugger.guest import Guest
    from guestdbg.debugger.origin import Origin

__all__ = ["SnapshotParts", "guest_sections", "save", "snapshot_parts"]


def save(
    guest: Guest, snapshot: GuestSnapshot, path: str | os.PathLike[str], origin: Origin | None
) -> str:
    """Write a snapshot of ``guest`` to a file; see ``Guest.save``. Returns the file's digest."""
    return write_container(path, guest_sections(guest, snapshot, origin))


def guest_sections(
    guest: Guest, snapshot: GuestSnapshot, origin: Origin | None, *, with_images: bool = False
) -> Iterator[Section]:
    """The sections of a file that ``SavedGuest`` reads; the errors of ``Guest.save`` come at once.

    ``with_images``: the files with the symbols are in it, and not only the names of these.
    """
    if origin is None or not isinstance(guest.board.kvm, SupportsOptions):
        raise Unsupported("only a guest that was made by guestdbg.load can be saved to a file")
    parts = snapshot_parts(guest, snapshot)
    manifest = _manifest(guest, snapshot, origin, parts.sizes, with_images)
    return _sections(manifest, parts)


def _sections(manifest: Manifest, parts: SnapshotParts) -> Iterator[Section]:
    yield Section("manifest", encode(manifest))
    yield Section("machine", parts.machine)
    yield Section("devices", parts.devices)
    yield Section("debugger", parts.debugger)
    for data in parts.pages():
        yield Section("pages", data)


class SnapshotParts(NamedTuple):
    """A snapshot as bytes.

    Attributes:
        machine, devices, debugger: its state, as three parts of the guest keep it.
        sizes: of the memory slots by number, in bytes.
        sources: the pages of each.
    """

    machine: bytes
    devices: bytes
    debugger: bytes
    sizes: dict[int, int]
    sources: Mapping[int, PageSource]

    def pages(self) -> Iterator[bytes]:
        """The contents of sections with the pages."""
        for slot, source in sorted(self.sources.items()):
            yield from page_sections(slot, source)


def snapshot_parts(
    guest: Guest, snapshot: GuestSnapshot, before: GuestSnapshot | None = None
) -> SnapshotParts:
    """A snapshot of ``guest`` as bytes; ``before``: of pages only those that differ from it.

    Raises:
        BadSnapshot: a device of the user's has state that a file cannot have.
    """
    try:
        saved = guest.board.save_snapshot(snapshot.board, None if before is None else before.board)
    except MachineError as error:
        raise BadSnapshot(str(error)) from error
    return SnapshotParts(
        saved.vm.state,
        saved.devices,
        debugger_state(snapshot),
        dict(saved.vm.sizes),
        saved.vm.pages,
    )


def _manifest(
    guest: Guest,
    snapshot: GuestSnapshot,
    origin: Origin,
    slots: dict[int, int],
    with_images: bool,
) -> Manifest:
    board = guest.board
    assert isinstance(board.kvm, SupportsOptions)
    flash: Literal["none", "flash", "memory"] = "none"
    if board.flash is not None:
        flash = "flash" if board.flash.read_only else "memory"
    return Manifest(
        guestdbg=_version(),
        provider=board.kvm.provider,
        options=board.kvm.options,
        memory=board.memory_size,
        vcpus=len(board.vcpus),
        gic=None if board.gic is None else board.gic.version,
        seed=board.seed,
        bootargs=board.bootargs,
        rtc=origin.rtc,
        entropy=origin.entropy,
        net=origin.net,
        semihosting=origin.semihosting,
        flash=flash,
        regions=[
            (region.name, region.base, region.size, region.read_only)
            for region in board.memory
            if region.base in origin.own_regions
        ],
        own_devices=list(origin.own_devices),
        drives=[saved_drive(spec) for spec in origin.drives],
        images=[
            # A vmlinux is moved by the kernel that it belongs to: it is given again.
            saved_image(image, with_images)
            for image in guest.images
            if image.moves_with is None
        ],
        segments=[
            (each.address, each.size, each.file_size, each.virtual) for each in guest.segments
        ],
        heap=origin.heap,
        linux_image=origin.linux_image,
        slots=slots,
        instructions=snapshot.instructions,
    )


def _version() -> str:
    # Imported here: it takes a while, and most guests are not saved.
    from importlib import metadata

    return metadata.version("guestdbg")
