"""Loads predict the host address of their page; the value that they read must not depend on it.

Every load of one general-purpose register is executed many times, from memories at different
distances in the host: in turn, the same one many times, and then at random, beyond the number of
mispredictions at which it stops predicting. The expected value is computed in Python.
"""

from __future__ import annotations

import random
import struct

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_LIMIT, PhysicalMemory, Processor, encodings

from .support import B_SELF, EL1H

SIZE = 1 << 16
MEMORIES = (0x1000_0000, 0x4000_0000, 0x4001_0000, 0x70_0000_0000)
CODE = 0x2000_0000
BASE, INDEX, TARGET = 2, 3, 1
ONES = (1 << 64) - 1

LOADS = [
    (name, value)
    for name, mask, value in encodings()
    if name.startswith(("LDR", "LDUR", "LDTR"))
    and not name.startswith("LDRA")  # which do not predict
    and value >> 27 & 7 == 7
    and not value >> 26 & 1
]


def extended(name: str, data: bytes) -> int:
    """The register value for the bytes at its address."""
    size = 1 if "B" in name else 2 if "H" in name else 4 if "SW" in name or "_W" in name else 8
    if "RSB" in name or "RSH" in name:
        width = 64 if "_X" in name else 32
    elif "RSW" in name:
        width = 64
    else:
        return int.from_bytes(data[:size], "little")
    return int.from_bytes(data[:size], "little", signed=True) & (1 << width) - 1


class Guest:
    """Memories of random bytes, and one load with a branch after it."""

    def __init__(self, rng: random.Random) -> None:
        self.memory = PhysicalMemory()
        self.buffers = [bytearray(rng.randbytes(SIZE)) for _ in MEMORIES]
        for slot, (gpa, buffer) in enumerate(zip(MEMORIES, self.buffers, strict=True)):
            self.memory.map(slot, gpa, buffer)
        self.code = bytearray(4096)
        self.memory.map(len(MEMORIES), CODE, self.code)
        self.p = Processor(self.memory)

    def replace(self, slot: int, buffer: bytearray) -> None:
        """Other memory at the same guest address."""
        self.memory.unmap(slot)
        self.buffers[slot] = buffer
        self.memory.map(slot, MEMORIES[slot], buffer)

    def load(self, base: int, index: int) -> tuple[int, int]:
        """Runs the load. Returns the value and the base register afterwards."""
        p = self.p
        p.pc, p.pstate = CODE, EL1H
        p.set_x(BASE, base)
        p.set_x(INDEX, index)
        assert p.run(p.instructions + 2) == EXIT_LIMIT
        assert p.pc == CODE + 4
        return p.get_x(TARGET), p.get_x(BASE)


def places(rng: random.Random) -> list[int]:
    """Numbers of memories: in turn, the same one many times, at random."""
    return [0, 1] * 10 + [2] * 20 + [rng.randrange(len(MEMORIES)) for _ in range(200)] + [1] * 20


@pytest.mark.parametrize(("name", "value"), LOADS, ids=[name for name, _ in LOADS])
def test_every_load_from_anywhere(name: str, value: int) -> None:
    rng = random.Random(name)
    guest = Guest(rng)
    raw = value | BASE << 5 | TARGET
    index, offset, back = 0, 0, 0
    if name.endswith(("lsl", "uxtw", "sxtw")):
        raw |= INDEX << 16
        index = offset = 0x18
    elif name.endswith("uimm"):
        raw |= 2 << 10
        offset = 2 << (value >> 30)
    else:
        raw |= 0x1F0 << 12  # -16
        back = -16 if name.endswith(("pre", "post")) else 0
        offset = 0 if name.endswith("post") else -16
    guest.code[:8] = struct.pack("<2I", raw, B_SELF)
    for n, slot in enumerate(places(rng)):
        if n in (30, 150):
            for k in range(len(MEMORIES)):
                guest.replace(k, bytearray(rng.randbytes(SIZE)))
        at = rng.randrange(64, SIZE - 64) & ~7  # Device memory: the MMU is off
        read, base = guest.load(MEMORIES[slot] + at, index)
        data = bytes(guest.buffers[slot][at + offset : at + offset + 8])
        assert read == extended(name, data), f"{n}: {name} at {at:#x} of memory {slot}"
        assert base == MEMORIES[slot] + at + back
        guest.buffers[slot][at + offset] ^= 0xFF  # next time it is another value


def test_the_table_has_them_all() -> None:
    """9 kinds (13 without the stores), 8 addressing modes each."""
    assert len(LOADS) == 9 * 8
