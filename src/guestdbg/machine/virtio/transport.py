"""The MMIO transport of virtio devices (virtio 1.2, 4.2), version 2: no legacy interface.

The device of the transport, its backend, works on a queue inside the guest's store to QueueNotify.
So what it does is part of that instruction, and is the same in every run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.machine.device import SupportsFiles
from guestdbg.machine.devicetree import Node, cells
from guestdbg.machine.layout import VIRTIO_BASE, VIRTIO_SIZE, VIRTIO_SPI
from guestdbg.machine.virtio.constants import Feature, InterruptStatus, Reg, Status
from guestdbg.machine.virtio.dma import DmaMemory

# Saved states are checked against the annotations of TransportState.
from guestdbg.machine.virtio.virtqueue import QueueError, QueueState, Virtqueue  # noqa: TC001

if TYPE_CHECKING:
    from guestdbg.machine.memory import PhysicalMemory
    from guestdbg.machine.virtio.backend import Backend
    from guestdbg.machine.virtio.dma import OnDma

__all__ = ["EmptyTransports", "TransportState", "VirtioMmio"]

log = logging.getLogger("guestdbg.machine")

MAGIC = 0x7472_6976  # "virt"
VERSION = 2
VENDOR = 0x554D_4551  # "QEMU", as on its board

_COMMON = int(Feature.VERSION_1 | Feature.INDIRECT_DESC | Feature.EVENT_IDX | Feature.RING_RESET)
_WORD = 0xFFFF_FFFF
_USED = int(InterruptStatus.USED_BUFFER)
_CONFIG_CHANGE = int(InterruptStatus.CONFIGURATION_CHANGE)
_DRIVER_OK = int(Status.DRIVER_OK)
_FEATURES_OK = int(Status.FEATURES_OK)
_NEEDS_RESET = int(Status.DEVICE_NEEDS_RESET)
_SIMPLE_STATUS = int(Status.ACKNOWLEDGE | Status.DRIVER | Status.FAILED)

# The low word of each address; the high word follows it.
_ADDRESSES = {
    Reg.QUEUE_DESC_LOW: "descriptors",
    Reg.QUEUE_DRIVER_LOW: "driver",
    Reg.QUEUE_DEVICE_LOW: "device",
}


class TransportState(NamedTuple):
    """The state of a transport and its device: see ``VirtioMmio.snapshot``."""

    status: int
    features: int
    selectors: tuple[int, int, int]
    interrupt: int
    generation: int
    queues: tuple[QueueState, ...]
    backend: object


class VirtioMmio:
    """A virtio device at ``base``, 512 bytes of registers.

    Args:
        base: the guest-physical address: that of a transport of QEMU's board, each of which has
            its own interrupt.
        backend: the device.
        memory: where its rings and buffers are.
        set_level: called with the new level when the interrupt changes.
        on_dma: called with the address and the length in bytes of each write to guest memory.
    """

    def __init__(
        self,
        base: int,
        backend: Backend,
        memory: PhysicalMemory,
        set_level: Callable[[bool], object] | None = None,
        on_dma: OnDma | None = None,
    ) -> None:
        self.base = base
        self.size = VIRTIO_SIZE
        self.name = backend.name
        self.backend = backend
        self.dma = DmaMemory(memory, on_dma)
        self.queues = tuple(Virtqueue(self.dma, size) for size in backend.queue_sizes)
        self.offered = backend.features | _COMMON
        self.features = 0
        self._set_level = set_level
        self._status = self._interrupt = self._generation = 0
        self._device_word = self._driver_word = self._queue = 0
        self._warned = False
        backend.port = self

    @property
    def level(self) -> bool:
        """Whether the interrupt is asserted."""
        return self._interrupt != 0

    def reset(self) -> None:
        """What a driver does by writing 0 to Status (2.4), and a reset of the board."""
        self._status = self.features = 0
        self._device_word = self._driver_word = self._queue = 0
        for queue in self.queues:
            queue.reset()
        self.backend.reset()
        self._change_interrupt(0)

    def read(self, offset: int, size: int) -> int:
        if offset >= Reg.CONFIG:
            start = offset - Reg.CONFIG
            return int.from_bytes(self.backend.config()[start : start + size], "little")
        if size != 4:
            return 0  # 4.2.2.2: only aligned accesses of 32 bits
        reader = _READERS.get(offset)
        return 0 if reader is None else reader(self)

    def peek(self, offset: int) -> int | None:
        """See ``SupportsPeek``: no register changes when it is read."""
        return self.read(offset, 4)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset >= Reg.CONFIG:
            self.backend.write_config(offset - Reg.CONFIG, value.to_bytes(size, "little"))
            return
        if size != 4:
            return
        if offset == Reg.QUEUE_NOTIFY:
            self.serve(value)
            return
        writer = _WRITERS.get(offset)
        if writer is not None:
            writer(self, value)
        elif Reg.QUEUE_DESC_LOW <= offset <= Reg.QUEUE_DEVICE_HIGH and offset & ~4 in _ADDRESSES:
            self._write_address(offset, value)

    # What the driver's accesses do. The specification calls them by the registers' names.

    def _read_features(self) -> int:
        word = self._device_word
        return self.offered >> 32 * word & _WORD if word < 2 else 0

    def _write_features(self, value: int) -> None:
        word = self._driver_word
        if self._status & _FEATURES_OK or word >= 2:
            return
        self.features = self.features & ~(_WORD << 32 * word) | value << 32 * word

    def _write_device_word(self, value: int) -> None:
        self._device_word = value

    def _write_driver_word(self, value: int) -> None:
        self._driver_word = value

    def _write_queue_select(self, value: int) -> None:
        self._queue = value

    @property
    def _selected(self) -> Virtqueue | None:
        return self.queues[self._queue] if self._queue < len(self.queues) else None

    def _read_max_size(self) -> int:
        queue = self._selected
        return 0 if queue is None else queue.max_size

    def _write_size(self, value: int) -> None:
        queue = self._selected
        if queue is not None and not queue.ready:
            queue.size = value

    def _write_address(self, offset: int, value: int) -> None:
        queue = self._selected
        if queue is None or queue.ready:
            return
        name = _ADDRESSES[Reg(offset & ~4)]
        shift = 32 if offset & 4 else 0
        setattr(queue, name, getattr(queue, name) & ~(_WORD << shift) | value << shift)

    def _read_ready(self) -> int:
        queue = self._selected
        return 0 if queue is None else int(queue.ready)

    def _write_ready(self, value: int) -> None:
        queue = self._selected
        if queue is None:
            return
        if not value & 1:
            queue.ready = False
        elif not queue.ready and self._status & _FEATURES_OK:
            try:
                queue.enable(
                    event_index=bool(self.features & Feature.EVENT_IDX),
                    indirect=bool(self.features & Feature.INDIRECT_DESC),
                )
            except QueueError as error:
                self._fail(error)

    def _write_queue_reset(self, value: int) -> None:
        queue = self._selected
        if queue is not None and value & 1 and self.features & Feature.RING_RESET:
            queue.reset()  # at once: QueueReset reads as 0

    def _write_ack(self, value: int) -> None:
        self._change_interrupt(self._interrupt & ~value)
        for index, queue in enumerate(self.queues):
            # What was left when a notification had done as much as one may.
            if queue.unfinished:
                self.serve(index)

    def _write_status(self, value: int) -> None:
        if value == 0:
            self.reset()
            return
        old = self._status
        status = old | value & _SIMPLE_STATUS
        if value & _FEATURES_OK and not old & _FEATURES_OK and self._acceptable():
            status |= _FEATURES_OK
        if value & _DRIVER_OK and status & _FEATURES_OK:
            status |= _DRIVER_OK
        self._status = status
        if status & ~old & _DRIVER_OK:
            # Buffers that were made available before are used now (3.1.1).
            for index in range(len(self.queues)):
                self.serve(index)

    def _acceptable(self) -> bool:
        """Whether the device works with these features (2.2.2): only those that it offered."""
        return not self.features & ~self.offered and bool(self.features & Feature.VERSION_1)

    # What the device does.

    def serve(self, index: int) -> None:
        """The driver has notified of queue ``index``, or there is something for it."""
        if index >= len(self.queues) or self._status & (_DRIVER_OK | _NEEDS_RESET) != _DRIVER_OK:
            return
        queue = self.queues[index]
        if not queue.ready:
            return
        queue.unfinished = False
        try:
            self.backend.serve(index, queue)
        except QueueError as error:
            self._fail(error)
        # A driver that looks at the used ring alone would not make the device go on.
        if queue.publish() or queue.unfinished:
            self._change_interrupt(self._interrupt | _USED)

    def config_changed(self) -> None:
        """See ``TransportPort``."""
        self._generation = self._generation + 1 & _WORD
        if self._status & _DRIVER_OK:
            self._change_interrupt(self._interrupt | _CONFIG_CHANGE)

    def _fail(self, error: QueueError) -> None:
        """The device needs a reset (2.1.2): it does no more work until then."""
        if not self._warned:
            self._warned = True
            log.warning("%s at %#x needs a reset: %s", self.name, self.base, error)
        self._status |= _NEEDS_RESET
        if self._status & _DRIVER_OK:
            self._change_interrupt(self._interrupt | _CONFIG_CHANGE)

    def _change_interrupt(self, status: int) -> None:
        before, self._interrupt = self._interrupt, status
        if self._set_level is not None and bool(before) != bool(status):
            self._set_level(status != 0)

    def describe(self) -> str:
        """What the device is beside its type, in a form to compare (shape.py)."""
        return f"features {self.offered:#x}, {self.backend.describe()}"

    def snapshot(self) -> TransportState:
        """The registers, the queues' state and the device's.

        Raises:
            MachineError: the device has state that cannot be kept (a disk that is written).
        """
        return TransportState(
            self._status,
            self.features,
            (self._device_word, self._driver_word, self._queue),
            self._interrupt,
            self._generation,
            tuple(queue.snapshot() for queue in self.queues),
            self.backend.snapshot(),
        )

    def restore(self, state: TransportState) -> None:
        """Return to the state of ``snapshot``. ``set_level`` is not called: the interrupt
        controller is restored, too."""
        self._status = state.status
        self.features = state.features
        self._device_word, self._driver_word, self._queue = state.selectors
        self._interrupt = state.interrupt
        self._generation = state.generation
        for queue, queue_state in zip(self.queues, state.queues, strict=True):
            queue.restore(queue_state)
        self.backend.restore(state.backend)

    def check_files(self) -> None:
        """See ``SupportsFiles``."""
        if isinstance(self.backend, SupportsFiles):
            self.backend.check_files()

    def device_tree_nodes(self) -> tuple[Node, ...]:
        """See ``SupportsDeviceTree``."""
        spi = VIRTIO_SPI + (self.base - VIRTIO_BASE) // VIRTIO_SIZE
        properties = {
            "compatible": "virtio,mmio",
            "reg": cells(self.base, self.size),
            "dma-coherent": None,
        }
        return (Node(f"virtio_mmio@{self.base:x}", properties, (spi,)),)

    def close(self) -> None:
        """Release the files and sockets of the device."""
        self.backend.close()


_READERS: dict[int, Callable[[VirtioMmio], int]] = {
    Reg.MAGIC_VALUE: lambda device: MAGIC,
    Reg.VERSION: lambda device: VERSION,
    Reg.DEVICE_ID: lambda device: device.backend.device_id,
    Reg.VENDOR_ID: lambda device: VENDOR,
    Reg.DEVICE_FEATURES: VirtioMmio._read_features,
    Reg.QUEUE_NUM_MAX: VirtioMmio._read_max_size,
    Reg.QUEUE_READY: VirtioMmio._read_ready,
    Reg.INTERRUPT_STATUS: lambda device: device._interrupt,
    Reg.STATUS: lambda device: device._status,
    # 4.2.2.1: a shared memory region that does not exist has length and base -1.
    Reg.SHM_LEN_LOW: lambda device: _WORD,
    Reg.SHM_LEN_HIGH: lambda device: _WORD,
    Reg.SHM_BASE_LOW: lambda device: _WORD,
    Reg.SHM_BASE_HIGH: lambda device: _WORD,
    Reg.CONFIG_GENERATION: lambda device: device._generation,
}

_WRITERS: dict[int, Callable[[VirtioMmio, int], None]] = {
    Reg.DEVICE_FEATURES_SEL: VirtioMmio._write_device_word,
    Reg.DRIVER_FEATURES: VirtioMmio._write_features,
    Reg.DRIVER_FEATURES_SEL: VirtioMmio._write_driver_word,
    Reg.QUEUE_SEL: VirtioMmio._write_queue_select,
    Reg.QUEUE_NUM: VirtioMmio._write_size,
    Reg.QUEUE_READY: VirtioMmio._write_ready,
    Reg.INTERRUPT_ACK: VirtioMmio._write_ack,
    Reg.STATUS: VirtioMmio._write_status,
    Reg.QUEUE_RESET: VirtioMmio._write_queue_reset,
}


class EmptyTransports:
    """Transports without a device: DeviceID is 0, by which a driver leaves them alone (4.2.3.1)."""

    name = "virtio-mmio"

    def __init__(self, base: int, size: int) -> None:
        self.base = base
        self.size = size

    def read(self, offset: int, size: int) -> int:
        registers: dict[int, int] = {
            Reg.MAGIC_VALUE: MAGIC,
            Reg.VERSION: VERSION,
            Reg.VENDOR_ID: VENDOR,
        }
        return registers.get(offset % VIRTIO_SIZE, 0) if size == 4 else 0

    def peek(self, offset: int) -> int | None:
        """See ``SupportsPeek``."""
        return self.read(offset, 4)

    def write(self, offset: int, size: int, value: int) -> None:
        pass
