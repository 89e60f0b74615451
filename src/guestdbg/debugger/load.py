"""``guestdbg.load``: from a file to a guest that can be debugged."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from errno import EINVAL
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from guestdbg.container import MAGIC_SIZE, RECORDED_RUN, SNAPSHOT, ContainerError, form_of
from guestdbg.debugger.errors import near
from guestdbg.debugger.guest import Guest
from guestdbg.debugger.origin import Origin
from guestdbg.debugger.program.image import Image
from guestdbg.debugger.validation import integer
from guestdbg.kvm import KvmError, open_kvm
from guestdbg.machine import (
    Board,
    Console,
    Kind,
    LoadError,
    parse_size,
)
from guestdbg.machine import load as load_into
from guestdbg.machine.console import ByteSink
from guestdbg.machine.loading.placement import DEVICE_TREE_ALIGNMENT

if TYPE_CHECKING:
    from guestdbg.container import Form
    from guestdbg.debugger.guest import OnPanic
    from guestdbg.machine import (
        DriveSpec,
        MmioDevice,
        NetSpec,
        Region,
        RtcStart,
    )
    from guestdbg.machine.console import Sink
    from guestdbg.machine.interrupts import GicVersion
    from guestdbg.machine.loading.loader import Loaded
    from guestdbg.semihosting import Semihosting

__all__ = ["load"]

log = logging.getLogger(__name__)

_HEAP_ALIGNMENT = 0x10000
_STACK_BYTES = 1 << 20


def load(
    path: str | os.PathLike[str] | bytes,
    *,
    provider: str = "auto",
    memory: str | int = "128M",
    vcpus: int = 1,
    kind: str = "auto",
    address: int | None = None,
    symbols: str | os.PathLike[str] | None = None,
    slide: int = 0,
    vmlinux: str | os.PathLike[str] | None = None,
    modules: str | os.PathLike[str] | None = None,
    debug_dirs: Sequence[str | os.PathLike[str]] = (),
    console: Console | Sink | Literal["stdout"] = "stdout",
    bootargs: str = "",
    initrd: str | os.PathLike[str] | bytes | None = None,
    gic: GicVersion = "auto",
    seed: int | None = None,
    rtc: RtcStart = "auto",
    flash_file: str | os.PathLike[str] | None = None,
    flash_save: bool = False,
    regions: Sequence[Region] = (),
    devices: Sequence[MmioDevice] = (),
    drives: Sequence[str | os.PathLike[str] | DriveSpec] = (),
    net: str | NetSpec | None = None,
    entropy: bool = False,
    on_panic: OnPanic = "stop",
    overwatch: int = 0,
    semihosting: bool | Semihosting = False,
    history: bool | str | int = False,
    **options: Any,
) -> Guest:
    """Load a guest on a new board, ready to run.

    Args:
        path: an ELF file, an arm64 Linux Image, a raw image or a firmware; or a file of
            ``Guest.save``, which goes on where it was saved; or one of ``guest.history.save``,
            which is at the beginning of its run and repeats it; or its contents, as bytes.
        provider: ``"soft"``, ``"host"`` (KVM of an arm64 machine), or ``"auto"``.
        memory: size of RAM: ``"128M"``, or bytes.
        vcpus: how many vCPUs; all but the first wait for PSCI CPU_ON.
        kind: what the file is, if that is not to be detected: ``"elf"``, ``"image"``, ``"raw"``
            (bytes at ``address``), ``"firmware"`` (entered at 0).
        address: the guest-physical address at which a ``"raw"`` file is loaded.
        symbols: an ELF file with the symbols, if the guest's own file has none.
        slide: how far the guest moves itself from where it was linked, in bytes.
        vmlinux: the vmlinux of the Linux kernel that ``path`` is, for symbols, lines and types. It
            is moved as the kernel moves itself.
        modules: a folder with the files of its modules (``.ko``, ``.ko.debug``), for their lines
            and types as they are loaded.
        debug_dirs: directories in which separate debug files are searched for, by build ID and
            ``.gnu_debuglink``, before the guest's own and ``/usr/lib/debug``.
        console: where its console output goes: an open file (a text file gets it decoded), a
            callable that takes bytes, a ``guestdbg.machine.Console``, ``"stdout"``, or None.
        bootargs: the kernel command line, for the device tree.
        initrd: the initial RAM file system of a kernel, a file or its contents: cpio archives,
            compressed or not.
        gic: the version of the interrupt controller: 2, 3, None (there is none), or ``"auto"``: 3
            if the provider has it, otherwise 2, otherwise none.
        seed: for the random numbers that the guest gets: the same seed gives the same ones. A
            kernel chooses its addresses by them (KASLR). None: there are none, and it stays where
            it is linked.
        rtc: where the real-time clock starts, in seconds since 1970; ``"host"``; or ``"auto"``:
            the host's time if guests have that, otherwise the start of 2025.
        flash_file: what is in the second bank of flash (0x04000000) of a firmware: EDK2 keeps its
            variables there. It is only read, if ``flash_save`` is not set.
        regions: more memory (``guestdbg.machine.Region``), at other addresses than RAM.
        devices: devices of your own (``guestdbg.machine.MmioDevice``). They and ``regions`` take
            the place of the board's devices at the same addresses.
        drives: disks (virtio-blk), in this order: paths of raw images,
            ``"FILE[,readonly][,overlay]"``, or ``guestdbg.machine.DriveSpec``.
        net: ``"user[,forward=tcp:PORT:GUEST_PORT]"``, or a ``guestdbg.machine.NetSpec``: a network
            card (virtio-net) at a network of its own, from which the guest reaches **every service
            at 127.0.0.1 of the host**. None: it has none.
        entropy: a source of random numbers (virtio-rng), which follow from ``seed``.
        on_panic: ``"stop"``: the panic of a Linux kernel ends ``run()`` with the reason
            ``"panic"``; ``"continue"``: it does not.
        overwatch: bytes that one register may watch for several watches, if there are not enough
            registers.
        semihosting: provide semihosting (HLT #0xF000): True, or a ``guestdbg.Semihosting`` with
            its options.
        history: record the run, so that the guest can go back: ``guest.history``. True, or what the
            snapshots may take of the host's memory (``"512M"``, or bytes); True: a quarter of it.
            A recorded run has a history in any case.
        options: of the provider (``guestdbg.kvm.open_kvm``), such as ``cpu="armv8.2"``, the
            processor of the software provider.

    Raises:
        ContainerError: a file of ``Guest.save`` or ``guest.history.save`` is damaged, or lacks
            something: see ``SavedGuest``.
        LoadError: the file is not a guest, or does not fit the board.
        MachineError: no such board. BadImage: the file's symbols are damaged.
        guestdbg.linux.BadVmlinux: ``vmlinux`` is none, or that of another build than the kernel.
        KvmError: the provider is not available.
        HistoryError: the guest cannot have a history, or not in so little memory.
        ArchitectureError: ``cpu`` is no processor; a ValueError.
    """
    arguments = dict(locals())
    if console == "stdout":
        console = _to_stdout()
    if not isinstance(console, Console):
        console = Console(console)
    form = _saved_form(path)
    if form is not None:
        _check_saved_arguments(arguments, form)
        return _load_saved(
            path,
            form,
            vmlinux,
            modules,
            history,
            console=console,
            devices=devices,
            drives=drives,
            net=net,
            symbols=symbols,
            slide=slide,
            debug_dirs=debug_dirs,
            on_panic=on_panic,
            overwatch=overwatch,
            semihosting=semihosting,
        )
    size = parse_size(memory)
    integer("slide", slide)
    try:
        kvm = open_kvm(provider, **options)
    except KvmError as error:
        if error.errno == EINVAL:
            _check_names(options, error)
        raise
    board: Board | None = None
    try:
        board = Board(
            kvm,
            memory_size=size,
            vcpus=vcpus,
            console=console,
            bootargs=bootargs,
            gic=gic,
            seed=seed,
            rtc=rtc,
            flash_file=flash_file,
            flash_save=flash_save,
            regions=regions,
            devices=devices,
            drives=drives,
            net=net,
            entropy=entropy,
        )
        into = partial(
            load_into, board, path, kind=cast(Kind, kind), address=address, initrd=initrd
        )
        loaded = into()
        for note in loaded.notes:
            log.warning("%s", note)
        images = []
        named = symbols if symbols is not None else loaded.elf
        if named is not None:
            own = symbols is None
            images.append(
                Image(
                    Path(named),
                    slide + loaded.slide if own else slide,
                    [Path(d) for d in debug_dirs],
                    contents=loaded.elf_contents if own else None,
                )
            )
        specs: tuple[DriveSpec, ...] = ()
        if drives:
            from guestdbg.machine import parse_drive

            specs = tuple(parse_drive(drive) for drive in drives)
        guest = Guest(
            board,
            images,
            overwatch=overwatch,
            on_close=kvm.close,
            reload=into,
            segments=loaded.segments,
            semihosting=semihosting,
            heap=_heap(board, loaded),
            linux_image=_linux_image(loaded),
            on_panic=on_panic,
            origin=Origin(
                rtc,
                specs,
                tuple(device.name for device in devices),
                tuple(region.base for region in regions),
                net is not None,
                entropy,
                bool(semihosting),
                _heap(board, loaded),
                _linux_image(loaded),
            ),
        )
        _use_linux_files(guest, vmlinux, modules, is_linux=loaded.kind == "image")
        if history is not False:
            guest.history.start(None if history is True else history)
        return guest
    except BaseException:
        if board is not None:
            board.close()
        kvm.close()
        raise


def _use_linux_files(
    guest: Guest,
    vmlinux: str | os.PathLike[str] | None,
    modules: str | os.PathLike[str] | None,
    *,
    is_linux: bool = True,
) -> None:
    """Give the kernel its vmlinux, and the folder with the files of its modules."""
    for what, use, given in (
        ("a vmlinux is", "use_vmlinux(file)", vmlinux),
        ("files of modules are", "use_modules(folder)", modules),
    ):
        if given is not None and not is_linux:
            raise LoadError(
                f"{what} given for a guest that is not loaded from a Linux Image. If the guest "
                f"starts a kernel: guest.linux.{use}, once that runs"
            )
    if vmlinux is not None:
        guest.linux.use_vmlinux(vmlinux)
    if modules is not None:
        guest.linux.use_modules(modules)


def _saved_form(path: str | os.PathLike[str] | bytes) -> Form | None:
    """What it is, of the files that guestdbg writes; None: it is none of these."""
    if isinstance(path, bytes | bytearray | memoryview):
        return form_of(bytes(path[:MAGIC_SIZE]))
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            return form_of(file.read(MAGIC_SIZE))
    except (OSError, ValueError):
        return None  # loading it says why


def _load_saved(
    path: str | os.PathLike[str] | bytes,
    form: Form,
    vmlinux: str | os.PathLike[str] | None,
    modules: str | os.PathLike[str] | None,
    history: bool | str | int,
    **arguments: Any,
) -> Guest:
    """A guest of a file that guestdbg has written."""
    if form is RECORDED_RUN:
        # history is a layer above this one.
        load_run = import_module("guestdbg.history.run_file").load_run
        guest: Guest = load_run(path, history=history, **arguments)
    else:
        assert form is SNAPSHOT
        from guestdbg.debugger.guest_file import SavedGuest  # few guests come from a file

        with SavedGuest(path) as saved:
            guest = saved.guest(**arguments)
    try:
        _use_linux_files(guest, vmlinux, modules)
        if form is SNAPSHOT and history is not False:
            guest.history.start(None if history is True else history)
    except BaseException:
        guest.close()
        raise
    return guest


#: What such a file does not say, so that it can be given.
_NOT_SAVED = frozenset(
    {"path", "console", "devices", "drives", "net", "symbols", "slide", "debug_dirs", "on_panic"}
    | {"overwatch", "semihosting", "vmlinux", "modules", "history"}
)


def _check_saved_arguments(arguments: dict[str, Any], form: Form) -> None:
    """Raises ContainerError for arguments that a saved guest has already."""
    parameters = inspect.signature(load).parameters
    given = [
        name
        for name, value in arguments.items()
        if name not in _NOT_SAVED and name != "options" and value != parameters[name].default
    ]
    given = [name for name in given if (name, arguments[name]) != ("provider", "soft")]
    given += arguments["options"]
    if given:
        raise ContainerError(
            f"{', '.join(given)}: a saved guest has its own; leave them out for a {form.name}"
        )


def _linux_image(loaded: Loaded) -> tuple[int, int] | None:
    """The guest-physical address and the size of a Linux Image; None for other guests."""
    if loaded.kind != "image":
        return None
    return loaded.segments[0].address, loaded.segments[0].file_size


def _heap(board: Board, loaded: Loaded) -> tuple[int, int, int, int]:
    """What SYS_HEAPINFO gives: the RAM after the guest, with the stack at its end."""
    ram_end = board.ram.base + board.memory_size
    ends = [s.end for s in loaded.segments if board.ram.base <= s.address < ram_end]
    if loaded.device_tree is not None:
        ends.append(loaded.device_tree + DEVICE_TREE_ALIGNMENT)
    if loaded.initrd is not None:
        ends.append(loaded.initrd.end)
    base = min(-(-max(ends, default=board.ram.base) // _HEAP_ALIGNMENT) * _HEAP_ALIGNMENT, ram_end)
    stack_limit = ram_end - min(_STACK_BYTES, (ram_end - base) // 2)
    return base, stack_limit, ram_end, stack_limit


#: What other tools call these arguments.
_ELSEWHERE = {
    "append": "bootargs",
    "cmdline": "bootargs",
    "cpus": "vcpus",
    "drive": "drives",
    "initramfs": "initrd",
    "ram": "memory",
    "size": "memory",
    "smp": "vcpus",
}


def _check_names(options: Iterable[str], error: KvmError) -> None:
    """Raises TypeError if an option that no provider has looks like an argument of ``load``."""
    known = [name for name in inspect.signature(load).parameters if name != "options"]
    for name in options:
        alike = [_ELSEWHERE[name]] if name in _ELSEWHERE else near(name, known, 1)
        if alike and repr(name) in str(error):
            raise TypeError(
                f"load() has no argument {name!r}; did you mean {alike[0]!r}?"
            ) from error


def _to_stdout() -> Sink:
    """Standard output, also if it was replaced by an object that takes text only."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is not None:
        return cast(ByteSink, binary)
    text = sys.stdout
    return lambda data: text.write(data.decode("utf-8", "replace"))
