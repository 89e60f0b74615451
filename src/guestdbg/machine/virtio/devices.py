"""The virtio devices of a board, from its arguments, and their transports."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import VIRTIO_BASE, VIRTIO_COUNT, VIRTIO_SIZE, VIRTIO_SPI

if TYPE_CHECKING:
    from guestdbg.machine.console import Console
    from guestdbg.machine.device import Device
    from guestdbg.machine.memory import PhysicalMemory
    from guestdbg.machine.usernet import NetSpec
    from guestdbg.machine.virtio.backend import Backend
    from guestdbg.machine.virtio.drive_spec import DriveSpec
    from guestdbg.machine.virtio.transport import VirtioMmio

__all__ = ["Drives", "connect", "empty_transports", "open_backends"]

Drives: TypeAlias = "Sequence[str | os.PathLike[str] | DriveSpec]"


def open_backends(
    drives: Drives = (),
    *,
    net: str | NetSpec | None = None,
    entropy: int | None = None,
    console: Console | None = None,
) -> list[Backend]:
    """The devices in the order of their transports, with their files open and locked.

    ``net`` is a user-mode network, ``entropy`` the seed of an entropy device, ``console`` the
    terminal of a console device; None: there is none.

    Raises:
        DriveError: a drive cannot be used.
        NetworkError: the network cannot: a port is in use.
        MachineError: more devices than transports, or ``drives`` is not a list.
    """
    if isinstance(drives, str) or not isinstance(drives, Sequence):
        raise MachineError(f"drives={drives!r}: it must be a list of drives: [{drives!r}]")
    others = sum(argument is not None for argument in (net, entropy, console))
    if len(drives) + others > VIRTIO_COUNT:
        raise MachineError(
            f"{len(drives)} drives and {others} other virtio devices: a board has up to "
            f"{VIRTIO_COUNT} of them"
        )
    backends: list[Backend] = []
    try:
        # Each kind of device is imported for a board that has one.
        for number, drive in enumerate(drives):
            backends.append(_drive(drive, number))
        if net is not None:
            backends.append(_network(net))
        if console is not None:
            from guestdbg.machine.virtio.console import VirtioConsole

            backends.append(VirtioConsole(console))
        if entropy is not None:
            from guestdbg.machine.virtio.entropy import Entropy

            backends.append(Entropy(entropy))
    except BaseException:
        for backend in backends:
            backend.close()
        raise
    return backends


def _drive(drive: str | os.PathLike[str] | DriveSpec, number: int) -> Backend:
    from guestdbg.machine.virtio.block import Block
    from guestdbg.machine.virtio.disk_image import open_image
    from guestdbg.machine.virtio.drive_spec import parse_drive

    return Block(open_image(parse_drive(drive)), f"drive{number}")


def _network(net: str | NetSpec) -> Backend:
    from guestdbg.machine.usernet.addresses import GUEST_MAC
    from guestdbg.machine.usernet.network import UserNetwork
    from guestdbg.machine.usernet.spec import parse_net
    from guestdbg.machine.virtio.network import Unplugged, VirtioNet

    spec = parse_net(net)
    return VirtioNet(UserNetwork(spec) if spec.plugged_in else Unplugged(), GUEST_MAC)


def connect(
    backends: Sequence[Backend],
    memory: PhysicalMemory,
    interrupt: Callable[[int], Callable[[bool], object]],
) -> tuple[VirtioMmio, ...]:
    """The devices at the first transports, each with its interrupt."""
    if not backends:
        return ()
    from guestdbg.machine.virtio.transport import VirtioMmio

    return tuple(
        VirtioMmio(
            VIRTIO_BASE + number * VIRTIO_SIZE, backend, memory, interrupt(VIRTIO_SPI + number)
        )
        for number, backend in enumerate(backends)
    )


def empty_transports(count: int) -> list[Device]:
    """The transports after ``count`` that have a device; none if no transport has one."""
    used = count * VIRTIO_SIZE
    whole = VIRTIO_COUNT * VIRTIO_SIZE
    if not 0 < used < whole:
        return []
    from guestdbg.machine.virtio.transport import EmptyTransports

    return [EmptyTransports(VIRTIO_BASE + used, whole - used)]
