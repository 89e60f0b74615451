"""Random guests with interrupts: timers, SGIs to each other, the console, WFI, and pages to write.

For a board with a GICv3, on which each vCPU has a redistributor of 128 KiB. Stores go to pages that
the guest also executes from, and to pages of which nothing is known before.
"""

from __future__ import annotations

import random
import struct

from guestdbg.check import assembler as asm

RAM = 0x4000_0000
CODE = RAM + 0x8_0000
VECTORS = RAM + 0x8_8000
DATA = RAM + 0x10_0000
GICD, GICR, UART = 0x0800_0000, 0x080A_0000, 0x0900_0000
SGI_FRAME = 0x1_0000
VTIMER = 27
_WFI, _ISB = 0xD503207F, 0xD5033FDF


def _store(address: int, value: int) -> list[object]:
    return [*asm.mov(1, address), *asm.mov(2, value), asm.access("strw", 2, 1)]


def _start(cpu: int) -> list[object]:
    """What a vCPU does first: x20 is its data."""
    frame = GICR + 0x2_0000 * cpu + SGI_FRAME
    return [
        *asm.mov(1, VECTORS), asm.msr("VBAR_EL1", 1), *asm.mov(20, DATA + 0x4_0000 * cpu),
        *asm.mov(9, 77 + cpu), *asm.mov(11, 0x5851_F42D_4C95_7F2D), *asm.mov(12, 0x1405_7B7E),
        *_store(GICD, 0x12), *_store(frame + 0x80, 0xFFFF_FFFF),
        *_store(frame + 0x100, 1 << VTIMER | 0xFF),
        *_store(GICD + 0x84, 0xFFFF_FFFF), *_store(GICD + 0x104, 0xFF00),
        *asm.mov(2, 0xF0), asm.msr("ICC_PMR_EL1", 2),
        *asm.mov(2, 1), asm.msr("ICC_IGRPEN1_EL1", 2), _ISB,
        *asm.mov(2, 300 + 70 * cpu), asm.msr("CNTV_TVAL_EL0", 2),
        *asm.mov(2, 1), asm.msr("CNTV_CTL_EL0", 2), asm.daifclr(2),
    ]  # fmt: skip


def _random(rng: random.Random, vcpus: int) -> list[object]:
    kind = rng.randrange(12)
    page = rng.randrange(40)
    if kind < 4:  # to a page of its own
        return [*asm.mov(3, page << 12), asm.add_reg(3, 3, 20), asm.str_(9, 3)]
    if kind < 5:  # beside the code of all
        return [*asm.mov(3, VECTORS + 0x1000 - 8 * rng.randrange(1, 64)), asm.str_(9, 3)]
    if kind < 7:
        return [*asm.mov(3, page << 12), asm.add_reg(3, 3, 20), asm.ldr(4, 3),
                asm.add_reg(9, 9, 4)]  # fmt: skip
    if kind == 7:
        target = rng.randrange(vcpus)
        return [*asm.mov(1, rng.randrange(8) << 24 | 1 << target), asm.msr("ICC_SGI1R_EL1", 1)]
    if kind == 8:
        return _store(UART, rng.randrange(32, 127))
    if kind == 9:
        return [*asm.mov(1, UART), asm.access("ldrw", 4, 1, 0x18), asm.access("ldrw", 4, 1),
                asm.add_reg(9, 9, 4)]  # fmt: skip
    if kind == 10:
        return [asm.mrs(4, "CNTVCT_EL0"), asm.add_reg(9, 9, 4)]
    return [_WFI] if rng.random() < 0.3 else [asm.madd(9, 9, 11, 12)]


def _handler(period: int) -> list[object]:
    return [
        asm.mrs(13, "ICC_IAR1_EL1"), asm.add_reg(10, 10, 13), asm.str_(10, 20),
        *asm.mov(14, period), asm.msr("CNTV_TVAL_EL0", 14),
        asm.msr("ICC_EOIR1_EL1", 13), asm.ERET,
    ]  # fmt: skip


def image(seed: int, vcpus: int = 1) -> tuple[bytes, int]:
    """A raw image of an endless program, and where it is to be loaded."""
    rng = random.Random(seed)
    contents = bytearray(VECTORS + 0x1000 - CODE)
    at = CODE
    starts = [0] * vcpus
    for cpu in reversed(range(vcpus)):
        items = _start(cpu)
        if cpu == 0:
            for other in range(1, vcpus):
                items += [*asm.mov(0, 0xC400_0003), *asm.mov(1, other), *asm.mov(2, starts[other]),
                          *asm.mov(3, 0), asm.hvc()]  # fmt: skip
        items.append(asm.label("again"))
        for _ in range(rng.randrange(20, 60)):
            items += _random(rng, vcpus)
        items.append(asm.b("again"))
        # The first vCPU starts at the image's start.
        at = CODE if cpu == 0 else CODE + 0x2000 * cpu
        starts[cpu] = at
        words = asm.assemble(at, *items).words
        assert 4 * len(words) <= 0x2000
        contents[at - CODE : at - CODE + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
    handler = asm.flat(*_handler(rng.randrange(40, 900)))
    where = VECTORS + 0x280 - CODE
    contents[where : where + 4 * len(handler)] = struct.pack(f"<{len(handler)}I", *handler)
    return bytes(contents), CODE
