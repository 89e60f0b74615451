"""What a board is made of: its vCPUs, and the memory and devices that users add.

``Board`` calls these once. Each raises MachineError for an argument that a board cannot have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from guestdbg.kvm.constants import KVM_CAP_MAX_VCPUS, KVM_CAP_READONLY_MEM, KVM_MEM_READONLY
from guestdbg.machine.devices.mmio_device import MmioDevice
from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import PAGE_SIZE, RAM_MAX, RAM_MIN
from guestdbg.machine.memory import Region
from guestdbg.machine.sizes import format_size
from guestdbg.machine.virtio.dma import DmaMemory

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu, Vm
    from guestdbg.machine.bus import Bus
    from guestdbg.machine.device import Device
    from guestdbg.machine.layout import Window
    from guestdbg.machine.memory import PhysicalMemory

MAX_VCPUS = 8  # of a GICv2, and of a board without an interrupt controller
MAX_VCPUS_GICV3 = 64

_FIRST_OWN_SLOT = 8  # of memory; those before it are RAM and flash


def check_arguments(memory_size: int, unmapped: str, bootargs: str, seed: int | None) -> None:
    """Check what needs no provider."""
    if memory_size % PAGE_SIZE or not RAM_MIN <= memory_size <= RAM_MAX:
        raise MachineError(
            f"memory of {format_size(memory_size)}: a board has {format_size(RAM_MIN)} to "
            f"{format_size(RAM_MAX)}, in multiples of {format_size(PAGE_SIZE)}"
        )
    if unmapped not in ("abort", "zero"):
        raise MachineError(f"unmapped={unmapped!r}: it must be 'abort' or 'zero'")
    if not isinstance(bootargs, str) or "\0" in bootargs:
        raise MachineError(f"bootargs={bootargs!r}: it must be a str without NUL characters")
    try:
        bootargs.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise MachineError(f"bootargs={bootargs!r}: it is not text ({error.reason})") from error
    if seed is not None and not isinstance(seed, int):
        raise MachineError(f"seed={seed!r}: it must be an int or None")


def create_vcpus(vm: Vm, count: int, gic: int | None) -> tuple[Vcpu, ...]:
    """The vCPUs of a board with an interrupt controller of that version; None: without one."""
    most = MAX_VCPUS_GICV3 if gic == 3 else MAX_VCPUS
    if not isinstance(count, int) or not 1 <= count <= most:
        has = "without an interrupt controller" if gic is None else f"with a GICv{gic}"
        raise MachineError(f"{count!r} vCPUs: a board {has} has 1 to {most}")
    limit = vm.check_extension(KVM_CAP_MAX_VCPUS)
    if limit and count > limit:
        raise MachineError(f"{count} vCPUs, but the maximum of this provider is {limit}")
    return tuple(vm.create_vcpu(number) for number in range(count))


def map_regions(vm: Vm, memory: PhysicalMemory, regions: Sequence[Region]) -> None:
    """Map the memory that users add."""
    read_only = KVM_MEM_READONLY if vm.check_extension(KVM_CAP_READONLY_MEM) else 0
    for slot, region in enumerate(regions, _FIRST_OWN_SLOT):
        if not isinstance(region, Region):
            raise MachineError(f"regions: {region!r} is not a Region")
        memory.add(region)
        flags = read_only if region.read_only else 0
        vm.set_user_memory_region(slot, region.base, region.buffer, flags)


def make_room(
    bus: Bus, memory: PhysicalMemory, gic: Iterable[Window], own: Sequence[MmioDevice]
) -> None:
    """Check the places of the user's devices, and remove the board's own that are in the way."""
    for device in own:
        if not isinstance(device, MmioDevice):
            raise MachineError(f"devices: {device!r} is not an MmioDevice")
    taken = [*memory, *own]
    for device in taken:
        for fixed in gic:
            if _overlap(device, fixed):
                raise MachineError(
                    f"{device.name} at {device.base:#x} is where the {fixed.name} is: choose "
                    "another address, or gic=None"
                )
    for region in memory:
        for device in own:
            if _overlap(device, region):
                raise MachineError(
                    f"{device.name} at {device.base:#x} is in {region.name}, which is memory"
                )
    for present in bus.devices:
        if any(_overlap(present, other) for other in taken):
            bus.remove(present)


def dma_of(device: Device) -> DmaMemory | None:
    """Guest memory as ``device`` accesses it, if it does."""
    found = getattr(device, "dma", None)
    return found if isinstance(found, DmaMemory) else None


class _Placed(Protocol):
    """What has a place in guest-physical address space."""

    @property
    def base(self) -> int: ...

    @property
    def size(self) -> int: ...


def _overlap(one: _Placed, other: _Placed) -> bool:
    return one.base < other.base + other.size and other.base < one.base + one.size
