"""Random small guests: programs of the differential's kinds of instructions, as several vCPUs."""

from __future__ import annotations

import random
import struct

from guestdbg.check import assembler as asm

RAM = 0x4000_0000
CODE = RAM + 0x8_0000
DATA = RAM + 0x10_0000  # x20: 256 bytes that all vCPUs share
VECTORS = RAM + 0xC_0000


def _instruction(rng: random.Random) -> list[int]:
    """Registers 0 to 12 are computed with."""
    a, b, c = (rng.randrange(13) for _ in range(3))
    offset = 8 * rng.randrange(16)
    name = rng.choice(["str", "ldr", "strb", "ldrh", "ldrsw", "strw", "strh"])
    return asm.flat(
        rng.choice(
            [
                asm.add(a, b, rng.randrange(4096)),
                asm.add_reg(a, b, c),
                asm.eor_reg(a, b, c),
                asm.madd(a, b, c, rng.randrange(13)),
                asm.access(name, a, 20, offset),
                asm.access(name, a, 20, offset),
                asm.stp(a, b, 20, offset),
                asm.ldp(a, (a + 1) % 13, 20, offset),
                asm.atomic("ldadd", a, b, 21),
                asm.mrs(a, "CNTVCT_EL0"),
                asm.svc(rng.randrange(8)),
                [asm.load_exclusive(a, 21), asm.store_exclusive(13, b, 21)],
            ]
        )
    )


def image(seed: int) -> tuple[bytes, int]:
    """A raw image of an endless program, and where it is to be loaded."""
    rng = random.Random(seed)
    words = asm.flat(
        asm.mov(1, VECTORS), asm.msr("VBAR_EL1", 1), asm.add_reg(9, 0, 0),
        asm.mov(20, DATA), asm.mov(21, DATA + 0x80),
    )  # fmt: skip
    for cpu in range(1, 4):
        words += asm.flat(
            asm.mov(0, 0xC400_0003), asm.mov(1, cpu), asm.mov(2, CODE), asm.mov(3, cpu), asm.hvc()
        )
    start = len(words)
    for _ in range(rng.randrange(15, 60)):
        words += _instruction(rng)
    words.append(0x1400_0000 | (start - len(words)) & 0x3FF_FFFF)
    contents = bytearray(DATA + 0x1000 - CODE)
    contents[: 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
    handler = asm.flat(asm.mrs(14, "ESR_EL1"), asm.add_reg(10, 10, 14), asm.ERET)
    at = VECTORS + 0x200 - CODE
    contents[at : at + 4 * len(handler)] = struct.pack(f"<{len(handler)}I", *handler)
    return bytes(contents), CODE
