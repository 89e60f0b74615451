"""A bare processor with a little memory, for tests of the processor alone."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence

from guestdbg.cpu.processor import PhysicalMemory, Processor

from .processor_features import LSE

RAM = 0x4000_0000
CODE = RAM
DATA = RAM + 0x10000

NOP = 0xD503201F
RET = 0xD65F03C0
B_SELF = 0x14000000

TDE = 1 << 8  # MDCR_EL2
MDE = 1 << 15  # MDSCR_EL1
KDE = 1 << 13
SS = 1 << 0
PSTATE_SS = 1 << 21
EL1H = 0x3C5  # PSTATE: EL1h, everything masked
EL0T = 0x3C0


def movz(rd: int, imm16: int, shift: int = 0) -> int:
    return 0xD2800000 | (shift // 16) << 21 | imm16 << 5 | rd


def movk(rd: int, imm16: int, shift: int) -> int:
    return 0xF2800000 | (shift // 16) << 21 | imm16 << 5 | rd


def load_address(rd: int, value: int) -> list[int]:
    """rd = value, in four instructions."""
    return [movz(rd, value & 0xFFFF)] + [
        movk(rd, value >> shift & 0xFFFF, shift) for shift in (16, 32, 48)
    ]


def branch(distance: int) -> int:
    """b with a distance in instructions."""
    return 0x14000000 | distance & 0x3FFFFFF


class Bench:
    """One processor, 1 MiB of RAM at RAM; code at CODE, which is where the PC starts."""

    def __init__(
        self,
        words: Sequence[int] = (),
        *,
        size: int = 1 << 20,
        breakpoints: int = 6,
        watchpoints: int = 4,
        context_aware: int = 2,
        lse: bool = False,
    ) -> None:
        self.ram = mmap.mmap(-1, size)
        self.memory = PhysicalMemory()
        self.memory.map(0, RAM, self.ram)
        self.p = Processor(
            self.memory,
            breakpoints=breakpoints,
            watchpoints=watchpoints,
            context_aware=context_aware,
            identification=LSE if lse else None,
        )
        self.p.pc = CODE
        self.put(CODE, words)

    def put(self, address: int, words: Sequence[int]) -> None:
        at = address - RAM
        self.ram[at : at + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)

    def u64(self, address: int) -> int:
        return int(struct.unpack_from("<Q", self.ram, address - RAM)[0])

    def set_u64(self, address: int, value: int) -> None:
        struct.pack_into("<Q", self.ram, address - RAM, value)

    def run(self, count: int | None = None) -> int:
        """Run for count instructions, or until something else ends it."""
        return self.p.run(None if count is None else self.p.instructions + count)

    def arm(
        self,
        breakpoints: Sequence[tuple[int, int]] = (),
        watchpoints: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Debug registers as (value, control); all exceptions routed to EL2."""
        self.p.mdcr_el2 |= TDE
        self.p.mdscr_el1 |= MDE
        bvr, bcr, wvr, wcr = ([0] * 16 for _ in range(4))
        for n, (value, control) in enumerate(breakpoints):
            bvr[n], bcr[n] = value, control
        for n, (value, control) in enumerate(watchpoints):
            wvr[n], wcr[n] = value, control
        self.p.load_debug(bcr, bvr, wcr, wvr)

    def state(self) -> tuple[object, ...]:
        p = self.p
        return (
            [p.get_x(n) for n in range(31)],
            p.pc,
            p.pstate,
            p.sp_el0,
            p.sp_el1,
            p.instructions,
            bytes(self.ram),
        )
