"""A driver for virtio-mmio, written from the specification's driver requirements.

It has its rings in the first half of a memory of 1 MiB, and buffers in the second. What it does not
do by itself (bad values) a test does through ``write`` and ``poke``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from guestdbg.machine import PhysicalMemory, Region
from guestdbg.machine.virtio.backend import Backend
from guestdbg.machine.virtio.constants import Feature, Reg, Status
from guestdbg.machine.virtio.transport import VirtioMmio

RAM = 0x4000_0000
RAM_SIZE = 1 << 20
FLASH = 0x0
BUFFERS = RAM + RAM_SIZE // 2
BASE = 0x0A00_0000

NEXT, WRITE, INDIRECT = 1, 2, 4
ALL = Feature.VERSION_1 | Feature.INDIRECT_DESC | Feature.EVENT_IDX | Feature.RING_RESET

Segment = tuple[int, int, bool]  # address, length, the device writes it


class Ring:
    """The driver's side of one queue."""

    def __init__(self, driver: Driver, index: int, size: int) -> None:
        self.driver, self.index, self.size = driver, index, size
        base = RAM + index * 0x8000
        self.descriptors, self.available, self.used = base, base + 0x4000, base + 0x6000
        self.indirect_at = base + 0x5000
        self.next_available = self.seen_used = 0
        self.free = list(range(size))
        self.chains: dict[int, list[int]] = {}

    def descriptor(self, index: int, address: int, length: int, flags: int, next_: int = 0) -> None:
        raw = struct.pack("<QIHH", address, length, flags, next_)
        self.driver.memory.write(self.descriptors + 16 * index, raw)

    def add(self, segments: Sequence[Segment], *, indirect: bool = False) -> int:
        """Make a request available; returns its head. The device is not notified yet."""
        if indirect:
            raw = b"".join(
                struct.pack(
                    "<QIHH",
                    address,
                    length,
                    (WRITE if writes else 0) | (NEXT if n + 1 < len(segments) else 0),
                    n + 1,
                )
                for n, (address, length, writes) in enumerate(segments)
            )
            self.driver.memory.write(self.indirect_at, raw)
            indices = [self.free.pop()]
            self.descriptor(indices[0], self.indirect_at, len(raw), INDIRECT)
        else:
            indices = [self.free.pop() for _ in segments]
            for n, (address, length, writes) in enumerate(segments):
                last = n + 1 == len(segments)
                flags = (WRITE if writes else 0) | (0 if last else NEXT)
                self.descriptor(indices[n], address, length, flags, 0 if last else indices[n + 1])
        self.chains[indices[0]] = indices
        self.make_available(indices[0])
        return indices[0]

    def make_available(self, head: int) -> None:
        slot = self.available + 4 + 2 * (self.next_available % self.size)
        self.driver.memory.write(slot, head.to_bytes(2, "little"))
        self.next_available = self.next_available + 1 & 0xFFFF
        self.driver.memory.write(self.available + 2, self.next_available.to_bytes(2, "little"))

    def notify(self) -> None:
        self.driver.write(Reg.QUEUE_NOTIFY, self.index)

    def half(self, address: int) -> int:
        return int.from_bytes(self.driver.memory.read(address, 2), "little")

    @property
    def used_index(self) -> int:
        return self.half(self.used + 2)

    @property
    def avail_event(self) -> int:
        return self.half(self.used + 4 + 8 * self.size)

    def set_used_event(self, index: int) -> None:
        self.driver.memory.write(
            self.available + 4 + 2 * self.size, (index & 0xFFFF).to_bytes(2, "little")
        )

    def take_used(self) -> list[tuple[int, int]]:
        """(head, bytes written) of the requests that the device has returned."""
        taken = []
        while self.seen_used != self.used_index:
            at = self.used + 4 + 8 * (self.seen_used % self.size)
            head, written = struct.unpack("<II", self.driver.memory.read(at, 8))
            self.free += self.chains.pop(head, [])
            taken.append((head, written))
            self.seen_used = self.seen_used + 1 & 0xFFFF
        return taken


class Driver:
    """Drives a device that has its rings and buffers in ``memory``."""

    def __init__(self, device: VirtioMmio, memory: PhysicalMemory) -> None:
        self.device, self.memory = device, memory
        self.levels: list[bool] = []
        self.dma: list[tuple[int, int]] = []
        self.rings: list[Ring] = []

    @classmethod
    def of(cls, backend: Backend) -> Driver:
        """A driver of ``backend`` at a transport in a memory of its own."""
        memory = PhysicalMemory()
        memory.add(Region("RAM", RAM, RAM_SIZE))
        memory.add(Region("flash", FLASH, 1 << 16, read_only=True))
        levels: list[bool] = []
        dma: list[tuple[int, int]] = []
        device = VirtioMmio(
            BASE, backend, memory, levels.append, lambda at, length: dma.append((at, length))
        )
        driver = cls(device, memory)
        driver.levels, driver.dma = levels, dma
        return driver

    def read(self, offset: int, size: int = 4) -> int:
        return self.device.read(offset, size)

    def write(self, offset: int, value: int) -> None:
        self.device.write(offset, 4, value)

    @property
    def status(self) -> int:
        return self.read(Reg.STATUS)

    @property
    def offered(self) -> int:
        words = []
        for word in (0, 1):
            self.write(Reg.DEVICE_FEATURES_SEL, word)
            words.append(self.read(Reg.DEVICE_FEATURES))
        return words[0] | words[1] << 32

    def negotiate(self, features: int) -> bool:
        """Steps 1 to 6 of the initialization (3.1.1): whether the device accepts the features."""
        self.write(Reg.STATUS, 0)
        self.write(Reg.STATUS, Status.ACKNOWLEDGE)
        self.write(Reg.STATUS, Status.ACKNOWLEDGE | Status.DRIVER)
        for word in (0, 1):
            self.write(Reg.DRIVER_FEATURES_SEL, word)
            self.write(Reg.DRIVER_FEATURES, features >> 32 * word & 0xFFFF_FFFF)
        self.write(Reg.STATUS, Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK)
        return bool(self.status & Status.FEATURES_OK)

    def set_up(self, ring: Ring) -> None:
        """Set up one queue (4.2.3.2)."""
        self.write(Reg.QUEUE_SEL, ring.index)
        assert self.read(Reg.QUEUE_READY) == 0
        assert self.read(Reg.QUEUE_NUM_MAX) >= ring.size
        self.write(Reg.QUEUE_NUM, ring.size)
        for low, high, address in (
            (Reg.QUEUE_DESC_LOW, Reg.QUEUE_DESC_HIGH, ring.descriptors),
            (Reg.QUEUE_DRIVER_LOW, Reg.QUEUE_DRIVER_HIGH, ring.available),
            (Reg.QUEUE_DEVICE_LOW, Reg.QUEUE_DEVICE_HIGH, ring.used),
        ):
            self.write(low, address & 0xFFFF_FFFF)
            self.write(high, address >> 32)
        self.write(Reg.QUEUE_READY, 1)
        assert self.read(Reg.QUEUE_READY) == 1

    def start(self, features: int | None = None, size: int = 16) -> Ring:
        """All of the initialization; returns the first ring. Default: all features offered."""
        assert self.negotiate(self.offered if features is None else features)
        self.rings = [Ring(self, n, size) for n in range(len(self.device.queues))]
        for ring in self.rings:
            self.memory.write(ring.descriptors, bytes(0x8000))
            self.set_up(ring)
        self.write(Reg.STATUS, self.status | Status.DRIVER_OK)
        assert self.status & (Status.DRIVER_OK | Status.DEVICE_NEEDS_RESET) == Status.DRIVER_OK
        return self.rings[0]

    def close(self) -> None:
        self.device.close()
        self.memory.close()
