"""A file becomes guests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from guestdbg.closing import Closing
from guestdbg.container import (
    ContainerError,
    ContainerFile,
    MemoryImage,
    expand,
)
from guestdbg.container.pages import PAGE, SECTION_BYTES, Slice
from guestdbg.container.values import decode, encode
from guestdbg.debugger.errors import BadImage, BadSnapshot
from guestdbg.debugger.guest import Guest
from guestdbg.debugger.guest_file.debugger_state import DebuggerState, guest_snapshot
from guestdbg.debugger.guest_file.disks import found_drive
from guestdbg.debugger.guest_file.manifest import RECORDS, Manifest
from guestdbg.debugger.guest_file.symbol_files import found_image
from guestdbg.debugger.origin import Origin
from guestdbg.debugger.program.image import Image
from guestdbg.kvm import KvmError, open_kvm
from guestdbg.library_errors import raised_as
from guestdbg.machine import (
    Board,
    MachineError,
    Region,
    RtcStart,
    Segment,
    parse_drive,
)
from guestdbg.regular_file import UnsuitableFile

if TYPE_CHECKING:
    from guestdbg.container import (
        PageRuns,
    )
    from guestdbg.debugger.execution.snapshot import GuestSnapshot
    from guestdbg.debugger.guest import OnPanic
    from guestdbg.debugger.guest_file.manifest import SavedDrive
    from guestdbg.machine import (
        Console,
        DriveSpec,
        MmioDevice,
        NetSpec,
    )
    from guestdbg.semihosting import Semihosting
    from guestdbg.workers import WorkerPool

__all__ = ["SavedGuest", "open_shared"]

log = logging.getLogger(__name__)

_MANIFEST_MAX: Final = 256 << 20
_DEBUGGER_MAX: Final = 16 << 20
_SLOTS_MAX: Final = 64
_RAM_SLOT: Final = 0


class SavedGuest(Closing):
    """A file of ``guest.save``, from which any number of guests can be made.

    The memory in it is expanded once; the guests map it and copy only pages that they write.

    Args:
        path: the file; or its contents, as bytes.

    Attributes:
        path: the file.
        digest: identifies the file by its contents: 64 hexadecimal digits.
        manifest: how the board was made, and what it needs.

    Raises:
        ContainerError: it cannot be read, is no such file, is truncated or damaged, is of another
            version, or the host has not enough memory.
    """

    def __init__(self, path: str | os.PathLike[str] | bytes) -> None:
        given = (Path("<bytes>"), path) if isinstance(path, bytes) else (path, None)
        self._read(ContainerFile(*given))

    @classmethod
    def of_file(cls, file: ContainerFile) -> SavedGuest:
        """The guest of a file that was read already, and may have more in it. Raises the same."""
        saved = cls.__new__(cls)
        saved._read(file)
        return saved

    def _read(self, file: ContainerFile) -> None:
        self.path = file.path
        self._name = file.form.name
        self.digest = file.digest
        self._manifest_data = file.section("manifest", _MANIFEST_MAX)
        self._machine = file.section("machine")
        self._devices = file.section("devices")
        self._debugger_data = file.section("debugger", _DEBUGGER_MAX)
        self._parse()
        _check_room(file, self.manifest)
        try:
            self.image = expand(file.sections("pages", SECTION_BYTES), self.manifest.slots)
        except ContainerError:
            raise
        except (ValueError, MemoryError) as error:
            raise self._error(f"its memory is damaged: {error}") from error

    def _parse(self) -> None:
        try:
            self.manifest: Manifest = decode(self._manifest_data, RECORDS, Manifest)
            self._debugger: DebuggerState = decode(self._debugger_data, {}, DebuggerState)
        except ValueError as error:
            raise self._damaged(str(error)) from error
        slots = self.manifest.slots
        if len(slots) > _SLOTS_MAX or any(
            not 0 < size < 1 << 48 or size % PAGE for size in slots.values()
        ):
            raise self._damaged("it has impossible memory slots")
        if slots.get(_RAM_SLOT) != self.manifest.memory:
            raise self._damaged("its RAM is not that of its board")

    def _damaged(self, text: str) -> ContainerError:
        return self._error(f"the {self._name} is damaged: {text}")

    def _error(self, text: str) -> ContainerError:
        return ContainerError(f"{self.path}: {text}")

    # ---- for other processes -----------------------------------------------------------------

    def shared(self) -> tuple[bytes, int]:
        """All of it but memory as bytes, and the descriptor of the memory, for ``from_shared``."""
        slices = {slot: tuple(each) for slot, each in self.image.slices.items()}
        data = (
            str(self.path),
            self._name,
            self.digest,
            *(self._manifest_data, self._machine, self._devices, self._debugger_data),
            slices,
        )
        return encode(data), self.image.descriptor

    @classmethod
    def from_shared(cls, data: bytes, descriptor: int) -> SavedGuest:
        """The same in another process of this program, which was sent both and owns the latter."""
        saved = cls.__new__(cls)
        path, name, digest, manifest, machine, devices, debugger, slices = decode(data, {})
        saved.path, saved._name, saved.digest = Path(path), name, digest
        saved._manifest_data, saved._machine = manifest, machine
        saved._devices, saved._debugger_data = devices, debugger
        saved._parse()
        saved.image = MemoryImage(descriptor, {slot: Slice(*each) for slot, each in slices.items()})
        return saved

    def submit(
        self, pool: WorkerPool, function: str, *arguments: Any, timeout: float | None = None
    ) -> Future[Any]:
        """Run a function in a worker: it is called with this SavedGuest and ``arguments``.

        Its name is "module:function". A worker is sent the guest once, by its digest, and shares
        its memory. See ``WorkerPool.submit`` for the rest.
        """
        if self.image.descriptor < 0:
            raise self._error("it was closed")
        pool.share(self.digest, f"{__name__}:open_shared", *self.shared())
        return pool.submit(function, self.digest, *arguments, timeout=timeout)

    # ---- making guests -----------------------------------------------------------------------

    def guest(
        self,
        *,
        console: Console,
        devices: Sequence[MmioDevice] = (),
        drives: Sequence[str | os.PathLike[str] | DriveSpec] = (),
        net: str | NetSpec | None = None,
        symbols: str | os.PathLike[str] | None = None,
        slide: int = 0,
        debug_dirs: Sequence[str | os.PathLike[str]] = (),
        on_panic: OnPanic = "stop",
        overwatch: int = 0,
        semihosting: bool | Semihosting = False,
    ) -> Guest:
        """A guest in this state. The arguments are those of ``guestdbg.load``.

        ``drives`` are for disks whose files are elsewhere now; otherwise they are looked for where
        they were. Their contents must be the same.

        Raises:
            ContainerError: the file is damaged; something is missing that the guest needs, or is
                not what it was.
            KvmError: the provider is not available.
        """
        manifest = self.manifest
        self._check_devices(devices, net, semihosting)
        specs = [self._drive(each, drives, n) for n, each in enumerate(manifest.drives)]
        if len(drives) > len(manifest.drives):
            raise self._error(
                f"{len(drives)} drives are given, and the guest has {len(manifest.drives)}"
            )
        images = self._images(symbols, slide, debug_dirs)
        with raised_as(self._error, f"the {self._name} is damaged"):
            if manifest.provider != "soft":
                raise self._error(
                    f"a {self._name} of the provider {manifest.provider!r} is unknown"
                )
            kvm = open_kvm("soft", **manifest.options)
        board: Board | None = None
        try:
            with raised_as(self._error, f"the {self._name} is damaged"):
                board = Board(
                    kvm,
                    memory_size=manifest.memory,
                    vcpus=manifest.vcpus,
                    console=console,
                    bootargs=manifest.bootargs,
                    gic=cast(Any, manifest.gic),
                    seed=manifest.seed,
                    rtc=cast(RtcStart, manifest.rtc),
                    regions=[
                        Region(name, base, size, read_only=read_only)
                        for name, base, size, read_only in manifest.regions
                    ],
                    devices=devices,
                    drives=specs,
                    net=net,
                    entropy=manifest.entropy,
                    ram_buffer=self.image.private(_RAM_SLOT),
                )
                if manifest.flash != "none":
                    board.map_flash(writable=manifest.flash == "memory")
                board.start(0)
                origin = Origin(
                    manifest.rtc,  # type: ignore[arg-type]  # the board has checked it
                    tuple(specs),
                    tuple(manifest.own_devices),
                    tuple(base for _, base, *_ in manifest.regions),
                    manifest.net,
                    manifest.entropy,
                    bool(semihosting),
                    manifest.heap,
                    manifest.linux_image,
                )
                snapshot = board.load_snapshot(
                    self._devices, self._machine, self.image, ram_is_mapped=True
                )
                board.restore(snapshot)
                guest = Guest(
                    board,
                    images,
                    overwatch=overwatch,
                    on_close=kvm.close,
                    segments=tuple(Segment(*each) for each in manifest.segments),
                    semihosting=semihosting,
                    heap=manifest.heap,
                    linux_image=manifest.linux_image,
                    on_panic=on_panic,
                    origin=origin,
                )
                guest.restore(guest_snapshot(guest, snapshot, self._debugger))
            return guest
        except BaseException as error:
            if board is not None:
                board.close()
            kvm.close()
            if isinstance(error, MachineError | KvmError | BadSnapshot):
                raise self._error(str(error)) from error
            raise

    def changed_snapshot(
        self,
        guest: Guest,
        before: GuestSnapshot,
        parts: tuple[bytes, bytes, bytes],
        changed: Iterable[PageRuns],
    ) -> GuestSnapshot:
        """A later snapshot of ``guest`` than ``before``, from the same file.

        ``parts``: machine, devices and debugger of ``SnapshotParts``; ``changed``: its pages.

        Raises:
            ContainerError: it is damaged.
        """
        machine, devices, debugger = parts
        with raised_as(self._error, f"the {self._name} is damaged"):
            try:
                board = guest.board.load_changed_snapshot(devices, machine, before.board, changed)
                return guest_snapshot(guest, board, decode(debugger, {}, DebuggerState))
            except (MachineError, KvmError) as error:
                raise self._error(str(error)) from error

    def _check_devices(
        self,
        devices: Sequence[MmioDevice],
        net: str | NetSpec | None,
        semihosting: bool | Semihosting,
    ) -> None:
        manifest = self.manifest
        names = [device.name for device in devices]
        if names != manifest.own_devices:
            wants = ", ".join(manifest.own_devices) or "none"
            raise self._error(
                f"the guest has these devices of yours: {wants}; give the same ones (devices=), in "
                f"this order, and not {', '.join(names) or 'none'}"
            )
        if manifest.net and net is None:
            raise self._error(
                "the guest has a network card, by which it reaches every service at 127.0.0.1 of "
                "this host: give net='user' if you trust it"
            )
        if net is not None and not manifest.net:
            raise self._error("net is given, and the guest has no network card")
        if manifest.semihosting and not semihosting:
            log.warning(
                "%s: the guest was using semihosting, which is off: give semihosting=True if you "
                "trust it",
                self.path,
            )

    def _drive(
        self, saved: SavedDrive, given: Sequence[str | os.PathLike[str] | DriveSpec], number: int
    ) -> DriveSpec:
        path: str | os.PathLike[str] = saved.path
        if number < len(given):
            path = parse_drive(given[number]).path
        return found_drive(saved, path, number, self._error)

    def _images(
        self,
        symbols: str | os.PathLike[str] | None,
        slide: int,
        debug_dirs: Sequence[str | os.PathLike[str]],
    ) -> list[Image]:
        directories = [Path(each) for each in debug_dirs]
        if symbols is not None:
            return [Image(symbols if isinstance(symbols, str) else Path(symbols), slide,
                          directories)]  # fmt: skip
        images = []
        for saved in self.manifest.images:
            try:
                images.append(found_image(saved, directories))
            except (BadImage, UnsuitableFile) as error:
                log.warning("%s: without the symbols of %s: %s", self.path, saved.path, error)
        return images

    def close(self) -> None:
        """Close the memory; guests that were made go on. Closing twice does nothing."""
        self.image.close()


def open_shared(data: bytes, descriptor: int) -> SavedGuest:
    """In a worker: see ``SavedGuest.from_shared``."""
    return SavedGuest.from_shared(data, descriptor)


def _check_room(file: ContainerFile, manifest: Manifest) -> None:
    """A file must not make the host run out of memory."""
    needed = file.expanded_size("pages")
    whole = sum(manifest.slots.values())
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # this host does not say
        return
    if needed > max(free, 64 << 20) or needed > 2 * whole + (1 << 20):
        raise file.error(
            f"its memory takes {needed >> 20} MiB; the guest has {whole >> 20} MiB, and the host "
            f"has {free >> 20} MiB free"
        )
