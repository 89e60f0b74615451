"""Cases for the devices of a board: registers in any order and width, and queues of any contents.

The guest's accesses are loads and stores of the vCPUs, the queues are in its memory. Whatever it
does, nothing is raised, no device writes outside RAM, and the disk's file stays as it is.
"""

from __future__ import annotations

import logging
import random
import struct
import tempfile
from pathlib import Path

from fuzz_case import Action, Case, Failure

from guestdbg.kvm import ExitInternalError, ExitIntr, ExitSystemEvent, KvmError, open_kvm
from guestdbg.kvm.regs import PC, core_reg
from guestdbg.machine import Board, Console, VirtioMmio
from guestdbg.machine.layout import RAM_BASE, VIRTIO_BASE, VIRTIO_COUNT, VIRTIO_SIZE
from guestdbg.machine.virtio.constants import Reg, Status

RAM_SIZE = 4 << 20
CODE = RAM_BASE + 0x20_0000
RINGS = RAM_BASE + 0x10_0000
BUFFERS = RAM_BASE + 0x18_0000
SECTORS = 64
ACCESSES = 8
EXITS = 40  # of one action: accesses, aborts, inputs

# Xn or Wn to or from the address in X1 to X8; sizes 1, 2, 4 and 8.
_LOADS = (0x39400000, 0x79400000, 0xB9400000, 0xF9400000)
_STORES = (0x39000000, 0x79000000, 0xB9000000, 0xF9000000)

_VALUES = (0, 1, 2, 3, 4, 8, 15, 16, 64, 128, 0xFF, 0xFFFF, 0xFFFF_FFFF, (1 << 64) - 1)
_LENGTHS = (0, 1, 4, 12, 16, 17, 512, 1024, 4096, 0x4_0000, 0xFFFF_FFFF)


class DeviceCase(Case):
    """A board with every device, and two vCPUs."""

    kind = "devices"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        logging.disable(logging.ERROR)
        self._directory = tempfile.TemporaryDirectory()
        self.path = Path(self._directory.name) / "disk.img"
        self.contents = self.rng.randbytes(512 * SECTORS)
        self.path.write_bytes(self.contents)
        self.kvm = open_kvm("soft")
        self.board = Board(
            self.kvm,
            memory_size=RAM_SIZE,
            vcpus=2,
            console=Console(),
            drives=[f"{self.path},overlay", f"{self.path},readonly"],
            entropy=True,
            virtio_console=Console(),
            seed=seed,
        )
        self.board.on_dma = self._on_dma
        self.board.start(CODE)
        self.saved = self.board.snapshot()
        self._accesses = 0

    @property
    def instructions(self) -> int:
        return self._accesses

    def close(self) -> None:
        self.board.close()
        self.kvm.close()
        self._directory.cleanup()

    def check(self) -> None:
        if self.path.read_bytes() != self.contents:
            raise Failure("the file of a disk with an overlay has changed")

    def _on_dma(self, device: object, address: int, length: int) -> None:
        self.did["dma"] += 1
        if not RAM_BASE <= address <= address + length <= RAM_BASE + RAM_SIZE:
            raise Failure(f"{device} wrote {length} bytes at {address:#x}")

    def actions(self) -> list[tuple[int, Action]]:
        return [
            (40, self.accesses),
            (20, self.set_up_queue),
            (30, self.fill_rings),
            (30, self.notify),
            (5, self.outside),
            (3, self.go_back),
            (2, self.save),
            (2, self.start_again),
        ]

    # ---- what the guest does -----------------------------------------------------------------

    def accesses(self, rng: random.Random) -> None:
        """Loads and stores of device registers, by one vCPU."""
        vcpu = rng.choice(self.board.vcpus)
        code = b""
        for n in range(1, ACCESSES + 1):
            size = rng.choice((0, 1, 2, 2, 2, 3))
            word = rng.choice((_LOADS, _STORES))[size] | n << 5 | n + 10
            code += word.to_bytes(4, "little")
            address, value = self._register(rng) & -(1 << size), self._value(rng)
            vcpu.set_one_reg(core_reg(f"x{n}"), address)
            vcpu.set_one_reg(core_reg(f"x{n + 10}"), value)
        self.board.write_phys(CODE, code)
        vcpu.set_one_reg(PC, CODE)
        self._accesses += ACCESSES
        vcpu.max_instructions = vcpu.instructions + ACCESSES  # type: ignore[attr-defined]
        for _ in range(EXITS):
            try:
                exit_ = self.board.run(vcpu)
            except KvmError as error:
                self.did[f"error: {error.errno}"] += 1
                return
            if isinstance(exit_, ExitSystemEvent | ExitInternalError):
                return
            if type(exit_) is ExitIntr and vcpu.instructions >= vcpu.max_instructions:  # type: ignore[attr-defined]
                return

    def _register(self, rng: random.Random) -> int:
        windows = [(device.base, device.size) for device in self.board.bus.devices]
        if self.board.gic is not None:
            windows += [(frame.base, min(frame.size, 0x4_0000)) for frame in self.board.gic.frames]
        windows += [(VIRTIO_BASE, VIRTIO_COUNT * VIRTIO_SIZE)] * 2
        base, size = rng.choice(windows)
        if base == VIRTIO_BASE and rng.random() < 0.7:
            return base + rng.randrange(6) * VIRTIO_SIZE + rng.choice(list(Reg))
        return base + rng.choice((rng.randrange(size), 4 * rng.randrange(min(size // 4, 64))))

    @staticmethod
    def _value(rng: random.Random) -> int:
        return rng.choice(
            (
                rng.choice(_VALUES),
                rng.getrandbits(64),
                rng.getrandbits(32),
                RINGS,
                1 << rng.randrange(64),
            )
        )

    # ---- queues ------------------------------------------------------------------------------

    def _transport(self, rng: random.Random) -> VirtioMmio:
        return rng.choice(self.board.virtio)

    def set_up_queue(self, rng: random.Random) -> None:
        """As a driver does it, mostly."""
        device = self._transport(rng)

        def write(register: int, value: int) -> None:
            if rng.random() < 0.03:
                value = self._value(rng)
            if rng.random() < 0.98:
                device.write(register, 4, value & 0xFFFF_FFFF)

        write(Reg.STATUS, 0)
        write(Reg.STATUS, Status.ACKNOWLEDGE | Status.DRIVER)
        for word in (0, 1):
            write(Reg.DRIVER_FEATURES_SEL, word)
            offered = device.offered >> 32 * word & 0xFFFF_FFFF
            write(Reg.DRIVER_FEATURES, offered if rng.random() < 0.7 else offered & ~(1 << 29))
        write(Reg.STATUS, Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK)
        for index in range(len(device.queues)):
            write(Reg.QUEUE_SEL, index)
            write(Reg.QUEUE_NUM, rng.choice((1, 2, 4, 8, 16, 16, 64)))
            base = RINGS + 0x4000 * index + rng.choice((0,) * 12 + (16, 0x1000))
            apart = rng.choice((0x1000,) * 12 + (0, 0x40))
            for number, register in enumerate(
                (Reg.QUEUE_DESC_LOW, Reg.QUEUE_DRIVER_LOW, Reg.QUEUE_DEVICE_LOW)
            ):
                write(register, base + number * apart)
                write(register + 4, 0)
            write(Reg.QUEUE_READY, 1)
        write(Reg.STATUS, 15)
        if device.read(Reg.STATUS, 4) & Status.DRIVER_OK:
            self.did["a driver that is ready"] += 1

    def fill_rings(self, rng: random.Random) -> None:
        """Descriptors, available rings and requests of any contents."""
        header = struct.pack(
            "<IIQ", rng.choice((0, 1, 4, 8, 13, 99)), 0, rng.randrange(SECTORS + 2)
        )
        self.board.write_phys(BUFFERS, header)
        for index in range(2):
            base = RINGS + 0x4000 * index
            if rng.random() < 0.5:
                self._fill_well(rng, base)
                continue
            for number in range(16):
                address = rng.choice(
                    (
                        BUFFERS + 16 * rng.randrange(4096),
                        BUFFERS,
                        RINGS + 16 * rng.randrange(1024),
                        RAM_BASE + RAM_SIZE - rng.randrange(64),
                        rng.getrandbits(64),
                    )
                )
                flags = rng.choice((0, 1, 1, 2, 2, 3, 3, 4, rng.getrandbits(16)))
                length = rng.choice(_LENGTHS)
                raw = struct.pack("<QIHH", address, length, flags, rng.randrange(18))
                self.board.write_phys(base + 16 * number, raw)
            heads = struct.pack("<16H", *(rng.randrange(17) for _ in range(16)))
            self.board.write_phys(base + 0x1000, rng.choice((b"\0\0", b"\1\0")))
            self.board.write_phys(base + 0x1004, heads)

    def _fill_well(self, rng: random.Random, base: int) -> None:
        """Requests that a block device takes, or single buffers."""
        single = rng.random() < 0.4
        parts = (
            (BUFFERS, 16, 1),
            (BUFFERS + 0x1000, 512 * rng.randrange(1, 5), 3),
            (BUFFERS + 16, 1, 2),
        )
        for number in range(15):
            address, length, flags = parts[number % 3]
            if single:
                address, length, flags = BUFFERS + 0x100 * number, 64, rng.choice((0, 2))
            raw = struct.pack("<QIHH", address, length, flags, number + 1)
            self.board.write_phys(base + 16 * number, raw)
        step = 1 if single else 3
        heads = struct.pack("<16H", *(n * step % 15 for n in range(16)))
        self.board.write_phys(base + 0x1004, heads)

    def notify(self, rng: random.Random) -> None:
        """Make some requests available, and notify of them."""
        device = self._transport(rng)
        for index in range(len(device.queues)):
            at = RINGS + 0x4000 * index + 0x1002
            old = int.from_bytes(self.board.read_phys(at, 2), "little")
            new = old + rng.choice((0, 1, 1, 1, 1, 2, 2, 5, 16, 17, 0x8000)) & 0xFFFF
            self.board.write_phys(at, new.to_bytes(2, "little"))
            device.write(Reg.QUEUE_NOTIFY, 4, index)
        if rng.random() < 0.5:
            device.write(Reg.INTERRUPT_ACK, 4, 3)
        if device.read(Reg.STATUS, 4) & Status.DEVICE_NEEDS_RESET:
            self.did["a queue that was broken"] += 1

    # ---- the rest ----------------------------------------------------------------------------

    def outside(self, rng: random.Random) -> None:
        """Something comes in."""
        match rng.randrange(3):
            case 0:
                self.board.console.feed(rng.randbytes(rng.randrange(40)))
            case 1:
                self.board.press_power_button()
            case _:
                for device in self.board.virtio:
                    if device.name == "virtio-console":
                        device.backend.console.feed(b"typed")  # type: ignore[attr-defined]
        self.board.deliver_inputs()

    def save(self, rng: random.Random) -> None:
        self.saved = self.board.snapshot()

    def go_back(self, rng: random.Random) -> None:
        self.board.restore(self.saved)

    def start_again(self, rng: random.Random) -> None:
        self.board.start(CODE)
