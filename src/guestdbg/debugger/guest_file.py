"""Files with the whole state of a guest: ``guest.save``, ``guestdbg.load`` and ``SavedGuest``.

What is in a file: how the board was made (``Manifest``), the state of the machine, its devices and
the debugger, the pages of memory that are not zero, and what guests write over disks with an
overlay. Not in it are the files of disks, which must be as they were, and ELF files with symbols,
unless they were given as bytes.

A file may have been made by anybody. It cannot make the host execute anything, and it opens only
disks whose whole contents it knows already (by their SHA-256), to be read. What reaches further,
semihosting and the network, must be asked for by whoever loads it.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from guestdbg.closing import Closing
from guestdbg.container import (
    ContainerError,
    ContainerFile,
    MemoryImage,
    Section,
    expand,
    page_sections,
    write_container,
)
from guestdbg.container.pages import PAGE, SECTION_BYTES, Slice
from guestdbg.container.values import decode, encode, record_types
from guestdbg.debugger.errors import BadImage, BadSnapshot, Unsupported
from guestdbg.debugger.execution.snapshot import GuestSnapshot
from guestdbg.debugger.guest import Guest
from guestdbg.debugger.origin import Origin
from guestdbg.debugger.program.image import Image
from guestdbg.debugger.vcpu.resume_state import ResumeState
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import KvmError, SupportsOptions, open_kvm
from guestdbg.library_errors import raised_as
from guestdbg.machine import (
    Board,
    DriveSpec,
    MachineError,
    Region,
    RtcStart,
    Segment,
    parse_drive,
)
from guestdbg.regular_file import UnsuitableFile, read_regular_file

if TYPE_CHECKING:
    from guestdbg.container import (
        PageRuns,
        PageSource,
    )
    from guestdbg.debugger.guest import OnPanic
    from guestdbg.machine import (
        Console,
        MmioDevice,
        NetSpec,
    )
    from guestdbg.semihosting import Semihosting
    from guestdbg.workers import WorkerPool

__all__ = [
    "Manifest",
    "SavedDrive",
    "SavedGuest",
    "SavedImage",
    "SnapshotParts",
    "guest_sections",
    "save",
    "snapshot_parts",
]

log = logging.getLogger(__name__)

_MANIFEST_MAX: Final = 256 << 20
_DEBUGGER_MAX: Final = 16 << 20
_EMBEDDED_MAX: Final = 64 << 20
_SLOTS_MAX: Final = 64
_PIECE: Final = 1 << 20
_RAM_SLOT: Final = 0


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


_RECORDS = record_types(Manifest, SavedDrive, SavedImage)

_Pair = tuple[int, int]
#: last_stop_pc, needs_step_over, interrupted, reported_before_access, waits_for_input.
_Resume = tuple[int | None, int | None, set[_Pair], _Pair | None, bool]
#: Of the Stop with which the guest ended: reason, the vCPU's id, PC, detail, status.
_Ended = tuple[Literal["exit", "panic", "error"], int, int, str, int]
#: Of the debugger: what each vCPU had to remember, the current one, how the guest ended, where the
#: turns end that a stop has broken off, and the instructions under BRKs.
_Debugger = tuple[list[_Resume], int, _Ended | None, list[int | None], dict[int, bytes]]


# ---- writing ---------------------------------------------------------------------------------


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
        _debugger_state(snapshot),
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
        drives=[_saved_drive(spec) for spec in origin.drives],
        images=[
            # A vmlinux is moved by the kernel that it belongs to: it is given again.
            _saved_image(image, with_images)
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


def _saved_drive(spec: DriveSpec) -> SavedDrive:
    path = os.path.abspath(spec.path)
    try:
        status = os.stat(path)
        digest = _file_digest(path)
    except OSError as error:
        raise ContainerError(f"drive {path}: cannot be read: {error.strerror}") from error
    return SavedDrive(path, spec.readonly, spec.overlay, status.st_size, status.st_mtime_ns, digest)


def _version() -> str:
    # Imported here: it takes a while, and most guests are not saved.
    from importlib import metadata

    return metadata.version("guestdbg")


def _saved_image(image: Image, with_contents: bool) -> SavedImage:
    given = image.contents if with_contents or image.given is not None else None
    if given is not None and len(given) > _EMBEDDED_MAX:
        given = None
    digest = hashlib.sha256(image.contents).hexdigest()
    return SavedImage(os.path.abspath(image.path), image.slide, digest, given)


def _debugger_state(snapshot: GuestSnapshot) -> bytes:
    ended = snapshot.ended
    return encode(
        (
            [
                (
                    state.last_stop_pc,
                    state.needs_step_over,
                    state.interrupted,
                    state.reported_before_access,
                    state.waits_for_input,
                )
                for state in snapshot.resume_states
            ],
            snapshot.current,
            None
            if ended is None
            else (ended.reason, ended.cpu.id, ended.pc, ended.detail, ended.status),
            list(snapshot.turn_ends),
            snapshot.under_breakpoints,
        )
    )


def _file_digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


# ---- reading ---------------------------------------------------------------------------------


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
            self.manifest: Manifest = decode(self._manifest_data, _RECORDS, Manifest)
            self._debugger: _Debugger = decode(self._debugger_data, {}, _Debugger)
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
                guest.restore(_guest_snapshot(guest, snapshot, self._debugger))
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
                return _guest_snapshot(guest, board, decode(debugger, {}, _Debugger))
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
        try:
            spec = DriveSpec(path, readonly=saved.readonly, overlay=saved.overlay)
            if not (saved.readonly or saved.overlay):
                raise self._error(f"the guest writes {path} itself, which no snapshot can have")
            real = os.path.realpath(path)
            if not os.path.isfile(real) or any(
                Path(real).is_relative_to(each) for each in _NO_DISKS
            ):
                raise self._error(
                    f"the guest's drive {number} is not there: {path}; say where it is (drives=)"
                )
            same = os.path.getsize(path) == saved.size and _file_digest(str(path)) == saved.digest
        except (OSError, ValueError) as error:
            raise self._error(f"the drive {path} cannot be read: {error}") from error
        if not same:
            raise self._error(
                f"the drive {path} has changed since the guest was saved (its size or its SHA-256 "
                "differs): the snapshot is of its former contents"
            )
        return spec

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
                images.append(_image(saved, directories))
            except (BadImage, UnsuitableFile) as error:
                log.warning("%s: without the symbols of %s: %s", self.path, saved.path, error)
        return images

    def close(self) -> None:
        """Close the memory; guests that were made go on. Closing twice does nothing."""
        self.image.close()


def _guest_snapshot(guest: Guest, board: Any, debugger: _Debugger) -> GuestSnapshot:
    """A snapshot from its parts. Raises ValueError: they do not fit together."""
    resume, current, ended, turn_ends, under = debugger
    vcpus = len(guest.vcpus)
    if len(resume) != vcpus or len(turn_ends) != vcpus or not 0 <= current < vcpus:
        raise ValueError(f"the debugger's state is not of {vcpus} vCPUs")
    stop = None
    if ended is not None:
        reason, vcpu, pc, detail, status = ended
        cpu = next((each for each in guest.vcpus if each.id == vcpu), None)
        if cpu is None:
            raise ValueError(f"the guest ended on vCPU {vcpu}, which there is not")
        stop = Stop(reason, cpu, pc, (), detail, status)
    return GuestSnapshot(
        None,
        board,
        tuple(
            ResumeState(
                last_stop_pc=pc,
                needs_step_over=over,
                interrupted=interrupted,
                reported_before_access=before,
                waits_for_input=waits,
            )
            for pc, over, interrupted, before, waits in resume
        ),
        current,
        stop,
        tuple(turn_ends),
        {at: data for at, data in under.items() if len(data) == 4},
    )


def _image(saved: SavedImage, debug_dirs: Sequence[Path]) -> Image:
    """The image again. Nothing is made of a file that is not the one that it was."""
    path = Path(saved.path)
    contents = saved.contents
    if contents is None:
        contents = read_regular_file(path, what="file with the symbols")
    if hashlib.sha256(contents).hexdigest() != saved.digest:
        raise BadImage("it is another file now")
    return Image(path, saved.slide, debug_dirs, contents=saved.contents)


#: Where files have no end, or do something when they are read.
_NO_DISKS: Final = ("/proc", "/sys", "/dev")


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
